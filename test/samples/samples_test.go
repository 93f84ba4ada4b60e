// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package samples tests config/samples and the card of kubectl platen try without a cluster: they render without warnings, take the
// fast way, and look like the README's pictures. `go test ./test/samples -update` renders the README's pictures again.
package samples

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"image"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/preview"
	"github.com/platen-dev/platen/internal/render/template"
	"github.com/platen-dev/platen/internal/task"
)

var update = flag.Bool("update", false, "render the README's pictures again")

const (
	root   = "../.."
	images = root + "/docs/images"
	// tolerance is the largest difference of two renders of one picture by different releases of Chromium.
	tolerance = 0.005
)

// sample is a job, its template, and what is in the same manifest for the template.
type sample struct {
	job        *platenv1alpha1.RenderJob
	template   *platenv1alpha1.RenderTemplate
	fontSets   []platenv1alpha1.FontSet
	configMaps []corev1.ConfigMap
}

// read returns the jobs of the manifests by namespace and name.
func read(t *testing.T) map[string]sample {
	t.Helper()
	paths, err := filepath.Glob(root + "/config/samples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]sample{}
	for _, path := range append(paths, root+"/internal/cli/try.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		templates, jobs := map[string]*platenv1alpha1.RenderTemplate{}, []*platenv1alpha1.RenderJob{}
		var fontSets []platenv1alpha1.FontSet
		var configMaps []corev1.ConfigMap
		for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			var kind struct{ Kind string }
			if err = errors.Join(err, yaml.Unmarshal(document, &kind)); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			switch kind.Kind {
			case "RenderTemplate":
				object := &platenv1alpha1.RenderTemplate{}
				err = yaml.UnmarshalStrict(document, object)
				templates[object.Name] = object
			case "FontSet":
				var object platenv1alpha1.FontSet
				err = yaml.UnmarshalStrict(document, &object)
				fontSets = append(fontSets, object)
			case "ConfigMap":
				var object corev1.ConfigMap
				err = yaml.UnmarshalStrict(document, &object)
				configMaps = append(configMaps, object)
			case "RenderJob":
				object := &platenv1alpha1.RenderJob{}
				err = yaml.UnmarshalStrict(document, object)
				jobs = append(jobs, object)
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
		for _, job := range jobs {
			samples[job.Namespace+"/"+job.Name] = sample{job, templates[job.Spec.TemplateRef.Name], fontSets, configMaps}
		}
	}
	return samples
}

// render renders a sample with changes to its output, and returns the files.
func render(t *testing.T, s sample, change func(*platenv1alpha1.OutputSpec)) [][]byte {
	t.Helper()
	job := s.job.DeepCopy()
	change(&job.Spec.Output)
	var files [][]byte
	warnings, err := preview.Render(t.Context(), preview.Request{Template: s.template, Job: job, FontSets: s.fontSets, ConfigMaps: s.configMaps}, func(_ file.File, data []byte) error {
		files = append(files, data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %+v", warnings)
	}
	return files
}

func TestSamplesRender(t *testing.T) {
	samples := read(t)
	for name, pages := range map[string]int{
		"marketing/summer": 1, "marketing/launch": 3, "marketing/teaser": 1, "finance/invoice": 1, "sales/offer": 1, "press/release": 1, "/hello": 1,
	} {
		t.Run(name, func(t *testing.T) {
			s, ok := samples[name]
			if !ok {
				t.Fatal("there is no such job")
			}
			film := s.job.Spec.Output.Format == platenv1alpha1.FormatMP4
			files := render(t, s, func(o *platenv1alpha1.OutputSpec) {
				if film {
					o.Video.FPS, o.Video.Duration = 2, "1" // the whole film takes seconds
				}
			})
			if len(files) != pages {
				t.Errorf("%d files, want %d", len(files), pages)
			}
			for i, page := range s.template.Spec.Pages {
				if !film && template.Examine(page.HTML, modifications(t, s)).Alone {
					t.Errorf("page %d does not take the fast way", i+1)
				}
			}
		})
	}
}

func modifications(t *testing.T, s sample) map[string]any {
	t.Helper()
	job := s.job.DeepCopy()
	task.SetDefaults(job)
	values := map[string]any{}
	if err := json.Unmarshal(job.Spec.Modifications.Raw, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// The README's pictures are what the samples render.
func TestReadmeShowsTheSamples(t *testing.T) {
	samples := read(t)
	still := func(scale string) func(*platenv1alpha1.OutputSpec) {
		return func(o *platenv1alpha1.OutputSpec) {
			*o = platenv1alpha1.OutputSpec{Format: platenv1alpha1.FormatPNG, Scale: platenv1alpha1.NumberOrString(scale)}
		}
	}
	for name, test := range map[string]struct {
		job    string
		change func(*platenv1alpha1.OutputSpec)
	}{
		"summer.png":  {job: "marketing/summer", change: still("1")},
		"launch.png":  {job: "marketing/launch", change: still("0.5")},
		"invoice.png": {job: "finance/invoice", change: still("0.5")},
		"teaser.gif": {job: "marketing/teaser", change: func(o *platenv1alpha1.OutputSpec) {
			*o = platenv1alpha1.OutputSpec{Format: platenv1alpha1.FormatGIF, Scale: "0.5", Video: platenv1alpha1.VideoOptions{FPS: 10, Duration: "3"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(images, name)
			if *update {
				if err := os.WriteFile(path, render(t, samples[test.job], test.change)[0], 0o644); err != nil {
					t.Fatal(err)
				}
			}
			shown, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(name) != ".png" {
				return // the renderer's own tests compare frames
			}
			want, err := png.Decode(bytes.NewReader(render(t, samples[test.job], test.change)[0]))
			if err != nil {
				t.Fatal(err)
			}
			got, err := png.Decode(bytes.NewReader(shown))
			if err != nil {
				t.Fatal(err)
			}
			if got.Bounds() != want.Bounds() {
				t.Fatalf("the README shows %v, the sample renders %v: run go test ./test/samples -update", got.Bounds(), want.Bounds())
			}
			if d := difference(got, want); d > tolerance {
				t.Errorf("the README's picture differs by %.4f from what the sample renders: run go test ./test/samples -update", d)
			}
		})
	}
}

// difference returns the difference of two pictures of one size: the average over pixels and colours, from 0 to 1.
func difference(a, b image.Image) float64 {
	sum, pixels := 0.0, 0
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y++ {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x++ {
			r1, g1, b1, _ := a.At(x, y).RGBA()
			r2, g2, b2, _ := b.At(x, y).RGBA()
			sum += (math.Abs(float64(r1)-float64(r2)) + math.Abs(float64(g1)-float64(g2)) + math.Abs(float64(b1)-float64(b2))) / (3 * 0xffff)
			pixels++
		}
	}
	return sum / float64(pixels)
}
