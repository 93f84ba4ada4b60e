// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

//go:debug randseednop=0

package model

import (
	"cmp"
	"context"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/test/testenv"
)

const (
	// idleTimeout of render pods.
	idleTimeout = 30 * time.Second
	// sweepInterval and sweepGrace of the content store.
	sweepInterval, sweepGrace = time.Minute, 3 * time.Minute
	// verifyInterval of storage connections.
	verifyInterval = 5 * time.Minute
	// maxPatience is how long after the last fault every job must have ended.
	maxPatience = 10 * time.Minute
)

// result of a run.
type result struct {
	jobs, effects int
	// writes of status, the most for one job, and requests to the API server.
	writes, mostWrites, requests int
	// changes are the requests that change an object, of any kind.
	changes int
	plan    plan
	broken  []string
	trace   []string
	// events is the number of watch events of each kind, and final the state of each job and file at the end.
	events map[string]int
	final  map[string]string
	// outcomes has the Ready condition and the attempts of each job.
	outcomes map[string]string
	virtual  time.Duration
}

// workload is what users do in a run.
type workload struct {
	namespaces, jobs, pages, connections int
	maxPods                              int
	// backoffLimit of the jobs; random if nil.
	backoffLimit *int32
	// within is the time in which the jobs are created.
	within time.Duration
	// edits is the probability that a job is changed, canceled, suspended or deleted.
	edits float64
	// templates and pools are true if the templates and the RenderPools of the namespaces change during the run, cached if jobs get what others
	// have rendered, and verified if the controller of StorageConnections runs.
	templates, pools, cached, verified bool
	// retained is true if the files of every other job outlive it, and edits change that.
	retained bool
	// reconnects is true if the connections of the namespaces change: their credentials, folders and policies, and whether they exist.
	reconnects bool
}

// firstWhole is the first seed whose workload may have all of it: what the seeds before it do stays as it was.
const firstWhole = 30000

func randomWorkload(seed uint64) workload {
	r := randv2.New(randv2.NewPCG(seed, 2))
	load := workload{
		namespaces: 1 + r.IntN(2), jobs: 2 + r.IntN(7), pages: 1 + r.IntN(3), connections: r.IntN(3), maxPods: 1 + r.IntN(3),
		within: time.Duration(r.IntN(20)) * time.Second, edits: []float64{0, 0, 0, 0.5}[r.IntN(4)],
	}
	if seed >= firstWhole {
		for _, may := range []*bool{&load.templates, &load.pools, &load.cached, &load.verified} {
			*may = r.IntN(3) == 0
		}
		load.retained = seed%7 == 0 // what the regressions do stays as it was
	}
	return load
}

// simulate runs a workload under a plan in a bubble of virtual time, and returns which invariants it breaks.
func simulate(t *testing.T, seed uint64, load workload, p plan) (r result) {
	t.Helper()
	v, err := validators()
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	rand.Seed(int64(seed)) //nolint:staticcheck // the jitter of package wait draws from the global source
	synctest.Test(t, func(*testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		w := &world{seed: seed, plan: p, begin: time.Now(), scheme: scheme, seen: map[string]int{}, maxPods: load.maxPods, take: make(chan string, 1),
			cached: load.cached, verified: load.verified, retained: load.retained, reconnects: load.reconnects}
		w.api = newAPIServer(w, v)
		w.node = &node{w: w, ctx: ctx, pods: map[types.UID]*pod{}, ends: map[string][]end{}, renders: map[string]int{}, names: map[string]string{}}
		w.bucket = &bucket{w: w, objects: map[string]object{}, manifests: map[string][]string{}}
		w.account = &account{w: w, files: map[string]*uploaded{}, uploading: map[string]int{}}
		w.run(ctx, load, &r)
		stop()
		for _, p := range w.processes {
			p.kill()
			p.tasks.Wait()
		}
		w.node.tasks.Wait()
		r.plan, r.jobs, r.effects, r.broken, r.trace, r.virtual = p, load.jobs, w.effects, w.broken, w.lines, w.elapsed()
	})
	return r
}

