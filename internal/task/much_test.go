// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// much returns size bytes of text with numbers.
func much(size int, format string) string {
	var text strings.Builder
	for i := 0; text.Len() < size; i++ {
		_, _ = fmt.Fprintf(&text, format, i)
	}
	return text.String()
}

// Whoever builds tasks builds those of all namespaces, a few at a time. Each of these took minutes when keys were compared with each other.
func TestMuchIsReadSoon(t *testing.T) {
	const size = 512 << 10
	page := much(size, "<i data-param=par%d></i>")
	source := func(int) (string, bool) { return page, true }
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", HTML: page, Width: 100, Height: 100}}
	build := func(job *platenv1alpha1.RenderJob, text string) error {
		SetDefaults(job)
		_, err := Build(t.Context(), job, template, DefaultLimits, Sources{
			Value: func(context.Context, string, platenv1alpha1.ConfigMapKeySelector) (string, error) { return text, nil },
		})
		return err
	}
	for name, read := range map[string]func() error{
		"a ConfigMap": func() error {
			job := &platenv1alpha1.RenderJob{}
			job.Spec.ModificationsFrom = []platenv1alpha1.ModificationsSource{{}}
			return build(job, much(1<<20, "a%d: 1\n"))
		},
		"modifications": func() error {
			job := &platenv1alpha1.RenderJob{}
			job.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"a":0` + much(size-20, `,"a%d":1`) + "}")}
			return build(job, "")
		},
		"unused keys": func() error {
			if unused := UnusedKeys(strings.Fields(much(size, "pax%d ")), 1, source); unused[0].Hint == "" {
				return errors.New("not even the first unused key has a hint")
			}
			return nil
		},
	} {
		begun := time.Now()
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s took %s", name, took)
		}
	}
}

func TestObjectsWithMergeKeysAreSmall(t *testing.T) {
	for keys, want := range map[int]error{maxMerged: nil, maxMerged + 1: errTooMany} {
		var lines strings.Builder
		for i := range keys {
			_, _ = fmt.Fprintf(&lines, "  k%d: {<<: *common, n: %d}\n", i, i)
		}
		object, err := readObject("common: &common {color: red}\nlines:\n" + lines.String())
		if !errors.Is(err, want) {
			t.Errorf("%d keys: %v, want %v", keys, err, want)
		}
		if list, _ := object["lines"].(map[string]any); want == nil && len(list) != keys {
			t.Errorf("%d keys were read as %d", keys, len(list))
		}
	}
}
