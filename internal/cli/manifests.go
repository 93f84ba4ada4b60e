// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/crdschema"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/lint"
	"github.com/platen-dev/platen/internal/nearest"
	"github.com/platen-dev/platen/internal/numbers"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/task"
)

// maxManifests bounds the file that -f names, in bytes.
const maxManifests = 16 << 20

// readFile returns at most so many bytes of a file, or of the standard input if the name is -.
func (o *options) readFile(name string, most int64) ([]byte, error) {
	in := o.In
	if name != "-" {
		opened, err := os.Open(name) //nolint:gosec // the file that the person names
		if err != nil {
			return nil, err
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	data, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", fileName(name), err)
	}
	return data, nil
}

// manifests reads the templates, ConfigMaps and FontSets of a file, - for the standard input. It checks all objects of Platen as the API server
// does, and ignores those of other kinds. A document that is no YAML, and one that was probably meant for Platen, is an error, which names what is wrong
// with every document.
func (o *options) manifests(ctx context.Context, name string) (found sources, err error) {
	if info, err := os.Stat(name); name != "-" && err == nil && info.IsDir() {
		return found, usage("-f %s is a folder: name a file in it, or - and pipe the files to it", name)
	}
	data, err := o.readFile(name, maxManifests+1)
	if err != nil {
		return found, err
	}
	if len(data) > maxManifests {
		return found, fmt.Errorf("%s is larger than %s", fileName(name), file.Size(maxManifests))
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	var problems []string
	for n := 1; ; n++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return found, fmt.Errorf("%s, document %d: %w", fileName(name), n, err)
		}
		for _, problem := range found.take(ctx, document) {
			problems = append(problems, fmt.Sprintf("document %d: %s", n, problem))
		}
	}
	switch len(problems) {
	case 0:
		o.setNamespaces(&found)
		return found, nil
	case 1:
		return found, fmt.Errorf("%s, %s", fileName(name), problems[0])
	default:
		return found, fmt.Errorf("%s: %s:\n%s", fileName(name), plural.Count(len(problems), "mistake"), listed(problems, 0))
	}
}

// fileName returns how messages call the file of -f.
func fileName(name string) string {
	if name == "-" {
		return "the standard input"
	}
	return name
}

// setNamespaces sets the namespace of the objects that say none to the one that kubectl apply would create them in.
func (o *options) setNamespaces(found *sources) {
	o.fileNamespace = ""
	namespace, err := o.namespace()
	if err != nil {
		namespace = metav1.NamespaceDefault // what needs the cluster says what is wrong
	}
	for i := range found.templates {
		found.templates[i].Namespace = cmp.Or(found.templates[i].Namespace, namespace)
	}
	for i := range found.maps {
		found.maps[i].Namespace = cmp.Or(found.maps[i].Namespace, namespace)
	}
	for i := range found.sets {
		found.sets[i].Namespace = cmp.Or(found.sets[i].Namespace, namespace)
	}
	for i := range found.jobs {
		found.jobs[i].Namespace = cmp.Or(found.jobs[i].Namespace, namespace)
	}
}

// take adds the object of a document, or the objects of a list, to those that are found. It returns what is wrong with each of them.
func (s *sources) take(ctx context.Context, document []byte) (problems []error) {
	head := struct {
		metav1.TypeMeta `json:",inline"`
		Items           []json.RawMessage `json:"items"`
	}{}
	if err := yaml.Unmarshal(document, &head); err != nil {
		if problem := task.SyntaxProblem(string(document)); problem != "" {
			return []error{errors.New("yaml: " + problem)}
		}
		if syntax, found := strings.CutPrefix(err.Error(), notYAML); found {
			return []error{errors.New(syntax)}
		}
		return []error{errors.New("this is no Kubernetes object")}
	}
	if strings.HasSuffix(head.Kind, "List") && head.Items != nil {
		for i, item := range head.Items {
			for _, problem := range s.take(ctx, item) {
				problems = append(problems, fmt.Errorf("items[%d]: %w", i, problem))
			}
		}
		return problems
	}
	if err := s.takeOne(ctx, head.TypeMeta, document); err != nil {
		return []error{err}
	}
	return nil
}

