// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func testCluster(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	return &cluster{progress: newProgress(io.Discard), state: filepath.Join(dir, "state"), run: filepath.Join(dir, "run"),
		cache: filepath.Join(dir, "cache")}
}

func TestConfigIsComplete(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	if err := os.MkdirAll(c.state, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.ensurePKI(); err != nil {
		t.Fatal(err)
	}
	if err := c.writeConfig("/bin"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig has mode %o, want 600", info.Mode().Perm())
	}
	for _, name := range []string{"config/kubelet.yaml", "config/audit-policy.yaml", "kubeconfig"} {
		var content map[string]any
		data, err := os.ReadFile(c.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(data, &content); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cni, err := os.ReadFile(c.path("config", "cni", "10-platen-dev.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(cni) {
		t.Errorf("the CNI configuration is no JSON:\n%s", cni)
	}
	// writeConfig and ensurePKI must make every file of each daemon.
	for name, d := range c.daemons("/bin") {
		for _, file := range d.files {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestCertificatesVerify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writePKI(dir); err != nil {
		t.Fatal(err)
	}
	read := func(name string) *x509.Certificate {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	roots := x509.NewCertPool()
	roots.AddCert(read("ca"))
	for _, name := range []string{nodeIP, apiIP, "kubernetes.default.svc"} {
		if _, err := read("apiserver").Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := read("kubelet").Verify(x509.VerifyOptions{Roots: roots, KeyUsages: usage}); err != nil {
		t.Error(err)
	}
	if got := read("kubelet").Subject.String(); got != "CN=system:node:platen-dev,O=system:nodes" {
		t.Errorf("kubelet is %s; the node authorizer would not know it", got)
	}
}

func TestCacheKey(t *testing.T) {
	t.Parallel()
	base := cacheKey([]string{"-a", "-b"}, []byte("mod"), []byte("sum"))
	for name, other := range map[string]string{
		"go.mod":   cacheKey([]string{"-a", "-b"}, []byte("mod2"), []byte("sum")),
		"go.sum":   cacheKey([]string{"-a", "-b"}, []byte("mod"), []byte("sum2")),
		"flags":    cacheKey([]string{"-a"}, []byte("mod"), []byte("sum")),
		"boundary": cacheKey([]string{"-a", "-b"}, []byte("mods"), []byte("um")),
	} {
		if other == base {
			t.Errorf("the key does not change with %s", name)
		}
	}
	if again := cacheKey([]string{"-a", "-b"}, []byte("mod"), []byte("sum")); again != base {
		t.Errorf("the key is not stable: %s, then %s", base, again)
	}
}

func TestBuiltName(t *testing.T) {
	t.Parallel()
	for importPath, want := range map[string]string{
		"go.etcd.io/etcd/server/v3":                         "/d/server",
		"k8s.io/kubernetes/cmd/kubelet":                     "/d/kubelet",
		"github.com/containerd/containerd/v2/cmd/ctr":       "/d/ctr",
		"github.com/containerd/containerd/v2/cmd/verbosity": "/d/verbosity",
	} {
		if got := builtName("/d", importPath); got != want {
			t.Errorf("builtName(%q) = %q, want %q", importPath, got, want)
		}
	}
}

func TestLinkFolder(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	if err := os.MkdirAll(c.cache, 0o755); err != nil {
		t.Fatal(err)
	}
	one, err1 := c.linkFolder(map[string]string{"a": "/x/a", "b": "/x/b"})
	again, err2 := c.linkFolder(map[string]string{"b": "/x/b", "a": "/x/a"})
	other, err3 := c.linkFolder(map[string]string{"a": "/x/a"})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if one != again || one == other {
		t.Errorf("folders %s, %s and %s: want the first two to be one, the third another", one, again, other)
	}
	if target, err := os.Readlink(filepath.Join(one, "a")); err != nil || target != "/x/a" {
		t.Errorf("link a leads to %q, %v", target, err)
	}
}

func TestMounts(t *testing.T) {
	t.Parallel()
	mounts := parseMounts(strings.Join([]string{
		`1 0 8:1 / / rw - ext4 /dev/vda rw`,
		`2 1 0:2 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup rw,cpu`,
		`3 1 0:3 / /co/.devcluster/a\040b rw - overlay rw`,
		`4 3 0:4 / /co/.devcluster/a\040b/c rw - tmpfs rw`,
		`5 1 0:5 / /co/.devcluster2/x rw - tmpfs rw`,
		`not a mount`,
	}, "\n"))
	if len(mounts) != 5 || mounts[1] != (mount{point: "/sys/fs/cgroup/cpu", fsType: "cgroup"}) {
		t.Errorf("parseMounts = %+v", mounts)
	}
	want := []string{"/co/.devcluster/a b/c", "/co/.devcluster/a b"}
	if diff := cmp.Diff(want, below(mounts, "/co/.devcluster", "/run/platen-dev")); diff != "" {
		t.Errorf("mounts below the state folder, last first (-want +got):\n%s", diff)
	}
}

func TestPresentLayersAreLeftOut(t *testing.T) {
	t.Parallel()
	var in, out bytes.Buffer
	tw := tar.NewWriter(&in)
	for _, name := range []string{"oci-layout", "blobs/sha256/aa", "blobs/sha256/bb"} {
		if err := tw.WriteHeader(&tar.Header{Name: name, Size: 4, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte("data")); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	archive := bytes.NewReader(in.Bytes())
	if oci, err := isOCIArchive(archive); err != nil || !oci {
		t.Fatalf("isOCIArchive = %v, %v", oci, err)
	}
	if err := copyTarWithout(&out, archive, map[string]bool{"blobs/sha256/aa": true}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for tr := tar.NewReader(&out); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	if want := []string{"oci-layout", "blobs/sha256/bb"}; !slices.Equal(names, want) {
		t.Errorf("entries %v, want %v", names, want)
	}
}

func TestUnknownCommandsAndBinaries(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"fly"}, {"down", "now"}, {"load-image"}, {"binaries", "--only", "kubectl-x"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("run(%q) succeeds, want an error", args)
		}
	}
}

// The API servers of hack/devcluster/minors are those of the two minors before the cluster's.
func TestOlderMinors(t *testing.T) {
	t.Parallel()
	minor := func(version string) (n int) {
		if _, err := fmt.Sscanf(version, "v1.%d.", &n); err != nil {
			t.Fatalf("the version %s: %v", version, err)
		}
		return n
	}
	current := minor(kubernetesVersion)
	want := []string{fmt.Sprintf("1.%d", current-2), fmt.Sprintf("1.%d", current-1)}
	folders, err := os.ReadDir("minors")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(folders))
	for _, folder := range folders {
		got = append(got, folder.Name())
		module, err := os.ReadFile(filepath.Join("minors", folder.Name(), "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		version, err := kubernetesOf(module)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(version, "v"+folder.Name()+".") {
			t.Errorf("minors/%s has Kubernetes %s", folder.Name(), version)
		}
	}
	for path, text := range map[string]string{
		"../../docs/operations/upgrade.md": fmt.Sprintf("%s, %s and 1.%d now", want[0], want[1], current),
		"../../charts/platen/Chart.yaml":   fmt.Sprintf(`kubeVersion: ">=%s.0-0"`, want[0]),
	} {
		if data, err := os.ReadFile(path); err != nil || !strings.Contains(string(data), text) {
			t.Errorf("%s does not say %q: %v", path, text, err)
		}
	}
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("the two minors before %s (-) and those in hack/devcluster/minors (+) differ:\n%s", kubernetesVersion, difference)
	}
}
