// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxLine bounds a line that a person types, in bytes.
const maxLine = 4096

// errNoAnswer means that nobody is there to answer.
var errNoAnswer = errors.New("no answer: the input has ended")

// prompter asks the person at the terminal and reads their answers line by line.
type prompter struct {
	in  io.Reader
	out io.Writer
	// lines receives the lines as they are typed; nil before the first question.
	lines chan string
	err   error
}

// ask prints a question and returns the answer without surrounding space.
func (p *prompter) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(p.out, question)
	if p.lines == nil {
		p.lines = make(chan string)
		// Nothing can stop a read from a terminal: the goroutine lives until the process ends.
		go func() {
			defer close(p.lines)
			scanner := bufio.NewScanner(p.in)
			scanner.Buffer(make([]byte, 0, maxLine), maxLine)
			for scanner.Scan() {
				select {
				case p.lines <- scanner.Text():
				case <-ctx.Done():
					return
				}
			}
			p.err = scanner.Err()
		}()
	}
	select {
	case line, ok := <-p.lines:
		if ok {
			return strings.TrimSpace(line), nil
		}
		fmt.Fprintln(p.out)
		if p.err != nil {
			return "", fmt.Errorf("reading the answer: %w", p.err)
		}
		return "", errNoAnswer
	case <-ctx.Done():
		fmt.Fprintln(p.out)
		return "", ctx.Err()
	}
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
