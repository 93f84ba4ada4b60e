// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/callers"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

const (
	// callbackPath is where Dropbox sends a visitor back to.
	callbackPath = "/ui/connect/callback"
	// secretSuffix makes a connection's name that of the Secret that is made with it.
	secretSuffix = "-credentials"
	// maxConnections bounds what is listed of a workspace.
	maxConnections = 100
)

// appKey is what Dropbox calls an app; nothing else goes into its address.
var appKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// account is an account as the page uses it.
type account interface {
	storage.Provider
	ListFolders(ctx context.Context, folder string) (folders []dropbox.Folder, complete bool, err error)
	Revoke(ctx context.Context) error
}

// connectionView is a connection as the page shows it.
type connectionView struct {
	Name               string
	Words              words
	Email, DisplayName string
	Used, Allocated    int64
	Folder             string
	Policy             platenv1alpha1.UploadPolicy
	Verified           time.Time
	// High is from where on the account is nearly full.
	High                        int64
	Checking, Connected, Broken bool
	// Notice tells how what the visitor just did ended.
	Notice *words
}

func viewConnection(c *platenv1alpha1.StorageConnection) connectionView {
	v := connectionView{Name: c.Name, Words: connectionWords(c), Folder: string(c.Spec.DefaultFolder), Policy: c.Spec.UploadPolicy}
	v.Checking = v.Words.Tone == busy
	v.Connected = v.Words.Tone == good
	v.Broken = v.Words.Tone == bad
	if a := c.Status.Account; a != nil {
		v.Email, v.DisplayName = a.Email, a.DisplayName
	}
	if space := c.Status.Space; space != nil && space.Used != nil && space.Allocated != nil {
		v.Used, v.Allocated = *space.Used, *space.Allocated
		v.High = v.Allocated / 10 * 9
	}
	if verified := c.Status.LastVerifiedTime; verified != nil {
		v.Verified = verified.Time
	}
	return v
}

// storageView is the Storage page.
type storageView struct {
	Connections []connectionView
	Connect     connectForm
}

// connectForm is the form with which an account is connected.
type connectForm struct {
	Name, AppKey string
	// HasAppKey says that the shim has an app key of its own.
	HasAppKey bool
	// RedirectURI that must be registered for the app.
	RedirectURI string
	// Elsewhere is the address of the page when it was opened under another, under which an account cannot be connected.
	Elsewhere string
	Error     string
}

func (s *Server) storage(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return s.showStorage(w, r, v, http.StatusOK, connectForm{})
}

func (s *Server) showStorage(w http.ResponseWriter, r *http.Request, v *visitor, status int, form connectForm) error {
	list := &platenv1alpha1.StorageConnectionList{}
	if err := v.List(r.Context(), list, client.InNamespace(v.Workspace), client.Limit(maxConnections)); err != nil {
		return err
	}
	view := storageView{Connect: form}
	names := map[string]bool{}
	for i := range list.Items {
		names[list.Items[i].Name] = true
		view.Connections = append(view.Connections, viewConnection(&list.Items[i]))
	}
	if view.Connect.Name == "" {
		view.Connect.Name = freeName(names)
	}
	view.Connect.HasAppKey = s.AppKey != ""
	view.Connect.RedirectURI = s.redirectURI(r)
	if s.own != nil && s.own.Host != r.Host {
		view.Connect.Elsewhere = s.own.String()
	}
	s.views.page(w, status, "storage", page{Title: "Storage", Section: "storage", Session: v.session, Body: view})
	return nil
}

// freeName is the first of dropbox, dropbox-2, … that is not taken.
func freeName(taken map[string]bool) string {
	name := "dropbox"
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("dropbox-%d", n)
	}
	return name
}

// redirectURI is where Dropbox sends a visitor back to. It takes registered addresses only, so a request that lies about its host
// leads nowhere.
func (s *Server) redirectURI(r *http.Request) string {
	if s.own != nil {
		return s.own.String() + callbackPath
	}
	return "http://" + r.Host + callbackPath
}

// app is how an account is connected.
func (s *Server) app(f flow) authflow.Config {
	return authflow.Config{
		AppKey: f.AppKey, RedirectURI: f.RedirectURI, AuthorizeURL: s.AuthorizeURL, APIURL: s.Dropbox.APIURL, Transport: s.Dropbox.Transport,
	}
}

