// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package model runs the control plane in a simulated world, through random and enumerated faults.
//
// The pool, the dispatch server, the reconcilers, the uploader and the sweeper are the real ones, and the render pods speak with the real
// dispatch client. What is simulated is everything outside them: the API server with admission and with a cache that lags, the kubelet, the
// browser, the content store's bucket, the storage account, and time (package testing/synctest): ten virtual minutes take some milliseconds.
//
//	API server ◄─ effect ─ manager-1, manager-2 … ─ effect ─► bucket, account
//	     │  watch, with a lag          ▲
//	     └────────► lagging cache ─────┘ ◄─ link ─ pods of the node
//
// Each change that a manager makes outside itself is an effect with a number. TestEveryWrite kills the manager before and after each one,
// loses its answer, and lets another process lead; TestEveryEvent delays and loses each watch event; TestEveryFate ends attempts in every way;
// TestSeeds draws workloads and faults from a seed. All decisions are functions of the seed, so a seed gives the same run again, but for the
// order of goroutines within one instant.
//
// check_test.go has the invariants. Each of these mutations of the code under test breaks one:
//
//	pool: a refused launch is retried at once          refused pods are retried with backoff
//	pool: a disruption counts, or an OOM kill does not only faults count as attempts (TestEveryFate, TestSeeds)
//	pool: a silent render pod counts                   the attempts that count (TestEveryFate)
//	content: the last manifest wins                    the first commit of a render wins (TestEveryWrite)
//	content: attempts share keys                       stored files are those in status (TestLatePages)
//	pool: no running render is adopted                 the outcome is that of a run without faults (TestEveryWrite)
//	renderjob: failed uploads are not repeated         uploads are retried once the connection is Ready again
//	renderjob: each wait is written at once            a write says something new, writes are bounded
//	renderjob: two managers replace each other's words requests are bounded
//	renderjob: a deleted job stays in the pool         no pod stays
//	renderjob: status has a negative number            no status is refused
//	renderjob: a spec of a connection changes nothing  uploads are retried once the connection is Ready again
//	renderjob: files are retained after the status     files outlive a job as its policy says (TestEveryWrite)
//	renderjob: a kept outcome keeps the old policy     files outlive a job as its policy says (TestSeeds)
//	sweep: a walk deletes nothing                      no file of a deleted job stays
package model

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	benchreport "github.com/platen-dev/platen/test/bench/report"
)

var (
	first   = flag.Uint64("model.first", firstWhole, "first seed of TestSeeds")
	seeds   = flag.Uint64("model.seeds", 200, "number of seeds of TestSeeds")
	long    = flag.Bool("model.trace", false, "print the whole trace of a failed run")
	figures = flag.Bool("model.figures", false, "write the figures of TestSeeds to .bench/model.json")
)

func TestQuietRun(t *testing.T) {
	report(t, simulate(t, 1, workload{namespaces: 1, jobs: 3, pages: 2, connections: 1, maxPods: 2}, plan{}))
}

