// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platen-dev/platen/internal/shard"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/fleet"
	"github.com/platen-dev/platen/test/s3"
)

// TestShards divides 20 namespaces among two managers that lead side by side, and gives them back to one, while each namespace renders a job. No
// job is begun again, and a manager that dies takes no shard but its own with it.
func TestShards(t *testing.T) {
	w := newWorld(t)
	store, err := s3.New()
	w.must(err)
	t.Cleanup(store.Close)
	for name, value := range s3.Credentials {
		t.Setenv(name, value)
	}
	teams := make([]string, 20)
	for i := range teams {
		teams[i] = fmt.Sprintf("team-%02d", i)
		w.must(w.NewNamespace(t.Context(), teams[i]))
		w.must(w.Client.Create(t.Context(), template(teams[i], card.Name, "front")))
	}
	manager := func(name string, shards int) *replica {
		return w.manager("platen-manager-"+name, fmt.Sprintf("--shards=%d", shards), "--content-store="+store.BucketURL(), "--max-pods-per-namespace=1", "--pool-min-ready=1",
			"--leader-elect-lease-duration=15s") // no leader must lose its lease because the machine is busy
	}
	a, b, c, d := manager("a", 1), manager("b", 2), manager("c", 2), manager("d", 2)
	w.start(a)
	w.led(map[string][]string{"": {a.Name}})

	t.Log("two shards follow one leader")
	land := w.render("one", teams)
	w.start(b)
	w.start(c)
	w.led(map[string][]string{"": {a.Name}})
	w.stop(a, syscall.SIGTERM)
	w.led(map[string][]string{"0": {b.Name, c.Name}, "1": {b.Name, c.Name}})
	land()
	for _, r := range []*replica{b, c} {
		if number := w.shardOf(r); !slices.Equal(w.assigned(r), w.teamsOf(number, teams)) {
			t.Errorf("shard %d has assigned jobs of %v; want %v", number, w.assigned(r), w.teamsOf(number, teams))
		}
	}

	t.Log("the leader of a shard is killed")
	w.start(d)
	lost := w.shardOf(b)
	land = w.render("two", w.teamsOf(lost, teams))
	w.stop(b, syscall.SIGKILL)
	began := time.Now()
	w.do(w.teamsOf(1-lost, teams)[0], fleet.QuietPrefix+"-undisturbed")
	t.Logf("a job of the other shard took %.1f s", time.Since(began).Seconds())
	w.led(map[string][]string{strconv.Itoa(lost): {d.Name}, strconv.Itoa(1 - lost): {c.Name}})
	land()

	t.Log("one leader follows two shards")
	land = w.render("three", teams)
	w.start(a)
	w.stop(c, syscall.SIGTERM)
	w.led(map[string][]string{strconv.Itoa(lost): {d.Name}})
	w.stop(d, syscall.SIGTERM)
	w.led(map[string][]string{"": {a.Name}})
	land()
}

// led waits until the managers lead: each shard one of some. The shard of a manager that leads all namespaces has no name.
func (w *world) led(by map[string][]string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("the shards are led by %v", by), func() (bool, error) {
		shards := w.Pods.Shards()
		for shard, name := range shards {
			if !slices.Contains(by[shard], name) {
				return false, nil
			}
		}
		return len(shards) == len(by), nil
	})
}

// shardOf returns the shard that a replica leads.
func (w *world) shardOf(r *replica) int {
	w.t.Helper()
	for shard, name := range w.Pods.Shards() {
		if name == r.Name {
			number, err := strconv.Atoi(shard)
			w.must(err)
			return number
		}
	}
	w.t.Fatalf("%s leads no shard", r.Name)
	return 0
}

// teamsOf returns the namespaces of one of two shards.
func (w *world) teamsOf(number int, teams []string) (mine []string) {
	for _, team := range teams {
		if shard.Of(team, 2) == number {
			mine = append(mine, team)
		}
	}
	return mine
}

// render creates a job in each namespace and waits until a pod renders it. The renders end with land; each job must then have succeeded with one
// attempt, and must have been rendered once.
func (w *world) render(name string, namespaces []string) (land func()) {
	w.t.Helper()
	before, release := w.Pods.Rendered(), w.Pods.Hold()
	for _, namespace := range namespaces {
		w.create(namespace, name, card.Name)
	}
	w.eventually("all jobs are rendered", func() (bool, error) { return w.Pods.Holding() == len(namespaces), nil })
	return func() {
		w.t.Helper()
		if n := w.Pods.Holding(); n != len(namespaces) {
			w.t.Errorf("%d of %d renders have survived", n, len(namespaces))
		}
		release()
		for _, namespace := range namespaces {
			w.succeeded(namespace, name, 1)
		}
		if n := w.Pods.Rendered() - before; n < len(namespaces) || n > len(namespaces)+1 { // perhaps another namespace's job meanwhile
			w.t.Errorf("%d jobs took %d renders", len(namespaces), n)
		}
	}
}

// assigned returns the namespaces of which a replica has finished jobs, as its log says.
func (w *world) assigned(r *replica) []string {
	w.t.Helper()
	log, err := os.ReadFile(r.Log)
	w.must(err)
	found := map[string]bool{}
	for line := range strings.Lines(string(log)) {
		var entry struct{ Msg, Namespace string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "Render pod rendered RenderJob" {
			found[entry.Namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
