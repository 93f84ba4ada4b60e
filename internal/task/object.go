// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/platen-dev/platen/internal/values"
)

var (
	// number is a number of JSON.
	number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	// truths and untruths are the words that are true and false in YAML 1.1, as for kubectl.
	truths   = []string{"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}
	untruths = []string{"n", "N", "no", "No", "NO", "off", "Off", "OFF"}

	errNoObject  = errors.New("must hold a JSON or YAML object")
	errDocuments = errors.New("must hold one YAML document, not several")
)

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
	if decoder.Decode(&document) != nil {
		return nil, errNoObject
	}
	if !errors.Is(decoder.Decode(&more), io.EOF) {
		return nil, errDocuments
	}
	if err := spell("", "", document.Content[0]); err != nil {
		return nil, err
	}
	var object any
	if document.Decode(&object) != nil {
		return nil, errNoObject
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
	case slices.Contains(truths, node.Value):
		node.Tag, node.Value = "!!bool", "true"
	case slices.Contains(untruths, node.Value):
		node.Tag, node.Value = "!!bool", "false"
	default:
		node.Tag = "!!str"
	}
}
