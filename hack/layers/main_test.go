// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUpdate(t *testing.T) {
	t.Parallel()
	packages := map[string]pkg{
		"cmd/manager":     {does: "starts everything", imports: []string{"internal/pool", "internal/render"}},
		"internal/pool":   {does: "decides", imports: []string{"internal/render"}},
		"internal/render": {},
	}
	const manager, pool, render = "| `cmd/manager` | stale | |\n", "| `internal/pool` | stale | `old` |\n", "| `internal/render` | by hand | `old` |\n"
	tests := map[string]struct {
		page    string
		want    string
		wantErr string
	}{
		"stale rows": {
			page: "text\n" + manager + pool + render,
			want: "text\n" +
				"| `cmd/manager` | starts everything | `pool` `render` |\n" +
				"| `internal/pool` | decides | `render` |\n" +
				"| `internal/render` | by hand | |\n",
		},
		"an import that goes up": {
			page:    manager + render + pool,
			wantErr: "internal/pool imports internal/render, whose row is above its own",
		},
		"a package without a row": {
			page:    manager + render,
			wantErr: "package internal/pool has no row",
		},
		"a row without a package": {
			page:    manager + pool + render + "| `internal/gone` | nothing | |\n",
			wantErr: "line 4: want one row for each package; `internal/gone`",
		},
		"two rows of a package": {
			page:    manager + pool + pool + render,
			wantErr: "line 3: want one row for each package; `internal/pool`",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := update(test.page, packages)
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
				t.Errorf("page (-want +got):\n%s", diff)
			}
		})
	}
}
