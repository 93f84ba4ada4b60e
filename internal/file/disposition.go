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

// NameFromDisposition returns the file name in the Content-Disposition header of a content URL's answer. It returns an error
// if there is no name, or if the name would leave its folder, hide the file or control a terminal.
func NameFromDisposition(header string) (string, error) {
	_, params, err := mime.ParseMediaType(header)
	name := params["filename"]
	switch {
	case err != nil || name == "":
		return "", errors.New("the answer has no file name in Content-Disposition")
	case strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, unicode.IsControl):
		return "", fmt.Errorf("the file name %q is not allowed: it must not contain slashes or control characters, and must not begin with a dot", name)
	}
	return name, nil
}
