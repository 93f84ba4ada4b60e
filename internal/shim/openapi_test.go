// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/platen-dev/platen/internal/file"
)

func readDocument(t *testing.T) *openapi3.T {
	t.Helper()
	spec, _, err := document()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

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

// A client that a program generates from the document reads what a parameter has as an example, whatever its type.
func TestExamplesOfAnyTypeAreAsDescribed(t *testing.T) {
	schema := readDocument(t).Components.Schemas["Modification"].Value
	for _, example := range []string{`"T"`, `9.5`, `true`, `["one", 2]`, `{"total": 12}`} {
		text, err := json.Marshal(Modification{ID: "a", Key: "a", Type: "text", Example: &apiextensionsv1.JSON{Raw: []byte(example)}})
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(value); err != nil {
			t.Errorf("the example %s is not as described: %v", example, err)
		}
	}
}

// A route that answers with a file describes the type of each format.
func TestTypesOfFilesAreDescribed(t *testing.T) {
	doc := readDocument(t)
	for _, o := range operations {
		content := doc.Paths.Find(o.path).GetOperation(o.method).Responses.Value("200").Value.Content
		for _, format := range formats {
			kind := file.Format(format).ContentType()
			if group, _, _ := strings.Cut(kind, "/"); o.file != (content[kind] != nil || content[group+"/*"] != nil) {
				t.Errorf("%s %s: %s is described: %t", o.method, o.path, kind, !o.file)
			}
		}
	}
}

// Each route describes the statuses that what it reads of a body, or answers of a file, may have.
func TestStatusesOfBodiesAndFilesAreDescribed(t *testing.T) {
	doc := readDocument(t)
	withBody := []string{
		"render", "patchTemplate", "duplicateTemplate", "generate", "generateFromBody", "createDynamicURL", "createSignedURL",
	}
	opened := []string{"openDynamicURL", "openSignedURL"}
	for _, o := range operations {
		responses := doc.Paths.Find(o.path).GetOperation(o.method).Responses
		for status, routes := range map[string][]string{
			"206": opened, "304": {"openDynamicURL"}, "408": withBody, "413": withBody, "414": {"openDynamicURL"}, "415": withBody, "416": opened,
		} {
			if is := responses.Value(status) != nil; is != slices.Contains(routes, o.id) {
				t.Errorf("%s describes %s: %t", o.id, status, is)
			}
		}
		for status, response := range responses.Map() {
			if hasContent := len(response.Value.Content) > 0; hasContent != (status != "304") {
				t.Errorf("%s: %s has content: %t", o.id, status, hasContent)
			}
		}
	}
}

// A client compares codes: each is listed where the document says which answers there are, and no other is made.
func TestCodesAreDescribed(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	codes, used := map[string]string{}, map[string]bool{}
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "code" {
				if text, ok := n.Values[0].(*ast.BasicLit); ok {
					codes[n.Names[0].Name] = strings.Trim(text.Value, `"`)
				}
			}
		case *ast.CompositeLit:
			if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "codeError" {
				name, ok := n.Elts[1].(*ast.Ident)
				if !ok {
					t.Errorf("a codeError has %T instead of one of the codes", n.Elts[1])
					return true
				}
				used[name.Name] = true
			}
		}
		return true
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, look)
	}
	var listed strings.Builder
	doc := readDocument(t)
	for _, o := range operations {
		responses := doc.Paths.Find(o.path).GetOperation(o.method).Responses
		for status := range o.codes {
			if responses.Status(status) == nil {
				t.Errorf("%s %s has codes for %d, which is no answer of it", o.method, o.path, status)
			}
		}
		for _, response := range responses.Map() {
			listed.WriteString(*response.Value.Description)
		}
	}
	if len(codes) < 7 {
		t.Errorf("only the codes %v are found", codes)
	}
	for name, text := range codes {
		if !used[name] || !strings.Contains(listed.String(), "'"+text+"'") {
			t.Errorf("%s: an error has it: %t; the document is %s", text, used[name], listed.String())
		}
	}
}

// A client that a program generates from the document has a type for every error.
func TestEveryRouteDescribesAnyError(t *testing.T) {
	doc := readDocument(t)
	for _, o := range operations {
		other := doc.Paths.Find(o.path).GetOperation(o.method).Responses.Default()
		if other == nil || other.Value.Content["application/json"] == nil || other.Value.Content["application/json"].Schema.Ref != "#/components/schemas/Problem" {
			t.Errorf("%s %s: nothing describes any other error", o.method, o.path)
		}
	}
}

// Each route that creates a job takes the header that makes it do so once.
func TestIdempotencyKeyIsDescribed(t *testing.T) {
	for _, path := range []string{"/v1/studio/render", "/v1/generate/{kind}", "/v1/generate/{kind}/{id}", "/v1/signed-url/create"} {
		if readDocument(t).Paths.Find(path).Post.Parameters.GetByInAndName("header", "Idempotency-Key") == nil {
			t.Errorf("POST %s does not have the header", path)
		}
	}
}

// What docs/operations/rest.md says that a request may have is as described.
func TestRequestsAreAsDescribed(t *testing.T) {
	schema := readDocument(t).Paths.Find("/v1/studio/render").Post.RequestBody.Value.Content["application/json"].Schema.Value
	for body, fits := range map[string]bool{
		`{"templateId":25,"modifications":{"headline":"Hi","n":1,"rows":[{"a":1}]}}`:                                                               true,
		`{"templateId":25,"modifications":[{"name":"headline","text":"Hi","color":"red"},{"key":"logo","src":"https://x/"},{"id":"n","value":5}]}`: true,
		`{"templateId":25,"modifications":[]}`:       true,
		`{"templateId":25,"modifications":["sale"]}`: false,
		`{"templateId":25,"modifications":"x"}`:      false,
		`{"templateId":25,"response":{"size":{"width":1,"height":5},"extraSizes":["story",{"width":5,"height":9}]}}`: true,
		`{"templateId":25,"response":{"extraSizes":{"a":"story","b":{"width":5,"height":9}}}}`:                       true,
		`{"templateId":25,"response":{"extraSizes":[{"width":5}]}}`:                                                  false,
		`{"templateId":25,"response":{"extraSizes":{"b":{"height":9}}}}`:                                             false,
	} {
		var value any
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(value); (err == nil) != fits {
			t.Errorf("%s: got %v, want %t", body, err, fits)
		}
	}
}

// The page names the values of a parameter, as it does those of a field.
func TestThePageNamesTheValuesOfParameters(t *testing.T) {
	_, page, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range [][]string{{"queued", "processing", "succeeded", "failed", "canceled"}, {"images", "pdfs"}} {
		if want := "One of <code>" + strings.Join(values, "</code>, <code>") + "</code>."; !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// Every other parameter is a modification, as the description of the route says.
func TestTheDocumentHasEachParameterOfADynamicURL(t *testing.T) {
	parameters := readDocument(t).Paths.Find(dynamicPath + "{name}").Get.Parameters
	for _, name := range reserved {
		if parameters.GetByInAndName("query", name) == nil {
			t.Errorf("the document takes %s for a modification", name)
		}
	}
}
