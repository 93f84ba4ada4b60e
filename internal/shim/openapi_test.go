// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

func TestDocumentIsValid(t *testing.T) {
	spec, page, err := document()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("the document is OpenAPI %s", doc.OpenAPI)
	}
	routes := (&Server{}).routes()
	if len(routes) != len(operations) {
		t.Errorf("there are %d routes, and %d are described", len(routes), len(operations))
	}
	for _, o := range operations {
		if routes[o.method+" "+o.path] == nil {
			t.Errorf("%s %s is not a route", o.method, o.path)
		}
		item := doc.Paths.Find(o.path)
		if item == nil || item.GetOperation(o.method) == nil {
			t.Errorf("%s %s is not described", o.method, o.path)
		}
		if !bytes.Contains(page, []byte(o.path)) {
			t.Errorf("%s is not on the page", o.path)
		}
	}
	for _, word := range []string{"http://", "https://", "<script", "style="} {
		if bytes.Contains(bytes.ReplaceAll(page, []byte("https://www.standardwebhooks.com"), nil), []byte(word)) {
			t.Errorf("the page has %q: it must load nothing from other servers, and have nothing that its policy forbids", word)
		}
	}
}
