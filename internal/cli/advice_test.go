// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
)

// reasonsIn returns the constants of a file whose names match a pattern and whose group's comment has a text, by their names.
func reasonsIn(t *testing.T, file, group, pattern string) map[string]string {
	t.Helper()
	source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, declaration := range source.Decls {
		constants, ok := declaration.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST || !strings.Contains(constants.Doc.Text(), group) {
			continue
		}
		for _, spec := range constants.Specs {
			constant := spec.(*ast.ValueSpec) //nolint:forcetypeassert // a const group has nothing else
			literal, ok := constant.Values[0].(*ast.BasicLit)
			if ok && regexp.MustCompile(pattern).MatchString(constant.Names[0].Name) {
				if found[constant.Names[0].Name], err = strconv.Unquote(literal.Value); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no such constants", file)
	}
	return found
}

func jobWith(reason, message string) *platenv1alpha1.RenderJob {
	job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "summer", Generation: 1}}
	job.Spec.TemplateRef.Name, job.Spec.TimeoutSeconds, job.Status.ObservedGeneration = "card", 300, new(int64(1))
	job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionFalse, Reason: reason, Message: message}}
	return job
}

// checkAdvice fails unless advice is a sentence or more, then commands with the object's names in them.
func checkAdvice(t *testing.T, name, text string) {
	t.Helper()
	sentence, commands, _ := strings.Cut(text, "\n")
	if !strings.HasSuffix(sentence, ":") || commands == "" {
		t.Errorf("%s: no sentence, then commands: %q", name, text)
	}
	for command := range strings.SplitSeq(commands, "\n") {
		if !strings.HasPrefix(command, "kubectl ") || !strings.Contains(command, " -n marketing") || regexp.MustCompile(`\b(JOB|TEMPLATE|NS)\b`).MatchString(command) {
			t.Errorf("%s: %q", name, command)
		}
	}
}

func TestEveryReasonOfAJobHasAdvice(t *testing.T) {
	const api = "../../api/v1alpha1/conditions.go"
	reasons := reasonsIn(t, api, "Reasons of a RenderJob's", `Reason$`)
	maps.Copy(reasons, reasonsIn(t, "../render/render.go", "", `^Reason`))
	general := advice(jobWith("NewReason", "it happened"))
	checkAdvice(t, "a reason that the plugin does not know", general)
	for name, reason := range reasons {
		got := advice(jobWith(reason, "spec.output.size: 'x' is no size"))
		switch reason {
		case platenv1alpha1.SucceededReason:
			if got != "" {
				t.Errorf("%s: %q", name, got)
			}
			continue
		case platenv1alpha1.FailedReason:
			continue // Finished has it, Ready never
		}
		if got == general {
			t.Errorf("%s has no advice of its own", name)
		}
		checkAdvice(t, name, got)
	}
}

func TestEveryReasonOfATemplateHasAdvice(t *testing.T) {
	const api = "../../api/v1alpha1/conditions.go"
	reasons := reasonsIn(t, api, "of a RenderTemplate and of a FontSet", `Reason$`)
	maps.Copy(reasons, reasonsIn(t, api, "Reasons of a RenderTemplate's Ready condition alone", `Reason$`))
	reasons["SourceNotFoundReason"], reasons["FontSetNotFoundReason"], reasons["InvalidFontReason"] = platenv1alpha1.SourceNotFoundReason, platenv1alpha1.FontSetNotFoundReason, platenv1alpha1.InvalidFontReason
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "card", Generation: 1}}
	template.Status.ObservedGeneration = new(int64(1))
	for name, reason := range reasons {
		template.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionFalse, Reason: reason, Message: "what is wrong"}}
		out := &bytes.Buffer{}
		describeTemplate(out, template)
		if wrong := strings.Contains(out.String(), reason+": what is wrong\nNext: "); wrong == (reason == platenv1alpha1.ValidReason) {
			t.Errorf("%s: %s", name, out)
		}
		if reason != platenv1alpha1.ValidReason {
			if adviceAboutTemplates[reason] == "" {
				t.Errorf("%s has no advice of its own", name)
			}
			checkAdvice(t, name, templateAdvice(template, reason, "what is wrong"))
		}
	}
}