// findConnection reads a connection with the visitor's rights.
func (v *visitor) findConnection(ctx context.Context, name string) (*platenv1alpha1.StorageConnection, error) {
	c := &platenv1alpha1.StorageConnection{}
	err := v.Get(ctx, client.ObjectKey{Namespace: v.Workspace, Name: name}, c)
	if apierrors.IsNotFound(err) {
		return nil, &problem{
			Status: http.StatusNotFound, Title: "There is no such connection",
			Text: fmt.Sprintf("The workspace %s has no StorageConnection '%.63s'.", v.Workspace, name), Link: "/ui/storage", LinkText: "Storage",
		}
	}
	return c, err
}

// open reaches the account of a connection, with credentials that the visitor may read.
func (s *Server) open(ctx context.Context, v *visitor, c *platenv1alpha1.StorageConnection) (account, error) {
	connector := connect.New(connect.Options{
		Credentials: credentials.Reader{Reader: v.Client}, Registry: s.registry,
		Openers: map[platenv1alpha1.ProviderType]connect.Opener{platenv1alpha1.ProviderDropbox: connect.Dropbox(s.Dropbox)},
	})
	provider, err := connector.Open(ctx, c)
	if api := apierrors.APIStatus(nil); errors.As(err, &api) {
		return nil, err // the API server's own words: the visitor may not read the Secret
	}
	if err != nil {
		return nil, err
	}
	a, ok := provider.(account)
	if !ok {
		return nil, fmt.Errorf("the provider %s has no folders to choose from", c.Spec.Provider)
	}
	return a, nil
}

// troubles tells what went wrong with an account; nil when err is not of its kind.
func troubles(err error) *words {
	trouble := (*storage.Error)(nil)
	if !errors.As(err, &trouble) || apierrors.ReasonForError(err) != metav1.StatusReasonUnknown {
		return nil
	}
	return new(accountWords(bad, trouble.Reason, trouble.Message))
}

// connection shows one connection anew.
func (s *Server) connection(w http.ResponseWriter, r *http.Request, v *visitor) error {
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	return s.showConnection(w, r, v, c, nil)
}

func (s *Server) showConnection(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection, notice *words) error {
	view := viewConnection(c)
	view.Notice = notice
	if notice != nil && notice.Tone == bad {
		// The account has just said otherwise than the status, which is older.
		view.Words, view.Broken, view.Connected = words{bad, notice.Title, ""}, true, false
	}
	if fragment(r) {
		s.views.fragment(w, http.StatusOK, "connection", view)
		return nil
	}
	s.views.page(w, http.StatusOK, "connection", page{Title: c.Name, Section: "storage", Session: v.session, Body: view})
	return nil
}

// test asks the account whether everything works.
func (s *Server) test(w http.ResponseWriter, r *http.Request, v *visitor) error {
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	who, err := s.tryAccount(r.Context(), v, c)
	notice := troubles(err)
	switch {
	case err == nil:
		notice = &words{good, "It works", fmt.Sprintf("Dropbox answered for %s, and the folder %s can be written to.", who.Email, c.Spec.DefaultFolder)}
	case notice == nil:
		return err
	}
	return s.showConnection(w, r, v, c, notice)
}

func (s *Server) tryAccount(ctx context.Context, v *visitor, c *platenv1alpha1.StorageConnection) (storage.Account, error) {
	a, err := s.open(ctx, v, c)
	if err != nil {
		return storage.Account{}, err
	}
	who, err := a.Verify(ctx)
	if err != nil {
		return storage.Account{}, err
	}
	return who, a.EnsureFolder(ctx, string(c.Spec.DefaultFolder))
}

