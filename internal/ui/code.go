// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// maxShown bounds a text in a command, in bytes. A shell has a bound for a word, which a picture from a visitor's device exceeds.
const maxShown = 16 << 10

// codeView has the commands that create the job of a form. Each is for a POSIX shell.
type codeView struct {
	// Template is the template's name, and Workspace its namespace.
	Template, Workspace string
	// Kubectl applies a manifest, Curl calls the REST API, and Plugin runs kubectl platen. Plugin is empty if no flag can give a value.
	Kubectl, Curl, Plugin string
	// Everywhere tells that the REST API uploads to every automatic account, although the form says nowhere.
	Everywhere bool
	// Samples are the labels of the required fields that are empty: the commands have samples in their place. Wrong says what is wrong with the
	// fields that the commands leave out.
	Samples, Wrong []string
	// Shortened are the labels of the values that are too long to show.
	Shortened []string
}

// codeFor returns the commands for a job in the visitor's workspace, with samples for what given lacks. origin is the origin of the REST API.
func codeFor(origin string, v *visitor, form formView, given map[string]any) (codeView, error) {
	view := codeView{Template: form.Name, Workspace: v.Workspace, Everywhere: form.Destination == noUpload}
	given = maps.Clone(given)
	view.Samples, view.Wrong = form.complete(given)
	if wrong := form.Wrong["fileName"]; wrong != "" {
		view.Wrong, form.FileName = append(view.Wrong, label("fileName")+": "+wrong), ""
	}
	if wrong := form.Wrong["folder"]; wrong != "" {
		view.Wrong, form.Folder = append(view.Wrong, label("folder")+": "+wrong), ""
	}
	for name, value := range given {
		if text, ok := value.(string); ok && len(text) > maxShown {
			start, _, _ := strings.Cut(text, ",")
			given[name] = start[:min(len(start), 40)] + "…"
			view.Shortened = append(view.Shortened, label(name))
		}
	}
	slices.Sort(view.Shortened)
	spec, err := form.spec(given)
	if err != nil {
		return view, err
	}
	manifest, err := manifest(v.Workspace, spec)
	if err != nil {
		return view, err
	}
	body, err := restBody(spec)
	if err != nil {
		return view, err
	}
	// The shell changes nothing in what is between the two lines EOF, and each line of the manifest begins with a key, a brace or a space.
	view.Kubectl = "kubectl apply -f - <<'EOF'\n" + manifest + "EOF"
	view.Curl = strings.Join([]string{
		"curl --silent --show-error --fail-with-body " + shellWord(origin+"/v1/studio/render"), `-H "Authorization: Bearer ` + tokenFor(v) + `"`,
		"-H " + shellWord("X-Workspace: "+v.Workspace), "-H 'Content-Type: application/json'", "--data-raw " + shellWord(body),
	}, " \\\n  ")
	view.Plugin, err = pluginCommand(v.Workspace, spec, given)
	return view, err
}

// tokenFor returns what a shell replaces by the visitor's token.
func tokenFor(v *visitor) string {
	if name, ok := strings.CutPrefix(v.User.Username, "system:serviceaccount:"+v.Home()+":"); ok && v.Home() != "" {
		return "$(kubectl -n " + v.Home() + " create token " + name + ")"
	}
	return "$TOKEN"
}

// manifest returns a RenderJob in YAML, or in JSON if YAML would change a value. The job's name has a digest of its spec, so that other
// values make another job, and do not take the files of the first one.
func manifest(namespace string, spec platenv1alpha1.RenderJobSpec) (string, error) {
	text, err := encode(spec)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(text))
	job := map[string]any{
		"apiVersion": platenv1alpha1.GroupVersion.String(), "kind": "RenderJob",
		"metadata": map[string]any{"name": prefix(spec.TemplateRef.Name) + "-" + hex.EncodeToString(sum[:5]), "namespace": namespace}, "spec": spec,
	}
	want, err := encodeLines(job)
	if err != nil {
		return "", err
	}
	want += "\n"
	lines, err := yaml.JSONToYAML([]byte(want))
	if err != nil {
		return want, nil //nolint:nilerr // kubectl reads JSON, too
	}
	if !sameValue([]byte(want), lines) {
		return want, nil
	}
	return string(lines), nil
}

