// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/test/registry"
)

// request returns a preview of a page from a ConfigMap. The modification colour is the page's background.
func request() Request {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "banner"}}
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "colour", Required: new(true)}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 60, Height: 30, HTMLFrom: &platenv1alpha1.HTMLSource{
		ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: "front.html"},
	}}}
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Name: "preview"}}
	job.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"colour": "rgb(255, 0, 0)"}`)}
	return Request{Template: template, Job: job, ConfigMaps: []corev1.ConfigMap{{
		ObjectMeta: metav1.ObjectMeta{Name: "pages"},
		Data:       map[string]string{"front.html": `<body><script>document.body.style.background = platen.modifications.colour</script>`},
	}}}
}

func TestPreview(t *testing.T) {
	r := request()
	r.Job.Spec.Output.ExtraSizes = []platenv1alpha1.PageSize{"20x40"}
	var names []string
	warnings, err := Render(t.Context(), r, func(f file.File, data []byte) error {
		names = append(names, f.Name)
		img, err := png.Decode(bytes.NewReader(data))
		if err != nil {
			return err
		}
		if red, green, _, _ := img.At(10, 10).RGBA(); red != 0xffff || green != 0 || img.Bounds().Dx() != f.Width {
			t.Errorf("%s: %v at 10,10, %v", f.Name, img.At(10, 10), img.Bounds())
		}
		return nil
	})
	if err != nil || len(warnings) != 0 || !slices.Equal(names, []string{"preview.png", "preview_20x40.png"}) {
		t.Errorf("%v, %v, %v", names, warnings, err)
	}
}

// A FontSet's fonts are in a preview as they are in the cluster.
func TestPreviewHasTheFontsOfFontSets(t *testing.T) {
	font, err := os.ReadFile("/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf")
	if err != nil {
		t.Fatal(err)
	}
	r := request()
	r.ConfigMaps[0].Data["front.html"] = `<body><script>document.body.style.background = document.fonts.size === 1 ? platen.modifications.colour : 'blue'</script>`
	r.ConfigMaps = append(r.ConfigMaps, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "fonts"}, BinaryData: map[string][]byte{"bold.ttf": font}})
	r.FontSets = []platenv1alpha1.FontSet{{ObjectMeta: metav1.ObjectMeta{Name: "brand"}, Spec: platenv1alpha1.FontSetSpec{
		Sources: []platenv1alpha1.FontSource{{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "fonts"}}},
	}}}
	r.Template.Spec.FontSetRefs = []platenv1alpha1.FontSetReference{{Name: "brand"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(font) }))
	t.Cleanup(server.Close)
	sum := sha256.Sum256(font)
	inMap := r.FontSets[0].Spec.Sources
	atURL := []platenv1alpha1.FontSource{{URL: server.URL, SHA256: hex.EncodeToString(sum[:])}}
	images := registry.New()
	fromImages, err := registry.Listen(t.Context(), images, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fromImages.Close)
	inImage := []platenv1alpha1.FontSource{{Image: &platenv1alpha1.FontImage{
		Reference: strings.TrimPrefix(fromImages.URL, "http://") + "/fonts@" + images.Push("fonts", registry.File("bold.ttf", font)),
	}}}
	for name, sources := range map[string][]platenv1alpha1.FontSource{"a ConfigMap": inMap, "a URL": atURL, "an image": inImage} {
		r.FontSets[0].Spec.Sources = sources
		r.OutboundAllow = outbound.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}
		_, err = Render(t.Context(), r, func(_ file.File, data []byte) error {
			img, err := png.Decode(bytes.NewReader(data))
			if err != nil {
				return err
			}
			if red, _, blue, _ := img.At(10, 10).RGBA(); red != 0xffff || blue != 0 {
				t.Errorf("%s: the page does not have the font", name)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.OutboundAllow = nil
	r.FontSets[0].Spec.Sources = atURL
	if _, err := Render(t.Context(), r, nil); err == nil || err.Error() != "FontSet 'brand': spec.sources[0].url: the file cannot be fetched: only public addresses may be reached, on ports 80 and 443; --outbound-allow allows others" {
		t.Error(err)
	}
	r.FontSets[0].Spec.Sources = inImage
	if _, err := Render(t.Context(), r, nil); err == nil || err.Error() != "FontSet 'brand': spec.sources[0].image: it cannot be read: only public addresses may be reached, on ports 80 and 443; --outbound-allow allows others" {
		t.Error(err)
	}
	r.FontSets = nil
	if _, err := Render(t.Context(), r, nil); err == nil || err.Error() != "FontSet 'brand': it is not among the given FontSets" {
		t.Error(err)
	}
}

func TestPreviewReportsTheErrorsOfTheCluster(t *testing.T) {
	missing := request()
	missing.Job.Spec.Modifications = nil
	source := request()
	source.ConfigMaps = nil
	nowhere := request()
	nowhere.Chromium = "/nowhere/chromium"
	for want, r := range map[string]Request{
		"spec.modifications.colour is required": missing,
		"key 'front.html' of ConfigMap 'pages'": source,
		"the browser could not be started":      nowhere,
	} {
		_, err := Render(t.Context(), r, func(file.File, []byte) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A font that only the author's machine has would be another one in the cluster.
func TestPreviewNamesTheFontsOfThisMachine(t *testing.T) {
	folder := t.TempDir()
	font, err := os.ReadFile("/usr/share/fonts/truetype/liberation/LiberationMono-Regular.ttf")
	if err != nil {
		t.Fatal(err)
	}
	config := `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<include>/etc/fonts/fonts.conf</include><dir>` + folder + `</dir><cachedir>` + folder + `/cache</cachedir>
<match target="scan"><test name="file"><string>` + folder + `/brand.ttf</string></test><edit name="family" mode="assign"><string>Local Brand</string></edit></match>
</fontconfig>`
	if err := errors.Join(os.WriteFile(folder+"/brand.ttf", font, 0o600), os.WriteFile(folder+"/fonts.conf", []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FONTCONFIG_FILE", folder+"/fonts.conf")
	for family, want := range map[string]string{
		"Local Brand": "Font Local Brand is installed here, and not in Platen's own renderer", "Nowhere": "Font Nowhere is not installed",
		"Liberation Sans": "", "DejaVu Sans Mono": "", "Noto Serif": "", "WenQuanYi Micro Hei": "", "Noto Color Emoji": "",
		"Arial": "", "Helvetica": "", "Times New Roman": "", "Times": "", "Courier New": "", "Courier": "", "Arimo": "", "Tinos": "", "Cousine": "", "monospace": "", "sans-serif": "",
	} {
		r := request()
		r.ConfigMaps[0].Data["front.html"] = `<p style="font-family:'` + family + `'">x 1</p>`
		if family == "monospace" || family == "sans-serif" {
			r.ConfigMaps[0].Data["front.html"] = `<p style="font-family:` + family + `">x</p>`
		}
		warnings, err := Render(t.Context(), r, func(file.File, []byte) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		warnings = slices.DeleteFunc(warnings, func(w render.Warning) bool { return !strings.HasPrefix(w.Title, "Font ") })
		if got := append(warnings, render.Warning{})[0].Title; got != want {
			t.Errorf("%s: %q, want %q", family, got, want)
		}
	}
}