// connect sends the visitor to Dropbox's consent page.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	form := connectForm{Name: strings.TrimSpace(r.PostForm.Get("name")), AppKey: strings.TrimSpace(r.PostForm.Get("appKey"))}
	again := func(format string, args ...any) error {
		form.Error = fmt.Sprintf(format, args...)
		return s.showStorage(w, r, v, http.StatusUnprocessableEntity, form)
	}
	if !namespaceName.MatchString(form.Name) || len(form.Name+secretSuffix) > 63 {
		return again("A connection's name has lower-case letters, digits and dashes, at most %d.", 63-len(secretSuffix))
	}
	// Better to hear it now than after the consent.
	if err := v.mayConnect(r.Context()); err != nil {
		return err
	}
	key := form.AppKey
	if key == "" {
		var err error
		if key, err = s.usualKey(r.Context(), v, form.Name); err != nil {
			return err
		}
	}
	switch {
	case key == "":
		return again("Give the app key. It stands in the app's settings at %s.", authflow.AppConsole)
	case !appKey.MatchString(key):
		return again("'%.64s' is no app key. Copy it from the app's settings at %s.", key, authflow.AppConsole)
	}
	begun := flow{
		Attempt: authflow.NewAttempt(), Session: v.ID, Workspace: v.Workspace, Connection: form.Name, AppKey: key,
		RedirectURI: s.redirectURI(r), Expires: s.Clock.Now().Add(connectLifetime),
	}
	if err := s.jar.put(w, connectCookie, begun); err != nil {
		return err
	}
	// Not a redirect: form-action would have to name every address to which Dropbox sends a visitor on their way.
	s.views.page(w, http.StatusOK, "leaving", page{Title: "To Dropbox", Section: "storage", Session: v.session, Body: s.app(begun).URL(begun.Attempt)})
	return nil
}

// mayConnect asks for the rights that it takes to connect an account.
func (v *visitor) mayConnect(ctx context.Context) error {
	for _, verb := range []string{"create", "patch"} {
		if err := v.may(ctx, verb, "storageconnections"); err != nil {
			return mayNotConnect(v, err)
		}
	}
	for _, verb := range []string{"get", "create", "patch"} {
		secrets := authorizationv1.ResourceAttributes{Namespace: v.Workspace, Verb: verb, Resource: "secrets"}
		if err := v.desk.Allow(ctx, v.Caller, secrets); err != nil {
			return mayNotConnect(v, err)
		}
	}
	return nil
}

func mayNotConnect(v *visitor, err error) error {
	refusal := (*callers.Refusal)(nil)
	if !errors.As(err, &refusal) {
		return err
	}
	return &problem{
		Status: http.StatusForbidden, Title: "You may not connect an account here",
		Text: sentence(refusal.Message) + fmt.Sprintf(" Connecting makes a Secret and a StorageConnection. Ask whoever manages the namespace for the role edit, or to connect the account for %s.", v.Workspace),
	}
}

// usualKey is the app key of a connection that is connected again, else the shim's own.
func (s *Server) usualKey(ctx context.Context, v *visitor, name string) (string, error) {
	c := &platenv1alpha1.StorageConnection{}
	err := v.Get(ctx, client.ObjectKey{Namespace: v.Workspace, Name: name}, c)
	if apierrors.IsNotFound(err) {
		return s.AppKey, nil
	}
	if err != nil {
		return "", err
	}
	if c.Spec.Dropbox != nil {
		known, _, err := credentials.Reader{Reader: v.Client}.Read(ctx, v.Workspace, c.Spec.Dropbox.CredentialsSecretRef.Name, credentials.DropboxKeys)
		if err == nil {
			return known["appKey"], nil
		}
	}
	return s.AppKey, nil
}

// callback takes a visitor back from Dropbox. It is a GET from another site: it does nothing unless it carries the state of a flow
// that was begun in this session.
func (s *Server) callback(w http.ResponseWriter, r *http.Request) error {
	found, waiting := s.session(r), flow{}
	known := s.jar.take(r, connectCookie, &waiting)
	s.jar.drop(w, connectCookie)
	begin := func(title, text string) error {
		return &problem{Status: http.StatusBadRequest, Title: title, Text: text, Link: "/ui/storage", LinkText: "Begin again"}
	}
	switch {
	case found == nil:
		return begin("You are not signed in any more", "Nothing was connected. Sign in and begin again.")
	case !known || waiting.Session != found.ID:
		return begin("This answer belongs to no attempt of yours", "Nothing was connected. It may have been used before, or come from elsewhere.")
	case !s.Clock.Now().Before(waiting.Expires):
		return begin("That took too long", "Nothing was connected. An attempt is good for ten minutes.")
	}
	code, err := waiting.Attempt.Code(r.URL.Query())
	if err != nil {
		return connectProblem(err)
	}
	caller, err := s.Desk.Authenticate(r.Context(), found.Token)
	if err != nil {
		return err
	}
	c, err := caller.Client()
	if err != nil {
		return err
	}
	grant, err := s.app(waiting).Exchange(r.Context(), waiting.Attempt, code)
	if err != nil {
		return connectProblem(err)
	}
	if err := s.save(r.Context(), c, waiting, grant); err != nil {
		s.giveBack(r.Context(), waiting.AppKey, grant)
		if problem := (*credentials.Error)(nil); errors.As(err, &problem) {
			return begin("The access could not be kept", sentence(problem.Message))
		}
		return err
	}
	http.Redirect(w, r, "/ui/storage/"+waiting.Connection+"/folders?new=true", http.StatusSeeOther)
	return nil
}

