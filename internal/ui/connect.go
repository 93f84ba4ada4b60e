// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/accounts"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

// callbackPath is the path to which Dropbox sends a visitor back.
const callbackPath = "/ui/connect/callback"

// connectForm is the form that connects an account.
type connectForm struct {
	Name, AppKey string
	// HasAppKey tells whether the shim has its own app key.
	HasAppKey bool
	// RedirectURI must be registered for the app.
	RedirectURI string
	// Elsewhere is the configured address of the page if the visitor uses another one; empty otherwise. Connecting works only there.
	Elsewhere string
	// Again is the connection that the form connects again; empty if it makes a new one.
	Again string
	// Error is about the form as a whole, and NameError and AppKeyError about a field; empty if nothing is wrong.
	Error, NameError, AppKeyError string
}

// redirectURI returns the address to which Dropbox sends a visitor back. A forged Host header is harmless, because Dropbox accepts
// only registered addresses.
func (s *Server) redirectURI(r *http.Request) string { return s.originOf(r) + callbackPath }

// originOf returns the page's origin as the visitor's browser sees it.
func (s *Server) originOf(r *http.Request) string {
	switch {
	case s.origin != nil:
		return s.origin.String()
	case r.TLS != nil:
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}

// app returns the OAuth configuration of a flow.
func (s *Server) app(f flow) authflow.Config {
	return authflow.Config{
		AppKey: f.AppKey, RedirectURI: f.RedirectURI, AuthorizeURL: s.AuthorizeURL, APIURL: s.Dropbox.APIURL, Transport: s.Dropbox.Transport,
	}
}

// connect sends the visitor to Dropbox's consent page.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	form := connectForm{Name: strings.TrimSpace(r.PostForm.Get("name")), AppKey: strings.TrimSpace(r.PostForm.Get("appKey")), Again: r.PostForm.Get("again")}
	if !namespaceName.MatchString(form.Name) || len(form.Name) > accounts.MaxName {
		form.NameError = fmt.Sprintf("This must be at most %d lower-case letters, digits and dashes, with a letter or a digit first and last.", accounts.MaxName)
	}
	if form.AppKey != "" && !accounts.ValidAppKey(form.AppKey) {
		form.AppKeyError = fmt.Sprintf("'%.64s' is not an app key. Copy it from the app's settings at %s.", form.AppKey, authflow.AppConsole)
	}
	if form.NameError != "" || form.AppKeyError != "" {
		return s.showStorage(w, r, v, http.StatusUnprocessableEntity, form)
	}
	connection, _, err := findTarget(r.Context(), v.Client, v.Workspace, form.Name)
	if err == nil && connection.Exists && connection.Secret == "" {
		form.NameError = fmt.Sprintf("There is a connection '%s' to a bucket already. Give another name.", form.Name)
		return s.showStorage(w, r, v, http.StatusUnprocessableEntity, form)
	}
	if err == nil && connection.Exists && form.Again != form.Name {
		form.NameError = fmt.Sprintf("There is a connection '%s' already. Give another name, or use its button Connect again.", form.Name)
		return s.showStorage(w, r, v, http.StatusUnprocessableEntity, form)
	}
	if err == nil {
		err = connection.Check(r.Context(), v.Client, true)
	}
	kept := (*storage.Error)(nil)
	switch {
	case apierrors.IsForbidden(err):
		return connectForbidden(v, err)
	case errors.As(err, &kept):
		form.Error = sentence(kept.Message)
		return s.showStorage(w, r, v, http.StatusUnprocessableEntity, form)
	case err != nil:
		return err
	}
	key := cmp.Or(form.AppKey, knownAppKey(r.Context(), v, connection), s.AppKey)
	if !accounts.ValidAppKey(key) {
		form.AppKeyError = fmt.Sprintf("Give the app key. It is in the app's settings at %s.", authflow.AppConsole)
		return s.showStorage(w, r, v, http.StatusUnprocessableEntity, form)
	}
	begun := flow{
		Attempt: authflow.NewAttempt(), Session: v.ID, Workspace: v.Workspace, Connection: form.Name, Again: connection.Exists, AppKey: key,
		RedirectURI: s.redirectURI(r), Expires: s.Clock.Now().Add(connectLifetime),
	}
	if err := s.begin(w, r, begun); err != nil {
		return err
	}
	// Not a redirect: form-action would have to list every address on the visitor's way at Dropbox.
	s.views.page(w, http.StatusOK, "leaving", page{Title: "To Dropbox", Section: "storage", Session: v.session, Body: s.app(begun).URL(begun.Attempt)})
	return nil
}

