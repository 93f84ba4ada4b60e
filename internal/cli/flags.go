// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// checkFlags refuses what no flag of its kind can mean: empty text, which is the variable of a script that is not set, and a time that is not
// ahead. It goes before every command, so that nothing has happened yet.
func checkFlags(flags *pflag.FlagSet) error {
	var problems []error
	flags.Visit(func(f *pflag.Flag) {
		switch f.Value.Type() {
		case "string", "stringArray", "stringSlice":
			if isEmpty(f.Value) {
				problems = append(problems, usage("--%s is empty: give it a value, or leave it out (is a variable of your shell not set?)", f.Name))
			}
		case "duration":
			problems = append(problems, checkTime(f))
		}
	})
	return errors.Join(problems...)
}

// isEmpty tells whether a value is empty text, or has an item that is.
func isEmpty(value pflag.Value) bool {
	items := []string{value.String()}
	if several, ok := value.(pflag.SliceValue); ok {
		if items = several.GetSlice(); len(items) == 0 {
			return true
		}
	}
	return slices.ContainsFunc(items, func(item string) bool { return strings.TrimSpace(item) == "" })
}

// maxTTL is the longest time that spec.ttlSecondsAfterFinished holds.
const maxTTL = math.MaxInt32 * time.Second

// checkTime checks the value of a flag that is a time. Only --ttl may be 0: the job then goes as soon as it has finished.
func checkTime(f *pflag.Flag) error {
	value, err := time.ParseDuration(f.Value.String())
	switch {
	case err != nil:
		return err
	case f.Name != "ttl" && value <= 0:
		return usage("--%s: %s must be more than 0, such as %s", f.Name, value, f.DefValue)
	case f.Name == "ttl" && (value < 0 || value%time.Second != 0):
		return usage("--ttl: %s must be whole seconds, 0s or more, such as 24h", value)
	case f.Name == "ttl" && value > maxTTL:
		return usage("--ttl: %s must be at most %s", value, maxTTL)
	}
	return nil
}

// oneFile is the hint of -f.
const oneFile = "one file; run it once for each"

// once is a text that a person might expect to give several times: the second does not silently replace the first.
type once struct {
	text *string
	hint string // what the flag takes, and how to have several
}

func (o *once) String() string {
	if o.text == nil {
		return ""
	}
	return *o.text
}

func (o *once) Set(text string) error {
	if *o.text != "" {
		return errors.New("it is given twice: the command takes " + o.hint)
	}
	*o.text = text
	return nil
}

func (*once) Type() string { return "string" }
