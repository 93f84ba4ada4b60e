// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/platen-dev/platen/internal/storage"
)

// apiError is what Dropbox said, as the cause of a storage.Error. Tags are the union tags from the outside in, such as
// path, conflict, file.
type apiError struct {
	status int
	tags   []string
	text   string
}

// Error implements error.
func (e *apiError) Error() string {
	if len(e.tags) > 0 {
		return fmt.Sprintf("HTTP %d %s", e.status, strings.Join(e.tags, "/"))
	}
	return fmt.Sprintf("HTTP %d %s", e.status, e.text)
}

// pathNotAllowed is the reason of errors that name the path.
const pathNotAllowed = "PathNotAllowed"

// rule is what an error tag means to a user.
type rule struct {
	class   storage.Class
	reason  string
	message string
	// account is true when the whole account is concerned.
	account bool
}

// rules by tag; the innermost tag that has one decides. Whatever has none and is no 429 or 5xx is not tried again.
var rules = map[string]rule{
	"expired_access_token": {storage.Retry, "TokenExpired", "Token expired", true},
	"invalid_access_token": {storage.Stop, "TokenExpired", "Token expired", true},
	"user_suspended":       {storage.Stop, "AccountSuspended", "Dropbox account is suspended", true},
	"missing_scope":        {storage.Stop, "MissingScope", "App lacks a scope", true},
	"invalid_root":         {storage.Stop, "PathRootNotAllowed", "rootNamespaceID is not this account's team space", true},
	"no_permission":        {storage.Stop, "PathRootNotAllowed", "rootNamespaceID is not open to this account", true},

	"insufficient_space":    {storage.Stop, "InsufficientSpace", "Dropbox is full", false},
	"insufficient_quota":    {storage.Stop, "InsufficientSpace", "Dropbox is full", false},
	"malformed_path":        {storage.Stop, pathNotAllowed, "Folder or file name not allowed", false},
	"disallowed_name":       {storage.Stop, pathNotAllowed, "Folder or file name not allowed", false},
	"no_write_permission":   {storage.Stop, "NoWritePermission", "No permission to write to this folder", false},
	"access_restricted":     {storage.Stop, "NoWritePermission", "Access to this folder is restricted", false},
	"team_folder":           {storage.Stop, "NoWritePermission", "Team folders cannot be written to like this", false},
	"operation_suppressed":  {storage.Stop, "NoWritePermission", "Dropbox does not allow this change", false},
	"conflict":              {storage.Stop, "Conflict", "Something else stands at this path", false},
	"content_hash_mismatch": {storage.Stop, "ContentChanged", "The rendered file changed while it was uploaded", false},
	"payload_too_large":     {storage.Stop, "FileTooLarge", "File is too large for Dropbox", false},
	"too_large":             {storage.Stop, "FileTooLarge", "File is too large for Dropbox", false},

	"too_many_write_operations":      {storage.Retry, rateLimited, "Dropbox asks for fewer changes at a time", true},
	"too_many_requests":              {storage.Retry, rateLimited, "Dropbox asks for fewer requests", true},
	"too_many_shared_folder_targets": {storage.Retry, "TooManyTargets", "Dropbox takes fewer shared folders at a time", false},
	"internal_error":                 {storage.Retry, "Unavailable", "Dropbox is unavailable", false},
	"incorrect_offset":               {storage.Retry, "SessionLost", "Dropbox has another part of the file than was sent", false},
	"closed":                         {storage.Retry, "SessionLost", "Dropbox has closed the upload", false},
	"not_closed":                     {storage.Retry, "SessionLost", "Dropbox has not closed the upload", false},
	"not_found":                      {storage.Stop, "NotFound", "Path does not exist", false},
}

// rateLimited is the reason of errors that ask for patience.
const rateLimited = "RateLimited"

