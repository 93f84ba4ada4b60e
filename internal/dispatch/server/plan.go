// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/platen-dev/platen/internal/dispatch/wire"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/render"
)

// sealed is a pool.Plan as a pod keeps it for the next manager, which may not be able to build the task again. It says no file twice, so that
// it fits into a header.
type sealed struct {
	Namespace  string      `json:"ns"`
	Job        string      `json:"job"`
	Task       string      `json:"task"`
	Name       string      `json:"name"`
	Format     file.Format `json:"format"`
	Joined     bool        `json:"joined,omitempty"`
	Pages      []page      `json:"pages"`
	Sizes      []string    `json:"sizes,omitempty"`
	TotalPages int         `json:"total"`
	CacheKey   string      `json:"cache,omitempty"`
	Trace      string      `json:"trace,omitempty"`
}

type page struct {
	Number int    `json:"n"`
	ID     string `json:"id"`
}

// seal returns the plan of an assignment with a signature, empty if it is too long. A pod whose plan is empty loses its render if its template
// changes before another manager leads.
func (s *Server) seal(a *pool.Assignment, task render.Task, plan *pool.Plan) string {
	content := sealed{
		Namespace: a.Key.Namespace, Job: a.Key.Name, Task: a.TaskID, Name: task.Name, Format: task.Format, Joined: task.Joined(),
		TotalPages: plan.TotalPages, CacheKey: plan.CacheKey, Trace: plan.Trace,
	}
	for _, p := range task.Pages {
		content.Pages = append(content.Pages, page{p.Number, p.ID})
	}
	for _, size := range task.ExtraSizes {
		content.Sizes = append(content.Sizes, size.Name)
	}
	data, err := json.Marshal(content)
	if err != nil {
		s.log(a).Error(err, "Failed to encode a plan")
		return ""
	}
	body := base64.RawURLEncoding.EncodeToString(data)
	if text := body + "." + sign(s.PlanKeys()[0], "plan\n"+body); len(text) <= wire.MaxPlan {
		return text
	}
	return ""
}

// shown returns the plan in a request about a task, nil if there is none that a manager has made for the task.
func (s *Server) shown(r *http.Request, pod pool.PodID) *pool.Plan {
	body, signature, ok := strings.Cut(r.Header.Get(wire.PlanHeader), ".")
	if !ok || !s.signed("plan\n"+body, signature) {
		return nil
	}
	var content sealed
	data, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(data, &content) != nil || content.Task != r.PathValue("task") || content.Namespace != pod.Namespace {
		return nil
	}
	task := render.Task{Name: content.Name, Format: content.Format}
	task.Video.Combine = content.Joined
	for _, p := range content.Pages {
		task.Pages = append(task.Pages, render.Page{Number: p.Number, ID: p.ID})
	}
	for _, name := range content.Sizes {
		task.ExtraSizes = append(task.ExtraSizes, render.Size{Name: name})
	}
	return &pool.Plan{
		Key:   types.NamespacedName{Namespace: content.Namespace, Name: content.Job},
		Pages: len(task.Pages), TotalPages: content.TotalPages, Files: task.Files(), CacheKey: content.CacheKey, Trace: content.Trace,
	}
}

// signed reports whether a manager has signed a text.
func (s *Server) signed(text, signature string) bool {
	return slices.ContainsFunc(s.PlanKeys(), func(key []byte) bool { return hmac.Equal([]byte(sign(key, text)), []byte(signature)) })
}

// sign returns the signature of a text, which begins with what it is: the key signs plans, proofs and other things.
func sign(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
