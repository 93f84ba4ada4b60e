// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ui tests the web page in a real browser, against a real API server, the controller of StorageConnections and the simulated
// Dropbox with its consent page. There are no render pods: a test sets the status of a job.
package ui

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/jobwatch"
	"github.com/platen-dev/platen/internal/shim"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/internal/ui"
	"github.com/platen-dev/platen/test/chromium"
	"github.com/platen-dev/platen/test/suite"
	"github.com/platen-dev/platen/test/testenv"
)

// appKey is the key of the app that connects accounts.
const appKey = "platen-test-app"

// world holds what the tests share.
var world struct {
	admin  client.Client
	config *rest.Config
	// cache is what the page reads from.
	cache client.Reader
	// page is the origin of the web page. The simulator has another site, as Dropbox has.
	page      string
	simulator *dropboxsim.Server
	content   *suite.Content
	// beforeToken, when set, is called once before Dropbox answers a request for a token.
	beforeToken atomic.Pointer[func()]
	// callback is the last request of a browser that came back from Dropbox.
	callback atomic.Pointer[http.Request]
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	ctx, cancel := context.WithCancel(context.Background())
	stop, err := start(ctx)
	defer stop()
	defer cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting what the tests need:", err)
		return 1
	}
	return m.Run()
}

// start starts everything except the browser. The caller must call stop even after an error.
func start(ctx context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for i := range stops {
			stops[len(stops)-1-i]()
		}
	}
	config, stopServers, err := testenv.Start()
	if err != nil {
		return stop, err
	}
	stops = append(stops, func() { _ = stopServers() })
	world.config = config
	scheme, err := testenv.Scheme()
	if err != nil {
		return stop, err
	}
	if world.admin, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return stop, err
	}

	world.simulator = dropboxsim.New()
	simulator := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before := world.beforeToken.Load(); before != nil && r.URL.Path == "/oauth2/token" {
			world.beforeToken.Store(nil)
			(*before)()
		}
		world.simulator.ServeHTTP(w, r)
	}))
	stops = append(stops, simulator.Close)
	reach := dropbox.Config{APIURL: simulator.URL, ContentURL: simulator.URL}

	if world.content, err = suite.NewContent(ctx, "mem://"); err != nil {
		return stop, err
	}
	stops = append(stops, world.content.Close)

	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
	})
	if err != nil {
		return stop, err
	}
	if err := suite.VerifyConnections(mgr, simulator.URL); err != nil {
		return stop, err
	}
	for _, kind := range []client.Object{&platenv1alpha1.RenderJob{}, &platenv1alpha1.RenderTemplate{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return stop, err
		}
	}
	world.cache = mgr.GetCache()
	ended := make(chan struct{})
	running, end := context.WithCancel(ctx)
	go func() {
		defer close(ended)
		if err := mgr.Start(running); err != nil {
			fmt.Fprintln(os.Stderr, "the manager ended:", err)
		}
	}()
	stops = append(stops, func() { end(); <-ended })
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return stop, errors.New("the cache did not fill")
	}

	waiters, err := jobwatch.New(ctx, mgr.GetCache())
	if err != nil {
		return stop, err
	}
	page := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(page.Listener.Addr().String())
	if err != nil {
		return stop, err
	}
	world.page = "http://localhost:" + port
	web, err := ui.New(ui.Options{
		Reviewer: callers.NewReviewer(config, mgr.GetClient(), clock.RealClock{}), Cache: mgr.GetCache(), Waiters: waiters, Key: bytes.Repeat([]byte{7}, 32), URL: world.page,
		ContentURL: world.content.URL, Dropbox: reach, AuthorizeURL: simulator.URL, TTL: time.Hour, Clock: clock.RealClock{}, Log: ctrl.Log,
	})
	if err != nil {
		return stop, err
	}
	api, err := shim.New(shim.Options{
		Reviewer: callers.NewReviewer(config, mgr.GetClient(), clock.RealClock{}), Waiters: waiters, Cache: mgr.GetCache(), Own: mgr.GetClient(), Stopping: ctx.Done(),
		Derive: func(string) []byte { return bytes.Repeat([]byte{8}, 32) }, Wait: 10 * time.Millisecond, TTL: time.Hour, ContentURL: world.content.URL,
		Limits: shim.Limits{Rate: 100, Burst: 100, Concurrency: 100}, Log: ctrl.Log,
	})
	if err != nil {
		return stop, err
	}
	handler, apiHandler := web.Handler(), api.Handler()
	page.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/ui") {
			apiHandler.ServeHTTP(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/callback") {
			world.callback.Store(r.Clone(context.Background()))
		}
		handler.ServeHTTP(w, r)
	})
	page.Start()
	stops = append(stops, page.Close)
	return stop, nil
}

