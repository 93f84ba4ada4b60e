// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadBound(t *testing.T) {
	for text, want := range map[string]map[Type]any{
		"FALSE":   {Boolean: false, Text: "FALSE", "": "FALSE"},
		"True":    {Boolean: true, Text: "True", "": "True"},
		"false":   {Boolean: false, Text: false, "": false},
		"hello":   {Boolean: "hello", Text: "hello", "": "hello"},
		"no":      {Boolean: "no"}, // a page asks whether there is a text, or whether something is true
		"1.10":    {Boolean: "1.10", Text: "1.10"},
		"3":       {Boolean: 3.0, Text: 3.0},
		`["a"]`:   {List: []any{"a"}, Text: `["a"]`},
		`{"a":1}`: {Object: map[string]any{"a": 1.0}, Text: `{"a":1}`},
	} {
		for kind, want := range want {
			if got, err := ReadBound(kind, text); err != nil || !cmp.Equal(got, want) {
				t.Errorf("%s as %q: %#v, %v, want %#v", text, kind, got, err, want)
			}
		}
	}
	if _, err := ReadBound(Object, "5"); err == nil {
		t.Error("a text is an object")
	}
}

func TestReadText(t *testing.T) {
	for name, c := range map[string]struct {
		kind Type
		text string
		want any
		err  string // part of the error; empty for none
	}{
		"text":                            {kind: Text, text: " a ", want: " a "},
		"text that looks like a number":   {kind: Text, text: "1.10", want: "1.10"},
		"text that looks like a boolean":  {kind: Text, text: "false", want: "false"},
		"empty text":                      {kind: Text, want: ""},
		"number":                          {kind: Number, text: "12.50", want: 12.5},
		"number with spaces":              {kind: Number, text: " 7 ", want: 7.0},
		"number without a leading zero":   {kind: Number, text: "-.5", want: -0.5},
		"number with an exponent":         {kind: Number, text: "1e3", want: 1000.0},
		"number with zeros":               {kind: Number, text: "007", want: 7.0},
		"number with a comma":             {kind: Number, text: "12,50", want: 12.5},
		"number with a comma below one":   {kind: Number, text: "0,125", want: 0.125},
		"number with a comma, four":       {kind: Number, text: "1,0005", want: 1.0005},
		"number with thousands":           {kind: Number, text: "1,000", err: `"1,000" must be a number without separators`},
		"number with many thousands":      {kind: Number, text: "1,000,000", err: "must be a number without separators between thousands, such as 1000.5"},
		"number with both":                {kind: Number, text: "1,000.5", err: "must be a number"},
		"number with a space":             {kind: Number, text: "1 000", err: `"1 000" must be a number without separators between thousands, such as 1000.5`},
		"number with an apostrophe":       {kind: Number, text: "1'000.50", err: "without separators between thousands"},
		"number with points and a comma":  {kind: Number, text: "1.000,5", err: "without separators between thousands"},
		"number with a unit":              {kind: Number, text: "12 €", err: `"12 €" must be a number, such as 12.5`},
		"hexadecimal number":              {kind: Number, text: "0x10", err: "must be a number"},
		"infinite number":                 {kind: Number, text: "inf", err: "must be a number"},
		"no number":                       {kind: Number, text: "NaN", err: "must be a number"},
		"number that is too large":        {kind: Number, text: "1e999", err: "must be a number of at most about 1.8e308"},
		"number with too many digits":     {kind: Number, text: "9007199254740993", err: "no more digits than a page can hold (about 16)"},
		"number that is empty":            {kind: Number, text: " ", want: nil},
		"boolean":                         {kind: Boolean, text: "true", want: true},
		"boolean of a table":              {kind: Boolean, text: "FALSE", want: false},
		"boolean as a number":             {kind: Boolean, text: "0", want: false},
		"boolean as a decimal number":     {kind: Boolean, text: "1.0", want: true}, // a client's 1.0, which REST keeps with its digits
		"boolean as another number":       {kind: Boolean, text: "2", err: `"2" must be true or false`},
		"boolean in words":                {kind: Boolean, text: "no", err: "must be true or false"},
		"boolean that is empty":           {kind: Boolean, text: "", want: nil},
		"colour by name":                  {kind: Color, text: " RebeccaPurple ", want: "RebeccaPurple"},
		"colour in another language":      {kind: Color, text: "bleu", err: `"bleu" must be a CSS colour or gradient`},
		"colour in hexadecimal":           {kind: Color, text: "#0A7", want: "#0A7"},
		"colour with a missing digit":     {kind: Color, text: "#12345", err: "must be a CSS colour"},
		"colour without #":                {kind: Color, text: "ff0000", err: "must be a CSS colour"},
		"colour by function":              {kind: Color, text: "oklch(60% 0.1 200)", want: "oklch(60% 0.1 200)"},
		"gradient":                        {kind: Color, text: "linear-gradient(red, blue)", want: "linear-gradient(red, blue)"},
		"colour that is empty":            {kind: Color, text: "", want: nil},
		"image":                           {kind: Image, text: " https://example.com/a.png", want: "https://example.com/a.png"},
		"image in the value":              {kind: Image, text: "data:image/png;base64,AA//8A", want: "data:image/png;base64,AA//8A"},
		"image without a host":            {kind: Image, text: "https:///a.png", err: "must be a URL that starts with"},
		"image by path":                   {kind: Image, text: "/a.png", err: `"/a.png" must be a URL that starts with`},
		"image that is a page":            {kind: Image, text: "data:text/html,x", err: "must be a URL"},
		"image from this machine":         {kind: Image, text: "file:///etc/passwd", err: "must be a URL"},
		"list in JSON":                    {kind: List, text: `["a", 9007199254740993]`, want: []any{"a", "9007199254740993"}},
		"list in lines":                   {kind: List, text: "one\r\n\n two \n3", want: []any{"one", "two", "3"}},
		"list of one":                     {kind: List, text: "one, two", want: []any{"one, two"}},
		"list, damaged":                   {kind: List, text: `["a"`, err: `must be a list: JSON, such as ["one", "two"], or text with one item a line`},
		"list that is an object":          {kind: List, text: `{"a": 1}`, err: "must be a list: JSON"},
		"list with a field twice":         {kind: List, text: `[1, {"a": 1, "b": {"c": 2, "c": 3}}]`, err: "must be a list whose objects have each field once: [1].b.c is there twice"},
		"list that is empty":              {kind: List, text: "", want: nil},
		"empty list":                      {kind: List, text: "[]", want: []any{}},
		"date":                            {kind: Date, text: "2026-11-26", want: "2026-11-26"},
		"time":                            {kind: Date, text: "2026-11-26T09:30:00+01:00", want: "2026-11-26T09:30:00+01:00"},
		"date that does not exist":        {kind: Date, text: "2026-02-30", err: `"2026-02-30" must be a date, such as 2026-11-26`},
		"date of a country":               {kind: Date, text: "26.11.2026", err: "must be a date"},
		"object":                          {kind: Object, text: `{"a": 1}`, want: map[string]any{"a": 1.0}},
		"object with a field twice":       {kind: Object, text: `{"a": 1, "a": 2}`, err: "must be an object that has each field once: a is there twice"},
		"object that is a list":           {kind: Object, text: `[1]`, err: "must be an object in JSON"},
		"another type":                    {kind: "shape", text: "x", err: "of the type 'shape', which Platen does not know"},
		"undeclared true":                 {text: "true", want: true},
		"undeclared false":                {text: "false", want: false},
		"undeclared null":                 {text: "null", want: nil},
		"undeclared number":               {text: "12.5", want: 12.5},
		"undeclared negative number":      {text: "-3", want: -3.0},
		"undeclared zero":                 {text: "0", want: 0.0},
		"undeclared number with a zero":   {text: "1.10", want: "1.10"}, // a version, or a price: the page shows all its digits
		"undeclared number of digits":     {text: "007", want: "007"},
		"undeclared number, long":         {text: "9007199254740993", want: "9007199254740993"},
		"undeclared number, exponent":     {text: "1e3", want: "1e3"},
		"undeclared True":                 {text: "True", want: "True"},
		"undeclared text":                 {text: "Hello", want: "Hello"},
		"undeclared text of nothing":      {text: "", want: ""},
		"undeclared text like a list":     {text: `["a"]`, want: `["a"]`},
		"a value that is too long for us": {kind: Number, text: strings.Repeat("é", 100), err: "é… must be a number"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadText(c.kind, c.text)
			compare(t, got, err, c.want, c.err)
		})
	}
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		kind  Type
		given any
		want  any
		err   string
	}{
		"text":                {kind: Text, given: "a", want: "a"},
		"text as a number":    {kind: Text, given: 12.5, want: 12.5},
		"text as a boolean":   {kind: Text, given: false, err: "false must be a string or a number; put quotes around it if it is text"}, // YAML's no
		"text as a list":      {kind: Text, given: []any{"a"}, err: `["a"] must be a string or a number, not a list: declare the parameter as a list if it is one`},
		"text as an object":   {kind: Text, given: map[string]any{"text": "a"}, err: `{"text":"a"} must be a string or a number, not an object: a style has a key of its own, such as headline.color`},
		"number":              {kind: Number, given: 1.0, want: 1.0},
		"number as text":      {kind: Number, given: "1.5", want: 1.5},
		"number as a boolean": {kind: Number, given: true, err: "true must be a number"},
		"boolean":             {kind: Boolean, given: false, want: false},
		"boolean as text":     {kind: Boolean, given: "false", want: false},
		"boolean as a number": {kind: Boolean, given: 1.0, want: true},
		"boolean as 0":        {kind: Boolean, given: 0.0, want: false},
		"boolean as 1":        {kind: Boolean, given: "1", want: true},
		"boolean as 2":        {kind: Boolean, given: 2.0, err: "2 must be true or false"},
		"list in JSON":        {kind: List, given: ` ["a", 1]`, want: []any{"a", 1.0}},
		"list, damaged":       {kind: List, given: `["a"`, err: `must be a list: JSON, such as ["one", "two"]` + end}, // lines are no list in JSON and YAML
		"object in JSON":      {kind: Object, given: `{"a": 1}`, want: map[string]any{"a": 1.0}},
		"colour as a number":  {kind: Color, given: 123456.0, err: "123456 must be a CSS colour"},
		"colour":              {kind: Color, given: "red", want: "red"},
		"image as an object":  {kind: Image, given: map[string]any{"url": "x"}, err: `{"url":"x"} must be a URL`},
		"list":                {kind: List, given: []any{1.0}, want: []any{1.0}},
		"list as an object":   {kind: List, given: map[string]any{}, err: `{} must be a list, such as ["one", "two"]` + end},
		"list as no text":     {kind: List, given: " ", want: nil},
		"object as no text":   {kind: Object, given: "", want: nil},
		"list as text":        {kind: List, given: "a,b", err: `"a,b" must be a list, such as ["one", "two"]` + end},
		"list as lines":       {kind: List, given: "a\nb", err: `"a\nb" must be a list, such as ["one", "two"]` + end},
		"date":                {kind: Date, given: "2026-11-26", want: "2026-11-26"},
		"date as a number":    {kind: Date, given: 2026.0, err: "2026 must be a date"},
		"object":              {kind: Object, given: map[string]any{"a": nil}, want: map[string]any{"a": nil}},
		"null":                {kind: Number, given: nil, want: nil},
		"undeclared":          {given: "false", want: "false"},
		"another type":        {kind: "shape", given: 1.0, err: "which Platen does not know"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(c.kind, c.given)
			compare(t, got, err, c.want, c.err)
		})
	}
}