// run is what happens in a run.
func (w *world) run(ctx context.Context, load workload, r *result) {
	w.prepare(load)
	ctx, stop := context.WithCancel(ctx)
	var users sync.WaitGroup
	users.Go(func() { w.keepLeader(ctx) })
	users.Go(func() { w.use(ctx, load) })
	users.Go(func() { w.disturb(ctx) })
	if !load.verified {
		users.Go(func() { w.verify(ctx) })
	}
	changed := make(chan struct{})
	users.Go(func() {
		defer close(changed)
		w.change(ctx, load)
	})
	defer users.Wait()
	defer stop()
	w.untilFinished(ctx, load, changed)
	w.check(load)
	r.final, r.events, r.outcomes = w.final(load), w.events(), map[string]string{}
	for i := range load.jobs {
		if job := w.job(load.jobKey(i)); job != nil {
			ready := cmp.Or(meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition), &metav1.Condition{})
			r.outcomes[job.Name] = fmt.Sprintf("Ready=%s %s attempts=%d", ready.Status, ready.Reason, ptr.Deref(job.Status.Attempts, 0))
		}
	}
	w.count(r)
	w.cleanUp(ctx)
}

// prepare creates what users have before they render.
func (w *world) prepare(load workload) {
	for n := range load.namespaces {
		namespace := fmt.Sprintf("ns-%d", n)
		w.must(w.api.create(&platenv1alpha1.RenderTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "banner"}, Spec: platenv1alpha1.RenderTemplateSpec{Pages: pages(load.pages)},
		}))
		for i := range load.connections {
			name := fmt.Sprintf("dropbox-%d", i)
			w.must(w.api.create(&corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{platenv1alpha1.CredentialsLabel: "true"}},
				Data:       map[string][]byte{"appKey": []byte(namespace + "." + name), "refreshToken": []byte("token")},
			}))
			status := connectionStatus(1)
			if load.verified {
				status = platenv1alpha1.StorageConnectionStatus{}
			}
			w.must(w.api.create(&platenv1alpha1.StorageConnection{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
				Status:     status,
				Spec: platenv1alpha1.StorageConnectionSpec{
					Provider: platenv1alpha1.ProviderDropbox,
					Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: name}},
				},
			}))
		}
	}
}

// pages returns pages of a template.
func pages(n int) (list []platenv1alpha1.TemplatePage) {
	for i := range n {
		list = append(list, platenv1alpha1.TemplatePage{Name: fmt.Sprintf("page-%d", i+1), Width: 100, Height: 100, HTML: "<h1>Hello</h1>"})
	}
	return list
}

func (w *world) must(err error) {
	if err != nil {
		w.violate("the model works", "%v", err)
	}
}

// jobKey returns the key of a job by its number.
func (l workload) jobKey(number int) types.NamespacedName {
	return types.NamespacedName{Namespace: fmt.Sprintf("ns-%d", number%l.namespaces), Name: fmt.Sprintf("job-%d", number)}
}

// use creates the jobs, and edits them if the workload says so.
func (w *world) use(ctx context.Context, load workload) {
	delays := make([]time.Duration, load.jobs)
	for i := range delays {
		delays[i] = w.between("job", time.Millisecond, time.Millisecond+load.within)
	}
	slices.Sort(delays)
	var edits sync.WaitGroup
	defer edits.Wait()
	for i, delay := range delays {
		if sleep(ctx, time.Until(w.begin.Add(delay))) != nil {
			return
		}
		key, limit := load.jobKey(i), int32(w.random("backoffLimit").IntN(3))
		w.trace("job %s is created", key)
		job := &platenv1alpha1.RenderJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
			Spec: platenv1alpha1.RenderJobSpec{
				TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}, TimeoutSeconds: 30, UploadTimeoutSeconds: 60,
				BackoffLimit: new(ptr.Deref(load.backoffLimit, limit)),
			},
		}
		if load.reconnects && i%2 == 0 {
			for n := range load.connections {
				job.Spec.Connections = append(job.Spec.Connections, platenv1alpha1.JobConnection{
					Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Name: new(fmt.Sprintf("dropbox-%d", n)),
				})
			}
		}
		if load.retained && i%2 == 0 {
			job.Spec.ContentPolicy = platenv1alpha1.ContentRetain
		}
		w.must(w.api.create(job))
		if w.random("edits").Float64() < load.edits {
			edits.Go(func() { w.edit(ctx, key) })
		}
	}
}