// No node may have room for a pod, or none may fit what it asks of nodes.
func TestAdviceAboutNodes(t *testing.T) {
	got := advice(jobWith(platenv1alpha1.UnschedulableReason, "no node has room"))
	for _, want := range []string{"Add a node", "requests", "nodeSelector", "affinity", "tolerations", "spec.podTemplate"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
}

// One empty line separates the parts of what status says, whichever there are.
func TestDescribeHasSingleEmptyLines(t *testing.T) {
	failed := jobWith(platenv1alpha1.RenderFailedReason, "the page is too large")
	warned := jobWith(platenv1alpha1.RenderFailedReason, "the page is too large")
	warned.Status.Warnings = []platenv1alpha1.Warning{{Title: "a warning"}}
	rendered := jobWith(platenv1alpha1.SucceededWithWarningsReason, "rendered")
	rendered.Status.Pages = []platenv1alpha1.RenderedPage{{Page: 1}}
	rendered.Status.Connections = []platenv1alpha1.JobConnectionStatus{{Name: "dropbox", Status: platenv1alpha1.UploadSuccess}}
	rendered.Status.Warnings = warned.Status.Warnings
	unseen := &platenv1alpha1.RenderJob{}
	for name, job := range map[string]*platenv1alpha1.RenderJob{"failed": failed, "failed with warnings": warned, "rendered": rendered, "unseen": unseen} {
		out := &bytes.Buffer{}
		describe(out, job, advice(job))
		if got := out.String(); strings.Contains(got, "\n\n\n") || !strings.Contains(got, "\n\nNext: ") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A file that conflictPolicy Keep leaves at the path is not the job's.
func TestDescribeSaysWhatIsKept(t *testing.T) {
	kept, ours := platenv1alpha1.UploadedPage{Page: 1, Path: "/a.png"}, platenv1alpha1.UploadedPage{Page: 2, Path: "/b.png", ContentHash: "abc"}
	job := &platenv1alpha1.RenderJob{}
	job.Status.Connections = []platenv1alpha1.JobConnectionStatus{
		{Name: "archive", Status: platenv1alpha1.UploadSuccess, Pages: []platenv1alpha1.UploadedPage{kept}},
		{Name: "dropbox", Status: platenv1alpha1.UploadSuccess, Pages: []platenv1alpha1.UploadedPage{kept, ours}},
	}
	out := &bytes.Buffer{}
	describeUploads(out, job)
	const line = "  page 1  not uploaded, another file is there and stays: /a.png\n"
	if want := "\nNothing uploaded to archive:\n" + line + "\nUploaded to dropbox:\n" + line + "  page 2  /b.png\n"; out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// A message that names no field of the job is about its template.
func TestAdviceNamesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ reason, message, want string }{
		"the job's spec":       {platenv1alpha1.InvalidSpecReason, "spec.output.size: 'huge' must be", "kubectl edit renderjob summer -n marketing"},
		"the template":         {platenv1alpha1.InvalidSpecReason, "the template's parameter 'price' has a default", "kubectl platen lint card -n marketing\nkubectl get renderjob summer -n marketing -o yaml | kubectl replace -n marketing --force -f -"},
		"the modifications":    {platenv1alpha1.InvalidModificationsReason, "spec.modifications.price: text must be a number", "kubectl platen templates card -n marketing\nkubectl edit renderjob summer -n marketing"},
		"the page":             {platenv1alpha1.RenderFailedReason, "the file of page 1 is too large", "kubectl platen preview card -n marketing\n"},
		"the quota":            {platenv1alpha1.QuotaExceededReason, "exceeded quota: small, which allows pods=10", "kubectl describe resourcequota -n marketing"},
		"no node has room":     {platenv1alpha1.UnschedulableReason, "no node has room", "kubectl get events -n marketing --field-selector involvedObject.kind=Pod"},
		"nobody has looked at": {"", "", "kubectl platen check -n marketing"},
	} {
		if got := advice(jobWith(c.reason, c.message)); !strings.Contains(got, "\n"+c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A quota that admits no pod is not met by fewer pods.
func TestAdviceAboutAQuotaThatAdmitsNoPod(t *testing.T) {
	const fewer = "end other pods"
	for limited, none := range map[string]bool{"pods=0": true, "cpu=4,count/pods=0,pods=2": true, "limits.memory=0": true, "pods=10": false, "pods=2,cpu=500m": false, "cpu=0.5": false} {
		got := advice(jobWith(platenv1alpha1.QuotaExceededReason, "no more render pods fit into the namespace: exceeded quota: small, which allows "+limited))
		if strings.Contains(got, "admits no pod at all") != none || strings.Contains(got, fewer) == none {
			t.Errorf("%s: %s", limited, got)
		}
	}
}

// A job reads its ConfigMaps when it starts: a corrected one renders nothing by itself, and the job has no such value.
func TestAdviceAboutValuesOfConfigMaps(t *testing.T) {
	const again = "\nkubectl get renderjob summer -n marketing -o yaml | kubectl replace -n marketing --force -f -"
	for name, c := range map[string]struct {
		message   string
		has, lack []string
	}{
		"no YAML": {
			"spec.modificationsFrom[0]: key 'a' of ConfigMap 'values' must hold a JSON or YAML object",
			[]string{"\nkubectl edit configmap values -n marketing", again}, []string{"by itself", "kubectl edit renderjob"},
		},
		"wrong values": {
			"spec.modifications.a: 1 must be text; it is from key 'a' of ConfigMap 'values'; spec.modifications.b: 1 must be text; it is from key 'b' of ConfigMap 'others'",
			[]string{"\nkubectl edit configmap values -n marketing\nkubectl edit configmap others -n marketing", again}, []string{"by itself", "kubectl edit renderjob"},
		},
		"wrong values of both": {
			"spec.modifications.a: 1 must be text; it is from key 'a' of ConfigMap 'values'; spec.modifications.b: 1 must be text",
			[]string{"\nkubectl edit configmap values -n marketing\nkubectl edit renderjob summer -n marketing", "by itself"}, []string{"replace"},
		},
	} {
		got := advice(jobWith(platenv1alpha1.InvalidModificationsReason, c.message))
		checkAdvice(t, name, got)
		for _, want := range c.has {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %q", name, want, got)
			}
		}
		for _, unwanted := range c.lack {
			if strings.Contains(got, unwanted) {
				t.Errorf("%s: %q in %q", name, unwanted, got)
			}
		}
	}
	job := jobWith(platenv1alpha1.SucceededWithWarningsReason, "1 page rendered")
	job.Status.Warnings = []platenv1alpha1.Warning{{Title: "Modification headlin is not used by the page"}}
	for range 2 {
		job.Spec.ModificationsFrom = append(job.Spec.ModificationsFrom, platenv1alpha1.ModificationsSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "values", Key: "a"}})
	}
	got := advice(job)
	checkAdvice(t, "a warning", got)
	if !strings.HasSuffix(got, "\nkubectl edit renderjob summer -n marketing\nkubectl edit configmap values -n marketing"+again) {
		t.Errorf("%q", got)
	}
}

// A preview with the values of the job gives a page no more time than the job that it was too slow for.
func TestAdviceAboutAPageThatDoesNotEnd(t *testing.T) {
	for seconds, want := range map[int32]string{
		4: "\nkubectl platen preview card -n marketing --set-json num=3 --timeout 4s\n", 300: "\nkubectl platen preview card -n marketing --set-json num=3\n", 3600: "\nkubectl platen preview card -n marketing --set-json num=3\n",
	} {
		job := jobWith("DeadlineExceeded", "the page did not become ready")
		job.Spec.TimeoutSeconds, job.Spec.Modifications = seconds, &apiextensionsv1.JSON{Raw: []byte(`{"num":3}`)}
		if got := advice(job); !strings.Contains(got+"\n", want) {
			t.Errorf("%d: got %s", seconds, got)
		}
	}
}

// A film that was filmed to a third gets more than three times as long.
func TestAdviceAboutALongFilm(t *testing.T) {
	got := advice(jobWith("DeadlineExceeded", "at the deadline, 20 of about 60 frames were filmed: …"))
	if strings.Contains(got, "lint") || !strings.Contains(got, `{"spec":{"timeoutSeconds":1350}}`) {
		t.Errorf("got %s", got)
	}
	got = advice(jobWith("DeadlineExceeded", "at the deadline, 2 of 1800 frames were filmed: …"))
	if strings.Contains(got, "timeoutSeconds") || !strings.Contains(got, "spec.output") {
		t.Errorf("got %s", got)
	}
}

// A job that waits for another's render is helped by what helps that one.
func TestAdviceAboutTheSameRender(t *testing.T) {
	got := advice(jobWith(platenv1alpha1.QueuedReason, "RenderJob 'spring.1' renders the same; its files will be this job's too"))
	if want := "kubectl platen status spring.1 -n marketing"; !strings.HasSuffix(got, "\n"+want) || strings.Contains(got, "renderpools") {
		t.Errorf("%q, want %s", got, want)
	}
}

// Each of several connections that failed has its own remedy.
func TestAdviceAboutSeveralConnections(t *testing.T) {
	failed := func(name string, reason storage.Reason) platenv1alpha1.JobConnectionStatus {
		return platenv1alpha1.JobConnectionStatus{Name: name, Provider: platenv1alpha1.ProviderDropbox, Status: platenv1alpha1.UploadError, Reason: string(reason)}
	}
	for name, c := range map[string]struct {
		connections []platenv1alpha1.JobConnectionStatus
		want        string
	}{
		"two": {
			[]platenv1alpha1.JobConnectionStatus{failed("a", storage.ReasonTokenExpired), {Name: "b", Status: platenv1alpha1.UploadSuccess}, failed("c", storage.ReasonSecretNotFound)},
			"\nkubectl platen connections a -n marketing\nkubectl platen connections c -n marketing",
		},
		"two that are gone": {
			[]platenv1alpha1.JobConnectionStatus{failed("a", storage.ReasonConnectionNotFound), failed("b", storage.ReasonConnectionNotFound), failed("c", storage.ReasonTokenExpired)},
			"Each says what:\nkubectl platen connections -n marketing\nkubectl platen connections c -n marketing",
		},
		"one of two": {[]platenv1alpha1.JobConnectionStatus{failed("a", storage.ReasonTokenExpired), failed("b", storage.ReasonUnavailable)}, "\nkubectl platen connect dropbox a -n marketing"},
	} {
		job := jobWith(platenv1alpha1.SucceededWithWarningsReason, "1 page rendered")
		job.Status.Connections = c.connections
		job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.UploadedCondition, Status: metav1.ConditionFalse, Reason: string(storage.ReasonTokenExpired)})
		if got := advice(job); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The app key of a connection was in its Secret.
func TestAdviceAboutAConnectionWithoutItsSecret(t *testing.T) {
	job := jobWith(platenv1alpha1.SucceededWithWarningsReason, "1 page rendered")
	job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{Name: "a", Provider: platenv1alpha1.ProviderDropbox, Status: platenv1alpha1.UploadError, Reason: string(storage.ReasonSecretNotFound)}}
	job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.UploadedCondition, Status: metav1.ConditionFalse, Reason: string(storage.ReasonSecretNotFound)})
	if got := advice(job); !strings.HasSuffix(got, "\nkubectl platen connect dropbox a -n marketing --app-key APP_KEY") {
		t.Errorf("%q", got)
	}
}