// end is the end of an error, for one that goes no further.
const end = "\x00"

func compare(t *testing.T, got any, err error, want any, wantErr string) {
	t.Helper()
	refused := (*Error)(nil)
	if wantErr != "" {
		if !errors.As(err, &refused) || !strings.Contains(err.Error()+end, wantErr) {
			t.Fatalf("got %#v, %v; want an error with %q", got, err, wantErr)
		}
		return
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// The renderer's tests read the same file: what this package takes, the browser does too.
func TestColors(t *testing.T) {
	list, err := os.ReadFile(filepath.Join("testdata", "colors.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		sign, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if sign == "#" {
			continue
		}
		got, err := ReadText(Color, text)
		if taken := err == nil && got == text; taken != (sign == "+") {
			t.Errorf("%s %s: %v, %v", sign, text, got, err)
		}
	}
	for _, text := range []string{strings.Repeat("light-dark(red, ", 5000) + "red" + strings.Repeat(")", 5000), strings.Repeat("(", 100_000), strings.Repeat("rgb(1,", 100_000)} {
		if _, err := ReadText(Color, text); err == nil {
			t.Errorf("%.40s… is taken", text)
		}
	}
}

func TestNamedColorsAreSorted(t *testing.T) {
	if !slices.IsSorted(namedColors) {
		t.Error("a binary search needs sorted words")
	}
}
