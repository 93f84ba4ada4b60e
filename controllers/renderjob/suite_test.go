// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/renderjob"
	"github.com/platen-dev/platen/controllers/storageconnection"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/rendercache"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/internal/storage/uploader"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/test/testenv"
)

// The reconciler runs against a real API server, next to the reconciler of StorageConnections. There is no kubelet: the specs do what render pods do.
var (
	api         client.Client
	renderPool  *pool.Pool
	renderCache *rendercache.Cache
	reconciler  *renderjob.Reconciler
	store       *content.Store
	sim         *dropboxsim.Server
	jobsChanged *reconcile.Changes
	deleted     = &sweeps{}
	writes      = &writeCounter{of: map[string]int{}}
	logged      = &logLines{}
)

func TestRenderJob(t *testing.T) {
	log.SetLogger(GinkgoLogr)
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "The RenderJob reconciler")
}

var _ = BeforeSuite(func() {
	config, stopServers, err := testenv.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(stopServers)
	scheme, err := testenv.Scheme()
	Expect(err).NotTo(HaveOccurred())
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	store, err = content.Open(context.Background(), "mem://", content.Options{})
	Expect(err).NotTo(HaveOccurred())
	sim = dropboxsim.New()
	service := httptest.NewServer(sim)
	DeferCleanup(service.Close)

	ctx, stop := context.WithCancel(context.Background())
	counted := rest.CopyConfig(config)
	counted.Wrap(writes.wrap)
	mgr, err := ctrl.NewManager(counted, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Logger: funcr.NewJSON(logged.add, funcr.Options{Verbosity: 5}),
	})
	Expect(err).NotTo(HaveOccurred())
	jobs := &reconcile.Changes{}
	jobsChanged = jobs
	renderPool = pool.New(pool.Options{
		Now: time.Now, RetryDelay: time.Millisecond, AdoptionGrace: time.Nanosecond, JobChanged: jobs.Changed, NamespaceChanged: func(string) {},
	})
	uploads := uploader.New(uploader.Options{Parallel: 4, Retry: storage.DefaultRetryPolicy, Changed: jobs.Changed, Observer: metrics.Uploads{}})
	connector := connect.New(connect.Options{
		Credentials: credentials.Reader{Reader: api},
		Openers: map[platenv1alpha1.ProviderType]connect.Opener{
			platenv1alpha1.ProviderDropbox: connect.Dropbox(dropbox.Config{APIURL: service.URL, ContentURL: service.URL}),
			platenv1alpha1.ProviderS3: func(context.Context, platenv1alpha1.StorageConnectionSpec, credentials.Redacted) (storage.Provider, error) {
				return nil, &storage.Error{Class: storage.Retry, Reason: storage.ReasonUnreachable, Message: "The bucket could not be reached"}
			},
		},
	})
	Expect((&storageconnection.Reconciler{
		Client: mgr.GetClient(), Connector: connector, Recorder: mgr.GetEventRecorder("platen"), Clock: clock.RealClock{},
		Interval: time.Hour,
	}).SetupWithManager(mgr)).To(Succeed())
	renderCache = rendercache.New(rendercache.Options{
		Store: store, Renderer: "test", MaxAge: time.Hour, MaxBytes: 1 << 20, Interval: time.Hour, Now: time.Now, Wake: jobs.Changed, Observer: metrics.Cache{}, Log: logr.Discard(),
	})
	reconciler = &renderjob.Reconciler{
		Client: mgr.GetClient(), Reader: api, Fonts: fonts.New(fonts.Options{Reader: api}), Limits: task.DefaultLimits, Pool: renderPool, Arrivals: nothing{}, Store: store,
		Signer: content.NewSigner([]byte("key"), "http://content.test", time.Hour), Uploader: uploads, Connector: connector,
		Recorder: mgr.GetEventRecorder("platen"), Clock: clock.RealClock{}, Sweeper: deleted, Cache: renderCache,
	}
	Expect(reconciler.SetupWithManager(mgr, jobs)).To(Succeed())
	Expect(mgr.Add(uploads)).To(Succeed())
	Expect(mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			renderPool.Expire()
		}
		return nil
	}))).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		stop()
		Eventually(ended).WithTimeout(30 * time.Second).Should(Receive(Succeed()))
	})
	// The specs begin once the manager has reconciled a job.
	first := job("default", "first")
	Expect(api.Create(ctx, first)).To(Succeed())
	Eventually(func() (bool, error) {
		err := api.Get(ctx, client.ObjectKeyFromObject(first), first)
		return first.Observed(), err
	}).WithTimeout(30 * time.Second).Should(BeTrue())
})

// nothing is an Arrivals without files.
type nothing struct{}

func (nothing) Files(string) []file.File { return nil }

// sweeps is a Sweeper that remembers what it was asked.
type sweeps struct{ gone, superseded sync.Map }

func (s *sweeps) Deleted(namespace string, uid types.UID) {
	s.gone.Store(namespace+"/"+string(uid), true)
}

func (s *sweeps) Superseded(job types.NamespacedName, uid types.UID) {
	s.superseded.Store(job.Namespace+"/"+string(uid), true)
}

