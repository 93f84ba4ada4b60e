// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParsePackages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		list    string
		want    []string
		wantErr string
	}{
		"comments and blank lines": {list: "# fonts\n\nfonts-liberation # metric\n  tini\n", want: []string{"fonts-liberation", "tini"}},
		"epoch-like characters":    {list: "libstdc++6\n", want: []string{"libstdc++6"}},
		"two names in a line":      {list: "tini\na b\n", wantErr: `line 2: "a b"`},
		"an option":                {list: "--variant=x\n", wantErr: "line 1"},
		"nothing":                  {list: "# nothing\n", wantErr: "empty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parsePackages(strings.NewReader(test.list))
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error %v, want one with %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFurtherPackages(t *testing.T) {
	t.Parallel()
	plain, err := options{repo: "../.."}.rendererPackages()
	if err != nil {
		t.Fatal(err)
	}
	fonts, err := options{repo: "../..", packages: "hack/images/web-fonts.txt"}.rendererPackages()
	if err != nil || !slices.Contains(fonts, "chromium-headless-shell") || !slices.Contains(fonts, "fonts-lato") || slices.Contains(plain, "fonts-lato") {
		t.Errorf("%v, %v", fonts, err)
	}
	if _, err := (options{repo: "../..", packages: "hack/images/none.txt"}).rendererPackages(); err == nil {
		t.Error("a list that does not exist is no error")
	}
}

// Debian may drop a package of the lists, which a build would notice late. Without an index of Debian's packages, nobody can tell.
func TestPackagesExist(t *testing.T) {
	t.Parallel()
	if index, _ := filepath.Glob("/var/lib/apt/lists/*_Packages*"); len(index) == 0 { // the pattern is well-formed
		t.Skip("the machine has no index of Debian's packages: run apt-get update")
	}
	packages, err := options{repo: "../..", packages: "hack/images/web-fonts.txt"}.rendererPackages()
	if err != nil {
		t.Fatal(err)
	}
	policy, err := exec.CommandContext(t.Context(), "apt-cache", append([]string{"policy"}, packages...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range packages {
		_, about, found := strings.Cut("\n"+string(policy), "\n"+name+":\n")
		_, candidate, _ := strings.Cut(about, "Candidate: ")
		if version, _, _ := strings.Cut(candidate, "\n"); !found || version == "(none)" {
			t.Errorf("Debian has no package %s", name)
		}
	}
}

func TestRootfsKey(t *testing.T) {
	t.Parallel()
	one := rootfsKey([]string{"tini", "fontconfig"}, []byte("x"), "z")
	if one != rootfsKey([]string{"tini", "fontconfig"}, []byte("x"), "z") {
		t.Error("the key is not stable")
	}
	if one == rootfsKey([]string{"tini"}, []byte("x"), "z") || one == rootfsKey([]string{"tini fontconfig"}, []byte("x"), "z") {
		t.Error("the key does not tell package lists apart")
	}
	if one == rootfsKey([]string{"tini", "fontconfig"}, []byte("x"), "y") {
		t.Error("the key does not change with the program that makes the dictionaries")
	}
	if one == rootfsKey([]string{"tini", "fontconfig"}, []byte("y"), "z") {
		t.Error("the key does not change with dpkg's configuration")
	}
}

func TestParseVersions(t *testing.T) {
	t.Parallel()
	got, err := parseVersions("NOTE: only a simulation\nInst tini (0.19.0-1 Debian:12.15/oldstable [amd64])\nInst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64]) []\nConf tini (0.19.0-1 Debian)\n")
	if want := []string{"libc6 2.36-9+deb12u14", "tini 0.19.0-1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if _, err := parseVersions("0 upgraded"); err == nil {
		t.Error("a plan without packages is no error")
	}
}

func TestRootfsCacheHasOneOfEachVersion(t *testing.T) {
	t.Parallel()
	c := rootfsCache{dir: t.TempDir(), key: "key"}
	built, begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	add := func(version string, now time.Time) []string {
		t.Helper()
		versions := []string{chromiumPackage + " " + version, "tini 1"}
		if err := os.WriteFile(c.path(versions), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(c.path(versions), built, built); err != nil {
			t.Fatal(err)
		}
		if _, d, err := c.add(versions, now); err != nil || d.Chromium != version || !d.Built.Equal(built) || !d.Checked.Equal(now) {
			t.Fatalf("%+v, %v", d, err)
		}
		return versions
	}
	if _, _, err := c.newest(); err == nil {
		t.Error("an empty cache has a newest file system")
	}
	old := add("1", begin)
	if _, _, err := c.confirm([]string{chromiumPackage + " 2", "tini 1"}, begin); err == nil {
		t.Error("the cache has packages that were never installed")
	}
	current := add("2", begin.Add(time.Hour))
	if _, d, err := c.newest(); err != nil || d.Chromium != "2" {
		t.Errorf("newest: %+v, %v", d, err)
	}
	if _, d, err := c.confirm(old, begin.Add(2*time.Hour)); err != nil || !d.Checked.Equal(begin.Add(2*time.Hour)) {
		t.Errorf("what another build reads was removed: %+v, %v", d, err)
	}
	add("3", begin.Add(25*time.Hour))
	if _, _, err := c.confirm(old, begin); err == nil {
		t.Error("a file system is kept for ever")
	}
	if _, _, err := c.confirm(current, begin); err != nil {
		t.Error(err)
	}
}

func TestAgeOfChromium(t *testing.T) {
	t.Parallel()
	for hours, want := range map[int]string{0: "0 hours", 1: "1 hour", 47: "47 hours", 48: "2 days", 24 * 90: "90 days"} {
		if got := days(time.Duration(hours) * time.Hour); got != want {
			t.Errorf("%d hours: %q, want %q", hours, got, want)
		}
	}
}

func TestSelectImages(t *testing.T) {
	t.Parallel()
	noShim := func(name string) bool { return name != "shim" }
	got, err := selectImages("", noShim)
	if err != nil || slices.Contains(got, "shim") || len(got) != len(imageNames)-1 {
		t.Errorf("default: %v, %v, want all but shim", got, err)
	}
	if got, err := selectImages("renderer,manager", noShim); err != nil || !slices.Equal(got, []string{"renderer", "manager"}) {
		t.Errorf("named: %v, %v", got, err)
	}
	for _, only := range []string{"shim", "nothing", "manager,"} {
		if _, err := selectImages(only, noShim); err == nil {
			t.Errorf("-only %q succeeds, want an error", only)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	o := options{dir: "/images", prefix: "registry.example/platen", tag: "failpoints"}
	if got := o.reference("manager"); got != "registry.example/platen/manager:failpoints" {
		t.Error(got)
	}
	if got := o.archive("manager"); got != "/images/manager-failpoints.tar" {
		t.Error(got)
	}
	o.tag = "dev"
	if got := o.archive("manager"); got != "/images/manager.tar" {
		t.Error(got)
	}
}
