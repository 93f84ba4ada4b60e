// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/accounts"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/chromium"
	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/suite"
)

// app creates an app with its own account, and returns the app key, the account's email and the flags for a free port.
func app(t *testing.T) (key, email string, flags []string) {
	t.Helper()
	free, err := program.FreeAddresses(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(free[0])
	if err != nil {
		t.Fatal(err)
	}
	key = "app" + port
	email = key + "@example.com"
	sim.AddAccount(dropboxsim.Account{
		AppKey: key, AppName: "Platen", RefreshToken: "unused-" + key, Email: email, DisplayName: "Ada",
		RedirectURIs: []string{"http://localhost:" + port + "/"},
	})
	return key, email, []string{"--app-key", key, "--port", port}
}

func command(namespace string, flags []string, more ...string) []string {
	return append(append([]string{"connect", "dropbox", "-n", namespace}, flags...), more...)
}

// connected reads the connection and its Secret.
func connected(t *testing.T, namespace string) (*platenv1alpha1.StorageConnection, *corev1.Secret) {
	t.Helper()
	connection, secret := &platenv1alpha1.StorageConnection{}, &corev1.Secret{}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "dropbox"}, connection); err != nil {
		t.Fatal(err)
	}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: connection.Spec.Dropbox.CredentialsSecretRef.Name}, secret); err != nil {
		t.Fatal(err)
	}
	return connection, secret
}

// nothingWritten checks that a namespace has neither a connection nor a Secret.
func nothingWritten(t *testing.T, namespace string) {
	t.Helper()
	connections, secrets := &platenv1alpha1.StorageConnectionList{}, &corev1.SecretList{}
	for _, list := range []client.ObjectList{connections, secrets} {
		if err := api.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
	}
	if len(connections.Items)+len(secrets.Items) > 0 {
		t.Errorf("there are %d connections and %d Secrets", len(connections.Items), len(secrets.Items))
	}
}

