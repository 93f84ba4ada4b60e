// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/fleet"
)

const (
	root = "../.."
	// page has the objects of Flux that people copy.
	page = root + "/docs/operations/gitops.md"
	// timeout bounds each wait. Platen notices a changed Secret within half a minute.
	timeout = 2 * time.Minute
)

// TestSamples lets Flux bring config/samples from git to a cluster, by the Kustomization that the page shows.
func TestSamples(t *testing.T) {
	w := newWorld(t)
	// Flux deletes nothing that git has, so a time to live must not either.
	w.edit("sales.yaml", "  templateRef: {name: offer}\n", "  templateRef: {name: offer}\n  ttlSecondsAfterFinished: 1\n")
	w.edit("marketing.yaml", "  output: {format: mp4, video: {fps: 30, duration: \"3\"}}\n", "  output: {format: mp4, video: {fps: 30, duration: \"3\"}}\n  contentPolicy: Retain\n")
	w.commit("Print the campaign of the summer")
	w.apply()

	t.Log("the account of a connection has revoked its permission: the Kustomization names the connection, and all jobs are rendered")
	w.await("renders", func(k *unstructured.Unstructured) error {
		ready := condition(k, "Ready")
		if ready["status"] != "False" || !strings.Contains(ready["message"], "StorageConnection/sales/dropbox") || strings.Contains(ready["message"], "RenderJob") {
			return fmt.Errorf("Ready is %v", ready)
		}
		return nil
	})
	w.poll("jobs", func() error {
		ready, jobs := 0, w.jobs()
		for _, job := range jobs {
			if meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.ReadyCondition) {
				ready++
			}
		}
		if ready != 6 {
			return fmt.Errorf("%d of %d jobs are ready, git has 6", ready, len(jobs))
		}
		return nil
	})

	t.Log("the person allows it again: all is healthy")
	w.edit("sales.yaml", "demo-revoked-app", "demo-app")
	w.commit("Take the account that works")
	w.settled()

	t.Log("a commit that changes no object changes nothing")
	before, rendered := w.versions(), w.Pods.Rendered()
	w.write("README.md", "The campaigns of all seasons.\n")
	w.commit("Say what is here")
	w.settled()
	if diff := cmp.Diff(before, w.versions()); diff != "" || w.Pods.Rendered() != rendered {
		t.Errorf("%d renders, and versions of objects (-before +after):\n%s", w.Pods.Rendered()-rendered, diff)
	}

	t.Log("a changed template touches no job that has finished")
	w.edit("marketing.yaml", "default: Printed by Platen", "default: Printed by Flux")
	w.commit("Print another foot")
	w.settled()
	after := w.versions()
	if diff := changed(before, after); diff != "RenderTemplate/marketing/banner" || w.Pods.Rendered() != rendered {
		t.Errorf("changed are %q, and %d jobs were rendered", diff, w.Pods.Rendered()-rendered)
	}

	t.Log("a changed job is rendered again, and no other; the commit is ready when it is")
	before = after
	w.edit("marketing.yaml", "Hello, summer\"}", "Hello, autumn\"}")
	w.commit("Print autumn")
	w.settled()
	if diff := changed(before, w.versions()); diff != "RenderJob/marketing/summer" || w.Pods.Rendered() != rendered+1 {
		t.Errorf("changed are %q, and %d jobs were rendered", diff, w.Pods.Rendered()-rendered)
	}
	summer := w.job("marketing", "summer")
	if *summer.Status.ObservedGeneration != summer.Generation || !meta.IsStatusConditionTrue(summer.Status.Conditions, platenv1alpha1.ReadyCondition) {
		t.Errorf("Flux takes the changed job for healthy before it is rendered: %+v", summer.Status)
	}

	t.Log("a job that git loses is pruned, with its files unless its policy is to retain them, and without those in Dropbox")
	launch, teaser := w.job("marketing", "launch"), w.job("marketing", "teaser")
	w.remove("marketing.yaml", "kind: RenderJob\nmetadata:\n  name: launch\n")
	w.remove("marketing.yaml", "kind: RenderJob\nmetadata:\n  name: teaser\n")
	w.commit("Forget the launch and its teaser")
	w.settled()
	for _, job := range []*platenv1alpha1.RenderJob{launch, teaser} {
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(job), job.DeepCopy()); !apierrors.IsNotFound(err) {
			t.Errorf("%s is still there: %v", job.Name, err)
		}
	}
	w.poll("the files of the job are gone", func() error {
		if status := w.status(launch); status != http.StatusNotFound {
			return fmt.Errorf("its content URL answers %d", status)
		}
		return nil
	})
	for _, job := range []*platenv1alpha1.RenderJob{summer, teaser} {
		if status := w.status(job); status != http.StatusOK {
			t.Errorf("the files of %s: HTTP %d", job.Name, status)
		}
	}
	if uploaded := w.uploaded("launch"); uploaded != 3 {
		t.Errorf("%d pages of the job are left in Dropbox, want 3", uploaded)
	}
	if offer := w.job("sales", "offer"); offer.Generation != 1 || time.Since(offer.CreationTimestamp.Time) < 2*time.Second {
		t.Errorf("the job with a time to live of a second: generation %d, created at %s", offer.Generation, offer.CreationTimestamp)
	}
}

