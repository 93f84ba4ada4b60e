// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/testenv"
)

const root = "../.."

var (
	// api knows Platen's CRDs.
	api client.Client
	// pages are the repository's pages.
	pages []Page
)

// kubectl without a cluster runs the plugin only.
const kubectl = `#!/bin/sh
[ "$1" = platen ] || { echo "a block with this command needs the mark <!-- run on the cluster -->"; exit 1; }
shift
exec kubectl-platen "$@"
`

func TestMain(m *testing.M) { os.Exit(run(m)) }

// TestSources lets Go run these tests again after a change of the plugin.
func TestSources(t *testing.T) {
	if err := program.See(t.Context(), root, "kubectl-platen"); err != nil {
		t.Fatal(err)
	}
	if err := program.SeeFolder(filepath.Join(root, "hack/tools/gateway-api")); err != nil {
		t.Fatal(err)
	}
}

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	if err := BuildPlugin(root); err != nil {
		return fail(err)
	}
	folder, err := os.MkdirTemp("", "docs-*")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := os.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "kubectl"), []byte(kubectl), 0o700); err != nil {
		return fail(err)
	}
	environment, err := testenv.New()
	if err != nil {
		return fail(err)
	}
	gateways, err := gatewayCRDs()
	if err != nil {
		return fail(err)
	}
	environment.CRDDirectoryPaths = append(environment.CRDDirectoryPaths, gateways...)
	config, err := environment.Start()
	if err != nil {
		return fail(err)
	}
	defer func() { _ = environment.Stop() }()
	scheme, err := testenv.Scheme()
	if err != nil {
		return fail(err)
	}
	if api, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fail(err)
	}
	if pages, err = ReadPages(root); err != nil {
		return fail(err)
	}
	return m.Run()
}

// gatewayCRDs returns the files of the Gateway API's CRDs that pages use, at the version in hack/tools/gateway-api.
func gatewayCRDs() ([]string, error) {
	const module = "sigs.k8s.io/gateway-api"
	out, err := exec.Command("go", "-C", filepath.Join(root, "hack/tools/gateway-api"), "mod", "download", "-json", module).Output()
	if err != nil {
		return nil, fmt.Errorf("downloading %s: %w: %s", module, err, out)
	}
	var found struct{ Dir string }
	err = json.Unmarshal(out, &found)
	return []string{filepath.Join(found.Dir, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml")}, err
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "preparing the tests:", err)
	return 1
}

// TestCommands runs every block that needs no cluster, and rehearses those that are not run. test/e2e/docs runs the others.
func TestCommands(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none")) // a command that needs a cluster must say so
	for _, page := range pages {
		t.Run(page.Path, func(t *testing.T) {
			if !slices.ContainsFunc(page.Blocks, func(b Block) bool { return b.Runs(false) || rehearsed(b) }) {
				return // a copy of the repository takes longer than most commands
			}
			s, err := NewSession(page, Options{Root: root, Folder: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, b := range page.Blocks {
				switch {
				case b.Runs(false):
					if err := s.Run(t.Context(), b); err != nil {
						t.Fatal(err) // later blocks build on it
					}
				case rehearsed(b):
					t.Logf("%s:%d is not run: %s", page.Path, b.Line, b.NotRun)
					if err := s.Rehearse(t.Context(), b); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// rehearsed reports whether a block has commands that are not run.
func rehearsed(b Block) bool { return b.NotRun != "" && b.Language != YAML }

// TestYAML checks every YAML block with an API server.
func TestYAML(t *testing.T) {
	for _, page := range pages {
		for _, b := range page.Blocks {
			if b.Language != YAML || b.NotRun != "" {
				continue
			}
			check := func() error { return CheckYAML(t.Context(), api, page.Path, b) }
			if b.File == "kustomization.yaml" {
				check = func() error { return CheckKustomization(root, page, b) }
			}
			if err := check(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestPagesAreFound guards against a walk that finds nothing.
func TestPagesAreFound(t *testing.T) {
	for _, path := range []string{"README.md", "CONTRIBUTING.md", "docs/operations/kubectl.md"} {
		if !slices.ContainsFunc(pages, func(p Page) bool { return p.Path == path && len(p.Blocks) > 0 }) {
			t.Errorf("no blocks were found in %s", path)
		}
	}
}
