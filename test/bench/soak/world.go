// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/renderpool"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/fleet"
)

const (
	// ttl is how many seconds a job is kept. An upload that failed has that long to be repeated.
	ttl = 45
	// inFlight is how many jobs wait, render or upload at a time.
	inFlight = 300
	// settleTimeout bounds the wait until nothing is left to do.
	settleTimeout = 5 * time.Minute
	// jobTimeout bounds the wait for a job.
	jobTimeout = 3 * time.Minute
)

// world is a cluster with a manager and a Dropbox, and what has been seen of its jobs.
type world struct {
	options
	*fleet.World
	manager *fleet.Manager
	content string
	dropbox *dropboxsim.Server
	server  *httptest.Server
	created int
	failed  atomic.Int64 // faults that were injected

	mu     sync.Mutex
	random *rand.Rand
	wrong  []string
}

func newWorld(ctx context.Context, o options) (w *world, err error) {
	folder, err := os.MkdirTemp("", "platen-soak-")
	if err != nil {
		return nil, err
	}
	w = &world{options: o, content: filepath.Join(folder, "content"), dropbox: dropboxsim.New(), random: rand.New(rand.NewPCG(o.seed, 0))}
	if w.World, err = fleet.New(ctx, folder); err != nil {
		return nil, err
	}
	w.server = httptest.NewServer(http.HandlerFunc(w.serveDropbox))
	w.Pods.File = make([]byte, 4<<10)
	w.Pods.Before = w.beforeRender
	if err := w.begin(ctx); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

// begin starts the manager and prepares the namespaces.
func (w *world) begin(ctx context.Context) error {
	kubeconfig, err := w.Kubeconfig("kubeconfig", w.Address())
	if err != nil {
		return err
	}
	w.manager, err = w.NewManager(ctx, "platen-manager-0", kubeconfig,
		"--content-store=file://"+w.content, "--content-sweep-interval=5s", "--dropbox-api-url="+w.server.URL, "--dropbox-content-url="+w.server.URL,
		"--max-pods="+strconv.Itoa(w.pods*w.namespaces), "--max-pods-per-namespace="+strconv.Itoa(w.pods), "--idle-timeout=5s")
	if err != nil {
		return err
	}
	if err := errors.Join(w.manager.Start(), w.manager.Leads(ctx)); err != nil {
		return err
	}
	for i := range w.namespaces {
		in := metav1.ObjectMeta{Namespace: namespaceName(i), Name: card.Name}
		secret := in
		secret.Labels = map[string]string{platenv1alpha1.CredentialsLabel: "true"}
		w.dropbox.AddAccount(dropboxsim.Account{AppKey: in.Namespace, RefreshToken: "refresh", Email: "soak@example.com", DisplayName: "Soak"})
		err := errors.Join(
			w.NewNamespace(ctx, in.Namespace),
			w.Client.Create(ctx, &corev1.Secret{ObjectMeta: secret, StringData: map[string]string{"appKey": in.Namespace, "refreshToken": "refresh"}}),
			w.Client.Create(ctx, &platenv1alpha1.StorageConnection{ObjectMeta: in, Spec: platenv1alpha1.StorageConnectionSpec{
				Provider: platenv1alpha1.ProviderDropbox,
				Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: card.Name}},
			}}),
			w.Client.Create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: in, Spec: platenv1alpha1.RenderTemplateSpec{
				Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 1200, Height: 630, HTML: card.Page}},
			}}),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// stop ends the manager and the servers.
func (w *world) stop() error {
	var err error
	if w.manager != nil {
		err = w.manager.Stop(syscall.SIGKILL)
	}
	w.server.Close()
	return errors.Join(err, w.Stop(), os.RemoveAll(w.Folder))
}

func namespaceName(i int) string { return fmt.Sprintf("soak-%02d", i) }

// unlucky reports whether a fault is due, and returns a number for its kind.
func (w *world) unlucky() (kind int, yes bool) {
	if w.oneIn == 0 {
		return 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.random.IntN(w.oneIn) > 0 {
		return 0, false
	}
	w.failed.Add(1)
	return w.random.IntN(4), true
}

func (w *world) faults() int { return int(w.failed.Load()) }

// beforeRender lets one in so many renders crash, and kills the pod of another one.
func (w *world) beforeRender(ctx context.Context, pod *corev1.Pod) error {
	if _, yes := w.unlucky(); yes {
		return &render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser crashed"}
	}
	if _, yes := w.unlucky(); yes {
		return errors.Join(context.Canceled, w.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)))
	}
	return nil
}