// edit changes a job as users do.
func (w *world) edit(ctx context.Context, key types.NamespacedName) {
	change := func(what string, change func(*platenv1alpha1.RenderJob)) {
		if sleep(ctx, w.between("edit of "+key.Name, 0, 20*time.Second)) != nil {
			return
		}
		w.trace("%s: %s", key, what)
		_ = w.api.update("RenderJob", key, func(o client.Object) {
			if job, ok := o.(*platenv1alpha1.RenderJob); ok {
				change(job)
			}
		})
	}
	for range 1 + w.random("edits of "+key.Name).IntN(3) {
		if w.retained {
			change("another content policy", func(job *platenv1alpha1.RenderJob) {
				if job.Spec.ContentPolicy == platenv1alpha1.ContentRetain {
					job.Spec.ContentPolicy = platenv1alpha1.ContentDelete
				} else {
					job.Spec.ContentPolicy = platenv1alpha1.ContentRetain
				}
			})
		}
		switch n := w.random("edit of " + key.Name); n.IntN(5) {
		case 0:
			change("another picture", func(job *platenv1alpha1.RenderJob) {
				job.Spec.Modifications = &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, `{"page-1.color":"#%06x"}`, n.IntN(1<<24))}
			})
		case 1:
			change("another destination", func(job *platenv1alpha1.RenderJob) {
				job.Spec.Output.FileName = platenv1alpha1.FileName(fmt.Sprintf("%s-v%d", job.Name, n.IntN(100)))
			})
		case 2:
			change("another timeout", func(job *platenv1alpha1.RenderJob) { job.Spec.UploadTimeoutSeconds++ })
		case 3:
			change("suspended", func(job *platenv1alpha1.RenderJob) { job.Spec.Suspend = new(true) })
			change("resumed", func(job *platenv1alpha1.RenderJob) { job.Spec.Suspend = new(false) })
		default:
			if sleep(ctx, w.between("deletion of "+key.Name, 0, 20*time.Second)) != nil {
				return
			}
			w.trace("%s: deleted", key)
			_ = w.api.remove("RenderJob", key, "")
			return
		}
	}
}

// change changes what the jobs of the namespaces depend on, as the workload says. In the end, each template can be rendered.
func (w *world) change(ctx context.Context, load workload) {
	var changes sync.WaitGroup
	defer changes.Wait()
	for n := range load.namespaces {
		namespace := fmt.Sprintf("ns-%d", n)
		if load.templates {
			changes.Go(func() { w.changeTemplate(ctx, namespace, load.pages) })
		}
		if load.pools {
			changes.Go(func() { w.changePool(ctx, namespace) })
		}
		for i := 0; load.reconnects && i < load.connections; i++ {
			changes.Go(func() {
				w.changeConnection(ctx, types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("dropbox-%d", i)})
			})
		}
	}
}

func (w *world) changeTemplate(ctx context.Context, namespace string, usual int) {
	key := types.NamespacedName{Namespace: namespace, Name: "banner"}
	update := func(change func(*platenv1alpha1.RenderTemplateSpec)) {
		w.turn(namespace)
		w.must(w.api.update("RenderTemplate", key, func(o client.Object) {
			if t, ok := o.(*platenv1alpha1.RenderTemplate); ok {
				change(&t.Spec)
			}
		}))
	}
	wait := func() bool { return sleep(ctx, w.between("change of "+namespace, 0, 15*time.Second)) == nil }
	for i := range 1 + w.random("changes of "+namespace).IntN(5) {
		if !wait() {
			return
		}
		switch r := w.random("change of the template of " + namespace); r.IntN(4) {
		case 0:
			w.trace("%s: other words in the template", key)
			update(func(s *platenv1alpha1.RenderTemplateSpec) { s.Pages[0].HTML = fmt.Sprintf("<h1>Hello %d</h1>", i) })
		case 1:
			n := 1 + r.IntN(usual+1)
			w.trace("%s: %d pages in the template", key, n)
			update(func(s *platenv1alpha1.RenderTemplateSpec) { s.Pages = pages(n) })
		case 2:
			w.trace("%s: the template asks for more", key)
			update(func(s *platenv1alpha1.RenderTemplateSpec) {
				s.Parameters = []platenv1alpha1.Parameter{{Name: "price", Required: new(true)}}
			})
			stopped := !wait()
			w.trace("%s: the template asks for nothing", key)
			update(func(s *platenv1alpha1.RenderTemplateSpec) { s.Parameters = nil })
			if stopped {
				return
			}
		default:
			w.trace("%s: the template is deleted", key)
			last := w.api.get("RenderTemplate", key)
			w.turn(namespace)
			w.must(w.api.remove("RenderTemplate", key, ""))
			stopped := !wait()
			w.trace("%s: the template is there again", key)
			w.turn(namespace)
			last.SetResourceVersion("")
			w.must(w.api.create(last))
			if stopped {
				return
			}
		}
	}
}

