// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/testenv"
)

// readCRDs returns the CRDs of config/crd/bases by their kinds.
func readCRDs(t *testing.T) map[string]apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "config/crd/bases/*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no CRDs were found: %v", err)
	}
	crds := map[string]apiextensionsv1.CustomResourceDefinition{}
	for _, path := range paths {
		crd := apiextensionsv1.CustomResourceDefinition{}
		text, err := os.ReadFile(path)
		if err == nil {
			err = yaml.UnmarshalStrict(text, &crd)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		crds[crd.Spec.Names.Kind] = crd
	}
	return crds
}

// readSpecPage returns the page that describes a kind.
func readSpecPage(t *testing.T, kind string) (path, text string) {
	t.Helper()
	path = filepath.Join("docs/spec/v1alpha1", strings.ToLower(kind)+".md")
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatalf("%s has no page: %v", kind, err)
	}
	return path, string(data)
}

// leaves lists the paths of a schema's fields that have no fields of their own, such as pages[].width. A field of one of Kubernetes' own types
// counts as having none, whatever is in it: Kubernetes describes it.
func leaves(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps, of reflect.Type) []string {
	t.Helper()
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if schema.Items != nil && schema.Items.Schema != nil && len(schema.Items.Schema.Properties) > 0 {
		if kubernetesOwn(of.Elem()) {
			return []string{path}
		}
		return leaves(t, path+"[]", *schema.Items.Schema, of.Elem())
	}
	if len(schema.Properties) == 0 || kubernetesOwn(of) {
		return []string{path}
	}
	var list []string
	for name, property := range schema.Properties {
		list = append(list, leaves(t, strings.TrimPrefix(path+"."+name, "."), property, fieldType(t, of, name))...)
	}
	return list
}

func kubernetesOwn(t reflect.Type) bool { return strings.HasPrefix(t.PkgPath(), "k8s.io/api/") }

// fieldType returns the type of the field that JSON calls name.
func fieldType(t *testing.T, of reflect.Type, name string) reflect.Type {
	t.Helper()
	for _, field := range reflect.VisibleFields(of) {
		if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); tag == name {
			return field.Type
		}
	}
	t.Fatalf("%s has no field %q", of, name)
	return nil
}

// TestSpecPagesNameEveryField looks for each field of a kind's spec in backticks, with its path.
func TestSpecPagesNameEveryField(t *testing.T) {
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	for kind, crd := range readCRDs(t) {
		path, text := readSpecPage(t, kind)
		object, err := scheme.New(platenv1alpha1.GroupVersion.WithKind(kind))
		if err != nil {
			t.Fatal(err)
		}
		spec := fieldType(t, reflect.TypeOf(object).Elem(), "spec")
		for _, version := range crd.Spec.Versions {
			for _, field := range leaves(t, "", version.Schema.OpenAPIV3Schema.Properties["spec"], spec) {
				if !strings.Contains(text, "`"+field+"`") {
					t.Errorf("%s does not describe `%s`", path, field)
				}
			}
			status := version.Schema.OpenAPIV3Schema.Properties["status"]
			for field := range status.Properties {
				if !strings.Contains(text, "`"+field+"`") && !strings.Contains(text, "`"+field+"[]`") && !strings.Contains(text, "`"+field+".") {
					t.Errorf("%s does not describe the status' `%s`", path, field)
				}
			}
		}
	}
}

// TestSpecPagesNameEveryCondition looks for each condition type and each reason of the kind.
func TestSpecPagesNameEveryCondition(t *testing.T) {
	source, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "api/v1alpha1/conditions.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for kind, crd := range readCRDs(t) {
		if _, hasStatus := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]; !hasStatus {
			continue
		}
		path, text := readSpecPage(t, kind)
		for _, declaration := range source.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				constant, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				name, value := constant.Names[0].Name, constantValue(t, constant)
				shared := name == "ReadyCondition" || name == "ReconcilingCondition" || name == "StalledCondition"
				ofKind := strings.Contains(group.Doc.Text(), kind) || shared || (kind == "RenderJob" && strings.HasSuffix(name, "Condition"))
				if !ofKind {
					continue
				}
				found++
				if strings.HasSuffix(name, "Reason") {
					value = "`" + value + "`"
				}
				if !strings.Contains(text, value) {
					t.Errorf("%s does not describe %s, which %s declares", path, value, name)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d conditions and reasons were found in api/v1alpha1/conditions.go", found)
	}
}

