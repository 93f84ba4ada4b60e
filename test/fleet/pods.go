// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/controllers/renderpool"
	dispatch "github.com/platen-dev/platen/internal/dispatch/client"
	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/podspec"
	"github.com/platen-dev/platen/internal/render"
)

// Pods is the kubelet and the containers of all render pods. Their renderer emits the same bytes for every file.
type Pods struct {
	// File has the bytes that every file is rendered to.
	File []byte
	// Before is called before each render, if it is not nil, with the pod. Its error is that of the render.
	Before func(context.Context, *corev1.Pod) error
	// Gate keeps pods from calling a manager that does not run: the retries would take the CPU of what is measured.
	Gate Gate

	client client.WithWatch
	// folder for the pods' tokens.
	folder string
	// hold makes renders wait until it is closed; nil lets them end at once.
	hold                                        atomic.Pointer[chan struct{}]
	running, polling, writes, rendered, holding atomic.Int64
	starting                                    sync.WaitGroup

	mu sync.Mutex
	// taken has when pods have received jobs, by the value of their headline.
	taken map[string]time.Time
	// leaders has the managers whose pods have the leader's label, by the pod's name.
	leaders map[string]leader
}

// leader is a manager that render pods reach.
type leader struct {
	// address of its dispatch server, and the shard that it leads; empty for none.
	address, shard string
}

// Running returns the number of pods that run.
func (p *Pods) Running() int { return int(p.running.Load()) }

// Polling returns the number of pods that have asked a manager for a task and wait for the answer.
func (p *Pods) Polling() int { return int(p.polling.Load()) }

// Writes returns how many API writes the kubelet would have made.
func (p *Pods) Writes() int { return int(p.writes.Load()) }

// Rendered returns how many renders have ended.
func (p *Pods) Rendered() int { return int(p.rendered.Load()) }

// Holding returns how many renders Hold holds.
func (p *Pods) Holding() int { return int(p.holding.Load()) }

// Hold makes renders wait until release is called, except of jobs whose headline begins with QuietPrefix.
func (p *Pods) Hold() (release func()) {
	hold := make(chan struct{})
	p.hold.Store(&hold)
	return func() {
		p.hold.Store(nil)
		close(hold)
	}
}

// QuietPrefix begins the headlines of jobs that Hold does not hold.
const QuietPrefix = "quiet"

// run runs the render pods that the managers create, until ctx ends.
func (p *Pods) run(ctx context.Context) {
	defer p.starting.Wait()
	stops := map[string]context.CancelFunc{}
	watchAll(ctx, p.client, renderpool.Selector, func(e watch.EventType, pod *corev1.Pod) {
		key := string(pod.UID)
		switch {
		case e == watch.Deleted && stops[key] != nil:
			stops[key]()
			delete(stops, key)
		case e == watch.Added && stops[key] == nil:
			ctx, stop := context.WithCancel(ctx)
			stops[key] = stop
			p.starting.Go(func() {
				defer stop()
				if err := p.start(ctx, pod); err != nil && ctx.Err() == nil {
					fmt.Fprintln(os.Stderr, "render pod", pod.Name+":", err)
				}
			})
		}
	})
}

// followManagers keeps leaders up to date until ctx ends.
func (p *Pods) followManagers(ctx context.Context) {
	watchAll(ctx, p.client, client.InNamespace(ManagerNamespace), func(e watch.EventType, pod *corev1.Pod) {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.leaders, pod.Name)
		if e != watch.Deleted && pod.Labels[roleLabel] == roleLeader {
			p.leaders[pod.Name] = leader{pod.Annotations[addressAnnotation], pod.Labels[shardLabel]}
		}
	})
}

// watchAll calls f for each change of pods until ctx ends.
func watchAll(ctx context.Context, c client.WithWatch, which client.ListOption, f func(watch.EventType, *corev1.Pod)) {
	for ctx.Err() == nil {
		pods, err := c.Watch(ctx, &corev1.PodList{}, which)
		if err != nil {
			continue // the API server does not run yet, or not any more
		}
		for e := range pods.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok {
				f(e.Type, pod)
			}
		}
	}
}

// Leaders returns the names of the managers' pods that have the leader's label.
func (p *Pods) Leaders() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.leaders))
}

// Shards returns the names of the managers' pods that have the leader's label, by the shards that they lead.
func (p *Pods) Shards() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	shards := map[string]string{}
	for name, l := range p.leaders {
		shards[l.shard] = name
	}
	return shards
}

// dial connects to one of the leaders, as the Service platen-dispatch does, or to that of a shard, as the Service of the shard does.
func (p *Pods) dial(ctx context.Context, network, address string) (net.Conn, error) {
	service, _, _ := strings.Cut(address, ".")
	shard := strings.TrimPrefix(strings.TrimPrefix(service, "platen-dispatch"), "-")
	var addresses []string
	p.mu.Lock()
	for _, l := range p.leaders {
		if shard == "" || l.shard == shard {
			addresses = append(addresses, l.address)
		}
	}
	p.mu.Unlock()
	if len(addresses) == 0 {
		return nil, fmt.Errorf("no manager is behind the Service %s", service)
	}
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addresses[rand.IntN(len(addresses))])
}

