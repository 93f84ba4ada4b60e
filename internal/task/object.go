// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/values"
)

var (
	// number is a number of JSON.
	number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

	errNoObject  = errors.New("must hold a JSON or YAML object")
	errKey       = fmt.Errorf("%w: a key must be a text", errNoObject)
	errDocuments = errors.New("must hold one YAML document, not several")
	errTooMany   = fmt.Errorf("must have at most %d keys in each object, because it has aliases or merge keys; or write it without them", maxMerged)
)

// maxMerged bounds the keys of an object in YAML that has aliases or merge keys.
const maxMerged = 1000

// readObject reads an object in JSON or YAML. A number keeps its digits, as values.DecodeSent says. A word of YAML that JSON does not have as a
// number, such as 007, 0x1F, 1_000 and .inf, is a text as it is written; so is every key. A key that is there twice is an error.
func readObject(text string) (map[string]any, error) {
	text = strings.TrimPrefix(text, "\ufeff") // a byte order mark
	if json.Valid([]byte(text)) {
		if key := values.Twice([]byte(text)); key != "" {
			return nil, twice(key)
		}
		return orNone(values.DecodeSent([]byte(text)))
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	document, more := yaml.Node{}, yaml.Node{}
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, errNoObject
	} else if err != nil {
		return nil, fmt.Errorf("%w: %.200s", errNoObject, cmp.Or(SyntaxProblem(text), strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	if !errors.Is(decoder.Decode(&more), io.EOF) {
		return nil, errDocuments
	}
	if err := spell("", "", document.Content[0]); err != nil {
		return nil, err
	}
	object, err := valueOf(document.Content[0])
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, errNoObject
	}
	return orNone(values.Decode(data))
}

// orNone returns the object, or what is wrong if there is none.
func orNone(object map[string]any, err error) (map[string]any, error) {
	if errors.Is(err, values.ErrTooDeep) {
		return nil, err
	}
	if err != nil || object == nil {
		return nil, errNoObject
	}
	return object, nil
}

func twice(key string) error { return fmt.Errorf("has '%.100s' twice", key) }

// spell makes each word of YAML what readObject says. key is that of the object that the node belongs to, and path the way there.
func spell(key, path string, node *yaml.Node) error {
	switch node.Kind {
	case yaml.MappingNode:
		return spellMap(key, path, node)
	case yaml.ScalarNode:
		spellWord(key, node)
	case yaml.SequenceNode:
		for i, item := range node.Content {
			if err := spell(key, fmt.Sprintf("%s[%d]", path, i), item); err != nil {
				return err
			}
		}
	case yaml.DocumentNode, yaml.AliasNode: // the first is not within another node, and what the second stands for has its turn
	}
	return nil
}

func spellMap(key, path string, node *yaml.Node) error {
	known := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		full := name.Value
		if path != "" {
			full = path + "." + name.Value
		}
		if name.Kind == yaml.ScalarNode {
			if known[name.Value] {
				return twice(full)
			}
			known[name.Value] = true
			if name.ShortTag() != "!!merge" {
				name.Tag = "!!str"
			}
		}
		top := key
		if top == "" {
			top = name.Value
		}
		if err := spell(top, full, value); err != nil {
			return err
		}
	}
	return nil
}

// valueOf returns the value of a node after spell. The library compares each key of an object with each other, so it decodes only nodes with what is
// hard to decode, and no large objects.
func valueOf(node *yaml.Node) (value any, err error) {
	plain, most := measure(node)
	if plain {
		return plainValue(node)
	}
	if most > maxMerged {
		return nil, errTooMany
	}
	if err := node.Decode(&value); err != nil {
		return nil, fmt.Errorf("%w: %.200s", errNoObject, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return value, nil
}

// measure reports whether a node has neither aliases nor merge keys, and how many keys its largest object has.
func measure(node *yaml.Node) (plain bool, most int) {
	plain = node.Kind != yaml.AliasNode
	for i, inner := range node.Content {
		if node.Kind == yaml.MappingNode {
			most = max(most, len(node.Content)/2)
			plain = plain && (i%2 == 1 || inner.ShortTag() != "!!merge")
		}
		innerPlain, innerMost := measure(inner)
		plain, most = plain && innerPlain, max(most, innerMost)
	}
	return plain, most
}

// plainValue returns the value of a node that has neither aliases nor merge keys.
func plainValue(node *yaml.Node) (any, error) {
	switch node.Kind {
	case yaml.MappingNode:
		object := make(map[string]any, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Kind != yaml.ScalarNode {
				return nil, errKey
			}
			value, err := plainValue(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			object[node.Content[i].Value] = value
		}
		return object, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, item := range node.Content {
			value, err := plainValue(item)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	default:
		return plainWord(node)
	}
}

// plainWord returns the value of a word. The library takes long for each, so it decodes only those that are rare.
func plainWord(node *yaml.Node) (word any, err error) {
	switch node.ShortTag() {
	case "!!str":
		return node.Value, nil
	case "!!int":
		if n, err := strconv.ParseInt(node.Value, 10, 64); err == nil && node.Style == 0 {
			return n, nil
		}
	}
	if node.Decode(&word) != nil {
		return nil, errNoObject
	}
	return word, nil
}

// spellWord makes a word without quotes and without a tag what readObject says.
func spellWord(key string, node *yaml.Node) {
	if node.Style != 0 {
		return
	}
	switch node.ShortTag() {
	case "!!bool", "!!null":
		return
	case "!!int", "!!float":
		if kept, err := values.DecodeSentValue(key, []byte(node.Value)); err == nil && kept != node.Value && number.MatchString(node.Value) {
			return
		}
	}
	switch {
	case slices.Contains(nearest.True, node.Value):
		node.Tag, node.Value = "!!bool", "true"
	case slices.Contains(nearest.False, node.Value):
		node.Tag, node.Value = "!!bool", "false"
	default:
		node.Tag = "!!str"
	}
}
