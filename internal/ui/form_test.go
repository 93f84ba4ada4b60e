// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
)

// fill returns the form that a browser sends. The keys of values and files are parameters.
func fill(t *testing.T, values map[string]string, files map[string][]byte) *multipart.Form {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range values {
		if err := w.WriteField("p."+name, value); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range files {
		part, err := w.CreateFormFile("f."+name, "picture.png")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write(data)
	}
	_ = w.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", &b)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", w.FormDataContentType())
	if err := r.ParseMultipartForm(4 << 20); err != nil {
		t.Fatal(err)
	}
	return r.MultipartForm
}

func parameter(kind platenv1alpha1.ParameterType, defaults string, required bool) bindings.Parameter {
	p := bindings.Parameter{Parameter: platenv1alpha1.Parameter{Name: "x", Type: kind, Required: &required}}
	if defaults != "" {
		p.Default = &apiextensionsv1.JSON{Raw: []byte(defaults)}
	}
	return p
}

func TestFormValues(t *testing.T) {
	const (
		text, number, color, list = platenv1alpha1.ParameterText, platenv1alpha1.ParameterNumber, platenv1alpha1.ParameterColor, platenv1alpha1.ParameterList
		boolean, image            = platenv1alpha1.ParameterBoolean, platenv1alpha1.ParameterImage
	)
	for name, tc := range map[string]struct {
		parameter bindings.Parameter
		given     string
		want      string // the modifications in JSON
		wrong     string // part of the error; empty for none
	}{
		"text":                        {parameter: parameter(text, "", true), given: "Hello\r\nWorld", want: `{"x":"Hello\nWorld"}`},
		"text with spaces":            {parameter: parameter(text, "", false), given: "  a ", want: `{"x":"  a "}`},
		"text left empty":             {parameter: parameter(text, "", false), want: `{}`},
		"text emptied on purpose":     {parameter: parameter(text, `"Hello"`, false), want: `{"x":""}`},
		"text that is required":       {parameter: parameter(text, "", true), given: " ", wrong: "fill this in"},
		"required, with a default":    {parameter: parameter(number, "3", true), given: " ", want: `{}`},
		"required text, emptied":      {parameter: parameter(text, `"Hello"`, true), want: `{"x":""}`},
		"required list, emptied":      {parameter: parameter(list, `["a"]`, true), want: `{}`},
		"number":                      {parameter: parameter(number, "", false), given: "-1.50", want: `{"x":-1.5}`},
		"number with a comma":         {parameter: parameter(number, "", false), given: "1,5", want: `{"x":1.5}`},
		"number left empty":           {parameter: parameter(number, "3", false), want: `{}`},
		"no number":                   {parameter: parameter(number, "", false), given: "many", wrong: "must be a number"},
		"no finite number":            {parameter: parameter(number, "", false), given: "inf", wrong: "must be a number"},
		"number that is too large":    {parameter: parameter(number, "", false), given: "1e999", wrong: "must be a number"},
		"colour":                      {parameter: parameter(color, "", false), given: " rebeccapurple ", want: `{"x":"rebeccapurple"}`},
		"checked":                     {parameter: parameter(boolean, "false", false), given: "true", want: `{"x":true}`},
		"unchecked":                   {parameter: parameter(boolean, "true", true), want: `{"x":false}`},
		"number of thousands":         {parameter: parameter(number, "", false), given: "1,000", wrong: "without separators between thousands"},
		"colour that is none":         {parameter: parameter(color, "", false), given: "bleu", wrong: "must be a CSS colour"},
		"date":                        {parameter: parameter(platenv1alpha1.ParameterDate, "", false), given: "2026-11-26", want: `{"x":"2026-11-26"}`},
		"list":                        {parameter: parameter(list, "", false), given: "one\r\n\r\n two \r\n", want: `{"x":["one","two"]}`},
		"list left empty":             {parameter: parameter(list, `["a"]`, false), given: " \n", want: `{}`},
		"list of objects":             {parameter: parameter(list, `[{"a":1}]`, false), given: `[{"a":2}]`, want: `{"x":[{"a":2}]}`},
		"list typed as JSON":          {parameter: parameter(list, "", false), given: `["a", 1]`, want: `{"x":["a",1]}`},
		"list of objects, damaged":    {parameter: parameter(list, `[{"a":1}]`, false), given: `[{"a":2}`, wrong: "must be a list: JSON"},
		"list of objects, no list":    {parameter: parameter(list, `[{"a":1}]`, false), given: `{"a":2}`, wrong: "must be a list: JSON"},
		"list of objects, as lines":   {parameter: parameter(list, `[{"a": 1}]`, false), given: "a,b\nc,d", wrong: `must be a list: JSON such as [{"a":1}].`},
		"list of objects, no JSON":    {parameter: parameter(list, `[{"a": 1}]`, false), given: `[{"a":2}`, wrong: `must be a list: JSON such as [{"a":1}].`},
		"image":                       {parameter: parameter(image, "", true), given: "https://example.com/a.png", want: `{"x":"https://example.com/a.png"}`},
		"image of another kind":       {parameter: parameter(image, "", false), given: "javascript:alert(1)", wrong: "a URL that starts with http://"},
		"image from this machine":     {parameter: parameter(image, "", false), given: "file:///etc/passwd", wrong: "a URL that starts with http://"},
		"image that is not a picture": {parameter: parameter(image, "", false), given: "data:text/html,x", wrong: "a URL that starts with http://"},
		"image left empty":            {parameter: parameter(image, "", false), want: `{}`},
		"image that must be chosen":   {parameter: parameter(image, "", true), wrong: "fill this in"},
	} {
		t.Run(name, func(t *testing.T) {
			list := inputs([]bindings.Parameter{tc.parameter})
			values := map[string]string{}
			if tc.parameter.Type != boolean || tc.given != "" { // browsers send nothing for an unchecked box
				values["x"] = tc.given
			}
			got, ok := submitted(list, fill(t, values, nil))
			if tc.wrong != "" {
				if ok || !strings.Contains(list[0].Error, tc.wrong) {
					t.Fatalf("got %v, %q", got, list[0].Error)
				}
				if want := strings.ReplaceAll(tc.given, "\r\n", "\n"); list[0].Value != want {
					t.Errorf("the form shows %q, want what was given", list[0].Value)
				}
				return
			}
			data, err := json.Marshal(got)
			if err != nil || !ok || string(data) != tc.want {
				t.Errorf("got %s, %v, %q", data, err, list[0].Error)
			}
		})
	}
}

