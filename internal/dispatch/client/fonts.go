// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/platen-dev/platen/internal/render"
)

// keptFonts bounds the fonts that a pod keeps for later tasks, in bytes.
const keptFonts = 64 << 20

// loadFonts fills in the fonts of the task: those that the pod has from an earlier task, and others from the dispatch server.
func (w *work) loadFonts(ctx context.Context) error {
	kept := 0
	for _, data := range w.client.fonts {
		kept += len(data)
	}
	for i := range w.Task.Fonts {
		f := &w.Task.Fonts[i]
		data, ok := w.client.fonts[f.SHA256]
		if !ok {
			err := w.client.insist(ctx, func(ctx context.Context) (err error) {
				data, err = w.font(ctx, f.SHA256)
				return err
			})
			if err != nil {
				return fmt.Errorf("loading a font: %w", err)
			}
			if kept+len(data) > keptFonts {
				clear(w.client.fonts)
				kept = 0
			}
			w.client.fonts[f.SHA256] = data
			kept += len(data)
		}
		f.Data = data
	}
	return nil
}

// font asks the dispatch server for a font.
func (w *work) font(ctx context.Context, hash string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := w.request(ctx, http.MethodGet, "fonts/"+hash, "", nil)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK {
		return nil, answerError(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, render.MaxFont))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, errors.New("the font that the dispatch server sent is another one")
	}
	return data, nil
}
