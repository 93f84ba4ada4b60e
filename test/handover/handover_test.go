// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package handover tests several replicas of the manager, as processes, against a real API server: what happens to renders and to new jobs when
// the leader stops, dies, or loses the API server.
package handover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/fleet"
)

const (
	// busy has more jobs than pods, changing has templates that change, and idle has a pod without a job.
	busy, changing, idle = "busy", "changing", "idle"
	// pods of each namespace.
	pods = 3
	// lease is the duration of the lease. The leader stops if a renewal takes two thirds of it, as it did on a busy machine with 3 s.
	lease = 10 * time.Second
	// sleep is longer than the intervals at which a leader acts.
	sleep = 12 * time.Second
	// timeout bounds each wait of a test.
	timeout = 90 * time.Second
)

// TestHandOver lets one replica after the other lead. Renders are in flight each time: none is begun again, whatever has become of its template,
// and a new job is served by the next leader.
func TestHandOver(t *testing.T) {
	w := newWorld(t)
	a, b := w.manager("platen-manager-a"), w.manager("platen-manager-b")
	w.start(a)
	w.leads(a)
	w.start(b)
	w.do(busy, "first")
	w.writesAs("platen-manager", busy, "first")
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
	w.fails(a)
	a.link.Heal()
	w.start(a)
	flight.land()
	w.leads(b)

	t.Log("the leader sleeps, and wakes up when another leads")
	w.handsOverAsleep(b, a)

	t.Log("a manager of another installation opens the content store")
	w.must(w.NewNamespace(t.Context(), "elsewhere"))
	other := w.manager("platen-manager-c", "--namespace=elsewhere")
	w.must(other.Start())
	err := other.Wait(timeout)
	if log, _ := os.ReadFile(other.Log); err == nil || errors.Is(err, fleet.ErrRunning) || !bytes.Contains(log, []byte("--content-store-take-over=")) {
		t.Errorf("it must end with an error that says what to do; it ended with %v:\n%s", err, log)
	}
}

// writesAs fails the test unless the status of a job belongs to a field manager, so that people know who has written it.
func (w *world) writesAs(manager, namespace, name string) {
	w.t.Helper()
	job := &platenv1alpha1.RenderJob{}
	w.must(w.Client.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, job))
	if !slices.ContainsFunc(job.ManagedFields, func(e metav1.ManagedFieldsEntry) bool { return e.Subresource == "status" && e.Manager == manager }) {
		w.t.Errorf("the status of %s/%s belongs to %+v, want %s", namespace, name, job.ManagedFields, manager)
	}
}

// handsOverAsleep pauses the leader for longer than its lease, and longer than anything that it does at an interval.
func (w *world) handsOverAsleep(from, to *replica) {
	w.t.Helper()
	flight := w.takeOff("asleep-" + from.Name)
	resume, err := from.Pause()
	w.must(err)
	served := slices.Clone(w.content)
	w.content = []string{to.Content()} // Services send nobody to a pod that is not ready
	began := time.Now()
	w.handOver(from, to, func() {})
	w.eventually("all that the leader does at an interval is due", func() (bool, error) { return time.Since(began) > sleep, nil })
	w.must(resume())
	w.content = served
	w.fails(from)
	w.do(idle, fleet.QuietPrefix+"-after-waking-of-"+from.Name)
	flight.renders++ // that one
	flight.land()
	w.leads(to)
}

// world has the managers of a test.
type world struct {
	*fleet.World
	t *testing.T
	// users is where users reach the content servers of all managers.
	users *httptest.Server
	// content are the addresses of these.
	content []string
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
	w.users = httptest.NewServer(http.StripPrefix("/files", &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "platen-content"}) },
		Transport: &http.Transport{DialContext: w.dialContent, DisableKeepAlives: true},
	}))
	t.Cleanup(w.users.Close)
	for _, namespace := range []string{busy, changing, idle} {
		w.must(f.NewNamespace(t.Context(), namespace))
	}
	w.must(w.Client.Create(t.Context(), template(busy, card.Name, "front")))
	w.must(w.Client.Create(t.Context(), template(idle, card.Name, "front")))
	return w
}

// template returns a template with a page of each name.
func template(namespace, name string, pages ...string) *platenv1alpha1.RenderTemplate {
	t := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, page := range pages {
		t.Spec.Pages = append(t.Spec.Pages, platenv1alpha1.TemplatePage{Name: page, Width: 1200, Height: 630, HTML: card.Page})
	}
	return t
}

// changes are what becomes of a template while its job is rendered, by the name of the template: one for each pod.
var changes = map[string]func(*world, *platenv1alpha1.RenderTemplate) error{
	"deleted": func(w *world, t *platenv1alpha1.RenderTemplate) error { return w.Client.Delete(w.t.Context(), t) },
	"edited": func(w *world, t *platenv1alpha1.RenderTemplate) error {
		t.Spec = template(changing, t.Name, "cover").Spec
		return w.Client.Update(w.t.Context(), t)
	},
	"refusing": func(w *world, t *platenv1alpha1.RenderTemplate) error {
		t.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "price", Required: new(true)}}
		return w.Client.Update(w.t.Context(), t)
	},
}