// works tells whether Dropbox accepts a refresh token.
func works(t *testing.T, key, refreshToken string) bool {
	t.Helper()
	c, err := dropbox.New(dropbox.Config{AppKey: key, RefreshToken: refreshToken, APIURL: simURL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Verify(t.Context())
	return err == nil
}

func TestConnectWithABrowser(t *testing.T) {
	namespace := workspace(t)
	key, email, flags := app(t)
	terminal, visits := open(t, realBrowser, command(namespace, flags)...)
	terminal.await("Opening Dropbox in your browser")

	browser := chromium.Start(t, nil)
	browser.Open(visits.next())
	browser.Sees("Platen would like to", email)
	browser.Click("button[value=allow]")
	browser.Sees("Almost done", "Go back to the terminal")
	shown := browser.Page()

	terminal.await("Dropbox of Ada <" + email + ">, 2.0 GiB free of 2.0 GiB")
	terminal.await("Folders in /\r\n +none")
	terminal.enter("+ Campaigns")
	terminal.await("Folders in /Campaigns")
	terminal.enter("nowhere")
	terminal.await("/Campaigns/nowhere: Path does not exist.*Choose another")
	terminal.enter("+ 2026")
	terminal.await("Folders in /Campaigns/2026")
	terminal.enter("..")
	terminal.await("1  2026")
	terminal.enter("1")
	terminal.await("Folders in /Campaigns/2026")
	terminal.enter(".")
	code, text := terminal.end()
	if code != 0 || !strings.Contains(text, "Connected: renders of namespace "+namespace+" go to /Campaigns/2026 in the Dropbox of "+email) {
		t.Fatalf("exit code %d\n%s", code, text)
	}

	connection, secret := connected(t, namespace)
	if !meta.IsStatusConditionTrue(connection.Status.Conditions, platenv1alpha1.ReadyCondition) || connection.Status.Account.Email != email ||
		connection.Spec.DefaultFolder != "/Campaigns/2026" || secret.Labels[platenv1alpha1.CredentialsLabel] != "true" {
		t.Errorf("connection %+v", connection)
	}
	refreshToken := string(secret.Data["refreshToken"])
	if !works(t, key, refreshToken) || strings.Contains(text, refreshToken) || strings.Contains(shown, refreshToken) {
		t.Error("the refresh token does not work, or is shown")
	}
}

func TestDenial(t *testing.T) {
	namespace := workspace(t)
	_, _, flags := app(t)
	terminal, visits := open(t, realBrowser, command(namespace, flags)...)
	browser := chromium.Start(t, nil)
	browser.Open(visits.next())
	browser.Click("button[value=cancel]")
	browser.Sees("Not connected", "nothing was changed")
	code, text := terminal.end()
	if code != 1 || !strings.Contains(text, "error: Access to Dropbox was not allowed, and nothing was changed") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	nothingWritten(t, namespace)
}

func TestForgedRedirectsChangeNothing(t *testing.T) {
	namespace := workspace(t)
	_, email, flags := app(t)
	terminal, visits := open(t, realBrowser, command(namespace, flags, "--folder", "/Renders")...)
	consent, err := url.Parse(visits.next())
	if err != nil {
		t.Fatal(err)
	}
	home := consent.Query().Get("redirect_uri")
	visit := func(target, host string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	state := url.QueryEscape(consent.Query().Get("state"))
	for _, x := range []struct {
		target, host string
		want         int
	}{
		{target: home + "?code=stolen&state=forged", want: http.StatusBadRequest},
		{target: home + "?error=access_denied&state=forged", want: http.StatusBadRequest},
		{target: home + "?code=stolen", want: http.StatusBadRequest},
		{target: home + "?code=stolen&state=" + state, host: "evil.example", want: http.StatusMisdirectedRequest},
		{target: home + "other?code=stolen&state=" + state, want: http.StatusNotFound},
	} {
		if status := visit(x.target, x.host); status != x.want {
			t.Errorf("%s at %q: HTTP %d, want %d", x.target, x.host, status, x.want)
		}
	}
	redirect, _, err := dropboxsim.Visit(t.Context(), consent.String(), email)
	if err != nil {
		t.Fatal(err)
	}
	if status := visit(redirect.String(), ""); status != http.StatusOK {
		t.Errorf("the real answer: HTTP %d", status)
	}
	if code, text := terminal.end(); code != 0 || !strings.Contains(text, "Connected:") {
		t.Errorf("exit code %d\n%s", code, text)
	}
}

// paste allows the access on another machine and types the code.
func paste(t *testing.T, terminal *terminal, email string) {
	t.Helper()
	page := terminal.await(`(http://127\.0\.0\.1:\d+/oauth2/authorize\S+)`)[1]
	terminal.await("Code: ")
	redirect, code, err := dropboxsim.Visit(t.Context(), page, email)
	if err != nil || redirect != nil {
		t.Fatalf("redirected to %v, %v", redirect, err)
	}
	terminal.enter(code)
}

func TestConnectWithoutABrowser(t *testing.T) {
	for name, x := range map[string]struct {
		browser browser
		flags   []string
		text    string
	}{
		"no display":                   {browser: noBrowser, text: "There is no browser on this machine"},
		"a browser that does not open": {browser: brokenBrowser, text: "The browser could not be opened"},
		"--no-browser":                 {browser: realBrowser, flags: []string{"--no-browser"}, text: "Open this page"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := workspace(t)
			key, email, flags := app(t)
			terminal, _ := open(t, x.browser, command(namespace, flags, x.flags...)...)
			terminal.await(x.text)
			paste(t, terminal, email)
			terminal.await("Folders in /")
			terminal.enter("") // the default
			code, text := terminal.end()
			connection, secret := connected(t, namespace)
			if code != 0 || connection.Spec.DefaultFolder != "/Renders" || !works(t, key, string(secret.Data["refreshToken"])) {
				t.Errorf("exit code %d, connection %+v\n%s", code, connection.Spec, text)
			}
		})
	}
}

func TestWrongCodes(t *testing.T) {
	for name, x := range map[string]struct {
		asked int
		code  func(t *testing.T, page, email string) string
		text  string
	}{
		"mistyped": {asked: 3, code: func(*testing.T, string, string) string { return "made-up" }, text: "Dropbox does not accept the code"},
		"none":     {asked: 1, code: func(*testing.T, string, string) string { return "" }, text: "no code was given"},
		"of another attempt": {asked: 3, code: func(t *testing.T, page, email string) string {
			t.Helper()
			u, err := url.Parse(page)
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			q.Set("code_challenge", strings.Repeat("x", 43))
			u.RawQuery = q.Encode()
			_, code, err := dropboxsim.Visit(t.Context(), u.String(), email)
			if err != nil {
				t.Fatal(err)
			}
			return code
		}, text: "Dropbox does not accept the code"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := workspace(t)
			_, email, flags := app(t)
			terminal, _ := open(t, noBrowser, command(namespace, flags)...)
			page := terminal.await(`(http://127\.0\.0\.1:\d+/oauth2/authorize\S+)`)[1]
			for range x.asked {
				terminal.await("Code: ")
				terminal.enter(x.code(t, page, email))
			}
			if code, text := terminal.end(); code != 1 || !strings.Contains(text, "error: "+x.text) {
				t.Errorf("exit code %d\n%s", code, text)
			}
			nothingWritten(t, namespace)
		})
	}
}

// Who mistypes a code need not begin again.
func TestACodeThatIsMistypedOnce(t *testing.T) {
	namespace := workspace(t)
	_, email, flags := app(t)
	terminal, _ := open(t, noBrowser, command(namespace, flags, "--no-browser", "--folder", "/Renders")...)
	page := terminal.await(`(http://127\.0\.0\.1:\d+/oauth2/authorize\S+)`)[1]
	terminal.await("Code: ")
	terminal.enter("made-up")
	terminal.await("Dropbox does not accept the code")
	terminal.await("Code: ")
	_, code, err := dropboxsim.Visit(t.Context(), page, email)
	if err != nil {
		t.Fatal(err)
	}
	terminal.enter(code)
	if code, text := terminal.end(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, text)
	}
	connected(t, namespace)
}

