// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/accounts"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
)

// maxConnections bounds the connections of a workspace that the page lists.
const maxConnections = 100

// connectionView is a connection on the page.
type connectionView struct {
	Name  string
	Words words
	// Service is where the files go, such as "Dropbox" or "S3 bucket renders". Bucket tells whether it is a bucket, which has no account to connect.
	Service string
	Bucket  bool
	// Secret is the name of the Secret with the credentials.
	Secret             string
	Email, DisplayName string
	Used, Allocated    int64
	Folder             string
	Policy             platenv1alpha1.UploadPolicy
	Verified           time.Time
	// High is the used space, in bytes, above which the account is nearly full.
	High                        int64
	Checking, Connected, Broken bool
	// May are the visitor's rights, and Denied says what they may not do; empty if nothing.
	May    accountRights
	Denied string
	// Notice is the result of the visitor's last action; nil for none.
	Notice *words
}

func viewConnection(c *platenv1alpha1.StorageConnection) connectionView {
	v := connectionView{Name: c.Name, Words: connectionWords(c), Folder: string(c.Spec.DefaultFolder), Policy: c.Spec.UploadPolicy}
	switch spec := c.Spec; {
	case spec.S3 != nil:
		v.Service, v.Secret = "S3 bucket "+spec.S3.Bucket, spec.S3.CredentialsSecretRef.Name
	case spec.GCS != nil:
		v.Service, v.Secret = "Google Cloud Storage bucket "+spec.GCS.Bucket, spec.GCS.CredentialsSecretRef.Name
	case spec.AzureBlob != nil:
		v.Service, v.Secret = "Azure Blob Storage container "+spec.AzureBlob.Account+"/"+spec.AzureBlob.Container, spec.AzureBlob.CredentialsSecretRef.Name
	case spec.Dropbox != nil:
		v.Service, v.Secret = "Dropbox", spec.Dropbox.CredentialsSecretRef.Name
	}
	v.Bucket = c.Spec.Provider != platenv1alpha1.ProviderDropbox
	v.Checking = v.Words.Tone == busy
	v.Connected = v.Words.Tone == good
	v.Broken = v.Words.Tone == bad
	if a := c.Status.Account; a != nil {
		v.Email, v.DisplayName = a.Email, a.DisplayName
	}
	if space := c.Status.Space; space != nil && space.Used != nil && space.Allocated != nil {
		v.setSpace(*space.Used, *space.Allocated)
	}
	if verified := c.Status.LastVerifiedTime; verified != nil {
		v.Verified = verified.Time
	}
	return v
}

// setSpace sets how full the account is, in bytes; allocated is 0 if the service does not say.
func (v *connectionView) setSpace(used, allocated int64) {
	v.Used, v.Allocated, v.High = used, allocated, allocated/10*9
}

// accountRights are what a visitor may do with the connections of the workspace.
type accountRights struct {
	// Use tells whether the visitor may test a connection and look at its folders: both need its credentials.
	Use bool
	// Ask tells whether the visitor may ask the manager to verify a connection, and Change whether they may choose a folder.
	Ask, Change bool
	// Connect tells whether the visitor may connect an account.
	Connect bool
	// Disconnect tells whether the visitor may disconnect an account, and DisconnectBucket a bucket.
	Disconnect, DisconnectBucket bool
}

// accountRights returns the visitor's.
func (v *visitor) accountRights(ctx context.Context) (may accountRights, err error) {
	var errs [6]error
	may.Use, errs[0] = v.can(ctx, secrets, "get")
	may.Ask, errs[1] = v.can(ctx, connections, "patch")
	may.Connect, errs[2] = v.can(ctx, connections, "create", "patch")
	write, failed := v.can(ctx, secrets, "create", "patch")
	errs[3] = failed
	may.DisconnectBucket, errs[4] = v.can(ctx, connections, "delete")
	end, failed := v.can(ctx, secrets, "get", "delete")
	errs[5] = failed
	may.Change = may.Ask && may.Use
	may.Connect = may.Connect && write
	may.Disconnect = may.DisconnectBucket && end
	return may, errors.Join(errs[:]...)
}

// forWhoMay returns the view for a visitor, who sees no way to do what they may not, but which role is missing.
// Nobody connects or browses a bucket on the page, and the manager tests it.
func (v connectionView) forWhoMay(may accountRights) connectionView {
	v.May = may
	if v.Bucket {
		v.May = accountRights{Use: may.Ask, Disconnect: may.DisconnectBucket}
	}
	var denied []string
	for _, action := range []struct {
		may  bool
		verb string
	}{{v.May.Use, "test it"}, {v.May.Change || v.Bucket, "change its folder"}, {v.May.Connect || v.Bucket, "connect it again"}, {v.May.Disconnect, "disconnect it"}} {
		if !action.may {
			denied = append(denied, action.verb)
		}
	}
	if len(denied) > 0 {
		v.Denied = fmt.Sprintf("Your token may not %s. An administrator of the namespace can give it the role edit.", strings.Join(denied, ", or "))
	}
	return v
}

// storageView is the Storage page.
type storageView struct {
	Connections []connectionView
	Connect     connectForm
	// MayConnect tells whether the visitor may connect an account.
	MayConnect bool
	// Notice is the result of the visitor's last action; nil for none.
	Notice *words
}

func (s *Server) storage(w http.ResponseWriter, r *http.Request, v *visitor) error {
	return s.showStorage(w, r, v, http.StatusOK, connectForm{})
}

