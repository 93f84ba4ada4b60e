// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/platen-dev/platen/test/suite"
)

// kubectl's flags choose the cluster, the user and the namespace of the plugin too.
func TestKubectlsFlags(t *testing.T) {
	namespace := studio(t)
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, config.Clusters["test"].CertificateAuthorityData, 0o600); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "robot"}}
	if err := api.Create(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	token := &authenticationv1.TokenRequest{}
	if err := api.SubResource("token").Create(t.Context(), account, token); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "kubeconfig")
	config.CurrentContext = "none"
	if err := clientcmd.WriteToFile(*config, elsewhere); err != nil {
		t.Fatal(err)
	}
	server := []string{"--kubeconfig", os.DevNull, "--server", config.Clusters["test"].Server, "--certificate-authority", authority}
	for name, x := range map[string]struct {
		args []string
		code int
		text string
	}{
		"a context":             {args: []string{"--kubeconfig", elsewhere, "--context", "test"}, text: "banner"},
		"no context":            {args: []string{"--kubeconfig", elsewhere}, code: 1, text: "specified context: none; list those that there are with kubectl --kubeconfig=" + elsewhere + " config get-contexts"},
		"a user":                {args: []string{"--kubeconfig", kubeconfig, "--as", "ada"}, code: 1, text: `User "ada" cannot list resource "rendertemplates"`},
		"a group":               {args: []string{"--kubeconfig", kubeconfig, "--as", "ada", "--as-group", "system:masters"}, text: "banner"},
		"a server and a token":  {args: append(server, "--token", token.Status.Token), code: 1, text: `User "system:serviceaccount:` + namespace + `:robot" cannot list`},
		"a token of nobody":     {args: append(server, "--token", "nobody"), code: 1, text: "the cluster does not accept your login"},
		"no server":             {args: []string{"--kubeconfig", kubeconfig, "--server", "https://127.0.0.1:1"}, code: 1, text: "the cluster could not be reached"},
		"the requests":          {args: []string{"--kubeconfig", kubeconfig, "-v=9"}, text: "/apis/platen.dev/v1alpha1/namespaces/" + namespace + "/rendertemplates"},
		"an unknown verbosity":  {args: []string{"--kubeconfig", kubeconfig, "-v", "much"}, code: 2, text: `invalid argument "much"`},
		"how long a call takes": {args: []string{"--kubeconfig", kubeconfig, "--request-timeout", "1ns"}, code: 1, text: "the cluster has not answered in time"},
	} {
		t.Run(name, func(t *testing.T) {
			r := execute(t, binary, append([]string{"templates", "-n", namespace}, x.args...)...)
			if r.code != x.code || !strings.Contains(r.out+r.errOut, x.text) {
				t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
			}
		})
	}
}

// Where nothing is, a namespace that does not exist is the likely cause.
func TestNoNamespace(t *testing.T) {
	for name, args := range map[string][]string{
		"a template": {"render", "banner"}, "a list": {"status"}, "a file of the namespace": {"lint", "banner"}, "a job": {"fetch", "summer"}, "the card": {"try", "--platen-namespace", installed(t)},
		"an account": {"connections"},
	} {
		t.Run(name, func(t *testing.T) {
			r := platen(t, append(args, "-n", "no-such-namespace")...)
			if r.code != 1 || !strings.Contains(r.errOut, "namespace no-such-namespace does not exist: create it (kubectl create namespace no-such-namespace), or choose another with -n") {
				t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
			}
		})
	}
}

// Who may read a job may not read its files through the API server: the message says which right is missing, in one sentence.
func TestFetchWithoutTheRight(t *testing.T) {
	namespace := studio(t)
	made(t, namespace, "summer", rendered("http://127.0.0.1:1", "one"))
	allow(t, namespace, "ada", []string{"renderjobs"}, "get", "list")
	suite.Eventually(t, "the message names the right", func() error {
		r := platen(t, "fetch", "summer", "-n", namespace, "-o", t.TempDir(), "--as", "ada")
		if r.code != 1 || !strings.Contains(r.errOut, `"ada" cannot get resource "services/proxy"`) || !strings.Contains(r.errOut, "; ask for the right to get services/proxy in namespace platen-system, or for content URLs") ||
			strings.Contains(r.errOut, "{") || !strings.Contains(r.errOut, "connection refused; through the API server: HTTP 403 ") {
			return fmt.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
		}
		return nil
	})
}
