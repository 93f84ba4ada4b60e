// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package shim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
	authorizationv1 "k8s.io/api/authorization/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/connections"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/signedurl"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/internal/values"
)

const (
	dynamicPath    = "/v1/studio/dynamic-url/"
	dynamicPattern = "GET " + dynamicPath + "{name}"
	// maxDynamicQuery bounds the query of a dynamic URL in bytes, and maxDynamicParameters its parameters.
	maxDynamicQuery      = 8 << 10
	maxDynamicParameters = 64
	// dynamicAge is how long a picture is served before its job is looked up, or made, again: a template's ConfigMaps may have changed.
	dynamicAge = time.Hour
	// maxPictures bounds the pictures that a replica remembers: their URLs, not their bytes.
	maxPictures = 16384
	// maxDynamicTemplates bounds the templates whose renders a replica counts.
	maxDynamicTemplates = 1024
	// boundTTL is how long a replica remembers that a namespace lets the shim render.
	boundTTL = time.Minute
)

// dynamic has what a replica knows of dynamic URLs. All of it can be lost.
type dynamic struct {
	pictures *utilcache.LRUExpireCache // by key: picture
	kept     *kept
	limits   *utilcache.LRUExpireCache // by template: *rate.Limiter
	bound    *utilcache.LRUExpireCache // by namespace that has let the shim render
	flights  singleflight.Group
}

func newDynamic() *dynamic {
	return &dynamic{pictures: utilcache.NewLRUExpireCache(maxPictures), kept: newKept(), limits: utilcache.NewLRUExpireCache(maxDynamicTemplates), bound: utilcache.NewLRUExpireCache(maxDynamicTemplates)}
}

// picture is a finished file in the content store.
type picture struct {
	url, etag string
	size      int64
}

// target is what a dynamic URL asks for.
type target struct {
	template *platenv1alpha1.RenderTemplate
	spec     platenv1alpha1.RenderJobSpec
	fileName string
	// key names the picture: another version of the template has other keys.
	key [sha256.Size]byte
}

// errDynamic is the answer to every URL that is not valid, so that nobody learns which templates exist.
var errDynamic = callers.Errorf(http.StatusForbidden, "this dynamic URL is not valid: its signature is wrong, it has expired, or the template has no dynamic URLs")

// openDynamicURL answers GET /v1/studio/dynamic-url/NAME.EXT with the picture.
func (s *Server) openDynamicURL(w http.ResponseWriter, r *http.Request) error {
	wanted, err := s.readDynamicURL(r)
	if err != nil {
		return err
	}
	log := requestLog(w)
	log.namespace = wanted.template.Namespace
	found, err := s.picture(r.Context(), wanted)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Etag", found.etag)
	header.Set("Cache-Control", "public, max-age=300")
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	if matches(r.Header.Get("If-None-Match"), found.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Disposition", file.Disposition(wanted.fileName))
	if r.Header.Get("Range") == "" && found.size <= maxKeptFile {
		err = s.sendKept(w, r, wanted.key, found)
	} else {
		err = s.sendFile(w, r, found.url)
	}
	if err != nil {
		s.dynamic.pictures.Remove(wanted.key) // its job may have been deleted
	}
	return err
}

// sendKept answers with a small file, from memory if it is there.
func (s *Server) sendKept(w http.ResponseWriter, r *http.Request, key [sha256.Size]byte, found picture) error {
	f := s.dynamic.kept.get(key, found.etag)
	if f == nil {
		resp, err := s.Open(r.Context(), found.url)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		f = &keptFile{key: key, etag: found.etag, contentType: resp.Header.Get("Content-Type")}
		if f.data, err = io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxKeptFile)); err != nil {
			return callers.Errorf(http.StatusBadGateway, "the content store has not sent the whole file; try again")
		}
		s.dynamic.kept.add(f)
	}
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("Content-Length", strconv.Itoa(len(f.data)))
	header.Set("Accept-Ranges", "bytes")
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(f.data)
	return err
}