func TestConnectingAgain(t *testing.T) {
	namespace := workspace(t)
	key, email, flags := app(t)
	flags = append(flags, "--no-browser", "--folder", "/Renders")
	terminal, _ := open(t, noBrowser, command(namespace, flags)...)
	paste(t, terminal, email)
	if code, text := terminal.end(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, text)
	}
	_, before := connected(t, namespace)

	// Another person connects. The command must wait until Platen has reached their account.
	_, other, _ := app(t)
	terminal, _ = open(t, noBrowser, command(namespace, flags)...)
	paste(t, terminal, other)
	code, text := terminal.end()
	connection, after := connected(t, namespace)
	if code != 0 || !strings.Contains(text, "in the Dropbox of "+other+", no longer in that of "+email) || connection.Status.Account.Email != other {
		t.Errorf("exit code %d, account %v\n%s", code, connection.Status.Account, text)
	}
	if string(before.Data["refreshToken"]) == string(after.Data["refreshToken"]) || !works(t, key, string(after.Data["refreshToken"])) {
		t.Error("the Secret does not hold the new credentials")
	}
}

// account creates a connection as kubectl does, whose Secret does not exist.
func account(t *testing.T, namespace, name string) {
	t.Helper()
	c := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	c.Spec = platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox, DefaultFolder: "/Kept", UploadPolicy: platenv1alpha1.UploadOnRequest,
		Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "mine"}},
	}
	if err := api.Create(t.Context(), c, client.FieldOwner("kubectl")); err != nil {
		t.Fatal(err)
	}
}

