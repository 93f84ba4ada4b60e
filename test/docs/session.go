// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// blockTimeout bounds one block.
const blockTimeout = 5 * time.Minute

// namespace is the pages' name for their namespace. A session replaces it with its own name, and back in the output of commands.
const namespace = "marketing"

var (
	//go:embed prelude.sh
	prelude string
	//go:embed rehearsal.sh
	rehearsal string
)

// Options of a session.
type Options struct {
	// Root of the repository.
	Root string
	// Folder is the session's working folder; it must be empty.
	Folder string
	// Env is added to the environment of the commands.
	Env []string
	// Namespace replaces the pages' namespace; empty means that pages keep theirs.
	Namespace string
}

// Session runs the blocks of one page: each in its own shell, all in one copy of the repository, with one environment. A block passes
// the variables that it exports on to the blocks after it.
type Session struct {
	options Options
	page    Page
	// groups are the process groups of the blocks that have run: a command may go on in the background.
	groups []int
}

// NewSession copies the repository's files, as a clone would have them, and saves the page's files. Close ends the session.
func NewSession(page Page, options Options) (*Session, error) {
	s := &Session{options: options, page: page}
	if err := s.copyTree(); err != nil {
		return nil, fmt.Errorf("copying the repository: %w", err)
	}
	for _, b := range page.Blocks {
		if b.File != "" {
			if err := os.WriteFile(filepath.Join(s.tree(), b.File), []byte(s.own(b.Text)), 0o600); err != nil {
				return nil, err
			}
		}
	}
	for name, text := range map[string]string{"prelude.sh": prelude, "rehearsal.sh": rehearsal} {
		if err := os.WriteFile(s.state(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close ends what the blocks have left running.
func (s *Session) Close() {
	for _, group := range s.groups {
		_ = syscall.Kill(-group, syscall.SIGKILL) // fails if everything in the group has ended
	}
}

func (s *Session) tree() string             { return filepath.Join(s.options.Folder, "tree") }
func (s *Session) state(name string) string { return filepath.Join(s.options.Folder, name) }

// own replaces the pages' namespace with the session's.
func (s *Session) own(text string) string { return replaceWord(text, namespace, s.options.Namespace) }

// theirs replaces the session's namespace with the pages'.
func (s *Session) theirs(text string) string {
	return replaceWord(text, s.options.Namespace, namespace)
}

// replaceWord replaces a word, except in file names such as marketing.yaml.
func replaceWord(text, word, by string) string {
	if word == "" || by == "" {
		return text
	}
	return regexp.MustCompile(`\b`+regexp.QuoteMeta(word)+`\b(\.yaml)?`).ReplaceAllStringFunc(text, func(found string) string {
		if found != word {
			return found
		}
		return by
	})
}

func (s *Session) copyTree() error {
	list := exec.Command("git", "-C", s.options.Root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	names, err := list.Output()
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		from, to := filepath.Join(s.options.Root, name), filepath.Join(s.tree(), name)
		info, err := os.Stat(from)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "config/samples/") {
			data = []byte(s.own(string(data)))
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// Run runs a block. The error names the page, the line and the command, and says what was expected and what came.
func (s *Session) Run(ctx context.Context, b Block) error {
	if b.Language == Console {
		return s.runConsole(ctx, b)
	}
	return s.runShell(ctx, b)
}

// Rehearse checks a block without running it: the shell must be able to read it, and the make targets, the folders given to go, and the
// commands and flags of kubectl platen must exist. Other commands do nothing.
func (s *Session) Rehearse(ctx context.Context, b Block) error {
	if b.Language == Console {
		b.Text = commandsOnly(b.Text)
	}
	targets, err := s.makeTargets()
	if err != nil {
		return err
	}
	plugin, err := exec.LookPath("kubectl-platen")
	if err != nil {
		return fmt.Errorf("looking for the plugin: %w", err)
	}
	return s.runShell(ctx, b, "BASH_ENV="+s.state("rehearsal.sh"), "TARGETS="+targets, "PLUGIN="+plugin, "HOME="+s.options.Folder)
}

var target = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)

// makeTargets lists the targets of the Makefile, each between spaces.
func (s *Session) makeTargets() (string, error) {
	makefile, err := os.ReadFile(filepath.Join(s.tree(), "Makefile"))
	if err != nil {
		return "", err
	}
	var list strings.Builder
	list.WriteString(" ")
	for _, match := range target.FindAllStringSubmatch(string(makefile), -1) {
		list.WriteString(match[1] + " ")
	}
	return list.String(), nil
}

func (s *Session) runShell(ctx context.Context, b Block, env ...string) error {
	out, err := s.shell(ctx, b.Text, env...)
	if err == nil {
		return nil
	}
	line, command := b.Line, strings.TrimSpace(b.Text)
	if failed, readErr := os.ReadFile(s.state("failed")); readErr == nil {
		lines := splitLines(b.Text)
		if n, err := strconv.Atoi(strings.TrimSpace(string(failed))); err == nil && n <= len(lines) {
			line, command = b.Line+n-1, strings.TrimSpace(lines[n-1])
		}
	}
	return fmt.Errorf("%s:%d: %s\n  expected: exit code 0\n  got: %w, after\n%s", s.page.Path, line, command, err, indent(out))
}

// separator stands in the output after each command of a console block, before its exit code.
const separator = "\x01"

func (s *Session) runConsole(ctx context.Context, b Block) error {
	steps := parseConsole(b.Text)
	var script strings.Builder
	script.WriteString("set +e; trap - ERR; ")
	for _, step := range steps {
		fmt.Fprintf(&script, "%s\n{ code=$?; printf '\\n%s%%d\\n' $code; (exit $code); }\n", step.command, separator)
	}
	script.WriteString("exit 0\n")
	out, err := s.shell(ctx, script.String())
	rest := out
	for i, step := range steps {
		at := fmt.Sprintf("%s:%d: %s", s.page.Path, b.Line+step.line, step.command)
		printed, after, ok := strings.Cut(rest, "\n"+separator)
		if !ok {
			return fmt.Errorf("%s\n  expected: an end\n  got: %w, after\n%s", at, cmp.Or(err, errors.New("the shell has exited")), indent(rest))
		}
		code, after, _ := strings.Cut(after, "\n")
		rest = after
		// A command may fail if the page shows its exit code next.
		shown := i+1 < len(steps) && steps[i+1].command == "echo $?"
		if code != "0" && !shown {
			return fmt.Errorf("%s\n  expected: exit code 0; a command that fails is followed by '$ echo $?'\n  got: exit code %s, after\n%s", at, code, indent(printed))
		}
		if line, ok := match(step.output, splitLines(printed)); !ok {
			return fmt.Errorf("%s\n  expected:\n%s  got:\n%s  the first difference is at line %d",
				at, indent(strings.Join(step.output, "\n")), indent(printed), b.Line+step.line+step.lines+line)
		}
	}
	return nil
}

// shell runs a script and returns what it printed, with the pages' namespace.
func (s *Session) shell(ctx context.Context, script string, env ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, blockTimeout)
	defer cancel()
	file, failed := s.state("script.sh"), s.state("failed")
	if err := os.WriteFile(file, []byte(s.own(script)), 0o600); err != nil {
		return "", err
	}
	if err := os.RemoveAll(failed); err != nil {
		return "", err
	}
	// A file and no pipe: Wait would wait for commands in the background that hold a pipe.
	output, err := os.Create(s.state("output"))
	if err != nil {
		return "", err
	}
	defer func() { _ = output.Close() }()
	command := exec.CommandContext(ctx, "bash", file)
	command.Dir = s.tree()
	command.Env = append(os.Environ(), s.options.Env...)
	command.Env = append(command.Env, "BASH_ENV="+s.state("prelude.sh"), "STATE="+s.state("exported"), "FAILED="+failed)
	command.Env = append(command.Env, env...)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	if err := command.Start(); err != nil {
		return "", err
	}
	s.groups = append(s.groups, command.Process.Pid)
	err = command.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	printed, readErr := os.ReadFile(output.Name())
	return s.theirs(string(printed)), errors.Join(err, readErr)
}

func indent(text string) string {
	var out strings.Builder
	for _, line := range splitLines(text) {
		out.WriteString("    " + line + "\n")
	}
	if out.Len() == 0 {
		return "    (nothing)\n"
	}
	return out.String()
}