// connectProblem tells of an attempt that failed.
func connectProblem(err error) error {
	failed := (*authflow.Error)(nil)
	if !errors.As(err, &failed) {
		return err
	}
	title := map[authflow.Reason]string{
		authflow.Denied:        "You did not allow the access",
		authflow.StateMismatch: "This answer belongs to no attempt of yours",
		authflow.CodeRefused:   "Dropbox does not accept the answer",
		authflow.AppRefused:    "Dropbox does not accept the app",
		authflow.MissingScope:  "The app lacks a permission",
		authflow.Refused:       "Dropbox refused",
		authflow.Unavailable:   "Dropbox could not be reached",
	}[failed.Reason]
	return &problem{Status: http.StatusBadRequest, Title: title, Text: sentence(failed.Message), Link: "/ui/storage", LinkText: "Back to Storage"}
}

// save keeps what Dropbox gave: the credentials in a Secret, and a StorageConnection that names it.
func (s *Server) save(ctx context.Context, c client.Client, f flow, grant authflow.Grant) error {
	connection := &platenv1alpha1.StorageConnection{}
	err := c.Get(ctx, client.ObjectKey{Namespace: f.Workspace, Name: f.Connection}, connection)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	secret := f.Connection + secretSuffix
	if err == nil && connection.Spec.Dropbox != nil {
		secret = connection.Spec.Dropbox.CredentialsSecretRef.Name
	}
	// The Secret comes first, so that the connection is never seen without it.
	saved := credentials.Writer{Client: c}.SaveDropbox(ctx, f.Workspace, secret, credentials.Redacted{"appKey": f.AppKey, "refreshToken": grant.RefreshToken})
	if saved != nil || err == nil {
		return saved
	}
	return c.Create(ctx, &platenv1alpha1.StorageConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Workspace, Name: f.Connection},
		Spec: platenv1alpha1.StorageConnectionSpec{
			Provider: platenv1alpha1.ProviderDropbox,
			Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: secret}},
		},
	})
}

// giveBack revokes an access that could not be kept: nobody would know of it.
func (s *Server) giveBack(ctx context.Context, key string, grant authflow.Grant) {
	config := s.Dropbox
	config.AppKey, config.RefreshToken = key, grant.RefreshToken
	lost, err := dropbox.New(config)
	if err == nil {
		err = lost.Revoke(ctx)
	}
	if err != nil {
		s.Log.Error(err, "Revoking an access that could not be kept")
	}
}

// picker shows the folders of an account.
type picker struct {
	Connection string
	// Folder whose folders are shown, and those above it, the root first.
	Folder  string
	Above   []dropbox.Folder
	Folders []dropbox.Folder
	// Current default folder.
	Current string
	// Complete is false when the account has more folders than are shown.
	Complete bool
	// New says that the account was connected just now.
	New    bool
	Notice *words
}

// above lists a folder and those above it, the root first.
func above(folder string) []dropbox.Folder {
	list := []dropbox.Folder{{Name: "Dropbox", Path: "/"}}
	for at := 1; at < len(folder); {
		end := strings.IndexByte(folder[at:], '/')
		if end < 0 {
			end = len(folder) - at
		}
		list = append(list, dropbox.Folder{Name: folder[at : at+end], Path: folder[:at+end]})
		at += end + 1
	}
	return list
}

// folderPath tells whether a path is one that FolderPath allows, as far as it matters before Dropbox is asked.
func folderPath(path string) bool {
	if path == "/" {
		return true
	}
	parts := strings.Split(path, "/")
	return len(path) <= 400 && parts[0] == "" && len(parts) > 1 && !slices.ContainsFunc(parts[1:], func(part string) bool { return !folderName(part) })
}

func folderName(name string) bool {
	return name != "" && len(name) <= 255 && !strings.HasSuffix(name, " ") && !strings.HasSuffix(name, ".") &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '/' || r == '\\' || r == 0x7f })
}

func (s *Server) folders(w http.ResponseWriter, r *http.Request, v *visitor) error {
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	view := picker{Connection: c.Name, Folder: "/", Current: string(c.Spec.DefaultFolder), New: r.URL.Query().Get("new") == "true"}
	if path := r.URL.Query().Get("path"); folderPath(path) {
		view.Folder = path
	}
	return s.showFolders(w, r, v, c, view)
}