// matches reports whether an If-None-Match has an entity tag (RFC 9110, 13.1.2).
func matches(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

var (
	dynamicFormat = regexp.MustCompile(`(?i)\.(png|jpg|jpeg|webp|avif|pdf|mp4|gif|webm)$`)
	// dynamicBase matches what response.fileName takes, unless it has a dot where an extension would be.
	dynamicBase = regexp.MustCompile(`^[^ ./\\\x00-\x1f\x7f-\x{9f}\x{2028}-\x{202e}\x{2066}-\x{2069}][^/\\\x00-\x1f\x7f-\x{9f}\x{2028}-\x{202e}\x{2066}-\x{2069}]{0,199}$`)
)

// wantName is what the name in a dynamic URL must be.
const wantName = "must be a file name that ends in .png, .jpg, .jpeg, .webp, .avif, .pdf, .mp4, .gif or .webm, of at most 200 characters before it, " +
	"without a slash, a backslash, a line break or a control character, and without a space or a dot at its start"

// dynamicName returns the name of a file with its extension, and its format. Without an extension it is a png.
func dynamicName(name string) (full string, format platenv1alpha1.Format, ok bool) {
	base, extension := name, dynamicFormat.FindString(name)
	if extension == "" {
		name, extension, ok = name+".png", ".png", !strings.Contains(name, ".")
	} else {
		base, ok = strings.TrimSuffix(name, extension), true
	}
	ok = ok && utf8.ValidString(base) && dynamicBase.MatchString(base) && len(utf16.Encode([]rune(base))) <= 200
	return name, platenv1alpha1.Format(strings.ToLower(extension[1:])), ok
}

// readDynamicURL returns what a dynamic URL asks for, once its signature is checked.
func (s *Server) readDynamicURL(r *http.Request) (*target, error) {
	name, format, ok := dynamicName(r.PathValue("name"))
	if !ok {
		return nil, callers.Errorf(http.StatusNotFound, "the last part of the path %s", wantName)
	}
	if len(r.URL.RawQuery) > maxDynamicQuery {
		return nil, callers.Errorf(http.StatusRequestURITooLong, "the query must have at most %d bytes", maxDynamicQuery)
	}
	query := r.URL.Query()
	if len(query) > maxDynamicParameters {
		return nil, callers.Errorf(http.StatusBadRequest, "the query must have at most %d parameters", maxDynamicParameters)
	}
	open, wrong := isOpen(query), &fieldsError{}
	for _, parameter := range slices.Sorted(maps.Keys(query)) {
		if texts := query[parameter]; open(parameter) {
			query[parameter] = texts[len(texts)-1:] // whoever has the URL adds to its end what shall be there
		}
		_ = wrong.add(checkParameter(parameter, query[parameter])) // it is of a field
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	templates := &platenv1alpha1.RenderTemplateList{}
	if err := s.Cache.List(r.Context(), templates, client.InNamespace(query.Get("workspace")), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing templates: %w", err)
	}
	template := findTemplate(templates.Items, query.Get("templateId"))
	if query.Get("workspace") == "" || template == nil || template.Spec.DynamicURLs.Policy != platenv1alpha1.DynamicURLsEnabled {
		return nil, errDynamic
	}
	current := template.Spec.DynamicURLs.KeyVersion
	secrets := []string{s.dynamicSecret(template, current), s.dynamicSecret(template, current-1)}
	if !signedurl.Verify(secrets, r.URL.EscapedPath(), r.URL.RawQuery, open) {
		return nil, errDynamic
	}
	if text := query.Get("expires"); text != "" {
		if seconds, err := strconv.ParseInt(text, 10, 64); err != nil || time.Now().Unix() >= seconds {
			return nil, errDynamic
		}
	}
	connections.Admit(r.Context(), "")
	wanted, err := newTarget(template, name, format, query)
	if fieldsErrorOf(err) != nil {
		_ = wrong.add(err)
		wrong.say(refusals(r.Context(), &platenv1alpha1.RenderJob{Spec: wanted.spec}, template))
		return nil, wrong
	}
	return wanted, err
}

// reserved are the parameters of a dynamic URL that are no modifications.
var reserved = []string{"workspace", "templateId", "page", "quality", "expires", "open", signedurl.Parameter}

// isOpen reports which parameters the signature does not cover: the modifications that the parameter open names.
func isOpen(query url.Values) func(name string) bool {
	open := strings.FieldsFunc(query.Get("open"), func(r rune) bool { return r == ',' })
	return func(name string) bool { return slices.Contains(open, name) && !slices.Contains(reserved, name) }
}

func newTarget(template *platenv1alpha1.RenderTemplate, name string, format platenv1alpha1.Format, query url.Values) (*target, error) {
	wanted, wrong := &target{template: template, fileName: name}, fieldsError{}
	wanted.spec.TemplateRef.Name = template.Name
	wanted.spec.Output.Format = format
	wanted.spec.Connections = []platenv1alpha1.JobConnection{} // no upload
	if format != platenv1alpha1.FormatPDF || query.Get("page") != "" {
		page, err := queryNumber(query.Get("page"), "page", 1, len(template.Spec.Pages))
		if err == nil {
			wanted.spec.Output.Pages = []int32{int32(page)} //nolint:gosec // at most the template's pages
		}
		if err := wrong.add(err); err != nil {
			return nil, err
		}
	}
	quality, err := queryNumber(query.Get("quality"), "quality", 0, 100)
	if err := wrong.add(err); err != nil {
		return nil, err
	}
	wanted.spec.Output.Quality = int32(quality) //nolint:gosec // at most 100
	modifications := map[string]any{}
	for key, texts := range query {
		if slices.Contains(reserved, key) {
			continue
		}
		modifications[key] = readValue(template, key, texts[0])
	}
	text, err := json.Marshal(modifications)
	if err != nil {
		return nil, fmt.Errorf("writing modifications: %w", err)
	}
	wanted.spec.Modifications = &apiextensionsv1.JSON{Raw: digits(text)}
	all, err := json.Marshal([]any{template.UID, template.Generation, wanted.spec})
	if err != nil {
		return nil, fmt.Errorf("writing a job: %w", err)
	}
	wanted.key = sha256.Sum256(all)
	return wanted, wrong.err()
}

// declared returns the type of the parameter that a key of modifications is, on all pages or on one; empty if the template declares none.
func declared(template *platenv1alpha1.RenderTemplate, key string) values.Type {
	name := pageKey.ReplaceAllString(key, "")
	for _, p := range template.Spec.Parameters {
		if p.Name == name {
			return values.Type(cmp.Or(p.Type, platenv1alpha1.ParameterText))
		}
	}
	return ""
}

// readValue reads a modification of a query as --set does. A text of a declared parameter stays as it is, unless it is a list: whoever renders
// reads it. So does what does not fit, until it is refused.
func readValue(template *platenv1alpha1.RenderTemplate, key, text string) any {
	kind, read := declared(template, key), values.ReadText
	switch {
	case kind != "" && kind != values.List:
		return text
	case kind == "":
		kind, read = bindings.Bound(bindings.Cached(template), pageKey.ReplaceAllString(key, "")), values.ReadBound
	}
	value, err := read(kind, text)
	if err != nil {
		return text
	}
	return value
}

// dynamicSecret returns a version of the secret that signs a template's dynamic URLs; it is a text, so that any language can use it.
func (s *Server) dynamicSecret(template *platenv1alpha1.RenderTemplate, version int32) string {
	return hex.EncodeToString(s.Derive(fmt.Sprintf("dynamic URLs of %s/%s, version %d", template.Namespace, template.Name, version)))
}

// picture returns what a dynamic URL asks for, rendered if need be. Requests for one picture share its render.
func (s *Server) picture(ctx context.Context, wanted *target) (picture, error) {
	if known, ok := s.dynamic.pictures.Get(wanted.key); ok {
		if found, ok := known.(picture); ok {
			return found, nil
		}
	}
	rendering := s.dynamic.flights.DoChan(string(wanted.key[:]), func() (any, error) {
		// The render goes on for others when the first one who asked leaves.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Wait)
		defer cancel()
		found, err := s.renderPicture(ctx, wanted)
		if err == nil {
			s.dynamic.pictures.Add(wanted.key, found, time.Until(wanted.renewal(time.Now())))
		}
		return found, err
	})
	select {
	case result := <-rendering:
		found, _ := result.Val.(picture)
		return found, result.Err
	case <-ctx.Done():
		return picture{}, ctx.Err()
	}
}

// renewal returns when the picture's present job is replaced by another one. Pictures are renewed at different times.
func (t *target) renewal(now time.Time) time.Time {
	offset := time.Duration(binary.BigEndian.Uint64(t.key[:]) % uint64(dynamicAge))
	return now.Add(-offset).Truncate(dynamicAge).Add(dynamicAge + offset)
}

// renderPicture waits for the job of a picture, which has the same name in every replica. It creates the job if there is none.
func (s *Server) renderPicture(ctx context.Context, wanted *target) (picture, error) {
	name := sha256.Sum256(fmt.Appendf(wanted.key[:], " %d", wanted.renewal(time.Now()).Unix()))
	job := &platenv1alpha1.RenderJob{Spec: wanted.spec}
	job.Namespace, job.Name = wanted.template.Namespace, "dynamic-"+hex.EncodeToString(name[:10])
	key := client.ObjectKeyFromObject(job)
	err := s.Cache.Get(ctx, key, job)
	if apierrors.IsNotFound(err) {
		err = s.createPicture(ctx, wanted, job)
	}
	if err != nil {
		return picture{}, err
	}
	if job, err = s.await(ctx, created(job), s.Wait); err != nil {
		return picture{}, err
	}
	switch status(job) {
	case succeeded:
		if len(job.Status.Pages) == 0 {
			return picture{}, callers.Errorf(http.StatusBadGateway, "the job '%s' has no files", job.Name)
		}
		page := job.Status.Pages[0]
		return picture{page.ContentURL, `"` + page.SHA256 + `"`, ptr.Deref(page.Size, math.MaxInt64)}, nil
	case failed:
		return picture{}, renderFailure(job)
	default:
		return picture{}, &tooManyError{5 * time.Second, "the picture is still being rendered"}
	}
}

// createPicture creates a picture's job with the shim's own rights, which a namespace has to give it. It counts against the template's renders.
func (s *Server) createPicture(ctx context.Context, wanted *target, job *platenv1alpha1.RenderJob) error {
	perHour := wanted.template.Spec.DynamicURLs.RendersPerHour
	template := fmt.Sprintf("%s %d", wanted.template.UID, perHour)
	limiter := rate.NewLimiter(rate.Limit(float64(perHour)/time.Hour.Seconds()), int(perHour))
	if known, ok := s.dynamic.limits.Get(template); !ok {
		s.dynamic.limits.Add(template, limiter, 2*time.Hour)
	} else if known, ok := known.(*rate.Limiter); ok {
		limiter = known
	}
	if missing := 1 - limiter.Tokens(); missing > 0 {
		return &tooManyError{
			time.Duration(missing / float64(limiter.Limit()) * float64(time.Second)), fmt.Sprintf("the template's dynamic URLs have at most %s an hour", plural.Count(perHour, "render")),
		}
	}
	job.Namespace, job.Spec = wanted.template.Namespace, wanted.spec
	job.Spec.TTLSecondsAfterFinished = new(int32((2 * dynamicAge).Seconds())) // longer than any replica serves it
	if err := check(ctx, job, wanted.template); err != nil {
		return err
	}
	select {
	case s.limiter.creates <- struct{}{}:
		defer func() { <-s.limiter.creates }()
	case <-ctx.Done():
		return ctx.Err()
	}
	markTrace(ctx, job)
	err := s.Own.Create(ctx, job)
	switch {
	case err == nil:
		limiter.Allow() // only a job counts; those that are created at the same time may be a few too many
		return nil
	case apierrors.IsAlreadyExists(err):
		return s.Own.Get(ctx, client.ObjectKeyFromObject(job), job)
	case apierrors.IsForbidden(err):
		return callers.Errorf(http.StatusForbidden, "namespace '%s' does not let the shim render: %s", job.Namespace, howToBind)
	default:
		return err
	}
}

// howToBind says what lets the shim render in a namespace.
const howToBind = "bind the ClusterRole platen-dynamic-urls to its service account there"

// unbound returns a warning if the shim may not render in a namespace: then nobody can open a URL of its templates. A cluster that does not
// tell gets none.
func (s *Server) unbound(ctx context.Context, namespace string) []Warning {
	if _, known := s.dynamic.bound.Get(namespace); known {
		return nil
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: "create", Group: platenv1alpha1.GroupVersion.Group, Resource: "renderjobs",
	}}}
	switch err := s.Own.Create(ctx, review); {
	case err != nil:
		return nil
	case review.Status.Allowed:
		s.dynamic.bound.Add(namespace, true, boundTTL)
		return nil
	}
	return []Warning{{fmt.Sprintf("Nobody can open the URL yet: namespace '%.100s' does not let the shim render", namespace), howToBind}}
}