// A FontSet's file comes from a ConfigMap or from a URL, which have different remedies.
func TestAdviceAboutSourcesOfFontSets(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "card"}}
	for name, c := range map[string]struct{ message, want string }{
		"a ConfigMap":              {"spec.modificationsFrom[0]: ConfigMap 'texts' does not exist in namespace 'marketing'", "kubectl get configmaps -n marketing"},
		"a ConfigMap of a FontSet": {"FontSet 'u': spec.sources[0]: ConfigMap 'u' does not exist in namespace 'marketing'", "kubectl get configmaps -n marketing"},
		"two kinds":                {"FontSet 'u': spec.sources[0].url: the file is being fetched; spec.modificationsFrom[0]: ConfigMap 'texts' does not exist in namespace 'marketing'", "kubectl get configmaps -n marketing"},
		"a URL":                    {"FontSet 'u': spec.sources[0].url: the file cannot be fetched: the answer was HTTP 404, and must be 200", "kubectl edit fontset u -n marketing"},
		"a URL of the template's":  {"spec.fontSetRefs[1]: FontSet 'brand.v2': spec.sources[12].url: the file cannot be fetched: no connection", "kubectl edit fontset brand.v2 -n marketing"},
		"an image":                 {"FontSet 'u': spec.sources[0].image: it cannot be read: the registry answers HTTP 500, which must be 200", "kubectl edit fontset u -n marketing"},
		"a pull Secret":            {"spec.fontSetRefs[1]: FontSet 'u': spec.sources[0].image.pullSecretRef: Secret 'u' does not exist", "kubectl edit fontset u -n marketing"},
		"an image on its way":      {"FontSet 'u': spec.sources[0].image: it is being read", "kubectl get fontset u -n marketing"},
		"a file on its way":        {"FontSet 'u': spec.sources[0].url: the file is being fetched", "kubectl get fontset u -n marketing"},
	} {
		for kind, got := range map[string]string{
			"job": advice(jobWith(platenv1alpha1.SourceNotFoundReason, c.message)), "template": templateAdvice(template, platenv1alpha1.SourceNotFoundReason, c.message),
		} {
			checkAdvice(t, name, got)
			if _, command, _ := strings.Cut(got, "\n"); command != c.want || strings.Contains(c.want, "fontset") && strings.Contains(got, "ConfigMap") {
				t.Errorf("%s of a %s: %q, want %q", name, kind, got, c.want)
			}
		}
	}
}

