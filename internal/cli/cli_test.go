// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

// The keys for k9s run commands that exist, on kinds that exist, and no two of a kind have the same key.
func TestKeysOfK9s(t *testing.T) {
	data, err := os.ReadFile("../../config/k9s/plugins.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Plugins map[string]struct {
			ShortCut, Description, Command string
			Scopes, Args                   []string
			Confirm, Background            bool
		}
	}
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{"renderjobs": true, "rendertemplates": true, "storageconnections": true, "renderpools": true}
	keys := map[string]string{}
	call := regexp.MustCompile(`^kubectl platen (.*?)(; read -r _| [|] less -RK)$`)
	for name, plugin := range file.Plugins {
		for _, scope := range plugin.Scopes {
			if other := keys[scope+plugin.ShortCut]; other != "" || !kinds[scope] {
				t.Errorf("%s: scope %s, key %s: %q has it", name, scope, plugin.ShortCut, other)
			}
			keys[scope+plugin.ShortCut] = name
		}
		line := call.FindStringSubmatch(plugin.Args[1])
		if plugin.Command != "sh" || line == nil || !slices.Equal(plugin.Args[2:], []string{"platen", "$NAME", "$NAMESPACE", "$CONTEXT"}) {
			t.Errorf("%s: %+v", name, plugin)
			continue
		}
		command, args, err := New(genericiooptions.NewTestIOStreamsDiscard()).Find(strings.Fields(line[1]))
		if err == nil {
			err = command.ParseFlags(args)
		}
		if err == nil {
			err = command.ValidateArgs(command.Flags().Args())
		}
		if err != nil || !command.HasParent() {
			t.Errorf("%s: %q: %v", name, line[1], err)
		}
	}
}

// Every command has a short help and an example, and its examples are valid command lines.
func TestHelp(t *testing.T) {
	root := New(genericiooptions.NewTestIOStreamsDiscard())
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" && sub.Name() != "help" {
				check(sub)
			}
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q", c.CommandPath(), c.Short)
		}
		if c.HasSubCommands() && c.HasParent() {
			return
		}
		lines := regexp.MustCompile(`(?m)^  kubectl platen (.*)$`).FindAllStringSubmatch(c.Example, -1)
		if len(lines) == 0 {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, line := range lines {
			words := strings.Fields(regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllString(regexp.MustCompile(` [|>] `).Split(line[1], 2)[0], "x"))
			command, args, err := root.Find(words)
			if err == nil {
				err = command.ParseFlags(args)
			}
			if err == nil {
				err = command.ValidateArgs(command.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: example %q: %v", c.CommandPath(), line[0], err)
			}
		}
	}
	check(root)
}

func TestKrewManifest(t *testing.T) {
	data, err := os.ReadFile("../../hack/krew/platen.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The fields of https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/, and no others.
	var manifest struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			Version          string `json:"version"`
			Homepage         string `json:"homepage"`
			ShortDescription string `json:"shortDescription"`
			Description      string `json:"description"`
			Caveats          string `json:"caveats"`
			Platforms        []struct {
				Selector metav1.LabelSelector `json:"selector"`
				URI      string               `json:"uri"`
				SHA256   string               `json:"sha256"`
				Bin      string               `json:"bin"`
			} `json:"platforms"`
		} `json:"spec"`
	}
	if err := yaml.UnmarshalStrict(data, &manifest); err != nil {
		t.Fatal(err)
	}
	spec := manifest.Spec
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" || manifest.Metadata.Name != "platen" ||
		!regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(spec.Version) || spec.ShortDescription == "" || spec.Description == "" || len(spec.Platforms) == 0 {
		t.Errorf("manifest %+v", manifest)
	}
	seen := map[string]bool{}
	for _, p := range spec.Platforms {
		name := p.Selector.MatchLabels["os"] + "_" + p.Selector.MatchLabels["arch"]
		extension, bin := ".tar.gz", "kubectl-platen"
		if p.Selector.MatchLabels["os"] == "windows" {
			extension, bin = ".zip", "kubectl-platen.exe"
		}
		uri, err := url.Parse(p.URI)
		if err != nil || uri.Scheme != "https" || !strings.HasSuffix(uri.Path, spec.Version+"/kubectl-platen_"+name+extension) ||
			!regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(p.SHA256) || p.Bin != bin || seen[name] {
			t.Errorf("platform %s: %+v, %v", name, p, err)
		}
		seen[name] = true
	}
}

