// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package pool

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestPodStates(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	o := Options{Now: time.Now}
	o.setDefaults()
	for name, c := range map[string]struct {
		contact
		// listening and awake, in seconds; the process listens from the beginning unless deaf.
		deaf  bool
		awake int
		// last is the last second in which the pod is still in its state, and want, the state that follows.
		last int
		want podState
	}{
		"created, never shown":                      {contact: contact{state: starting, created: at(0)}, last: 59, want: silent},
		"shown, never runs":                         {contact: contact{state: starting, created: at(0), seen: true}, last: 599, want: silent},
		"runs, never polls":                         {contact: contact{state: starting, created: at(0), seen: true, running: at(7)}, last: 66, want: silent},
		"runs, polls late for a process that slept": {contact: contact{state: starting, created: at(0), seen: true, running: at(7)}, awake: 50, last: 109, want: silent},
		"idle, does not poll":                       {contact: contact{state: idle, heard: at(3)}, last: 17, want: silent},
		"idle, with a half-open poll":               {contact: contact{state: idle, heard: at(3), polling: true}, last: 27, want: silent},
		"renders, without heartbeats":               {contact: contact{state: rendering, heard: at(3)}, last: 17, want: silent},
		"renders, this process slept":               {contact: contact{state: rendering, heard: at(3)}, awake: 30, last: 44, want: silent},
		"renders what nobody enqueues":              {contact: contact{state: rendering, heard: at(59), announced: true}, last: 59, want: idle},
		"retires, and does not exit":                {contact: contact{state: retiring, since: at(5)}, last: 34, want: silent},
		"silent, and never shown":                   {contact: contact{state: silent, since: at(5)}, last: 604, want: gone},
		"silent, until the API server says more":    {contact: contact{state: silent, since: at(5), seen: true}, last: 1 << 20, want: silent},
		"of an earlier process, which nobody hears": {
			contact: contact{state: starting, created: at(0), seen: true, running: at(0)}, deaf: true, last: 599, want: silent,
		},
	} {
		t.Run(name, func(t *testing.T) {
			listening, awake := at(0), time.Time{}
			if c.deaf {
				listening = time.Time{}
			}
			if c.awake > 0 {
				awake = at(c.awake)
			}
			if got := c.next(&o, listening, awake, at(c.last)); got != c.state {
				t.Errorf("after %d s: %s", c.last, got)
			}
			if got := c.next(&o, listening, awake, at(c.last+1)); got != c.want {
				t.Errorf("after %d s: %s, want %s", c.last+1, got, c.want)
			}
		})
	}
}

// Whatever a pod does not do any more, nothing is left of it in the end, and its job is rendered by another.
func TestNoPodLastsForEver(t *testing.T) {
	for name, reach := range map[string]func(*world, PodID){
		"starting": func(*world, PodID) {},
		"running": func(w *world, id PodID) {
			w.ObservePods("ns", []PodView{{Name: id.Name, UID: id.UID, Started: true}})
		},
		"idle": func(w *world, id PodID) {
			w.Forget(key("a"))
			w.poll(id)
			w.enqueue("a", 1)
		},
		"rendering": func(w *world, id PodID) { w.poll(id) },
		"released": func(w *world, id PodID) {
			w.poll(id)
			w.Forget(key("a"))
			w.enqueue("a", 1)
		},
		"retiring": func(w *world, id PodID) {
			w.poll(id)
			w.Forget(key("a"))
			w.now = w.now.Add(2 * time.Second)
			w.mu.Lock()
			w.retire(w.namespaces["ns"].pods[id.UID], w.now)
			w.mu.Unlock()
			w.enqueue("a", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enqueue("a", 1)
			first := w.launch()[0]
			reach(w, first)
			deleted, replaced := false, false
			for range 700 {
				w.pass(1)
				d := w.Decide("ns")
				for _, l := range d.Launch {
					w.Launched("ns", l, types.UID("pod-"+l.PodName), nil)
					id := PodID{Namespace: "ns", Name: l.PodName, UID: types.UID("pod-" + l.PodName)}
					if a := w.poll(id); a != nil {
						replaced = true
						if err := w.Finish(id, a.TaskID, nil); err != nil {
							t.Fatal(err)
						}
					}
				}
				for _, deletion := range d.Delete {
					if deletion.Force { // a pod that is not heard may not notice anything else
						deleted = deleted || deletion.PodID == first
						w.Gone("ns", deletion.UID)
					}
				}
			}
			if !deleted || !replaced {
				t.Errorf("deleted %v, replaced %v", deleted, replaced)
			}
			w.phase("a", Rendered)
			if s := w.Status("ns"); s != (Status{}) {
				t.Errorf("left: %+v", s)
			}
			w.Forget(key("a"))
			w.ObservePods("ns", nil) // the API cache shows the deletions
			w.Expire()
			if len(w.namespaces) != 0 || len(w.byUID) != 0 || w.notices.queue.len() != 0 || w.delayed.len() != 0 {
				t.Errorf("memory is left: %d namespaces, %d jobs, %d notices, %d delays", len(w.namespaces), len(w.byUID), w.notices.queue.len(), w.delayed.len())
			}
		})
	}
}
