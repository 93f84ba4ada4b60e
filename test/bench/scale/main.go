// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scale measures how many jobs one manager carries, or several that lead side by side: a real kube-apiserver and etcd, cmd/manager as its own process, and simulated render
// pods with the dispatch client of real ones. No job uploads. The peer is a client that makes the same writes of as many jobs, and nothing else:
// the floor. Both take turns.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/report"
	"github.com/platen-dev/platen/test/fleet"
	"github.com/platen-dev/platen/test/s3"
)

const (
	// peer is the name of the floor in the report.
	peer = "bare client, the same writes"
	// quietJob is the name of the job that a restarted manager must serve while others wait. Its namespace has a pod that waits for it.
	quietJob = fleet.QuietPrefix
	// maxRestartWrites is the most that a restart may write besides jobs and render pods, whatever the number of namespaces: the leader's label.
	maxRestartWrites = 10
	// pacedRate is the rate of jobs a second at which dispatch is measured.
	pacedRate = 50
)

// options of a measurement.
type options struct {
	sizes                          []int
	namespaces, pods, paced, floor int
	fileBytes, shards              int
	profile, bucket                bool
}

func main() {
	o := options{sizes: []int{1000, 5000, 10000}}
	flag.Func("jobs", "numbers of finished jobs at which to measure, separated by commas (default 1000,5000,10000)", o.setSizes)
	flag.IntVar(&o.namespaces, "namespaces", 200, "number of namespaces")
	flag.IntVar(&o.pods, "pods", 5, "render pods of each namespace")
	flag.IntVar(&o.paced, "paced", 500, "number of jobs at 50 a second, for each number of finished jobs")
	flag.IntVar(&o.floor, "floor", 500, "number of jobs of the bare client, for each number of finished jobs")
	flag.IntVar(&o.fileBytes, "file-bytes", 32<<10, "bytes of each rendered file")
	flag.BoolVar(&o.bucket, "bucket", false, "keep the files in an S3 bucket instead of a folder; its server runs in the benchmark's process")
	flag.IntVar(&o.shards, "shards", 1, "number of managers that lead side by side, each some of the namespaces; more than one implies -bucket")
	flag.BoolVar(&o.profile, "profile", true, "write CPU and heap profiles of the manager to .bench")
	flag.Parse()
	o.bucket = o.bucket || o.shards > 1
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	figures, err := run(ctx, o)
	stop()
	if err == nil {
		err = report.Write(os.Stdout, o.name(), figures)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// name returns the report's name.
func (o *options) name() string {
	switch {
	case o.shards > 1:
		return fmt.Sprintf("scale-shards-%d", o.shards)
	case o.bucket:
		return "scale-bucket"
	default:
		return "scale"
	}
}

func (o *options) setSizes(text string) (err error) {
	o.sizes = nil
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return fmt.Errorf("'%s' must be a positive number", part)
		}
		o.sizes = append(o.sizes, n)
	}
	slices.Sort(o.sizes)
	return nil
}

// bench is one world in which everything is measured.
type bench struct {
	options
	world   *fleet.World
	client  client.Client
	manager managers
	load    *load
	// store is the bucket's server, if there is one.
	store   *s3.Server
	figures []report.Figure
}

// run measures in a world of its own.
func run(ctx context.Context, o options) (figures []report.Figure, err error) {
	folder, err := os.MkdirTemp("", "platen-scale-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(folder)
		}
	}()
	world, err := fleet.New(ctx, folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, world.Stop()) }()
	kubeconfig, err := world.Kubeconfig("kubeconfig", world.Address())
	if err != nil {
		return nil, err
	}
	store, server := "file://"+filepath.Join(folder, "content"), (*s3.Server)(nil)
	if o.bucket {
		if server, err = s3.New(); err != nil {
			return nil, err
		}
		defer server.Close()
		for name, value := range s3.Credentials { // for the manager
			if err := os.Setenv(name, value); err != nil {
				return nil, err
			}
		}
		store = server.BucketURL()
	}
	pods := strconv.Itoa(o.pods)
	all := make(managers, o.shards)
	for i := range all {
		all[i], err = world.NewManager(ctx, fmt.Sprintf("platen-manager-%d", i), kubeconfig,
			"--content-store="+store, "--max-pods="+strconv.Itoa(o.pods*(o.namespaces+1)*o.shards), "--shards="+strconv.Itoa(o.shards),
			"--max-pods-per-namespace="+pods, "--pool-min-ready="+pods, "--idle-timeout=2h",
			"--leader-elect-lease-duration=5m", // a busy machine may keep the lease from being renewed
			// Managers in one place have different ports, and the policies of a namespace would change with its leader.
			"--network-policy="+strconv.FormatBool(o.shards == 1))
		if err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, all.Stop(syscall.SIGKILL)) }()
	world.Pods.File = content(o.fileBytes)
	b := &bench{options: o, world: world, client: world.Client, manager: all, store: server, load: &load{world: world, client: world.Client, pods: world.Pods, manager: all, namespaces: o.namespaces}}
	err = b.measure(ctx)
	return b.figures, err
}