func TestPictures(t *testing.T) {
	gif, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(grey, "data:image/gif;base64,"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data          []byte
		address       string
		defaultSource string // the template's default in JSON; empty for none
		want          any
		wrong         string
	}{
		"a picture":             {data: gif, want: grey},
		"a picture for another": {data: gif, address: "https://example.com/", defaultSource: `"https://example.com/"`, want: grey},
		"both":                  {data: gif, address: "https://example.com/", wrong: "An address and a picture from this device"},
		"both, with a default":  {data: gif, address: "https://example.com/a", defaultSource: `"https://example.com/"`, wrong: "An address and a picture from this device"},
		"markup":                {data: []byte("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"), wrong: "PNG, JPEG"},
		"too large":             {data: append(gif, make([]byte, maxPicture)...), wrong: "512 KiB"},
		"nothing was chosen":    {address: "https://example.com/", want: "https://example.com/"},
		"a page with a picture": {data: append([]byte("<html>"), gif...), wrong: "PNG, JPEG"},
	} {
		list := inputs([]bindings.Parameter{parameter(platenv1alpha1.ParameterImage, tc.defaultSource, true)})
		got, ok := submitted(list, fill(t, map[string]string{"x": tc.address}, map[string][]byte{"x": tc.data}))
		if ok != (tc.wrong == "") || got["x"] != tc.want || !strings.Contains(list[0].Error, tc.wrong) {
			t.Errorf("%s: got %v, %q", name, got, list[0].Error)
		}
	}
}

