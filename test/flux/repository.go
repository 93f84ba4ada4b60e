// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"context"
	"fmt"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Repository is a git repository with a branch main, which git's own server serves on loopback.
type Repository struct {
	// URL of the repository.
	URL string
	// Folder is the work tree, whose files Commit takes.
	Folder string

	server *httptest.Server
}

// NewRepository makes an empty repository in a folder that must exist. Close stops the server.
func NewRepository(ctx context.Context, folder string) (*Repository, error) {
	r := &Repository{Folder: filepath.Join(folder, "work")}
	bare := filepath.Join(folder, "served", "renders.git")
	for _, arguments := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=main", bare}, {"init", "--quiet", "--initial-branch=main", r.Folder},
	} {
		if _, err := git(ctx, folder, arguments...); err != nil {
			return nil, err
		}
	}
	if _, err := git(ctx, r.Folder, "remote", "add", "origin", bare); err != nil {
		return nil, err
	}
	programs, err := git(ctx, folder, "--exec-path")
	if err != nil {
		return nil, err
	}
	r.server = httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(programs, "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(bare), "GIT_HTTP_EXPORT_ALL=1"},
	})
	r.URL = r.server.URL + "/" + filepath.Base(bare)
	return r, nil
}

// Close stops the server.
func (r *Repository) Close() { r.server.Close() }

// Commit commits all files, also if none has changed, and returns the commit as Flux names it.
func (r *Repository) Commit(ctx context.Context, message string) (revision string, err error) {
	for _, arguments := range [][]string{
		{"add", "--all"},
		{"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "--allow-empty", "--message", message},
		{"push", "--quiet", "origin", "main"},
	} {
		if _, err := git(ctx, r.Folder, arguments...); err != nil {
			return "", err
		}
	}
	hash, err := git(ctx, r.Folder, "rev-parse", "HEAD")
	return "main@sha1:" + hash, err
}

// git runs git in a folder, without the settings of the machine.
func git(ctx context.Context, folder string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(arguments, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
