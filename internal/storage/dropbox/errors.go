// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/reach"
	"github.com/platen-dev/platen/internal/storage"
)

// apiError is Dropbox's own error, the cause of a storage.Error.
type apiError struct {
	status int
	// tags of Dropbox's union types from the outside in, such as path, conflict, file.
	tags []string
	// text of an answer without tags.
	text string
}

// Error implements error.
func (e *apiError) Error() string {
	if len(e.tags) > 0 {
		return fmt.Sprintf("HTTP %d %s", e.status, strings.Join(e.tags, "/"))
	}
	return fmt.Sprintf("HTTP %d %s", e.status, e.text)
}

// rule is the storage.Error of a tag.
type rule struct {
	class   storage.Class
	reason  storage.Reason
	message string
	account bool
}

// rules by tag. The rule of the innermost tag that has one applies. An error without a rule is not tried again, unless it has status 429
// or 5xx.
var rules = map[string]rule{
	"expired_access_token": {storage.Retry, storage.ReasonTokenExpired, "Token expired", true},
	"invalid_access_token": {storage.Stop, storage.ReasonTokenExpired, "Token expired", true},
	"user_suspended":       {storage.Stop, storage.ReasonAccountSuspended, "Dropbox account is suspended", true},
	"missing_scope":        {storage.Stop, storage.ReasonMissingScope, "App lacks a scope", true},
	"route_access_denied":  {storage.Stop, storage.ReasonAccessDenied, accessDenied, true},
	"invalid_select_user":  {storage.Stop, storage.ReasonAccessDenied, accessDenied, true},
	"invalid_select_admin": {storage.Stop, storage.ReasonAccessDenied, accessDenied, true},

	"insufficient_space":    {storage.Stop, storage.ReasonInsufficientSpace, "Dropbox is full", false},
	"insufficient_quota":    {storage.Stop, storage.ReasonInsufficientSpace, "Dropbox is full", false},
	"malformed_path":        {storage.Stop, storage.ReasonPathNotAllowed, "Folder or file name not allowed", false},
	"disallowed_name":       {storage.Stop, storage.ReasonPathNotAllowed, "Folder or file name not allowed", false},
	"no_permission":         {storage.Stop, storage.ReasonNoWritePermission, "No permission to write to this folder", false},
	"no_write_permission":   {storage.Stop, storage.ReasonNoWritePermission, "No permission to write to this folder", false},
	"access_restricted":     {storage.Stop, storage.ReasonNoWritePermission, "Access to this folder is restricted", false},
	"restricted_content":    {storage.Stop, storage.ReasonNoWritePermission, "Access to this folder is restricted", false},
	"team_folder":           {storage.Stop, storage.ReasonNoWritePermission, "Team folders cannot be written to like this", false},
	"operation_suppressed":  {storage.Stop, storage.ReasonNoWritePermission, "Dropbox does not allow this change", false},
	"conflict":              {storage.Stop, storage.ReasonConflict, "Something else is at this path", false},
	"file":                  {storage.Stop, storage.ReasonConflict, "A file is at this path", false},
	"folder":                {storage.Stop, storage.ReasonConflict, "A folder is at this path", false},
	"file_ancestor":         {storage.Stop, storage.ReasonConflict, "A file is in the place of a folder of this path", false},
	"content_hash_mismatch": {storage.Stop, storage.ReasonContentChanged, "The rendered file changed while it was uploaded", false},
	"payload_too_large":     {storage.Stop, storage.ReasonFileTooLarge, "File is too large for Dropbox", false},
	"too_large":             {storage.Stop, storage.ReasonFileTooLarge, "File is too large for Dropbox", false},

	"too_many_write_operations":      {storage.Retry, storage.ReasonRateLimited, "Dropbox asks for fewer changes at a time", true},
	"too_many_requests":              {storage.Retry, storage.ReasonRateLimited, "Dropbox asks for fewer requests", true},
	"too_many_shared_folder_targets": {storage.Retry, storage.ReasonTooManyTargets, "Dropbox takes fewer shared folders at a time", false},
	"internal_error":                 {storage.Retry, storage.ReasonUnavailable, "Dropbox is unavailable", false},
	"incorrect_offset":               {storage.Retry, storage.ReasonSessionLost, "Dropbox has another part of the file than was sent", false},
	"closed":                         {storage.Retry, storage.ReasonSessionLost, "Dropbox has closed the upload", false},
	"not_closed":                     {storage.Retry, storage.ReasonSessionLost, notClosed, false},
	"concurrent_session_not_closed":  {storage.Retry, storage.ReasonSessionLost, notClosed, false},
	// A chunk that Dropbox has confirmed is missing.
	"concurrent_session_missing_data": {storage.Retry, storage.ReasonSessionLost, notClosed, false},
	"not_found":                       {storage.Stop, storage.ReasonNotFound, "Path does not exist", false},
}