// What to do about a value is another thing than about a page that looks wrong.
func TestAdviceAboutWarnings(t *testing.T) {
	const both = "Correct the modifications that the warnings name, and what else they name in the job or the template. A change of the job renders it again by itself:"
	for name, c := range map[string]struct {
		titles []string
		want   []string
	}{
		"a value of a style": {[]string{`Modification headline.color: "redd" is no value of the CSS property color`}, []string{"Correct the modifications", "kubectl edit renderjob summer"}},
		"no such style":      {[]string{"Modification headline.colour names no CSS property"}, []string{"Correct the modifications", "docs/templates/styles.md", "kubectl edit renderjob summer"}},
		"an unknown key":     {[]string{"Modification headlin is not used by the page"}, []string{"Correct the modifications", "kubectl platen templates card", "kubectl edit renderjob summer"}},
		"an unknown element": {[]string{"Modification titel.color names no element"}, []string{"Correct the modifications", "kubectl platen templates card", "kubectl edit renderjob summer"}},
		"a page":             {[]string{"Could not load https://x.example/a.png"}, []string{"the job or the template", "kubectl edit renderjob summer", "kubectl platen preview card"}},
		"a kept file":        {[]string{"Kept the file that was already in dropbox at /a.png"}, []string{"spec.output.fileName", "kubectl edit renderjob summer"}},
		"a file of two jobs": {[]string{"RenderJob 'Summer' writes to the same file in dropbox, which ignores case: /a.png"}, []string{"spec.output.fileName", "kubectl edit renderjob summer"}},
		"a webhook":          {[]string{"Annotation platen.dev/webhook-url: the webhook must be an http or https URL"}, []string{"Correct the annotation: its URL is then called, for a render that has ended too. The warning stays until the job renders again:", "kubectl edit renderjob summer"}},
		"a path and a page":  {[]string{"Kept the file that was already in dropbox at /a.png", "Console error: x"}, []string{"kubectl edit renderjob summer", "kubectl platen preview card"}},
		"both":               {[]string{"Modification headlin is not used by the page", "Console error: x"}, []string{both, "kubectl platen templates card", "kubectl edit renderjob summer", "kubectl platen preview card"}},
		"another field too":  {[]string{"spec.output.pdf.rangeTo: 9 is beyond the last page", "Modification headlin is not used by the page"}, []string{both, "kubectl platen templates card", "kubectl edit renderjob summer", "kubectl platen preview card"}},
		"a kept file too":    {[]string{"Modification headlin is not used by the page", "Kept the file that was already in dropbox at /a.png"}, []string{both, "kubectl platen templates card", "kubectl edit renderjob summer"}},
		"values alone":       {[]string{"Modification headlin is not used by the page"}, []string{"Correct the modifications that the warnings name; the job then renders by itself:", "kubectl platen templates card", "kubectl edit renderjob summer"}},
	} {
		job := jobWith(platenv1alpha1.SucceededWithWarningsReason, "1 page is rendered, with 1 warning")
		for _, title := range c.titles {
			job.Status.Warnings = append(job.Status.Warnings, platenv1alpha1.Warning{Title: title})
		}
		got := advice(job)
		checkAdvice(t, name, got)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %q", name, want, got)
			}
		}
		if strings.Contains(got, "preview card") != (slices.Contains(c.want, "kubectl platen preview card")) {
			t.Errorf("%s: %q", name, got)
		}
		if strings.Contains(got, "templates card") != strings.Contains(strings.Join(c.want, " "), "templates card") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A preview shows what the job shows only with its values, and a template that requires some has none without.
