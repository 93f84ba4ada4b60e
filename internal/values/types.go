// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Type says which values a parameter takes. docs/templates/values.md has the table.
type Type string

// The types of a template's parameters, by their names in RenderTemplate. Object is the type of a binding such as data-param="order.total",
// which no parameter declares.
const (
	Text    Type = "text"
	Number  Type = "number"
	Boolean Type = "boolean"
	Color   Type = "color"
	Image   Type = "image"
	List    Type = "list"
	Date    Type = "date"
	Object  Type = "object"
)

// Error says which value is refused and what is expected.
type Error struct {
	// Given is the value as JSON, at most 80 characters of it.
	Given string
	// Want completes the sentence "it must be …".
	Want string
}

// Error implements error, without the name of the field.
func (e *Error) Error() string { return e.Given + " must be " + e.Want }

const (
	wantText    = "a string or a number; put quotes around it if it is text"
	wantNoList  = "a string or a number, not a list: declare the parameter as a list if it is one"
	wantNoMap   = "a string or a number, not an object: a style has a key of its own, such as headline.color"
	wantNumber  = "a number, such as 12.5"
	wantAll     = "text: it has probably lost digits on its way, as YAML and the API server keep about 17; put quotes around it"
	wantLost    = "a number, with no more digits than a page can hold (about 16); it has probably lost digits on its way: declare the parameter as text, and put quotes around the value"
	wantDigits  = "a number, with no more digits than a page can hold (about 16); declare the parameter as text"
	wantGroups  = "a number without separators between thousands: 1000 or 1.000? Write it with a decimal point and no comma"
	wantPlain   = "a number without separators between thousands, such as 1000.5"
	wantRange   = "a number of at most about 1.8e308, which is the largest that a page can hold"
	wantBoolean = "true or false"
	wantColor   = "a CSS colour or gradient, such as #0a7 or rebeccapurple"
	wantImage   = "a URL that starts with http://, https:// or data:image/"
	wantItems   = "a list, such as " + ExampleList
	wantList    = "a list: JSON, such as " + ExampleList
	wantLines   = wantList + ", or text with one item a line"
	wantDate    = "a date, such as 2026-11-26, or a time, such as 2026-11-26T09:30:00Z"
	wantShallow = "a value whose lists and objects are nested at most 100 deep"
	wantObject  = "an object in JSON, such as " + ExampleObject
)

// The examples in an Error about a list and about an object. A caller who knows what a template's pages show can give a better one.
const (
	ExampleList   = `["one", "two"]`
	ExampleObject = `{"name": "Ada"}`
)

// Read returns the value of a parameter for a value that was given in JSON or YAML, as Decode returns it. A text is read as ReadText reads
// it, but a list or an object must be in JSON. Read returns nil for null, and where ReadText does: the value counts as not given. A parameter
// without a type, which no template declares, takes every value. A number that has probably lost digits is refused. The error is an *Error.
func Read(t Type, given any) (any, error) {
	lost := hasLostDigits(given)
	if _, isNumber := given.(float64); lost && (!isNumber || t == "" || t == Text) {
		return nil, refuse(given, refusal(wantAll))
	}
	if given == nil || t == "" {
		return given, nil
	}
	text, isText := given.(string)
	// JSON and YAML have lists and objects of their own: any other text than JSON is a mistake.
	start := strings.TrimSpace(text)
	mayBe := t != List && t != Object || start == "" || t == List && start[0] == '[' || t == Object && start[0] == '{'
	if isText && mayBe {
		value, err := read(t, text)
		return value, refuse(given, err)
	}
	ok, want := false, ""
	switch t {
	case Text:
		switch want = wantText; given.(type) {
		case float64:
			ok = true
		case []any:
			want = wantNoList
		case map[string]any:
			want = wantNoMap
		}
	case Number:
		_, ok = given.(float64)
		if want = wantNumber; lost {
			ok, want = false, wantLost
		}
	case Boolean:
		if given == 0.0 || given == 1.0 {
			return given == 1.0, nil
		}
		_, ok = given.(bool)
		want = wantBoolean
	case List:
		_, ok = given.([]any)
		if want = wantItems; lost {
			want = "a list"
		}
	case Object:
		_, ok = given.(map[string]any)
		want = "an object"
	case Color:
		want = wantColor
	case Image:
		want = wantImage
	case Date:
		want = wantDate
	default:
		want = fmt.Sprintf("of the type '%s', which Platen does not know", t)
	}
	if lost && (t == List || t == Object) {
		want += "; the number has probably lost digits on its way"
	}
	if !ok {
		return nil, refuse(given, refusal(want))
	}
	return given, nil
}

// ReadText returns the value of a parameter for a value that was given as text: with --set, in a form, in a query or in a cell of a table.
// An empty text is a value of type text only. For the other types it returns nil: the value counts as not given. Without a type, true,
// false, null and the numbers that a page shows with the same digits are what they say, and everything else is text. The error is an
// *Error.
func ReadText(t Type, text string) (any, error) {
	if t == "" {
		return guess(text), nil
	}
	value, err := read(t, text)
	if errors.Is(err, refusal(wantList)) {
		err = refusal(wantLines)
	}
	return value, refuse(text, err)
}

// ReadBound returns the value for a value that was given as text under a key that nobody has declared, as pages show it: of the type bound. A list and
// an object cannot be anything else. What pages only ask for with data-if may be any value, but true and false may have capital letters: spreadsheets
// write them so, and every text is true.
func ReadBound(bound Type, text string) (any, error) {
	if bound == List || bound == Object {
		return ReadText(bound, text)
	}
	if word := strings.ToLower(strings.TrimSpace(text)); bound == Boolean && (word == "true" || word == "false") {
		text = word
	}
	return ReadText("", text)
}

