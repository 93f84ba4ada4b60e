// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package handover tests several replicas of the manager, as processes, against a real API server: what happens to renders and to new jobs when
// the leader stops, dies, or loses the API server.
package handover

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/fleet"
)

const (
	// busy has more jobs than pods, and idle a pod without a job.
	busy, idle = "busy", "idle"
	// pods of each namespace.
	pods = 2
	// lease is the duration of the lease.
	lease = 3 * time.Second
	// timeout bounds each wait of a test.
	timeout = 90 * time.Second
)

// TestHandOver lets one replica after the other lead. Renders are in flight each time: none is begun again, and a new job is served by the next
// leader.
func TestHandOver(t *testing.T) {
	w := newWorld(t)
	a, b := w.manager("platen-manager-a"), w.manager("platen-manager-b")
	w.start(a)
	w.leads(a)
	w.start(b)
	w.do(busy, "first")
	w.do(idle, fleet.QuietPrefix+"-first")

	t.Log("the leader stops")
	flight := w.takeOff("stopped")
	took := w.handOver(a, b, func() { w.stop(a, syscall.SIGTERM) })
	flight.land()
	if took > lease {
		t.Errorf("after a graceful stop, a new job took %s: the next leader seems to have waited for the lease", took)
	}

	t.Log("the leader is killed")
	w.start(a)
	flight = w.takeOff("killed")
	w.handOver(b, a, func() { w.stop(b, syscall.SIGKILL) })
	flight.land()

	t.Log("the leader loses the API server")
	w.start(b)
	flight = w.takeOff("cut")
	w.handOver(a, b, func() { a.link.Cut() })
	if err := a.Wait(timeout); err == nil {
		t.Error("a leader that lost its lease must exit with an error")
	}
	a.link.Heal()
	w.start(a)
	flight.land()
	w.leads(b)
}

// world has the managers of a test.
type world struct {
	*fleet.World
	t *testing.T
}

// replica is a manager with a link of its own to the API server.
type replica struct {
	*fleet.Manager
	link *fleet.Link
}

func newWorld(t *testing.T) *world {
	t.Helper()
	f, err := fleet.New(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	f.Pods.File = []byte("a picture")
	w := &world{World: f, t: t}
	for _, namespace := range []string{busy, idle} {
		w.must(f.NewNamespace(t.Context(), namespace))
		w.must(f.Client.Create(t.Context(), &platenv1alpha1.RenderTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: card.Name},
			Spec:       platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 1200, Height: 630, HTML: card.Page}}},
		}))
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits for a condition.
func (w *world) eventually(what string, condition func() (bool, error)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), timeout)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		done, err := condition()
		w.must(err)
		if done {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("after %s still not: %s", timeout, what)
		case <-ticker.C:
		}
	}
}

// manager returns a replica that does not run yet. All share a content store.
func (w *world) manager(name string) *replica {
	w.t.Helper()
	link, err := fleet.NewLink(w.Address())
	w.must(err)
	kubeconfig, err := w.Kubeconfig(name+".kubeconfig", link.Address())
	w.must(err)
	m, err := w.NewManager(w.t.Context(), name, kubeconfig,
		"--content-store=file://"+filepath.Join(w.Folder, "content"), "--leader-elect-lease-duration="+lease.String(),
		fmt.Sprintf("--max-pods-per-namespace=%d", pods), fmt.Sprintf("--pool-min-ready=%d", pods), "--idle-timeout=1h")
	w.must(err)
	w.t.Cleanup(func() {
		if log, err := os.ReadFile(m.Log); err == nil && w.t.Failed() {
			w.t.Logf("the log of %s:\n%s", name, log)
		}
		_ = m.Stop(syscall.SIGKILL) // it may have ended
		_ = link.Close()
	})
	return &replica{Manager: m, link: link}
}

func (w *world) start(r *replica) {
	w.t.Helper()
	w.must(r.Start())
	w.must(r.Ready(w.t.Context()))
}

func (w *world) stop(r *replica, signal syscall.Signal) {
	w.t.Helper()
	w.must(r.Stop(signal))
}

// leads waits until a replica is the only one that render pods reach.
func (w *world) leads(r *replica) {
	w.t.Helper()
	w.eventually(r.Name+" leads", func() (bool, error) { return slices.Equal(w.Pods.Leaders(), []string{r.Name}), nil })
}

// handOver does what ends the rule of a replica, and returns how long a job that is created then takes.
func (w *world) handOver(from, to *replica, end func()) time.Duration {
	w.t.Helper()
	end()
	began := time.Now()
	w.do(idle, fmt.Sprintf("%s-after-%s-%d", fleet.QuietPrefix, from.Name, began.UnixNano()))
	took := time.Since(began)
	w.t.Logf("a job that was created then took %.1f s", took.Seconds())
	w.leads(to)
	return took
}

// do creates a job and waits until it has succeeded.
func (w *world) do(namespace, name string) {
	w.t.Helper()
	w.create(namespace, name)
	w.succeeded(namespace, name)
}

func (w *world) create(namespace, name string) {
	w.t.Helper()
	w.must(w.Client.Create(w.t.Context(), &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: platenv1alpha1.RenderJobSpec{
			TemplateRef:   platenv1alpha1.TemplateReference{Name: card.Name},
			Modifications: &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, `{"headline":%q}`, name)},
		},
	}))
}

// succeeded waits until a job has succeeded, with one attempt.
func (w *world) succeeded(namespace, name string) {
	w.t.Helper()
	job := &platenv1alpha1.RenderJob{}
	w.eventually("RenderJob "+name+" has finished", func() (bool, error) {
		err := w.Client.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, job)
		return job.Finished(), err
	})
	if !meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.ReadyCondition) || job.Status.Attempts == nil || *job.Status.Attempts != 1 {
		w.t.Errorf("RenderJob %s: %+v", name, job.Status)
	}
}

// flight has jobs of which some are rendering and others wait.
type flight struct {
	*world
	names   []string
	renders int
	release func()
}

// takeOff creates more jobs than there are pods, whose renders end only with land.
func (w *world) takeOff(name string) *flight {
	w.t.Helper()
	f := &flight{world: w, renders: w.Pods.Rendered(), release: w.Pods.Hold()}
	for i := range 2 * pods {
		f.names = append(f.names, fmt.Sprintf("%s-%d", name, i))
		w.create(busy, f.names[i])
	}
	w.eventually("all pods render", func() (bool, error) { return w.Pods.Holding() == pods, nil })
	return f
}

// land lets the renders end. Each job must have succeeded with one attempt, and must have been rendered once.
func (f *flight) land() {
	f.t.Helper()
	if n := f.Pods.Holding(); n != pods {
		f.t.Errorf("%d of %d renders have survived", n, pods)
	}
	f.release()
	for _, name := range f.names {
		f.succeeded(busy, name)
	}
	if n := f.Pods.Rendered() - f.renders; n != len(f.names)+1 { // and the new job
		f.t.Errorf("%d jobs took %d renders", len(f.names)+1, n)
	}
}