// DynamicURLRequest is the body of POST /v1/studio/dynamic-url.
type DynamicURLRequest struct {
	TemplateID    TemplateID `json:"templateId" required:"true"`
	Modifications Object     `json:"modifications"`
	Name          string     `json:"name,omitempty" instead:"fileName,format,response" description:"File name with an extension, which is the format. Default: the template's name and .png."`
	Page          Whole      `json:"page,omitempty" minimum:"1" description:"Default 1; a PDF has all pages by default."`
	Quality       Whole      `json:"quality,omitempty" minimum:"1" maximum:"100" description:"1 to 100. Default 90."`
	Open          []string   `json:"open,omitempty" description:"Modifications that whoever has the URL may add or change: the signature does not cover them. Default: none."`
	ExpiresAt     *Expiry    `json:"expiresAt,omitempty" description:"Unix time in seconds or milliseconds, or never. Default: never."`
}

// DynamicURLAnswer is the answer to a DynamicURLRequest.
type DynamicURLAnswer struct {
	Data     string    `json:"data" required:"true" format:"uri" description:"A URL that anyone can GET, without a token."`
	Warnings []Warning `json:"warnings,omitempty"`
}

// DynamicSecret is the answer of GET /v1/studio/dynamic-url-secret.
type DynamicSecret struct {
	Secret     string `json:"secret" required:"true" description:"Signs dynamic URLs of the template."`
	KeyVersion int32  `json:"keyVersion" required:"true" description:"spec.dynamicURLs.keyVersion of the template."`
}