// decodeError turns an answer other than 200 into a *storage.Error.
func decodeError(status int, header http.Header, body []byte) error {
	cause := &apiError{status: status}
	var answer struct {
		Error any `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil {
		cause.tags = tags(answer.Error)
	}
	if len(cause.tags) == 0 {
		cause.text = strings.ToValidUTF8(string(body[:min(len(body), 200)]), "")
	}
	problem := &storage.Error{Err: cause, RetryAfter: retryAfter(header, answer.Error)}
	for _, v := range slices.Backward(cause.tags) {
		if r, ok := rules[v]; ok {
			problem.Class, problem.Reason, problem.Message, problem.Account = r.class, r.reason, r.message, r.account
			if scope := requiredScope(answer.Error); scope != "" && v == "missing_scope" {
				problem.Message = "App lacks scope " + scope
			}
			return problem
		}
	}
	switch {
	case status == http.StatusTooManyRequests:
		problem.Class, problem.Reason, problem.Message, problem.Account = storage.Retry, rateLimited, "Dropbox asks for fewer requests", true
	case status >= http.StatusInternalServerError:
		problem.Doubt, problem.Account = true, true
		problem.Class, problem.Reason, problem.Message = storage.Retry, "Unavailable", fmt.Sprintf("Dropbox is unavailable (HTTP %d)", status)
	case status == http.StatusUnauthorized:
		problem.Reason, problem.Message, problem.Account = "TokenExpired", "Token expired", true
	case status == http.StatusForbidden:
		problem.Account = true
		problem.Reason, problem.Message = "AccessDenied", "Dropbox denies access to this app or account"
	default:
		problem.Reason, problem.Message = "Refused", fmt.Sprintf("Dropbox refused the request (%v)", cause)
	}
	return problem
}

// decodeEntryError turns the failure of one entry of a batch into a *storage.Error.
func decodeEntryError(failure json.RawMessage) error {
	body, err := json.Marshal(map[string]any{"error": failure})
	if err != nil {
		body = nil
	}
	return decodeError(http.StatusConflict, http.Header{}, body)
}

// unexpected is an answer with another number of entries than were asked for: none of them can be trusted.
func unexpected(route string, got, want int) error {
	return &storage.Error{
		Class: storage.Retry, Reason: "UnexpectedAnswer", Doubt: true,
		Message: fmt.Sprintf("Dropbox answered %s with %d entries instead of %d", route, got, want),
	}
}

// tags lists the union tags of an error from the outside in. A union member that holds another union stands under a field named
// like the tag, or under "reason" or "path".
func tags(value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	var list []string
	tag, _ := object[".tag"].(string)
	if tag != "" {
		list = append(list, tag)
	}
	for _, field := range []string{tag, "reason", "path"} {
		if inner := tags(object[field]); field != "" && len(inner) > 0 {
			return append(list, inner...)
		}
	}
	return list
}

func requiredScope(value any) string {
	object, _ := value.(map[string]any)
	scope, _ := object["required_scope"].(string)
	return scope
}

// maxRetryAfter bounds what Dropbox may ask for, in seconds.
const maxRetryAfter = 24 * 60 * 60

// retryAfter is how long Dropbox wants to be left alone, from the header or the body.
func retryAfter(header http.Header, value any) time.Duration {
	if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil && seconds > 0 {
		return time.Duration(min(seconds, maxRetryAfter)) * time.Second
	}
	if object, ok := value.(map[string]any); ok {
		if seconds, ok := object["retry_after"].(float64); ok {
			return time.Duration(min(seconds, maxRetryAfter)) * time.Second
		}
	}
	return 0
}

// decodeTokenError turns a failed refresh into a *storage.Error.
func decodeTokenError(err error) error {
	refused := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &refused) {
		return unreachable(err)
	}
	status := 0
	if refused.Response != nil {
		status = refused.Response.StatusCode
	}
	// The answer itself is left out of the error: it may repeat what was sent.
	cause := &apiError{status: status, text: refused.ErrorCode}
	switch {
	case refused.ErrorCode == "invalid_grant":
		return &storage.Error{Class: storage.Stop, Reason: "TokenExpired", Message: "Token expired", Account: true, Err: cause}
	case refused.ErrorCode == "invalid_client", refused.ErrorCode == "unauthorized_client":
		return &storage.Error{Class: storage.Stop, Reason: "InvalidCredentials", Message: "App key or app secret is not accepted by Dropbox", Account: true, Err: cause}
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return &storage.Error{
			Class: storage.Retry, Reason: "Unavailable", Message: fmt.Sprintf("Dropbox is unavailable (HTTP %d)", status),
			RetryAfter: retryAfter(refused.Response.Header, nil), Account: true, Err: cause,
		}
	default:
		return &storage.Error{Class: storage.Stop, Reason: "InvalidCredentials", Message: fmt.Sprintf("Dropbox refused the credentials (HTTP %d)", status), Account: true, Err: cause}
	}
}

// unreachable is a call that got no answer.
func unreachable(err error) error {
	return &storage.Error{Class: storage.Retry, Reason: "Unreachable", Message: "Dropbox could not be reached", Doubt: true, Account: true, Err: err}
}

// isTag tells whether Dropbox's error has the tag.
func isTag(err error, tag string) bool {
	cause := (*apiError)(nil)
	if !errors.As(err, &cause) {
		return false
	}
	return slices.Contains(cause.tags, tag)
}

// isConflict tells whether a file or folder of the given kind stands in the way.
func isConflict(err error, kind string) bool { return isTag(err, "conflict") && isTag(err, kind) }