// TestSeeds runs random workloads under random faults. To see what a seed does: -run TestSeeds -model.first SEED -model.seeds 1 -model.trace.
func TestSeeds(t *testing.T) {
	begin := time.Now()
	var all, quiet totals
	for seed := *first; seed < *first+*seeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := simulate(t, seed, randomWorkload(seed), randomPlan(seed))
			all.add(r)
			if reflect.DeepEqual(r.plan, plan{faultsUntil: r.plan.faultsUntil}) && isQuiet(randomWorkload(seed)) {
				quiet.add(r)
			}
			report(t, r)
		})
	}
	perSecond := float64(all.jobs) / time.Since(begin).Seconds()
	t.Logf("%d runs, %d jobs, %.1f jobs a second", all.runs, all.jobs, perSecond)
	if !*figures {
		return
	}
	t.Chdir("../..")
	err := benchreport.Write(os.Stdout, "model", []benchreport.Figure{
		{Name: "runs", Value: float64(all.runs), Unit: "runs", Goal: ">= 10000"},
		{Name: "broken_runs", Value: float64(all.broken), Unit: "runs", Goal: "<= 0"},
		{Name: "jobs_per_second", Value: perSecond, Unit: "jobs/s", Goal: ">= 30"},
		{Name: "status_writes_per_job", Value: quiet.perJob(quiet.writes), Unit: "writes", Goal: "<= 3"},
		{Name: "status_writes_of_a_job_max", Value: float64(quiet.most), Unit: "writes", Goal: "<= 3"},
		{Name: "writes_per_job", Value: quiet.perJob(quiet.changes), Unit: "writes"},
		{Name: "requests_per_job", Value: quiet.perJob(quiet.requests), Unit: "requests"},
		{Name: "faulty_status_writes_per_job", Value: all.perJob(all.writes), Unit: "writes"},
		{Name: "faulty_requests_per_job", Value: all.perJob(all.requests), Unit: "requests"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isQuiet reports whether nothing but the jobs' creation happens in a workload.
func isQuiet(load workload) bool { return load.edits == 0 && !load.templates && !load.pools }

// totals of several runs.
type totals struct{ runs, broken, jobs, writes, most, changes, requests int }

func (t *totals) add(r result) {
	t.runs++
	t.jobs += r.jobs
	t.writes += r.writes
	t.most = max(t.most, r.mostWrites)
	t.changes += r.changes
	t.requests += r.requests
	if len(r.broken) > 0 {
		t.broken++
	}
}

func (t *totals) perJob(n int) float64 { return float64(n) / float64(max(t.jobs, 1)) }

// regressions are seeds that once broke an invariant, and what was wrong.
var regressions = map[uint64]string{
	28:    "each reconciliation of a suspended job wrote another start time",
	34:    "two managers replaced each other's status without end",
	155:   "a wait for a node flapped",
	190:   "a namespace whose last pods had no node was remembered",
	237:   "files of a lost render were uploaded, those of the next one were not",
	2520:  "a drained pod that had ended when the cache showed it counted as an attempt",
	3298:  "a transient error hid why render pods are refused",
	3830:  "a namespace was remembered whose last pod went while nothing else happened",
	10004: "a pod that took a task late in its poll was taken for silent",
	10190: "a render whose files were lost before its result counted as an attempt",
	6015:  "an upload that failed just before its connection became Ready again was not repeated",
	1976:  "a wait for the quota flapped whenever a pod was tried",
	31000: "uploads went on of files from the render cache that the content store had lost",
	32570: "a page of a lost attempt was uploaded that the next one did not have",
	35171: "a pod was deleted again and again while the cache still showed it",
	56045: "each pod of its own under a quota of one asked for two more when it ended",
}

// TestRegressions runs the seeds that once broke an invariant.
func TestRegressions(t *testing.T) {
	for seed, problem := range regressions {
		t.Run(problem, func(t *testing.T) { report(t, simulate(t, seed, randomWorkload(seed), randomPlan(seed))) })
	}
}

// scenarios are small workloads for enumerated faults: every write of the manager, and every watch event, has a fault once.
var scenarios = map[string]workload{
	"one page":                   {namespaces: 1, jobs: 1, pages: 1, connections: 1, maxPods: 1},
	"three pages to two places":  {namespaces: 1, jobs: 1, pages: 3, connections: 2, maxPods: 1},
	"a page that outlives it":    {namespaces: 1, jobs: 1, pages: 1, maxPods: 1, retained: true},
	"two jobs for one pod":       {namespaces: 1, jobs: 2, pages: 1, connections: 1, maxPods: 1},
	"two namespaces without any": {namespaces: 2, jobs: 2, pages: 1, maxPods: 1},
}

// TestEveryWrite kills the manager before and after each of its writes, loses the answer, and lets another process lead. The outcome must be
// that of a run without a fault.
func TestEveryWrite(t *testing.T) {
	for name, load := range scenarios {
		t.Run(name, func(t *testing.T) {
			reference := simulate(t, 1, load, plan{})
			report(t, reference)
			for at := 1; at <= reference.effects; at++ {
				for _, mode := range []string{killBefore, killAfter, loseAnswer, handOver, usurp} {
					t.Run(fmt.Sprintf("%s %d", mode, at), func(t *testing.T) {
						expect(t, simulate(t, 1, load, plan{at: at, mode: mode}), reference)
					})
				}
			}
		})
	}
}

// TestEveryEvent delays and loses each watch event.
func TestEveryEvent(t *testing.T) {
	for name, load := range scenarios {
		t.Run(name, func(t *testing.T) {
			reference := simulate(t, 1, load, plan{})
			for kind, events := range reference.events {
				for at := range events {
					for _, mode := range []string{stall, gap} {
						t.Run(fmt.Sprintf("%s %s %d", mode, kind, at), func(t *testing.T) {
							expect(t, simulate(t, 1, load, plan{eventKind: kind, eventAt: at, eventMode: mode}), reference)
						})
					}
				}
			}
		})
	}
}

// TestEveryFate ends the first two attempts at a job in every way. Status counts those that are the fault of the pod or of the render, and no
// other.
func TestEveryFate(t *testing.T) {
	counts := map[string]bool{endedOOM: true, endedCrash: true, endedSilent: true, endedBad: true, endedDeleted: false, endedEvicted: false}
	load := workload{namespaces: 1, jobs: 1, pages: 2, connections: 1, maxPods: 1, backoffLimit: new(int32(1))}
	for _, first := range slices.Sorted(maps.Keys(counts)) {
		for _, second := range slices.Sorted(maps.Keys(counts)) {
			t.Run(first+", "+second, func(t *testing.T) {
				lost := 0
				for _, fate := range []string{first, second} {
					if counts[fate] {
						lost++
					}
				}
				want := fmt.Sprintf("Ready=True Succeeded attempts=%d", lost+1)
				if lost > 1 {
					want = "Ready=False BackoffLimitExceeded attempts=2"
				}
				r := simulate(t, 1, load, plan{fates: []string{first, second}})
				if got := r.outcomes["job-0"]; got != want {
					r.broken = append(r.broken, fmt.Sprintf("the attempts that count: got %q, want %q", got, want))
				}
				report(t, r)
			})
		}
	}
}

// TestRefusingAPIServer lets the API server refuse all changes for a while. However long that was, jobs go on soon after it.
func TestRefusingAPIServer(t *testing.T) {
	for _, length := range []time.Duration{10 * time.Second, time.Minute, 6 * time.Minute, 30 * time.Minute} {
		for _, from := range []time.Duration{0, 500 * time.Millisecond, 2 * time.Second, 5 * time.Second} {
			t.Run(fmt.Sprintf("for %s from %s", length, from), func(t *testing.T) {
				load := workload{namespaces: 2, jobs: 6, pages: 2, connections: 1, maxPods: 2, within: 4 * time.Second, backoffLimit: new(int32(0)), pools: true, verified: true}
				report(t, simulate(t, 1, load, plan{faultsUntil: from + length, patience: 90 * time.Second, refusingFrom: from, refusingFor: length}))
			})
		}
	}
}

// TestLatePages lets pages of lost attempts arrive after those of later ones.
func TestLatePages(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			report(t, simulate(t, seed, workload{namespaces: 1, jobs: 2, pages: 3, connections: 1, maxPods: 3, backoffLimit: new(int32(5))},
				plan{faultsUntil: time.Minute, partition: 0.6, latePage: 0.4}))
		})
	}
}