func connectForbidden(v *visitor, err error) error {
	return &problem{
		Status: http.StatusForbidden, Title: "You may not connect an account here",
		Text: sentence(message(err)) + fmt.Sprintf(" Connecting creates a Secret and a StorageConnection. Ask an administrator of the namespace for the role edit, or to connect the account for %s.", v.Workspace),
	}
}

// findTarget returns the connection of that name, and its account as far as its status has one. If it does not exist, Exists is false and Secret
// is empty. Secret is empty, too, if the connection leads to a bucket.
func findTarget(ctx context.Context, c client.Client, namespace, name string) (target accounts.Connection, known *platenv1alpha1.StorageAccount, err error) {
	existing := &platenv1alpha1.StorageConnection{}
	err = c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, existing)
	target = accounts.Connection{Namespace: namespace, Name: name, Exists: err == nil}
	if existing.Spec.Dropbox != nil {
		target.Secret = existing.Spec.Dropbox.CredentialsSecretRef.Name
	}
	return target, existing.Status.Account, client.IgnoreNotFound(err)
}

// knownAppKey returns the app key in the connection's Secret; empty if there is none.
func knownAppKey(ctx context.Context, v *visitor, connection accounts.Connection) string {
	if connection.Secret == "" {
		return ""
	}
	known, _, _ := credentials.Reader{Reader: v.Client}.Read(ctx, v.Workspace, connection.Secret, credentials.DropboxKeys)
	return known["appKey"]
}

// callback receives a visitor from Dropbox. The request is a GET from another site, so callback does nothing unless it has the state of
// a flow of this session.
func (s *Server) callback(w http.ResponseWriter, r *http.Request) error {
	found := s.session(r)
	started, err := s.end(w, r, r.URL.Query().Get("state"))
	if err != nil {
		return err
	}
	reject := func(title, text string) error {
		return &problem{Status: http.StatusBadRequest, Title: title, Text: text, Link: "/ui/storage", LinkText: "Begin again"}
	}
	switch {
	case found == nil:
		return reject("You are not signed in any more", "Nothing was connected. Sign in and begin again.")
	case started == nil || started.Session != found.ID:
		return reject("This answer does not belong to your attempt", "Nothing was connected. It may have been used before, or come from elsewhere.")
	case !s.Clock.Now().Before(started.Expires):
		return reject("That took too long", "Nothing was connected. An attempt is valid for ten minutes.")
	}
	code, err := started.Attempt.Code(r.URL.Query())
	if err != nil {
		return connectProblem(err)
	}
	caller, err := s.Reviewer.Authenticate(r.Context(), found.Token)
	if err != nil {
		return err
	}
	c, err := caller.Client()
	if err != nil {
		return err
	}
	grant, err := s.app(*started).Exchange(r.Context(), started.Attempt, code)
	if err != nil {
		return connectProblem(err)
	}
	saved, before, err := s.save(r.Context(), c, *started, grant)
	if err != nil {
		if kept := (*storage.Error)(nil); errors.As(err, &kept) {
			return reject("The access could not be saved", sentence(kept.Message))
		}
		return err
	}
	if started.Again {
		// Platen notices another Secret by itself, only later: until then, Storage would show the account that was there before.
		connection := &platenv1alpha1.StorageConnection{ObjectMeta: metav1.ObjectMeta{Namespace: started.Workspace, Name: started.Connection}}
		if err := s.askToVerify(r.Context(), c, connection); err != nil {
			s.Log.V(1).Info("Platen cannot be asked to verify the connection", "error", err.Error())
		}
	}
	// Another tab may have opened another workspace meanwhile, which may have a connection with this name, too.
	found.Workspace = started.Workspace
	if err := s.jar.put(w, sessionCookie, found); err != nil {
		return err
	}
	now := storage.Account{}
	if account, failed := s.opened(*started, grant); failed == nil {
		// Without an answer, the page does not name the account: it is connected all the same.
		if now, failed = account.Verify(r.Context()); failed != nil {
			s.Log.V(1).Info("Dropbox does not name the account that was connected", "error", failed.Error())
		}
	}
	others, err := sharing(r.Context(), c, client.ObjectKey{Namespace: started.Workspace, Name: started.Connection}, now.ID, false)
	if err != nil {
		// As above. The visitor may be one who may not list connections.
		s.Log.V(1).Info("Connections to the account cannot be listed", "error", err.Error())
	}
	if err := s.tell(w, connectedWords(now, before, others, saved.Filed)); err != nil {
		return err
	}
	http.Redirect(w, r, "/ui/storage/"+started.Connection+"/folders", http.StatusSeeOther)
	return nil
}