// A connection that another tool manages gets new credentials, and stays as it is. The command is the one that the plugin recommends.
func TestConnectingAConnectionOfAnotherTool(t *testing.T) {
	namespace := workspace(t)
	_, email, flags := app(t)
	account(t, namespace, "storage")
	hint := "kubectl platen connect dropbox storage -n " + namespace
	suite.Eventually(t, "the connection says what to do", func() error {
		if r := platen(t, "connections", "storage", "-n", namespace); r.code != 0 || !strings.Contains(r.out, "SecretNotFound: ") || !strings.Contains(r.out, "Next: Connect the account again, or create the Secret.") || !strings.Contains(r.out, hint+" --app-key APP_KEY\n") {
			return fmt.Errorf("%s%s", r.out, r.errOut)
		}
		return nil
	})
	terminal, _ := open(t, noBrowser, append(append(strings.Fields(hint)[2:], flags...), "--no-browser")...)
	paste(t, terminal, email)
	code, text := terminal.end()
	c, secret := &platenv1alpha1.StorageConnection{}, &corev1.Secret{}
	for name, object := range map[string]client.Object{"storage": c, "mine": secret} {
		if err := api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	if code != 0 || c.Generation != 1 || c.Spec.DefaultFolder != "/Kept" || c.Status.Account == nil || c.Status.Account.Email != email || !strings.Contains(text, "go to /Kept in the Dropbox of "+email) {
		t.Errorf("exit code %d, %+v\n%s", code, c.Status, text)
	}
	if strings.Contains(text, "storageconnection.platen.dev/storage applied") {
		t.Errorf("the connection was written:\n%s", text)
	}
}

// connect leaves a Secret that a manifest would bring back. The plugin recommends a command that prints a new one.
func TestASecretFromAManifest(t *testing.T) {
	namespace := workspace(t)
	key, email, flags := app(t)
	secret := applycorev1.Secret("mine", namespace).WithLabels(map[string]string{platenv1alpha1.CredentialsLabel: "true"}).
		WithStringData(map[string]string{"appKey": key, "refreshToken": "ended"})
	if err := api.Apply(t.Context(), secret, client.FieldOwner("kubectl")); err != nil {
		t.Fatal(err)
	}
	account(t, namespace, "storage")
	hint := "kubectl platen connect dropbox storage -n " + namespace + " --secret mine -o yaml"
	suite.Eventually(t, "the connection says what to do", func() error {
		r := platen(t, "connections", "storage", "-n", namespace)
		if r.code != 0 || !strings.Contains(r.out, "TokenExpired: ") || !strings.Contains(r.out, "Secret 'mine' is from a manifest, and kubectl platen connect leaves it as it is") || !strings.HasSuffix(r.out, "  "+hint+"\n") {
			return fmt.Errorf("%s%s", r.out, r.errOut)
		}
		return nil
	})
	if r := platen(t, append([]string{"connect", "dropbox", "storage", "-n", namespace, "--no-browser"}, flags...)...); r.code != 1 || !strings.Contains(r.errOut, "or take over with --force-conflicts") {
		t.Errorf("exit code %d, %s", r.code, r.errOut)
	}
	terminal, _ := open(t, noBrowser, append(append(strings.Fields(hint)[2:], flags...), "--no-browser", "--folder", "/Kept")...)
	paste(t, terminal, email)
	code, text := terminal.end()
	_, manifests, _ := strings.Cut(strings.ReplaceAll(text, "\r", ""), "apiVersion: v1\n")
	document, _, _ := strings.Cut(manifests, "---\n")
	printed := &corev1.Secret{}
	if err := yaml.UnmarshalStrict([]byte(document), printed); code != 0 || err != nil || printed.Name != "mine" || !works(t, key, string(printed.Data["refreshToken"])) {
		t.Errorf("exit code %d, %v\n%s", code, err, text)
	}
}

func TestManifestsNeedNoCluster(t *testing.T) {
	key, email, flags := app(t)
	namespace := workspace(t)
	for _, format := range []string{"yaml", "json"} {
		terminal, _ := open(t, noBrowser, command(namespace, flags, "--no-browser", "--folder", "/Marketing", "--upload-policy", "OnRequest", "-o", format, "--server", "https://127.0.0.1:1")...)
		paste(t, terminal, email)
		code, text := terminal.end()
		if code != 0 {
			t.Fatalf("exit code %d\n%s", code, text)
		}
		if format == "json" {
			if !strings.Contains(text, `"kind": "List"`) {
				t.Errorf("not a List:\n%s", text)
			}
			continue
		}
		_, manifests, _ := strings.Cut(strings.ReplaceAll(text, "\r", ""), "apiVersion: v1\n")
		documents := strings.Split(manifests, "---\n")
		secret, connection := &corev1.Secret{}, &platenv1alpha1.StorageConnection{}
		if len(documents) != 2 || yaml.UnmarshalStrict([]byte(documents[0]), secret) != nil || yaml.UnmarshalStrict([]byte(documents[1]), connection) != nil {
			t.Fatalf("manifests:\n%s", text)
		}
		if !works(t, key, string(secret.Data["refreshToken"])) || secret.Namespace != namespace || connection.Spec.DefaultFolder != "/Marketing" ||
			connection.Spec.UploadPolicy != platenv1alpha1.UploadOnRequest || connection.Spec.Dropbox.CredentialsSecretRef.Name != secret.Name {
			t.Errorf("connection %+v", connection.Spec)
		}
		// It is the Secret of whoever applies it: the page's Disconnect must leave it.
		if diff := cmp.Diff(map[string]string{platenv1alpha1.CredentialsLabel: "true"}, secret.Labels); diff != "" {
			t.Errorf("labels of the Secret (-want +got):\n%s", diff)
		}
	}
	nothingWritten(t, namespace)
}

func TestDryRun(t *testing.T) {
	for _, mode := range []string{"client", "server"} {
		t.Run(mode, func(t *testing.T) {
			namespace := workspace(t)
			key, email, flags := app(t)
			terminal, _ := open(t, noBrowser, command(namespace, flags, "--no-browser", "--folder", "/Renders", "--dry-run="+mode)...)
			paste(t, terminal, email)
			if code, text := terminal.end(); code != 0 || !strings.Contains(text, "secret/dropbox-credentials applied in namespace "+namespace+" (") {
				t.Errorf("exit code %d\n%s", code, text)
			}
			nothingWritten(t, namespace)
			revoked := false
			for _, e := range sim.Log() {
				revoked = revoked || e.AppKey == key && e.Route == "/2/auth/token/revoke" && e.Status == http.StatusOK
			}
			if !revoked {
				t.Error("the permission was not revoked, although nothing saved it")
			}
		})
	}
}

// The account is connected, but the controller cannot use it.
func TestPlatenDoesNotReachTheAccount(t *testing.T) {
	forbidden := dropboxsim.Fault{Status: http.StatusConflict, ContentType: "application/json", Count: 100, Body: `{"error_summary":"path/no_write_permission/","error":{".tag":"path","path":{".tag":"no_write_permission"}}}`}
	busy := dropboxsim.Fault{Status: http.StatusServiceUnavailable, Count: 100}
	// A folder that is found is not made.
	hidden := dropboxsim.Fault{
		Route: "/2/files/get_metadata", Status: http.StatusConflict, ContentType: "application/json", Count: 100, Body: `{"error_summary":"path/not_found/","error":{".tag":"path","path":{".tag":"not_found"}}}`,
	}
	for name, x := range map[string]struct {
		route string
		fault dropboxsim.Fault
		code  int
		text  string
	}{
		// The first call of the route is the plugin's own.
		"it is refused": {route: "/2/files/create_folder_v2", fault: forbidden, code: 1, text: "is not ready: NoWritePermission: No permission to write to this folder"},
		"it is busy":    {route: "/2/users/get_space_usage", fault: busy, code: 5, text: "is not ready after 1s: Unavailable: Dropbox is unavailable (HTTP 503)"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := workspace(t)
			_, email, flags := app(t)
			x.fault.Route, x.fault.Skip = x.route, 1
			sim.AddFault(hidden)
			sim.AddFault(x.fault)
			defer sim.ClearFaults()
			terminal, _ := open(t, noBrowser, command(namespace, flags, "--no-browser", "--folder", "/Renders", "--timeout", "1s")...)
			paste(t, terminal, email)
			if code, text := terminal.end(); code != x.code || !strings.Contains(text, x.text) {
				t.Errorf("exit code %d\n%s", code, text)
			}
		})
	}
}