// TestHandOversWhileTemplatesChange lets managers stop and die often while templates are changed and deleted.
func TestHandOversWhileTemplatesChange(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			report(t, simulate(t, seed, workload{namespaces: 1, jobs: 8, pages: 12, connections: 1, maxPods: 2, within: 40 * time.Second, templates: true},
				plan{faultsUntil: time.Minute, handOvers: 0.8, kill: 0.02}))
		})
	}
}

// TestConnectionsThatChange changes connections and their credentials at any moment of the uploads. The last seeds left failed uploads of a connection
// that was switched off and on again while their retry was due.
func TestConnectionsThatChange(t *testing.T) {
	for _, seed := range []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 245, 315, 331, 599} {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			faults := plan{faultsUntil: time.Minute}
			if seed%2 == 1 {
				faults.kill, faults.retry, faults.loseUpload, faults.stalls, faults.handOvers = 0.005, 0.2, 0.1, 0.02, 0.1
			}
			report(t, simulate(t, seed, workload{namespaces: 1, jobs: 8, pages: 3, connections: 2, maxPods: 3, within: 30 * time.Second, verified: true, reconnects: true}, faults))
		})
	}
}

// expect fails the test if a run broke an invariant or ended otherwise than the reference.
func expect(t *testing.T, r, reference result) {
	t.Helper()
	if diff := cmp.Diff(reference.final, r.final); diff != "" {
		r.broken = append(r.broken, "the outcome is that of a run without faults (-want +got):\n"+diff)
	}
	report(t, r)
}

// report fails the test if a run broke an invariant.
func report(t *testing.T, r result) {
	t.Helper()
	if len(r.broken) == 0 {
		return
	}
	lines := r.trace
	if !*long && len(lines) > 60 {
		lines = lines[len(lines)-60:]
	}
	t.Errorf("%s\n\nplan %+v\ntrace:\n%s", strings.Join(r.broken, "\n"), r.plan, strings.Join(lines, "\n"))
}
