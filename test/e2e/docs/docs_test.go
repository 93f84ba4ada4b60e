// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs runs the blocks of the documentation that need a cluster: one with Platen and the Dropbox simulator. Each page has its
// own namespace, which the test deletes at the end. test/docs runs the other blocks.
package docs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/platen-dev/platen/test/cluster"
	"github.com/platen-dev/platen/test/docs"
)

const root = "../../.."

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := docs.BuildPlugin(root); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the tests:", err)
		return 1
	}
	return m.Run()
}

func TestCommands(t *testing.T) {
	pages, err := docs.ReadPages(root)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if !slices.ContainsFunc(page.Blocks, onCluster) {
			continue
		}
		t.Run(page.Path, func(t *testing.T) {
			namespace := newNamespace(t, c)
			kubeconfig := writeKubeconfig(t, namespace)
			s, err := docs.NewSession(page, docs.Options{
				Root: root, Folder: t.TempDir(), Namespace: namespace, Env: []string{"KUBECONFIG=" + kubeconfig},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, b := range page.Blocks {
				if !onCluster(b) {
					continue
				}
				if err := s.Run(t.Context(), b); err != nil {
					t.Fatal(err) // later blocks build on it
				}
			}
		})
	}
}

func onCluster(b docs.Block) bool { return b.Runs(true) }

// newNamespace makes a namespace that enforces PodSecurity "restricted" and goes away with the test.
func newNamespace(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "docs-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Delete(context.WithoutCancel(t.Context()), namespace); err != nil {
			t.Errorf("deleting namespace %s: %v", namespace.Name, err)
		}
	})
	return namespace.Name
}

// writeKubeconfig copies the kubeconfig and makes a namespace its default.
func writeKubeconfig(t *testing.T, namespace string) string {
	t.Helper()
	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}
