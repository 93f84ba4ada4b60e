// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import "regexp"

var (
	// userInfo matches what a URL has before its host: a name, often with a password.
	userInfo = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#"'<>]+@`)
	// signature matches the parameters of a query that let whoever knows the URL fetch the file, as those of signed URLs do.
	signature = regexp.MustCompile(`(?i)([?&][a-z0-9_.%-]*(?:sig|token|secret|passw|pwd|key|credential|auth)[a-z0-9_.%-]*=)[^&#\s"'<>]+`)
)

// withoutSecrets returns a text for the status of a job without the secrets in its URLs: more people may read the job than what its page is made of.
func withoutSecrets(text string) string {
	return signature.ReplaceAllString(userInfo.ReplaceAllString(text, "$1…@"), "$1…")
}
