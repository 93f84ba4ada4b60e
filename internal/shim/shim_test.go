// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
)

func TestParseNamesTheField(t *testing.T) {
	for body, want := range map[string]string{
		``:              "body: must be a JSON object, not a form, a list or nothing",
		`[`:             "body: must be a JSON object, not a form, a list or nothing",
		`[1]`:           "body: must be a JSON object, not a form, a list or nothing",
		"\xff\xfe{\x00": "body: must be UTF-8, which its byte 1, 0xFF, is not",
		"\x1f\x8b\x08":  "body: is gzip: send it with Content-Encoding: gzip",
		`{`:             "body: must be a JSON object: unexpected end of JSON input",
		`{"templateId":1,"RenderOptions":1,"":1}{`: "body: must be a JSON object: invalid character '{' after top-level value",
		`{} {}`:                            "body: must be a JSON object: invalid character '{' after top-level value",
		`templateId=25&response[type]=url`: "body: must be a JSON object, not a form, a list or nothing",
		`{"templateId":1,"modifications":{"price":NaN}}`:                                                  "body: must be a JSON object: invalid character 'N' looking for beginning of value",
		`{"templateId":true}`:                                                                             "templateId: must be a whole number or a string, not true",
		`{"templateId":2.5}`:                                                                              "templateId: must be a whole number or a string, not 2.5",
		`{"templateId":1,"response":{"scale":"2x"}}`:                                                      `response.scale: must be a number, not "2x"`,
		`{"templateId":1,"response":{"scale":"big"}}`:                                                     "response.scale: must be a number, not \"big\"",
		`{"templateId":1,"response":{"quality":1.5}}`:                                                     "response.quality: must be a whole number, not 1.5",
		`{"templateId":1,"response":{"quality":1e99}}`:                                                    "response.quality: must be a whole number, not 1e99",
		`{"templateId":1,"response":["png"]}`:                                                             "response: must be an object, not an array",
		`{"templateId":1,"response":"png"}`:                                                               "response: must be an object, not a string",
		`{"templateId":1,"response":{"scale":1e400}}`:                                                     "response.scale: must be a number, not 1e400",
		`{"templateId":1,"response":{"scale":"NaN"}}`:                                                     "response.scale: must be a number, not \"NaN\"",
		`{"templateId":1,"response":{"scale":"1,5"}}`:                                                     `response.scale: must be a number with a decimal point, such as 1.5, not "1,5"`,
		`{"templateId":1,"response":{"scale":"1,5,2"}}`:                                                   `response.scale: must be a number, not "1,5,2"`,
		`{"templateId":1,"response":{"scale":"0x2"}}`:                                                     "response.scale: must be a number, not \"0x2\"",
		`{"templateId":1,"response":{"quality":"080"}}`:                                                   "response.quality: must be a whole number, not \"080\"",
		`{"templateId":1,"response":{"quality":99999999999}}`:                                             "response.quality: must be a whole number, not 99999999999",
		`{"templateId":1,"response":{"fileName":true}}`:                                                   "response.fileName: must be a string, not true",
		`{"templateId":1,"response":{"width":1080}}`:                                                      "response.width: needs response.height, and the other way round",
		`{"templateId":1,"pdfOptions":{"margin":"10px 20px"}}`:                                            "pdfOptions.margin: '10px 20px' must be one length for all sides, in px, pt, mm, cm or in, such as 20px",
		`{"templateId":1,"response":{"pdfOptions":{"margin":"1em"}}}`:                                     "response.pdfOptions.margin: '1em' must be one length for all sides, in px, pt, mm, cm or in, such as 20px",
		`{"templateId":1,"modifications":"{headline}"}`:                                                   "modifications: must be an object, or an array of objects with a name and a text, src or value, not a string",
		`{"templateId":1,"videoOptions":{"loop":2}}`:                                                      "videoOptions.loop: must be true or false, not 2",
		`{"templateId":1,"metadata":"` + strings.Repeat("x", maxMetadata) + `"}`:                          "metadata: must have at most 4096 bytes",
		`{"templateId":1,"response":{"includePages":[1,"two"]}}`:                                          "response.includePages[1]: must be a whole number, not \"two\"",
		`{"templateId":1,"response":{"includePages":[1,"2.5"]}}`:                                          "response.includePages[1]: must be a whole number, not \"2.5\"",
		`{"templateId":1,"response":{"extraSizes":5}}`:                                                    "response.extraSizes: must be an array of sizes, or an object from names to sizes, not 5",
		`{"templateId":1,"response":{"extraSizes":"story, a.b"}}`:                                         "response.extraSizes[1]: 'a.b' must be a width and a height in CSS pixels, such as 1080x1920, or a name, such as instagram-story",
		`{"templateId":1,"response":{"extraSizes":["story",{}]}}`:                                         "response.extraSizes[1]: must have a width and a height",
		`{"templateId":1,"response":{"extraSizes":{"a":{"width":1}}}}`:                                    "response.extraSizes.a: must have a width and a height",
		`{"templateId":1,"response":{"extraSizes":{"a":true}}}`:                                           "response.extraSizes.a: must be a string, not true",
		`{"templateId":1,"response":{"size":{"width":"wide","height":1}}}`:                                "response.size.width: must be a whole number, not \"wide\"",
		`{"templateId":1,"response":{"size":{"width":1}}}`:                                                "response.size: must have a width and a height",
		`{"templateId":1,"videoOptions":{"trimStart":"soon"}}`:                                            "videoOptions.trimStart: must be a number, not \"soon\"",
		`{"templateId":1,"response":{"includePages":{}}}`:                                                 "response.includePages: must be an array, not an object",
		`{"templateId":1,"response":{"includePages":"1-3"}}`:                                              "response.includePages[0]: must be a whole number, not \"1-3\"",
		`{"templateId":1,"response":{"size":"100%x5"}}`:                                                   "response.size: '100%x5' must be a width and a height in CSS pixels, such as 1080x1920, or a name, such as instagram-story",
		`{"templateId":1,"response":{"extraSizes":["story","a.b"]}}`:                                      "response.extraSizes[1]: 'a.b' must be a width and a height in CSS pixels, such as 1080x1920, or a name, such as instagram-story",
		`{"templateId":1,"connections":"dropbox"}`:                                                        "connections: must be an array, not a string",
		`{"templateId":1,"response":{"pdfOptions":{"dpi":"many"}}}`:                                       "response.pdfOptions.dpi: must be a whole number, not \"many\"",
		`{"templateId":1,"videoOptions":{"loop":"yes"}}`:                                                  "videoOptions.loop: must be true or false, not \"yes\"",
		`{"templateId":1,"response":{"type":"file"}}`:                                                     "response.type: 'file' must be url, base64 or binary",
		`{"templateId":1,"response":{"mode":"later"}}`:                                                    "response.mode: 'later' must be sync or async",
		`{"templateId":1,"modifications":[{"text":"no name"}]}`:                                           "modifications[0].name: must be the key of the modification; it may also be in key or id",
		`{"templateId":1,"modifications":[1]}`:                                                            "modifications[0]: must be an object with a name and a text, src or value, not 1",
		`{"templateId":1,"connections":[{"type":"storage","provider":"dropbox","folder":{}}]}`:            "connections[0].folder: must be a string, not an object",
		`{"templateId":1,"connections":[{"provider":"dropbox"},{"provider":"dropbox","name":"archive"}]}`: "connections[0].name: must be given, as must that of every other connection to dropbox: without one, it may be the same connection",
		`{"templateId":1,"connections":[{"provider":"dropbox","name":"archive"},{"provider":"dropbox"}]}`: "connections[1].name: must be given, as must that of every other connection to dropbox: without one, it may be the same connection",
		`{"templateId":1,"connections":[{"type":"mail","provider":"dropbox"}]}`:                           "connections[0].type: 'mail' must be storage",
		`{"templateId":1,"connections":[{"type":"storage","provider":"dropbox"},{"type":"storage","provider":"dropbox","folder":"/second"}]}`: "connections[1].provider: 'dropbox' is there twice: a request uploads to one folder of a connection; send another request for a second folder",
		`{"templateId":1,"response":{"scale":"big","quality":"high","pdfOptions":{"dpi":"many"}},"videoOptions":{"loop":"yes"}}`:              "response.pdfOptions.dpi: must be a whole number, not \"many\"; response.quality: must be a whole number, not \"high\"; response.scale: must be a number, not \"big\"; videoOptions.loop: must be true or false, not \"yes\"",
		`{"templateId":1,"response":{"type":"file","mode":"later","size":"100%x5"},"webhook":"file:///etc/passwd"}`:                           "response.type: 'file' must be url, base64 or binary; response.mode: 'later' must be sync or async; response.size: '100%x5' must be a width and a height in CSS pixels, such as 1080x1920, or a name, such as instagram-story; webhook: must be an http or https URL of at most 2048 characters, without a user name",
		`{"templateId":1,"response":{"includePages":["a","b","c","d","e","f","g","h","i","j","k","l"]}}`:                                      "response.includePages[0]: must be a whole number, not \"a\"; response.includePages[1]: must be a whole number, not \"b\"; response.includePages[2]: must be a whole number, not \"c\"; response.includePages[3]: must be a whole number, not \"d\"; response.includePages[4]: must be a whole number, not \"e\"; response.includePages[5]: must be a whole number, not \"f\"; response.includePages[6]: must be a whole number, not \"g\"; response.includePages[7]: must be a whole number, not \"h\"; response.includePages[8]: must be a whole number, not \"i\"; response.includePages[9]: must be a whole number, not \"j\"; and 2 more",
		`{"templateId":1,"webhook":"file:///etc/passwd"}`:                                                                                     "webhook: must be an http or https URL of at most 2048 characters, without a user name",
		`{"templateId":1,"webhook":"https://hooks.example.com:99999/"}`:                                                                       "webhook: must have a port from 1 to 65535",
		`{"templateId":1,"webhook_url":"https://me:secret@example.com/"}`:                                                                     "webhook_url: must be an http or https URL of at most 2048 characters, without a user name",
	} {
		r, _, err := parse[Request]([]byte(body))
		if err == nil {
			err = mistakesOf(r)
		}
		field := (*FieldError)(nil)
		if !errors.As(err, &field) || field.Error() != want {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
}

// A mistake of one item hides none of the others, and each item has the index that the caller has given it.
func TestAllMistakesOfListsAreNamed(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "label"}, Spec: platenv1alpha1.RenderTemplateSpec{
		Parameters: []platenv1alpha1.Parameter{{Name: "product", Required: new(true)}, {Name: "price", Type: platenv1alpha1.ParameterNumber, Required: new(true)}, {Name: "sale", Type: platenv1alpha1.ParameterBoolean}},
		Pages:      []platenv1alpha1.TemplatePage{{Name: "front", Width: 400, Height: 200, HTML: "<p>"}},
	}}
	const (
		noName = "name: must be the key of the modification; it may also be in key or id"
		entry  = "must be an object with a name and a text, src or value, not "
		page   = " must be from 1 to 1, the number of pages of RenderTemplate 'label'"
		size   = " must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or a name such as instagram-post"
		first  = " must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or one of "
		twice  = "is there twice: a request uploads to one folder of a connection; send another request for a second folder"
		given  = `"modifications":{"product":"A","price":1}`
	)
	for body, want := range map[string][]string{
		`"modifications":[{"name":"product","text":"A"},{"name":"price","value":1},{"nme":"sale","value":true}]`: {"modifications[2]." + noName},
		`"modifications":[{"name":"product","text":"A"},{"name":"price","text":"x"},{"text":"y"}]`:               {"modifications[2]." + noName, `modifications.price: "x" must be a number`},
		`"modifications":[{"name":"product","text":"A"},{"nme":"b"},null,{"nme":"c"},{"name":"price"}]`:          {"modifications[1]." + noName, "modifications[3]." + noName, "modifications.price is required by the template"},
		`"modifications":[{"name":"product","text":"A"},"sale",{"name":"price","value":2},7]`:                    {"modifications[1]: " + entry + "a string", "modifications[3]: " + entry + "7"},
		given + `,"response":{"size":{"width":0,"height":99999}}`:                                                {"response.size.width: must be at least 1, not 0", "response.size.height: must be at most 5000, not 99999"},
		given + `,"response":{"size":{"width":0}}`:                                                               {"response.size.width: must be at least 1, not 0", "response.size: must have a width and a height"},
		given + `,"response":{"width":0,"height":99999}`:                                                         {"response.width: must be at least 1, not 0", "response.height: must be at most 5000, not 99999"},
		given + `,"response":{"height":"x"}`:                                                                     {`response.height: must be a whole number, not "x"`, "response.width: is required beside response.height"},
		given + `,"response":{"extraSizes":[{"width":5},"fo.o","bar","baz"]}`:                                    {"response.extraSizes[0]: must have a width and a height", "response.extraSizes[1]: 'fo.o' must be", "response.extraSizes[2]: 'bar'" + size, "response.extraSizes[3]: 'baz'" + size},
		given + `,"response":{"extraSizes":["bar",null,"300x250","300x250","baz"]}`:                              {"response.extraSizes[0]: 'bar'" + first, "response.extraSizes[4]: 'baz'" + size},
		given + `,"response":{"extraSizes":{"a":5,"b":{},"c":"bar","d":"300x250","e":"300x250","f":"baz"}}`:      {"response.extraSizes.b: must have a width and a height", "response.extraSizes.a: '5'" + first, "response.extraSizes.c: 'bar'" + size, "response.extraSizes.f: 'baz'" + size},
		given + `,"response":{"includePages":["a",9,7]}`:                                                         {`response.includePages[0]: must be a whole number, not "a"`, "response.includePages[1]: 9" + page, "response.includePages[2]: 7" + page},
		given + `,"Response":{"include_pages":[1,1,"",9]}`:                                                       {"response.includePages[3]: 9" + page},
		given + `,"connections":[null,{"provider":{}},5,{"type":"mail","provider":"dropbox","folder":[1]}]`: {
			"connections[1].provider: must be a string, not an object", "connections[2]: must be an object, not 5", "connections[3].folder: must be a string, not an array", "connections[3].type: 'mail' must be storage",
		},
		`"response":{"extraSizes":{"` + strings.Repeat("n", maxSizes) + `":"300x250"}}`: {
			"response.extraSizes: must have at most 8192 bytes with its names", "modifications.product is required by the template", "modifications.price is required by the template",
		},
		given + `,"connections":[5,{"provider":"dropbox"},{"provider":"dropbox"}]`: {"connections[0]: must be an object, not 5", "connections[2].provider: 'dropbox' " + twice},
	} {
		wrong := &fieldsError{}
		r, _, err := parseInto[Request]([]byte(`{"templateId":"label",`+body+`}`), wrong)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		r.check(wrong)
		job, err := newJob(caller{Caller: &callers.Caller{}, namespace: "marketing"}, r, nil, template.Name, "", nil)
		if err := wrong.add(err); err != nil {
			t.Fatal(err)
		}
		wrong.say(refusals(t.Context(), job, template))
		got := wrong.Error()
		if n := strings.Count(got, "; response") + strings.Count(got, "; modifications") + strings.Count(got, "; connections") + 1; n != len(want) {
			t.Errorf("%s: %d mistakes instead of %d: %s", body, n, len(want), got)
		}
		for _, text := range want {
			if !strings.Contains("; "+got, "; "+text) {
				t.Errorf("%s: got %s; want %s", body, got, text)
			}
		}
	}
}

