// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cage

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary a launcher, as the renderer is one.
func TestMain(m *testing.M) {
	Enter()
	os.Exit(m.Run())
}

// run runs a shell script as the "browser" in a cage that hides a folder.
func run(t *testing.T, hidden, script string) (string, error) {
	t.Helper()
	launcher, err := Launcher("/bin/sh", hidden, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Unsetenv(browserVariable); _ = os.Unsetenv(hiddenVariable) })
	if launcher == "/bin/sh" {
		t.Skip("this kernel has no Landlock")
	}
	out, err := exec.CommandContext(t.Context(), launcher, "-c", script).CombinedOutput()
	return string(out), err
}

func TestBrowserCannotReadTheToken(t *testing.T) {
	folder := t.TempDir()
	hidden := filepath.Join(folder, "secrets", "platen.dev")
	if err := os.MkdirAll(filepath.Join(hidden, "..data"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{filepath.Join(hidden, "..data", "token"): "SECRET", filepath.Join(folder, "page"): "PUBLIC"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Kubernetes mounts below /var/run, which is a link to /run.
	link := filepath.Join(t.TempDir(), "run")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PLATEN_DISPATCH_URL", "SECRET")
	for name, script := range map[string]string{
		"the file":         `cat HIDDEN/..data/token`,
		"through the link": `cat LINK/secrets/platen.dev/..data/token`,
		"through /proc":    `cat /proc/self/root/HIDDEN/..data/token`,
		"the folder":       `ls HIDDEN && echo SECRET`,
		"another name":     `ln HIDDEN/..data/token FOLDER/copy && cat FOLDER/copy`,
		"the environment":  `env`,
		"a grandchild":     `sh -c 'cat HIDDEN/..data/token'`,
	} {
		t.Run(name, func(t *testing.T) {
			script := strings.NewReplacer("HIDDEN", hidden, "LINK", link, "FOLDER", folder).Replace(script)
			if out, _ := run(t, filepath.Join(link, "secrets", "platen.dev"), script); strings.Contains(out, "SECRET") {
				t.Errorf("the browser reads it: %s", out)
			}
		})
	}
	scratch := t.TempDir()
	for name, script := range map[string]string{
		"a page":       `cat FOLDER/page`,
		"a new folder": `mkdir SCRATCH/new && echo PUBLIC > SCRATCH/new/file && cat SCRATCH/new/file`,
		"a device":     `head -c 1 /dev/zero >/dev/null && cat /proc/self/status >/dev/null && ls /usr >/dev/null && echo PUBLIC`,
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := run(t, filepath.Join(link, "secrets", "platen.dev"), strings.NewReplacer("FOLDER", folder, "SCRATCH", scratch).Replace(script)); err != nil || !strings.Contains(out, "PUBLIC") {
				t.Errorf("the browser cannot read it: %v, %s", err, out)
			}
		})
	}
}

// TestBrowserCannotLookIntoOtherProcesses has a process of the same user outside of the cage, with a secret in its environment. Root may look
// into every process, so both give up being root.
func TestBrowserCannotLookIntoOtherProcesses(t *testing.T) {
	user := ""
	if os.Getuid() == 0 {
		user = "setpriv --reuid 65532 --regid 65532 --clear-groups "
	}
	other := exec.CommandContext(t.Context(), "/bin/sh", "-c", "exec "+user+"sleep 600")
	other.Env = append(os.Environ(), "TOKEN=SECRET")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	for name, command := range map[string]string{
		"environment": fmt.Sprintf("%scat /proc/%d/environ", user, other.Process.Pid),
		"files":       fmt.Sprintf("%sreadlink /proc/%d/fd/0 && echo SECRET", user, other.Process.Pid),
		"root":        fmt.Sprintf("%sls /proc/%d/root/ && echo SECRET", user, other.Process.Pid),
	} {
		t.Run(name, func(t *testing.T) {
			// sh has become sleep once this succeeds.
			for deadline := time.Now().Add(10 * time.Second); ; {
				out, _ := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).CombinedOutput()
				if strings.Contains(string(out), "SECRET") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("a process outside of the cage cannot read it, so the test shows nothing: %s", out)
				}
			}
			if out, _ := run(t, t.TempDir(), command); strings.Contains(out, "SECRET") {
				t.Errorf("the browser reads it: %s", out)
			}
		})
	}
}

func TestLauncherNamesWhatIsWrong(t *testing.T) {
	if out, err := run(t, "/nowhere", "echo x"); err == nil || !strings.Contains(out, "/nowhere") {
		t.Errorf("%v, %s", err, out)
	}
}