// world is a cluster with Platen, Flux and a repository.
type world struct {
	// World and dropbox are nil on the development cluster.
	*fleet.World
	dropbox    *dropboxsim.Server
	t          *testing.T
	client     client.Client
	repository *Repository
	// revision of the last commit.
	revision string
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
	w := &world{World: f, t: t, client: f.Client, dropbox: dropboxsim.New()}
	for app, revoked := range map[string]bool{"demo-app": false, "demo-revoked-app": true} {
		w.dropbox.AddAccount(dropboxsim.Account{AppKey: app, RefreshToken: "demo-refresh-token", Email: "ada@example.com", DisplayName: "Ada", Revoked: revoked})
	}
	server := httptest.NewServer(w.dropbox)
	t.Cleanup(server.Close)
	// The namespaces are there before, because nobody else gives them service accounts here.
	for _, namespace := range []string{"marketing", "finance", "sales", "press", "flux-system"} {
		w.must(w.NewNamespace(t.Context(), namespace))
	}
	kubeconfig, err := w.Kubeconfig("kubeconfig", w.Address())
	w.must(err)
	manager, err := w.NewManager(t.Context(), "platen-manager-0", kubeconfig, "--content-store=file://"+filepath.Join(w.Folder, "content"),
		"--content-sweep-interval=1s", "--dropbox-api-url="+server.URL, "--dropbox-content-url="+server.URL)
	w.must(err)
	t.Cleanup(func() { _ = manager.Stop(syscall.SIGKILL) })
	w.must(errors.Join(manager.Start(), manager.Leads(t.Context())))

	w.start(w.Config, kubeconfig)
	w.must(os.CopyFS(filepath.Join(w.repository.Folder, "platen"), os.DirFS(root+"/config/crd")))
	return w
}

// start starts Flux, and a repository with the samples.
func (w *world) start(config *rest.Config, kubeconfig string) {
	w.t.Helper()
	folder := w.t.TempDir()
	controllers, err := Start(w.t.Context(), root, config, kubeconfig, folder)
	w.must(err)
	w.t.Cleanup(func() {
		if err := controllers.Stop(); err != nil {
			w.t.Error(err)
		}
		if w.t.Failed() {
			for _, name := range names {
				log, _ := os.ReadFile(filepath.Join(folder, name+".log"))
				w.t.Logf("%s:\n%s", name, log)
			}
		}
	})
	w.repository, err = NewRepository(w.t.Context(), w.t.TempDir())
	w.must(err)
	w.t.Cleanup(w.repository.Close)
	w.must(os.CopyFS(filepath.Join(w.repository.Folder, "marketing"), os.DirFS(root+"/config/samples")))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// write writes a file of the repository.
func (w *world) write(name, data string) {
	w.t.Helper()
	w.must(os.WriteFile(filepath.Join(w.repository.Folder, name), []byte(data), 0o600))
}

// edit replaces the one place of a sample's manifest that has a text.
func (w *world) edit(name, before, after string) {
	w.t.Helper()
	name = filepath.Join("marketing", name)
	data, err := os.ReadFile(filepath.Join(w.repository.Folder, name))
	w.must(err)
	if n := strings.Count(string(data), before); n != 1 {
		w.t.Fatalf("%s has %q %d times", name, before, n)
	}
	w.write(name, strings.Replace(string(data), before, after, 1))
}

// remove removes the object of a sample's manifest that has a text.
func (w *world) remove(name, text string) {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.repository.Folder, "marketing", name))
	w.must(err)
	for object := range strings.SplitSeq(string(data), "\n---\n") {
		if strings.Contains(object, text) {
			w.edit(name, object, "# none")
			return
		}
	}
	w.t.Fatalf("%s has no object with %q", name, text)
}

func (w *world) commit(message string) {
	w.t.Helper()
	var err error
	w.revision, err = w.repository.Commit(w.t.Context(), message)
	w.must(err)
	for _, source := range w.list("source.toolkit.fluxcd.io/v1", "GitRepository") {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":%q}}}`, w.revision)
		w.must(w.client.Patch(w.t.Context(), &source, client.RawPatch("application/merge-patch+json", []byte(patch))))
	}
}

