// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package values reads the values of modifications, from JSON without changing a digit, and from text, as the type of their parameter.
package values

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// maxDigits bounds the length of a number that is compared digit by digit. A longer one becomes text.
const maxDigits = 400

// maxDepth bounds how deep lists and objects of a value are nested: programs that read a job, such as jq, stop at 256.
const maxDepth = 100

// ErrTooDeep means that a value has more nested lists and objects than it may have.
var ErrTooDeep = errors.New("its lists and objects must be nested at most 100 deep")

// Decode reads a JSON object. A number that a page would show as another one becomes text with its digits: a page has only the numbers of
// IEEE 754, so 9007199254740993 would become 9007199254740992 (ECMA-262, 6.1.6.1).
func Decode(data []byte) (map[string]any, error) {
	object := map[string]any{}
	if err := decode(data, &object); err != nil {
		return nil, err
	}
	for key, value := range object {
		object[key] = exact(value)
	}
	return object, nil
}

// DecodeSent reads a JSON object that no API server and no YAML has read before. It is Decode, but it keeps two more kinds of numbers as text, also
// inside of lists and objects: those that Read would take for ones that have lost digits, and those that a page would show in another spelling,
// such as 1.10. It keeps no spelling of zero, so that data-if takes it for false, and none with an exponent for ID.STYLE, which CSS may not know.
func DecodeSent(data []byte) (map[string]any, error) {
	object := map[string]any{}
	if err := decode(data, &object); err != nil {
		return nil, err
	}
	for key, value := range object {
		object[key] = spelled(key, value)
	}
	return object, nil
}

// DecodeSentValue reads the JSON value of a key as DecodeSent does.
func DecodeSentValue(key string, data []byte) (value any, err error) {
	err = decode(data, &value)
	return spelled(key, value), err
}

// spelled replaces each json.Number in a value as DecodeSent says.
func spelled(key string, value any) any {
	return replace(value, func(literal json.Number) any {
		text := string(literal)
		number, ok := shown(text)
		respelled := number != 0 && display(number) != text && (!strings.Contains(key, ".") || !strings.ContainsAny(text, "eE"))
		if !ok || hasLostDigits(number) || respelled {
			return text
		}
		return number
	})
}

// DecodeValue reads one JSON value as Decode does.
func DecodeValue(data []byte) (value any, err error) {
	err = decode(data, &value)
	return exact(value), err
}

func decode(data []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(target); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return CheckDepth(data)
}

// IsTrue reports whether data-if takes a value of JSON for true.
func IsTrue(value any) bool {
	switch value := value.(type) {
	case bool:
		return value
	case string:
		return value != ""
	case float64:
		return value != 0
	case json.Number:
		number, err := value.Float64()
		return number != 0 || err != nil
	case []any:
		return len(value) > 0
	}
	return value != nil
}

// CheckDepth returns ErrTooDeep for valid JSON that is nested too deep. An object of modifications may have as much around each value as the value alone.
func CheckDepth(data []byte) error {
	depth, inText := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			inText = !inText
		case inText && c == '\\':
			i++
		case inText:
		case c == '{', c == '[':
			if depth++; depth > maxDepth+1 {
				return ErrTooDeep
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return nil
}

// Twice returns the path of a key that an object of valid JSON has twice, such as rows[0].price; empty if there is none. encoding/json would
// take the last one.
func Twice(data []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	path, _ := twice(decoder)
	return cmp.Or(strings.TrimPrefix(path, "."), path)
}

// twice reads a value. path begins with a dot or a bracket.
func twice(decoder *json.Decoder) (path string, found bool) {
	start, err := decoder.Token()
	if err != nil {
		return "", false
	}
	known := map[string]bool{}
	for i := 0; (start == json.Delim('{') || start == json.Delim('[')) && decoder.More(); i++ {
		here := ""
		if start == json.Delim('{') {
			token, err := decoder.Token()
			key, ok := token.(string)
			if err != nil || !ok {
				return "", false
			}
			if here = "." + key; known[key] {
				return here, true
			}
			known[key] = true
		}
		path, found := twice(decoder)
		switch {
		case found && here == "":
			return fmt.Sprintf("[%d]%s", i, path), true
		case found:
			return here + path, true
		}
	}
	if _, opens := start.(json.Delim); opens {
		_, _ = decoder.Token() // the end of the object or list
	}
	return "", false
}

// exact replaces each json.Number in a value by a float64 or a string. It changes lists and objects in place.
func exact(value any) any {
	return replace(value, func(literal json.Number) any {
		if number, ok := shown(string(literal)); ok {
			return number
		}
		return string(literal)
	})
}

// replace replaces each json.Number in a value. It changes lists and objects in place.
func replace(value any, number func(json.Number) any) any {
	switch v := value.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i := range v {
			v[i] = replace(v[i], number)
		}
	case map[string]any:
		for key := range v {
			v[key] = replace(v[key], number)
		}
	}
	return value
}

// hasLostDigits reports whether a value has a number that was probably written with more digits. YAML has whole numbers of 64 bits, and
// the API server of 63: of a longer one, both keep 16 or 17 digits.
func hasLostDigits(value any) bool {
	switch v := value.(type) {
	case float64:
		mantissa, _, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'e', -1, 64), "e")
		return math.Abs(v) >= 1<<63 && len(mantissa) > 16 // with its point
	case []any:
		return slices.ContainsFunc(v, hasLostDigits)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasLostDigits)
	}
	return false
}

// shown returns the number that a page makes of a JSON number. ok is false if the page shows another one, or shows it with an exponent
// that the JSON does not have.
func shown(literal string) (number float64, ok bool) {
	number, err := strconv.ParseFloat(literal, 64)
	if err != nil || len(literal) > maxDigits {
		return 0, false
	}
	if number == 0 { // 1e-999999 is not, and as a big.Rat it has a million digits
		mantissa, _, _ := strings.Cut(strings.ToLower(literal), "e")
		return number, !strings.ContainsAny(mantissa, "123456789")
	}
	// ECMA-262, 6.1.6.1.20: numbers from 1e21 and below 1e-6 are shown with an exponent.
	if size := math.Abs(number); !strings.ContainsAny(literal, "eE") && number != 0 && (size >= 1e21 || size < 1e-6) {
		return 0, false
	}
	want, ok1 := new(big.Rat).SetString(literal)
	got, ok2 := new(big.Rat).SetString(strconv.FormatFloat(number, 'g', -1, 64))
	return number, ok1 && ok2 && want.Cmp(got) == 0
}
