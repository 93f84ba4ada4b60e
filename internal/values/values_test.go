// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecodeSent(t *testing.T) {
	for literal, want := range map[string]any{
		"1.50": "1.50", "100.00": "100.00", "1e3": "1e3", "1.5": 1.5, "-12": -12.0, "0.00": 0.0, "[1.50, 2.5, 0.0]": []any{"1.50", 2.5, 0.0}, `{"a": [{"b": 1e3}]}`: map[string]any{"a": []any{map[string]any{"b": "1e3"}}}, "9007199254740993": "9007199254740993", "12345678901234567890": "12345678901234567890", "12345678901234567000": "12345678901234567000",
		"1e22": "1e22", "1.2345678901234568e+22": "1.2345678901234568e+22", "10000000000000000000": 1e19, `"1"`: "1", "[12345678901234567000]": []any{"12345678901234567000"},
	} {
		if got, err := DecodeSent([]byte(`{"v": ` + literal + `}`)); err != nil || !reflect.DeepEqual(got["v"], want) {
			t.Errorf("DecodeSent(%s) = %#v, %v; want %#v", literal, got["v"], err, want)
		}
	}
	if got, err := DecodeSent([]byte(`{"title.fontSize": 1e2, "title.opacity": 0.50}`)); err != nil || got["title.fontSize"] != 100.0 || got["title.opacity"] != "0.50" {
		t.Errorf("styles: %v, %v", got, err)
	}
	for kind, text := range map[Type]string{List: `[{"price": 1.10}, 12345678901234567000]`, Object: `{"price": 1.10, "order": [12345678901234567000]}`} {
		want := map[Type]any{List: []any{map[string]any{"price": "1.10"}, "12345678901234567000"}, Object: map[string]any{"price": "1.10", "order": []any{"12345678901234567000"}}}[kind]
		for name, read := range map[string]func() (any, error){
			"ReadText": func() (any, error) { return ReadText(kind, text) }, "Read": func() (any, error) { return Read(kind, text) },
			"DecodeSentValue": func() (any, error) { return DecodeSentValue("k", []byte(text)) },
		} {
			if got, err := read(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s(%s) = %#v, %v", name, text, got, err)
			}
		}
	}
	// A number as it was sent is still what its parameter takes.
	for kind, want := range map[Type]any{Number: 1.1, Text: "1.10", "": "1.10"} {
		if got, err := Read(kind, "1.10"); err != nil || got != want {
			t.Errorf("Read(%q) = %#v, %v", kind, got, err)
		}
	}
	if got, err := DecodeSent([]byte(`[]`)); err == nil {
		t.Errorf("a list: %v", got)
	}
}

// What YAML and the API server make of numbers that they cannot keep.
func TestNumbersThatHaveLostDigitsAreRefused(t *testing.T) {
	for literal, lost := range map[string]bool{
		"12345678901234567000": true, "1.2345678901234568e+22": true, "-28123456789012345000": true, `["a", 12345678901234567000]`: true, `{"a": 1.2345678901234568e+22}`: true,
		"9007199254740992": false, "8123456789012345678": false, "10000000000000000000": false, "1e300": false, "123456789012345": false, `"12345678901234567000"`: false, "null": false,
	} {
		for _, kind := range []Type{"", Text, Number, List, Object} {
			value, err := DecodeValue([]byte(literal))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Read(kind, value)
			if refused := err != nil && strings.Contains(err.Error(), "lost digits"); refused != lost {
				t.Errorf("%s as %q: %v", literal, kind, err)
			}
		}
	}
}

// What a message says to do must be what the parameter takes then.
func TestTheRemedyForLostDigitsFitsTheType(t *testing.T) {
	const lost = 12345678901234567000.0
	for kind, want := range map[Type]string{
		"": "put quotes around it", Text: "put quotes around it",
		Number: "a number, with no more digits than a page can hold (about 16); it has probably lost digits on its way: declare the parameter as text, and put quotes around the value",
		Color:  wantColor, Date: wantDate, Image: wantImage, Boolean: wantBoolean, List: "a list; the number has probably lost digits", Object: "an object; the number has probably lost digits",
	} {
		_, err := Read(kind, lost)
		if err == nil || !strings.Contains(err.Error(), want) || kind != "" && kind != Text && strings.Contains(err.Error(), "put quotes around it") {
			t.Errorf("%q: %v", kind, err)
		}
	}
	if _, err := Read(List, []any{lost}); err == nil || !strings.Contains(err.Error(), "put quotes around it") {
		t.Errorf("in a list: %v", err)
	}
}

// It is as docs/templates/values.md says.
func TestIsTrue(t *testing.T) {
	for text, want := range map[string]bool{
		`true`: true, `false`: false, `null`: false, `0`: false, `-0.0`: false, `0.5`: true, `1e400`: true, `""`: false, `"0"`: true, `"false"`: true, `[]`: false, `[0]`: true, `{}`: true,
	} {
		var plain, exact any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&exact); err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal([]byte(text), &plain) == nil && IsTrue(plain) != want || IsTrue(exact) != want {
			t.Errorf("%s: want %t", text, want)
		}
	}
}

