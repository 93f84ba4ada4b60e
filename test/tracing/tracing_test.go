// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tracing tests the trace of a job over all processes: the shim and the manager as they are, and the dispatch client of render pods.
package tracing

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/fleet"
	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/suite"
)

const (
	namespace = "marketing"
	timeout   = time.Minute
	// traceID and caller are the trace and the span of the test.
	traceID = "0123456789abcdef0123456789abcdef"
	caller  = "fedcba9876543210"
)

// span is a span of the collector.
type span struct {
	*tracev1.Span
	service string
}

// collector takes spans as an OpenTelemetry collector does.
type collector struct {
	t      *testing.T
	server *httptest.Server
	mu     sync.Mutex
	spans  []span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t}
	c.server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.server.Close)
	return c
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/traces" || r.Header.Get("X-Key") != "key-of-collector" {
		c.t.Errorf("got %s with the key %q", r.URL.Path, r.Header.Get("X-Key"))
	}
	body, err := io.ReadAll(r.Body)
	export := &collectorv1.ExportTraceServiceRequest{}
	if err != nil || proto.Unmarshal(body, export) != nil {
		c.t.Errorf("got no spans: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span{s, service})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// ofTrace returns the spans of a trace.
func (c *collector) ofTrace(id string) (spans []span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) == id {
			spans = append(spans, s)
		}
	}
	return spans
}

// headers are the traceparents that a server has received, by path.
type headers struct {
	mu   sync.Mutex
	seen map[string][]string
}

func (h *headers) note(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[string][]string{}
	}
	h.seen[r.URL.Path] = append(h.seen[r.URL.Path], r.Header.Get("Traceparent"))
}

// last returns the last traceparent of a path.
func (h *headers) last(path string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.seen[path]); n > 0 {
		return h.seen[path][n-1]
	}
	return ""
}

