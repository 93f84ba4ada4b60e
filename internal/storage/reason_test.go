// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storage_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platen-dev/platen/internal/storage"
)

func TestEveryReasonHasAdvice(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []storage.Reason
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
				declared = append(declared, storage.Reason(stringOf(spec.Values[0])))
			}
		}
		return true
	})
	listed := storage.Reasons()
	slices.Sort(declared)
	slices.Sort(listed)
	if diff := cmp.Diff(declared, listed); diff != "" {
		t.Errorf("declared reasons and reasons with advice (-declared +advised):\n%s", diff)
	}
	faults := []storage.Fault{storage.FaultOfConnection, storage.FaultOfFile, storage.FaultOfService}
	for _, reason := range listed {
		for _, provider := range []string{"dropbox", "s3"} {
			a := reason.Advice(provider)
			if !slices.Contains(faults, a.Fault) || a.Title == "" || strings.HasSuffix(a.Title, ".") || !strings.HasSuffix(a.Do, ".") {
				t.Errorf("%s for %s: %+v", reason, provider, a)
			}
			if provider == "s3" && strings.Contains(a.Do, "onnect the account again") && reason != storage.ReasonTokenExpired && reason != storage.ReasonMissingScope {
				t.Errorf("%s: nobody can connect a bucket: %s", reason, a.Do)
			}
		}
	}
}

// Providers, credentials and controllers take their reasons from the constants, and so from the table of advice.
func TestReasonsAreDeclaredOnce(t *testing.T) {
	isReason := map[string]bool{}
	for _, reason := range storage.Reasons() {
		isReason[string(reason)] = true
	}
	files := 0
	for _, root := range []string{"../../internal", "../../controllers", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "reason.go" {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil || !usesStorage(file) {
				return err
			}
			files++
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && isReason[stringOf(literal)] {
					t.Errorf("%s: use the constant of package storage for %s", set.Position(literal.Pos()), literal.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 15 {
		t.Errorf("only %d files were read", files)
	}
}

// usesStorage reports whether a file is of package storage or imports it.
func usesStorage(file *ast.File) bool {
	return file.Name.Name == "storage" || slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		return strings.HasSuffix(stringOf(i.Path), "/internal/storage")
	})
}

// stringOf returns the value of a string literal, and "" for anything else.
func stringOf(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	value, _ := strconv.Unquote(literal.Value)
	return value
}