// serveDropbox lets one in so many calls fail: as a busy Dropbox, as one that is ill, and by connections that break before and after a call.
func (w *world) serveDropbox(answer http.ResponseWriter, r *http.Request) {
	kind, yes := w.unlucky()
	if !yes {
		w.dropbox.ServeHTTP(answer, r)
		return
	}
	switch kind {
	case 0:
		answer.Header().Set("Retry-After", "1")
		answer.Header().Set("Content-Type", "application/json")
		answer.WriteHeader(http.StatusTooManyRequests)
		_, _ = answer.Write([]byte(`{"error_summary": "too_many_requests/..", "error": {"reason": {".tag": "too_many_requests"}, "retry_after": 1}}`))
	case 1:
		http.Error(answer, "unavailable", http.StatusServiceUnavailable)
	case 2:
		panic(http.ErrAbortHandler)
	default:
		w.dropbox.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
}

// do creates n jobs, some at a time, and waits until each has finished and is gone.
func (w *world) do(ctx context.Context, n int) error {
	first := w.created
	w.created += n
	group, jobs := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for i := range n {
		group.Go(func() error { return w.job(jobs, first+i) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return w.settle(ctx)
}

func name(i int) string { return fmt.Sprintf("job-%06d", i) }

// job creates a job and waits until it has finished.
func (w *world) job(ctx context.Context, i int) error {
	job := &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceName(i % w.namespaces), Name: name(i)},
		Spec: platenv1alpha1.RenderJobSpec{
			TemplateRef: platenv1alpha1.TemplateReference{Name: card.Name}, Cache: platenv1alpha1.CacheDisabled,
			Modifications: &apiextensionsv1.JSON{Raw: fmt.Appendf(nil, `{"headline":%q}`, name(i))},
			Output:        platenv1alpha1.OutputSpec{FileName: platenv1alpha1.FileName(name(i))}, TTLSecondsAfterFinished: new(int32(ttl)),
			BackoffLimit: new(int32(10)),
		},
	}
	if err := w.Client.Create(ctx, job); err != nil {
		return err
	}
	deadline, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	watcher, err := w.Client.Watch(deadline, &platenv1alpha1.RenderJobList{}, client.InNamespace(job.Namespace), client.MatchingFields{"metadata.name": job.Name})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for e := range watcher.ResultChan() {
		seen, ok := e.Object.(*platenv1alpha1.RenderJob)
		if ok && seen.Finished() {
			return nil
		}
	}
	w.report("%s has not finished", job.Name)
	return ctx.Err()
}

func (w *world) report(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *world) problems() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong
}

// settle waits until there are no jobs, render pods and files.
func (w *world) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		jobs, pods := &platenv1alpha1.RenderJobList{}, &corev1.PodList{}
		if err := errors.Join(w.Client.List(ctx, jobs), w.Client.List(ctx, pods, renderpool.Selector)); err != nil {
			return err
		}
		files, err := w.files()
		if err != nil {
			return err
		}
		if len(jobs.Items)+len(pods.Items)+files == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d jobs, %d render pods and %d files are left: %w", len(jobs.Items), len(pods.Items), files, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// files counts the files of the content store, without the one that says whose it is.
func (w *world) files() (n int, err error) {
	owner := filepath.Join(w.content, "owner")
	err = filepath.WalkDir(w.content, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && path != owner {
			n++
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		return err
	})
	return n, err
}

// delivered counts the jobs whose file is not in Dropbox, and those whose file was written there more than once.
func (w *world) delivered() (lost, doubled int) {
	commits := map[string]int{}
	for i := range w.namespaces {
		for _, f := range w.dropbox.Files(namespaceName(i)) {
			commits[strings.TrimSuffix(filepath.Base(f.Path), filepath.Ext(f.Path))] += f.Commits
		}
	}
	for i := range w.created {
		switch n := commits[name(i)]; {
		case n == 0:
			lost++
			w.report("%s is not in Dropbox", name(i))
		case n > 1:
			doubled++
			w.report("%s was written %d times", name(i), n)
		}
	}
	return lost, doubled
}

// left is what is left when nothing is left to do.
type left struct {
	Goroutines, Descriptors, Files, Objects int
	// MiB of memory that the manager has of its own, after a garbage collection, and EtcdMiB of etcd's database, after its compaction.
	MiB, EtcdMiB float64
}

func (w *world) measure(ctx context.Context) (left, error) {
	// Events are kept for an hour, whatever they are about.
	if err := w.Client.DeleteAllOf(ctx, &eventsv1.Event{}); err != nil && !apierrors.IsMethodNotSupported(err) {
		for i := range w.namespaces {
			if err := w.Client.DeleteAllOf(ctx, &eventsv1.Event{}, client.InNamespace(namespaceName(i))); err != nil {
				return left{}, err
			}
		}
	}
	var l left
	goroutines, err1 := w.manager.Goroutines(ctx)
	descriptors, err2 := w.manager.Descriptors()
	memory, err3 := w.manager.MemoryAfterCollection(ctx)
	etcd, err4 := w.EtcdSize(ctx)
	files, err5 := w.files()
	objects, err6 := w.objects(ctx)
	l = left{Goroutines: goroutines, Descriptors: descriptors, Files: files, Objects: objects, MiB: memory.Anonymous, EtcdMiB: etcd}
	return l, errors.Join(err1, err2, err3, err4, err5, err6)
}

// objects counts what Platen may have created.
func (w *world) objects(ctx context.Context) (n int, err error) {
	for _, list := range []client.ObjectList{&corev1.PodList{}, &corev1.SecretList{}, &corev1.ConfigMapList{}, &platenv1alpha1.RenderJobList{}, &platenv1alpha1.RenderPoolList{}} {
		if err := w.Client.List(ctx, list); err != nil {
			return 0, err
		}
		n += meta.LenList(list)
	}
	return n, nil
}
