// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// EtcdSize returns the size of etcd's database in MiB, without old revisions and free pages: it compacts and defragments etcd first.
func (w *World) EtcdSize(ctx context.Context) (float64, error) {
	status, err := w.etcd(ctx, "/v3/maintenance/status", struct{}{})
	if err != nil {
		return 0, err
	}
	if _, err := w.etcd(ctx, "/v3/kv/compaction", map[string]any{"revision": status.Header.Revision, "physical": true}); err != nil {
		return 0, err
	}
	if _, err := w.etcd(ctx, "/v3/maintenance/defragment", struct{}{}); err != nil {
		return 0, err
	}
	if status, err = w.etcd(ctx, "/v3/maintenance/status", struct{}{}); err != nil {
		return 0, err
	}
	bytes, err := strconv.ParseFloat(status.Size, 64)
	return bytes / (1 << 20), err
}

// etcdStatus is the part of etcd's answers that is read.
type etcdStatus struct {
	Header struct {
		Revision string `json:"revision"`
	} `json:"header"`
	Size string `json:"dbSize"`
}

// etcd calls etcd's API over JSON (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/).
func (w *World) etcd(ctx context.Context, path string, body any) (status etcdStatus, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return status, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.environment.ControlPlane.Etcd.URL.String()+path, bytes.NewReader(data))
	if err != nil {
		return status, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return status, err
	}
	defer func() { _ = answer.Body.Close() }()
	if data, err = io.ReadAll(io.LimitReader(answer.Body, 1<<20)); err != nil {
		return status, err
	}
	if answer.StatusCode != http.StatusOK {
		return status, fmt.Errorf("etcd %s: HTTP %d: %s", path, answer.StatusCode, data)
	}
	return status, json.Unmarshal(data, &status)
}