// refusal is what a value must be instead.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// refuse returns the *Error for a refused value; nil if err is nil.
func refuse(given any, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Given: Shorten(given), Want: err.Error()}
}

// guess returns the value of a text whose type nobody has declared.
func guess(text string) any {
	switch text {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	}
	if number, ok := shown(text); ok && jsonNumber.MatchString(text) && display(number) == text {
		return number
	}
	return text
}

// display returns a number as a page shows it.
func display(number float64) string {
	if size := math.Abs(number); size >= 1e21 || number != 0 && size < 1e-6 {
		return strconv.FormatFloat(number, 'e', -1, 64)
	}
	return strconv.FormatFloat(number, 'f', -1, 64)
}

var (
	jsonNumber   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	plainNumber  = regexp.MustCompile(`^[+-]?([0-9]+([.,][0-9]+)?|[.,][0-9]+)([eE][+-]?[0-9]+)?$`)
	groupsNumber = regexp.MustCompile(`^[+-]?[1-9][0-9]{0,2},[0-9]{3}$`)
	manyGroups   = regexp.MustCompile(`^[+-]?[0-9]{1,3}([., '’_\x{00a0}\x{2009}\x{202f}][0-9]{3})+([.,][0-9]+)?$`)
	imageURL     = regexp.MustCompile(`(?i)^(https?://|data:image/)`)
	hexColor     = regexp.MustCompile(`^#([0-9A-Fa-f]{3,4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})$`)
	word         = regexp.MustCompile(`^[A-Za-z-]+$`)
)

// read reads a text as a value of a type. The error is a refusal.
func read(t Type, text string) (any, error) {
	if t == Text {
		return text, nil
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil //nolint:nilnil // not given, which is no error
	}
	switch t {
	case Number:
		return readNumber(text)
	case Boolean:
		switch strings.ToLower(text) {
		case "true", "1", "1.0": // JSON's 1.0, which DecodeSent keeps as text
			return true, nil
		case "false", "0", "0.0":
			return false, nil
		}
		return nil, refusal(wantBoolean)
	case Color:
		return readColor(text)
	case Image:
		if u, err := url.Parse(text); !imageURL.MatchString(text) || err == nil && u.Opaque == "" && u.Host == "" {
			return nil, refusal(wantImage)
		}
		return text, nil
	case List:
		return readList(text)
	case Date:
		for _, layout := range []string{time.DateOnly, time.RFC3339} {
			if _, err := time.Parse(layout, text); err == nil {
				return text, nil
			}
		}
		return nil, refusal(wantDate)
	case Object:
		value, err := DecodeSentValue("", []byte(text))
		if errors.Is(err, ErrTooDeep) {
			return nil, refusal(wantShallow)
		}
		if _, ok := value.(map[string]any); err != nil || !ok {
			return nil, refusal(wantObject)
		}
		if path := Twice([]byte(text)); path != "" {
			return nil, refusal(fmt.Sprintf("an object that has each field once: %.100s is there twice", path))
		}
		return value, nil
	default:
		return nil, refusal(fmt.Sprintf("of the type '%s', which Platen does not know", t))
	}
}

// readNumber reads a number with a decimal point or a decimal comma. 1,000 may be one or a thousand, so it is refused.
func readNumber(text string) (any, error) {
	switch {
	case groupsNumber.MatchString(text):
		return nil, refusal(wantGroups)
	case !plainNumber.MatchString(text) && manyGroups.MatchString(text):
		return nil, refusal(wantPlain)
	case !plainNumber.MatchString(text):
		return nil, refusal(wantNumber)
	}
	text = strings.Replace(text, ",", ".", 1)
	number, ok := shown(text)
	if ok {
		return number, nil
	}
	if _, err := strconv.ParseFloat(text, 64); errors.Is(err, strconv.ErrRange) {
		return nil, refusal(wantRange)
	}
	return nil, refusal(wantDigits)
}

// readColor reads a colour or a gradient. It refuses what is surely none; the browser decides about the rest, such as var(--brand).
func readColor(text string) (any, error) {
	var ok bool
	switch {
	case strings.HasPrefix(text, "#"):
		ok = hexColor.MatchString(text)
	case word.MatchString(text):
		ok = isNamedColor(text)
	default:
		ok = isPaint(text)
	}
	if !ok {
		return nil, refusal(wantColor)
	}
	return text, nil
}

// readList reads a JSON array, or text with one item a line. Items of text stay text.
func readList(text string) (any, error) {
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		value, err := DecodeSentValue("", []byte(text))
		if errors.Is(err, ErrTooDeep) {
			return nil, refusal(wantShallow)
		}
		if _, ok := value.([]any); err != nil || !ok {
			return nil, refusal(wantList)
		}
		if path := Twice([]byte(text)); path != "" {
			return nil, refusal(fmt.Sprintf("a list whose objects have each field once: %.100s is there twice", path))
		}
		return value, nil
	}
	items := []any{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			items = append(items, line)
		}
	}
	return items, nil
}

// maxShown bounds the value in an error, in bytes.
const maxShown = 80

// Shorten returns a value as JSON for a message, cut to 80 characters.
func Shorten(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "the value"
	}
	if len(text) > maxShown {
		return strings.ToValidUTF8(string(text[:maxShown]), "") + "…"
	}
	return string(text)
}