func (w *world) changePool(ctx context.Context, namespace string) {
	key := types.NamespacedName{Namespace: namespace, Name: platenv1alpha1.RenderPoolName}
	for range 1 + w.random("changes of the pool of "+namespace).IntN(4) {
		if sleep(ctx, w.between("change of the pool of "+namespace, 0, 20*time.Second)) != nil {
			return
		}
		r := w.random("RenderPool of " + namespace)
		spec := platenv1alpha1.RenderPoolSpec{Max: int32(1 + r.IntN(4)), Weight: int32(1 + r.IntN(3)), IdleTimeoutSeconds: int32(5 + r.IntN(60))}
		if r.IntN(2) == 0 {
			spec.MinReady = new(int32(r.IntN(int(spec.Max) + 1)))
		}
		if r.IntN(3) == 0 {
			spec.Isolation = platenv1alpha1.IsolationPod
		}
		if r.IntN(3) == 0 {
			spec.RendersPerPod = int32(1 + r.IntN(3))
		}
		if r.IntN(3) == 0 {
			spec.PodTemplate.Labels = map[string]platenv1alpha1.LabelValue{"team": platenv1alpha1.LabelValue(strconv.Itoa(r.IntN(3)))}
		}
		w.turn(namespace)
		switch exists := w.api.get("RenderPool", key) != nil; {
		case !exists:
			w.trace("%s: a RenderPool: %+v", key, spec)
			w.must(w.api.create(&platenv1alpha1.RenderPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: key.Name}, Spec: spec}))
		case r.IntN(4) == 0:
			w.trace("%s: the RenderPool is deleted", key)
			w.must(w.api.remove("RenderPool", key, ""))
		default:
			w.trace("%s: another RenderPool: %+v", key, spec)
			w.must(w.api.update("RenderPool", key, func(o client.Object) {
				if p, ok := o.(*platenv1alpha1.RenderPool); ok {
					p.Spec = spec
				}
			}))
		}
	}
}

// changeConnection changes a connection and its Secret as users do. In the end, it works.
func (w *world) changeConnection(ctx context.Context, key types.NamespacedName) {
	var connection, secret client.Object
	update := func(change func(*platenv1alpha1.StorageConnectionSpec)) {
		w.must(w.api.update("StorageConnection", key, func(o client.Object) {
			if c, ok := o.(*platenv1alpha1.StorageConnection); ok {
				change(&c.Spec)
			}
		}))
	}
	again := func(o client.Object) {
		o.SetResourceVersion("")
		if c, ok := o.(*platenv1alpha1.StorageConnection); ok {
			c.Status = platenv1alpha1.StorageConnectionStatus{}
		}
		w.must(w.api.create(o))
	}
	wait := func() bool { return sleep(ctx, w.between("change of "+key.String(), 0, 8*time.Second)) == nil }
	for i := range 2 + w.random("changes of "+key.String()).IntN(6) {
		if !wait() {
			return
		}
		switch r := w.random("change of connection " + key.String()); r.IntN(5) {
		case 0:
			w.trace("%s: another account", key)
			w.must(w.api.update("Secret", key, func(o client.Object) {
				if s, ok := o.(*corev1.Secret); ok {
					s.Data["appKey"] = fmt.Appendf(nil, "%s.%s.%d", key.Namespace, key.Name, i)
				}
			}))
		case 1:
			w.trace("%s: another folder", key)
			update(func(s *platenv1alpha1.StorageConnectionSpec) {
				s.DefaultFolder = platenv1alpha1.FolderPath(fmt.Sprintf("/Other/%d", i))
			})
		case 2:
			w.trace("%s: disabled", key)
			update(func(s *platenv1alpha1.StorageConnectionSpec) { s.UploadPolicy = platenv1alpha1.UploadDisabled })
			stopped := !wait()
			w.trace("%s: automatic", key)
			update(func(s *platenv1alpha1.StorageConnectionSpec) { s.UploadPolicy = platenv1alpha1.UploadAutomatic })
			if stopped {
				return
			}
		case 3:
			w.trace("%s: the Secret is deleted", key)
			secret = w.api.get("Secret", key)
			w.must(w.api.remove("Secret", key, ""))
			stopped := !wait()
			w.trace("%s: the Secret is there again", key)
			again(secret)
			if stopped {
				return
			}
		default:
			w.trace("%s: deleted", key)
			connection = w.api.get("StorageConnection", key)
			w.must(w.api.remove("StorageConnection", key, ""))
			stopped := !wait()
			w.trace("%s: there again", key)
			again(connection)
			if stopped {
				return
			}
		}
	}
}

