// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderpool_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/platen-dev/platen/controllers/renderpool"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/test/testenv"
)

const (
	// maxPods of one namespace.
	maxPods = 2
	// idleTimeout is long enough for a spec to take a task, and short enough to wait for.
	idleTimeout = 3 * time.Second
)

// The reconciler runs against a real API server. There is no kubelet: the specs write the status of pods.
var (
	api        client.Client
	renderPool *pool.Pool
	// creates has how many pods the reconciler has tried to create, by namespace.
	creates sync.Map // string → *atomic.Int64
)

// guard is a client that remembers for which pods it was asked to keep the NetworkPolicy of their namespace.
type guard struct {
	client.WithWatch
	pods sync.Map // string → *corev1.Pod
}

var (
	guarded  *guard
	recorder *told
)

// Ensure implements renderpool.Guard.
func (g *guard) Ensure(_ context.Context, pod *corev1.Pod) error {
	g.pods.Store(pod.Namespace, pod)
	return nil
}

// last returns the pod of the last call for a namespace, nil for none.
func (g *guard) last(namespace string) *corev1.Pod {
	pod, _ := g.pods.Load(namespace)
	last, _ := pod.(*corev1.Pod)
	return last
}

// told remembers the events of each namespace, each with its reason and its text.
type told struct {
	mu    sync.Mutex
	lines map[string][]string
}

// Eventf implements events.EventRecorder.
func (r *told) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	object, _ := regarding.(client.Object)
	if r.lines == nil {
		r.lines = map[string][]string{}
	}
	r.lines[object.GetNamespace()] = append(r.lines[object.GetNamespace()], kind+" "+reason+" "+fmt.Sprintf(note, args...))
}

// of returns the events of a namespace.
func (r *told) of(namespace string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines[namespace])
}

func TestRenderPool(t *testing.T) {
	log.SetLogger(GinkgoLogr)
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "The reconciler of render pods")
}

var _ = BeforeSuite(func() {
	environment, err := testenv.New()
	Expect(err).NotTo(HaveOccurred())
	// A pod may have a token only where the API server gives it a service account.
	environment.ControlPlane.GetAPIServer().Configure().Disable("disable-admission-plugins")
	config, err := environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	scheme, err := testenv.Scheme()
	Expect(err).NotTo(HaveOccurred())
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	changed := &reconcile.Changes{}
	renderPool = pool.New(pool.Options{
		Defaults: pool.Settings{Max: maxPods, IdleTimeout: idleTimeout}, Now: time.Now, RetryDelay: time.Millisecond, AdoptionGrace: time.Millisecond,
		JobChanged:       func(types.NamespacedName) {},
		NamespaceChanged: func(name string) { changed.Changed(renderpool.Request(name)) },
	})
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	Expect(err).NotTo(HaveOccurred())
	// counted counts the pods that the reconciler tries to create.
	counted, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Cache: &client.CacheOptions{Reader: mgr.GetCache()}})
	Expect(err).NotTo(HaveOccurred())
	counted = interceptor.NewClient(counted, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			count, _ := creates.LoadOrStore(object.GetNamespace(), &atomic.Int64{})
			count.(*atomic.Int64).Add(1) //nolint:forcetypeassert // stored above
			return c.Create(ctx, object, options...)
		},
	})
	guarded = &guard{WithWatch: counted}
	recorder = &told{}
	var allow outbound.Prefixes
	Expect(allow.Set("10.1.0.0/16")).To(Succeed())
	Expect((&renderpool.Reconciler{
		Client: guarded, Live: api, Pool: renderPool, Changed: changed, SigningKeys: func() [][]byte { return [][]byte{[]byte("a key of the tests")} },
		Defaults: pool.Settings{Max: maxPods, IdleTimeout: idleTimeout}, OutboundAllow: allow, Recorder: recorder, Clock: clock.RealClock{},
		PodConfig: func() podspec.Config {
			return podspec.Config{
				Image: "renderer:test", DispatchURL: "https://dispatch.test", DispatchCA: "ca",
				CPU: resource.MustParse("100m"), Memory: resource.MustParse("128Mi"), MemoryLimit: resource.MustParse("1Gi"),
			}
		},
	}).SetupWithManager(mgr)).To(Succeed())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		stop()
		Eventually(ended).WithTimeout(30 * time.Second).Should(Receive(Succeed()))
	})
})