// sameValue reports whether YAML has the value that JSON has.
func sameValue(jsonText, yamlText []byte) bool {
	before, after := any(nil), any(nil)
	err := errors.Join(json.Unmarshal(jsonText, &before), yaml.Unmarshal(yamlText, &after))
	return err == nil && reflect.DeepEqual(before, after)
}

// restBody returns the body of the request that creates the job over REST.
func restBody(spec platenv1alpha1.RenderJobSpec) (string, error) {
	type response struct {
		Type     string                  `json:"type"`
		Format   platenv1alpha1.Format   `json:"format"`
		FileName platenv1alpha1.FileName `json:"fileName,omitempty"`
	}
	return encodeLines(struct {
		TemplateID    string                         `json:"templateId"`
		Modifications any                            `json:"modifications"`
		Response      response                       `json:"response"`
		Connections   []platenv1alpha1.JobConnection `json:"connections,omitempty"`
	}{spec.TemplateRef.Name, spec.Modifications, response{"url", spec.Output.Format, spec.Output.FileName}, spec.Connections})
}

// pluginCommand returns the command of kubectl platen that creates the job; empty if there is none.
func pluginCommand(namespace string, spec platenv1alpha1.RenderJobSpec, given map[string]any) (string, error) {
	parts := []string{"kubectl platen render " + shellWord(spec.TemplateRef.Name) + " -n " + namespace}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if strings.Contains(name, "=") {
			return "", nil // the flags are KEY=VALUE
		}
		// A terminal would take control characters for keys. JSON escapes them.
		if text, ok := given[name].(string); ok && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
			parts = append(parts, "--set-string "+shellWord(name+"="+text))
			continue
		}
		text, err := encode(given[name])
		if err != nil {
			return "", err
		}
		parts = append(parts, "--set-json "+shellWord(name+"="+text))
	}
	parts = append(parts, "--format "+string(spec.Output.Format))
	if name := string(spec.Output.FileName); name != "" {
		parts = append(parts, "--file-name "+shellWord(name))
	}
	switch {
	case spec.Connections == nil:
	case len(spec.Connections) == 0:
		parts = append(parts, "--no-upload")
	case len(spec.Connections) > 1:
		return "", nil // the flags name one connection
	default:
		if name := spec.Connections[0].Name; name != nil {
			parts = append(parts, "--connection "+shellWord(*name))
		}
		if folder := string(spec.Connections[0].Folder); folder != "" {
			parts = append(parts, "--folder "+shellWord(folder))
		}
	}
	return strings.Join(append(parts, "--wait"), " \\\n  "), nil
}

// encode returns a value as JSON, as people write it.
func encode(value any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "", fmt.Errorf("encoding a job: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// encodeLines returns a value as JSON of several lines.
func encodeLines(value any) (string, error) {
	text, err := encode(value)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = json.Indent(&b, []byte(text), "", "  ")
	return b.String(), err
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shellWord quotes a text for a POSIX shell if it needs quotes.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// code answers with the commands for what the form has, and with what is wrong with each field.
func (s *Server) code(w http.ResponseWriter, r *http.Request, v *visitor) error {
	form, given, _, err := s.readForm(r, v)
	if err != nil {
		return err
	}
	if form.FileName != "" || form.Folder != "" {
		spec, err := form.spec(given)
		if err != nil {
			return err
		}
		form.check(r.Context(), v, spec)
	}
	if form.Code, err = codeFor(s.originOf(r), v, form, given); err != nil {
		return err
	}
	s.views.fragment(w, http.StatusOK, "typed", form)
	return nil
}