func constantValue(t *testing.T, constant *ast.ValueSpec) string {
	t.Helper()
	literal, ok := constant.Values[0].(*ast.BasicLit)
	if !ok {
		t.Fatalf("%s is no literal", constant.Names[0].Name)
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// waitsForPods are the reasons with which a job and its RenderPool say why no render pod takes the job.
var waitsForPods = []string{"QuotaExceededReason", "PodForbiddenReason", "UnschedulableReason", "ImagePullFailedReason", "ContainerStartFailedReason"}

// TestTablesOfReasonsNameEveryReason compares each table that promises to list reasons with the reasons that the code declares.
func TestTablesOfReasonsNameEveryReason(t *testing.T) {
	jobs := reasonsIn(t, "api/v1alpha1/conditions.go", "Reasons of a RenderJob's", "Reason$")
	renders := reasonsIn(t, "internal/render/render.go", "Reasons of an Error", "^Reason")
	delete(renders, "ReasonBrowserCrashed") // is retried, and becomes BackoffLimitExceeded
	templates := merged(reasonsIn(t, "api/v1alpha1/conditions.go", "Ready condition of a RenderTemplate", "Reason$"),
		reasonsIn(t, "api/v1alpha1/conditions.go", "a RenderTemplate's Ready condition alone", "Reason$"),
		only(jobs, "SourceNotFoundReason", "FontSetNotFoundReason", "InvalidFontReason"))
	fontSets := merged(reasonsIn(t, "api/v1alpha1/conditions.go", "and of a FontSet", "Reason$"), only(jobs, "SourceNotFoundReason", "InvalidFontReason"))
	pools := merged(reasonsIn(t, "api/v1alpha1/renderpool_types.go", "Reasons of a RenderPool's", "Reason$"), only(jobs, waitsForPods...))
	connections := reasonsIn(t, "api/v1alpha1/conditions.go", "VerifiedReason is", "Reason$")
	for _, c := range []struct {
		page, heading string
		want          map[string]string
	}{
		{"docs/operations/troubleshooting.md", "## By reason", merged(jobs, renders, templates, fontSets, pools, connections)},
		{"docs/operations/pools.md", "## What the conditions mean", pools},
		{"docs/spec/v1alpha1/renderjob.md", "### Conditions", merged(jobs, renders)},
		{"docs/spec/v1alpha1/renderpool.md", "## Status", pools},
		{"docs/spec/v1alpha1/rendertemplate.md", "## Status", templates},
		{"docs/spec/v1alpha1/fontset.md", "## Status", fontSets},
	} {
		text, err := os.ReadFile(filepath.Join(root, c.page))
		if err != nil {
			t.Fatal(err)
		}
		_, section, found := strings.Cut(string(text), "\n"+c.heading+"\n")
		if !found {
			t.Errorf("%s has no %q", c.page, c.heading)
			continue
		}
		level, _, _ := strings.Cut(c.heading, " ")
		section = regexp.MustCompile(`\n#{1,`+strconv.Itoa(len(level))+`} `).Split(section, 2)[0]
		tables := strings.Join(regexp.MustCompile(`(?m)^\|.*`).FindAllString(section, -1), "\n")
		for name, reason := range c.want {
			if !strings.Contains(tables, "`"+reason+"`") {
				t.Errorf("%s, %q: the tables have no `%s`, which is %s", c.page, c.heading, reason, name)
			}
		}
	}
}

// reasonsIn returns the string constants of a file whose names match a pattern and whose group's comment has a text, by their names.
func reasonsIn(t *testing.T, file, group, pattern string) map[string]string {
	t.Helper()
	source, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, declaration := range source.Decls {
		constants, ok := declaration.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST || !strings.Contains(strings.Join(strings.Fields(constants.Doc.Text()), " "), group) {
			continue
		}
		for _, spec := range constants.Specs {
			constant, ok := spec.(*ast.ValueSpec)
			if ok && regexp.MustCompile(pattern).MatchString(constant.Names[0].Name) {
				found[constant.Names[0].Name] = constantValue(t, constant)
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no constants whose comment has %q", file, group)
	}
	return found
}

func merged(all ...map[string]string) map[string]string {
	union := map[string]string{}
	for _, one := range all {
		maps.Copy(union, one)
	}
	return union
}

// only returns the constants with the given names.
func only(all map[string]string, names ...string) map[string]string {
	some := map[string]string{}
	for _, name := range names {
		some[name] = all[name]
	}
	return some
}

// TestEveryKindIsNamed checks the commands that are for all of Platen's objects: a copy without one kind loses its objects.
func TestEveryKindIsNamed(t *testing.T) {
	for kind, crd := range readCRDs(t) {
		for page, pattern := range map[string]string{
			"docs/operations/uninstall.md":       `(?m)^kubectl get (?:\w+,)*%s[, ].*-o yaml`,
			"docs/operations/troubleshooting.md": `(?m)^kubectl -n marketing get (?:\w+,)*%s[, ]`,
			"internal/cli/check.go":              `kinds := \[\]string\{.*"%s"`,
		} {
			text, err := os.ReadFile(filepath.Join(root, page))
			if err != nil {
				t.Fatal(err)
			}
			names := slices.Concat(crd.Spec.Names.ShortNames, []string{crd.Spec.Names.Plural, kind})
			if !regexp.MustCompile(fmt.Sprintf(pattern, "(?:"+strings.Join(names, "|")+")")).Match(text) {
				t.Errorf("%s: the command for all kinds leaves out %s", page, kind)
			}
		}
	}
}