// The command reports what the cluster would refuse before it opens Dropbox.
func TestRefusalsComeBeforeConsent(t *testing.T) {
	namespace := workspace(t)
	taken := workspace(t)
	foreign := applycorev1.Secret("dropbox-credentials", taken).WithData(map[string][]byte{"appKey": []byte("theirs")})
	if err := api.Apply(t.Context(), foreign, client.FieldOwner("flux")); err != nil {
		t.Fatal(err)
	}
	file := workspace(t)
	ofFile := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: file, Name: "dropbox-credentials"}, Data: map[string][]byte{"appKey": []byte("theirs"), "refreshToken": []byte("old")}}
	if err := api.Create(t.Context(), ofFile, client.FieldOwner("kubectl-client-side-apply")); err != nil {
		t.Fatal(err)
	}
	texts := workspace(t)
	ofTexts := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"namespace": texts, "name": "dropbox-credentials"},
		"stringData": map[string]any{"appKey": "theirs", "refreshToken": "old"},
	}}
	if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(ofTexts), client.FieldOwner("kubectl")); err != nil {
		t.Fatal(err)
	}
	applied := workspace(t)
	connection := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "platen.dev/v1alpha1", "kind": "StorageConnection", "metadata": map[string]any{"namespace": applied, "name": "dropbox"},
		"spec": map[string]any{
			"provider": "dropbox", "defaultFolder": "/Kept", "dropbox": map[string]any{"credentialsSecretRef": map[string]any{"name": "dropbox-credentials"}},
		},
	}}
	if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(connection), client.FieldOwner("kubectl")); err != nil {
		t.Fatal(err)
	}
	_, _, flags := app(t)
	for name, x := range map[string]struct {
		args []string
		code int
		text string
	}{
		"managed by another":        {args: command(taken, flags), code: 1, text: "another tool manages Secret " + taken + "/dropbox-credentials"},
		"no namespace":              {args: command("nowhere", flags), code: 1, text: "namespace nowhere does not exist"},
		"no person":                 {args: command(namespace, flags, "--no-browser"), code: 1, text: "only a person can allow access: a script that has a refresh token makes the Secret and the StorageConnection itself, as in docs/operations/dropbox.md"},
		"a bad folder":              {args: command(namespace, flags, "--folder", "Renders"), code: 2, text: `--folder: "Renders" must start with a slash`},
		"a bad folder of another's": {args: command(applied, flags, "--folder", "Renders"), code: 2, text: `--folder: "Renders" must start with a slash`},
		"another's":                 {args: command(applied, flags, "--folder", "/Renders"), code: 1, text: "another tool manages StorageConnection " + applied + "/dropbox"},
		"a bad policy":              {args: command(namespace, flags, "--upload-policy", "Sometimes"), code: 2, text: "--upload-policy must be Automatic or OnRequest or Disabled"},
		"a bad conflict":            {args: command(namespace, flags, "--conflict-policy", "foo"), code: 2, text: "--conflict-policy must be Overwrite or Rename or Keep"},
		"a bucket":                  {args: []string{"connect", "s3"}, code: 2, text: "StorageConnection of provider s3"},
		"a shell":                   {args: []string{"completion", "foo"}, code: 2, text: `completion knows no "foo"`},
		"a bad name":                {args: append(command(namespace, flags), "My_Dropbox"), code: 2, text: `error: NAME: "My_Dropbox" must be lower-case letters, digits, hyphens and dots`},
		"a bad Secret":              {args: command(namespace, flags, "--secret", "My_Secret"), code: 2, text: `error: --secret: "My_Secret" must be lower-case letters, digits, hyphens and dots`},
		"a bad app key":             {args: []string{"connect", "dropbox", "-n", namespace, "--app-key", "x y"}, code: 2, text: `error: --app-key: "x y" must be letters, digits, hyphens and underscores, as in the settings of your Dropbox app at https://`},
		"a bad port":                {args: command(namespace, flags, "--port", "0", "--no-browser"), code: 2, text: "error: --port: 0 must be from 1 to 65535"},
		"another bad port":          {args: command(namespace, flags, "--port", "65536"), code: 2, text: "error: --port: 65536 must be from 1 to 65535"},
		"an applied file":           {args: command(file, flags), code: 1, text: "; kubectl apply would give the credentials of its file again: put what -o yaml prints into the file, or take over with --force-conflicts"},
		"an applied file of texts":  {args: command(texts, flags), code: 1, text: "another tool manages Secret " + texts + `/dropbox-credentials: Apply failed with 1 conflict: conflict with "kubectl": .stringData; give that tool what -o yaml prints`},
		"no key for an account":     {args: []string{"connect", "dropbox", "-n", taken}, code: 2, text: "--app-key must be given"},
		"no app key":                {args: []string{"connect", "dropbox", "-n", namespace}, code: 2, text: "--app-key must be given"},
		"another output":            {args: command(namespace, flags, "-o", "name"), code: 2, text: "-o must be yaml or json"},
		"another dry run":           {args: command(namespace, flags, "--dry-run=maybe"), code: 2, text: "--dry-run must be"},
		"another provider":          {args: []string{"connect", "onedrive"}, code: 2, text: `connect knows no "onedrive"; did you mean: dropbox`},
		"no rights":                 {args: command(namespace, flags, "--as", "nobody"), code: 1, text: "ask for the role edit in that namespace"},
		"no cluster":                {args: command(namespace, flags, "--server", "https://127.0.0.1:1"), code: 1, text: "the cluster could not be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			r := platen(t, x.args...)
			if r.code != x.code || !strings.Contains(r.errOut, x.text) || r.out != "" {
				t.Errorf("exit code %d, out %q, error %q", r.code, r.out, r.errOut)
			}
		})
	}
	// kubectl is the person, and no other tool.
	mine := workspace(t)
	byHand := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: mine, Name: "dropbox-credentials"}, Data: map[string][]byte{"appKey": []byte("mine"), "refreshToken": []byte("old")}}
	if err := api.Create(t.Context(), byHand, client.FieldOwner("kubectl-create")); err != nil {
		t.Fatal(err)
	}
	if err := (accounts.Connection{Namespace: mine, Name: "dropbox", AppKey: "key"}).Check(t.Context(), api, false); err != nil {
		t.Errorf("a Secret by hand: %v", err)
	}
	nothingWritten(t, namespace)
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: taken, Name: "dropbox"}, &platenv1alpha1.StorageConnection{}); !apierrors.IsNotFound(err) {
		t.Errorf("the connection: %v", err)
	}
}