func TestAmong(t *testing.T) {
	many := make([]string, 0, 25)
	for n := range 25 {
		many = append(many, fmt.Sprintf("t%02d", n))
	}
	for _, c := range []struct {
		name  string
		names []string
		want  string
	}{
		{"bannr", []string{"banner", "card"}, "did you mean 'banner'? there are: banner, card"},
		{"poster", []string{"banner", "card"}, "there are: banner, card"},
		{"poster", many, "there are: " + strings.Join(many[:20], ", ") + " and 5 more"},
	} {
		if got := among(c.name, c.names); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestFolderSteps(t *testing.T) {
	shown := []dropbox.Folder{{Name: "2025", Path: "/Marketing/2025"}, {Name: "Old", Path: "/Marketing/Old"}}
	type result struct {
		next string
		done bool
	}
	for choice, want := range map[string]result{
		"":              {next: "/Renders", done: true},
		".":             {next: "/Marketing", done: true},
		"..":            {next: "/"},
		"2":             {next: "/Marketing/Old"},
		"3":             {next: "/Marketing/3"},
		"2025":          {next: "/Marketing/2025"},
		"Old":           {next: "/Marketing/Old"},
		"+ New folder":  {next: "/Marketing/New folder"},
		"/":             {next: "/", done: true},
		"/Elsewhere/a/": {next: "/Elsewhere/a", done: true},
	} {
		next, done := step("/Marketing", choice, shown)
		if got := (result{next, done}); got != want {
			t.Errorf("%q leads to %+v, want %+v", choice, got, want)
		}
	}
}

func TestSpace(t *testing.T) {
	for _, x := range []struct {
		used, allocated int64
		want            string
	}{{allocated: 2 << 30, want: "2.0 GiB free of 2.0 GiB"}, {used: 3 << 30, allocated: 2 << 30, want: "full: all 2.0 GiB are used"}, {used: 5, want: "5 B used"}} {
		if got := space(x.used, x.allocated); got != x.want {
			t.Errorf("%d of %d is %q, want %q", x.used, x.allocated, got, x.want)
		}
	}
}

func TestAdvice(t *testing.T) {
	for reason, want := range map[string]string{
		"TokenExpired":       "uploads any failed files again.\nkubectl platen connect dropbox storage -n marketing",
		"MissingScope":       "Add the permission to the app",
		"InsufficientSpace":  "Make room in the account",
		"ConnectionNotFound": "uploads any failed files again.\nkubectl platen connections -n marketing\nkubectl edit renderjob summer -n marketing",
		"PathNotAllowed":     "uploads or renders it again:\nkubectl edit renderjob summer -n marketing",
		"Disabled":           "uploads any failed files again.\nkubectl patch storageconnection storage -n marketing --type merge -p '{\"spec\":{\"uploadPolicy\":\"Automatic\"}}'",
		"BucketNotFound":     "uploads any failed files again.\nkubectl edit storageconnection storage -n marketing",
		"EndpointBlocked":    "uploads any failed files again.\nkubectl edit storageconnection storage -n marketing",
		"InvalidSpec":        "uploads any failed files again.\nkubectl edit storageconnection storage -n marketing",
		"PathRootNotAllowed": "uploads any failed files again.\nkubectl edit storageconnection storage -n marketing",
		"AccountSuspended":   "uploads any failed files again.\nkubectl platen connections storage -n marketing",
		"SecretNotOurs":      "takes the Secret from.\nkubectl platen connections storage -n marketing",
		"Superseded":         "Nothing: a newer upload of the job replaces this one.",
		"Refused":            "kubectl platen retry summer -n marketing",
		"NotFound":           "kubectl platen retry summer -n marketing",
		"Unreachable":        "kubectl platen retry summer -n marketing",
		"Conflict":           "kubectl platen retry summer -n marketing",
	} {
		job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "summer"}}
		job.Status.Connections = []platenv1alpha1.JobConnectionStatus{{Name: "fine", Status: platenv1alpha1.UploadSuccess}, {Name: "storage", Provider: platenv1alpha1.ProviderDropbox, Status: platenv1alpha1.UploadError}}
		job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.UploadedCondition, Status: metav1.ConditionFalse, Reason: reason}}
		got := advice(job)
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q", reason, got)
		}
		if !strings.HasPrefix(want, "kubectl platen retry") && reason != "InsufficientSpace" && strings.Contains(got, "platen retry") {
			t.Errorf("%s: a retry does not help: %q", reason, got)
		}
	}
}

// Only a connection that new credentials repair is to be connected again.
func TestAdviceForConnections(t *testing.T) {
	for reason, want := range map[string]string{
		"TokenExpired":      "\nNext: Connect the account again. If a file or a GitOps tool writes the Secret, put the new refresh token there. Platen then uploads any failed files again.\n  kubectl platen connect dropbox storage -n marketing\n",
		"InsufficientSpace": "\nNext: Make room in the account. Platen then uploads any failed files again.\n",
		"SecretNotLabelled": "\nNext: Add the label to the Secret if Platen may read it. Platen then uploads any failed files again.\n  kubectl label secret storage-credentials platen.dev/credentials=true --overwrite -n marketing\n",
		"Conflict":          "\nNext: Choose another spec.defaultFolder, or move what is in its place.\n",
		"PathNotAllowed":    "\nNext: Choose another spec.defaultFolder.\n",
		"NoWritePermission": "\nNext: Choose another folder, or ask its owner for the right to edit. Platen then uploads any failed files again.\n",
	} {
		s := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "storage", Generation: 1}}
		s.Spec.Provider, s.Status.ObservedGeneration = platenv1alpha1.ProviderDropbox, new(int64(1))
		s.Spec.Dropbox = &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "storage-credentials"}}
		s.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionFalse, Reason: reason}}
		out := &bytes.Buffer{}
		describeConnection(out, s, false)
		if !strings.HasSuffix(out.String(), want) || strings.Contains(out.String(), "connect dropbox") != strings.Contains(want, "connect dropbox") {
			t.Errorf("%s: %q", reason, out)
		}
	}
}

