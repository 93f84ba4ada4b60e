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
	imports := map[string][]string{
		"cmd/manager":   {"internal/pool", "internal/render"},
		"internal/pool": {"internal/render"}, "internal/render": {},
	}
	const manager, pool, render = "| `cmd/manager` | starts everything | ", "| `internal/pool` | decides | ", "| `internal/render` | draws | "
	tests := map[string]struct {
		page    string
		want    string
		wantErr string
	}{
		"stale imports": {
			page: "text\n" + manager + "|\n" + pool + "`old` |\n" + render + "`old` |\n",
			want: "text\n" + manager + "`pool` `render` |\n" + pool + "`render` |\n" + render + "|\n",
		},
		"an import that goes up": {
			page:    manager + "|\n" + render + "|\n" + pool + "|\n",
			wantErr: "internal/pool imports internal/render, whose row is above its own",
		},
		"a package without a row": {
			page:    manager + "|\n" + render + "|\n",
			wantErr: "package internal/pool has no row",
		},
		"a row without a package": {
			page:    manager + "|\n" + pool + "|\n" + render + "|\n" + "| `internal/gone` | nothing | |\n",
			wantErr: "line 4: want one row for each package; `internal/gone`",
		},
		"two rows of a package": {
			page:    manager + "|\n" + pool + "|\n" + pool + "|\n" + render + "|\n",
			wantErr: "line 3: want one row for each package; `internal/pool`",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := update(test.page, imports)
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