// The command that the advice about a connection names needs no flag: the cluster has the app key of the last time.
func TestConnectAgainKnowsTheAppKey(t *testing.T) {
	namespace := workspace(t)
	secret, connection := (accounts.Connection{Namespace: namespace, Name: "archive", Secret: "mine", AppKey: "lasttime", RefreshToken: "revoked"}).Manifests()
	if err := api.Apply(t.Context(), secret, client.FieldOwner("platen-connect")); err != nil {
		t.Fatal(err)
	}
	if err := api.Create(t.Context(), connection); err != nil {
		t.Fatal(err)
	}
	r := platen(t, "connect", "dropbox", "archive", "-n", namespace, "--no-browser")
	for _, want := range []string{"App key lasttime, as in Secret mine; another one with --app-key.\n", "client_id=lasttime&", "only a person can allow access"} {
		if r.code != 1 || !strings.Contains(r.errOut, want) {
			t.Errorf("exit code %d, no %q in %q", r.code, want, r.errOut)
		}
	}
	r = platen(t, "connect", "dropbox", "archive", "-n", namespace, "--no-browser", "--app-key", "other")
	if r.code != 1 || !strings.Contains(r.errOut, "client_id=other&") || strings.Contains(r.errOut, "lasttime") {
		t.Errorf("exit code %d, %q", r.code, r.errOut)
	}
}