func TestAdviceToPreviewHasTheJobsValues(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for name, c := range map[string]struct{ given, want string }{
		"none":          {"", "kubectl platen preview card -n marketing"},
		"texts":         {`{"title": "Ada's NS", "code": "007"}`, `kubectl platen preview card -n marketing --set-string code=007 --set-string 'title=Ada'\''s NS'`},
		"other values":  {`{"price": 1.50, "points": ["a", {"b": 1}], "paid": null}`, `kubectl platen preview card -n marketing --set-json paid=null --set-json 'points=["a",{"b":1}]' --set-json price=1.50`},
		"a line break":  {`{"text": "a\nb"}`, `kubectl platen preview card -n marketing --set-json 'text="a\nb"'`},
		"signs":         {`{"firms": ["A \u0026 B", "\u003cC\u003e"]}`, `kubectl platen preview card -n marketing --set-json 'firms=["A & B","<C>"]'`},
		"a page's key":  {`{"page2@title": "x", "a=b": "y"}`, "kubectl platen preview card -n marketing --set-string page2@title=x"},
		"a very long":   {`{"text": "` + long + `", "title": "Hi"}`, `kubectl platen preview card -n marketing --set-string text="$(kubectl get renderjob summer -n marketing -o 'jsonpath={.spec.modifications.text}')" --set-string title=Hi`},
		"a long list":   {`{"page2@a b": ["` + long + `"]}`, `kubectl platen preview card -n marketing --set-json 'page2@a b'="$(kubectl get renderjob summer -n marketing -o 'jsonpath={.spec.modifications.page2\@a\ b}')"`},
		"no flags":      {`{"": 1, "a\u0007": 1, "kubectl get": 1, "title": "Hi"}`, "kubectl platen preview card -n marketing --set-string title=Hi"},
		"a command":     {`{"text": "kubectl get"}`, `kubectl platen preview card -n marketing --set-json 'text="kubectl\u0020get"'`}, // sameCluster leaves it alone
		"not an object": {`[]`, "kubectl platen preview card -n marketing"},
	} {
		job := jobWith(platenv1alpha1.RenderFailedReason, "x")
		if c.given != "" {
			job.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(c.given)}
		}
		if got := advice(job); !strings.Contains(got, "\n"+c.want+"\n") {
			t.Errorf("%s: %q, want %s", name, got, c.want)
		}
	}
}