// workspace is a namespace with a person who may work in it and who has an account at Dropbox.
type workspace struct {
	name, token, email string
}

// newWorkspace creates a workspace.
func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	w := &workspace{name: suite.Namespace(t, world.admin, "ui-")}
	w.email = w.name + "@example.com"
	w.token = w.person(t, "designer", platenRules()...)
	w.setAccount(false)
	return w
}

// platenRules are the rights that the page asks for.
func platenRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{
			APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates", "storageconnections"},
			Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"},
		},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "create", "patch", "delete"}},
	}
}

// setAccount creates or changes the person's account. The app belongs to another account, its developer's.
func (w *workspace) setAccount(revoked bool) {
	world.simulator.AddAccount(dropboxsim.Account{
		AppKey: appKey, RefreshToken: rand.Text(), Email: "developer@example.com", DisplayName: "The app's developer", AppName: "Platen",
		RedirectURIs: []string{world.page + "/ui/connect/callback"},
	})
	world.simulator.AddAccount(dropboxsim.Account{
		AppKey: "none-" + w.name, RefreshToken: "none", Email: w.email, DisplayName: "Ada Lovelace", Quota: 2_000_000_000, Revoked: revoked,
	})
}

// person makes a service account with rights in the workspace, and returns a token for it.
func (w *workspace) person(t *testing.T, name string, rules ...rbacv1.PolicyRule) string {
	t.Helper()
	return suite.ServiceAccount(t, world.admin, w.name, name, rules...)
}

func create(t *testing.T, o client.Object) {
	t.Helper()
	suite.Create(t, world.admin, o)
}

// template makes a RenderTemplate.
func (w *workspace) template(t *testing.T, name string, parameters ...platenv1alpha1.Parameter) {
	t.Helper()
	create(t, &platenv1alpha1.RenderTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: name},
		Spec: platenv1alpha1.RenderTemplateSpec{
			Parameters: parameters, Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 1200, Height: 630, HTML: "<h1 data-param=headline>"}},
		},
	})
}

// templateFromConfigMap makes a RenderTemplate whose page is in a ConfigMap that does not exist.
func (w *workspace) templateFromConfigMap(t *testing.T) *platenv1alpha1.RenderTemplate {
	t.Helper()
	template := &platenv1alpha1.RenderTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "banner"},
		Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 100, Height: 100, HTMLFrom: &platenv1alpha1.HTMLSource{
			ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: "front"},
		}}}},
	}
	create(t, template)
	return template
}

// receiver makes a connection that receives every render of the workspace, and whose credentials are not there.
func (w *workspace) receiver(t *testing.T) *platenv1alpha1.StorageConnection {
	t.Helper()
	c := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: w.name, Name: "dropbox"}, Spec: platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox, UploadPolicy: platenv1alpha1.UploadAutomatic,
		Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "dropbox-credentials"}},
	}}
	create(t, c)
	return c
}

// job waits for the job of the workspace that is no preview.
func (w *workspace) job(t *testing.T) *platenv1alpha1.RenderJob {
	t.Helper()
	jobs := &platenv1alpha1.RenderJobList{}
	suite.Eventually(t, "a job appears", func() error {
		if err := world.admin.List(t.Context(), jobs, client.InNamespace(w.name)); err != nil {
			return err
		}
		jobs.Items = slices.DeleteFunc(jobs.Items, func(job platenv1alpha1.RenderJob) bool { return job.Labels[platenv1alpha1.PreviewLabel] != "" })
		if len(jobs.Items) != 1 {
			return fmt.Errorf("there are %d jobs", len(jobs.Items))
		}
		return nil
	})
	return &jobs.Items[0]
}