// writeCounter counts the manager's writes by their URL path.
type writeCounter struct {
	mu sync.Mutex
	of map[string]int
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (w *writeCounter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodGet {
			w.mu.Lock()
			w.of[r.URL.Path]++
			w.mu.Unlock()
		}
		return next.RoundTrip(r)
	})
}

// to returns how often a job and its status have been written.
func (w *writeCounter) to(job *platenv1alpha1.RenderJob) (total int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, n := range w.of {
		if strings.Contains(path, "/namespaces/"+job.Namespace+"/renderjobs/"+job.Name) {
			total += n
		}
	}
	return total
}

// logLines holds every line that the manager has logged, in JSON.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	GinkgoWriter.Println(line)
}

func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// about returns the messages about a job at the default log level, in order.
func (l *logLines) about(job *platenv1alpha1.RenderJob) (messages []string) {
	GinkgoHelper()
	for _, line := range l.all() {
		var fields struct {
			Level                       int `json:"level"`
			Msg, Namespace, Name, Error string
			UID                         types.UID
		}
		Expect(json.Unmarshal([]byte(line), &fields)).To(Succeed())
		if fields.Level == 0 && fields.Error == "" && fields.Namespace == job.Namespace && fields.Name == job.Name && fields.UID != "" {
			Expect(fields.UID).To(Equal(job.UID))
			messages = append(messages, fields.Msg)
		}
	}
	return messages
}

// workspace creates a namespace that no other spec uses.
func workspace(ctx SpecContext) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "workspace-"}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

func banner(namespace string) *platenv1alpha1.RenderTemplate {
	return &platenv1alpha1.RenderTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "banner"},
		Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{
			{Name: "front", Width: 100, Height: 50, HTML: `<p data-param="headline">`}, {Name: "back", Width: 100, Height: 50, HTML: "<p>back</p>"},
		}},
	}
}

func job(namespace, name string) *platenv1alpha1.RenderJob {
	return &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}},
	}
}

// pod is a render pod: it has taken a task.
type pod struct {
	id   pool.PodID
	task *pool.Assignment
}

// take launches a pod for a namespace, or uses the idle one, and gives it the next task.
func take(ctx SpecContext, namespace string, idle ...*pod) *pod {
	GinkgoHelper()
	if len(idle) > 0 {
		waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		next, err := renderPool.Next(waiting, idle[0].id)
		Expect(err).NotTo(HaveOccurred())
		Expect(next).NotTo(BeNil(), "there is no task")
		return &pod{idle[0].id, next}
	}
	var launches []pool.Launch
	Eventually(func() []pool.Launch { launches = renderPool.Decide(namespace).Launch; return launches }).Should(HaveLen(1))
	id := pool.PodID{Namespace: namespace, Name: launches[0].PodName, UID: types.UID("pod-" + launches[0].PodName)}
	renderPool.Launched(namespace, launches[0], id.UID, nil)
	return take(ctx, namespace, &pod{id: id})
}

// deliver stores the task's files, as dispatch does with the files that a pod sends, and reports the end. They are not repeatable.
func (p *pod) deliver(ctx SpecContext) { p.store(ctx, false) }

func (p *pod) store(ctx SpecContext, repeatable bool) {
	GinkgoHelper()
	p.commit(ctx, repeatable)
	Expect(renderPool.Finish(p.id, p.task.TaskID, nil)).To(Succeed())
}

// commit stores the task's files, and returns what the store has of the render.
func (p *pod) commit(ctx SpecContext, repeatable bool) []content.Object {
	GinkgoHelper()
	ref := content.Ref{Namespace: p.id.Namespace, JobUID: string(p.task.UID), Revision: p.task.Revision}
	manifest := content.Manifest{Attempt: p.task.Attempt, Attempts: p.task.Attempts, RenderedTime: time.Now(), PodName: p.id.Name, TotalPages: p.task.TotalPages, RenderedPages: p.task.Pages}
	work, plan, err := reconciler.Task(ctx, p.task.Key, p.task.UID, p.task.Revision)
	Expect(err).NotTo(HaveOccurred())
	for _, f := range work.Files() {
		data := p.task.TaskID + " page " + work.Pages[0].HTML
		f.Width, f.Height = 100, 50
		stored, err := store.Put(ctx, ref, p.task.Attempt, f, strings.NewReader(data), 1<<20)
		Expect(err).NotTo(HaveOccurred())
		manifest.Files = append(manifest.Files, stored)
	}
	_, err = store.PutManifest(ctx, ref, manifest)
	Expect(err).NotTo(HaveOccurred())
	if plan.CacheKey != "" {
		renderCache.Save(ctx, content.CacheKey{Namespace: p.id.Namespace, Task: plan.CacheKey}, ref, manifest, repeatable)
	}
	objects, err := store.Objects(ctx, ref)
	Expect(err).NotTo(HaveOccurred())
	return objects
}

func (p *pod) fail(failure *render.Error) {
	GinkgoHelper()
	Expect(renderPool.Finish(p.id, p.task.TaskID, failure)).To(Succeed())
}