// createDynamicURL answers POST /v1/studio/dynamic-url. It renders nothing.
func (s *Server) createDynamicURL(w http.ResponseWriter, r *http.Request, c caller) error {
	body, done, err := s.read(w, r, c)
	if err != nil {
		return err
	}
	defer done()
	wrong := &fieldsError{} // the answer names all mistakes
	request, warnings, err := parseInto[DynamicURLRequest](body, wrong)
	if err != nil {
		return err
	}
	warnings = append(warnings, unknownParameters(r)...)
	template, err := s.dynamicTemplate(r.Context(), c, request.TemplateID, inBody, wrong)
	if err != nil {
		return err
	}
	request.Name = cmp.Or(request.Name, template.Name+".png")
	name, format, ok := dynamicName(request.Name)
	if !ok {
		_ = wrong.add(&FieldError{"name", wantName})
		name, format = template.Name, platenv1alpha1.FormatPNG // to look at the rest
	}
	query, keys, err := request.query(template, wrong.places)
	if err := wrong.add(err); err != nil {
		return err
	}
	wanted, err := newTarget(template, name, format, query)
	if err := wrong.add(err); err != nil {
		return err
	}
	if title, details := task.IdleQuality(file.Format(format), int(request.Quality)); title != "" {
		warnings = append(warnings, Warning{"quality: " + title, details})
	}
	warnings = append(warnings, changed(template, request.Modifications.RawMessage, wanted.spec.Modifications.Raw)...)
	warnings = append(warnings, unused(template, keys, wanted.spec.Modifications.Raw)...)
	job := &platenv1alpha1.RenderJob{Spec: wanted.spec}
	if job.Spec.Modifications, err = asSent(template, request.Modifications.RawMessage, wanted.spec.Modifications); err != nil {
		return wrong.with(err)
	}
	wrong.say(refusals(r.Context(), job, withoutRequired(template, request.Open)))
	path := dynamicPath + url.PathEscape(request.Name)
	signed, open := maps.Clone(query), isOpen(query)
	maps.DeleteFunc(signed, func(name string, _ []string) bool { return open(name) })
	query.Set(signedurl.Parameter, signedurl.Sign(s.dynamicSecret(template, template.Spec.DynamicURLs.KeyVersion), path, signed))
	encoded := query.Encode()
	if len(encoded) > maxDynamicQuery || len(query) > maxDynamicParameters {
		_ = wrong.add(&FieldError{"modifications", fmt.Sprintf("must have at most %d values, and %d bytes in a URL", maxDynamicParameters-len(reserved), maxDynamicQuery)})
	}
	if err := wrong.err(); err != nil {
		return err
	}
	warnings = append(warnings, s.unbound(r.Context(), template.Namespace)...)
	writeJSON(w, http.StatusOK, DynamicURLAnswer{s.publicURL(r) + path + "?" + encoded, warnings})
	return nil
}

