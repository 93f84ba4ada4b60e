// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// newSession makes a session for a page in a repository with a Makefile, a folder cmd/tool and samples.
func newSession(t *testing.T, text string) *Session {
	t.Helper()
	page, err := Parse("page.md", text)
	if err != nil {
		t.Fatal(err)
	}
	repository := t.TempDir()
	for name, content := range map[string]string{
		"Makefile": "demo: deploy ## Run it.\n", "cmd/tool/main.go": "package main\n", "config/samples/a.yaml": "namespace: marketing\n",
	} {
		path := filepath.Join(repository, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "-C", repository, "init", "--quiet").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s, err := NewSession(page, Options{Root: repository, Folder: t.TempDir(), Env: []string{"GREETING=hello"}, Namespace: "docs-abc"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// runAll runs the blocks until one fails.
func runAll(t *testing.T, s *Session) error {
	t.Helper()
	for _, b := range s.page.Blocks {
		if !b.Runs(false) {
			continue
		}
		if err := s.Run(t.Context(), b); err != nil {
			return err
		}
	}
	return nil
}

func TestRun(t *testing.T) {
	tests := map[string]string{
		"sh":                         "```sh\ntest \"$GREETING\" = hello\n```\n",
		"console":                    "```console\n$ echo one; echo two >&2\none\ntwo\n$ printf x; printf y\nxy\n```\n",
		"a command of several lines": "```console\n$ echo a \\\n    b\na b\n```\n",
		"an exit code":               "```console\n$ sh -c 'echo no; exit 3'\nno\n$ echo $?\n3\n```\n",
		"a variable for later":       "<!-- setup\nexport A=1 B='x\ny'\n-->\n\n```console\n$ echo $A \"$B\"\n1 x\ny\n$ export A=2\n```\n\n```sh\ntest $A = 2\n```\n",
		"a folder for all":           "```sh\nmkdir sub; cd sub; echo hi >file\n```\n\n```console\n$ cat sub/file; basename \"$PWD\"\nhi\ntree\n```\n",
		"the page's files":           "<!-- file: a.yaml -->\n```yaml\nnamespace: marketing\n```\n\n```console\n$ grep -c docs-abc a.yaml config/samples/a.yaml\na.yaml:1\nconfig/samples/a.yaml:1\n```\n",
		"the namespace":              "```console\n$ echo marketing=docs-a\"\"bc\nmarketing=marketing\n$ echo a/marketing.yaml | wc -c\n17\n```\n",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if err := runAll(t, newSession(t, text)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRunReportsFailures(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"sh": {
			"```sh\ntrue\nls /nowhere\ntrue\n```\n",
			[]string{"page.md:3: ls /nowhere", "expected: exit code 0", "got: exit status 2", "No such file"},
		},
		"a command that is not there": {"```sh\nplatenn render\n```\n", []string{"page.md:2: platenn render", "command not found"}},
		"a pipe":                      {"```sh\nfalse | cat\n```\n", []string{"page.md:2:"}},
		"setup":                       {"\n<!-- setup\ntrue\nfalse\n-->\n", []string{"page.md:4: false"}},
		"an unset variable":           {"```sh\necho $NOTHING\n```\n", []string{"page.md:2: echo $NOTHING", "NOTHING: unbound variable"}},
		"output": {
			"```console\n$ true\n$ echo a; echo c\na\nb\n```\n",
			[]string{"page.md:3: echo a; echo c", "  expected:\n    a\n    b\n  got:\n    a\n    c\n", "the first difference is at line 5"},
		},
		"output that is missing": {"```console\n$ true\nhello\n```\n", []string{"page.md:2: true", "  got:\n    (nothing)\n"}},
		"output too much":        {"```console\n$ echo hello\n```\n", []string{"page.md:2: echo hello", "  expected:\n    (nothing)\n"}},
		"an exit code":           {"```console\n$ sh -c 'exit 3'\n```\n", []string{"page.md:2: sh -c", "got: exit code 3"}},
		"an end of the shell":    {"```console\n$ exit 0\n$ true\n```\n", []string{"page.md:2: exit 0", "the shell has exited"}},
		"no shell's language":    {"```console\n$ echo 'a\n```\n", []string{"page.md:2: echo 'a", "unexpected EOF"}},
		"the namespace":          {"```sh\nls marketing\n```\n", []string{"page.md:2: ls marketing", "'marketing': No such file"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := runAll(t, newSession(t, test.text))
			if err == nil {
				t.Fatal("no failure was reported")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the report has no %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestCloseEndsBackgroundCommands(t *testing.T) {
	s := newSession(t, "```sh\nsleep 600 &\n```\n")
	if err := runAll(t, s); err != nil {
		t.Fatal(err)
	}
	group := s.groups[0]
	if err := syscall.Kill(-group, 0); err != nil {
		t.Fatalf("the command in the background has ended with its block: %v", err)
	}
	s.Close()
	for syscall.Kill(-group, 0) == nil { // until init has reaped it
		if t.Context().Err() != nil {
			t.Fatal("the command still runs")
		}
	}
}

func TestRehearse(t *testing.T) {
	tests := map[string]struct {
		block Block
		// want is empty if the block is fine.
		want string
	}{
		"make":                {Block{Language: Shell, Text: "make demo # well\n"}, ""},
		"make, unknown":       {Block{Language: Shell, Text: "make demo\nmake demos\n"}, "page.md:2: make demos"},
		"go":                  {Block{Language: Shell, Text: "go install github.com/platen-dev/platen/cmd/tool@latest\n"}, ""},
		"go, unknown":         {Block{Language: Shell, Text: "go run ./cmd/toll\n"}, "there is no folder ./cmd/toll"},
		"plugin":              {Block{Language: Console, Text: "$ kubectl platen connect dropbox --app-key m4v7... \\\n    -n marketing\nOpening\n"}, ""},
		"plugin, command":     {Block{Language: Shell, Text: "kubectl platen conect dropbox\n"}, "kubectl platen has no command conect dropbox"},
		"plugin, subcommand":  {Block{Language: Shell, Text: "kubectl platen connect dropboxx\n"}, "no command connect dropboxx"},
		"plugin, flag":        {Block{Language: Console, Text: "$ true\n\n$ kubectl platen render banner --sett a=b\n"}, "page.md:3: "},
		"no shell's language": {Block{Language: Shell, Text: "docker build (\n"}, "syntax error"},
		"a pipe":              {Block{Language: Shell, Text: "printf '%0200000d' 1 | docker build -\nprintf '%0200000d' 1 | kubectl apply -f -\n"}, ""},
		"anything else":       {Block{Language: Shell, Text: "cd platen\ncurl https://example.com | sh\nrm -rf \"$HOME\"\n"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.block.Line, test.block.NotRun = 1, "for the test"
			s := newSession(t, "")
			err := s.Rehearse(t.Context(), test.block)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if _, err := os.Stat(s.tree()); err != nil {
				t.Errorf("a command has run: %v", err)
			}
		})
	}
}

func TestCheckYAML(t *testing.T) {
	job := "apiVersion: platen.dev/v1alpha1\nkind: RenderJob\nmetadata: {name: a, namespace: marketing}\n"
	tests := map[string]struct {
		block Block
		want  string
	}{
		"objects":        {Block{Text: job + "spec: {templateRef: {name: a}}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n"}, ""},
		"a part":         {Block{Text: "spec:\n  output: {format: pdf}\n", PartOf: "RenderJob"}, ""},
		"no YAML":        {Block{Text: "a: b: c\n"}, "mapping values are not allowed"},
		"unknown field":  {Block{Text: job + "spec: {templateRef: {name: a}, outputs: {}}\n"}, `unknown field "spec.outputs"`},
		"required field": {Block{Text: job + "spec: {}\n"}, "spec.templateRef"},
		"rule":           {Block{Text: "spec: {output: {format: png, pdf: {dpi: 96}}}\n", PartOf: "RenderJob"}, "pdf options need format pdf"},
		"unknown kind":   {Block{Text: strings.Replace(job, "RenderJob", "RenderJop", 1)}, "RenderJop"},
		"second object":  {Block{Text: "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n---\n" + job}, "spec"},
		"unknown part":   {Block{Text: "spec: {}\n", PartOf: "RenderJop"}, "names no kind of Platen"},
		"no spec":        {Block{Text: "output: {}\n", PartOf: "RenderJob"}, "must begin with 'spec:'"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := CheckYAML(t.Context(), api, "page.md", test.block)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
