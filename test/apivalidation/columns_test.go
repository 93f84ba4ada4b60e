// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// columns returns what kubectl get shows of an object, by the names of the columns.
func columns(t *testing.T, resource string, object client.Object) map[string]any {
	t.Helper()
	c, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSuffix(config.Host, "/") + "/apis/" + platenv1alpha1.GroupVersion.String() + "/namespaces/" + object.GetNamespace() + "/" + resource + "/" + object.GetName()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var table metav1.Table
	if err := json.NewDecoder(response.Body).Decode(&table); err != nil {
		t.Fatal(err)
	}
	cells := map[string]any{}
	for i, column := range table.ColumnDefinitions {
		cells[column.Name] = table.Rows[0].Cells[i]
	}
	return cells
}

// A path of a column with [*] shows the first item only.
func TestColumnsShowWholeLists(t *testing.T) {
	set := &platenv1alpha1.FontSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "columns"},
		Spec:       platenv1alpha1.FontSetSpec{Sources: []platenv1alpha1.FontSource{{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "fonts"}}}},
	}
	if err := api.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Delete(t.Context(), set) })
	set.Status.Families = []string{"Acme Sans", "Acme Serif"}
	if err := api.Status().Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if got := columns(t, "fontsets", set)["Families"]; got != `["Acme Sans","Acme Serif"]` {
		t.Errorf("families are %q", got)
	}
}

func TestJobsOfATemplateCanBeSelected(t *testing.T) {
	for _, template := range []string{"banner", "card"} {
		job := &platenv1alpha1.RenderJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "of-" + template},
			Spec:       platenv1alpha1.RenderJobSpec{TemplateRef: platenv1alpha1.TemplateReference{Name: template}},
		}
		if err := api.Create(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = api.Delete(t.Context(), job) })
	}
	var jobs platenv1alpha1.RenderJobList
	if err := api.List(t.Context(), &jobs, client.InNamespace("default"), client.MatchingFields{"spec.templateRef.name": "card"}); err != nil {
		t.Fatal(err)
	}
	if len(jobs.Items) != 1 || jobs.Items[0].Name != "of-card" {
		t.Errorf("got %+v", jobs.Items)
	}
}
