// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	barWidth = 24
	// redraw is the interval between updates of the seconds.
	redraw = 100 * time.Millisecond
)

// progress shows how far a job has come. On a terminal it is one line that changes, elsewhere a new line for each change.
type progress struct {
	out      io.Writer
	terminal bool
	began    time.Time

	mu          sync.Mutex
	done, total int
	text        string

	stop    chan struct{}
	drawing sync.WaitGroup
}

// newProgress starts a progress, which shows nothing before the first call of show. The caller must call end.
func newProgress(out io.Writer) *progress {
	p := &progress{out: out, terminal: isTerminal(out), began: time.Now(), stop: make(chan struct{})}
	if p.terminal {
		p.drawing.Go(func() {
			ticker := time.NewTicker(redraw)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					p.mu.Lock()
					p.draw()
					p.mu.Unlock()
				case <-p.stop:
					return
				}
			}
		})
	}
	return p
}

// show sets the text, and fills the bar to done of total.
func (p *progress) show(done, total int, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done == p.done && total == p.total && text == p.text {
		return
	}
	p.done, p.total, p.text = done, total, text
	if p.terminal {
		p.draw()
	} else {
		fmt.Fprintln(p.out, text)
	}
}

func (p *progress) draw() {
	if p.text == "" {
		return
	}
	filled := 0
	if p.total > 0 {
		filled = barWidth * p.done / p.total
	}
	line := fmt.Sprintf("[%s%s] %s, %.1f s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), p.text, time.Since(p.began).Seconds())
	// Return to the start of the line, overwrite it, and clear its rest.
	fmt.Fprintf(p.out, "\r%s\x1b[K", clip(line, columns(p.out)))
}

// columns returns the width of a terminal; 0 if it is not known.
func columns(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// clip returns as much of a line as a terminal shows in one: of a longer one, each drawing would leave a line behind.
func clip(line string, width int) string {
	if runes := []rune(line); width > 0 && len(runes) >= width {
		return string(runes[:width-1])
	}
	return line
}

// pause calls write with the line removed.
func (p *progress) pause(write func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && p.text != "" {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	write()
}

// end removes the line.
func (p *progress) end() {
	close(p.stop)
	p.drawing.Wait()
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