// Where the command of a preview cannot have a value, whoever copies it knows.
func TestAdviceToPreviewNamesTheValuesThatItLeavesOut(t *testing.T) {
	const usual = "Look at the template on this machine, correct it, then render the job again"
	huge := `"` + strings.Repeat("x", maxArgument) + `"`
	many := make([]string, 0, 12)
	for n := range cap(many) {
		many = append(many, fmt.Sprintf(`"%02d=": 1`, n))
	}
	for name, c := range map[string]struct {
		given string
		maps  []string
		want  string
	}{
		"none":       {given: `{"text": "` + strings.Repeat("x", 2000) + `"}`},
		"a picture":  {given: `{"photo": ` + huge + `, "title": "Hi"}`, want: "'photo'"},
		"ConfigMaps": {maps: []string{"NS", "prices", "prices"}, want: "the values of ConfigMap 'NS', the values of ConfigMap 'prices'"},
		"both":       {given: `{"a=b": 1, "a\\b": ["` + strings.Repeat("x", 2000) + `"]}`, maps: []string{"prices"}, want: `'a=b', 'a\b', the values of ConfigMap 'prices'`},
		"many":       {given: "{" + strings.Join(many, ",") + "}", want: "'00=', '01=', '02=', '03=', '04=', '05=', '06=', '07=', '08=', '09=', 2 more"},
	} {
		job := jobWith(platenv1alpha1.RenderFailedReason, "x")
		if c.given != "" {
			job.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(c.given)}
		}
		for _, from := range c.maps {
			source := platenv1alpha1.ModificationsSource{}
			source.ConfigMapKeyRef.Name = from
			job.Spec.ModificationsFrom = append(job.Spec.ModificationsFrom, source)
		}
		want := usual + ":\n"
		if c.want != "" {
			want = usual + ". The preview leaves out " + c.want + "; add to its command what the template needs:\n"
		}
		if got := advice(job); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %.500q, want %q", name, got, want)
		}
		job.Status.Conditions[0].Reason = platenv1alpha1.InvalidSpecReason
		if got := advice(job); strings.Contains(got, "leaves out") {
			t.Errorf("%s, without a preview: %q", name, got)
		}
	}
}

// kubectl finds the value of a key, whatever letters it has.
func TestValuesOfAJobInAShell(t *testing.T) {
	const name = `page2@it's "a", [b]{c}.d$e*é`
	word := valueOf(jobWith("", ""), name)
	_, path, _ := strings.Cut(word, "-o ")
	path = strings.ReplaceAll(strings.Trim(strings.TrimSuffix(path, `)"`), "'"), `'\''`, "'")
	parsed := jsonpath.New("value")
	if err := parsed.Parse(strings.TrimPrefix(path, "jsonpath=")); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	out := &bytes.Buffer{}
	values := map[string]any{name: []any{"x", 1.5}, "page2": "y", "*": "z"}
	if err := parsed.Execute(out, map[string]any{"spec": map[string]any{"modifications": values}}); err != nil || out.String() != `["x",1.5]` {
		t.Errorf("%s shows %s, %v", path, out, err)
	}
}

// A warning about one size is none about another: a preview that leaves the job's options out says that all is well.
func TestAdviceToPreviewHasTheJobsOptions(t *testing.T) {
	for name, c := range map[string]struct {
		output platenv1alpha1.OutputSpec
		want   string
	}{
		"the defaults": {platenv1alpha1.OutputSpec{Format: "png", Scale: "1", Quality: 90, Transparent: new(false), FileName: "summer"}, ""},
		"sizes": {
			platenv1alpha1.OutputSpec{Format: "png", Size: "instagram-post", ExtraSizes: []platenv1alpha1.PageSize{"story", "300x250"}, Scale: "2", Pages: []int32{1, 3}},
			" --size instagram-post --extra-sizes story,300x250 --scale 2 --pages 1,3",
		},
		"a picture":  {platenv1alpha1.OutputSpec{Format: "webp", Scale: "1", Quality: 80, Transparent: new(true)}, " --format webp --quality 80 --transparent"},
		"a document": {platenv1alpha1.OutputSpec{Format: "pdf", Scale: "1", Size: "a4", PDF: platenv1alpha1.PDFOptions{Margin: "1cm"}}, " --format pdf --size a4 --margin 1cm"},
		"a video":    {platenv1alpha1.OutputSpec{Format: "mp4", Quality: 90, Video: platenv1alpha1.VideoOptions{FPS: 10, Duration: "0.5"}}, " --format mp4 --fps 10 --duration 0.5"},
		"what the format ignores, and preview refuses": {platenv1alpha1.OutputSpec{Format: "pdf", Scale: "2", Quality: 80, Transparent: new(true)}, " --format pdf"},
	} {
		job := jobWith(platenv1alpha1.RenderFailedReason, "x")
		job.Spec.Output = c.output
		job.Spec.Modifications = &apiextensionsv1.JSON{Raw: []byte(`{"title": "Hi"}`)}
		if got, want := advice(job), "\nkubectl platen preview card -n marketing"+c.want+" --set-string title=Hi\n"; !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %s", name, got, want)
		}
	}
}