// disturb drains the node, evicts pods and wipes the store, as the plan says.
func (w *world) disturb(ctx context.Context) {
	if w.plan.wipe > 0 {
		go func() {
			if sleep(ctx, w.plan.wipe) == nil {
				w.bucket.wipe()
			}
		}()
	}
	for sleep(ctx, w.between("disturbance", 5*time.Second, 15*time.Second)) == nil && w.faulty() {
		pods := w.api.list("Pod")
		slices.SortFunc(pods, byName)
		if len(pods) == 0 {
			continue
		}
		switch {
		case w.happens(w.plan.drain, "drain"):
			w.trace("the node is drained")
			for _, pod := range pods {
				_ = w.node.terminate(client.ObjectKeyFromObject(pod), pod.GetUID(), "EvictionByEvictionAPI")
			}
		case w.happens(w.plan.evict, "evict"):
			pod := pods[w.random("evicted").IntN(len(pods))]
			w.trace("%s is preempted", w.alias(pod.GetName()))
			_ = w.node.terminate(client.ObjectKeyFromObject(pod), pod.GetUID(), corev1.PodReasonPreemptionByScheduler)
		}
	}
}

// verify stands for the controller of StorageConnections: it sets a connection Ready again once its token is no longer revoked.
func (w *world) verify(ctx context.Context) {
	if w.plan.revoked == 0 || sleep(ctx, w.plan.revoked+time.Second) != nil {
		return
	}
	for _, o := range w.api.list("StorageConnection") {
		_ = w.api.update("StorageConnection", client.ObjectKeyFromObject(o), func(o client.Object) {
			if c, ok := o.(*platenv1alpha1.StorageConnection); ok {
				c.Status = connectionStatus(2)
			}
		})
	}
}

// connectionStatus is the status of a connection that has become Ready count times.
func connectionStatus(count int64) platenv1alpha1.StorageConnectionStatus {
	return platenv1alpha1.StorageConnectionStatus{
		ObservedGeneration: new(int64(1)), ReadyCount: new(count), DefaultFolder: "/Renders",
		Conditions: []metav1.Condition{{
			Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: platenv1alpha1.SucceededReason,
			ObservedGeneration: 1, LastTransitionTime: metav1.Now(),
		}},
	}
}

// keepLeader starts the manager, and again after each kill and each hand-over.
func (w *world) keepLeader(ctx context.Context) {
	for ctx.Err() == nil {
		p, err := w.start()
		if err != nil {
			w.violate("the manager starts", "%v", err)
			return
		}
		for ctx.Err() == nil && !p.isDead() {
			mode := ""
			timer := time.NewTimer(w.between("term", 5*time.Second, 15*time.Second))
			select {
			case <-timer.C:
				switch {
				case w.happens(w.plan.twoLeaders, "two leaders"):
					mode = usurp
				case w.happens(w.plan.handOvers, "hand-over"):
					mode = handOver
				}
			case mode = <-w.take:
			case <-p.ctx.Done():
			case <-ctx.Done():
			}
			timer.Stop()
			if mode == "" {
				continue
			}
			w.trace("%s hands over: %s", p, mode)
			old, alive := p, w.between("two leaders", time.Second, 10*time.Second)
			if mode == handOver {
				alive = 0
			}
			old.tasks.Go(func() {
				_ = sleep(old.ctx, alive)
				old.kill()
			})
			if p, err = w.start(); err != nil {
				w.violate("the manager starts", "%v", err)
				return
			}
		}
		if sleep(ctx, w.between("restart", time.Second, 8*time.Second)) != nil {
			return
		}
	}
}

// leading returns the process that serves render pods, nil if there is none.
func (w *world) leading() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leader == nil || w.leader.isDead() {
		return nil
	}
	return w.leader
}

