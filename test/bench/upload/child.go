// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/uploader"
)

// plan is what the child process uploads.
type plan struct {
	// Store is the URL of the content store.
	Store string
	Files []file.File
}

// ref names the render whose files the store holds.
var ref = content.Ref{Namespace: "bench", JobUID: "bench", Revision: "1"}

// upload runs the engine as the manager does, with the files of a plan.
func upload(ctx context.Context, planFile string) error {
	data, err := os.ReadFile(planFile)
	if err != nil {
		return err
	}
	var p plan
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	store, err := content.Open(ctx, p.Store, content.Options{})
	if err != nil {
		return err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16}
	account, err := dropbox.New(dropbox.Config{AppKey: "app", RefreshToken: "refresh", Transport: transport, Observer: metrics.Uploads{}})
	if err != nil {
		return err
	}
	c := uploader.Connection{Name: "dropbox", Open: func(context.Context) (storage.Provider, error) { return account, nil }}
	for _, f := range p.Files {
		c.Files = append(c.Files, storage.File{
			File: f, Path: "/bench/" + f.Name, ConflictPolicy: storage.Overwrite,
			Open: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
				return store.NewRangeReader(ctx, ref.Key(1, f), f.Size, offset, length)
			},
		})
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{}, 1)
	engine := uploader.New(uploader.Options{
		Parallel: 16, Retry: storage.DefaultRetryPolicy, Changed: func(types.NamespacedName) { done <- struct{}{} }, Observer: metrics.Uploads{},
	})
	ended := make(chan error, 1)
	go func() { ended <- engine.Start(ctx) }()
	job := uploader.Upload{
		Job: types.NamespacedName{Namespace: "bench", Name: "bench"}, UID: "bench", Revision: "1",
		Deadline: time.Now().Add(10 * time.Minute), Connections: []uploader.Connection{c}, Complete: true,
	}
	engine.Ensure(job)
	<-done
	results, _ := engine.Results(job.Job, job.UID, job.Revision)
	cancel()
	return errors.Join(<-ended, results[0].Err, store.Close())
}