// dialContent connects to a content server that runs.
func (w *world) dialContent(ctx context.Context, network, _ string) (connection net.Conn, err error) {
	for _, address := range w.content {
		if connection, err = (&net.Dialer{}).DialContext(ctx, network, address); err == nil {
			return connection, nil
		}
	}
	return nil, err
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

// manager returns a replica that does not run yet. All share a content store. Its arguments override those of all.
func (w *world) manager(name string, arguments ...string) *replica {
	w.t.Helper()
	link, err := fleet.NewLink(w.Address())
	w.must(err)
	kubeconfig, err := w.Kubeconfig(name+".kubeconfig", link.Address())
	w.must(err)
	m, err := w.NewManager(w.t.Context(), name, kubeconfig, append([]string{
		"--content-store=file://" + filepath.Join(w.Folder, "content"), "--content-url=" + w.users.URL + "/files", "--leader-elect-lease-duration=" + lease.String(),
		fmt.Sprintf("--max-pods-per-namespace=%d", pods), fmt.Sprintf("--pool-min-ready=%d", pods), "--idle-timeout=1h",
	}, arguments...)...)
	w.must(err)
	w.t.Cleanup(func() {
		if log, err := os.ReadFile(m.Log); err == nil && w.t.Failed() {
			w.t.Logf("the log of %s:\n%s", name, log)
		}
		_ = m.Stop(syscall.SIGKILL) // it may have ended
		_ = link.Close()
	})
	w.content = append(w.content, m.Content())
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

// fails waits until a leader that has lost its lease has ended, which must be with an error.
func (w *world) fails(r *replica) {
	w.t.Helper()
	if err := r.Wait(timeout); err == nil || errors.Is(err, fleet.ErrRunning) {
		w.t.Errorf("a leader without its lease must exit with an error; it ended with %v", err)
	}
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
	w.create(namespace, name, card.Name)
	w.succeeded(namespace, name, 1)
}

func (w *world) create(namespace, name, template string) {
	w.t.Helper()
	w.must(w.Client.Create(w.t.Context(), &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: platenv1alpha1.RenderJobSpec{
			TemplateRef:   platenv1alpha1.TemplateReference{Name: template},
			Modifications: &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, `{"headline":%q}`, name)},
		},
	}))
}

// succeeded waits until a job has succeeded, and fetches its file as users do. The job must have taken one attempt, and have a number of pages.
func (w *world) succeeded(namespace, name string, pages int) {
	w.t.Helper()
	job := w.until(namespace, name, "finished", (*platenv1alpha1.RenderJob).Finished)
	if !meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.ReadyCondition) || ptr.Deref(job.Status.Attempts, 0) != 1 ||
		len(job.Status.Pages) != pages || int(ptr.Deref(job.Status.TotalPages, 0)) != pages || int(ptr.Deref(job.Status.RenderedPages, 0)) != pages {
		w.t.Fatalf("RenderJob %s: %+v", name, job.Status)
	}
	contentURL := job.Status.Pages[0].ContentURL
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, contentURL, http.NoBody)
	w.must(err)
	resp, err := http.DefaultClient.Do(request)
	w.must(err)
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	w.must(err)
	if !strings.HasPrefix(contentURL, w.users.URL+"/files/content/") || resp.StatusCode != http.StatusOK || !bytes.Equal(data, w.Pods.File) {
		w.t.Errorf("RenderJob %s: %s answers HTTP %d %q", name, contentURL, resp.StatusCode, data)
	}
}

// until waits until a condition is true of a job.
func (w *world) until(namespace, name, what string, condition func(*platenv1alpha1.RenderJob) bool) *platenv1alpha1.RenderJob {
	w.t.Helper()
	job := &platenv1alpha1.RenderJob{}
	w.eventually("RenderJob "+name+" is "+what, func() (bool, error) {
		err := w.Client.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, job)
		return condition(job), err
	})
	return job
}

// flight has jobs of which some are rendering and others wait.
type flight struct {
	*world
	names []string
	// changed are the jobs whose templates have changed since.
	changed []string
	renders int
	release func()
}

// takeOff creates more jobs than there are pods in one namespace, and as many as there are pods in another, whose renders end only with land.
// Then it changes the templates of the latter.
func (w *world) takeOff(name string) *flight {
	w.t.Helper()
	f := &flight{world: w, renders: w.Pods.Rendered(), release: w.Pods.Hold()}
	for i := range 2 * pods {
		f.names = append(f.names, fmt.Sprintf("%s-%d", name, i))
		w.create(busy, f.names[i], card.Name)
	}
	templates := map[string]*platenv1alpha1.RenderTemplate{}
	for change := range changes {
		job := name + "-" + change
		f.changed = append(f.changed, job)
		templates[change] = template(changing, job, "front", "back")
		w.must(w.Client.Create(w.t.Context(), templates[change]))
		w.create(changing, job, job)
	}
	w.eventually("all pods render", func() (bool, error) { return w.Pods.Holding() == pods+len(changes), nil })
	for change, template := range templates {
		w.until(changing, template.Name, "rendering", func(job *platenv1alpha1.RenderJob) bool { return ptr.Deref(job.Status.Attempts, 0) == 1 })
		w.must(w.Client.Get(w.t.Context(), client.ObjectKeyFromObject(template), template))
		w.must(changes[change](w, template))
	}
	return f
}

// land lets the renders end. Each job must have succeeded with one attempt, and must have been rendered once.
func (f *flight) land() {
	f.t.Helper()
	if n := f.Pods.Holding(); n != pods+len(changes) {
		f.t.Errorf("%d of %d renders have survived", n, pods+len(changes))
	}
	f.release()
	for _, name := range f.names {
		f.succeeded(busy, name, 1)
	}
	for _, name := range f.changed {
		f.succeeded(changing, name, 2)
	}
	if n, want := f.Pods.Rendered()-f.renders, len(f.names)+len(f.changed)+1; n != want { // and the new job
		f.t.Errorf("%d jobs took %d renders", want, n)
	}
}