// Whoever sends values beside modifications learns that they belong there.
func TestMissingValuesThatTheRequestHasElsewhere(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{
		Pages: []platenv1alpha1.TemplatePage{{HTML: "<p data-param=headline>"}}, Parameters: []platenv1alpha1.Parameter{{Name: "headline", Required: new(true)}},
	}}
	for body, want := range map[string]string{
		`{"headline":"Hi"}`:                                                          "; the request has 'headline' as a field of its own: put it into modifications",
		`{"modification":{"headline":"Hi"}}`:                                         "; is 'modification' a misspelling of modifications?",
		`{"data":{"headline":"Hi"}}`:                                                 "; put the values of 'data' into modifications",
		`{"colour":"red"}`:                                                           "",
		`{"response":{"headline":"Hi"}}`:                                             "",
		`{"modifications":{"hedline":"Hi"},"headline":{"x":"Hi"}}`:                   "; the request has 'headline' as a field of its own: put it into modifications",
		`{"modifications":[null,{"key":"b1","id":"headline","text":"Hi"}]}`:          "; the entry modifications[1] has it in id, but its key counts",
		`{"modifications":[{"key":"b1","id":"headline","text":"Hi","type":"text"}]}`: "; the entry modifications[0] has it in id, but its key counts",
		`{"modifications":[{"NAME":"b1","Key":"headline","id":"b1","src":"Hi"}]}`:    "; the entry modifications[0] has it in key, but its name counts",
		`{"modifications":[{"name":"b1","id":"b1","text":"headline"}]}`:              "",
	} {
		wrong := &fieldsError{}
		if _, _, err := parseInto[Request]([]byte(body), wrong); err != nil {
			t.Fatal(err)
		}
		said, more := refusals(t.Context(), &platenv1alpha1.RenderJob{}, template)
		if len(said) != 1 {
			t.Fatalf("got %q of a job without values", said)
		}
		missing := said[0]
		wrong.say(append(said, `modifications.price: "x" must be a number`, "modifications.byline is required by the template; is 'bylin' a misspelling of it?"), more)
		want = missing + want + `; modifications.price: "x" must be a number; modifications.byline is required by the template; is 'bylin' a misspelling of it?`
		if got := wrong.Error(); got != want {
			t.Errorf("%s: %s", body, cmp.Diff(want, got))
		}
	}
}

// Of a name of a connection or of an entry that is missing, the answer names the field that may be meant.
func TestMissingFieldsOfObjects(t *testing.T) {
	for body, want := range map[string]string{
		`"connections":[{"provder":"s3"}]`:                        "connections[0].provider: '' must be dropbox or s3; is 'provder' a misspelling of provider?",
		`"connections":[{"provider":"s4","provder":"s3"}]`:        "connections[0].provider: 's4' must be dropbox or s3",
		`"connections":[{"provder":"s3","provider":"s3"},{}]`:     "connections[1].provider: '' must be dropbox or s3",
		`"modifications":[{"nme":"headline","text":"Hi"}]`:        "modifications[0].name: must be the key of the modification; it may also be in key or id; is 'nme' a misspelling of name?",
		`"modifications":[{"Name":"","color":"red","text":"Hi"}]`: "modifications[0].name: must be the key of the modification; it may also be in key or id",
	} {
		wrong := &fieldsError{}
		r, _, err := parseInto[Request]([]byte(`{"templateId":1,`+body+`}`), wrong)
		if err != nil {
			t.Fatal(err)
		}
		checkAmong(r.Connections, []platenv1alpha1.StorageConnection{{Spec: platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderS3}}}, false, wrong)
		if got := wrong.Error(); got != want {
			t.Errorf("%s: %s", body, cmp.Diff(want, got))
		}
	}
}