// Files that outlive their job are in the store until their URLs expire, or until the store stops keeping them.
func TestDescribeSaysThatFilesAreRetained(t *testing.T) {
	const url = "https://platen.example.com/content/jobs/marketing/uid/1/1/page.png?e="
	late, early := time.Date(2026, 12, 3, 10, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	expires := func(at time.Time) string { return url + strconv.FormatInt(at.Unix(), 36) }
	for name, c := range map[string]struct {
		policy  platenv1alpha1.ContentPolicy
		urls    []string
		expires *metav1.Time
		want    string
	}{
		"retained":             {policy: platenv1alpha1.ContentRetain, urls: []string{expires(early), expires(late)}, want: "contentPolicy is Retain: if the job is deleted, its files stay until 2026-12-03T10:00:00Z"},
		"retained less long":   {policy: platenv1alpha1.ContentRetain, urls: []string{expires(late)}, expires: new(metav1.NewTime(early)), want: "stay until 2026-12-01T10:00:00Z"},
		"retained and expired": {policy: platenv1alpha1.ContentRetain, urls: []string{""}},
		"deleted":              {policy: platenv1alpha1.ContentDelete, urls: []string{expires(late)}},
		"by default":           {urls: []string{expires(late)}},
	} {
		job := jobWith(platenv1alpha1.SucceededReason, "1 page is rendered")
		job.Spec.ContentPolicy, job.Status.ContentExpirationTime = c.policy, c.expires
		for i, url := range c.urls {
			job.Status.Pages = append(job.Status.Pages, platenv1alpha1.RenderedPage{Page: int32(i + 1), ContentURL: url})
		}
		out := &bytes.Buffer{}
		describe(out, job, advice(job))
		if got := out.String(); !strings.Contains(got, c.want) || strings.Contains(got, "contentPolicy") != (c.want != "") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestDescribeSaysWhenAJobIsDeleted(t *testing.T) {
	for want, change := range map[string]func(job *platenv1alpha1.RenderJob){
		"Platen deletes it at 2026-12-01T10:01:00Z\n": func(*platenv1alpha1.RenderJob) {},
		"Platen does not delete it, whatever ttlSecondsAfterFinished says: a GitOps tool would make it again\n": func(job *platenv1alpha1.RenderJob) {
			job.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "cards"}
		},
		"": func(job *platenv1alpha1.RenderJob) { job.Spec.TTLSecondsAfterFinished = nil },
	} {
		job := jobWith(platenv1alpha1.SucceededReason, "1 page is rendered")
		meta.SetStatusCondition(&job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue, Reason: "Succeeded"})
		job.Spec.TTLSecondsAfterFinished = new(int32(60))
		job.Status.CompletionTime = new(metav1.NewTime(time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)))
		change(job)
		out := &bytes.Buffer{}
		describe(out, job, "")
		if got := out.String(); !strings.Contains(got, want) || strings.Contains(got, "delete") != (want != "") {
			t.Errorf("%q: %s", want, got)
		}
	}
}