func (s *Server) showStorage(w http.ResponseWriter, r *http.Request, v *visitor, status int, form connectForm) error {
	list := &platenv1alpha1.StorageConnectionList{}
	if err := v.List(r.Context(), list, client.InNamespace(v.Workspace), client.Limit(maxConnections)); err != nil {
		return err
	}
	may, err := v.accountRights(r.Context())
	if err != nil {
		return err
	}
	view := storageView{Connect: form, MayConnect: may.Connect, Notice: s.told(w, r)}
	names := map[string]bool{}
	for i := range list.Items {
		names[list.Items[i].Name] = true
		view.Connections = append(view.Connections, viewConnection(&list.Items[i]).forWhoMay(may))
	}
	if view.Connect.Name == "" {
		view.Connect.Name = freeName(names)
	}
	view.Connect.HasAppKey = s.AppKey != ""
	view.Connect.RedirectURI = s.redirectURI(r)
	if s.origin != nil && s.origin.Host != r.Host {
		view.Connect.Elsewhere = s.origin.String()
	}
	s.views.page(w, status, "storage", page{Title: "Storage", Section: "storage", Session: v.session, Body: view})
	return nil
}

// freeName returns the first of dropbox, dropbox-2, … that is not taken.
func freeName(taken map[string]bool) string {
	name := "dropbox"
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("dropbox-%d", n)
	}
	return name
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

// open opens the account of a connection to Dropbox. It reads the credentials with the visitor's rights.
func (s *Server) open(ctx context.Context, v *visitor, c *platenv1alpha1.StorageConnection) (accounts.Account, error) {
	if c.Spec.Provider != platenv1alpha1.ProviderDropbox {
		return nil, &problem{
			Status: http.StatusConflict, Title: "This connection leads to a bucket",
			Text: fmt.Sprintf("Nobody can choose a folder of a bucket here. Set spec.defaultFolder of the StorageConnection '%s'.", c.Name), Link: "/ui/storage", LinkText: "Storage",
		}
	}
	connector := connect.New(connect.Options{
		Credentials: credentials.Reader{Reader: v.Client}, Registry: s.registry,
		Openers: map[platenv1alpha1.ProviderType]connect.Opener{platenv1alpha1.ProviderDropbox: connect.Dropbox(s.Dropbox)},
	})
	provider, err := connector.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	account, ok := provider.(accounts.Account)
	if !ok {
		return nil, fmt.Errorf("the provider %s has no folders to choose from", c.Spec.Provider)
	}
	return account, nil
}

// accountProblem describes an error of an account or its credentials; nil for any other error.
func accountProblem(err error) *words {
	failure := (*storage.Error)(nil)
	if !errors.As(err, &failure) || apierrors.ReasonForError(err) != metav1.StatusReasonUnknown {
		return nil
	}
	provider := string(platenv1alpha1.ProviderDropbox)
	return &words{bad, failure.Reason.Advice(provider).Title, sentence(failure.Explain(provider))}
}

// reconnect tells whether connecting the account again repairs what an error says.
func reconnect(err error) bool {
	failure := (*storage.Error)(nil)
	return errors.As(err, &failure) && failure.Reason.Advice(string(platenv1alpha1.ProviderDropbox)).Reconnect
}

// connection shows one connection.
func (s *Server) connection(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	return s.showConnection(w, r, v, c, nil, storage.Account{})
}

// showConnection shows a connection with the notice of a test, nil for none. who is what the account has answered if the test passed.
func (s *Server) showConnection(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection, notice *words, who storage.Account) error {
	may, err := v.accountRights(r.Context())
	if err != nil {
		return err
	}
	view := viewConnection(c).forWhoMay(may)
	view.Notice = notice
	// The account's answer is newer than the status, which follows.
	if notice != nil && notice.Tone == good {
		view.Verified = s.Clock.Now()
		view.setSpace(who.SpaceUsed, who.SpaceAllocated)
	}
	if notice != nil && notice.Tone == bad {
		view.Words, view.Broken, view.Connected = words{bad, notice.Title, ""}, true, false
	}
	if isHTMX(r) {
		s.views.fragment(w, http.StatusOK, "connection", view)
		return nil
	}
	s.views.page(w, http.StatusOK, "connection", page{Title: c.Name, Section: "storage", Session: v.session, Body: view})
	return nil
}

// test checks the account and its default folder now. A bucket is checked by the manager, whose answer the card waits for.
func (s *Server) test(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	if c.Spec.Provider != platenv1alpha1.ProviderDropbox {
		if err := s.verify(r.Context(), v, c); err != nil {
			return err
		}
		return s.showConnection(w, r, v, c, nil, storage.Account{})
	}
	who := storage.Account{}
	account, err := s.open(r.Context(), v, c)
	if err == nil {
		who, err = accounts.Try(r.Context(), account, string(c.Spec.DefaultFolder))
	}
	notice := accountProblem(err)
	switch {
	case err == nil:
		notice = &words{good, "It works", fmt.Sprintf("Dropbox answered for %s, and the folder %s can be written to.", who.Email, c.Spec.DefaultFolder)}
	case notice == nil:
		return err
	}
	if err := s.askToVerify(r.Context(), v, c); err != nil {
		return err
	}
	return s.showConnection(w, r, v, c, notice, who)
}

// askToVerify lets the status follow what the visitor has done, so that the page says the same later. Whoever may not change the connection sees the
// result all the same.
func (s *Server) askToVerify(ctx context.Context, api client.Client, c *platenv1alpha1.StorageConnection) error {
	if err := s.verify(ctx, api, c); !apierrors.IsForbidden(err) {
		return err
	}
	return nil
}

// verify asks the manager to verify a connection now.
func (s *Server) verify(ctx context.Context, api client.Client, c *platenv1alpha1.StorageConnection) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{platenv1alpha1.VerifyAnnotation: s.Clock.Now().UTC().Format(time.RFC3339Nano)},
	}})
	if err != nil {
		return err
	}
	return api.Patch(ctx, c, client.RawPatch(types.MergePatchType, patch))
}