// query returns the query of a new dynamic URL without its signature, and the keys of the modifications that it has or leaves open. It keeps those in the
// request that it can leave open. The error is about the fields of which the query has nothing.
func (d *DynamicURLRequest) query(template *platenv1alpha1.RenderTemplate, at places) (query url.Values, keys []string, err error) {
	query, unfit := dynamicQuery(template, d.Modifications.RawMessage)
	open, closed := openNames(d.Open, at)
	d.Open = open
	keys = slices.Concat(slices.Collect(maps.Keys(query)), open)
	query.Set("workspace", template.Namespace)
	query.Set("templateId", template.Name)
	for name, n := range map[string]Whole{"page": d.Page, "quality": d.Quality} {
		if n != 0 {
			query.Set(name, strconv.Itoa(int(n)))
		}
	}
	if len(open) > 0 {
		query.Set("open", strings.Join(open, ","))
	}
	past := error(nil)
	if d.ExpiresAt != nil && *d.ExpiresAt != never {
		var expires time.Time
		if expires, _, past = expiry(d.ExpiresAt, time.Now(), 100*365*24*time.Hour); past == nil {
			query.Set("expires", strconv.FormatInt(expires.Unix(), 10))
		}
	}
	wrong := &fieldsError{}
	for _, err := range []error{unfit, closed, past} {
		_ = wrong.add(err) // all are of fields
	}
	return query, keys, wrong.err()
}

