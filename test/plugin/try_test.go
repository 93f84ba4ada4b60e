// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

// installed creates a namespace with the Deployment of an available manager.
func installed(t *testing.T) string {
	t.Helper()
	namespace := workspace(t)
	labels := map[string]string{"app.kubernetes.io/component": "manager"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "platen-manager"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "manager"}}},
		}},
	}
	if err := api.Create(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	if err := api.Status().Update(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	return namespace
}

// empty checks that a namespace has no template and no job.
func empty(t *testing.T, namespace string) {
	t.Helper()
	jobs, templates := &platenv1alpha1.RenderJobList{}, &platenv1alpha1.RenderTemplateList{}
	for _, list := range []client.ObjectList{jobs, templates} {
		if err := api.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
	}
	if len(jobs.Items) > 0 || len(templates.Items) > 0 {
		t.Errorf("left behind: %d jobs, %d templates", len(jobs.Items), len(templates.Items))
	}
}

func TestTry(t *testing.T) {
	namespace, folder := workspace(t), t.TempDir()
	base, ended := content(t, nil), make(chan error, 1)
	go func() { ended <- finish(t.Context(), namespace, rendered(base, "picture")) }()
	r := platen(t, "try", "-n", namespace, "--platen-namespace", installed(t), "-o", filepath.Join(folder, "card.png"))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("../../internal/cli/try.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if r.code != 0 || r.out != string(manifest) {
		t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
	}
	for _, text := range []string{
		"Saved " + filepath.Join(folder, "card.png") + " (120x63, 7 B)", "kubectl platen try -n " + namespace + " > hello.yaml && kubectl apply -n " + namespace,
		"kubectl platen render hello --set name=Ada -o out -n " + namespace, "kubectl platen connect dropbox -n " + namespace,
	} {
		if !strings.Contains(r.errOut, text) {
			t.Errorf("no %q in %s", text, r.errOut)
		}
	}
	if data, err := os.ReadFile(filepath.Join(folder, "card.png")); err != nil || string(data) != "picture" {
		t.Errorf("%q, %v", data, err)
	}
	if entries, _ := os.ReadDir(folder); len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
	empty(t, namespace)
}

// A namespace with an account needs no other.
func TestTryWithAnAccount(t *testing.T) {
	namespace := workspace(t)
	account(t, namespace, "storage")
	base, ended := content(t, nil), make(chan error, 1)
	go func() { ended <- finish(t.Context(), namespace, rendered(base, "picture")) }()
	r := platen(t, "try", "-n", namespace, "--platen-namespace", installed(t), "-o", filepath.Join(t.TempDir(), "card.png"))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r.code != 0 || !strings.Contains(r.errOut, "Next:") || strings.Contains(r.errOut, "connect dropbox") {
		t.Errorf("exit code %d, error %q", r.code, r.errOut)
	}
}

// waits plays a manager that cannot get a render pod.
func waits(reason, message string) func(*platenv1alpha1.RenderJob) {
	return func(job *platenv1alpha1.RenderJob) {
		suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, reason, message)
	}
}

func TestTryFails(t *testing.T) {
	platenSystem := installed(t)
	for name, test := range map[string]struct {
		end  func(*platenv1alpha1.RenderJob)
		args []string
		code int
		text string
	}{
		"the renderer's image is missing": {
			end:  waits(platenv1alpha1.ImagePullFailedReason, "a node cannot pull the image registry.example/renderer:v1 of a render pod"),
			code: 1, text: "the renderer's image is missing: a node cannot pull the image registry.example/renderer:v1",
		},
		"a quota is used up": {
			end:  waits(platenv1alpha1.QuotaExceededReason, "no more render pods fit into the namespace: exceeded quota: small"),
			code: 1, text: "kubectl describe resourcequota -n ",
		},
		"no node has room": {
			end:  waits(platenv1alpha1.UnschedulableReason, "no node has room for a render pod"),
			args: []string{"--timeout", "2s"}, code: 5, text: "the card is not rendered after 2s: no node has room for a render pod",
		},
		"the render fails": {
			end: func(job *platenv1alpha1.RenderJob) {
				suite.SetCondition(job, platenv1alpha1.RenderedCondition, metav1.ConditionFalse, "RenderFailed", "the browser has crashed")
				suite.SetCondition(job, platenv1alpha1.ReadyCondition, metav1.ConditionFalse, "RenderFailed", "the browser has crashed")
				suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, "Failed", "the browser has crashed")
			},
			code: 3, text: "failed: the browser has crashed",
		},
		"the picture cannot be fetched": {
			end:  rendered("http://127.0.0.1:1", "picture"),
			code: 1, text: "; no content server is ready in namespace " + platenSystem,
		},
		"no manager":       {args: []string{"--platen-namespace", "default"}, code: 1, text: "has no manager in namespace default: install it (kubectl apply --server-side -f "},
		"no rights":        {args: []string{"--as", "mallory"}, code: 1, text: "you may not create, get, watch, delete rendertemplates, nor create, get, watch, delete renderjobs in namespace"},
		"no namespace":     {args: []string{"-n", "nowhere"}, code: 1, text: "namespace nowhere does not exist: create it (kubectl create namespace nowhere)"},
		"another format":   {args: []string{"-o", "hello.jpg"}, code: 2, text: "-o must end with .png"},
		"an unknown place": {args: []string{"--server", "https://127.0.0.1:1"}, code: 1, text: "the cluster could not be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace, folder := workspace(t), t.TempDir()
			ended := make(chan error, 1)
			if test.end != nil {
				go func() { ended <- finish(t.Context(), namespace, test.end) }()
			} else {
				ended <- nil
			}
			r := platen(t, append([]string{"try", "-n", namespace, "--platen-namespace", platenSystem, "-o", filepath.Join(folder, "hello.png")}, test.args...)...)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if r.code != test.code || !strings.Contains(r.errOut, test.text) || r.out != "" {
				t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
			}
			if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
				t.Errorf("the folder holds %v, %v", entries, err)
			}
			empty(t, namespace)
		})
	}
}

