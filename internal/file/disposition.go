// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode"
)

// Disposition returns the Content-Disposition header of a file that browsers show, and save under its name. Each browser reads names in
// filename in its own way: some decode %41, some cut at a quote. All read filename* alike (RFC 6266), and clients that do not know it get
// the name with an underscore for every character that is not a letter, a digit or one of " ._-+()@=".
func Disposition(name string) string {
	name = strings.ToValidUTF8(name, "\uFFFD")
	var plain, escaped strings.Builder
	for _, r := range name {
		if strings.ContainsRune(" ._-+()@=", r) || isAlphanumeric(r) {
			plain.WriteRune(r)
		} else {
			plain.WriteByte('_')
		}
	}
	for _, b := range []byte(name) {
		if isAlphanumeric(rune(b)) || strings.IndexByte("._-", b) >= 0 {
			escaped.WriteByte(b)
		} else {
			fmt.Fprintf(&escaped, "%%%02X", b)
		}
	}
	return fmt.Sprintf(`inline; filename="%s"; filename*=UTF-8''%s`, plain.String(), escaped.String())
}

// DirectHeader is the header of requests of a content URL that are to be answered with the file, and not with the bucket's own URL of it:
// their sender reaches the content server alone.
const DirectHeader = "X-Platen-Direct"

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}

// ErrNoName means that an answer has no file name.
var ErrNoName = errors.New("the answer has no file name in Content-Disposition")

// NameFromDisposition returns the file name in the Content-Disposition header of a content URL's answer. It returns ErrNoName if there is
// none, and an error if CheckName does.
func NameFromDisposition(header string) (string, error) {
	_, params, err := mime.ParseMediaType(header)
	name := params["filename"]
	if err != nil || name == "" {
		return "", ErrNoName
	}
	return name, CheckName(name)
}

// CheckName returns an error if a file of that name would leave its folder, be hidden or control a terminal.
func CheckName(name string) error {
	if name == "" || strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, Misleads) {
		return fmt.Errorf("the file name %q is not allowed: it must not be empty or contain slashes, line breaks or control characters, also none that change the direction of text, and must not begin with a dot", name)
	}
	return nil
}

// Misleads reports whether a letter of a name changes how what is around it is shown in a terminal: a control character, the end of a line, or one that
// changes the direction of text.
func Misleads(r rune) bool {
	return unicode.IsControl(r) || r >= '\u2028' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