// Commands about a template that is gone would fail.
func TestAdviceWithoutTheTemplate(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "card"}}
	without := &cluster{namespace: "marketing", WithWatch: fake.NewClientBuilder().WithScheme(scheme).Build()}
	with := &cluster{namespace: "marketing", WithWatch: fake.NewClientBuilder().WithScheme(scheme).WithObjects(template).Build()}
	warned := jobWith(platenv1alpha1.SucceededWithWarningsReason, "rendered")
	warned.Status.Warnings = []platenv1alpha1.Warning{{Title: "Modification 'x' is not used by the template"}}
	webhook := jobWith(platenv1alpha1.SucceededWithWarningsReason, "rendered")
	webhook.Status.Warnings = []platenv1alpha1.Warning{{Title: "Annotation " + platenv1alpha1.WebhookURLAnnotation + ": no URL"}}
	for _, job := range []*platenv1alpha1.RenderJob{warned, webhook} {
		job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.RenderedCondition, Status: metav1.ConditionTrue})
	}
	unfinished := jobWith(platenv1alpha1.QueuedReason, "waits")
	for name, c := range map[string]struct {
		job  *platenv1alpha1.RenderJob
		gone bool
	}{
		"failed render":     {jobWith(platenv1alpha1.RenderFailedReason, "the page has no end"), true},
		"wrong values":      {jobWith(platenv1alpha1.InvalidModificationsReason, "spec.modifications.x: no"), true},
		"too large":         {jobWith(platenv1alpha1.StatusTooLargeReason, "too large"), true},
		"warned of values":  {warned, true},
		"warned of its URL": {webhook, false},
		"canceled":          {jobWith(platenv1alpha1.CanceledReason, "canceled"), false},
		"missing all along": {jobWith(platenv1alpha1.TemplateNotFoundReason, "does not exist"), false},
		"queued":            {unfinished, false},
		"succeeded":         {jobWith(platenv1alpha1.SucceededReason, "rendered"), false},
	} {
		if c.job != unfinished {
			c.job.Status.Conditions = append(c.job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue})
		}
		if name == "succeeded" {
			c.job.Status.Conditions = append(c.job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.RenderedCondition, Status: metav1.ConditionTrue})
		}
		usual := advice(c.job)
		if got := with.advice(t.Context(), c.job); got != usual {
			t.Errorf("%s, with the template: %q", name, got)
		}
		want := "RenderTemplate 'card' does not exist any more. Name another one in spec.templateRef.name, and the job renders by itself; or create it, and render the job again:\n" +
			"kubectl platen templates -n marketing\nkubectl edit renderjob summer -n marketing\nkubectl get renderjob summer -n marketing -o yaml | kubectl replace -n marketing --force -f -"
		if !c.gone {
			want = usual
		}
		if got := without.advice(t.Context(), c.job); got != want {
			t.Errorf("%s, without the template: %q", name, got)
		}
	}
}

// Connecting an account again leaves a Secret that a manifest would bring back.
func TestAdviceAboutASecretFromAManifest(t *testing.T) {
	applied := func(manager string) metav1.ObjectMeta {
		return metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager: manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1("{}"),
		}}}
	}
	for name, c := range map[string]struct {
		secret       metav1.ObjectMeta
		reason       storage.Reason
		fromManifest bool
	}{
		"of kubectl apply":          {secret: metav1.ObjectMeta{Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}"}}, reason: storage.ReasonTokenExpired, fromManifest: true},
		"of server-side apply":      {secret: applied("kubectl"), reason: storage.ReasonMissingScope, fromManifest: true},
		"of Flux":                   {secret: metav1.ObjectMeta{Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}}, reason: storage.ReasonInvalidCredentials, fromManifest: true},
		"of the plugin":             {secret: applied("platen-connect"), reason: storage.ReasonTokenExpired},
		"that lacks its label":      {secret: metav1.ObjectMeta{Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}}, reason: storage.ReasonSecretNotLabelled},
		"of an account that's full": {secret: metav1.ObjectMeta{Labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}}, reason: storage.ReasonInsufficientSpace},
	} {
		s := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "storage", Generation: 1}}
		s.Spec.Provider, s.Spec.Dropbox = platenv1alpha1.ProviderDropbox, &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "storage-token"}}
		s.Status.ObservedGeneration = new(int64(1))
		s.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionFalse, Reason: string(c.reason)}}
		secret := &corev1.Secret{ObjectMeta: c.secret}
		secret.Namespace, secret.Name = "marketing", "storage-token"
		job := jobWith(platenv1alpha1.SucceededWithWarningsReason, "rendered")
		job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{Name: "storage", Provider: platenv1alpha1.ProviderDropbox, Status: platenv1alpha1.UploadError, Reason: string(c.reason)}}
		job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.UploadedCondition, Status: metav1.ConditionFalse, Reason: string(c.reason)})
		api := &cluster{namespace: "marketing", WithWatch: fake.NewClientBuilder().WithScheme(scheme).WithReturnManagedFields().WithObjects(s, secret).Build()}

		usual, out := advice(job), &bytes.Buffer{}
		describeConnection(out, s, api.isFromManifest(t.Context(), s))
		ofConnection, ofJob := out.String(), api.advice(t.Context(), job)
		want := " Secret 'storage-token' is from a manifest, and kubectl platen connect leaves it as it is: put the Secret that this prints into the manifest:\n" +
			"kubectl platen connect dropbox storage -n marketing --secret storage-token -o yaml"
		switch {
		case c.fromManifest && (!strings.HasPrefix(ofJob, c.reason.Advice("dropbox").Do) || !strings.HasSuffix(ofJob, want) || !strings.HasSuffix(ofConnection, strings.ReplaceAll(want, "\n", "\n  ")+"\n")):
			t.Errorf("a Secret %s: %q, %q", name, ofJob, ofConnection)
		case !c.fromManifest && (ofJob != usual || strings.Contains(ofConnection, "-o yaml")):
			t.Errorf("a Secret %s: %q, %q", name, ofJob, ofConnection)
		}
	}
}