// What a render would leave out is said, not dropped.
func TestAFormUsesAllThatIsGiven(t *testing.T) {
	for name, c := range map[string]struct {
		form          formView
		given         map[string]string
		ok            bool
		folder, whole string
	}{
		"all is used":               {form: formView{Folder: "/Summer"}, given: map[string]string{"x": "1"}, ok: true},
		"no upload":                 {form: formView{Destination: noUpload}, ok: true},
		"a folder, but no upload":   {form: formView{Destination: noUpload, Folder: "/Summer"}, folder: "The files go nowhere: clear this field, or choose an upload."},
		"a parameter that is gone":  {given: map[string]string{"x": "1", "sub_title": "Hello", "price": "5"}, whole: "The template has changed since you opened this page: it takes no " + label("price") + ", " + label("sub_title") + " any more."},
		"an empty one that is gone": {given: map[string]string{"price": " "}, ok: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.form.Inputs = inputs([]bindings.Parameter{parameter(platenv1alpha1.ParameterText, "", false)})
			ok := c.form.useAll(fill(t, c.given, nil))
			if ok != c.ok || c.form.Wrong["folder"] != c.folder || c.form.Error != c.whole {
				t.Errorf("%v, %q, %q", ok, c.form.Wrong, c.form.Error)
			}
		})
	}
}

// A form that nobody changes submits the defaults.
func TestUnchangedFormSubmitsDefaults(t *testing.T) {
	defaults := map[string]string{"a": `"Hello"`, "b": "9.5", "c": "true", "d": `"#fff"`, "e": `["x","y"]`, "f": `[{"k":[1,null]}]`, "g": `"https://example.com/"`}
	kinds := map[string]platenv1alpha1.ParameterType{
		"a": platenv1alpha1.ParameterText, "b": platenv1alpha1.ParameterNumber, "c": platenv1alpha1.ParameterBoolean, "d": platenv1alpha1.ParameterColor,
		"e": platenv1alpha1.ParameterList, "f": platenv1alpha1.ParameterList, "g": platenv1alpha1.ParameterImage,
	}
	parameters := make([]bindings.Parameter, 0, len(defaults))
	want := map[string]any{}
	for name, raw := range defaults {
		p := parameter(kinds[name], raw, false)
		p.Name = name
		parameters = append(parameters, p)
		var value any
		if err := json.Unmarshal([]byte(raw), &value); err != nil {
			t.Fatal(err)
		}
		want[name] = value
	}
	list := inputs(parameters)
	values := map[string]string{}
	for _, i := range list {
		values[i.Name] = i.Value
		if i.Checked {
			values[i.Name] = "true"
		}
	}
	got, ok := submitted(list, fill(t, values, nil))
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Error(diff)
	}
}

// A template that declares nothing has a field for what its pages bind.
func TestFieldsOfATemplateWithoutParameters(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<h1 id="title" data-param="headline">Hello</h1><p data-if="paid">PAID</p>`}}
	list := inputs(bindings.Parameters(template, bindings.Inline))
	want := []input{
		{Name: "headline", Label: "Headline", Type: platenv1alpha1.ParameterText, Value: "Hello", Default: "Hello", Undeclared: true},
		{Name: "paid", Label: "Paid", Type: platenv1alpha1.ParameterBoolean, Undeclared: true},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// A checkbox begins with the default, in every spelling that a job reads.
func TestDefaultsOfBooleans(t *testing.T) {
	for raw, want := range map[string]bool{`true`: true, `1`: true, `"TRUE"`: true, `"1"`: true, `false`: false, `0`: false, `"False"`: false, `""`: false, `null`: false, `"yes"`: false} {
		template := &platenv1alpha1.RenderTemplate{}
		template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "paid", Type: platenv1alpha1.ParameterBoolean, Default: &apiextensionsv1.JSON{Raw: []byte(raw)}}}
		list := inputs(bindings.Parameters(template, bindings.Inline))
		if check(list); list[0].Checked != want || list[0].Value != "" || list[0].Error != "" {
			t.Errorf("%s: %+v", raw, list[0])
		}
	}
}

// A list of objects is typed as JSON, and its sample has the fields that the page shows.
func TestListsOfObjects(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "items", Type: platenv1alpha1.ParameterList, Required: new(true)}, {Name: "more", Type: platenv1alpha1.ParameterList}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<ul><li data-each="items"><b data-param="name">Item</b><i data-param="amount">0</i></li></ul><p data-each="more"><b data-param="item">x</b></p>`}}
	list := inputs(bindings.Parameters(template, bindings.Inline))
	if want := `[{"amount":"0","name":"Item"}]`; !list[0].JSON || list[0].ExampleText != want || list[1].JSON {
		t.Errorf("%+v", list)
	}
	given := map[string]any{}
	formView{Inputs: list}.complete(given)
	want := map[string]any{"items": []any{map[string]any{"amount": "0", "name": "Item"}}}
	if diff := cmp.Diff(want, given); diff != "" {
		t.Error(diff)
	}
}

