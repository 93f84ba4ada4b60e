// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// No number changes on its way into a page, and a decoded object is decoded to itself.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1.10,"b":[9007199254740993,-0,1e400,1e-400],"c":{"d":"x"}}`, `{"a":0.1,"a.width":1e3}`, `{"a":123456789012345678901234567890}`, `{"\u0000":null}`, `{"a":1}{`, `[`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, decode := range map[string]func([]byte) (map[string]any, error){"Decode": Decode, "DecodeSent": DecodeSent} {
			got, err := decode(data)
			if err != nil {
				continue
			}
			again, err := json.Marshal(got)
			if err != nil {
				t.Fatalf("%s(%q) = %v: %v", name, data, got, err)
			}
			if second, err := Decode(again); err != nil || !cmp.Equal(got, second) {
				t.Errorf("%s(%q) = %v, which Decode reads as %v, %v", name, data, got, second, err)
			}
		}
		literals := map[string]any{}
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.UseNumber()
		if decoder.Decode(&literals) != nil {
			return
		}
		got, err := Decode(data)
		if err != nil {
			return
		}
		for key, literal := range literals {
			number, ok := literal.(json.Number)
			if !ok || len(number) > 20 || strings.ContainsAny(string(number), "eE") { // big.Rat would need much memory
				continue
			}
			want, _ := new(big.Rat).SetString(string(number))
			shown, err := json.Marshal(got[key])
			if err != nil {
				t.Fatal(err)
			}
			if is, ok := new(big.Rat).SetString(strings.Trim(string(shown), `"`)); !ok || is.Cmp(want) != 0 {
				t.Errorf("%s of %q becomes %s", number, data, shown)
			}
		}
	})
}