// takeOne adds the object of a document, unless it is of a kind that templates do not read.
func (s *sources) takeOne(ctx context.Context, head metav1.TypeMeta, document []byte) error {
	if err := checkKind(head); err != nil {
		return err
	}
	isMap := head.APIVersion == "v1" && head.Kind == "ConfigMap"
	if !isMap && head.APIVersion != platenv1alpha1.GroupVersion.String() {
		return nil
	}
	object, err := admit(ctx, head.Kind, document)
	if err != nil {
		return err
	}
	switch head.Kind {
	case "ConfigMap":
		s.maps, err = add(s.maps, object)
	case "FontSet":
		s.sets, err = add(s.sets, object)
	case "RenderTemplate":
		s.templates, err = add(s.templates, object)
	case "RenderJob":
		job, broken := jobOf(object)
		s.jobs, err = append(s.jobs, *job), broken
	}
	if !isMap {
		s.checked++
	}
	return err
}

// add adds an object that the API server would take to those of its kind.
func add[T any](objects []T, object map[string]any) ([]T, error) {
	var typed T
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &typed)
	return append(objects, typed), err
}

// wordTwice matches what the parser says of keys that are words for true or false, such as y and on, and that have other names in the file.
var wordTwice = regexp.MustCompile(`key (true|false) already set in map`)

// numberTwice matches what the parser says of texts within braces that have commas.
var numberTwice = regexp.MustCompile(`key "?[0-9]+"? already set in map`)

// ofSecret matches the path of a Secret where a ConfigMap must be.
var ofSecret = regexp.MustCompile(`^spec\.modificationsFrom\[\d+\]\.secret(Key)?Ref$`)

// notYAML is what the parser says before what is wrong with a document.
const notYAML = "error converting YAML to JSON: "

// admit returns what the API server would keep of the object of a document, or an error with all that it would refuse.
func admit(ctx context.Context, kind string, document []byte) (map[string]any, error) {
	data, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), notYAML), "yaml: unmarshal errors:\n  ")
		text = strings.ReplaceAll(text, "\n  ", "; ")
		text = wordTwice.ReplaceAllString(text, "$0: without quotes, y, yes and on are the key true, and n, no and off are false; put quotes around them")
		return nil, errors.New(numberTwice.ReplaceAllString(text, "$0: within braces, a comma ends a value; put quotes around a text that has one, and write 12.50 for 12,50"))
	}
	object := map[string]any{}
	if err := utiljson.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	schema, err := crdschema.Of(kind)
	if err != nil {
		return nil, err
	}
	what := kind
	if name, _, _ := unstructured.NestedString(object, "metadata", "name"); name != "" {
		what += " '" + name + "'"
	}
	unknown, refused := schema.Admit(ctx, object)
	problems := make([]string, 0, len(unknown)+len(refused))
	for _, path := range unknown {
		within := func(e *field.Error) bool {
			return e.Type == field.ErrorTypeTypeInvalid && strings.HasPrefix(path, e.Field+".")
		}
		if !slices.ContainsFunc(refused, within) {
			problem := fmt.Sprintf("unknown field %q", path)
			if ofSecret.MatchString(path) {
				problem += ": a Secret cannot be a source, because a user who may create jobs could read it in a picture"
			}
			problems = append(problems, problem)
		}
	}
	slices.SortStableFunc(refused, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) }) // the schema's order is random
	for _, e := range refused {
		if e.Field == noField && strings.HasPrefix(e.Detail, "Checked value must be of type ") {
			continue // the same again, with its field
		}
		problem := inWords(e.Field, e.ErrorBody())
		if e.Field != noField {
			problem = e.Field + ": " + problem
		}
		problems = append(problems, problem)
	}
	if kind == "RenderJob" && len(refused) == 0 {
		for _, err := range checkOutputSpec(object) {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s: %s", what, strings.Join(problems, "; "))
	}
	return object, nil
}