// allow gives a user rights about objects of Platen in a namespace.
func allow(t *testing.T, namespace, user string, resources []string, verbs ...string) {
	t.Helper()
	in := metav1.ObjectMeta{Namespace: namespace, Name: user}
	for _, object := range []client.Object{
		&rbacv1.Role{ObjectMeta: in, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"platen.dev"}, Resources: resources, Verbs: verbs}}},
		&rbacv1.RoleBinding{
			ObjectMeta: in, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
			Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}},
		},
	} {
		if err := api.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitRights waits until the API server knows that a user may read templates.
func awaitRights(t *testing.T, namespace, user string) {
	t.Helper()
	suite.Eventually(t, "the API server knows the role", func() error {
		if r := platen(t, "templates", "banner", "-n", namespace, "--as", user); r.code != 0 {
			return errors.New(r.errOut)
		}
		return nil
	})
}

// Who may render and not fetch learns that Platen works. No command recommends what the person may not do.
func TestWithoutTheRightToFetch(t *testing.T) {
	namespace, platenSystem := studio(t), installed(t)
	allow(t, namespace, "editor", []string{"renderjobs", "rendertemplates"}, "create", "get", "list", "watch", "delete")
	awaitRights(t, namespace, "editor")
	const advice = "; ask for the right to get services/proxy in namespace "
	for name, test := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"try":   {args: []string{"try", "-o", filepath.Join(t.TempDir(), "hello.png")}, want: []string{"Rendered the card, and did not save it, because you may not fetch it: ", "render hello --set name=Ada --wait -n "}},
		"check": {args: []string{"check"}, want: []string{"ok    render            a card in ", "skip  store             you may not fetch the card: "}},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			go func() { ended <- finish(t.Context(), namespace, rendered("http://127.0.0.1:1", "picture")) }()
			r := platen(t, append(test.args, "-n", namespace, "--platen-namespace", platenSystem, "--as", "editor")...)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			text := r.out + r.errOut
			if r.code != test.code || strings.Count(text, advice) != 1 || strings.Contains(text, "platen fetch") {
				t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in %s", want, text)
				}
			}
		})
	}
}

// Nobody is sent to logs that they may not read.
func TestWhereToLookIsWhereOneMayLook(t *testing.T) {
	namespace, platenSystem := studio(t), installed(t)
	allow(t, namespace, "designer", []string{"renderjobs", "rendertemplates"}, "create", "get", "list", "watch", "delete")
	awaitRights(t, namespace, "designer")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "; see kubectl get pods -n " + namespace + ", and see kubectl logs deployment/platen-manager -n " + platenSystem},
		{[]string{"--as", "designer"}, "; ask whoever runs Platen for the manager's log, which you may not read"},
	} {
		ended := make(chan error, 1)
		go func() {
			ended <- finish(t.Context(), namespace, waits(platenv1alpha1.UnschedulableReason, "no node has room for a render pod"))
		}()
		r := platen(t, append([]string{"try", "-n", namespace, "--platen-namespace", platenSystem, "--timeout", "2s", "-o", filepath.Join(t.TempDir(), "hello.png")}, c.args...)...)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if r.code != 5 || !strings.Contains(r.errOut, c.want) || strings.Contains(r.errOut, "kubectl") != (c.args == nil) {
			t.Errorf("exit code %d, %s", r.code, r.errOut)
		}
	}
}

// A person who may create but not delete gets an error before try creates anything.
func TestTryCreatesNothingThatItMayNotDelete(t *testing.T) {
	namespace, platenSystem := workspace(t), installed(t)
	allow(t, namespace, "creator", []string{"renderjobs", "rendertemplates"}, "create", "get", "list", "watch")
	r := platen(t, "try", "-n", namespace, "--platen-namespace", platenSystem, "--as", "creator", "-o", filepath.Join(t.TempDir(), "hello.png"))
	if r.code != 1 || !strings.Contains(r.errOut, "you may not delete rendertemplates, nor delete renderjobs in namespace "+namespace+": ask for the role platen-edit") {
		t.Errorf("exit code %d, error %q", r.code, r.errOut)
	}
	empty(t, namespace)
}

// An interrupted try deletes what it has created, even if its terminal was closed.
func TestTryInterrupted(t *testing.T) {
	platenSystem := installed(t)
	// Under nohup, the command would inherit that SIGHUP is ignored. A signal that its parent handles is not.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	for name, sent := range map[string]os.Signal{"Ctrl-C": os.Interrupt, "terminated": syscall.SIGTERM, "terminal closed": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			namespace, folder := workspace(t), t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			command := exec.CommandContext(ctx, binary, "try", "-n", namespace, "--platen-namespace", platenSystem,
				"--kubeconfig", kubeconfig, "-o", filepath.Join(folder, "hello.png"))
			out := &buffer{}
			command.Stdout, command.Stderr = out, out
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := theJob(ctx, namespace); err != nil {
				t.Fatal(err)
			}
			if err := command.Process.Signal(sent); err != nil {
				t.Fatal(err)
			}
			_ = command.Wait() // the exit code tells the result
			if code := command.ProcessState.ExitCode(); code != 130 || !slices.Contains(strings.Split(out.String(), "\n"), "interrupted") {
				t.Errorf("exit code %d, %s", code, out)
			}
			if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
				t.Errorf("the folder holds %v, %v", entries, err)
			}
			empty(t, namespace)
		})
	}
}