// The query of a GET may name the template with another word.
func TestAQueryWithoutTemplate(t *testing.T) {
	for query, hint := range map[string]string{
		"": "", "page=1": "", "templateId=": "", "template_id=": "",
		"template=25":   "; is 'template' a misspelling of templateId?",
		"templateID=25": "; is 'templateID' a misspelling of templateId?",
		"tmplateId=25":  "; is 'tmplateId' a misspelling of templateId?",
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/templates/modifications?"+query, http.NoBody)
		r.Pattern = "GET /v1/templates/modifications"
		status := (*codeError)(nil)
		want := "the number or the name of a template is required in the query, as in ?templateId=25" + hint
		if err := (&Server{}).listModifications(nil, r, caller{}); !errors.As(err, &status) || status.code != codeTemplateMissing || status.message != want {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestARequestWithoutTemplate(t *testing.T) {
	for body, hint := range map[string]string{
		`{}`:                                   "",
		`{"templateId":null}`:                  "",
		`{"templateId":"","headline":"Hi"}`:    "",
		`{"template":"card"}`:                  "; is 'template' a misspelling of templateId?",
		`{"format":"png","template_name":"c"}`: "; is 'template_name' a misspelling of templateId?",
		`{"tmplateId":25}`:                     "; is 'tmplateId' a misspelling of templateId?",
	} {
		wrong := &fieldsError{}
		r, _, err := parseInto[Request]([]byte(body), wrong)
		if err == nil {
			_, err = (&Server{}).templateOf(t.Context(), caller{}, r.TemplateID, inBody, wrong)
		}
		status := (*codeError)(nil)
		if !errors.As(err, &status) || status.status != http.StatusBadRequest || status.code != "templateId missing" {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if want := "the number or the name of a template is required in the request body" + hint; status.message != want {
			t.Errorf("%s: %s", body, cmp.Diff(want, status.message))
		}
	}
}

func TestFindTemplate(t *testing.T) {
	template := func(name, title string, id *int64) platenv1alpha1.RenderTemplate {
		one := platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{TemplateID: id, Title: title}}
		one.Name = name
		return one
	}
	all := []platenv1alpha1.RenderTemplate{
		template("25", "Summer", nil), template("card", "Card of the house", new(int64(25))), template("a", "Twin", nil), template("b", "Twin", nil),
		template("Summer", "", nil), template("menu", "Caf\u00e9 \ud55c", nil),
	}
	for id, want := range map[string]string{"25": "card", "card": "card", "Card of the house": "card", "Summer": "Summer", "Twin": "", "": "", "none": "",
		"CARD": "card", "card of the HOUSE": "card", "summer": "", "twin": "", "TWIN": "", "A": "a",
		"Cafe\u0301 \u1112\u1161\u11ab": "menu", "CAFE\u0301 \ud55c": "menu", "Cafe \ud55c": ""} {
		got := ""
		if found := findTemplate(all, id); found != nil {
			got = found.Name
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
	for id, want := range map[string]string{
		"Twin":   "'Twin' is 2 RenderTemplates in namespace 'ns'; name one of them: a or b",
		"TWIN":   "'TWIN' is 2 RenderTemplates in namespace 'ns'; name one of them: a or b",
		"summer": "'summer' is 2 RenderTemplates in namespace 'ns'; name one of them: 25 or Summer",
		"caard":  "namespace 'ns' has no RenderTemplate with the id, name or title 'caard'; did you mean 'card'?",
		"none":   "namespace 'ns' has no RenderTemplate with the id, name or title 'none'",
	} {
		if got := noTemplate(all, "ns", id); got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
	many := make([]platenv1alpha1.RenderTemplate, maxNamed+2)
	for i := range many {
		many[i] = template(fmt.Sprintf("t%02d", i), "Twin", nil)
	}
	if got := noTemplate(many, "ns", "Twin"); !strings.HasSuffix(got, "t08 or t09 or one of 2 more") {
		t.Errorf("of many: %q", got)
	}
}

// A copy elsewhere needs what its namespace may not have.
func TestACopyElsewhereLeavesFontSetsBehind(t *testing.T) {
	original := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{FontSetRefs: []platenv1alpha1.FontSetReference{{Name: "house"}, {Name: "symbols"}}}}
	original.Namespace = "marketing"
	if got := leftBehind(original, "marketing"); got != nil {
		t.Errorf("a copy beside the original: %v", got)
	}
	want := []Warning{
		{"FontSet 'house' was not copied", "jobs of the copy wait until namespace 'press' has a FontSet of this name"},
		{"FontSet 'symbols' was not copied", "jobs of the copy wait until namespace 'press' has a FontSet of this name"},
	}
	if diff := cmp.Diff(want, leftBehind(original, "press")); diff != "" {
		t.Errorf("a copy elsewhere (-want +got):\n%s", diff)
	}
}

func TestParseForgives(t *testing.T) {
	r, warnings, err := parse[Request]([]byte(` {"templateId":"25","modifications":null,"colour":"red","":1,"RenderOptions":2,"source":"sdk","response":{"format":"png","dpi":3,"quality":null},
		"connections":[{"type":"storage","provider":"dropbox","path":"/x"}]}`))
	titles := make([]string, 0, len(warnings))
	for _, w := range warnings {
		titles = append(titles, w.Title)
	}
	want := []string{
		"Field '' is not known and was ignored",
		"Field 'RenderOptions' is not known and was ignored",
		"Field 'colour' is not known and was ignored",
		"Field 'connections[0].path' is not known and was ignored",
		"Field 'response.dpi' is not known and was ignored",
	}
	if err != nil || r.TemplateID != "25" || cmp.Diff(want, titles) != "" {
		t.Errorf("%+v, %v, %v", r, titles, err)
	}
	for _, body := range []string{`{"templateId":25}`, `{"templateId":"25"}`} {
		if r, _, err := parse[Request]([]byte(body)); err != nil || r.TemplateID != "25" {
			t.Errorf("%+v, %v", r, err)
		}
	}
	many := map[string]any{"templateId": 1}
	for i := range 1000 {
		many[strconv.Itoa(i)] = i
	}
	body, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	if _, warnings, err := parse[Request](body); err != nil || len(warnings) != maxWarnings || warnings[maxWarnings-1].Title != "There are more warnings" {
		t.Errorf("%d warnings, %v", len(warnings), err)
	}
}

// Whoever sends the fields of a render for a URL learns what such a URL has instead.
func TestFieldsOfARenderForAURL(t *testing.T) {
	for body, want := range map[string]string{`"format":"jpg"`: "responseFormat", `"response":{"format":"jpg"}`: "responseFormat"} {
		_, warnings, err := parse[SignedURLRequest]([]byte(`{"templateId":1,` + body + `}`))
		if err != nil || len(warnings) != 1 || warnings[0].Details != "did you mean '"+want+"'?" {
			t.Errorf("%s: %+v, %v", body, warnings, err)
		}
	}
	for _, body := range []string{`"format":"jpg"`, `"fileName":"a"`, `"response":{"format":"jpg"}`} {
		_, warnings, err := parse[DynamicURLRequest]([]byte(`{"templateId":1,` + body + `}`))
		if err != nil || len(warnings) != 1 || warnings[0].Details != "did you mean 'name'?" {
			t.Errorf("%s: %+v, %v", body, warnings, err)
		}
	}
}

// Whoever names a modification twice learns which name counts.
func TestNamesOfAModification(t *testing.T) {
	for body, want := range map[string][]Warning{
		`[{"id":"note","name":"customer","text":"c"}]`: {{"Modification 'customer': id 'note' was ignored", "name is there too: name, key and id are one field"}},
		`[{"ID":"note","key":"customer","text":"c"}]`:  {{"Modification 'customer': id 'note' was ignored", "key is there too: name, key and id are one field"}},
		`[{"id":"c","key":"b","name":"a","text":"t"}]`: {
			{"Modification 'a': key 'b' was ignored", "name is there too: name, key and id are one field"},
			{"Modification 'a': id 'c' was ignored", "name is there too: name, key and id are one field"},
		},
		`[{"id":"a","key":" a","name":"a","text":"t"}]`: nil,
	} {
		_, warnings, err := parse[Request]([]byte(`{"templateId":25,"modifications":` + body + `}`))
		if diff := cmp.Diff(want, warnings); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", body, err, diff)
		}
	}
}

// Whoever sends an option in the wrong object learns where it belongs.
func TestFieldsOfAnotherObject(t *testing.T) {
	for body, want := range map[string]string{
		`"output":{"format":"pdf"}`:                  "did you mean 'response'?",
		`"folder":"/Renders"`:                        "did you mean 'connections'?",
		`"data":{"headline":"x"}`:                    "did you mean 'modifications'?",
		`"format":"jpg"`:                             "did you mean 'response.format'?",
		`"responseFormat":"jpg"`:                     "did you mean 'response.format'?",
		`"response":{"response_format":"jpg"}`:       "did you mean 'format'?",
		`"pages":[1]`:                                "did you mean 'response.includePages'?",
		`"file_name":"x"`:                            "did you mean 'response.fileName'?",
		`"fps":30`:                                   "did you mean 'videoOptions.fps'?",
		`"response":{"fps":30}`:                      "did you mean 'response.videoOptions.fps'?",
		`"response":{"dpi":30}`:                      "did you mean 'response.pdfOptions.dpi'?",
		`"response":{"templateId":30}`:               "did you mean 'templateId' beside 'response'?",
		`"response":{"connections":[]}`:              "did you mean 'connections' beside 'response'?",
		`"response":{"pages":[1]}`:                   "did you mean 'includePages'?",
		`"response":{"nothing":1}`:                   "",
		`"modification":{}`:                          "did you mean 'modifications'?",
		`"modifications":[{"name":"a","vlaue":"b"}]`: "did you mean 'value'?",
		`"modifications":[{"name":"a"}]`:             "give it a text, src or value",
	} {
		_, warnings, err := parse[Request]([]byte(`{"templateId":1,` + body + `}`))
		if err != nil || len(warnings) != 1 || warnings[0].Details != want {
			t.Errorf("%s: %+v, %v", body, warnings, err)
		}
	}
	for _, entry := range []string{`{"name":"a","text":null}`, `{"id":"a","key":"a","type":"text","description":"","required":false}`, `{"name":"a","color":"red"}`} {
		if _, warnings, err := parse[Request]([]byte(`{"templateId":1,"modifications":[` + entry + `]}`)); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %+v, %v", entry, warnings, err)
		}
	}
}

// The values of a field as clients in many languages send it.
func TestClientsSpellValuesInTheirOwnWay(t *testing.T) {
	const one = `{"templateId":25,"modifications":{"a":"b"},"response":{"type":"url","format":"png","fileName":"2026","quality":90,"scale":1.5,"includePages":[1,2]},
		"pdfOptions":{},"videoOptions":{"loop":true,"muted":false},"connections":[{"type":"storage","provider":"dropbox","folder":"/7"}]}`
	want := mustParse(t, one)
	for name, body := range map[string]string{
		"numbers as texts, with spaces": `{"templateId":" 25 ","modifications":{"a":"b"},"response":{"type":"url","format":"png","fileName":"2026","quality":" 90","scale":"1.5 ","includePages":["1"," 2"]},
			"videoOptions":{"loop":"true","muted":"False"},"connections":[{"type":"storage","provider":"dropbox","folder":"/7"}]}`,
		"floats": `{"templateId":25.0,"modifications":{"a":"b"},"response":{"type":"url","format":"png","fileName":2026,"quality":90.0,"scale":15e-1,"includePages":[1.0,2.00]},
			"videoOptions":{"loop":1,"muted":"0"},"connections":[{"type":"storage","provider":"dropbox","folder":"/7"}]}`,
		"capitals": `{"TEMPLATEID":25,"Modifications":{"a":"b"},"Response":{"Type":"URL","Format":" PNG","filename":"2026","Quality":90,"Scale":1.5,"includepages":[1,2]},
			"VideoOptions":{"Loop":true,"Muted":false},"Connections":[{"Type":"Storage","Provider":"Dropbox","Folder":"/7"}]}`,
		"nothing as null, an empty text or list": `{"templateId":25,"modifications":{"a":"b"},"response":{"type":"url","format":"png","fileName":"2026","quality":90,"scale":1.5,"includePages":[1,null,2,""],
			"size":"","width":null,"extraSizes":"","mode":null,"pdfOptions":[],"videoOptions":null},"pdfOptions":[ ],"videoOptions":{"loop":true,"muted":false,"fps":"","trimEnd":"null","combinePages":""},
			"connections":[{"type":"storage","provider":"dropbox","folder":"/7"},null],"webhook":"","webhook_url":null,"publish":null,"metadata":null}`,
		"a byte order mark": "\xef\xbb\xbf" + one,
		"lists as texts": `{"templateId":25,"modifications":{"a":"b"},"response":{"type":"url","format":"png","fileName":"2026","quality":90,"scale":1.5,"includePages":"1, 2","extraSizes":"[]"},
			"pdfOptions":{},"videoOptions":{"loop":true,"muted":false},"connections":"[{\"type\":\"storage\",\"provider\":\"dropbox\",\"folder\":\"/7\"}]"}`,
		"objects as texts": `{"templateId":25,"modifications":"{\"a\":\"b\"}","response":"{\"type\":\"url\",\"format\":\"png\",\"fileName\":\"2026\",\"quality\":90,\"scale\":1.5,\"includePages\":[1,2]}",
			"pdfOptions":"{}","videoOptions":{"loop":true,"muted":false},"connections":[{"type":"storage","provider":"dropbox","folder":"/7"}]}`,
		"one of a list": `{"templateId":25,"modifications":{"a":"b"},"response":{"type":"url","format":"png","fileName":"2026","quality":90,"scale":1.5,"includePages":"1,2"},
			"videoOptions":{"loop":true,"muted":false},"connections":{"type":"storage","provider":"dropbox","folder":"/7"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := mustParse(t, body)
			if diff := cmp.Diff(spec(want, "card"), spec(got, "card")); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
	if r := mustParse(t, `{"templateId":"25.0"}`); r.TemplateID != "25.0" {
		t.Errorf("the name of a template became %s", r.TemplateID)
	}
}

func TestSizesAsText(t *testing.T) {
	want := ExtraSizes{{Size: "1080x1920"}, {Size: "og-image"}}
	for _, sizes := range []string{`["1080x1920","og-image"]`, `"1080x1920, OG Image"`, `"[\"1080x1920\",\"og_image\"]"`, `[{"width":1080,"height":"1920"},"og-image"]`} {
		r := mustParse(t, `{"templateId":1,"response":{"extraSizes":`+sizes+`}}`)
		if diff := cmp.Diff(want, r.Response.ExtraSizes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", sizes, diff)
		}
	}
}

func TestSizesAsObjects(t *testing.T) {
	r := mustParse(t, `{"templateId":1,"response":{"size":{"Width":1080.0,"height":1920},"extraSizes":{"story":{"width":9,"height":16},"wide":"OG Image","none":null}}}`)
	if got := pageSize(r.Response); got != "1080x1920" {
		t.Errorf("size %q", got)
	}
	if diff := cmp.Diff(ExtraSizes{{"story", "9x16"}, {"wide", "og-image"}}, r.Response.ExtraSizes); diff != "" {
		t.Errorf("extra sizes (-want +got):\n%s", diff)
	}
}

func TestOnePageAsNumber(t *testing.T) {
	for _, pages := range []string{`2`, `"2"`, `[2]`, `"[2]"`, `["2"]`} {
		r := mustParse(t, `{"templateId":1,"connections":"[]","response":{"includePages":`+pages+`}}`)
		if got := spec(r, "card"); len(got.Output.Pages) != 1 || got.Output.Pages[0] != 2 || got.Connections != nil {
			t.Errorf("%s: %+v", pages, got)
		}
	}
}

func TestValuesInOtherUnits(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "20px": "20px", "20": "20", " 1IN ": "1in", ".5in": "0.5in", "12pt": "16px", "10 mm": "10mm", "0": "0", "1.23456cm": "1.235cm",
	} {
		if got, ok := plainMargin(text); got != want || !ok {
			t.Errorf("margin %q: got %q, %t", text, got, ok)
		}
	}
	for path, want := range map[string]platenv1alpha1.FolderPath{"": "", "/": "/", "//": "/", "/a/b": "/a/b", "/a/b//": "/a/b", "a/": "/a", " Marketing/2024": "/Marketing/2024"} { //nolint:gocritic // the space is part of what people send
		if got := platenv1alpha1.Folder(path); got != want {
			t.Errorf("folder %q: got %q", path, got)
		}
	}
	for size, want := range map[string]string{"1080 x 1920": "1080x1920", "1080×1920": "1080x1920", "OG-Image ": "og-image", "instagram_story": "instagram-story", "Instagram  Story": "instagram-story", "Twitter - Post": "twitter-post"} {
		if got := plainSize(size); got != want {
			t.Errorf("size %q: got %q", size, got)
		}
	}
	film := mustParse(t, `{"templateId":1,"response":{"format":"mp4","width":1080,"height":"1920"},"videoOptions":{"fps":29.97,"trimStart":0,"trimEnd":0}}`)
	want := platenv1alpha1.OutputSpec{Format: "mp4", Size: "1080x1920", Video: platenv1alpha1.VideoOptions{FPS: 30, TrimStart: "0"}}
	if diff := cmp.Diff(want, spec(film, "card").Output); diff != "" {
		t.Error(diff)
	}
	if w := limitations(film); len(w) != 1 || w[0].Title != "Field 'videoOptions.fps' was rounded to 30" {
		t.Errorf("warnings %+v", w)
	}
}

// A typed client sends every field that it has.
func TestModificationsInAList(t *testing.T) {
	for list, want := range map[string]struct {
		object   string
		warnings int
	}{
		`[]`: {object: `{}`},
		`[{"name":"headline","text":"Hi","src":null,"value":null}]`:                                            {object: `{"headline":"Hi"}`},
		`[{"name":"headline","text":"Hi","src":""}]`:                                                           {object: `{"headline":"Hi"}`},
		`[{"name":"headline","text":"","src":"","value":"Hi"}]`:                                                {object: `{"headline":"Hi"}`},
		`[{"name":"headline","text":"","value":""}]`:                                                           {object: `{"headline":""}`},
		`[{"name":"headline","text":"Hi","value":"Hi"}]`:                                                       {object: `{"headline":"Hi"}`},
		`[{"name":"headline","text":"Hi","value":"Ho"}]`:                                                       {object: `{"headline":"Ho"}`, warnings: 1},
		`[{"name":"headline","text":null}]`:                                                                    {object: `{}`},
		`[{"name":"headline","text":"Hi","color":"red","fontSize":null,"fill":""}]`:                            {object: `{"headline":"Hi","headline.color":"red"}`},
		`[{"id":"note","name":"customer","text":"c"}]`:                                                         {object: `{"customer":"c"}`, warnings: 1},
		`[{"id":"c","key":"b","name":"a","text":"c"}]`:                                                         {object: `{"a":"c"}`, warnings: 2},
		`[{"id":"b","key":"a","text":"c"}]`:                                                                    {object: `{"a":"c"}`, warnings: 1},
		`[{"id":" a","key":"a","name":"","text":"c"}]`:                                                         {object: `{"a":"c"}`},
		`[{"key":"headline","text":"Hi"},{"id":"price","Value":3}]`:                                            {object: `{"headline":"Hi","price":3}`},
		`[{"id":"a","key":"headline","type":"text","description":"","helpText":"x","required":true,"text":1}]`: {object: `{"headline":1}`},
		`[{"name":"a","text":"1"},{"name":"a","text":"2"}]`:                                                    {object: `{"a":"2"}`, warnings: 1},
		`"[{\"name\":\"headline\",\"text\":\"Hi\"}]"`:                                                          {object: `{"headline":"Hi"}`},
	} {
		r, warnings, err := parse[Request]([]byte(`{"templateId":25,"modifications":` + list + `}`))
		if got := strings.TrimSpace(string(r.Modifications.RawMessage)); err != nil || got != want.object || len(warnings) != want.warnings {
			t.Errorf("%s: got %s, %v, %v; want %s with %d warnings", list, got, warnings, err, want.object, want.warnings)
		}
	}
}

func TestTruthsAreTexts(t *testing.T) {
	card := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{Parameters: []platenv1alpha1.Parameter{
		{Name: "headline"}, {Name: "note", Type: "text"}, {Name: "show", Type: "boolean"},
	}}}
	r := mustParse(t, `{"templateId":1,"modifications":{"headline":true,"page2@note":false,"show":true,"other":true}}`)
	got := strings.TrimSpace(string(r.Modifications.textsFor(card).RawMessage))
	if want := `{"headline":"true","other":true,"page2@note":"false","show":true}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if none := (Object{}).textsFor(card); none.RawMessage != nil {
		t.Errorf("nothing became %s", none.RawMessage)
	}
}

// An empty text is a value of a text that can be absent.
func TestEmptyIsNotAbsent(t *testing.T) {
	for body, want := range map[string][2]*string{
		`{}`: {}, `{"name":null,"description":null}`: {}, `{"name":"","description":"x"}`: {new(""), new("x")}, `{"description":""}`: {nil, new("")},
	} {
		got, _, err := parse[TemplatePatch]([]byte(body))
		if diff := cmp.Diff(want, [2]*string{got.Name, got.Description}); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", body, err, diff)
		}
	}
}

// Zero is not the same as nothing.
func TestZeroIsOutOfRange(t *testing.T) {
	for body, want := range map[string]string{
		`{"templateId":1,"response":{"quality":0}}`:                              "response.quality: must be at least 1, not 0",
		`{"templateId":1,"response":{"quality":"0"}}`:                            "response.quality: must be at least 1, not 0",
		`{"templateId":1,"response":{"quality":-1}}`:                             "response.quality: must be at least 1, not -1",
		`{"templateId":1,"response":{"width":0,"height":0}}`:                     "response.height: must be at least 1, not 0; response.width: must be at least 1, not 0",
		`{"templateId":1,"videoOptions":{"quality":0}}`:                          "videoOptions.quality: must be at least 1, not 0",
		`{"templateId":1,"videoOptions":{"fps":0}}`:                              "videoOptions.fps: must be at least 1, not 0",
		`{"templateId":1,"videoOptions":{"fps":0.3}}`:                            "videoOptions.fps: must be at least 1, not 0.3",
		`{"templateId":1,"videoOptions":{"duration":0}}`:                         "videoOptions.duration: must be at least 0.1, not 0",
		`{"templateId":1,"response":{"videoOptions":{"duration":0}}}`:            "response.videoOptions.duration: must be at least 0.1, not 0",
		`{"templateId":1,"videoOptions":{"pageTransitionDuration":0}}`:           "videoOptions.pageTransitionDuration: must be at least 0.1, not 0",
		`{"templateId":1,"pdfOptions":{"dpi":0}}`:                                "pdfOptions.dpi: must be at least 48, not 0",
		`{"templateId":1,"pdfOptions":{"rangeFrom":0}}`:                          "pdfOptions.rangeFrom: must be at least 1, not 0",
		`{"templateId":1,"response":{"pdfOptions":{"rangeTo":0,"rangeFrom":1}}}`: "response.pdfOptions.rangeTo: must be at least 1, not 0",
	} {
		if _, _, err := parse[Request]([]byte(body)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
	if _, _, err := parse[DynamicURLRequest]([]byte(`{"templateId":1,"page":0}`)); err == nil {
		t.Error("page 0 is taken")
	}
}

func TestOptionsOfOtherFormats(t *testing.T) {
	for body, want := range map[string][]Warning{
		`{"templateId":1,"videoOptions":{"fps":99}}`: {{"Field 'videoOptions.fps' was ignored", "it is for mp4, webm and gif, and the format is png"}},
		`{"templateId":1,"response":{"format":"pdf","videoOptions":{"muted":true}}}`: {
			{"Field 'response.videoOptions.muted' was ignored", "it is for mp4, webm and gif, and the format is pdf"},
		},
		`{"templateId":1,"response":{"format":"mp4"},"pdfOptions":{"dpi":9999,"title":"x"}}`: {
			{"Field 'pdfOptions.dpi' was ignored", "it is for pdf, and the format is mp4"}, {"Field 'pdfOptions.title' was ignored", "it is for pdf, and the format is mp4"},
		},
		`{"templateId":1,"response":{"format":"pdf"},"pdfOptions":{"dpi":300},"videoOptions":{}}`: nil,
		`{"templateId":1,"response":{"format":"jpg","transparent":true}}`:                         {{"Field 'response.transparent' was ignored", "it is for png, webp and avif, and the format is jpg"}},
		`{"templateId":1,"response":{"format":"jpg","transparent":false}}`:                        nil,
		`{"templateId":1,"response":{"transparent":true}}`:                                        nil,
		`{"templateId":1,"response":{"type":"binary","mode":"async"}}`: {
			{"Field 'response.type' was ignored: an asynchronous render answers with no file", "its state has URLs; base64 puts the files themselves into it"},
		},
		`{"templateId":1,"response":{"type":"binary","mode":"sync"}}`:  nil,
		`{"templateId":1,"response":{"type":"base64","mode":"async"}}`: nil,
	} {
		if diff := cmp.Diff(want, limitations(mustParse(t, body))); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

// No field loses against another one in silence.
func TestFieldsThatContradictEachOther(t *testing.T) {
	tooTwo := func(names ...string) (warnings []Warning) {
		for i := 0; i < len(names); i += 2 {
			warnings = append(warnings, Warning{Title: fmt.Sprintf("Field '%s' was ignored, because '%s' is there too", names[i], names[i+1])})
		}
		return warnings
	}
	for body, want := range map[string][]Warning{
		`{"templateId":1,"webhook":"https://a.example/","webhook_url":"https://b.example/"}`:                                   tooTwo("webhook_url", "webhook"),
		`{"templateId":1,"webhook":"https://a.example/","webhook_url":"https://a.example/"}`:                                   nil,
		`{"templateId":1,"response":{"size":"10x10","width":20,"height":30}}`:                                                  tooTwo("response.width", "response.size", "response.height", "response.size"),
		`{"templateId":1,"response":{"size":"20 x 30","width":20,"height":30}}`:                                                nil,
		`{"templateId":1,"response":{"size":"og-image","width":20}}`:                                                           tooTwo("response.width", "response.size"),
		`{"templateId":1,"response":{"format":"pdf","pdfOptions":{"dpi":72,"title":"b"}},"pdfOptions":{"dpi":96,"title":"b"}}`: tooTwo("response.pdfOptions.dpi", "pdfOptions.dpi"),
		`{"templateId":1,"response":{"format":"gif","videoOptions":{"loop":true,"fps":10}},"videoOptions":{"loop":false}}`:     tooTwo("response.videoOptions.loop", "videoOptions.loop"),
		`{"templateId":1,"response":{"format":"gif","videoOptions":{"loop":true}},"videoOptions":{"loop":true}}`:               nil,
		`{"templateId":1,"response":{"format":"mp4","quality":50},"videoOptions":{"quality":60}}`:                              tooTwo("videoOptions.quality", "response.quality"),
	} {
		if diff := cmp.Diff(want, limitations(mustParse(t, body))); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

// Clients in Python and Ruby send names with underscores. Of two spellings, one counts, and a warning names the other.
func TestNamesWithUnderscores(t *testing.T) {
	r, warnings, err := parse[Request]([]byte(`{"template_id":25,"response":{"file_name":"x","include_pages":[2]},"pdf_options":{"range_from":2},"webhookUrl":"https://a.example/"}`))
	if err != nil || len(warnings) != 0 || r.TemplateID != "25" || r.Response.FileName != "x" || len(r.Response.IncludePages) != 1 || r.PDFOptions.RangeFrom != 2 || r.WebhookURL == "" {
		t.Errorf("%+v, %v, %v", r, warnings, err)
	}
	for body, want := range map[string]string{
		`{"templateId":25,"template_id":26}`:   "Field 'template_id' was ignored, because 'templateId' is there too",
		`{"TEMPLATEID":25,"template_id":26}`:   "Field 'template_id' was ignored, because 'TEMPLATEID' is there too",
		`{"templateId":null,"template_id":25}`: "",
		`{"TEMPLATEID":null,"template_id":25}`: "",
	} {
		r, warnings, err := parse[Request]([]byte(body))
		if err != nil || r.TemplateID != "25" || len(warnings) > 1 || len(warnings) == 1 && warnings[0].Title != want || len(warnings) == 0 && want != "" {
			t.Errorf("%s: %+v, %v, %v", body, r.TemplateID, warnings, err)
		}
	}
}

func TestTransparentPictures(t *testing.T) {
	for body, want := range map[string]*bool{
		`{"templateId":1,"response":{"transparent":true}}`: new(true), `{"templateId":1,"response":{"format":"webp","transparent":"1"}}`: new(true),
		`{"templateId":1,"response":{"format":"jpg","transparent":true}}`: nil, `{"templateId":1,"response":{"transparent":false}}`: nil, `{"templateId":1}`: nil,
	} {
		if got := spec(mustParse(t, body), "card").Output.Transparent; !ptr.Equal(got, want) {
			t.Errorf("%s: %v", body, got)
		}
	}
}

func TestConnectionsByName(t *testing.T) {
	for body, want := range map[string]string{
		`{"templateId":1,"connections":[{"type":"storage","provider":"dropbox","name":"a"},{"type":"storage","provider":"dropbox","name":"b"}]}`:   "",
		`{"templateId":1,"connections":[{"type":"storage","provider":"dropbox","name":"a"},{"type":"storage","provider":"dropbox"}]}`:              "connections[1].name: must be given, as ",
		`{"templateId":1,"connections":[{"type":"storage","provider":"dropbox","name":"a"},{"type":"storage","provider":"dropbox","name":" a "}]}`: "connections[1].name: 'a' is there twice: ",
		`{"templateId":1,"connections":[{"type":"storage","provider":"dropbox"},{"type":"storage","provider":"dropbox","name":""}]}`:               "connections[1].provider: 'dropbox' is there twice: ",
	} {
		r, _, err := parse[Request]([]byte(body))
		if err == nil {
			err = mistakesOf(r)
		}
		if err == nil && want != "" || err != nil && (want == "" || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
	got := spec(mustParse(t, `{"templateId":1,"connections":[{"provider":"dropbox","name":"team"},{"type":"storage","provider":"s3"}]}`), "card").Connections
	if len(got) != 2 || ptr.Deref(got[0].Name, "") != "team" || got[1].Name != nil {
		t.Errorf("got %+v", got)
	}
}

// A result is no other than the path says without a word.
func TestFormatOfAKind(t *testing.T) {
	for _, c := range []struct {
		kind, format, want string
		warnings           []Warning
	}{
		{images, "", "", nil}, {images, "png", "png", nil}, {images, "pdf", "pdf", nil}, {pdfs, "", "pdf", nil}, {pdfs, "pdf", "pdf", nil}, {pdfs, "bmp", "bmp", nil},
		{pdfs, "png", "png", []Warning{{"The result is no pdf: 'response.format' is png, and counts more than pdfs", "leave out 'response.format' for a pdf"}}},
	} {
		got := c.format
		if diff := cmp.Diff(c.warnings, formatOf(c.kind, "response.format", &got)); diff != "" || got != c.want {
			t.Errorf("%s with %q: %q %s", c.kind, c.format, got, diff)
		}
	}
}

func TestNamesInDynamicURLs(t *testing.T) {
	for name, want := range map[string]string{
		"card.png": "card.png png", "日本.png": "日本.png png", "Käse 50%.pdf": "Käse 50%.pdf pdf", "card": "card.png png", "v1.2.webp": "v1.2.webp webp", "Card.JPG": "Card.JPG jpg",
		"(1).png": "(1).png png", strings.Repeat("a", 200) + ".png": strings.Repeat("a", 200) + ".png png",
		"": "", ".png": "", " a.png": "", "..png": "", "a/b.png": "", "a\\b.png": "", "a\n.png": "", "a\u202e.png": "", "a\u0085.png": "", "a\u2028.png": "", "card.bmp": "", "v1.2": "", "\xff.png": "",
		strings.Repeat("a", 201) + ".png": "", strings.Repeat("😀", 101) + ".png": "",
	} {
		full, format, ok := dynamicName(name)
		if got := full + " " + string(format); ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %t", name, got, ok)
		}
	}
}

func TestValuesOfDynamicURLs(t *testing.T) {
	card := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{
		Parameters: []platenv1alpha1.Parameter{{Name: "note", Default: &apiextensionsv1.JSON{Raw: []byte(`"-"`)}}, {Name: "points", Type: "list"}, {Name: "paid", Type: "boolean"}},
		Pages:      []platenv1alpha1.TemplatePage{{HTML: `<i data-each="rows" data-param="item"></i><b data-param="order.total"></b><u data-if="flag"></u><u data-if="order.paid"></u>`}},
	}}
	for modifications, want := range map[string]struct{ mods, warning string }{
		`{}`: {`{}`, ""},
		// What a template does not declare says what it is, as with --set.
		`{"flag":false,"page1@flag":true,"n":12}`:                             {`{"flag":false,"n":12,"page1@flag":true}`, ""},
		`{"flag":0.00,"version":1.10,"code":"007","parcel":9007199254740993}`: {`{"code":"007","flag":0,"parcel":"9007199254740993","version":"1.10"}`, ""},
		`{"flag":null,"headline":"Hello","n":"12"}`:                           {`{"flag":null,"headline":"Hello","n":12}`, ""},
		// A text that the URL cannot hold apart from a value.
		`{"flag":"false"}`: {`{"flag":false}`, `Modification flag: the URL says false, not "false"`},
		`{"flag":"FALSE"}`: {`{"flag":false}`, `Modification flag: the URL says false, not "FALSE"`}, // pages only ask whether it is true
		`{"n":"FALSE"}`:    {`{"n":"FALSE"}`, ""},
		`{"order.paid":"FALSE","order.total":"FALSE"}`: {`{"order.paid":false,"order.total":"FALSE"}`, `Modification order.paid: the URL says false, not "FALSE"`},
		`{"rows":"hey"}`:  {`{"rows":["hey"]}`, ""},
		`{"rows":"1"}`:    {`{"rows":["1"]}`, ""},
		`{"rows":"[]"}`:   {`{"rows":[]}`, `Modification rows: the URL says [], not "[]"`},
		`{"flag":"null"}`: {`{"flag":null}`, `Modification flag: the URL says null, not "null"`},
		`{"flag":[]}`:     {`{"flag":"[]"}`, `Modification flag: the URL says "[]", not []`},
		// What is not given has the template's default.
		`{"note":null,"paid":null,"points":null}`: {`{}`, ""},
		`{"note":false,"paid":"0","points":""}`:   {`{"note":"false","paid":"0","points":null}`, ""},
		// A list is JSON, or has an item in each line; what a page shows as a list or an object is one.
		`{"points":["a",1.10]}`:                         {`{"points":["a","1.10"]}`, ""},
		`{"points":"one\ntwo\n\nthree"}`:                {`{"points":["one","two","three"]}`, ""},
		`{"points":"[1"}`:                               {`{"points":"[1"}`, ""}, // refused by what checks the values
		`{"rows":["a"],"order":{"total":1.50},"n":[1]}`: {`{"n":"[1]","order":{"total":"1.50"},"rows":["a"]}`, `Modification n: the URL says "[1]", not [1]`},
	} {
		query, err := dynamicQuery(card, []byte(modifications))
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := newTarget(card, "a.png", "png", query)
		if err != nil || string(wanted.spec.Modifications.Raw) != want.mods {
			t.Errorf("%s: got %s, %v, want %s", modifications, wanted.spec.Modifications.Raw, err, want.mods)
		}
		warnings := changed(card, []byte(modifications), wanted.spec.Modifications.Raw)
		if len(warnings) == 1 && warnings[0].Details == "" {
			t.Errorf("%s: the warning does not say what helps", modifications)
		}
		if len(warnings) > 1 || (len(warnings) == 1) != (want.warning != "") || len(warnings) == 1 && warnings[0].Title != want.warning {
			t.Errorf("%s: got the warnings %+v, want %q", modifications, warnings, want.warning)
		}
	}
}

// What a warning advises helps.
func TestObjectsInDynamicURLs(t *testing.T) {
	card := func(html string) *platenv1alpha1.RenderTemplate {
		return &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{{HTML: html}}}}
	}
	warnings := func(template *platenv1alpha1.RenderTemplate, modifications string) []Warning {
		query, err := dynamicQuery(template, []byte(modifications))
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := newTarget(template, "a.png", "png", query)
		if err != nil {
			t.Fatal(err)
		}
		return changed(template, []byte(modifications), wanted.spec.Modifications.Raw)
	}
	const advice = `a page must show a field of the object, as data-param="meta.%s" does: no type of a parameter takes an object`
	for modifications, field := range map[string]string{`{"meta":{"a":1}}`: "a", `{"page1@meta":{"a b":1,"c":2}}`: "c", `{"meta":{}}`: "FIELD"} {
		if got, want := warnings(card("<p>"), modifications), fmt.Sprintf(advice, field); len(got) != 1 || got[0].Details != want {
			t.Errorf("%s: got %+v, want %s", modifications, got, want)
		}
		if got := warnings(card(`<p data-param="meta.`+field+`">`), modifications); got != nil {
			t.Errorf("%s: got %+v for a page that shows a field", modifications, got)
		}
	}
	if got := warnings(card("<p>"), `{"meta":[1]}`); len(got) != 1 || got[0].Details != "declare the parameter in the template, with its type" {
		t.Errorf("a list: got %+v", got)
	}
}

func TestUnusedKeysOfDynamicURLs(t *testing.T) {
	card := func(html string) *platenv1alpha1.RenderTemplate {
		return &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{
			Parameters: []platenv1alpha1.Parameter{{Name: "declared"}}, Pages: []platenv1alpha1.TemplatePage{{HTML: html}},
		}}
	}
	const html = `<p id=price data-param="headline">Hello</p><svg><path id="logo"/></svg><b data-param="order.total"></b>`
	for key, want := range map[string]int{
		"headline": 0, "page1@headline": 0, "declared": 0, "price.color": 0, "logo.fill": 0, "order": 0, "canvasBackgroundColor": 0,
		"headlin": 1, "page1@headlin": 1, "prize.color": 1,
	} {
		if got := unused(card(html), []string{key, key}, nil); len(got) != want {
			t.Errorf("%s: %+v", key, got)
		}
		if got := unused(card(html+`<script>use(platen.modifications)</script>`), []string{key}, nil); got != nil {
			t.Errorf("%s with a script: %+v", key, got)
		}
	}
}

func TestWarningsOfDynamicURLsSayWhatIsMeant(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{
		Parameters: []platenv1alpha1.Parameter{{Name: "lines", Type: platenv1alpha1.ParameterList}},
		Pages:      []platenv1alpha1.TemplatePage{{HTML: `<p data-param="headline">x</p><p data-each="lines"><b data-param="name">x</b></p>`}},
	}}
	got := unused(template, []string{"lines", "hedline"}, []byte(`{"hedline": "x", "lines": [{"nam": 1}]}`))
	want := []Warning{
		{"Modification hedline is not used by the template", "did you mean headline?"},
		{"Modification lines: no page uses lines.nam", "did you mean lines.name?"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// A dynamic URL leaves open what the request says, no more and no less.
func TestOpenNamesOfDynamicURLs(t *testing.T) {
	got, err := openNames([]string{" headline ", "", "page1@headline"}, nil)
	if want := []string{"headline", "page1@headline"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	wrong := &fieldsError{}
	request, _, err := parseInto[DynamicURLRequest]([]byte(`{"templateId":1,"open":["a",null,"quality",{},"b,c"]}`), wrong)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = request.query(&platenv1alpha1.RenderTemplate{}, wrong.places)
	_ = wrong.add(err)
	if want := "open[3]: must be a string, not an object; open[2]: 'quality' cannot be open: it is a parameter of the URL itself, which the signature covers; " +
		"open[4]: 'b,c' must be one name: in the URL, a comma separates names"; wrong.Error() != want {
		t.Errorf("got %s, want %s", wrong, want)
	}
	for name, want := range map[string]string{
		"quality": "open[1]: 'quality' cannot be open: it is a parameter of the URL itself, which the signature covers",
		"page":    "open[1]: 'page' cannot be open: it is a parameter of the URL itself, which the signature covers",
		"a,b":     "open[1]: 'a,b' must be one name: in the URL, a comma separates names",
	} {
		if _, err := openNames([]string{"headline", name}, nil); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
}

// All that a dynamic URL cannot have is said at once.
func TestMistakesOfDynamicURLs(t *testing.T) {
	request, _, err := parse[DynamicURLRequest]([]byte(`{"templateId":1,"modifications":{"workspace":"x","headline":"Hi","page":3},"open":["price","quality","a,b"],"expiresAt":1}`))
	if err != nil {
		t.Fatal(err)
	}
	query, keys, err := request.query(&platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "card"}}, nil)
	const own = ": cannot be in a dynamic URL, whose own parameter has this name; "
	want := "modifications.page" + own + "modifications.workspace" + own + "open[1]: 'quality' cannot be open: it is a parameter of the URL itself, which the signature covers; " +
		"open[2]: 'a,b' must be one name: in the URL, a comma separates names; expiresAt: must be a Unix time in the future, in seconds or milliseconds"
	if err == nil || err.Error() != want {
		t.Errorf("%s", cmp.Diff(want, fmt.Sprint(err)))
	}
	if got, want := query.Encode(), "headline=Hi&open=price&templateId=card&workspace=ns"; got != want || !slices.Equal(keys, []string{"headline", "price"}) {
		t.Errorf("the query is %s with the keys %v, want %s", got, keys, want)
	}
}

// A mistake may follow from one that was known before, but not from one that is found together with it.
func TestMistakesThatFollowFromOthersAreLeftOut(t *testing.T) {
	wrong := &fieldsError{}
	_ = wrong.add(&FieldError{"response.scale", "must be a number"})
	wrong.say([]string{
		"the template's parameter 'a' has a default that does not fit", "the template's parameter 'b' has a default that does not fit", "modifications.title is required",
		"modifications.title.color: must be a color", "response.scale: must be at most 10",
	}, 2)
	wrong.say([]string{"response.scale: Invalid value", "modifications.title: Invalid value", "response.quality: Invalid value"}, 0)
	want := "response.scale: must be a number; the template's parameter 'a' has a default that does not fit; the template's parameter 'b' has a default that does not fit; " +
		"modifications.title is required; modifications.title.color: must be a color; response.quality: Invalid value; and 2 more"
	if got := wrong.Error(); got != want {
		t.Error(cmp.Diff(want, got))
	}
}

func TestQueriesOfDynamicURLs(t *testing.T) {
	card := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{Pages: make([]platenv1alpha1.TemplatePage, 3)}}
	for query, want := range map[string]string{
		"": "[1] 0", "page=&quality=": "[1] 0", "page=3&quality=1": "[3] 1", "quality=100": "[1] 100",
		"quality=0": "quality: must be a whole number from 1 to 100", "quality=00": "quality: must be", "quality=-0": "quality: must be", "quality=101": "quality: must be",
		"quality=0.0": "quality: must be", "page=0": "page: must be a whole number from 1 to 3", "page=4": "page: must be", "page=1.5": "page: must be",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if wanted, err := newTarget(card, "a.png", "png", values); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(wanted.spec.Output.Pages, wanted.spec.Output.Quality)
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	if all, err := newTarget(card, "a.pdf", "pdf", url.Values{"page": {""}}); err != nil || all.spec.Output.Pages != nil {
		t.Errorf("page= of a PDF: %v, %v", all, err)
	}
}

func TestFilesThatAnAnswerCannotHold(t *testing.T) {
	file := func(url string, size int64) platenv1alpha1.RenderedPage {
		return platenv1alpha1.RenderedPage{ContentURL: url, Size: new(size)}
	}
	for name, c := range map[string]struct {
		files    []platenv1alpha1.RenderedPage
		status   int
		tooLarge bool
	}{
		"kept":      {[]platenv1alpha1.RenderedPage{file("http://content/1", maxInline)}, 0, false},
		"too large": {[]platenv1alpha1.RenderedPage{file("http://content/1", maxInline), file("http://content/2", 1)}, 0, true},
		"expired":   {[]platenv1alpha1.RenderedPage{file("", 1)}, http.StatusGone, false},
		"none":      {nil, http.StatusGone, false},
	} {
		known, status, of := (*callers.StatusError)(nil), 0, job(0, func(s *platenv1alpha1.RenderJobStatus) { s.Pages = c.files })
		if errors.As(checkKept(of), &known) {
			status = known.Status
		}
		if status != c.status || tooLargeInline(of) != c.tooLarge {
			t.Errorf("%s: %d, %t, want %d, %t", name, status, tooLargeInline(of), c.status, c.tooLarge)
		}
		for _, kind := range []string{typeURL, typeBase64, typeBinary} {
			of.Annotations = map[string]string{platenv1alpha1.ResponseTypeAnnotation: kind}
			if got := len(warnings(of)) > 0; got != (c.tooLarge && kind == typeBase64) {
				t.Errorf("%s as %s: warnings %v", name, kind, warnings(of))
			}
		}
	}
}

func TestOnePageOfSeveral(t *testing.T) {
	all := job(3, func(s *platenv1alpha1.RenderJobStatus) { s.Pages[0].Page, s.Pages[1].Page = 4, 4 })
	for text, want := range map[string]int{"": 3, "4": 1, "3": 1, "1": 0, "0": 0, "x": 0, "9999999999": 0} {
		one, err := onePage(all, text)
		if (err == nil) != (want > 0) || err == nil && len(one.Status.Pages) != want {
			t.Errorf("page=%s: %v, %v", text, one, err)
		}
	}
	if len(all.Status.Pages) != 3 {
		t.Error("the job has changed")
	}
}

func TestKeptFilesAreBounded(t *testing.T) {
	k := newKept()
	file := func(n byte) *keptFile { return &keptFile{key: [32]byte{n}, etag: "e", data: make([]byte, maxKeptFile)} }
	const most = maxKept / maxKeptFile
	for n := range byte(most) {
		k.add(file(n))
	}
	k.add(file(1)) // again
	if k.get([32]byte{0}, "e") == nil || k.get([32]byte{0}, "another") != nil || k.size != maxKept {
		t.Fatalf("%d bytes", k.size)
	}
	k.add(file(most))
	if k.get([32]byte{2}, "e") != nil || k.get([32]byte{0}, "e") == nil || k.get([32]byte{most}, "e") == nil || k.size != maxKept || len(k.byKey) != most {
		t.Errorf("%d files of %d bytes; the one that nobody has asked for must go", len(k.byKey), k.size)
	}
}

func TestFieldsThatAreThereTwice(t *testing.T) {
	r, warnings, err := parse[Request]([]byte(`{"templateId":2,"templateid":3,"modifications":{"t":"{\"a\":1,\"a\":2}"}}`))
	if err != nil || r.TemplateID != "2" || len(warnings) != 1 {
		t.Errorf("in other capitals: %+v, %v, %v", r, warnings, err)
	}
	for body, field := range map[string]string{
		`{"templateId":1,"templateId":1}`:                                      "templateId",
		`{"templateId":1,"modifications":{"t":"first","t":"second"}}`:          "modifications.t",
		`{"templateId":1,"response":{"format":"png","format":"pdf"}}`:          "response.format",
		`{"templateId":1,"modifications":{"rows":[{},{"p":1,"p":2}]}}`:         "modifications.rows[1].p",
		`{"templateId":1,"modifications":"{\"t\":1,\"t\":2}"}`:                 "modifications.t",
		`{"templateId":1,"modifications":"[{\"name\":\"t\",\"name\":\"u\"}]"}`: "modifications[0].name",
		`{"templateId":1,"metadata":{"a":{"b":1,"b":1}}}`:                      "metadata.a.b",
		`{"templateId":1,"nobody":1,"nobody":2}`:                               "nobody",
	} {
		_, _, err := parse[Request]([]byte(body))
		if wrong := (*FieldError)(nil); !errors.As(err, &wrong) || wrong.Error() != field+": is there twice: send it once" {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, _, err := parse[TemplatePatch]([]byte(`{"name":"a","name":"b"}`)); err == nil {
		t.Error("a patch of a template with two names")
	}
}

// The URL of a repeated Idempotency-Key expires with the file of its job, which may be days old.
func TestURLsExpireWithTheirFile(t *testing.T) {
	created := time.Unix(1_700_000_000, 0)
	job := &platenv1alpha1.RenderJob{}
	job.CreationTimestamp = metav1.NewTime(created)
	job.Spec.TTLSecondsAfterFinished = new(int32(3601))
	for after, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, time.Hour: time.Hour, 25 * time.Hour: time.Hour + time.Second} {
		if got := keptUntil(job, created.Add(after)); !got.Equal(created.Add(want)) {
			t.Errorf("%s: expires after %s, want %s", after, got.Sub(created), want)
		}
	}
}

func TestExpiryAsClientsSendIt(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for value, want := range map[string]int64{
		`1700003600`: 1_700_003_600, `"1700003600"`: 1_700_003_600, `1700003600.0`: 1_700_003_600, `1700003600000`: 1_700_003_600, `"1700003600000"`: 1_700_003_600,
		`null`: 1_700_086_400, `"never"`: 1_700_086_400, `"Never"`: 1_700_086_400, `""`: 1_700_086_400,
	} {
		r, _, err := parse[SignedURLRequest]([]byte(`{"templateId":1,"expiresAt":` + value + `}`))
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if got, _, err := expiry(r.ExpiresAt, now, 24*time.Hour); err != nil || got.Unix() != want {
			t.Errorf("%s: got %d, %v, want %d", value, got.Unix(), err, want)
		}
	}
	// A caller who wants a URL for ever learns that it is not; one who does not say gets the longest without a word.
	for value, want := range map[string]bool{`null`: false, `""`: false, `1700003600`: false, `"never"`: true, `"NEVER"`: true, `1800000000`: true} {
		r, _, err := parse[SignedURLRequest]([]byte(`{"templateId":1,"expiresAt":` + value + `}`))
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if _, shortened, err := expiry(r.ExpiresAt, now, 24*time.Hour); err != nil || shortened != want {
			t.Errorf("%s: shortened %t, %v, want %t", value, shortened, err, want)
		}
	}
	for _, value := range []string{`"soon"`, `true`, `{}`, `"2026-11-26T09:00:00Z"`, `"Infinity"`, `"0x7"`} {
		if _, _, err := parse[SignedURLRequest]([]byte(`{"templateId":1,"expiresAt":` + value + `}`)); err == nil || !strings.HasPrefix(err.Error(), "expiresAt: must be a Unix time") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// Whole numbers have more than one spelling in JSON.
func TestWholeNumbers(t *testing.T) {
	for text, want := range map[string]int64{"25": 25, "25.0": 25, "2.5e1": 25, "250e-1": 25, "1E2": 100, "1e+2": 100, "-0": 0, "0e9": 0, "-1e2": -100, "9007199254740992": 1 << 53} {
		if got, ok := wholeNumber(text, 64); !ok || got != want {
			t.Errorf("%s: %d, %t, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "2.5", "1e-1", "1e400", "1e19", "+1", "0x10", "1_000", "１", "1e", "NaN", "Infinity", "025", "1e300"} {
		if got, ok := wholeNumber(text, 64); ok {
			t.Errorf("%s is read as %d", text, got)
		}
	}
	if got, ok := wholeNumber("3e9", 32); ok {
		t.Errorf("3e9 in 32 bits is read as %d", got)
	}
}

// A webhook's URL may have been pasted with spaces or the end of its line.
func TestURLsWithSpacesAround(t *testing.T) {
	if r := mustParse(t, `{"templateId":1,"webhook":" https://hooks.example.com/x?a=1&b=%20\n"}`); r.Webhook != "https://hooks.example.com/x?a=1&b=%20" {
		t.Errorf("got %q", r.Webhook)
	}
	if r := mustParse(t, `{"templateId":1,"webhook_url":" \n"}`); r.WebhookURL != "" {
		t.Errorf("got %q", r.WebhookURL)
	}
}

// A request of the greatest size takes moments, whatever it has many of.
func TestRequestsOfMuch(t *testing.T) {
	many := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < maxBody-1000; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			_, _ = fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	template := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{
		Parameters: []platenv1alpha1.Parameter{{Name: "rows", Type: platenv1alpha1.ParameterList}},
		Pages:      []platenv1alpha1.TemplatePage{{Name: "front", Width: 400, Height: 200, HTML: `<p data-param="headline"><ul data-each="rows"><li data-param="item.name">`}},
	}}
	for name, body := range map[string]string{
		"unknown fields":          `{"templateId":1,` + many(`"f%d":0`) + `}`,
		"modifications":           `{"templateId":1,"modifications":{` + many(`"m%d":0`) + `}}`,
		"modifications in a list": `{"templateId":1,"modifications":[` + many(`{"name":"m%d","text":"x"}`) + `]}`,
		"styles":                  `{"templateId":1,"modifications":{` + many(`"m%d.color":"red"`) + `}}`,
		"keys of pages":           `{"templateId":1,"modifications":{` + many(`"page%d@headline":"x"`) + `}}`,
		"fields of items":         `{"templateId":1,"modifications":{"rows":[` + many(`{"f%d":0}`) + `]}}`,
		"fields of an item":       `{"templateId":1,"modifications":{"rows":[{` + many(`"f%d":0`) + `}]}}`,
		"items of a text":         `{"templateId":1,"modifications":{"rows":"` + many(`a%d`) + `"}}`,
		"connections":             `{"templateId":1,"connections":[` + many(`{"type":"storage","provider":"dropbox","name":"c%d"}`) + `]}`,
		"fields of connections":   `{"templateId":1,"connections":[` + many(`{"x%d":0}`) + `]}`,
		"small numbers":           `{"templateId":1,"modifications":{"rows":[` + many(`1e-%d99999`) + `]}}`,
		"numbers with digits":     `{"templateId":1,"modifications":{"rows":[` + many(`0.1234567890123456789%d`) + `]}}`,
		"pages":                   `{"templateId":1,"response":{"includePages":[` + many(`%d`) + `]}}`,
		"sizes":                   `{"templateId":1,"response":{"extraSizes":{` + many(`"s%d":"100x%[1]d"`) + `}}}`,
	} {
		began := time.Now()
		r, warnings, err := parse[Request]([]byte(body))
		if err != nil {
			t.Errorf("%s: %.200v", name, err)
			continue
		}
		job, err := newJob(caller{Caller: &callers.Caller{}, namespace: "marketing"}, r, warnings, "card", "", nil)
		if err == nil {
			_ = check(t.Context(), job, template) // it may refuse
		}
		_ = mistakesOf(r)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

func TestMetadataIsInTheJob(t *testing.T) {
	for _, value := range []string{`"nonce-1 & <b>"`, `{"order":9007199254740993}`, `17`} {
		r := mustParse(t, `{"templateId":1,"metadata":`+value+`}`)
		j, err := newJob(caller{Caller: &callers.Caller{}, namespace: "marketing"}, r, nil, "card", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := encode(describe(j))
		if err != nil || !strings.Contains(string(body), `"metadata":`+value) {
			t.Errorf("%s: %s, %v", value, body, err)
		}
	}
}

func mustParse(t *testing.T, body string) Request {
	t.Helper()
	r, warnings, err := parse[Request]([]byte(body))
	if err = errors.Join(err, mistakesOf(r)); err != nil || len(warnings) > 0 {
		t.Fatalf("%s: %v, %v", body, warnings, err)
	}
	return r
}

// mistakesOf returns what a request is refused for before its template is known.
func mistakesOf(r Request) error {
	wrong := &fieldsError{}
	r.check(wrong)
	return wrong.err()
}

// The mistake of a width without a height is one, and of the field that the request has.
func TestHalfASizeIsNone(t *testing.T) {
	for _, half := range []ResponseOptions{{Width: 100}, {Height: 100}} {
		if got := pageSize(half); got != "" {
			t.Errorf("%dx%d: the size is %s", half.Width, half.Height, got)
		}
	}
	if got := pageSize(ResponseOptions{Width: 100, Height: 50}); got != "100x50" {
		t.Errorf("the size is %s", got)
	}
}

func TestSpec(t *testing.T) {
	s := spec(mustParse(t, `{"templateId":25,"modifications":{"headline":"Hi"},"response":{"format":"pdf","fileName":"f","scale":0.5,"quality":80,"includePages":[1,3]},
		"connections":[{"type":"storage","provider":"dropbox","folder":"/Marketing"}]}`), "banner")
	want := platenv1alpha1.RenderJobSpec{
		TemplateRef: platenv1alpha1.TemplateReference{Name: "banner"}, Modifications: &apiextensionsv1.JSON{Raw: []byte(`{"headline":"Hi"}`)},
		Output:      platenv1alpha1.OutputSpec{Format: "pdf", FileName: "f", Scale: "0.5", Quality: 80, Pages: []int32{1, 3}},
		Connections: []platenv1alpha1.JobConnection{{Type: "storage", Provider: "dropbox", Folder: "/Marketing"}},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
	for _, body := range []string{
		`{"templateId":1,"response":{"format":"pdf"},"pdfOptions":{"margin":"20px","rangeFrom":2}}`,
		`{"templateId":1,"response":{"format":"pdf","pdfOptions":{"margin":"20px","rangeFrom":2}}}`,
		`{"templateId":1,"response":{"format":"pdf","pdfOptions":{"margin":"1px","rangeFrom":2}},"pdfOptions":{"margin":"20px"}}`,
	} {
		if diff := cmp.Diff(platenv1alpha1.PDFOptions{Margin: "20px", RangeFrom: 2}, spec(mustParse(t, body), "banner").Output.PDF); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	for _, body := range []string{
		`{"templateId":1,"response":{"format":"mp4"},"videoOptions":{"fps":24,"duration":1.5,"quality":70,"muted":true,"loop":false}}`,
		`{"templateId":1,"response":{"format":"mp4","videoOptions":{"fps":24,"duration":1.5,"quality":70,"muted":true,"loop":false}}}`,
	} {
		want := platenv1alpha1.OutputSpec{Format: "mp4", Quality: 70, Video: platenv1alpha1.VideoOptions{FPS: 24, Duration: "1.5", Loop: new(false)}}
		if diff := cmp.Diff(want, spec(mustParse(t, body), "banner").Output); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	// The options of other formats are ignored.
	ignored := mustParse(t, `{"templateId":1,"pdfOptions":{"dpi":300},"videoOptions":{"fps":24}}`)
	if diff := cmp.Diff(platenv1alpha1.OutputSpec{}, spec(ignored, "banner").Output); diff != "" {
		t.Error(diff)
	}
	if spec(Request{}, "banner").Connections != nil {
		t.Error("a request without connections must stay without, so that automatic connections upload")
	}
}

func TestReferenceHasEveryField(t *testing.T) {
	text := Reference()
	for _, want := range []string{
		"| `POST /v1/studio/render` | `response.extraSizes` | supported | Sizes", "| `pdfOptions.colorMode` | supported |", "| `response.videoOptions` | supported | As `videoOptions`",
		"| `videoOptions.subtitleSource` | warned |", "| `cache` (query) |", "| `X-Workspace` (header) |", "| `/v1/social` and all below, by any method | 501 |", "| `GET /v1/me` | supported |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %s", want)
		}
	}
	for _, o := range operations {
		if !strings.Contains(text, "`"+o.method+" "+o.path+"`") {
			t.Errorf("the tables lack %s %s", o.method, o.path)
		}
	}
}

// Requests as clients that others wrote send them.
func TestRequestsOfClients(t *testing.T) {
	for name, c := range map[string]struct {
		body     string
		want     platenv1alpha1.OutputSpec
		warnings []string
	}{
		"a command line's": {
			body: `{"templateId":"25","modifications":{},"source":"cli","response":{"format":"mp4","type":"url","includePages":["1","3"]},"videoOptions":{"loop":false,"muted":false,"trimStart":1.5,"trimEnd":4}}`,
			want: platenv1alpha1.OutputSpec{
				Format: "mp4", Pages: []int32{1, 3}, Video: platenv1alpha1.VideoOptions{Loop: new(false), TrimStart: "1.5", TrimEnd: "4"},
			},
			warnings: []string{"The video has no sound"},
		},
		"a workflow's picture": {
			body: `{"templateId":25,"modifications":{"a":"b"},"source":"workflow","response":{"format":"webp","type":"binary","scale":2,"size":"Instagram-Story","extraSizes":["og-image","300x250","og-image"],"fileName":"x"}}`,
			want: platenv1alpha1.OutputSpec{Format: "webp", Scale: "2", Size: "instagram-story", ExtraSizes: []platenv1alpha1.PageSize{"og-image", "300x250"}, FileName: "x"},
		},
		"a workflow's document": {
			body: `{"templateId":25,"response":{"format":"pdf","type":"url","extraSizes":["og-image"],"pdfOptions":{"dpi":300,"margin":"20px","colorMode":"cmyk","rangeFrom":1,"rangeTo":2}}}`,
			want: platenv1alpha1.OutputSpec{
				Format: "pdf", PDF: platenv1alpha1.PDFOptions{DPI: 300, Margin: "20px", ColorMode: "cmyk", RangeFrom: 1, RangeTo: 2},
			},
			warnings: []string{"Field 'response.extraSizes' was ignored"},
		},
		"every video option": {
			body: `{"templateId":25,"response":{"format":"webm"},"videoOptions":{"fps":30,"quality":80,"trimStart":0,"trimEnd":20,"duration":8,"muted":true,"loop":true,
				"subtitleSource":"https://x/s.srt","subtitleColor":"#fff","combinePages":true,"pageTransition":"fade","pageTransitionDuration":0.5}}`,
			want: platenv1alpha1.OutputSpec{Format: "webm", Quality: 80, Video: platenv1alpha1.VideoOptions{
				FPS: 30, Duration: "8", TrimStart: "0", TrimEnd: "20", CombinePages: new(true), PageTransition: "fade", PageTransitionDuration: "0.5",
			}},
			warnings: []string{
				"Field 'videoOptions.subtitleColor' is not supported and was ignored", "Field 'videoOptions.subtitleSource' is not supported and was ignored",
				"Field 'videoOptions.loop' was ignored",
			},
		},
		"transitions that there are not": {
			body:     `{"templateId":25,"response":{"format":"gif","videoOptions":{"combinePages":true,"pageTransition":"iris"}}}`,
			want:     platenv1alpha1.OutputSpec{Format: "gif", Video: platenv1alpha1.VideoOptions{CombinePages: new(true)}},
			warnings: []string{"Field 'videoOptions.pageTransition' was ignored: 'iris' is not supported"},
		},
		"a fade between files": {
			body:     `{"templateId":25,"response":{"format":"gif","videoOptions":{"pageTransition":"fade"}}}`,
			want:     platenv1alpha1.OutputSpec{Format: "gif"},
			warnings: []string{"Field 'videoOptions.pageTransition' was ignored"},
		},
		"sizes with names": {
			body: `{"templateId":25,"response":{"extraSizes":{"story":"1080X1920","square":"instagram-post"}}}`,
			want: platenv1alpha1.OutputSpec{ExtraSizes: []platenv1alpha1.PageSize{"instagram-post", "1080x1920"}},
		},
		"nothing, at length": {
			body: `{"templateId":25,"modifications":[],"response":{"type":"base64","format":"png","scale":1,"fileName":"","includePages":null},
				"pdfOptions":{"margin":"20px","rangeFrom":"null","rangeTo":null},"publish":null}`,
			want:     platenv1alpha1.OutputSpec{Format: "png", Scale: "1"},
			warnings: []string{"Field 'pdfOptions.margin' was ignored"},
		},
		"social networks": {
			body:     `{"templateId":25,"publish":{"accounts":[1,3]}}`,
			warnings: []string{"Field 'publish' is not supported and was ignored"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, warnings, err := parse[Request]([]byte(c.body))
			if err = errors.Join(err, mistakesOf(r)); err != nil {
				t.Fatal(err)
			}
			var titles []string
			for _, w := range append(warnings, limitations(r)...) {
				titles = append(titles, w.Title)
			}
			if diff := cmp.Diff(c.warnings, titles); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, spec(r, "card").Output); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestModificationsAsAnArray(t *testing.T) {
	for body, want := range map[string]string{
		`[]`: `{}`,
		`[{"name":"title","text":"Hello & <World>"},{"name":"logo","src":"https://x/l.png"},{"name":"count","value":9007199254740993}]`: `{"count":"9007199254740993","logo":"https://x/l.png","title":"Hello & <World>"}`,
	} {
		s := spec(mustParse(t, `{"templateId":1,"modifications":`+body+`}`), "card")
		if got := string(s.Modifications.Raw); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

// A long name with many fields would be many long keys: a request of 140 KB would take gigabytes.
func TestAnArrayOfModificationsStaysSmall(t *testing.T) {
	var fields strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&fields, `,"style%d":1`, i)
	}
	entry := func(name int) string { return `{"name":"` + strings.Repeat("n", name) + `"` + fields.String() + `}` }
	for body, fits := range map[string]bool{
		`[` + entry(100) + `]`:                                      true,
		`[` + entry(100_000) + `]`:                                  false,
		`[` + entry(200) + `,` + entry(199) + `]`:                   false,
		`"[` + strings.ReplaceAll(entry(100_000), `"`, `\"`) + `]"`: false,
	} {
		request, _, err := parse[Request]([]byte(`{"templateId":1,"modifications":` + body + `}`))
		if fits != (err == nil) || len(request.Modifications.RawMessage) > 2*maxBody {
			t.Errorf("%.30s… of %d bytes: %d bytes, %v", body, len(body), len(request.Modifications.RawMessage), err)
		}
		if err != nil && !strings.Contains(err.Error(), "modifications") {
			t.Errorf("the error does not name the field: %v", err)
		}
	}
}

func TestExtraSizesAreBesideTheirPage(t *testing.T) {
	sized := func(page int32, size string, width, height int32) platenv1alpha1.RenderedPage {
		return platenv1alpha1.RenderedPage{Page: page, PageID: "id", ExtraSize: new(size), Width: width, Height: height}
	}
	uploaded := func(page int32, size, path string) platenv1alpha1.UploadedPage {
		return platenv1alpha1.UploadedPage{Page: page, ExtraSize: new(size), Path: path}
	}
	one := job(0, func(s *platenv1alpha1.RenderJobStatus) {
		s.Pages = []platenv1alpha1.RenderedPage{sized(1, "", 1200, 630), sized(1, "1080x1920", 1080, 1920), sized(1, "og-image", 1200, 630)}
		s.Connections = []platenv1alpha1.JobConnectionStatus{{Type: "storage", Provider: "dropbox", Status: "success", Pages: []platenv1alpha1.UploadedPage{
			uploaded(1, "", "/R/c.png"), uploaded(1, "1080x1920", "/R/c_1080x1920.png"),
		}}}
	})
	one.Annotations = map[string]string{sizesAnnotation: `[{"name":"wide","size":"og-image"},{"name":"tall","size":"1080x1920"},{"name":"again","size":"og-image"}]`}
	two := job(0, func(s *platenv1alpha1.RenderJobStatus) {
		s.Pages = []platenv1alpha1.RenderedPage{sized(1, "", 10, 10), sized(3, "", 10, 10), sized(1, "20x20", 20, 20), sized(3, "20x20", 20, 20)}
		s.TotalPages, s.RenderedPages = new(int32(3)), new(int32(2))
	})
	two.Spec.Output.ExtraSizes = []platenv1alpha1.PageSize{"20x20"}
	for name, c := range map[string]struct {
		job  *platenv1alpha1.RenderJob
		want string
	}{
		"one page": {one, `{"data":{"content":"0","type":"base64","format":"png","responseTime":1200,"extraSizes":[
			{"name":"wide","size":"og-image","width":1200,"height":630,"content":"2"},
			{"name":"tall","size":"1080x1920","width":1080,"height":1920,"content":"1"},
			{"name":"again","size":"og-image","width":1200,"height":630,"content":"2"}]},
			"connections":[{"type":"storage","provider":"dropbox","path":"/R/c.png","status":"success","extraSizes":[{"page":1,"size":"1080x1920","path":"/R/c_1080x1920.png"}]}]}`},
		"two pages": {two, `{"data":[
			{"page":1,"pageId":"id","content":"0","extraSizes":[{"size":"20x20","width":20,"height":20,"content":"2"}]},
			{"page":3,"pageId":"id","content":"1","extraSizes":[{"size":"20x20","width":20,"height":20,"content":"3"}]}],
			"format":"png","type":"base64","responseTime":1200,"totalPages":3,"renderedPages":2}`},
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := encode(answer(c.job, typeBase64, []string{"0", "1", "2", "3"}[:len(c.job.Status.Pages)]))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(encoded, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The extra sizes of a page are beside it in an answer, but after all pages in a job.
func TestBase64OfExtraSizes(t *testing.T) {
	content := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) }))
	defer content.Close()
	finished := job(0, func(s *platenv1alpha1.RenderJobStatus) {
		for _, f := range []struct {
			page int32
			size string
		}{{1, ""}, {2, ""}, {1, "20x20"}, {2, "20x20"}} {
			// Users reach the content server at another address than the shim does.
			path := fmt.Sprintf("https://files.example.com/content/ns/uid/1/1/%d%s", f.page, f.size)
			s.Pages = append(s.Pages, platenv1alpha1.RenderedPage{Page: f.page, ExtraSize: new(f.size), ContentURL: path})
		}
	})
	finished.Annotations = map[string]string{platenv1alpha1.ResponseTypeAnnotation: typeBase64, sizesAnnotation: `[{"name":"a","size":"20x20"},{"name":"b","size":"20x20"}]`}
	s, w := &Server{Options: Options{ContentURL: content.URL}, files: content.Client()}, httptest.NewRecorder()
	if err := s.deliver(w, httptest.NewRequest(http.MethodGet, "/", nil), finished); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Data []PageData `json:"data"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	var paths []string
	add := func(content string) {
		path, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(content, "data:image/png;base64,"))
		if err != nil {
			t.Errorf("%v: %s", err, content)
		}
		paths = append(paths, strings.TrimPrefix(string(path), "/content/ns/uid/1/1"))
	}
	for _, page := range got.Data {
		add(page.Content)
		for _, size := range page.ExtraSizes {
			add(size.Content)
		}
	}
	if diff := cmp.Diff([]string{"/1", "/120x20", "/120x20", "/2", "/220x20", "/220x20"}, paths); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A file has in its headers what a JSON answer says of the job.
func TestHeadersOfAFile(t *testing.T) {
	h := http.Header{}
	finished := job(1, func(s *platenv1alpha1.RenderJobStatus) {
		s.Warnings = []platenv1alpha1.Warning{{Title: "The element 'é\x7f\n😀' is not there"}}
		s.Connections = []platenv1alpha1.JobConnectionStatus{{
			Type: "storage", Provider: "dropbox", Status: platenv1alpha1.UploadSuccess, Pages: []platenv1alpha1.UploadedPage{{Page: 1, Path: "/Ü.png"}},
		}}
	})
	finished.Name = "rest-1"
	describeFile(h, finished)
	want := http.Header{
		warningsHeader:    {`[{"title":"The element '\u00e9\u007f\n\ud83d\ude00' is not there","details":""}]`},
		connectionsHeader: {`[{"type":"storage","provider":"dropbox","path":"/\u00dc.png","status":"success"}]`},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	for range 63 {
		finished.Status.Warnings = append(finished.Status.Warnings, platenv1alpha1.Warning{Title: strings.Repeat("é", 100)})
	}
	describeFile(h, finished)
	var list []Warning
	text := h.Get(warningsHeader)
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(text) > maxHeader || len(list) < 5 {
		t.Fatalf("%d bytes, %d warnings, %v", len(text), len(list), err)
	}
	if last := list[len(list)-1]; last.Title != fmt.Sprintf("%d more warnings are too long for a header", 65-len(list)) {
		t.Errorf("%+v of %d", last, len(list))
	}
	one := http.Header{}
	setWarnings(one, []Warning{{Title: "a"}, {Title: strings.Repeat("b", maxHeader)}}, "look")
	if want := `[{"title":"a","details":""},{"title":"1 more warning is too long for a header","details":"look"}]`; one.Get(warningsHeader) != want {
		t.Errorf("got %s, want %s", one.Get(warningsHeader), want)
	}
	many := http.Header{}
	finished.Status.Warnings[63] = platenv1alpha1.Warning{Title: moreWarnings}
	finished.Status.Warnings = append(finished.Status.Warnings, platenv1alpha1.Warning{Title: "Failed to upload to dropbox: Token expired"})
	describeFile(many, finished)
	if err := json.Unmarshal([]byte(many.Get(warningsHeader)), &list); err != nil || list[0].Title != "Failed to upload to dropbox: Token expired" {
		t.Errorf("a failed upload is not the first of %+v, %v", list, err)
	}
	if last := list[len(list)-1]; last.Title != fmt.Sprintf("At least %d more warnings are too long for a header", 65-len(list)) {
		t.Errorf("%+v of %d", last, len(list))
	}
	twice, half := http.Header{}, slices.Repeat([]Warning{{Title: strings.Repeat("x", 200)}}, 30)
	addWarnings(twice, half)
	addWarnings(twice, half)
	list = nil
	if err := json.Unmarshal([]byte(twice.Get(warningsHeader)), &list); err != nil || list[len(list)-1].Title != fmt.Sprintf("%d more warnings are too long for a header", 61-len(list)) {
		t.Errorf("%+v, %v", list, err)
	}
	none := http.Header{}
	describeFile(none, job(1, func(*platenv1alpha1.RenderJobStatus) {}))
	if len(none) != 0 {
		t.Errorf("%v", none)
	}
}

func TestIdempotencyKeys(t *testing.T) {
	for _, c := range []struct {
		keys      []string
		want, err string
	}{
		{nil, "", ""},
		{[]string{""}, "", ""},
		{[]string{"a", "", "a"}, "a", ""},
		{[]string{"a", "b"}, "", "Idempotency-Key: the request has more than one; send one"},
		{[]string{strings.Repeat("x", 256)}, "", "Idempotency-Key: must be at most 255 bytes"},
	} {
		got, err := idempotencyKey(http.Header{"Idempotency-Key": c.keys})
		if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%.20q: %q, %v", c.keys, got, err)
		}
	}
}

func TestOneIdempotencyKeyIsOneJobOfOneCaller(t *testing.T) {
	name := func(user, key, body string) (string, string) {
		t.Helper()
		c := caller{Caller: &callers.Caller{User: authenticationv1.UserInfo{Username: user}}, namespace: "marketing"}
		j, err := newJob(c, Request{}, nil, "banner", key, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return j.Name, j.Annotations[digestAnnotation]
	}
	first, digest := name("ann", "k", "a")
	repeated, same := name("ann", "k", "a")
	_, changed := name("ann", "k", "b")
	other, _ := name("bob", "k", "a")
	if first == "" || first != repeated || digest != same || digest == changed || first == other {
		t.Errorf("%q %q %q %q %q %q", first, repeated, digest, same, changed, other)
	}
	if without, _ := name("ann", "", "a"); without != "" {
		t.Errorf("without a key the API server must name the job, not %q", without)
	}
}

func TestInRequestWords(t *testing.T) {
	for text, want := range map[string]string{
		"spec.output.pdf.margin: x":      "pdfOptions.margin: x",
		"spec.output.pages[0]: x":        "response.includePages[0]: x",
		"spec.connections[0].folder: x":  "connections[0].folder: x",
		"spec.modifications.headline: x": "modifications.headline: x",
		"spec.output.video.duration: x":  "videoOptions.duration: x",
		"spec.output.fileName: x":        "response.fileName: x",
		"spec.title: x":                  "name: x",
		"spec.description: x":            "description: x",
	} {
		if got := inRequestWords(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// job returns a finished job with the given number of files. change alters its status.
func job(files int, change func(*platenv1alpha1.RenderJobStatus)) *platenv1alpha1.RenderJob {
	j := &platenv1alpha1.RenderJob{}
	j.Status.Format, j.Status.ObservedGeneration, j.Status.RenderMilliseconds = "png", new(int64(0)), new(int64(1200))
	for _, kind := range []string{platenv1alpha1.FinishedCondition, platenv1alpha1.RenderedCondition} {
		j.Status.Conditions = append(j.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue})
	}
	for n := range files {
		j.Status.Pages = append(j.Status.Pages, platenv1alpha1.RenderedPage{Page: int32(n + 1), PageID: "id"})
	}
	change(&j.Status)
	return j
}

// TestAnswers compares answers with the examples in the public API's documentation.
func TestAnswers(t *testing.T) {
	uploaded := func(paths ...string) func(*platenv1alpha1.RenderJobStatus) {
		return func(s *platenv1alpha1.RenderJobStatus) {
			c := platenv1alpha1.JobConnectionStatus{Type: "storage", Provider: "dropbox", Status: "success"}
			for n, path := range paths {
				c.Pages = append(c.Pages, platenv1alpha1.UploadedPage{Page: int32(n + 1), Path: path})
			}
			s.Connections = append(s.Connections, c)
		}
	}
	for _, c := range []struct {
		name     string
		job      *platenv1alpha1.RenderJob
		contents []string
		want     string
	}{
		{
			name: "one page uploaded", job: job(1, uploaded("/Marketing/Campaign-2024/abc123.png")), contents: []string{"https://x/abc123.png"},
			want: `{"data": {"content": "https://x/abc123.png", "type": "url", "format": "png", "responseTime": 1200},
			  "connections": [{"type": "storage", "provider": "dropbox", "path": "/Marketing/Campaign-2024/abc123.png", "status": "success"}]}`,
		},
		{
			name: "several pages", job: job(2, uploaded("/R/t_page_1.png", "/R/t_page_2.png")), contents: []string{"https://x/1.png", "https://x/2.png"},
			want: `{"data": [{"page": 1, "pageId": "id", "content": "https://x/1.png"}, {"page": 2, "pageId": "id", "content": "https://x/2.png"}],
			  "format": "png", "type": "url", "responseTime": 1200, "totalPages": 2, "renderedPages": 2,
			  "connections": [{"type": "storage", "provider": "dropbox", "status": "success",
			                   "path": [{"page": 1, "path": "/R/t_page_1.png"}, {"page": 2, "path": "/R/t_page_2.png"}]}]}`,
		},
		{
			name: "upload failed", job: job(1, func(s *platenv1alpha1.RenderJobStatus) {
				s.Warnings = []platenv1alpha1.Warning{{Title: "Failed to upload to dropbox: Token expired"}}
				s.Connections = []platenv1alpha1.JobConnectionStatus{{Type: "storage", Provider: "dropbox", Status: "error", Error: "Token expired"}}
			}), contents: []string{"https://x/1.png"},
			want: `{"data": {"content": "https://x/1.png", "type": "url", "format": "png", "responseTime": 1200},
			  "warnings": [{"title": "Failed to upload to dropbox: Token expired", "details": ""}],
			  "connections": [{"type": "storage", "provider": "dropbox", "path": null, "status": "error", "error": "Token expired"}]}`,
		},
		{
			name: "one of two uploads failed", job: job(1, func(s *platenv1alpha1.RenderJobStatus) {
				s.Connections = []platenv1alpha1.JobConnectionStatus{
					{Name: "archive", Type: "storage", Provider: "dropbox", Status: "error", Error: "Token expired"},
					{Name: "bucket", Type: "storage", Provider: "s3", Status: "pending"},
					{Name: "dropbox", Type: "storage", Provider: "dropbox", Status: "success", Pages: []platenv1alpha1.UploadedPage{{Page: 1, Path: "/R/1.png"}}},
				}
			}), contents: []string{"https://x/1.png"},
			want: `{"data": {"content": "https://x/1.png", "type": "url", "format": "png", "responseTime": 1200},
			  "connections": [{"type": "storage", "provider": "dropbox", "name": "archive", "path": null, "status": "error", "error": "Token expired"},
			                  {"type": "storage", "provider": "s3", "path": null, "status": "pending"},
			                  {"type": "storage", "provider": "dropbox", "name": "dropbox", "path": "/R/1.png", "status": "success"}]}`,
		},
		{
			name: "not connected", job: job(1, func(s *platenv1alpha1.RenderJobStatus) {
				s.Warnings = []platenv1alpha1.Warning{{Title: "Dropbox connection 'nope' not found for this workspace", Details: new("this namespace has no StorageConnection 'nope' to dropbox, and no other")}}
			}), contents: []string{"https://x/1.png"},
			want: `{"data": {"content": "https://x/1.png", "type": "url", "format": "png", "responseTime": 1200},
			  "warnings": [{"title": "Dropbox connection not found for this workspace", "details": "this namespace has no StorageConnection 'nope' to dropbox, and no other"}]}`,
		},
		{
			name: "without a connection", job: job(1, func(s *platenv1alpha1.RenderJobStatus) {
				s.Warnings = []platenv1alpha1.Warning{{Title: "Dropbox connection not found for this workspace"}}
			}), contents: []string{"https://x/1.png"},
			want: `{"data": {"content": "https://x/1.png", "type": "url", "format": "png", "responseTime": 1200},
			  "warnings": [{"title": "Dropbox connection not found for this workspace", "details": ""}]}`,
		},
		{
			name: "in the words of a request", job: job(1, func(s *platenv1alpha1.RenderJobStatus) {
				s.Warnings = []platenv1alpha1.Warning{
					{Title: "spec.output.quality: 50 changes nothing in png files"},
					{Title: "spec.output.scale: 2 changes nothing in pdf files", Details: new("it needs another format; spec.output.pdf.dpi changes the size of a document")},
				}
				s.Connections = []platenv1alpha1.JobConnectionStatus{{Type: "storage", Provider: "dropbox", Status: "error", Error: "choose another spec.output.fileName or folder"}}
			}), contents: []string{"https://x/1.png"},
			want: `{"data": {"content": "https://x/1.png", "type": "url", "format": "png", "responseTime": 1200},
			  "warnings": [{"title": "response.quality: 50 changes nothing in png files", "details": ""},
			               {"title": "response.scale: 2 changes nothing in pdf files", "details": "it needs another format; pdfOptions.dpi changes the size of a document"}],
			  "connections": [{"type": "storage", "provider": "dropbox", "path": null, "status": "error", "error": "choose another response.fileName or folder"}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			encoded, err := json.Marshal(answer(c.job, "url", c.contents))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(encoded, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPreferences(t *testing.T) {
	for header, want := range map[string]preference{
		"": {wait: time.Minute}, "wait": {wait: time.Minute}, "wait=5": {wait: 5 * time.Second}, "wait=5, wait=6": {wait: 5 * time.Second}, `Wait = "7"; x=y`: {wait: 7 * time.Second},
		"respond-async": {time.Minute, true}, "return=minimal, Respond-Async;foo": {time.Minute, true}, "respond-async, wait=0": {}, "wait=9,respond-async": {wait: 9 * time.Second},
	} {
		if got, err := preferences(http.Header{"Prefer": {header}}, time.Minute); err != nil || got != want {
			t.Errorf("%q: %+v, %v", header, got, err)
		}
	}
	for _, header := range []string{"wait=x", "wait=-1", "wait=99999"} {
		if _, err := preferences(http.Header{"Prefer": {header}}, time.Minute); err == nil {
			t.Errorf("%q was accepted", header)
		}
	}
}

func TestCachePolicy(t *testing.T) {
	for text, want := range map[string]platenv1alpha1.CachePolicy{"": "Enabled", "true": "Enabled", "false": "Disabled", "no": ""} {
		if got, err := cachePolicy(text); got != want || (err != nil) != (want == "") {
			t.Errorf("cache=%s: got %q, %v", text, got, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		at        *Expiry
		want      int64
		shortened bool
		refused   bool
	}{
		{want: 1_700_003_600},
		{at: new(Expiry(1_700_000_100)), want: 1_700_000_100},
		{at: new(Expiry(1_700_000_100_500)), want: 1_700_000_100},
		{at: new(Expiry(1_800_000_000)), want: 1_700_003_600, shortened: true},
		{at: new(Expiry(1e300)), want: 1_700_003_600, shortened: true},
		{at: new(Expiry(1_700_000_000)), refused: true},
		{at: new(Expiry(-1)), refused: true},
	} {
		got, shortened, err := expiry(c.at, now, time.Hour)
		if (err != nil) != c.refused || shortened != c.shortened || (err == nil && got.Unix() != c.want) {
			t.Errorf("%v: got %v, %v, %v", c.at, got, shortened, err)
		}
	}
}

func TestCursorsFollowTheOrder(t *testing.T) {
	newest, older, oldest := cursor{20, "b"}, cursor{10, "a"}, cursor{10, "c d"}
	if newest.compare(older) >= 0 || older.compare(oldest) >= 0 || oldest.compare(newest) <= 0 {
		t.Error("newest first, then by name")
	}
	for _, c := range []cursor{newest, older, oldest} {
		if got, err := parseCursor(c.String()); err != nil || *got != c {
			t.Errorf("%v came back as %v, %v", c, got, err)
		}
	}
	for _, text := range []string{"?", "eA", "MTA"} {
		if _, err := parseCursor(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestStatus(t *testing.T) {
	waiting := func(reason string) *platenv1alpha1.RenderJob {
		j := &platenv1alpha1.RenderJob{}
		j.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Reason: reason}}
		return j
	}
	unseen := &platenv1alpha1.RenderJob{}
	resumed := unseen.DeepCopy()
	resumed.Annotations = map[string]string{platenv1alpha1.CanceledAnnotation: "x"}
	suspended := waiting(platenv1alpha1.SuspendedReason)
	suspended.Spec.Suspend = new(true)
	stopped := resumed.DeepCopy()
	stopped.Spec.Suspend = new(true)
	untimed := stopped.DeepCopy()
	untimed.Annotations[platenv1alpha1.CanceledAnnotation] = ""
	for name, c := range map[string]struct {
		job  *platenv1alpha1.RenderJob
		want string
	}{
		"not seen yet":               {job: unseen, want: queued},
		"queued":                     {job: waiting(platenv1alpha1.QueuedReason), want: queued},
		"without its template":       {job: waiting(platenv1alpha1.TemplateNotFoundReason), want: queued},
		"suspended and not canceled": {job: suspended, want: queued},
		"canceled and then resumed":  {job: resumed, want: queued},
		"rendering":                  {job: waiting(platenv1alpha1.RenderingReason), want: processing},
		"uploading":                  {job: waiting(platenv1alpha1.UploadingReason), want: processing},
		"canceled":                   {job: stopped, want: canceled},
		"canceled without a time":    {job: untimed, want: canceled},
		"rendered":                   {job: job(1, func(*platenv1alpha1.RenderJobStatus) {}), want: succeeded},
		"finished and not rendered": {
			job: job(0, func(s *platenv1alpha1.RenderJobStatus) { s.Conditions = s.Conditions[:1] }), want: failed,
		},
	} {
		if got := status(c.job); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// A client cannot see the cluster: it learns that a job waits for what a person must create.
func TestWaitsThatAPersonEnds(t *testing.T) {
	for reason, told := range map[string]bool{
		platenv1alpha1.TemplateNotFoundReason: true, platenv1alpha1.SourceNotFoundReason: true, platenv1alpha1.FontSetNotFoundReason: true,
		platenv1alpha1.QueuedReason: false, platenv1alpha1.RenderingReason: false,
	} {
		j := &platenv1alpha1.RenderJob{}
		j.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionUnknown, Reason: reason, Message: "it does not exist"}}
		want := ""
		if told {
			want = reason
		}
		if got := describe(j); got.ErrorCode != want || (got.Error != "") != told {
			t.Errorf("%s: %q, %q", reason, got.ErrorCode, got.Error)
		}
	}
	suspended := &platenv1alpha1.RenderJob{Spec: platenv1alpha1.RenderJobSpec{Suspend: new(true)}} // the manager may not have seen it yet
	if got := describe(suspended); got.Status != queued || got.ErrorCode != platenv1alpha1.SuspendedReason || got.Error != "the job is suspended: it starts when spec.suspend of its RenderJob is set to false" {
		t.Errorf("suspended: %+v", got)
	}
}

func TestNumbersKeepTheirDigits(t *testing.T) {
	r := mustParse(t, `{"templateId":1,"modifications":{"order":9007199254740993,"huge":123456789012345678901,"price":1.50,"url":"a&b",
		"rows":[{"price":1.10,"count":3,"order":9007199254740993},1e3,0.00]}}`)
	got := string(spec(r, "card").Modifications.Raw)
	if want := `{"huge":"123456789012345678901","order":"9007199254740993","price":"1.50","rows":[{"count":3,"order":"9007199254740993","price":"1.10"},"1e3",0],"url":"a&b"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	card := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{Parameters: []platenv1alpha1.Parameter{{Name: "rows", Type: "list"}}}}
	wanted, err := newTarget(card, "a.png", "png", url.Values{"rows": {`[1.10, 12345678901234567000]`}, "note": {"1.10"}})
	if want := `{"note":"1.10","rows":["1.10","12345678901234567000"]}`; err != nil || string(wanted.spec.Modifications.Raw) != want {
		t.Errorf("a dynamic URL: got %s, %v, want %s", wanted.spec.Modifications.Raw, err, want)
	}
}

// What the API server refuses is said as everything else is.
func TestBoundsInWords(t *testing.T) {
	for message, want := range map[string]string{
		"101: spec.output.quality in body should be less than or equal to 100": "response.quality: must be at most 100, not 101",
		"-1: spec.output.quality in body should be greater than or equal to 1": "response.quality: must be at least 1, not -1",
		`"a/b": must not contain a slash`:                                      `response.quality: Invalid value: "a/b": must not contain a slash`,
	} {
		err := apierrors.NewInvalid(platenv1alpha1.GroupVersion.WithKind("RenderJob").GroupKind(), "", nil)
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Field: "spec.output.quality", Message: "Invalid value: " + message}}
		if status, got := fromAPI(http.Header{}, err, err); status != http.StatusBadRequest || got != want {
			t.Errorf("%s: got %d, %s, want %s", message, status, got, want)
		}
	}
	// The API server counts characters, and calls them bytes.
	const bytes = "Too long: may not be more than 200 bytes"
	if got, want := boundInWords("spec.output.fileName", bytes), "must be at most 200 characters long"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := boundInWords("metadata.annotations", bytes); got != bytes { // these are bytes
		t.Errorf("got %s", got)
	}
}

func TestURLsInJSONCanBeCopied(t *testing.T) {
	text, err := encode(map[string]string{"url": "http://content/x?e=1&s=2"})
	if want := "{\"url\":\"http://content/x?e=1&s=2\"}\n"; err != nil || string(text) != want {
		t.Errorf("got %s, %v; want %s", text, err, want)
	}
}

func TestMethodsAndOrigins(t *testing.T) {
	preflight := map[string]string{
		"Origin": "https://studio.example.com", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type",
	}
	for name, c := range map[string]struct {
		origins      []string
		method, path string
		header       map[string]string
		status       int
		want         map[string]string
	}{
		"no such route":     {method: "GET", path: "/v1/none", status: 404, want: map[string]string{"Allow": ""}},
		"another method":    {method: "DELETE", path: "/v1/studio/render", status: 405, want: map[string]string{"Allow": "POST"}},
		"two methods":       {method: "DELETE", path: "/v1/generate/images", status: 405, want: map[string]string{"Allow": "GET, POST"}},
		"options":           {method: "OPTIONS", path: "/v1/studio/render", status: 204, want: map[string]string{"Allow": "POST"}},
		"options, no route": {method: "OPTIONS", path: "/v1/none", status: 404},
		"preflight, off": {
			method: "OPTIONS", path: "/v1/studio/render", header: preflight, status: 403, want: map[string]string{"Access-Control-Allow-Origin": ""},
		},
		"preflight": {
			origins: []string{"https://studio.example.com"}, method: "OPTIONS", path: "/v1/studio/render", header: preflight, status: 204,
			want: map[string]string{
				"Access-Control-Allow-Origin": "https://studio.example.com", "Access-Control-Allow-Methods": "POST",
				"Access-Control-Allow-Headers": "authorization,content-type", "Access-Control-Allow-Credentials": "",
			},
		},
		"preflight, another origin": {
			origins: []string{"https://other.example.com"}, method: "OPTIONS", path: "/v1/studio/render", header: preflight, status: 204,
			want: map[string]string{"Access-Control-Allow-Origin": ""},
		},
		"request": {
			origins: []string{"*"}, method: "POST", path: "/v1/studio/none", header: map[string]string{"Origin": "https://studio.example.com"}, status: 404,
			want: map[string]string{"Access-Control-Allow-Origin": "*"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := New(Options{Derive: func(string) []byte { return nil }, CORSOrigins: c.origins})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
			for key, value := range c.header {
				r.Header.Set(key, value)
			}
			w := httptest.NewRecorder()
			server.Handler().ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			for key, want := range c.want {
				if got := w.Header().Get(key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
			if w.Code >= 400 && !json.Valid(w.Body.Bytes()) {
				t.Errorf("the error is not JSON: %s", w.Body)
			}
		})
	}
}

// What a template takes is listed even if it declares nothing.
func TestModificationsOfATemplateWithoutParameters(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<p data-param="headline">Hello</p><p id="box" data-each="rows" data-param="item">One</p>`}}
	got, err := json.Marshal(modifications(template))
	want := `[{"id":"headline","key":"headline","type":"text","description":"","helpText":"","required":false,"example":"Hello"},` +
		`{"id":"rows","key":"rows","type":"list","description":"","helpText":"","required":false,"example":["One"]}]`
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// A value beside modifications changes nothing; the warning says where it belongs.
func TestValuesBesideModifications(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "headline"}, {Name: "format"}}
	wrong := &fieldsError{}
	_, warnings, err := parseInto[Request]([]byte(`{"templateId":"card","headline":"Hi","format":"pdf","colour":"red"}`), wrong)
	if err != nil {
		t.Fatal(err)
	}
	placeValues(warnings, wrong.unknown, template)
	want := []Warning{
		{"Field 'colour' is not known and was ignored", ""},
		{"Field 'format' is not known and was ignored", "did you mean 'response.format'?"},
		{"Field 'headline' is not known and was ignored", "it is a value of the template: put it into modifications"},
	}
	slices.SortFunc(warnings, func(a, b Warning) int { return strings.Compare(a.Title, b.Title) })
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