// untilFinished waits until every job has ended, or until patience is over.
func (w *world) untilFinished(ctx context.Context, load workload, changed <-chan struct{}) {
	select {
	case <-changed:
	case <-ctx.Done():
	}
	for time.Since(w.begin) < w.plan.faultsUntil+cmp.Or(w.plan.patience, maxPatience) {
		if sleep(ctx, time.Second) != nil {
			return
		}
		if w.elapsed() > max(load.within, w.plan.revoked) && len(w.unfinished(load)) == 0 {
			return
		}
	}
}

// unfinished returns the jobs that have not ended.
func (w *world) unfinished(load workload) (keys []types.NamespacedName) {
	for i := range load.jobs {
		key := load.jobKey(i)
		job := w.job(key)
		if job == nil && w.elapsed() <= load.within || job != nil && (!job.Finished() || !job.Observed() || w.mustRetry(job)) {
			keys = append(keys, key)
		}
	}
	return keys
}

// mustRetry reports whether a finished job has a failed upload that the manager must repeat.
func (w *world) mustRetry(job *platenv1alpha1.RenderJob) bool {
	return (w.plan.revoked > 0 || w.reconnects) && w.plan.wipe == 0 && slices.ContainsFunc(job.Status.Connections, func(c platenv1alpha1.JobConnectionStatus) bool {
		reason := storage.Reason(c.Reason)
		// Whoever switches a connection on again asks for the uploads, too.
		ofConnection := w.reconnects && reason.Fault() != storage.FaultOfFile && reason != storage.ReasonDisabled
		return c.Status == platenv1alpha1.UploadError && (reason == storage.ReasonTokenExpired || ofConnection)
	})
}

// count counts the requests to the API server.
func (w *world) count(r *result) {
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	for _, writes := range w.api.writes {
		r.writes += len(writes)
		r.mostWrites = max(r.mostWrites, len(writes))
	}
	for what, n := range w.api.calls {
		r.requests += n
		if verb, kind, _ := strings.Cut(what, " "); (verb == "create" || verb == "delete" || verb == "patch") && kind != "TokenReview" && kind != "Event" {
			r.changes += n
		}
	}
}

// events returns the number of watch events of each kind.
func (w *world) events() map[string]int {
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	events := map[string]int{}
	for name, k := range w.api.kinds {
		if len(k.watchers) > 0 {
			events[name] = len(k.log)
		}
	}
	return events
}

// final returns what users see of each job and each file, without times and hashes.
func (w *world) final(load workload) map[string]string {
	final := map[string]string{}
	for i := range load.jobs {
		key := load.jobKey(i)
		job := w.job(key)
		if job == nil {
			continue
		}
		var said []string
		for _, c := range job.Status.Conditions {
			said = append(said, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
		}
		slices.Sort(said)
		w.node.mu.Lock()
		renders := w.node.renders[job.Name] // a hand-over must keep a render that runs
		w.node.mu.Unlock()
		final[key.String()] = fmt.Sprintf("%v pages=%d attempts=%d renders=%d", said, len(job.Status.Pages), ptr.Deref(job.Status.Attempts, 0), renders)
	}
	w.account.mu.Lock()
	defer w.account.mu.Unlock()
	for path, f := range w.account.files {
		final[path] = fmt.Sprintf("%d revisions", len(f.revisions))
	}
	return final
}

// job returns a job, nil if it does not exist.
func (w *world) job(key types.NamespacedName) *platenv1alpha1.RenderJob {
	job, _ := w.api.get("RenderJob", key).(*platenv1alpha1.RenderJob)
	return job
}

// cleanUp deletes the jobs and checks that nothing of them stays.
func (w *world) cleanUp(ctx context.Context) {
	for _, o := range w.api.list("RenderJob") {
		w.must(w.api.remove("RenderJob", client.ObjectKeyFromObject(o), ""))
	}
	for _, o := range w.api.list("RenderPool") {
		w.must(w.api.remove("RenderPool", client.ObjectKeyFromObject(o), ""))
	}
	_ = sleep(ctx, sweepGrace+3*sweepInterval)
	w.checkEmpty()
}

// alias replaces what is random in a name: that of a pod, and UIDs.
func (w *world) alias(name string) string {
	w.node.mu.Lock()
	defer w.node.mu.Unlock()
	if alias := w.node.names[name]; alias != "" {
		return alias
	}
	return strings.ReplaceAll(name, fmt.Sprintf("%08x-0000-4000-8000-", w.seed), "uid-")
}