func TestDecode(t *testing.T) {
	long := strings.Repeat("7", 500)
	for literal, want := range map[string]any{
		"0": 0.0, "-0": 0.0, "1": 1.0, "12.5": 12.5, "12.50": 12.5, "0.1": 0.1, "1e3": 1000.0, "1e21": 1e21, "1E-7": 1e-7,
		"9007199254740991":       9007199254740991.0,
		"9007199254740992":       9007199254740992.0,
		"9007199254740993":       "9007199254740993",
		"-9007199254740993":      "-9007199254740993",
		"8123456789012345678":    "8123456789012345678",
		"12345678901234567890":   "12345678901234567890",
		"12345678901234567168":   "12345678901234567168", // a float64, but a page shows 12345678901234567000
		"12345678901234567000":   12345678901234567000.0,
		"1000000000000000000000": "1000000000000000000000", // a page shows 1e+21
		"0.0000001":              "0.0000001",              // a page shows 1e-7
		"3.14159265358979323846": "3.14159265358979323846",
		"1e400":                  "1e400",
		"1e-400":                 "1e-400",
		"1e999999999":            "1e999999999",
		long:                     long,
		`"1"`:                    "1",
		"true":                   true,
		"null":                   nil,
		`[9007199254740993, {"a": 9007199254740993}]`: []any{"9007199254740993", map[string]any{"a": "9007199254740993"}},
	} {
		got, err := Decode([]byte(`{"v": ` + literal + `}`))
		if err != nil || !reflect.DeepEqual(got["v"], want) {
			t.Errorf("Decode(%s) = %#v, %v; want %#v", literal, got["v"], err, want)
		}
		value, err := DecodeValue([]byte(literal))
		if err != nil || !reflect.DeepEqual(value, want) {
			t.Errorf("DecodeValue(%s) = %#v, %v; want %#v", literal, value, err, want)
		}
	}
	for _, bad := range []string{"", "1", "[]", `{"a": 1} 2`, `{"a": 01}`, `{"a": }`} {
		if got, err := Decode([]byte(bad)); err == nil {
			t.Errorf("Decode(%s) = %v, want an error", bad, got)
		}
	}
}

func TestDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`[{"a]}":`, n/2) + `"\\\"[[{{"` + strings.Repeat("}]", n/2) }
	if got, err := Decode([]byte(`{"a":` + nested(maxDepth) + `}`)); err != nil || got["a"] == nil {
		t.Errorf("%d levels: %v", maxDepth, err)
	}
	for _, n := range []int{maxDepth + 2, 5000} {
		if _, err := Decode([]byte(`{"a":` + nested(n) + `}`)); !errors.Is(err, ErrTooDeep) {
			t.Errorf("%d levels: %v", n, err)
		}
		for _, kind := range []Type{List, Object} {
			text := nested(n)
			if kind == Object {
				text = `{"b":` + text + `}`
			}
			if _, err := ReadText(kind, text); err == nil || !strings.HasSuffix(err.Error(), "must be a value whose lists and objects are nested at most 100 deep") {
				t.Errorf("%d levels in a text for %s: %v", n, kind, err)
			}
		}
	}
}

func TestTwice(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", `[]`: "", `1`: "", `{"a": {"a": [{"a": 1}, {"a": 2}]}, "b": [[], {}, "a"], "A": 1}`: "", `{"a": "{\"b\": 1, \"b\": 2}"}`: "",
		`{"a": 1, "b": 2, "a": 1}`: "a", `{"a": {"b": {}, "b": []}}`: "a.b", `[0, [{"a.b": 1, "a.b": 2}]]`: "[1][0].a.b", `{"a": [[1], {"x": 1}, {"x": 1, "x": null}]}`: "a[2].x",
		`{"ä": 1, "\u00e4": 2}`: "ä", `{"": 1, "": 2}`: ".",
	} {
		if got := Twice([]byte(text)); got != want {
			t.Errorf("Twice(%s) = %q, want %q", text, got, want)
		}
	}
}

// Numbers that are too small for a page are texts, and cost no more than others: as a fraction, 1e-999999 has a million digits.
func TestSmallNumbers(t *testing.T) {
	list := strings.TrimSuffix(strings.Repeat("1e-999999,", 20_000), ",")
	began := time.Now()
	got, err := DecodeSent([]byte(`{"list":[` + list + `],"zero":0e-999999,"nothing":0.000,"small":1.50e-400,"smallest":5e-324}`))
	if took := time.Since(began); err != nil || took > 5*time.Second {
		t.Fatalf("took %s: %v", took, err)
	}
	if items, ok := got["list"].([]any); !ok || len(items) != 20_000 || items[0] != "1e-999999" {
		t.Errorf("got %.100v", got["list"])
	}
	delete(got, "list")
	if want := map[string]any{"zero": 0.0, "nothing": 0.0, "small": "1.50e-400", "smallest": 5e-324}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