// finish plays the manager: it stores the pictures of a job and sets its status. The upload succeeds, or fails with uploadError.
func (w *workspace) finish(t *testing.T, job *platenv1alpha1.RenderJob, pages int, uploadError string) {
	t.Helper()
	fresh := &platenv1alpha1.RenderJob{}
	if err := world.admin.Get(t.Context(), client.ObjectKeyFromObject(job), fresh); err != nil {
		t.Fatal(err)
	}
	world.content.Finish(t, fresh, pages, paint)
	upload := platenv1alpha1.JobConnectionStatus{
		Name: "dropbox", Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Status: platenv1alpha1.UploadSuccess,
	}
	if uploadError == "" {
		for n := 1; n <= pages; n++ {
			upload.Pages = append(upload.Pages, platenv1alpha1.UploadedPage{Page: int32(n), Path: fmt.Sprintf("/Renders/%s_page_%d.png", fresh.Name, n)})
		}
		suite.SetCondition(fresh, platenv1alpha1.UploadedCondition, metav1.ConditionTrue, platenv1alpha1.SucceededReason, "uploaded")
	} else {
		upload.Status, upload.Error = platenv1alpha1.UploadError, uploadError
		fresh.Status.Warnings = []platenv1alpha1.Warning{{Title: "Failed to upload to dropbox: " + uploadError, Details: new("")}}
		reason := "Unreachable"
		if uploadError == "Token expired" {
			reason = "TokenExpired"
		}
		suite.SetCondition(fresh, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, reason, uploadError)
		suite.SetCondition(fresh, platenv1alpha1.ReadyCondition, metav1.ConditionTrue, platenv1alpha1.SucceededWithWarningsReason, "rendered, not uploaded")
	}
	fresh.Status.Connections = []platenv1alpha1.JobConnectionStatus{upload}
	if err := world.admin.Status().Update(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
}

// paint returns a PNG picture of 1200 by 630 pixels.
func paint(n int) []byte {
	picture := image.NewRGBA(image.Rect(0, 0, 1200, 630))
	for y := range 630 {
		for x := range 1200 {
			shade := uint8(40 * n)
			picture.Set(x, y, color.RGBA{shade, uint8(x * 160 / 1200), uint8(120 + y*100/630), 255})
			if (x-600)*(x-600)+(y-315)*(y-315) < 180*180 {
				picture.Set(x, y, color.RGBA{250, 240, 220, 255})
			}
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, picture)
	return b.Bytes()
}

// browser is a person at a browser.
type browser struct{ *chromium.Browser }

func newBrowser(t *testing.T) browser {
	t.Helper()
	return browser{chromium.Start(t, nil)}
}

// open goes to a path of the page.
func (b browser) open(path string) { b.Open(world.page + path) }

// signIn signs in with the workspace's token.
func (b browser) signIn(w *workspace) {
	b.open("/ui/")
	b.Fill("#token", w.token)
	b.Click(".primary")
	b.Sees("Where the renders of " + w.name)
}

// enter is the key that activates a link or a button.
const enter = kb.Enter

// tabTo presses Tab until an element has the focus, and checks that the focus is visible.
func (b browser) tabTo(selector string) {
	b.WaitVisible(selector)
	for range 100 {
		if b.Is(fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			b.Holds(`getComputedStyle(document.activeElement).outlineStyle !== "none"`)
			return
		}
		b.Press(kb.Tab)
	}
	b.Holds("no way with Tab to " + selector)
}

// allow allows the access on Dropbox's consent page.
func (b browser) allow(w *workspace) {
	b.Click(fmt.Sprintf("input[data-email=%q]", w.email))
	b.Click("button[value=allow]")
}

// connect connects the workspace's account.
func (b browser) connect(w *workspace) {
	b.open("/ui/storage")
	b.Fill("#appKey", appKey)
	b.Click("#connect")
	b.allow(w)
	b.Sees("Choose a folder", "Dropbox is connected")
}

// setReady plays the manager: it says why a job is not ready yet.
func setReady(t *testing.T, job *platenv1alpha1.RenderJob, reason, message string) {
	t.Helper()
	job.Status.ObservedGeneration = &job.Generation
	suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, reason, message)
	if err := world.admin.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
}

// eventuallyBody waits until a page is as check wants it.
func eventuallyBody(t *testing.T, cookies []*http.Cookie, path string, check func(body string) error) {
	t.Helper()
	suite.Eventually(t, path+" follows", func() error {
		_, _, body := send(t, request(t, http.MethodGet, path, nil, cookies, nil))
		return check(body)
	})
}