// content returns bytes that do not compress.
func content(n int) []byte {
	data := make([]byte, n)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

func (b *bench) measure(ctx context.Context) error {
	model, err := b.begin(ctx)
	if err != nil {
		return err
	}
	finished := b.load.created
	for _, size := range b.sizes {
		if err := b.at(ctx, size, size-finished, model); err != nil {
			return fmt.Errorf("at %d jobs: %w", size, err)
		}
		finished = b.load.created
	}
	if err := b.restartIdle(ctx); err != nil {
		return err
	}
	return b.restart(ctx)
}

// begin starts the manager and the render pods. It returns a job that has finished.
func (b *bench) begin(ctx context.Context) (*platenv1alpha1.RenderJob, error) {
	if err := errors.Join(b.load.prepare(ctx), b.manager.Start()); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := b.load.create(ctx, b.namespaces); err != nil {
		return nil, err
	}
	if err := b.podsReady(ctx); err != nil {
		return nil, err
	}
	if err := b.load.finished(ctx); err != nil {
		return nil, err
	}
	fmt.Printf("%d render pods in %d namespaces after %.1f s\n", b.world.Pods.Running(), b.namespaces, time.Since(began).Seconds())
	model := &platenv1alpha1.RenderJob{}
	return model, b.client.Get(ctx, client.ObjectKey{Namespace: namespaceName(0), Name: "job-000000"}, model)
}

// podsReady returns once every namespace has its pods.
func (b *bench) podsReady(ctx context.Context) error {
	for b.world.Pods.Running() < b.pods*b.namespaces {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// at measures while the number of jobs grows to size by n.
func (b *bench) at(ctx context.Context, size, n int, model *platenv1alpha1.RenderJob) error {
	before, err := b.floorRate(ctx, model)
	if err != nil {
		return err
	}
	written := b.world.Pods.Writes()
	counted, err := b.world.Writes(ctx)
	if err != nil {
		return err
	}
	used, err := b.manager.CPU()
	if err != nil {
		return err
	}
	moved := b.moved()
	group, ended := errgroup.Group{}, make(chan struct{})
	if b.profile {
		group.Go(func() error { return b.profileUntil(ctx, size, ended) })
	}
	rate, err := b.load.burst(ctx, n)
	close(ended)
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	after, err := b.world.Writes(ctx)
	if err != nil {
		return err
	}
	spent, err := b.manager.CPU()
	if err != nil {
		return err
	}
	movedLater := b.moved()
	writes := -(b.world.Pods.Writes() - written)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if d := after[name] - counted[name]; d > 0 {
			fmt.Printf("  %6d %s\n", d, name)
			writes += d
		}
	}
	later, err := b.floorRate(ctx, model)
	if err != nil {
		return err
	}
	took, err := b.load.paced(ctx, b.paced, pacedRate)
	if err != nil {
		return err
	}
	memory, err := b.manager.Memory()
	if err != nil {
		return err
	}
	if b.profile {
		if err := b.manager.Save(ctx, "heap?gc=1", filepath.Join(".bench", fmt.Sprintf("scale-%d-heap.pprof", size))); err != nil {
			return err
		}
	}
	floor := (before + later) / 2
	last := size == b.sizes[len(b.sizes)-1]
	goal := func(text string) string {
		if last {
			return text
		}
		return ""
	}
	name := func(text string) string { return fmt.Sprintf("%s_%d", text, size) }
	add := func(name string, value float64, unit, goal string) {
		b.figures = append(b.figures, report.Figure{Name: name, Value: value, Unit: unit, Goal: goal})
	}
	b.figures = append(b.figures, report.Figure{Name: name("jobs_per_second"), Value: rate, Unit: "1/s", Goal: goal(">= 0.5x")}.Against(peer, floor))
	add(name("floor_per_second"), floor, "1/s", "")
	add(name("dispatch_p50_ms"), 1000*report.Percentile(took, 50), "ms", goal("<= 15"))
	add(name("dispatch_p99_ms"), 1000*report.Percentile(took, 99), "ms", goal("<= 80"))
	add(name("writes_per_job"), float64(writes)/float64(n), "1", "<= 3")
	add(name("manager_cpu_ms_per_job"), float64((spent-used).Microseconds())/1000/float64(n), "ms", "")
	if b.store != nil {
		for i, figure := range movedFigures {
			add(name(figure.name), (movedLater[i]-moved[i])/figure.divisor/float64(n), figure.unit, "")
		}
	}
	add(name("rss_mib"), memory.Resident, "MiB", goal("<= 120"))
	add(name("rss_anonymous_mib"), memory.Anonymous, "MiB", "")
	add(name("rss_peak_mib"), memory.Peak, "MiB", "")
	fmt.Printf("%d jobs: %.0f/s, floor %.0f and %.0f/s, %.0f MiB\n", size, rate, before, later, memory.Resident)
	return nil
}

// profileSeconds is the length of a CPU profile. One request for all of a burst would have to know how long it takes.
const profileSeconds = 5

// profileUntil writes CPU profiles of the manager, one after the other, until a burst has ended. "go tool pprof" reads all of them together.
func (b *bench) profileUntil(ctx context.Context, size int, ended <-chan struct{}) error {
	path := filepath.Join(".bench", fmt.Sprintf("scale-%d-cpu-", size))
	old, err := filepath.Glob(path + "*.pprof")
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for i := 0; ; i++ {
		select {
		case <-ended:
			return nil
		default:
		}
		if err := b.manager.Save(ctx, fmt.Sprintf("profile?seconds=%d", profileSeconds), fmt.Sprintf("%s%03d.pprof", path, i)); err != nil {
			return err
		}
	}
}

// movedFigures are what a job moves between the manager and the bucket.
var movedFigures = [...]struct {
	name, unit string
	divisor    float64
}{{"bucket_requests_per_job", "1", 1}, {"bucket_received_kib_per_job", "KiB", 1 << 10}, {"bucket_sent_kib_per_job", "KiB", 1 << 10}}

// moved returns what has been moved so far, in the order of movedFigures. It is 0 without a bucket.
func (b *bench) moved() (counts [len(movedFigures)]float64) {
	if b.store != nil {
		for i, n := range []int64{b.store.Requests.Load(), b.store.Received.Load(), b.store.Sent.Load()} {
			counts[i] = float64(n)
		}
	}
	return counts
}

// floorRate measures the floor, while the manager does not run. It returns once the manager leads and the render pods have come back to it.
func (b *bench) floorRate(ctx context.Context, model *platenv1alpha1.RenderJob) (perSecond float64, err error) {
	if b.floor == 0 {
		return 0, nil
	}
	open := b.world.Pods.Gate.Shut()
	if err := b.manager.Stop(syscall.SIGTERM); err != nil {
		return 0, err
	}
	perSecond, err = b.load.floor(ctx, b.floor, model)
	if err := errors.Join(err, b.manager.Start(), b.manager.Leads(ctx)); err != nil {
		return 0, err
	}
	open()
	for b.world.Pods.Polling() < b.pods*b.namespaces {
		if err := b.load.pause(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return perSecond, nil
}

// restartIdle counts what a restart writes to the API server until every namespace has rendered a job again, besides jobs and render pods.
func (b *bench) restartIdle(ctx context.Context) error {
	open := b.world.Pods.Gate.Shut()
	if err := b.manager.Stop(syscall.SIGTERM); err != nil {
		return err
	}
	before, err := b.world.Writes(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(b.manager.Start(), b.manager.Leads(ctx)); err != nil {
		return err
	}
	open()
	if err := errors.Join(b.load.create(ctx, b.namespaces), b.load.finished(ctx)); err != nil {
		return err
	}
	after, err := b.world.Writes(ctx)
	if err != nil {
		return err
	}
	writes := 0
	for _, name := range slices.Sorted(maps.Keys(after)) {
		d := after[name] - before[name]
		switch _, resource, _ := strings.Cut(name, " "); {
		case d == 0, strings.HasPrefix(resource, "renderjobs"), name == "POST pods", name == "DELETE pods", resource == "pods/status":
		default:
			fmt.Printf("  %6d %s, after a restart\n", d, name)
			writes += d
		}
	}
	b.figures = append(b.figures, report.Figure{Name: "restart_writes", Value: float64(writes), Unit: "1", Goal: fmt.Sprintf("<= %d", maxRestartWrites)})
	return nil
}

// restart kills the manager while as many jobs wait as b has measured at most, and measures how long after its next start a new job in another
// namespace has finished.
func (b *bench) restart(ctx context.Context) error {
	if err := parallel(ctx, b.namespaces, b.load.deleteAll); err != nil {
		return err
	}
	release := b.world.Pods.Hold()
	live := b.sizes[len(b.sizes)-1]
	quiet := b.load.namespaces - 1 // a namespace with idle pods
	b.load.namespaces--
	if err := b.load.create(ctx, live); err != nil {
		return err
	}
	for b.world.Pods.Holding() < min(live, b.load.namespaces*b.pods) {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	var took []time.Duration
	for range 3 {
		job := newJob(namespaceName(quiet), quietJob)
		if err := b.manager.Stop(syscall.SIGKILL); err != nil {
			return err
		}
		if err := errors.Join(b.client.Create(ctx, job), b.manager.Start()); err != nil {
			return err
		}
		began := time.Now()
		for !job.Finished() {
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return err
			}
			if err := b.client.Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
				return err
			}
		}
		took = append(took, time.Since(began))
		if err := b.client.Delete(ctx, job); err != nil {
			return err
		}
	}
	release()
	memory, err := b.manager.Memory()
	if err != nil {
		return err
	}
	if err := b.load.finished(ctx); err != nil {
		return err
	}
	b.figures = append(b.figures,
		report.Figure{Name: "restart_first_job_seconds", Value: report.Percentile(took, 50), Unit: "s", Goal: "<= 2"},
		report.Figure{Name: fmt.Sprintf("rss_live_mib_%d", live), Value: memory.Resident, Unit: "MiB"})
	return nil
}
