// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// errKilled is what a killed manager gets from everything outside it.
var errKilled = errors.New("the process was killed")

// world is everything outside the manager: the API server, the node with its pods, the content store and the storage accounts. All its
// decisions are functions of the seed, of what happens and of how often that has happened, so they do not depend on the order of
// goroutines.
type world struct {
	seed  uint64
	plan  plan
	begin time.Time
	// maxPods of a namespace.
	maxPods int
	// cached is true if jobs get what others have rendered, and verified, if the controller of StorageConnections runs.
	cached, verified, retained bool
	// reconnects is true if connections change.
	reconnects bool

	scheme  *runtime.Scheme
	api     *apiServer
	node    *node
	bucket  *bucket
	account *account

	mu sync.Mutex
	// seen counts the occurrences of each decision.
	seen map[string]int
	// effects is the number of effects so far, and lines is the trace.
	effects int
	lines   []string
	// broken are the invariants that do not hold.
	broken []string
	// leader is the process to which the Service of the dispatch server leads, nil while there is none.
	leader *process
	// processes so far.
	processes []*process
	// turns are the moments at which the trouble of a pod began or ended.
	turns []turn
	// take carries the planned hand-over.
	take chan string
}

// random returns the random numbers for one occurrence of a decision.
func (w *world) random(decision string) *rand.Rand {
	w.mu.Lock()
	w.seen[decision]++
	n := w.seen[decision]
	w.mu.Unlock()
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s#%d", decision, n)
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

// happens decides whether something with a probability happens. It never does once the world has healed.
func (w *world) happens(probability float64, decision string) bool {
	return probability > 0 && w.faulty() && w.random(decision).Float64() < probability
}

// between returns a duration in a range. Two durations are hardly ever equal, so that the goroutines that wait for them wake one after the
// other.
func (w *world) between(decision string, from, to time.Duration) time.Duration {
	return from + time.Duration(w.random(decision).Int64N(int64(to-from)+1))
}

// faulty reports whether faults may still begin.
func (w *world) faulty() bool { return time.Since(w.begin) < w.plan.faultsUntil }

// elapsed is the time since the world began.
func (w *world) elapsed() time.Duration { return time.Since(w.begin) }

// trace adds a line to the trace.
func (w *world) trace(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf("%10.3fs  %s", w.elapsed().Seconds(), fmt.Sprintf(format, args...)))
}

// violate records a broken invariant.
func (w *world) violate(invariant, format string, args ...any) {
	problem := fmt.Sprintf("%s: %s", invariant, fmt.Sprintf(format, args...))
	w.trace("BROKEN %s", problem)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, problem)
}

// turn is a moment at which the trouble of a pod in a namespace began or ended.
type turn struct {
	namespace string
	at        time.Time
}

func (w *world) turn(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns = append(w.turns, turn{namespace, time.Now()})
}

// sleep waits for a time or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// effect passes one change that a process wants to make outside itself. Each effect has a number; the plan may kill the process before it,
// after it, or lose its answer. apply makes the change. refuse, which may be nil, may return an error instead of it.
func (w *world) effect(ctx context.Context, p *process, name string, refuse func() error, apply func() error) error {
	if err := p.reach(ctx, name); err != nil {
		return err
	}
	w.mu.Lock()
	w.effects++
	number := w.effects
	w.mu.Unlock()
	mode := w.plan.modeAt(number)
	if mode == "" {
		switch {
		case w.happens(w.plan.kill, "kill before "+name):
			mode = killBefore
		case w.happens(w.plan.kill, "kill after "+name):
			mode = killAfter
		case w.happens(w.plan.loseAnswer, "lose "+name):
			mode = loseAnswer
		}
	}
	if mode == killBefore {
		w.trace("%s #%d %s: killed before", p, number, name)
		p.kill()
		return errKilled
	}
	if refuse != nil {
		if err := refuse(); err != nil {
			w.trace("%s #%d %s: refused: %v", p, number, name, err)
			return err
		}
	}
	err := apply()
	if err != nil {
		w.trace("%s #%d %s: %v", p, number, name, err)
	} else {
		w.trace("%s #%d %s", p, number, name)
	}
	switch mode {
	case killAfter:
		w.trace("%s killed after #%d", p, number)
		p.kill()
		return errKilled
	case handOver, usurp:
		w.take <- mode
	case loseAnswer:
		w.trace("%s loses the answer to #%d", p, number)
		if err := sleep(ctx, w.between("lost answer", time.Second, 5*time.Second)); err != nil {
			return err
		}
		return errLost
	}
	if late := p.reach(ctx, "answer to "+name); late != nil {
		return late
	}
	return err
}

// errLost is the error of an effect whose answer is lost.
var errLost = errors.New("read tcp 10.0.0.1:443: connection reset by peer")
