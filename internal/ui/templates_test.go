// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/utils/clock"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// The pages show what a template's author wrote for people: its title, its description, and those of its parameters.
func TestTemplatesSayWhatTheyAreFor(t *testing.T) {
	views, err := newViews(clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	card := &platenv1alpha1.RenderTemplate{}
	card.Name, card.Spec.Title, card.Spec.Description = "card", "Business card", "For the fair & the shop"
	card.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 120, Height: 63, HTML: `<p data-param="headline">x`}}
	card.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "headline", Description: "The large line"}, {Name: "dark", Type: platenv1alpha1.ParameterBoolean, Description: "For the night"}}
	same := card.DeepCopy()
	same.Spec.Title = "card"
	mixed := card.DeepCopy()
	mixed.Spec.Pages = append(mixed.Spec.Pages, platenv1alpha1.TemplatePage{Name: "back", Width: 63, Height: 120})
	for name, c := range map[string]struct {
		body      any
		want, not []string
	}{
		"template":               {newForm(card), []string{`<p class="lead">Business card</p>`, "<p>For the fair &amp; the shop</p>", `<p class="hint">The large line</p>`, `<p class="hint">For the night</p>`}, nil},
		"templates":              {[]templateView{viewTemplate(card, nil)}, []string{"<p>Business card</p>", `<p class="hint">For the fair &amp; the shop</p>`}, nil},
		"template of two sizes":  {newForm(mixed), []string{"2 pages of 120 × 63 and other sizes"}, nil},
		"templates of two sizes": {[]templateView{viewTemplate(mixed, nil)}, []string{"2 pages · 120 × 63 and other sizes"}, nil},
		"template of one size":   {newForm(card), []string{"1 page of 120 × 63"}, []string{"other sizes"}},
		// A title that is the name says nothing.
		"template of its name": {newForm(same), []string{"<p>For the fair &amp; the shop</p>"}, []string{`<p class="lead">card</p>`}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			view, _, _ := strings.Cut(name, " ")
			views.page(answer, http.StatusOK, view, page{Title: "card", Body: c.body})
			for _, text := range c.want {
				if !strings.Contains(answer.Body.String(), text) {
					t.Errorf("no %s in %s", text, answer.Body)
				}
			}
			for _, text := range c.not {
				if strings.Contains(answer.Body.String(), text) {
					t.Errorf("%s in %s", text, answer.Body)
				}
			}
		})
	}
}