// openNames returns the modifications that a new dynamic URL leaves open, without blanks, and an error about those that the URL cannot leave open.
func openNames(given []string, at places) (names []string, err error) {
	wrong := fieldsError{}
	refuse := func(n int, format string, args ...any) {
		_ = wrong.add(&FieldError{at.at("open", n), fmt.Sprintf(format, args...)})
	}
	for n, name := range given {
		switch name = strings.TrimSpace(name); {
		case slices.Contains(reserved, name):
			refuse(n, "'%s' cannot be open: it is a parameter of the URL itself, which the signature covers", name)
		case strings.Contains(name, ","):
			refuse(n, "'%.100s' must be one name: in the URL, a comma separates names", name)
		case name != "":
			names = append(names, name)
		}
	}
	return names, wrong.err()
}

// dynamicSecretOf answers GET /v1/studio/dynamic-url-secret?templateId=….
func (s *Server) dynamicSecretOf(w http.ResponseWriter, r *http.Request, c caller) error {
	template, err := s.dynamicTemplate(r.Context(), c, queryTemplate(r), inQuery, &fieldsError{unknown: unknownNames(r)})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	version := template.Spec.DynamicURLs.KeyVersion
	writeJSON(w, http.StatusOK, DynamicSecret{s.dynamicSecret(template, version), version})
	return nil
}

// dynamicTemplate returns a template with dynamic URLs to a caller who may render in its workspace. The error is as of templateOf.
func (s *Server) dynamicTemplate(ctx context.Context, c caller, id TemplateID, where string, wrong *fieldsError) (*platenv1alpha1.RenderTemplate, error) {
	if err := s.allow(ctx, c, "create", "renderjobs"); err != nil {
		return nil, err
	}
	template, err := s.templateOf(ctx, c, id, where, wrong)
	if err != nil {
		return nil, err
	}
	if template.Spec.DynamicURLs.Policy != platenv1alpha1.DynamicURLsEnabled {
		return nil, callers.Errorf(http.StatusForbidden, "templateId: the RenderTemplate '%s' has no dynamic URLs: set its spec.dynamicURLs.policy to Enabled", template.Name)
	}
	return template, nil
}

// unused returns a warning for each key that no page of a template uses, and for each such field of modifications, a JSON object. A render warns of
// the same, and of declared parameters too. The HTML of a ConfigMap is not here: such a page may use every key.
func unused(template *platenv1alpha1.RenderTemplate, keys []string, modifications []byte) (warnings []Warning) {
	html := func(n int) (string, bool) {
		page := template.Spec.Pages[n-1]
		return page.HTML, page.HTMLFrom == nil
	}
	slices.Sort(keys)
	for _, u := range task.UnusedKeys(slices.Compact(keys), len(template.Spec.Pages), html) {
		name := pageKey.ReplaceAllString(u.Key, "")
		if !slices.ContainsFunc(template.Spec.Parameters, func(p platenv1alpha1.Parameter) bool { return p.Name == name }) {
			warnings = append(warnings, Warning{fmt.Sprintf("Modification %.100s is not used by the template", u.Key), cmp.Or(u.Hint, "no page has an element that is bound to it")})
		}
	}
	for _, u := range task.UnusedFields(template, html)(modifications) {
		warnings = append(warnings, Warning{fmt.Sprintf("Modification %.100s: no page uses %.100s", u.Key, u.Path), u.Hint})
	}
	return bounded(warnings)
}