// checkOutputSpec returns what the API server takes of a RenderJob's output and every manager refuses: wrong decimal numbers, and names of no size.
func checkOutputSpec(object map[string]any) (problems []error) {
	job, err := jobOf(object)
	if err != nil {
		return []error{err}
	}
	_, problems = numbers.Read(job.Spec.Output, numbers.MaxVideo)
	if err := task.CheckSizeNames(job.Spec.Output); err != nil {
		problems = append(problems, err)
	}
	return problems
}

// jobOf returns the RenderJob of an object. Its numbers and texts become one type, which the converter of unstructured objects does not know.
func jobOf(object map[string]any) (*platenv1alpha1.RenderJob, error) {
	job := &platenv1alpha1.RenderJob{}
	data, err := utiljson.Marshal(object)
	if err == nil {
		err = utiljson.Unmarshal(data, job)
	}
	return job, err
}

// checkJobs returns an error with what Platen would refuse of the file's jobs, and what of them it has not checked, because the file does not have it: a
// template, or values in a ConfigMap. It leaves out the jobs of other templates than the named ones.
func (s *sources) checkJobs(ctx context.Context, file string, names []string) (unchecked []string, err error) {
	var problems []string
	for i := range s.jobs {
		job := &s.jobs[i]
		if len(names) > 0 && !slices.Contains(names, job.Spec.TemplateRef.Name) {
			continue
		}
		if problem := job.WebhookProblem(); problem != "" {
			problems = append(problems, fmt.Sprintf("RenderJob '%s': metadata.annotations[%s]: %s", job.Name, platenv1alpha1.WebhookURLAnnotation, problem))
		}
		n := slices.IndexFunc(s.templates, func(t platenv1alpha1.RenderTemplate) bool {
			return t.Name == job.Spec.TemplateRef.Name && t.Namespace == job.Namespace
		})
		if n < 0 {
			unchecked = append(unchecked, fmt.Sprintf("RenderJob '%s' against RenderTemplate '%s' of namespace %s", job.Name, job.Spec.TemplateRef.Name, job.Namespace))
			continue
		}
		template, absent := &s.templates[n], s.absentValues(job)
		for _, name := range absent {
			unchecked = append(unchecked, fmt.Sprintf("RenderJob '%s' with the values of ConfigMap '%s'", job.Name, name))
		}
		if len(absent) > 0 { // they may have every value
			template = template.DeepCopy()
			for i := range template.Spec.Parameters {
				template.Spec.Parameters[i].Required = nil
			}
		}
		if found := s.refusedOf(ctx, job, template); len(found) > 0 {
			problems = append(problems, fmt.Sprintf("RenderJob '%s': %s", job.Name, strings.Join(found, "; ")))
		}
	}
	switch len(problems) {
	case 0:
		return unchecked, nil
	case 1:
		return unchecked, fmt.Errorf("%s, %s", fileName(file), problems[0])
	default:
		return unchecked, fmt.Errorf("%s: %s:\n%s", fileName(file), plural.Count(len(problems), "mistake"), listed(problems, 0))
	}
}

// refusedOf returns what Platen would refuse of a job. What is wrong with its template is among the findings of that.
func (s *sources) refusedOf(ctx context.Context, job *platenv1alpha1.RenderJob, template *platenv1alpha1.RenderTemplate) []string {
	wrong := reconcile.AsTerminal(task.CheckWith(ctx, job, template, s.value))
	if wrong == nil {
		return nil
	}
	found, more := task.Mistakes(wrong.Message)
	found = slices.DeleteFunc(found, func(one string) bool { return !strings.HasPrefix(one, "spec.") })
	if more > 0 {
		found = append(found, fmt.Sprintf("and %d more", more))
	}
	return found
}

