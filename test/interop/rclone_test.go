// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interop tests with what others wrote: the Dropbox simulator with rclone and Dropbox's own SDK for JavaScript, the description
// of the API with Redocly's linter, and the renderer with the mails that MJML, React Email and Foundation for Emails make. rclone has no option for other hosts than Dropbox's, so a proxy on the loopback interface connects it
// with the simulator.
package interop

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/peer"
)

// rclone returns a function that runs rclone and returns its output.
func rclone(t *testing.T, env []string) func(args ...string) string {
	t.Helper()
	binary, err := peer.Rclone(t.Context(), filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), binary, args...)
		command.Env = append(os.Environ(), env...)
		var stdout, stderr bytes.Buffer
		command.Stdout, command.Stderr = &stdout, &stderr
		if err := command.Run(); err != nil {
			t.Fatalf("rclone %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
		}
		return stdout.String()
	}
}

// serve serves Dropbox's hosts, and returns the environment that connects rclone with them and the file of their CA.
func serve(t *testing.T, sim *dropboxsim.Server) (env []string, caFile string) {
	t.Helper()
	hosts, err := peer.NewHosts(sim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hosts.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, hosts.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"HTTPS_PROXY=" + hosts.Proxy, "NO_PROXY="}, caFile
}

func TestRcloneCopiesATreeUpAndDown(t *testing.T) {
	for _, mode := range []string{"sync", "off"} {
		t.Run("batch mode "+mode, func(t *testing.T) {
			sim := dropboxsim.New()
			sim.AddAccount(dropboxsim.Account{AppKey: "app", AppSecret: "secret", RefreshToken: "refresh", Email: "ada@example.com", DisplayName: "Ada"})
			env, ca := serve(t, sim)
			env = append(env,
				"RCLONE_CONFIG="+filepath.Join(t.TempDir(), "rclone.conf"),
				"RCLONE_CONFIG_BOX_TYPE=dropbox", "RCLONE_CONFIG_BOX_CLIENT_ID=app", "RCLONE_CONFIG_BOX_CLIENT_SECRET=secret",
				// The token has expired, so that rclone has to refresh it.
				`RCLONE_CONFIG_BOX_TOKEN={"access_token":"old","token_type":"bearer","refresh_token":"refresh","expiry":"2020-01-01T00:00:00Z"}`,
				"RCLONE_CA_CERT="+ca, "RCLONE_DROPBOX_BATCH_MODE="+mode, "RCLONE_DROPBOX_CHUNK_SIZE=1Mi", "RCLONE_RETRIES=1", "RCLONE_LOW_LEVEL_RETRIES=1",
			)
			run := rclone(t, env)

			up, down := t.TempDir(), t.TempDir()
			tree := map[string][]byte{
				"empty.txt":              {},
				"one byte.bin":           {1},
				"folder/deep/chunks.bin": random(t, 3<<20+17),
				"folder/block.bin":       random(t, 4<<20+1),
				"folder/UPPER and lower": []byte("case is kept"),
			}
			if mode == "sync" {
				// Without batches the path is in a header, which rclone's SDK (v6.6.3) does not escape. Dropbox and the simulator refuse
				// such a header.
				tree["folder/Grüße 🎉.txt"] = []byte("hello")
				tree["folder/deep/日本語.txt"] = []byte("こんにちは")
			}
			for name, data := range tree {
				path := filepath.Join(up, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			run("copy", up, "box:tree")
			run("check", up, "box:tree")
			listed := strings.Fields(strings.ReplaceAll(run("lsf", "-R", "--files-only", "box:tree"), " ", "_"))
			if len(listed) != len(tree) {
				t.Errorf("rclone lists %q", listed)
			}
			run("copy", "box:tree", down)
			got := read(t, down)
			for name, data := range tree {
				if !bytes.Equal(got[name], data) {
					t.Errorf("%s has changed on its way up and down", name)
				}
			}
			if len(got) != len(tree) {
				t.Errorf("copied %d files down, want %d", len(got), len(tree))
			}
			refreshes := 0
			for _, e := range sim.Log() {
				if e.Status >= http.StatusInternalServerError || e.Status == http.StatusBadRequest {
					t.Errorf("%s was answered with %d: %s", e.Route, e.Status, e.Arg)
				}
				if e.Route == "/oauth2/token" {
					refreshes++
				}
			}
			if refreshes == 0 {
				t.Error("rclone never refreshed its token")
			}
		})
	}
}

// random returns random bytes.
func random(t *testing.T, size int) []byte {
	t.Helper()
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	return data
}

// read returns the bytes of all files below a folder by path.
func read(t *testing.T, root string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