// apply applies the objects of Flux that the page shows. The repository has Platen's CRDs, too, unless the cluster has Platen.
func (w *world) apply() {
	w.t.Helper()
	data, err := os.ReadFile(page)
	w.must(err)
	applied := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1) {
		for text := range strings.SplitSeq(block[1], "\n---\n") {
			if !strings.Contains(text, ".toolkit.fluxcd.io/") {
				continue
			}
			object := &unstructured.Unstructured{}
			w.must(yaml.UnmarshalStrict([]byte(text), &object.Object))
			spec, _ := object.Object["spec"].(map[string]any)
			if object.GetKind() == "GitRepository" {
				spec["url"] = w.repository.URL
			} else {
				spec["retryInterval"] = "1s"
				if w.World == nil {
					delete(spec, "dependsOn")
				} else {
					platen := object.DeepCopy()
					platen.SetName("platen")
					platen.Object["spec"] = map[string]any{"sourceRef": spec["sourceRef"], "path": "./platen", "interval": "10m", "prune": false, "wait": true}
					w.must(w.client.Create(w.t.Context(), platen))
				}
			}
			w.must(w.client.Create(w.t.Context(), object))
			applied++
		}
	}
	if applied != 2 {
		w.t.Fatalf("%s has %d objects of Flux, want a GitRepository and a Kustomization", page, applied)
	}
}

// settled waits until the last commit is applied and healthy.
func (w *world) settled() {
	w.t.Helper()
	w.await("renders", func(k *unstructured.Unstructured) error {
		if applied, _, _ := unstructured.NestedString(k.Object, "status", "lastAppliedRevision"); applied != w.revision || condition(k, "Ready")["status"] != "True" {
			return fmt.Errorf("the revision %q is applied, and Ready is %v", applied, condition(k, "Ready"))
		}
		return nil
	})
}

// await waits until a Kustomization is as wanted.
func (w *world) await(name string, wanted func(*unstructured.Unstructured) error) {
	w.t.Helper()
	w.poll("Kustomization "+name, func() error {
		k := &unstructured.Unstructured{}
		k.SetAPIVersion("kustomize.toolkit.fluxcd.io/v1")
		k.SetKind("Kustomization")
		if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: "flux-system", Name: name}, k); err != nil {
			return err
		}
		return wanted(k)
	})
}

// poll waits until a condition returns no error.
func (w *world) poll(what string, condition func() error) {
	w.t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(w.t.Context(), 100*time.Millisecond, timeout, true, func(context.Context) (bool, error) {
		last = condition()
		return last == nil, nil
	})
	if err != nil {
		w.t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// condition returns the texts of a condition.
func condition(object *unstructured.Unstructured, name string) map[string]string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if fields, ok := c.(map[string]any); ok && fields["type"] == name {
			texts := map[string]string{}
			for key, value := range fields {
				texts[key] = fmt.Sprint(value)
			}
			return texts
		}
	}
	return nil
}

// list returns all objects of a kind.
func (w *world) list(version, kind string) []unstructured.Unstructured {
	w.t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(version)
	list.SetKind(kind + "List")
	w.must(w.client.List(w.t.Context(), list))
	return list.Items
}

// versions returns the versions of all objects that git has: the resource version, or only the generation of those whose status changes by itself.
func (w *world) versions() map[string]string {
	w.t.Helper()
	versions := map[string]string{}
	for kind, version := range map[string]string{
		"RenderTemplate": "platen.dev/v1alpha1", "RenderJob": "platen.dev/v1alpha1", "FontSet": "platen.dev/v1alpha1", "ConfigMap": "v1", "Secret": "v1",
		"StorageConnection": "platen.dev/v1alpha1", "RenderPool": "platen.dev/v1alpha1",
	} {
		for _, object := range w.list(version, kind) {
			if object.GetLabels()["kustomize.toolkit.fluxcd.io/name"] != "renders" {
				continue
			}
			version := object.GetResourceVersion()
			if kind == "StorageConnection" || kind == "RenderPool" {
				version = strconv.FormatInt(object.GetGeneration(), 10)
			}
			versions[kind+"/"+object.GetNamespace()+"/"+object.GetName()] = version
		}
	}
	return versions
}

// changed names the objects that have changed.
func changed(before, after map[string]string) string {
	var names []string
	for name := range after {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func (w *world) jobs() []platenv1alpha1.RenderJob {
	w.t.Helper()
	list := &platenv1alpha1.RenderJobList{}
	w.must(w.client.List(w.t.Context(), list))
	return list.Items
}

func (w *world) job(namespace, name string) *platenv1alpha1.RenderJob {
	w.t.Helper()
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(job), job))
	return job
}

// status returns what the content URL of a job's first file answers.
func (w *world) status(job *platenv1alpha1.RenderJob) int {
	w.t.Helper()
	answer, err := http.Get(job.Status.Pages[0].ContentURL)
	w.must(err)
	w.must(answer.Body.Close())
	return answer.StatusCode
}

// uploaded counts the files of Dropbox whose name begins with a job's.
func (w *world) uploaded(job string) (n int) {
	for _, file := range w.dropbox.Files("demo-app") {
		if strings.HasPrefix(filepath.Base(file.Path), job) {
			n++
		}
	}
	return n
}