// start does what kubelet and container do: it gets the pod's token, says that the pod runs, renders, and says that the pod has ended.
func (p *Pods) start(ctx context.Context, pod *corev1.Pod) error {
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{podspec.Audience}, ExpirationSeconds: new(int64(24 * 3600)),
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name = pod.Namespace, "default"
	if err := p.client.SubResource("token").Create(ctx, account, token); err != nil {
		return fmt.Errorf("requesting a token: %w", err)
	}
	path := filepath.Join(p.folder, string(pod.UID))
	if err := os.WriteFile(path, []byte(token.Status.Token), 0o600); err != nil {
		return err
	}
	if err := p.phase(ctx, pod, corev1.PodRunning); err != nil {
		return err
	}
	transport, err := p.transport(pod)
	if err != nil {
		return err
	}
	c, err := dispatch.New(dispatch.Options{
		URL: env(pod, "PLATEN_DISPATCH_URL"), TokenFile: path, Renderer: renderer{p, pod}, Logger: slog.New(slog.DiscardHandler), GoneTimeout: time.Hour,
		Transport: transport,
	})
	if err != nil {
		return err
	}
	p.running.Add(1)
	err = c.Run(ctx)
	p.running.Add(-1)
	return errors.Join(err, p.phase(context.WithoutCancel(ctx), pod, corev1.PodSucceeded))
}

// phase writes the phase of a pod.
func (p *Pods) phase(ctx context.Context, pod *corev1.Pod, phase corev1.PodPhase) error {
	p.writes.Add(1)
	err := p.client.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{"phase":%q}}`, phase)))
	return client.IgnoreNotFound(err)
}

// transport returns a transport to the manager like that of a render pod.
func (p *Pods) transport(pod *corev1.Pod) (http.RoundTripper, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(env(pod, "PLATEN_DISPATCH_CA"))) {
		return nil, errors.New("the pod has no certificate of the dispatch server's authority")
	}
	return &gated{Gate: &p.Gate, polling: &p.polling, RoundTripper: &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		DialContext:           p.dial,
		ResponseHeaderTimeout: wire.PollPatience + 15*time.Second, IdleConnTimeout: wire.PollTimeout, MaxIdleConnsPerHost: 4,
		ReadBufferSize: 2 << 10, WriteBufferSize: 2 << 10,
	}}, nil
}

func env(pod *corev1.Pod, name string) string {
	for _, e := range pod.Spec.Containers[0].Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// renderer is the renderer of a pod.
type renderer struct {
	*Pods
	pod *corev1.Pod
}

// Render implements render.Renderer.
func (r renderer) Render(ctx context.Context, task render.Task, sink render.Sink) ([]render.Warning, error) {
	if r.Before != nil {
		if err := r.Before(ctx, r.pod); err != nil {
			return nil, err
		}
	}
	return r.render(ctx, task, sink)
}

// render emits the files of a task.
func (p *Pods) render(ctx context.Context, task render.Task, sink render.Sink) ([]render.Warning, error) {
	headline, _ := task.Modifications["headline"].(string)
	p.mu.Lock()
	p.taken[headline] = time.Now()
	p.mu.Unlock()
	if hold := p.hold.Load(); hold != nil && !strings.HasPrefix(headline, QuietPrefix) {
		p.holding.Add(1)
		defer p.holding.Add(-1)
		select {
		case <-*hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for _, out := range task.Files() {
		out.Width, out.Height = 1200, 630
		if err := sink.Emit(ctx, out, p.File); err != nil {
			return nil, err
		}
	}
	p.rendered.Add(1)
	return nil, nil
}

// TakenAt returns when a pod has received a job.
func (p *Pods) TakenAt(headline string) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.taken[headline]
	return at, ok
}

// Gate lets requests through while it is open. Its zero value is open.
type Gate struct {
	mu   sync.Mutex
	open chan struct{}
}

// Shut closes the gate. It returns a function that opens it.
func (g *Gate) Shut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := make(chan struct{})
	g.open = shut
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.open = nil
		close(shut)
	}
}

// wait returns once the gate is open.
func (g *Gate) wait(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open == nil {
		return nil
	}
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gated sends requests while the gate is open.
type gated struct {
	*Gate
	http.RoundTripper
	// polling counts the polls that have been sent and not answered.
	polling *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (g *gated) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.wait(r.Context()); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(r.URL.Path, "/poll") {
		return g.RoundTripper.RoundTrip(r)
	}
	sent := sync.OnceFunc(func() { g.polling.Add(1) })
	defer func() {
		sent()
		g.polling.Add(-1)
	}()
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent() }}
	return g.RoundTripper.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

var _ render.Renderer = renderer{}