const (
	accessDenied = "Dropbox denies access to this app or account"
	notClosed    = "Dropbox has not closed the upload"
)

// statusRules by status: whatever the tags are, they are about the same thing.
var statusRules = map[int]rule{
	http.StatusForbidden:           {storage.Stop, storage.ReasonAccessDenied, accessDenied, true},
	http.StatusUnprocessableEntity: {storage.Stop, storage.ReasonPathRootNotAllowed, "rootNamespaceID is not open to this account", true},
}

// decodeError returns the *storage.Error of an answer other than 200.
func decodeError(status int, header http.Header, body []byte) error {
	cause := &apiError{status: status}
	var answer struct {
		Error any `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil {
		cause.tags = unionTags(answer.Error)
	}
	if len(cause.tags) == 0 {
		cause.text = excerpt(string(body))
	}
	problem := &storage.Error{Err: cause, RetryAfter: retryAfter(header, answer.Error, time.Now())}
	foreign := isForeign(status, header, body, cause.tags)
	if r, ok := statusRules[status]; ok && !foreign {
		problem.Class, problem.Reason, problem.Message, problem.Account = r.class, r.reason, r.message, r.account
		switch {
		case slices.Contains(cause.tags, "invalid_root"):
			problem.Message = "rootNamespaceID is not this account's team space" + rightRoot(answer.Error)
		case len(cause.tags) > 0:
			problem.Message += " (" + strings.Join(cause.tags, "/") + ")"
		}
		return problem
	}
	for _, v := range slices.Backward(cause.tags) {
		if r, ok := rules[v]; ok {
			problem.Class, problem.Reason, problem.Message, problem.Account = r.class, r.reason, r.message, r.account
			if scope := requiredScope(answer.Error); scope != "" && v == "missing_scope" {
				problem.Message = "App lacks scope " + scope
			}
			return problem
		}
	}
	if r, ok := textRule(status, string(body)); ok && !foreign {
		problem.Class, problem.Reason, problem.Message, problem.Account = r.class, r.reason, r.message, r.account
		return problem
	}
	switch {
	case status == http.StatusTooManyRequests:
		problem.Class, problem.Reason, problem.Message, problem.Account = storage.Retry, storage.ReasonRateLimited, "Dropbox asks for fewer requests", true
	case foreign:
		return foreignAnswer(cause)
	case status >= http.StatusInternalServerError:
		problem.Doubt, problem.Account = true, true
		problem.Class, problem.Reason, problem.Message = storage.Retry, storage.ReasonUnavailable, fmt.Sprintf("Dropbox is unavailable (HTTP %d)", status)
	case status == http.StatusUnauthorized && len(cause.tags) == 0: // Dropbox would name the reason, and would not give new tokens if the access had ended
		problem.Class, problem.Reason, problem.Account = storage.Retry, storage.ReasonTokenExpired, true
		problem.Message = "Dropbox, or a proxy before it, does not accept the access token (HTTP 401)"
	case status == http.StatusUnauthorized:
		problem.Reason, problem.Message, problem.Account = storage.ReasonTokenExpired, "Token expired", true
	default:
		problem.Reason, problem.Message = storage.ReasonRefused, fmt.Sprintf("Dropbox refused the request (%v)", cause)
	}
	return problem
}

// absentScope matches what Dropbox says of an app that lacks a permission itself, in text. Of an access token that lacks it, Dropbox says missing_scope.
var absentScope = regexp.MustCompile(`does not have the required scope '([a-z_.]{1,64})'`)

// textRule returns the rule of a refusal that Dropbox explains in a sentence only.
func textRule(status int, text string) (rule, bool) {
	if status != http.StatusBadRequest {
		return rule{}, false
	}
	if scope := absentScope.FindStringSubmatch(text); scope != nil {
		return rule{storage.Stop, storage.ReasonMissingScope, "App lacks scope " + scope[1], true}, true
	}
	if strings.Contains(text, "access token is malformed") {
		return rule{storage.Stop, storage.ReasonTokenExpired, "Token expired", true}, true // whatever has damaged it
	}
	if strings.Contains(text, "token you provided is for an entire Dropbox Business team") {
		const message = "The app has permissions for a whole team, so its access is to no single account: remove them at Dropbox, or make an app without them"
		return rule{storage.Stop, storage.ReasonInvalidCredentials, message, true}, true
	}
	return rule{}, false
}

// rightRoot returns, as the end of a message, which team space the account has by Dropbox's answer; empty if it does not say.
func rightRoot(value any) string {
	object, _ := value.(map[string]any)
	root, _ := object["invalid_root"].(map[string]any)
	if root[".tag"] == "user" {
		return ": the account has none, so leave it out"
	}
	id, _ := root["root_namespace_id"].(string)
	if _, err := strconv.ParseUint(id, 10, 64); err != nil {
		return ""
	}
	return ", which is " + id
}

// excerpt returns the beginning of an answer's text.
func excerpt(text string) string {
	const most = 300
	if len(text) <= most {
		return strings.ToValidUTF8(text, "")
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// requestID is the header that Dropbox puts on every answer, also on refusals, and that nothing else sends.
const requestID = "X-Dropbox-Request-Id"

// isForeign reports whether an answer is not Dropbox's but that of a proxy on the way. Dropbox's refusals have one of these statuses. They are JSON with a
// tag or, with 400, a sentence.
func isForeign(status int, header http.Header, body []byte, tags []string) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity:
	default:
		return status < http.StatusInternalServerError
	}
	isObject := json.Unmarshal(body, &map[string]any{}) == nil
	switch {
	case isPage(header, body):
		return true
	case len(tags) > 0, header.Get(requestID) != "":
		return false
	case status == http.StatusForbidden:
		return len(body) > 0
	case status == http.StatusUnauthorized: // whose token it is about is found out with a new one
		return isObject && !bytes.Contains(body, []byte(`"error"`))
	case isObject:
		return true
	default:
		return !bytes.HasPrefix(body, []byte("Error in call")) && !bytes.HasPrefix(body, []byte(`{"error_summary"`)) // which was cut off
	}
}

// isPage reports whether an answer is a page for people, or XML. Proxies give such pages every type, or none.
func isPage(header http.Header, body []byte) bool {
	kind := strings.ToLower(header.Get("Content-Type"))
	return strings.Contains(kind, "html") || strings.Contains(kind, "xml") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// foreignAnswer returns the error of an answer that is not Dropbox's. It says nothing about the account, and passes by itself or when
// somebody repairs the network.
func foreignAnswer(cause *apiError) error {
	cause.text = "" // it may repeat what was sent
	return &storage.Error{
		Class: storage.Retry, Reason: storage.ReasonUnexpectedAnswer, Account: true, Doubt: true, Err: cause,
		Message: fmt.Sprintf("Something between Platen and Dropbox, such as a proxy, answered (HTTP %d)", cause.status),
	}
}

// decodeEntryError returns the *storage.Error of a failed entry of a batch.
func decodeEntryError(failure json.RawMessage) error {
	body, err := json.Marshal(map[string]any{"error": failure})
	if err != nil {
		body = nil
	}
	return decodeError(http.StatusConflict, http.Header{}, body)
}

// wrongEntries returns the error of an answer with a wrong number of entries. None of them can be trusted.
func wrongEntries(route string, got, want int) error {
	return &storage.Error{
		Class: storage.Retry, Reason: storage.ReasonUnexpectedAnswer, Doubt: true,
		Message: fmt.Sprintf("Dropbox answered %s with %s instead of %d", route, plural.Count(got, "result"), want),
	}
}

// unionTags returns the tags of an error from the outside in. An inner union is in a field with the name of the outer tag, or in "reason" or
// "path".
func unionTags(value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	var list []string
	tag, _ := object[".tag"].(string)
	if tag != "" {
		list = append(list, short(tag))
	}
	for _, field := range []string{tag, "reason", "path"} {
		if inner := unionTags(object[field]); field != "" && len(inner) > 0 {
			list = append(list, inner...)
			break
		}
	}
	return list[:min(len(list), maxTags)]
}

// maxTags bounds the tags of an error. Dropbox nests three.
const maxTags = 5

// requiredScope returns the scope that an error names, empty if it names none.
func requiredScope(value any) string {
	object, _ := value.(map[string]any)
	scope, _ := object["required_scope"].(string)
	return short(scope)
}

// short bounds a word of an answer, which need not be Dropbox's.
func short(word string) string {
	const most = 64
	return strings.ToValidUTF8(word[:min(len(word), most)], "")
}

// maxRetryAfter bounds how long Dropbox may ask to wait.
const maxRetryAfter = 24 * time.Hour

// retryAfter returns how long Dropbox asks to wait, in the header or the body; 0 if it does not ask.
func retryAfter(header http.Header, value any, now time.Time) time.Duration {
	if object, ok := value.(map[string]any); ok && header.Get("Retry-After") == "" && object["retry_after"] != nil {
		return reach.Seconds(fmt.Sprint(object["retry_after"]), maxRetryAfter)
	}
	return reach.RetryAfter(header, now, maxRetryAfter)
}

// decodeTokenError returns the *storage.Error of a failed refresh. Only the errors of RFC 6749, section 5.2, say something about the
// credentials.
func decodeTokenError(err error) error {
	refused := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &refused) {
		if transport := (*url.Error)(nil); errors.As(err, &transport) {
			return unreachable(err)
		}
		return foreignAnswer(&apiError{status: http.StatusOK}) // it holds no token
	}
	status, header := 0, http.Header{}
	if refused.Response != nil {
		status, header = refused.Response.StatusCode, refused.Response.Header
	}
	// The error omits the answer, because that may repeat what was sent.
	cause := &apiError{status: status, text: OAuthCode(refused)}
	problem := &storage.Error{Class: storage.Stop, Account: true, Err: cause, RetryAfter: retryAfter(header, nil, time.Now())}
	var answer struct {
		Error any `json:"error"`
	}
	if json.Unmarshal(refused.Body, &answer) == nil && len(unionTags(answer.Error)) > 0 { // as all other routes refuse
		*problem = *storage.AsError(decodeError(status, header, refused.Body))
		problem.Account, problem.Doubt = true, false
		return problem
	}
	switch code := OAuthCode(refused); {
	case code == "invalid_grant":
		problem.Reason, problem.Message = storage.ReasonTokenExpired, "Token expired"
	case code == "invalid_client", code == "invalid_client_id", code == "unauthorized_client":
		problem.Reason, problem.Message = storage.ReasonInvalidCredentials, "App key or app secret is not accepted by Dropbox"
	case code == "invalid_request", code == "invalid_scope", code == "unsupported_grant_type":
		problem.Reason, problem.Message = storage.ReasonInvalidCredentials, fmt.Sprintf("Dropbox refused the credentials (%s)", code)
	case status == http.StatusTooManyRequests:
		problem.Class, problem.Reason, problem.Message = storage.Retry, storage.ReasonRateLimited, "Dropbox asks for fewer requests"
	case status >= http.StatusInternalServerError, code == "server_error", code == "temporarily_unavailable":
		problem.Class, problem.Reason, problem.Message = storage.Retry, storage.ReasonUnavailable, fmt.Sprintf("Dropbox is unavailable (HTTP %d)", status)
	default:
		return foreignAnswer(cause)
	}
	return problem
}

// OAuthCode returns the error code of RFC 6749, section 5.2, in a refusal of Dropbox's token endpoint. Dropbox puts some descriptions behind the code:
// "invalid_client: Invalid client_id or client_secret".
func OAuthCode(refused *oauth2.RetrieveError) string {
	code, _, _ := strings.Cut(refused.ErrorCode, ":")
	return code
}

// unreachable returns the error of a call without an answer.
func unreachable(err error) error {
	return &storage.Error{
		Class: storage.Retry, Reason: storage.ReasonUnreachable, Message: "Dropbox could not be reached" + reach.Why(err), Doubt: true, Account: true, Err: err,
	}
}

// tooLarge returns the error of a call whose body is too large for Dropbox, or for a proxy on the way.
func tooLarge(cause error) error {
	return &storage.Error{
		Class: storage.Stop, Reason: storage.ReasonFileTooLarge, Message: "File is too large for Dropbox, or for a proxy on the way to it (HTTP 413)", Err: cause,
	}
}

// unexpected returns the error of an answer with 200 that is not what the route returns.
func unexpected(what string, cause error) error {
	return &storage.Error{Class: storage.Retry, Reason: storage.ReasonUnexpectedAnswer, Message: "Dropbox gave an answer that is " + what, Doubt: true, Err: cause}
}

// statusOf returns the status of Dropbox's answer; 0 if there was none.
func statusOf(err error) int {
	if cause := (*apiError)(nil); errors.As(err, &cause) {
		return cause.status
	}
	return 0
}

// hasTag reports whether Dropbox's error has the tag.
func hasTag(err error, tag string) bool {
	cause := (*apiError)(nil)
	if !errors.As(err, &cause) {
		return false
	}
	return slices.Contains(cause.tags, tag)
}

// isConflict reports whether something of the kind, "file" or "folder", is already at the path.
func isConflict(err error, kind string) bool { return hasTag(err, "conflict") && hasTag(err, kind) }
