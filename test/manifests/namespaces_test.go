// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/testenv"
)

const someNamespaces = `namespaces=["served-a","served-b"]`

// rights returns the objects of a set that give rights, without labels.
func rights(set objects) objects {
	found := objects{}
	for _, object := range set {
		if group := object.GroupVersionKind().Group; group == "rbac.authorization.k8s.io" {
			object.SetLabels(nil)
			found[object.GetKind()+"/"+object.GetNamespace()+"/"+object.GetName()] = object
		}
	}
	return found
}

// The chart's namespaces give the rights that config/namespaced and config/namespace give.
func TestChartServesSomeNamespacesAsConfigDoes(t *testing.T) {
	want, got := rights(overlay(t, "namespaced")), objects{}
	manifests, err := helm(t, "template", "platen", "--namespace", "platen-system", "--set-json", someNamespaces)
	if err != nil {
		t.Fatal(err)
	}
	for document := range bytes.SplitSeq(manifests, []byte("\n---\n")) { // two objects have the same kind and name
		maps.Copy(got, rights(decode(t, document)))
	}
	for _, namespace := range []string{"served-a", "served-b"} {
		for _, object := range build(t, "config/namespace") {
			object.SetNamespace(namespace)
			maps.Copy(want, rights(objects{"": object}))
		}
	}
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("config/namespaced and config/namespace (-) and the chart (+) differ:\n%s", difference)
	}
	for key, object := range got {
		if object.GetKind() == "ClusterRoleBinding" && at(object.Object, "roleRef.name") != "platen-reviewer" {
			t.Errorf("%s gives rights in the whole cluster", key)
		}
	}
}

// A manager that serves two namespaces needs no rights elsewhere: it reconciles, makes render pods and reads Secrets there, and leaves the rest alone.
func TestManagerServesSomeNamespaces(t *testing.T) {
	config := apiServer(t)
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	create := func(object client.Object) {
		t.Helper()
		if err := client.IgnoreAlreadyExists(admin.Create(t.Context(), object)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"platen-system", "served-a", "served-b", "elsewhere"} {
		create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	manifests, err := helm(t, "template", "platen", "--namespace", "platen-system", "--set-json", someNamespaces)
	if err != nil {
		t.Fatal(err)
	}
	for document := range bytes.SplitSeq(manifests, []byte("\n---\n")) {
		for _, object := range rights(decode(t, document)) {
			create(object)
			t.Cleanup(func() { _ = admin.Delete(context.WithoutCancel(t.Context()), object) })
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "platen-system", Name: "platen-manager"}}
	create(account)
	token := &authenticationv1.TokenRequest{}
	if err := admin.SubResource("token").Create(t.Context(), account, token); err != nil {
		t.Fatal(err)
	}

	folder := t.TempDir()
	kubeconfig := filepath.Join(folder, "kubeconfig")
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*c, kubeconfig); err != nil {
		t.Fatal(err)
	}
	binary, err := program.Own(t.Context(), "../..", "manager")
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	log := func() string {
		text, err := os.ReadFile(output.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	manager := exec.CommandContext(t.Context(), binary, "--namespaces=served-a,served-b", "--leader-elect=false", "--metrics-bind-address=0", "--health-probe-bind-address=127.0.0.1:0",
		"--dispatch-bind-address=127.0.0.1:0", "--content-bind-address=127.0.0.1:0", "--content-store=file://"+filepath.Join(folder, "content"))
	manager.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	manager.Stdout, manager.Stderr = output, output
	if err := os.Mkdir(filepath.Join(folder, "content"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := manager.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end := func() {
		if !ended {
			ended = true
			_ = manager.Process.Signal(syscall.SIGTERM)
			_ = manager.Wait()
		}
	}
	defer end()

	for _, namespace := range []string{"elsewhere", "served-a", "served-b"} {
		in := metav1.ObjectMeta{Namespace: namespace, Name: "card"}
		create(&platenv1alpha1.RenderTemplate{ObjectMeta: in, Spec: platenv1alpha1.RenderTemplateSpec{
			Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 100, Height: 100, HTML: "<p>Hello"}},
		}})
		create(&platenv1alpha1.StorageConnection{ObjectMeta: in, Spec: platenv1alpha1.StorageConnectionSpec{
			Provider: platenv1alpha1.ProviderDropbox,
			Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "missing"}},
		}})
		create(&platenv1alpha1.RenderJob{ObjectMeta: in, Spec: platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: "card"}}})
	}
	// pods reports whether the manager has tried to make a render pod. This API server takes none, because it has no service accounts for them; it asks
	// for the right before.
	pods := func(namespace string) bool {
		for line := range strings.Lines(log()) {
			if strings.Contains(line, "a render pod") && strings.Contains(line, namespace) {
				return true
			}
		}
		return false
	}
	// ready returns why an object is Ready or not; empty if no manager has seen it.
	ready := func(object client.Object, conditions *[]metav1.Condition, namespace string) string {
		if err := admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "card"}, object); err != nil {
			t.Fatal(err)
		}
		if c := meta.FindStatusCondition(*conditions, platenv1alpha1.ReadyCondition); c != nil && c.Reason != platenv1alpha1.PendingReason {
			return c.Reason
		}
		return ""
	}
	for _, namespace := range []string{"served-a", "served-b"} {
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			connection, template := &platenv1alpha1.StorageConnection{}, &platenv1alpha1.RenderTemplate{}
			return pods(namespace) && ready(connection, &connection.Status.Conditions, namespace) == "SecretNotFound" &&
				ready(template, &template.Status.Conditions, namespace) != "", nil
		})
		if err != nil {
			end()
			t.Fatalf("%s is not served: %v\n%s", namespace, err, log())
		}
	}
	connection := &platenv1alpha1.StorageConnection{}
	if reason := ready(connection, &connection.Status.Conditions, "elsewhere"); reason != "" || strings.Contains(log(), "elsewhere") {
		t.Errorf("another namespace is served: %s\n%s", reason, log())
	}
	end()
	for line := range strings.Lines(log()) {
		if strings.Contains(line, "forbidden") && !strings.Contains(line, `\"nodes\"`) && !strings.Contains(line, "nodes is forbidden") {
			t.Errorf("the manager lacks a right: %s", line)
		}
	}
}