// TestOneTraceFromTheRequestToItsWebhook renders two pages through the REST API, with a picture of each in Dropbox and a webhook.
func TestOneTraceFromTheRequestToItsWebhook(t *testing.T) {
	spans := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", spans.server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=key-of-collector")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")

	var toDropbox, toReceiver headers
	simulator := dropboxsim.New()
	simulator.AddAccount(dropboxsim.Account{AppKey: "app-key", RefreshToken: "refresh-token", Email: "a@example.com", DisplayName: "A"})
	dropbox := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { toDropbox.note(r); simulator.ServeHTTP(w, r) }))
	t.Cleanup(dropbox.Close)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { toReceiver.note(r) }))
	t.Cleanup(receiver.Close)

	w, err := fleet.New(t.Context(), t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, w.Stop()) })
	w.Pods.File = []byte("a picture")
	kubeconfig, err := w.Kubeconfig("kubeconfig", w.Address())
	must(t, err)
	manager, err := w.NewManager(t.Context(), "platen-manager-0", kubeconfig, "--content-store=file://"+t.TempDir(),
		"--dropbox-api-url="+dropbox.URL, "--dropbox-content-url="+dropbox.URL)
	must(t, err)
	must(t, manager.Start())
	t.Cleanup(func() { must(t, manager.Stop(syscall.SIGTERM)) })
	must(t, manager.Leads(t.Context()))
	must(t, w.NewNamespace(t.Context(), namespace))
	in := metav1.ObjectMeta{Namespace: namespace, Name: "card"}
	secret := in
	secret.Labels = map[string]string{platenv1alpha1.CredentialsLabel: "true"}
	must(t, w.Client.Create(t.Context(), &corev1.Secret{ObjectMeta: secret, StringData: map[string]string{"appKey": "app-key", "refreshToken": "refresh-token"}}))
	must(t, w.Client.Create(t.Context(), &platenv1alpha1.StorageConnection{ObjectMeta: in, Spec: platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox,
		Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "card"}},
	}}))
	pages := []platenv1alpha1.TemplatePage{{Name: "front", Width: 400, Height: 200, HTML: "<h1 data-param=headline>"}, {Name: "back", Width: 400, Height: 200, HTML: "<h1>"}}
	must(t, w.Client.Create(t.Context(), &platenv1alpha1.RenderTemplate{ObjectMeta: in, Spec: platenv1alpha1.RenderTemplateSpec{TemplateID: new(int64(25)), Pages: pages}}))

	token := suite.ServiceAccount(t, w.Client, namespace, "designer", rbacv1.PolicyRule{
		APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"*"}, Verbs: []string{"*"},
	})
	url := startShim(t, kubeconfig, manager.Content())
	body := fmt.Sprintf(`{"templateId": 25, "modifications": {"headline": "value-of-user"}, "response": {"format": "png", "fileName": "file-of-user"},
		"connections": [{"type": "storage", "provider": "dropbox", "folder": "/folder-of-user"}], "webhook": "%s/hook-of-user"}`, receiver.URL)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/studio/render", strings.NewReader(body))
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Traceparent", "00-"+traceID+"-"+caller+"-01")
	resp, err := http.DefaultClient.Do(request)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d: %s", resp.StatusCode, answer)
	}

	var trace []span
	want := []string{
		"platen-shim POST /v1/studio/render < the caller",
		"platen-manager RenderJob < POST /v1/studio/render",
		"platen-manager wait for a pod < RenderJob",
		"platen-manager render < RenderJob",
		"platen-manager paint < render", "platen-manager send < render", "platen-manager paint < render", "platen-manager send < render",
		"platen-manager upload < RenderJob",
		"platen-manager open < upload",
		"platen-manager commit < upload",
		"platen-shim webhook < RenderJob",
	}
	slices.Sort(want)
	diff := ""
	err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, timeout, true, func(context.Context) (bool, error) {
		trace = spans.ofTrace(traceID)
		diff = cmp.Diff(want, edges(trace))
		return diff == "", nil
	})
	if err != nil {
		t.Fatalf("the trace differs (-want +got):\n%s", diff)
	}

	byID := map[string]span{}
	for _, s := range trace {
		byID[hex.EncodeToString(s.GetSpanId())] = s
	}
	for name, got := range map[string]string{
		"webhook": toReceiver.last("/hook-of-user"),
		"POST /2/files/upload_session/finish_batch_v2": toDropbox.last("/2/files/upload_session/finish_batch_v2"),
	} {
		parts := strings.Split(got, "-")
		if len(parts) != 4 || parts[1] != traceID || byID[parts[2]].GetName() != name {
			t.Errorf("the traceparent of the call of %q is %q", name, got)
		}
	}
	for _, s := range trace {
		if parent, ok := byID[hex.EncodeToString(s.GetParentSpanId())]; ok && (s.GetStartTimeUnixNano() < parent.GetStartTimeUnixNano() && s.GetName() != "RenderJob") {
			t.Errorf("%q begins before its parent %q", s.GetName(), parent.GetName())
		}
		if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() || s.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR {
			t.Errorf("%q ends before it begins, or has failed: %v", s.GetName(), s)
		}
	}
	for _, value := range []string{"value-of-user", "file-of-user", "folder-of-user", "hook-of-user", "app-key", "refresh-token", token, "key-of-collector"} {
		if text := fmt.Sprint(trace); strings.Contains(text, value) {
			t.Errorf("the trace has %q:\n%s", value, text)
		}
	}
}

// edges returns a line for each span but those of calls of Dropbox, which are as many as it takes, sorted.
func edges(trace []span) (lines []string) {
	names := map[string]string{caller: "the caller"}
	for _, s := range trace {
		names[hex.EncodeToString(s.GetSpanId())] = s.GetName()
	}
	for _, s := range trace {
		parent := names[hex.EncodeToString(s.GetParentSpanId())]
		if strings.HasPrefix(s.GetName(), "POST /2/") && (parent == "commit" || parent == "open") || s.GetName() == "POST /oauth2/token" {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s < %s", s.service, s.GetName(), parent))
	}
	slices.Sort(lines)
	return lines
}

// startShim starts cmd/shim, and returns its URL once it is ready. It ends with the test.
func startShim(t *testing.T, kubeconfig, content string) (url string) {
	t.Helper()
	binary, err := program.Own(t.Context(), "../..", "shim")
	must(t, err)
	free, err := program.FreeAddresses(t.Context(), 2)
	must(t, err)
	address, probes := free[0], free[1]
	log := &bytes.Buffer{}
	shim := exec.CommandContext(t.Context(), binary, "--bind-address="+address, "--health-probe-bind-address="+probes, "--content-url=http://"+content,
		"--webhook-allow=127.0.0.0/8", "--namespace="+fleet.ManagerNamespace)
	shim.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	shim.Stdout, shim.Stderr = log, log
	shim.Cancel = func() error { return shim.Process.Signal(syscall.SIGTERM) }
	must(t, shim.Start())
	t.Cleanup(func() { _ = shim.Wait() }) // the context of the test has ended it
	err = wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+probes+"/readyz", nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
	must(t, err)
	return "http://" + address
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
