// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/contenturl"
	"github.com/platen-dev/platen/internal/file"
)

const (
	// platenNamespace is where Platen runs by default.
	platenNamespace = "platen-system"
	// contentService is the Service of the content server, as scheme:name:port.
	contentService = "http:platen-content:content"
	// secureContentService is the same with TLS.
	secureContentService = "https:platen-content:content"
	// directTimeout bounds the wait for the answer of a content URL, which may not be reachable from outside the cluster.
	directTimeout = 5 * time.Second
	// proxyPatience is how long an API server that finds no content server is asked again, and proxyInterval the time between.
	proxyPatience, proxyInterval = 10 * time.Second, 200 * time.Millisecond
	// downloadTimeout bounds the download of one file.
	downloadTimeout = 10 * time.Minute
	// maxAnswer bounds an answer that is not a file, and maxErrorText what is shown of it, in bytes.
	maxAnswer, maxErrorText = 16 << 10, 300
)

// downloader fetches the files of a job. It compares their size and digest with the job's status, so a change on the way is an error.
type downloader struct {
	*cluster
	platenNamespace string
}

// files writes all files of a job into a folder, and returns their paths.
func (d downloader) files(ctx context.Context, job *platenv1alpha1.RenderJob, folder string) ([]string, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	var paths []string
	for _, page := range job.Status.Pages {
		path, err := d.file(ctx, page, folder)
		if err != nil {
			return paths, fmt.Errorf("page %d of RenderJob %s/%s could not be fetched: %w", page.Page, job.Namespace, job.Name, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// file fetches one file into a folder and returns its path. It tries the file's URL first, then the API server's proxy.
func (d downloader) file(ctx context.Context, page platenv1alpha1.RenderedPage, folder string) (string, error) {
	target, err := url.Parse(page.ContentURL)
	if err != nil {
		return "", fmt.Errorf("its URL is not valid: %w", withoutQuery(err))
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	path, direct := save(ctx, page, folder, target, func(ctx context.Context) (*http.Response, error) { return get(ctx, target) })
	if local := (*folderError)(nil); direct == nil || ctx.Err() != nil || errors.As(direct, &local) {
		return path, direct
	}
	path, proxied := d.throughProxy(ctx, page, folder, target)
	if local := (*folderError)(nil); errors.As(proxied, &local) {
		return "", proxied
	}
	if proxied != nil {
		err := fmt.Errorf("at %s: %w; through the API server: %w%s", target.Host, direct, proxied, d.proxyAdvice(proxied))
		if answer := (*answerError)(nil); errors.As(proxied, &answer) && answer.status == http.StatusForbidden {
			return "", &notAllowedError{err}
		}
		return "", err
	}
	return path, nil
}

// throughProxy fetches one file through the API server's proxy. While a pod of the manager ends, the proxy leads to nobody for a moment.
func (d downloader) throughProxy(ctx context.Context, page platenv1alpha1.RenderedPage, folder string, target *url.URL) (path string, err error) {
	services := []string{contentService}
	if target.Scheme == "https" {
		services = append(services, secureContentService)
	}
	patience, cancel := context.WithTimeout(ctx, proxyPatience)
	defer cancel()
	for {
		for _, service := range services {
			path, err = save(ctx, page, folder, target, func(ctx context.Context) (*http.Response, error) {
				return d.service(ctx, d.platenNamespace, service, target)
			})
			if local := (*folderError)(nil); err == nil || errors.As(err, &local) {
				return path, err
			}
		}
		if answer := (*answerError)(nil); !errors.As(err, &answer) || answer.status != http.StatusServiceUnavailable {
			return "", err
		}
		select {
		case <-time.After(proxyInterval):
		case <-patience.Done():
			return "", err
		}
	}
}

// folderError says that a file came, and could not be written. Another way to it does not help.
type folderError struct{ error }

// Unwrap returns the cause.
func (e *folderError) Unwrap() error { return e.error }

// notAllowedError says that the person lacks the right to fetch files whose URL works only in the cluster. Another attempt needs the right.
type notAllowedError struct{ error }

// Unwrap returns the cause.
func (e *notAllowedError) Unwrap() error { return e.error }

// answerError is an answer that is no file.
type answerError struct {
	status int
	text   string
}

// Error implements error.
func (e *answerError) Error() string { return fmt.Sprintf("HTTP %d %s", e.status, e.text) }

// answerOf returns an answer as an error: what the API server says in its words, everything else as it is.
func answerOf(resp *http.Response) error {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	text, said := string(data), metav1.Status{}
	if json.Unmarshal(data, &said) == nil && said.Kind == "Status" && said.Message != "" {
		text = said.Message
	}
	return &answerError{resp.StatusCode, plain(strings.ToValidUTF8(text[:min(len(text), maxErrorText)], ""))}
}

// proxyAdvice says what to do if the API server does not lead to the content server.
func (d downloader) proxyAdvice(err error) string {
	answer := (*answerError)(nil)
	if !errors.As(err, &answer) {
		return ""
	}
	switch answer.status {
	case http.StatusForbidden:
		return fmt.Sprintf("; ask for the right to get services/proxy in namespace %s, or for content URLs that work outside of the cluster (the manager's flag --content-url)", d.platenNamespace)
	case http.StatusNotFound, http.StatusServiceUnavailable:
		return fmt.Sprintf("; no content server is ready in namespace %s: see kubectl platen check -n %s, or name Platen's namespace with --platen-namespace", d.platenNamespace, d.namespace)
	default:
		return ""
	}
}

// withoutQuery removes the query from the URL in an error: whoever has the signature in it can fetch the file.
func withoutQuery(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		failed.URL, _, _ = strings.Cut(failed.URL, "?")
	}
	return err
}

// get requests a URL. Its answer must begin within directTimeout.
func get(ctx context.Context, target *url.URL) (*http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(directTimeout, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		cancel()
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if !timer.Stop() && err == nil {
		err = context.DeadlineExceeded
		_ = resp.Body.Close()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = cancelOnClose{resp.Body, cancel}
	return resp, nil
}

// cancelOnClose ends the request once its body is closed.
type cancelOnClose struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (c cancelOnClose) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

// save writes an answer into a folder, under the name in its Content-Disposition or in the content URL, and returns the path. It keeps an
// older file at that path until the answer is complete and has the digest in the job's status.
func save(ctx context.Context, page platenv1alpha1.RenderedPage, folder string, target *url.URL, request func(context.Context) (*http.Response, error)) (path string, err error) {
	resp, err := request(ctx)
	if err != nil {
		return "", withoutQuery(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", answerOf(resp)
	}
	name, err := file.NameFromDisposition(resp.Header.Get("Content-Disposition"))
	if errors.Is(err, file.ErrNoName) {
		// A bucket to which the URL redirects may not know the name.
		if name, err = contenturl.Name(target.Query()); err == nil {
			err = file.CheckName(name)
		}
	}
	if err != nil {
		return "", err
	}
	temporary, err := os.CreateTemp(folder, ".platen-*")
	if err != nil {
		return "", &folderError{err}
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	defer func() { _ = temporary.Close() }()
	expected := ptr.Deref(page.Size, 0)
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(temporary, hash), io.LimitReader(resp.Body, expected+1))
	if written := (*fs.PathError)(nil); errors.As(err, &written) {
		return "", &folderError{err}
	}
	if err != nil {
		return "", err
	}
	if n != expected || hex.EncodeToString(hash.Sum(nil)) != page.SHA256 {
		return "", errors.New("the bytes are not those of the file in the job's status")
	}
	path = filepath.Join(folder, localName(name))
	err = errors.Join(temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return "", &folderError{err}
	}
	return path, nil
}

// maxLocalName is the longest name that file systems take, in bytes.
const maxLocalName = 255

// pageSuffix is the end of a file's name that tells its page.
var pageSuffix = regexp.MustCompile(`(_page_[0-9]+)?\.[a-z0-9]+$`)

// localName returns the name of a file on this machine. A job's names count characters, of which fewer may have more bytes than a folder takes: the
// middle of such a name becomes a hash of all of it.
func localName(name string) string {
	if len(name) <= maxLocalName {
		return name
	}
	end := fmt.Sprintf("-%x", sha256.Sum256([]byte(name)))[:9] + pageSuffix.FindString(name)
	return strings.ToValidUTF8(name[:max(maxLocalName-len(end), 0)], "") + end
}