// More time is at most what the manager takes by default.
func TestAdviceForDeadlines(t *testing.T) {
	for seconds, want := range map[int32]string{300: `-p '{"spec":{"timeoutSeconds":600}}'`, 3000: `-p '{"spec":{"timeoutSeconds":3600}}'`, 3600: "kubectl platen preview card -n marketing"} {
		job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "summer", Generation: 1}}
		job.Spec.TemplateRef.Name, job.Spec.TimeoutSeconds, job.Status.ObservedGeneration = "card", seconds, new(int64(1))
		job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionFalse, Reason: platenv1alpha1.DeadlineExceededReason}}
		if got := advice(job); !strings.HasSuffix(got, want) {
			t.Errorf("%d: %q", seconds, got)
		}
	}
}

func TestCallback(t *testing.T) {
	attempt := authflow.NewAttempt()
	redirects := make(chan redirect, 1)
	handler := callback(attempt, 53682, redirects)
	visit := func(target string) (status int, body string) {
		r := httptest.NewRequest(http.MethodGet, "http://localhost:53682"+target, http.NoBody)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if status, body := visit("/?code=c&state=forged"); status != http.StatusBadRequest || len(redirects) != 0 {
		t.Errorf("forged: HTTP %d %s", status, body)
	}
	q := url.Values{"state": {attempt.State}, "error": {"<script>"}, "error_description": {"<b>no</b>"}}
	if status, body := visit("/?" + q.Encode()); status != http.StatusOK || strings.Contains(body, "<script>") || strings.Contains(body, "<b>no") {
		t.Errorf("a refusal with markup: HTTP %d %s", status, body)
	}
	if got := <-redirects; got.err == nil || got.code != "" {
		t.Errorf("got %+v", got)
	}
	q = url.Values{"state": {attempt.State}, "code": {"c"}}
	visit("/?" + q.Encode())
	if status, _ := visit("/?" + q.Encode()); status != http.StatusConflict {
		t.Errorf("a second answer: HTTP %d", status)
	}
	if got := <-redirects; got.err != nil || got.code != "c" {
		t.Errorf("got %+v", got)
	}
}

func TestPromptReadsLines(t *testing.T) {
	var out bytes.Buffer
	p := &prompter{in: strings.NewReader("  one \n\nlast"), out: &out}
	for _, want := range []string{"one", "", "last"} {
		if got, err := p.ask(t.Context(), "? "); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := p.ask(t.Context(), "? "); err == nil || !strings.Contains(err.Error(), "the input has ended") {
		t.Errorf("at the end: %v", err)
	}
	long := &prompter{in: strings.NewReader(strings.Repeat("x", maxLine+1)), out: io.Discard}
	if _, err := long.ask(t.Context(), "? "); err == nil || !strings.Contains(err.Error(), "reading the answer") {
		t.Errorf("a line without end: %v", err)
	}
}

func TestUsageErrors(t *testing.T) {
	for name, x := range map[string]struct {
		args []string
		text string
	}{
		"a misspelt command": {args: []string{"rendr"}, text: `error: platen knows no "rendr"; did you mean: render`},
		"a flag":             {args: []string{"version"}, text: `error: platen knows no "version"; did you mean: --version`},
		"no command":         {args: []string{"deploy"}, text: `error: platen knows no "deploy"; there are: check, completion, connect, `},
		"another word":       {args: []string{"connect"}, text: "say what to connect: dropbox"},
		"no shell":           {args: []string{"completion"}, text: "name the shell: bash, fish, powershell, zsh"},
		"another output":     {args: []string{"status", "-o", "xml"}, text: `-o must be json or yaml or name, not "xml"`},
		"another spelling":   {args: []string{"render", "x", "--fileName", "a"}, text: "unknown flag: --fileName; did you mean --file-name?"},
		"a mistyped flag":    {args: []string{"render", "x", "--qualty=9"}, text: "unknown flag: --qualty; did you mean --quality?"},
		"no flag at all":     {args: []string{"render", "x", "--colour", "red"}, text: "unknown flag: --colour\n"},
		"no number":          {args: []string{"render", "x", "--quality", "high"}, text: `invalid argument "high" for --quality: it must be a whole number`},
		"a range of pages":   {args: []string{"preview", "x", "--pages", "1-2"}, text: `invalid argument "1-2" for --pages: it must be whole numbers with commas between them, such as 1,3`},
		"jobs of a file":     {args: []string{"render", "-f", "jobs.yaml"}, text: "kubectl apply -f creates the jobs of a file"},
		"fetch as JSON":      {args: []string{"fetch", "x", "-o", "json"}, text: "-o json: fetch writes files into a folder, and ./json is one; kubectl get renderjob x -o json prints the job"},
		"fetch as a picture": {args: []string{"fetch", "x", "-o", "JPG"}, text: "-o JPG: a job's files have the format that it was rendered in; ./JPG is a folder"},
		"a time, no unit":    {args: []string{"fetch", "x", "--timeout", "30"}, text: `invalid argument "30" for --timeout: it must be a time with its unit, such as 30s or 10m`},
		"both":               {args: []string{"status", "x", "-A", "--kubeconfig", "/dev/null"}, text: "-A lists the jobs of all namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			streams, _, _, errOut := genericiooptions.NewTestIOStreams()
			code := Main(t.Context(), append([]string{"kubectl-platen"}, x.args...), streams)
			if code != exitUsage || !strings.Contains(errOut.String(), x.text) || !strings.Contains(errOut.String(), "--help'") {
				t.Errorf("exit code %d, %s", code, errOut)
			}
		})
	}
}

// What is wrong with how a person reaches a cluster is said as it is.
func TestNoWayToACluster(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(`{"apiVersion": "v1", "kind": "Config", "current-context": "a", "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
		"contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
		"users": [{"name": "a", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-program", "interactiveMode": "Never"}}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	nosuch := filepath.Join(t.TempDir(), "nosuch")
	for name, x := range map[string]struct {
		args []string
		env  string
		code int
		want string
	}{
		"a file that does not exist": {args: []string{"status"}, env: nosuch, code: 1, want: "error: no cluster is configured: KUBECONFIG names " + nosuch + ", and there is no such file; set --kubeconfig or KUBECONFIG to a kubeconfig file\n"},
		"nothing names a cluster":    {args: []string{"status", "--kubeconfig", os.DevNull}, code: 1, want: "error: no cluster is configured: set --kubeconfig or KUBECONFIG to a kubeconfig file\n"},
		"a login that does not work": {args: []string{"status", "--kubeconfig", kubeconfig}, code: 1, want: "error: you could not log in to the cluster: exec: executable no-such-program not found; log in again, or check the user in your kubeconfig\n"},
		"an impossible namespace":    {args: []string{"status", "-n", "Bad_NS", "--kubeconfig", kubeconfig}, code: 2, want: `error: no namespace has the name "Bad_NS"`},
		"a folder without a slash":   {args: []string{"connect", "dropbox", "--app-key", "x", "--folder", "Renders", "-o", "yaml"}, code: 2, want: `error: --folder: "Renders" must start with a slash, such as /Marketing/Campaign-2024`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", x.env)
			streams, _, _, errOut := genericiooptions.NewTestIOStreams()
			if code := Main(t.Context(), append([]string{"kubectl-platen"}, x.args...), streams); code != x.code || !strings.HasPrefix(errOut.String(), x.want) {
				t.Errorf("exit code %d, %s", code, errOut)
			}
		})
	}
}

// outputFlagsOf returns the flags of a command line.
func outputFlagsOf(t *testing.T, args ...string) *outputFlags {
	t.Helper()
	f, command := &outputFlags{}, &cobra.Command{}
	f.add(&options{}, command)
	if err := command.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return f
}

// No option is left out in silence because the format has none of it.
func TestOptionsFitTheFormat(t *testing.T) {
	for args, want := range map[string]string{
		"--quality 50":                         "--quality needs --format jpg or jpeg or webp or avif or mp4 or webm, not png",
		"--quality 50 --format gif":            "--quality needs --format jpg or jpeg or webp or avif or mp4 or webm, not gif",
		"--scale 2 --format pdf":               "--scale needs --format png or jpg or jpeg or webp or avif or mp4 or webm or gif, not pdf",
		"--quality 0":                          "--quality: 0 must be from 1 to 100",
		"--quality 50 --format webp --scale 2": "",
		"--quality 0 --pages 2,2 --transparent --format jpg": "--quality: 0 must be from 1 to 100; --transparent needs --format png or webp or avif, not jpg; " +
			"--pages: 2 must be from 1 to 0, the number of pages of RenderTemplate ''; --pages: 2 must be named once",
		"--scale 2 --format gif --transparent=false": "",
		"--transparent --format jpg":                 "--transparent needs --format png or webp or avif, not jpg",
	} {
		f := outputFlagsOf(t, strings.Fields(args)...)
		if err := (mistakes{list: f.checkOptions(&platenv1alpha1.RenderTemplate{})}).err(); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// A person corrects all flags at once: those of the format, of the numbers, and of the values.
func TestAllWrongFlagsAreNamed(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{Spec: platenv1alpha1.RenderTemplateSpec{
		Pages:      []platenv1alpha1.TemplatePage{{Name: "front", Width: 100, Height: 50, HTML: "<p>"}},
		Parameters: []platenv1alpha1.Parameter{{Name: "price", Type: platenv1alpha1.ParameterNumber}, {Name: "headline", Required: new(true)}},
	}}
	template.Name = "card"
	for args, want := range map[string]string{
		"--format bmp --quality 0 --scale 11 --size squar --set headline=x": "--format must be one of png, jpg, jpeg, webp, avif, pdf, mp4, webm, gif, not \"bmp\"; --quality: 0 must be from 1 to 100; " +
			"--scale: '11' must be a decimal number from 0.1 to 10; --size: 'squar' must be a width and a height of 1 to 5000 CSS pixels, such as 1080x1080, or a name such as instagram-post; did you mean 'square'?",
		"--scale 11 --pages 3 --set price=x --set dark": "5 mistakes:\n  --pages: 3 must be from 1 to 1, the number of pages of RenderTemplate 'card'\n  --scale: '11' must be a decimal number from 0.1 to 10\n" +
			"  --set price: \"x\" must be a number, such as 12.5 (the parameter of template 'card' is of type number)\n  --set must be KEY=VALUE, not \"dark\"\n  --set headline is required by the template",
		"--scale 10 --size 5000x9 --format webp --set price=x --set headline=x": "2 mistakes:\n  --set price: \"x\" must be a number, such as 12.5 (the parameter of template 'card' is of type number)\n  --format: page 1 would be 50000x90 pixels at scale 10, and a WebP picture has at most 16383 on a side; choose a smaller --scale or size, or format png",
		"--format mp4 --duration 90000 --set headline=x":                        "--duration: '90000' must be a decimal number of seconds from 0.1 to 60",
	} {
		f := outputFlagsOf(t, strings.Fields(args)...)
		if _, err := f.spec(template); err == nil || err.Error() != want || exitCodeOf(err) != exitUsage {
			t.Errorf("%s: %s", args, cmp.Diff(want, fmt.Sprint(err)))
		}
	}
}

// What needs no template is said even if there is no cluster.
func TestAllWrongFlagsOfRender(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	code := Main(t.Context(), []string{
		"kubectl-platen", "render", "card", "--name", "A_b", "--dry-run=maybe", "--no-upload", "--folder", "/x", "--csv", "/nowhere.csv", "--file-name", "x", "-o", "wide",
	}, streams)
	for _, want := range []string{"--dry-run must be", "--name: ", "--no-upload excludes", "--csv excludes", "no such file", "-o wide: "} {
		if !strings.Contains(errOut.String(), want) || code != exitUsage {
			t.Errorf("exit code %d, no %q in %s", code, want, errOut)
		}
	}
}

// A text with commas stays one item of a list, and a backslash a backslash: a warning says how several items and a line break are given.
func TestTextOfAShell(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{}
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "tags", Type: platenv1alpha1.ParameterList}, {Name: "title", Type: platenv1alpha1.ParameterText}, {Name: "dishes", Type: platenv1alpha1.ParameterList},
		{Name: "nums", Type: platenv1alpha1.ParameterList, Default: &apiextensionsv1.JSON{Raw: []byte(`[1, 2.5]`)}}, {Name: "grid", Type: platenv1alpha1.ParameterList, Default: &apiextensionsv1.JSON{Raw: []byte(`[[1, 2], [3, 4]]`)}},
		{Name: "menu", Type: platenv1alpha1.ParameterList, Default: &apiextensionsv1.JSON{Raw: []byte(`[{"name": "Soup", "price": 5, "about": "Clear and hot, with bread and butter"}, {"name": "Fish"}]`)}}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<b data-each="tags" data-param="item"></b><h1 data-param="title"></h1><p data-each="dishes"><b data-param="name">Soup</b></p>`}}
	for pair, want := range map[string]string{
		"tags=vegan,hot,new": "Warning: --set tags is a list of one item; for one item at each comma, write --set-json 'tags=[\"vegan\",\"hot\",\"new\"]'\n",
		"dishes=Soup,Fish":   `Warning: --set dishes is a list of one text, and the page shows fields of each item; write --set-json 'dishes=[{"name":"Soup"}]'` + "\n",
		"menu=Soup,Fish":     `Warning: --set menu is a list of one text, and the page shows fields of each item; write --set-json 'menu=[{"about":"...","name":"Soup","price":5}]'` + "\n",
		"nums=1,5":           "Warning: --set nums is a list of one item; for one item at each comma, write --set-json 'nums=[1,5]'\n",
		"nums=1,a":           "Warning: --set nums is a list of one item; for one item at each comma, write --set-json 'nums=[\"1\",\"a\"]'\n",
		"grid=1,5":           "Warning: --set grid is a list of one text, and each item that the page shows is a list; write --set-json 'grid=[[1,2]]'\n",
		"tags=Paris, France": "", "tags=vegan": "", "tags=https://a/b,c": "", "tags=a,b\nc": "", `tags=["a,b"]`: "", "title=a,b": "",
		`title=Summer\nSale`: "Warning: --set title has a backslash and an n; for a line break, write --set-json 'title=\"Summer\\nSale\"'\n", "title=a\nb": "",
	} {
		command := outputFlagsOf(t, "--set", pair)
		out := &strings.Builder{}
		spec, err := command.spec(template)
		if command.warnShellText(out, spec, template); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v; want %q", pair, out, err, want)
		}
	}
}