func (s *Server) showFolders(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection, view picker) error {
	a, err := s.open(r.Context(), v, c)
	if err == nil {
		view.Folders, view.Complete, err = a.ListFolders(r.Context(), view.Folder)
	}
	if err != nil {
		trouble := troubles(err)
		if trouble == nil {
			return err
		}
		view.Notice, view.Complete = trouble, true
	}
	view.Above = above(view.Folder)
	if fragment(r) {
		s.views.fragment(w, http.StatusOK, "picker", view)
		return nil
	}
	s.views.page(w, http.StatusOK, "folders", page{Title: "Choose a folder", Section: "storage", Session: v.session, Body: view})
	return nil
}

// newFolder makes a folder and shows it.
func (s *Server) newFolder(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	view := picker{Connection: c.Name, Folder: r.PostForm.Get("path"), Current: string(c.Spec.DefaultFolder)}
	if !folderPath(view.Folder) {
		view.Folder = "/"
	}
	name := strings.TrimSpace(r.PostForm.Get("name"))
	wanted := storage.JoinPath(view.Folder, name)
	if !folderName(name) || !folderPath(wanted) {
		view.Notice = &words{bad, "Not a folder's name", "It must not have a slash or a backslash, and must not end with a dot."}
		return s.showFolders(w, r, v, c, view)
	}
	a, err := s.open(r.Context(), v, c)
	if err == nil {
		err = a.EnsureFolder(r.Context(), wanted)
	}
	if err != nil {
		if view.Notice = troubles(err); view.Notice == nil {
			return err
		}
		return s.showFolders(w, r, v, c, view)
	}
	view.Folder = wanted
	view.Notice = &words{good, "The folder is there", ""}
	return s.showFolders(w, r, v, c, view)
}

// chooseFolder makes a folder the default.
func (s *Server) chooseFolder(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	before := c.DeepCopy()
	c.Spec.DefaultFolder = platenv1alpha1.FolderPath(r.PostForm.Get("path"))
	if err := v.Patch(r.Context(), c, client.MergeFrom(before)); err != nil {
		return err
	}
	s.redirect(w, r, "/ui/storage")
	return nil
}

// disconnectPage asks whether the visitor means it.
func (s *Server) disconnectPage(w http.ResponseWriter, r *http.Request, v *visitor) error {
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	s.views.page(w, http.StatusOK, "disconnect", page{Title: "Disconnect " + c.Name, Section: "storage", Session: v.session, Body: viewConnection(c)})
	return nil
}

// disconnected tells what became of a connection that was ended.
type disconnected struct {
	Name, Secret string
	// Revoked says that Dropbox has ended the access, SecretKept that the Secret was not made here.
	Revoked, SecretKept bool
}

// disconnect ends the access at Dropbox and deletes the connection, and the Secret if it was made by connecting.
func (s *Server) disconnect(w http.ResponseWriter, r *http.Request, v *visitor) error {
	c, err := v.findConnection(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	// Asked before the access is ended, which nothing brings back.
	if err := v.may(r.Context(), "delete", "storageconnections"); err != nil {
		return err
	}
	result := disconnected{Name: c.Name}
	a, err := s.open(r.Context(), v, c)
	if err == nil {
		err = a.Revoke(r.Context())
	}
	// An access that has ended before cannot be ended; whatever else hinders it must not keep a connection alive.
	trouble := (*storage.Error)(nil)
	result.Revoked = err == nil || errors.As(err, &trouble) && trouble.Reason == "TokenExpired"
	if err := v.Delete(r.Context(), c, client.Preconditions{UID: &c.UID}); client.IgnoreNotFound(err) != nil {
		return err
	}
	s.registry.Forget(string(c.UID))
	if c.Spec.Dropbox != nil {
		result.Secret = c.Spec.Dropbox.CredentialsSecretRef.Name
		gone, err := credentials.Writer{Client: v.Client}.DeleteOurs(r.Context(), v.Workspace, result.Secret)
		if err != nil && !apierrors.IsForbidden(err) {
			return err
		}
		result.SecretKept = !gone
	}
	s.views.page(w, http.StatusOK, "disconnected", page{Title: "Disconnected", Section: "storage", Session: v.session, Body: result})
	return nil
}