// dynamicQuery returns modifications as parameters: texts as they are, anything else as JSON. What is null has the default of a declared parameter. The
// error is about the modifications that it leaves out.
func dynamicQuery(template *platenv1alpha1.RenderTemplate, modifications []byte) (url.Values, error) {
	query, given, wrong := url.Values{}, map[string]json.RawMessage{}, &fieldsError{}
	if len(modifications) > 0 {
		if err := json.Unmarshal(modifications, &given); err != nil {
			return query, &FieldError{"modifications", "must be a JSON object"}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		value := given[key]
		if slices.Contains(reserved, key) {
			_ = wrong.add(&FieldError{fmt.Sprintf("modifications.%.100s", key), "cannot be in a dynamic URL, whose own parameter has this name"})
			continue
		}
		text, kind := string(value), declared(template, key)
		switch number, err := strconv.ParseFloat(text, 64); {
		case text == "null" && kind != "":
			continue
		case err == nil && number == 0 && kind == "":
			text = "0" // in any spelling, as data-if takes it for false
		default:
			_ = json.Unmarshal(value, &text) // a text without its quotes
		}
		query.Set(key, text)
	}
	return query, wrong.err()
}

// asSent returns what a dynamic URL says, with the lists and objects that were sent for parameters that take none: as texts of the URL, they would pass for
// texts that were meant.
func asSent(template *platenv1alpha1.RenderTemplate, sent []byte, said *apiextensionsv1.JSON) (*apiextensionsv1.JSON, error) {
	if len(sent) == 0 {
		return said, nil
	}
	before, err := values.DecodeSent(sent)
	if err != nil {
		return nil, &FieldError{"modifications", err.Error()}
	}
	after, err := values.Decode(said.Raw)
	if err != nil {
		return nil, fmt.Errorf("reading modifications: %w", err)
	}
	kept := false
	for key, value := range before {
		kind := declared(template, key)
		switch value.(type) {
		case []any, map[string]any:
			if kind != "" && kind != values.List {
				after[key], kept = value, true
			}
		}
	}
	if !kept {
		return said, nil
	}
	text, err := json.Marshal(after)
	if err != nil {
		return nil, fmt.Errorf("writing modifications: %w", err)
	}
	return &apiextensionsv1.JSON{Raw: text}, nil
}

// withoutRequired returns a template that requires none of the values that are open: whoever opens the URL may give what is missing.
func withoutRequired(template *platenv1alpha1.RenderTemplate, open []string) *platenv1alpha1.RenderTemplate {
	template = template.DeepCopy()
	for i := range template.Spec.Parameters {
		p := &template.Spec.Parameters[i]
		if slices.ContainsFunc(open, func(key string) bool { return pageKey.ReplaceAllString(key, "") == p.Name }) {
			p.Required = nil
		}
	}
	return template
}

// changed returns a warning for each value that a page gets from a dynamic URL as another one than was sent: a URL has only texts, and the template does not
// say what they are. Two values that a page shows alike, and data-if too, are no matter.
func changed(template *platenv1alpha1.RenderTemplate, sent, read []byte) (warnings []Warning) {
	before, err1 := values.DecodeSent(sent)
	after, err2 := values.Decode(read)
	if err1 != nil || err2 != nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		was, is := before[key], after[key]
		_, wasText := was.(string)
		_, isText := is.(string)
		same := wasText == isText && (wasText || reflect.DeepEqual(was, is)) || wasText && !isText && values.IsTrue(is)
		if declared(template, key) == "" && !same {
			helps := "declare the parameter in the template, with its type"
			if object, isObject := was.(map[string]any); isObject {
				helps = fmt.Sprintf("a page must show a field of the object, as data-param=\"%.100s.%.100s\" does: no type of a parameter takes an object", pageKey.ReplaceAllString(key, ""), fieldOf(object))
			}
			warnings = append(warnings, Warning{fmt.Sprintf("Modification %.100s: the URL says %s, not %s", key, values.Shorten(is), values.Shorten(was)), helps})
		}
	}
	return warnings
}

// fieldName matches what data-param may name of an object.
var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// fieldOf returns a field of an object as an example.
func fieldOf(object map[string]any) string {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if fieldName.MatchString(name) {
			return name
		}
	}
	return "FIELD"
}