// Of two values of a key, none is dropped.
func TestAValueIsGivenOnce(t *testing.T) {
	for name, c := range map[string]struct {
		flags outputFlags
		want  string
	}{
		"by one flag":  {outputFlags{set: []string{"points=a", "points=b"}}, "--set points: --set gives points already; give it once, and a list as JSON"},
		"field twice":  {outputFlags{setJSON: []string{`x=[{"a":1,"a":2}]`}}, "--set-json x: [0].a is there twice; give it once"},
		"by two flags": {outputFlags{set: []string{"points=a"}, setJSON: []string{"x=1", `points=["b"]`}}, "--set-json points: --set gives points already; give it once, and a list as JSON"},
		"as text":      {outputFlags{setString: []string{"headline="}, set: []string{"headline=z"}}, "--set-string headline: --set gives headline already; give it once, and a list as JSON"},
		"two keys":     {outputFlags{set: []string{"points=a", "page2@points=b"}}, ""},
	} {
		_, wrong := c.flags.modifications(newValueReader(&platenv1alpha1.RenderTemplate{}))
		err := mistakes{list: wrong}.err()
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is said of a value that cannot be read helps to write it.
func TestValuesThatCannotBeRead(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "menu"}}
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "dishes", Type: platenv1alpha1.ParameterList}, {Name: "points", Type: platenv1alpha1.ParameterList}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{HTML: `<li data-each="dishes"><b data-param="name">Soup</b></li><li data-each="rows"><b data-param="id">1</b></li><b data-param="order.total">5</b>`}}
	const declared = " (the parameter of template 'menu' is of type list)"
	for name, c := range map[string]struct {
		flags outputFlags
		want  string
	}{
		"a list of objects":  {outputFlags{set: []string{"dishes=[{'name':'x'}]"}}, `--set dishes: "[{'name':'x'}]" must be a list: JSON, such as [{"name":"Soup"}]` + declared},
		"of a page":          {outputFlags{set: []string{"page2@dishes=[{"}}, `--set page2@dishes: "[{" must be a list: JSON, such as [{"name":"Soup"}]` + declared},
		"not declared":       {outputFlags{set: []string{"rows=[{"}}, `--set rows: "[{" must be a list: JSON, such as [{"id":"1"}] (a page of template 'menu' shows it as a list)`},
		"an object":          {outputFlags{set: []string{"order=5"}}, `--set order: "5" must be an object in JSON, such as {"total":"5"} (a page of template 'menu' shows it as an object)`},
		"a list of texts":    {outputFlags{set: []string{"points=['x']"}}, `--set points: "['x']" must be a list: JSON, such as ["one", "two"], or text with one item a line` + declared},
		"a text as JSON":     {outputFlags{setJSON: []string{"dishes=Soup"}}, `--set-json dishes: "Soup" is not JSON; a text needs quotes, as in dishes='"text"'`},
		"a list's end":       {outputFlags{setJSON: []string{`dishes=[{"name":"x"}`}}, `--set-json dishes: "[{\"name\":\"x\"}" is not JSON: unexpected end of JSON input`},
		"single quotes":      {outputFlags{setJSON: []string{"dishes= {'name':1}"}}, `--set-json dishes: " {'name':1}" is not JSON: invalid character '\'' looking for beginning of object key string`},
		"a text's end":       {outputFlags{setJSON: []string{`dishes="Soup`}}, `--set-json dishes: "\"Soup" is not JSON: unexpected end of JSON input`},
		"a long list's end":  {outputFlags{setJSON: []string{"dishes=[" + strings.Repeat("1,", 500)}}, `--set-json dishes: "[` + strings.Repeat("1,", 39) + `… is not JSON: unexpected end of JSON input`},
		"nothing at all":     {outputFlags{setJSON: []string{"dishes="}}, `--set-json dishes: "" is not JSON; a text needs quotes, as in dishes='"text"'`},
		"an object's fields": {outputFlags{set: []string{`order={"a":1,"a":2}`}}, `--set order: "{\"a\":1,\"a\":2}" must be an object that has each field once: a is there twice (a page of template 'menu' shows it as an object)`},
	} {
		_, wrong := c.flags.modifications(newValueReader(template))
		if err := (mistakes{list: wrong}).err(); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Who connects learns which renders go to the account, and whose was connected before.
func TestConnectedWords(t *testing.T) {
	for want, c := range map[string]struct {
		policy platenv1alpha1.UploadPolicy
		before string
	}{
		"Connected: renders of namespace marketing go to /Renders in the Dropbox of ada@example.com.":                                                 {"", ""},
		"Connected: renders of namespace marketing go to /Renders in the Dropbox of ada@example.com, no longer in that of bob@example.com.":           {platenv1alpha1.UploadAutomatic, "bob@example.com"},
		"Connected: renders of namespace marketing that name dropbox go to /Renders in the Dropbox of ada@example.com.":                               {platenv1alpha1.UploadOnRequest, ""},
		"Connected to the Dropbox of ada@example.com, no longer to that of bob@example.com. Nothing is uploaded there: its uploadPolicy is Disabled.": {platenv1alpha1.UploadDisabled, "bob@example.com"},
	} {
		connection := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "dropbox"}}
		connection.Spec.UploadPolicy = c.policy
		if got := connectedWords(connection, "/Renders", "ada@example.com", c.before); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A line that is longer than the terminal would leave its beginning behind each time it is drawn.
func TestClip(t *testing.T) {
	for line, want := range map[string]string{"short": "short", "123456789": "123456789", "1234567890": "123456789", "äöüäöüäöüäöü": "äöüäöüäöü"} {
		if got := clip(line, 10); got != want {
			t.Errorf("%s: %s", line, got)
		}
	}
	if got := clip("1234567890", 0); got != "1234567890" {
		t.Errorf("an unknown width: %s", got)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// An output that could not be written is no success.
func TestOutputThatIsLost(t *testing.T) {
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	streams.Out = fullDisk{}
	if code := Main(t.Context(), []string{"kubectl-platen", "options"}, streams); code != exitFailed || errOut.String() != "error: the output could not be written: no space left on device\n" {
		t.Errorf("exit code %d, %s", code, errOut)
	}
}

func TestExitCodes(t *testing.T) {
	job := &platenv1alpha1.RenderJob{}
	code := func() int {
		exit := (*exitError)(nil)
		if errors.As(outcome(job), &exit) {
			return exit.code
		}
		return 0
	}
	if code() != exitRenderFailed {
		t.Errorf("not rendered: %d", code())
	}
	job.Status.Conditions = []metav1.Condition{{Type: platenv1alpha1.RenderedCondition, Status: metav1.ConditionTrue}}
	if code() != 0 {
		t.Errorf("rendered: %d", code())
	}
	job.Status.Conditions = append(job.Status.Conditions, metav1.Condition{Type: platenv1alpha1.UploadedCondition, Status: metav1.ConditionFalse})
	if code() != exitUploadFailed {
		t.Errorf("not uploaded: %d", code())
	}
}

// A PDF holds all pages, a film may, and an earlier render takes no time.
func TestDescribeFiles(t *testing.T) {
	for name, c := range map[string]struct {
		format platenv1alpha1.Format
		cache  platenv1alpha1.CacheResult
		pages  int32
		want   string
	}{
		"a picture":           {platenv1alpha1.FormatPNG, platenv1alpha1.CacheMiss, 1, "1 png file, rendered in 20ms:\n  page 1  400x300  12 B  u\n"},
		"a PDF":               {platenv1alpha1.FormatPDF, platenv1alpha1.CacheOff, 1, "1 pdf file, rendered in 20ms:\n  document  400x300  12 B  u\n"},
		"from the cache":      {platenv1alpha1.FormatPNG, platenv1alpha1.CacheHit, 1, "1 png file, from an earlier render:\n  page 1  400x300  12 B  u\n"},
		"a film of two pages": {"gif", platenv1alpha1.CacheOff, 2, "1 gif file, rendered in 20ms:\n  film  400x300  12 B  u\n"},
		"a film of one page":  {"gif", platenv1alpha1.CacheOff, 1, "1 gif file, rendered in 20ms:\n  page 1  400x300  12 B  u\n"},
	} {
		job := &platenv1alpha1.RenderJob{Status: platenv1alpha1.RenderJobStatus{Format: c.format, Cache: c.cache, RenderMilliseconds: new(int64(20)), RenderedPages: &c.pages}}
		job.Spec.Output.Video.CombinePages = new(c.format == "gif")
		job.Status.Pages = []platenv1alpha1.RenderedPage{{Page: 1, Width: 400, Height: 300, Size: new(int64(12)), ContentURL: "u"}}
		out := &bytes.Buffer{}
		describeFiles(out, job)
		if got := out.String(); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// docs/operations/dropbox.md uses the addresses of another Dropbox.
func TestHelpNamesTheAddressesOfDropbox(t *testing.T) {
	command, _, err := New(genericiooptions.IOStreams{}).Find([]string{"connect", "dropbox"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dropbox-authorize-url", "dropbox-api-url"} {
		if !strings.Contains(command.UsageString(), "--"+name) {
			t.Errorf("the help does not name --%s", name)
		}
	}
}

// A folder of Dropbox may have any name: none controls a terminal, or turns the text around it.
func TestPlain(t *testing.T) {
	if got := plain("a\x1b[2Jb\u0085c\u2028d\u202ee\u2066f ü🎉"); got != "a [2Jb c d e f ü🎉" {
		t.Errorf("%q", got)
	}
}

// uploadedWord says what the column UPLOADED of kubectl get says, and why an upload has failed.
func TestUploadedWord(t *testing.T) {
	for want, condition := range map[string]metav1.Condition{
		"True": {Status: metav1.ConditionTrue, Reason: "Uploaded"}, "False (TokenRevoked)": {Status: metav1.ConditionFalse, Reason: "TokenRevoked"},
		"Unknown (Uploading)": {Status: metav1.ConditionUnknown, Reason: "Uploading"},
	} {
		condition.Type = platenv1alpha1.UploadedCondition
		job := &platenv1alpha1.RenderJob{}
		job.Status.Conditions = []metav1.Condition{condition}
		if got := uploadedWord(job); got != want || !strings.HasPrefix(got, string(condition.Status)) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := uploadedWord(&platenv1alpha1.RenderJob{}); got != "" {
		t.Errorf("%q of a job that uploads nothing: kubectl get shows nothing", got)
	}
}

// The title and the description say what a template is for; a parameter with a default need not be given.
func TestDescribeTemplate(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "card", Namespace: "marketing"}}
	template.Spec.Title, template.Spec.Description = "Business card", "For the fair"
	template.Spec.Parameters = []platenv1alpha1.Parameter{{Name: "a", Required: new(true), Description: "The large line", Default: &apiextensionsv1.JSON{Raw: []byte(`"x"`)}}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", HTML: "<p data-param=a>x"}}
	out := &bytes.Buffer{}
	describeTemplate(out, template)
	if got := out.String(); !strings.HasPrefix(got, "RenderTemplate card (Business card) in namespace marketing\nFor the fair\n") || strings.Contains(got, "yes") || !strings.Contains(got, `"x"       The large line`) {
		t.Error(got)
	}
}

// One job with a very long name takes neither the table nor the list of names from the others.
func TestLongNamesAreShortened(t *testing.T) {
	long, fits := strings.Repeat("a", 200)+"-summer-2026-11-27", strings.Repeat("b", 63)
	if got := shortName(long); utf8.RuneCountInString(got) != 63 || !strings.HasPrefix(got, "aaa") || !strings.HasSuffix(got, "…mer-2026-11-27") {
		t.Errorf("%d characters: %q", utf8.RuneCountInString(got), got)
	}
	if got := shortName(fits); got != fits {
		t.Errorf("a name that fits: %q", got)
	}
	if got := among("x", []string{fits, long}); !strings.Contains(got, fits) || strings.Contains(got, long) || !strings.Contains(got, shortName(long)) {
		t.Errorf("a list: %q", got)
	}
	if got := among(long+"x", []string{long}); !strings.Contains(got, "did you mean '"+long+"'?") {
		t.Errorf("the name that is meant is whole: %q", got)
	}
	out := &bytes.Buffer{}
	printTable(out, []string{"NAMESPACE", "NAME", "TEMPLATE", "STATUS"}, [][]string{{"marketing", long, long, "x"}, {"marketing", "short", fits, ""}})
	if strings.Contains(out.String(), long) || strings.Count(out.String(), shortName(long)) != 2 {
		t.Errorf("a table:\n%s", out)
	}
}

// A preview in the cluster renders a template with a generated name, into which the ConfigMaps of a file are copied: people know neither.
func TestNameAsGiven(t *testing.T) {
	template := &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "card"}}
	source := &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: "a.html"}}
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "a", HTMLFrom: source}, {Name: "b", HTML: " "}}
	job := &platenv1alpha1.RenderJob{}
	job.Spec.TemplateRef.Name = "preview-x7k2p"
	for _, details := range []string{"spec.pages[0].html has no text", "spec.pages[1].html has no text"} {
		job.Status.Warnings = append(job.Status.Warnings, platenv1alpha1.Warning{Details: new("RenderTemplate 'preview-x7k2p': " + details)})
	}
	job.Status.Conditions = []metav1.Condition{{Message: "spec.output.pages[0]: 4 must be from 1 to 2, the number of pages of RenderTemplate 'preview-x7k2p'"}}
	nameAsGiven(job, template)
	want := []string{
		"RenderTemplate 'card': spec.pages[0].htmlFrom: key 'a.html' of ConfigMap 'pages' has no text", "RenderTemplate 'card': spec.pages[1].html has no text",
		"spec.output.pages[0]: 4 must be from 1 to 2, the number of pages of RenderTemplate 'card'",
	}
	got := []string{*job.Status.Warnings[0].Details, *job.Status.Warnings[1].Details, job.Status.Conditions[0].Message}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