// connectProblem returns the problem for an attempt that failed.
func connectProblem(err error) error {
	failed := (*authflow.Error)(nil)
	if !errors.As(err, &failed) {
		return err
	}
	title := map[authflow.Reason]string{
		authflow.Denied:        "You did not allow the access",
		authflow.StateMismatch: "This answer does not belong to your attempt",
		authflow.CodeRefused:   "Dropbox does not accept the answer",
		authflow.AppRefused:    "Dropbox does not accept the app",
		authflow.MissingScope:  "The app lacks a permission",
		authflow.Refused:       "Dropbox refused",
		authflow.Unavailable:   "Dropbox could not be reached",
	}[failed.Reason]
	return &problem{Status: http.StatusBadRequest, Title: title, Text: sentence(failed.Message), Link: "/ui/storage", LinkText: "Back to Storage"}
}

// sharing returns the names of the workspace's connections to an account besides one; also of those that are switched off, if disabled is true.
func sharing(ctx context.Context, c client.Client, one client.ObjectKey, account string, disabled bool) (names []string, err error) {
	list := &platenv1alpha1.StorageConnectionList{}
	if err := c.List(ctx, list, client.InNamespace(one.Namespace), client.Limit(maxConnections)); err != nil {
		return nil, err
	}
	for i := range list.Items {
		other := &list.Items[i]
		has := other.Status.Account
		if other.Name != one.Name && (disabled || other.Spec.UploadPolicy != platenv1alpha1.UploadDisabled) && has != nil && has.ID != "" && has.ID == account {
			names = append(names, other.Name)
		}
	}
	return names, nil
}

// connectedWords says which account was connected, which one the connection had before, if it is known, and which others have it too. filed tells that
// a file of kubectl apply has other credentials.
func connectedWords(now storage.Account, before *platenv1alpha1.StorageAccount, others []string, filed bool) words {
	said := words{Tone: good, Title: "Dropbox is connected"}
	if now.Email != "" {
		said.Text = fmt.Sprintf("It is the account of %s, %s", cmp.Or(now.DisplayName, "its owner"), now.Email)
		switch {
		case before == nil || before.Email == "":
		case before.ID == now.ID || before.ID == "" && before.Email == now.Email:
			said.Text += ", as before"
		default:
			said.Tone = warn
			said.Text += fmt.Sprintf(". Before, it was that of %s, %s", cmp.Or(before.DisplayName, "its owner"), before.Email)
		}
		switch last := len(others) - 1; {
		case last == 0:
			said.Tone = warn
			said.Text += fmt.Sprintf(". The connection %s has this account too: a render that goes to both is uploaded there twice", others[0])
		case last > 0:
			said.Tone = warn
			said.Text += fmt.Sprintf(". The connections %s and %s have this account too: a render that goes to all of them is uploaded there %d times",
				strings.Join(others[:last], ", "), others[last], last+2)
		}
		said.Text += ". "
	}
	if filed {
		said.Tone = warn
		said.Text += "The Secret is from a file that somebody gives to kubectl apply: that brings the credentials of the file back. Put the new ones into the file, or take the Secret out of it. "
	}
	said.Text += "Choose the folder for renders."
	return said
}

// opened opens the account of a grant.
func (s *Server) opened(f flow, grant authflow.Grant) (accounts.Account, error) {
	config := s.Dropbox
	config.AppKey, config.RefreshToken = f.AppKey, grant.RefreshToken
	return dropbox.New(config)
}

// save saves the grant in the cluster. It returns what it has written, and the account that the connection had before, if that is known. If it fails, it
// revokes the grant.
func (s *Server) save(ctx context.Context, c client.Client, f flow, grant authflow.Grant) (saved accounts.Saved, before *platenv1alpha1.StorageAccount, err error) {
	connection, before, err := findTarget(ctx, c, f.Workspace, f.Connection)
	if err == nil && connection.Exists && !f.Again {
		err = &problem{
			Status: http.StatusConflict, Title: "The access could not be saved",
			Text: fmt.Sprintf("Somebody has made a connection '%s' meanwhile, and it stays as it is. Begin again with another name.", f.Connection),
			Link: "/ui/storage", LinkText: "Begin again",
		}
	}
	if err == nil {
		connection.AppKey, connection.RefreshToken = f.AppKey, grant.RefreshToken
		saved, err = connection.Save(ctx, c, accounts.SaveOptions{Force: true})
	}
	if err == nil || saved.Secret {
		return saved, before, err
	}
	account, failed := s.opened(f, grant)
	if failed == nil {
		failed = accounts.Revoke(ctx, account)
	}
	if failed != nil {
		s.Log.Error(failed, "Revoking an access that could not be saved")
	}
	return saved, before, err
}