// A list that a person edits as JSON has its characters as they are.
func TestListsAreReadable(t *testing.T) {
	want := "[\n  {\n    \"link\": \"https://example.com/?a=1&b=<2>\"\n  }\n]"
	if got, isJSON := lines([]any{map[string]any{"link": "https://example.com/?a=1&b=<2>"}}); got != want || !isJSON {
		t.Errorf("got %s", got)
	}
}

// A preview has a valid value for each required parameter.
func TestSamples(t *testing.T) {
	for kind, want := range map[platenv1alpha1.ParameterType]any{
		platenv1alpha1.ParameterText: "X", platenv1alpha1.ParameterImage: grey, platenv1alpha1.ParameterColor: "#808080",
		platenv1alpha1.ParameterNumber: 1, platenv1alpha1.ParameterBoolean: true, platenv1alpha1.ParameterList: []any{"X"},
		platenv1alpha1.ParameterDate: "2026-01-31",
	} {
		if diff := cmp.Diff(map[string]any{"x": want}, completed(parameter(kind, "", true))); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
	for _, p := range []bindings.Parameter{parameter(platenv1alpha1.ParameterText, "", false), parameter(platenv1alpha1.ParameterNumber, "3", true)} {
		if got := completed(p); len(got) > 0 {
			t.Errorf("got %v", got)
		}
	}
}

// An empty field says which value takes its place, or how a value looks.
func TestPlaceholders(t *testing.T) {
	const date, list, image = platenv1alpha1.ParameterDate, platenv1alpha1.ParameterList, platenv1alpha1.ParameterImage
	for name, tc := range map[string]struct {
		parameter bindings.Parameter
		want      string
	}{
		"a date":                    {parameter(date, "", true), "2026-01-31"},
		"a date with a default":     {parameter(date, `"2025-12-24"`, false), "Default: 2025-12-24"},
		"a number":                  {parameter(platenv1alpha1.ParameterNumber, "", false), ""},
		"a number with a default":   {parameter(platenv1alpha1.ParameterNumber, "4.50", true), "Default: 4.50"},
		"a colour with a default":   {parameter(platenv1alpha1.ParameterColor, `"#0a7"`, false), "Default: #0a7"},
		"an image":                  {parameter(image, "", false), "https://…"},
		"an image with a default":   {parameter(image, `"https://example.com/a.png"`, false), "Default: https://example.com/a.png"},
		"a list":                    {parameter(list, "", false), ""},
		"an empty list":             {parameter(list, "[]", false), ""},
		"a list with a default":     {parameter(list, `["one","two"]`, false), "Default:\none\ntwo"},
		"a text, which stays empty": {parameter(platenv1alpha1.ParameterText, `"Hello"`, false), ""},
		"a picture in the template": {parameter(image, `"data:image/png;base64,`+strings.Repeat("A", 1000)+`"`, false), "Default: data:image/png;base64," + strings.Repeat("A", 178) + "…"},
	} {
		if got := inputs([]bindings.Parameter{tc.parameter})[0].Placeholder(); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

// completed returns the values of an empty form.
func completed(p bindings.Parameter) map[string]any {
	given := map[string]any{}
	formView{Inputs: inputs([]bindings.Parameter{p})}.complete(given)
	return given
}

// A colour picker shows the colour of its field.
func TestHex(t *testing.T) {
	for value, want := range map[string]string{"#00AA77": "#00aa77", "#0A7": "#00aa77", "": "#808080", "red": "#808080", "#0a7f": "#808080", "#12345": "#808080"} {
		if got := (input{Value: value}).Hex(); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}
