// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

const (
	// platenNamespace is where Platen runs by default.
	platenNamespace = "platen-system"
	// contentService serves the files inside of the cluster.
	contentService = "http:platen-content:content"
	// directTimeout bounds the attempt at a URL that may lead nowhere outside of the cluster, up to its answer.
	directTimeout   = 5 * time.Second
	downloadTimeout = 10 * time.Minute
	// maxRefusal bounds what is read of an answer that is no file.
	maxRefusal = 300
)

// downloader fetches the files of a job. What it gets is compared with the job's status, so that it does not matter who sent it.
type downloader struct {
	*cluster
	platenNamespace string
}

// files writes all files of a job into a folder, and returns their paths.
func (d downloader) files(ctx context.Context, job *platenv1alpha1.RenderJob, folder string) ([]string, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	var paths []string
	for _, file := range job.Status.Pages {
		name, err := fileName(job, file)
		if err != nil {
			return paths, err
		}
		path := filepath.Join(folder, name)
		if err := d.file(ctx, file, path); err != nil {
			return paths, fmt.Errorf("page %d of RenderJob %s/%s could not be fetched: %w", file.Page, job.Namespace, job.Name, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// file fetches one file to a path: from its URL, or through the API server where that does not answer.
func (d downloader) file(ctx context.Context, file platenv1alpha1.RenderedPage, path string) error {
	target, err := url.Parse(file.ContentURL)
	if err != nil {
		return fmt.Errorf("its URL is not valid: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	direct := d.save(ctx, file, path, func(ctx context.Context) (*http.Response, error) { return get(ctx, target) })
	if direct == nil || ctx.Err() != nil {
		return direct
	}
	proxied := d.save(ctx, file, path, func(ctx context.Context) (*http.Response, error) {
		return d.service(ctx, d.platenNamespace, contentService, target)
	})
	if proxied != nil {
		return errors.Join(fmt.Errorf("at %s: %w", target.Host, direct), fmt.Errorf("through the API server: %w", proxied))
	}
	return nil
}

func get(ctx context.Context, target *url.URL) (*http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(directTimeout, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		cancel()
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if !timer.Stop() && err == nil {
		err = context.DeadlineExceeded
		_ = resp.Body.Close()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = cancelOnClose{resp.Body, cancel}
	return resp, nil
}

type cancelOnClose struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (c cancelOnClose) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

// save writes an answer to a path if it is the file that the job's status tells of. A file that stood there before stays until
// then.
func (d downloader) save(ctx context.Context, file platenv1alpha1.RenderedPage, path string, ask func(context.Context) (*http.Response, error)) error {
	resp, err := ask(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		return fmt.Errorf("HTTP %d %s", resp.StatusCode, plain(string(text)))
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".platen-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	defer func() { _ = temporary.Close() }()
	expected := ptr.Deref(file.Size, 0)
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(temporary, hash), io.LimitReader(resp.Body, expected+1))
	if err != nil {
		return err
	}
	if n != expected || hex.EncodeToString(hash.Sum(nil)) != file.SHA256 {
		return errors.New("what was sent is not the file that the job's status tells of")
	}
	if err := errors.Join(temporary.Chmod(0o644), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
