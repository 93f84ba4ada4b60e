// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package notices

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mit = `MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`

const gpl = `This program is free software: you can redistribute it and/or modify it under the terms of the GNU General Public License as published by
the Free Software Foundation, either version 3 of the License, or (at your option) any later version.

This program is distributed in the hope that it will be useful, but WITHOUT ANY WARRANTY; without even the implied warranty of
MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE. See the GNU General Public License for more details.

You should have received a copy of the GNU General Public License along with this program. If not, see <https://www.gnu.org/licenses/>.
`

// program writes a program that imports the package inner of a module with these files, and returns its folder.
func program(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	all := map[string]string{
		"go.mod":             "module example.com/program\n\ngo 1.26.0\n\nrequire example.com/library v1.0.0\n\nreplace example.com/library => ./library\n",
		"main.go":            "package main\n\nimport _ \"example.com/library/inner\"\n\nfunc main() {}\n",
		"library/go.mod":     "module example.com/library\n\ngo 1.26.0\n",
		"library/inner/a.go": "package inner\n",
		"library/other/a.go": "package other\n",
	}
	for name, text := range files {
		all["library/"+name] = text
	}
	for name, text := range all {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestOf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string // the expression
		error string
	}{
		"a license":                             {files: map[string]string{"LICENSE": mit}, want: "MIT"},
		"another spelling":                      {files: map[string]string{"licence.md": mit}, want: "MIT"},
		"a package from elsewhere":              {files: map[string]string{"LICENSE": mit, "inner/COPYING": gpl}, error: "example.com/library v1.0.0: the license GPL-3.0"},
		"a package that the program has not":    {files: map[string]string{"LICENSE": mit, "other/LICENSE": gpl}, want: "MIT"},
		"a notice is passed on, and no license": {files: map[string]string{"LICENSE": mit, "NOTICE": "Made by Somebody"}, want: "MIT"},
		"a notice alone":                        {files: map[string]string{"NOTICE": "Made by Somebody"}, error: "no license file was found"},
		"a license of the documents":            {files: map[string]string{"LICENSE": mit, "LICENSE.docs": gpl}, want: "MIT"},
		"documents alone":                       {files: map[string]string{"LICENSE.docs": mit}, error: "no license file was found"},
		"no license":                            {error: "example.com/library v1.0.0: no license file was found"},
		"a license that is not allowed":         {files: map[string]string{"LICENSE": gpl}, error: "is not allowed, expected one of 0BSD, Apache-2.0"},
		"a text of one's own":                   {files: map[string]string{"LICENSE": "Ask me first."}, error: "LICENSE is no license that is known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			modules, err := Of(t.Context(), program(t, test.files), ".", "")
			if test.error != "" {
				if err == nil || !strings.Contains(err.Error(), test.error) {
					t.Fatalf("error %v, want one with %q", err, test.error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, m := range modules {
				got[m.Path] = m.Expression()
			}
			if difference := cmp.Diff(map[string]string{"example.com/library": test.want, Std: "BSD-3-Clause"}, got); difference != "" {
				t.Errorf("licenses (-want +got):\n%s", difference)
			}
			text := string(Text(modules))
			for _, part := range test.files {
				if part != gpl && strings.Count(text, strings.TrimSpace(part)) != 1 {
					t.Errorf("the text does not have this once: %s", part)
				}
			}
		})
	}
}