// absentValues names the ConfigMaps with values of a job that the file does not have.
func (s *sources) absentValues(job *platenv1alpha1.RenderJob) (names []string) {
	for _, source := range job.Spec.ModificationsFrom {
		if name := source.ConfigMapKeyRef.Name; s.configMap(job.Namespace, name) == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// value reads the values of a job from a ConfigMap of the file. One that is not there has none.
func (s *sources) value(_ context.Context, namespace string, ref platenv1alpha1.ConfigMapKeySelector) (string, error) {
	m := s.configMap(namespace, ref.Name)
	if m == nil {
		return "{}", nil
	}
	text, missing := ref.TextIn(m)
	if missing != "" {
		return "", reconcile.Terminal(platenv1alpha1.InvalidModificationsReason, "%s", missing)
	}
	return text, nil
}

// unusedValues warns of the values that jobs of the file give to a template, and of fields in them, that no page uses: the jobs would only warn of them
// when they are rendered. A parameter that no page uses is a mistake of the template.
func (s *sources) unusedValues(ctx context.Context, template *platenv1alpha1.RenderTemplate, source bindings.HTML) (findings []lint.Finding) {
	html := func(page int) (string, bool) { return source(template.Spec.Pages[page-1]) }
	declared := func(key string) bool {
		return slices.ContainsFunc(template.Spec.Parameters, func(p platenv1alpha1.Parameter) bool { return p.Name == key })
	}
	fields := task.UnusedFields(template, html)
	for i := range s.jobs {
		job := &s.jobs[i]
		if job.Spec.TemplateRef.Name != template.Name || job.Namespace != template.Namespace {
			continue
		}
		given, origins, err := task.Values(ctx, job, s.value)
		if err != nil {
			continue // checkJobs says so
		}
		warn := func(key, what, hint string) {
			if hint != "" {
				what += "; " + hint
			}
			where := fmt.Sprintf("RenderJob '%s', spec.modifications.%s", job.Name, key)
			if ref, ok := origins[key]; ok {
				where = fmt.Sprintf("RenderJob '%s', key '%s' of ConfigMap '%s', %s", job.Name, ref.Key, ref.Name, key)
			}
			findings = append(findings, lint.Finding{Rule: lint.UnusedValue, Severity: lint.Warning, Where: where, Message: what})
		}
		keys := slices.DeleteFunc(slices.Sorted(maps.Keys(given)), declared)
		colourless := task.WithoutColour(given, template.Spec.Parameters)
		for _, key := range colourless {
			warn(key, "colours nothing", nearest.NoColour)
		}
		for _, u := range task.UnusedKeys(keys, len(template.Spec.Pages), html) {
			if given[u.Key] == nil {
				u.Hint = nearest.NoValue
			}
			if !slices.Contains(colourless, u.Key) {
				warn(u.Key, "no page uses the value", u.Hint)
			}
		}
		if raw, err := json.Marshal(given); err == nil {
			for _, u := range fields(raw) {
				warn(u.Key, "no page uses "+u.Path, u.Hint)
			}
		}
	}
	return findings
}

// kinds returns Platen's kinds.
func kinds() []string {
	types := scheme.KnownTypes(platenv1alpha1.GroupVersion)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(types)), func(kind string) bool { return types[kind+"List"] == nil })
}

// checkKind returns an error for an object that is Platen's, but of no kind or version that there is.
func checkKind(object metav1.TypeMeta) error {
	group, _, _ := strings.Cut(object.APIVersion, "/")
	ours := kinds()
	switch known := slices.Contains(ours, object.Kind); {
	case group != platenv1alpha1.GroupVersion.Group && object.Kind != "RenderTemplate":
		return nil
	case object.APIVersion != platenv1alpha1.GroupVersion.String():
		return fmt.Errorf("apiVersion: %q must be %s for the kind %s", object.APIVersion, platenv1alpha1.GroupVersion, object.Kind)
	case known:
		return nil
	case object.Kind == "":
		return errors.New("kind: must be set")
	}
	if near := nearest.Name(object.Kind, ours); near != "" {
		return fmt.Errorf("kind: %s has no kind %q; did you mean %s?", platenv1alpha1.GroupVersion, object.Kind, near)
	}
	return fmt.Errorf("kind: %s has no kind %q", platenv1alpha1.GroupVersion, object.Kind)
}
