// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

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

func TestRootfsKey(t *testing.T) {
	t.Parallel()
	one := rootfsKey([]string{"tini", "fontconfig"}, []byte("x"))
	if one != rootfsKey([]string{"tini", "fontconfig"}, []byte("x")) {
		t.Error("the key is not stable")
	}
	if one == rootfsKey([]string{"tini"}, []byte("x")) || one == rootfsKey([]string{"tini fontconfig"}, []byte("x")) {
		t.Error("the key does not tell package lists apart")
	}
	if one == rootfsKey([]string{"tini", "fontconfig"}, []byte("y")) {
		t.Error("the key does not change with dpkg's configuration")
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
