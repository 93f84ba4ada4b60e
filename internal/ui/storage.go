// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
	Name               string
	Words              words
	Email, DisplayName string
	Used, Allocated    int64
	Folder             string
	Policy             platenv1alpha1.UploadPolicy
	Verified           time.Time
	// High is the used space, in bytes, above which the account is nearly full.
	High                        int64
	Checking, Connected, Broken bool
	// Notice is the result of the visitor's last action; nil for none.
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
	view := storageView{Connect: form, Notice: s.told(w, r)}
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

// open opens the account of a connection. It reads the credentials with the visitor's rights.
func (s *Server) open(ctx context.Context, v *visitor, c *platenv1alpha1.StorageConnection) (accounts.Account, error) {
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
	return s.showConnection(w, r, v, c, nil)
}

func (s *Server) showConnection(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection, notice *words) error {
	view := viewConnection(c)
	view.Notice = notice
	if notice != nil && notice.Tone == good {
		view.Verified = s.Clock.Now() // the status follows
	}
	if notice != nil && notice.Tone == bad {
		// The account's answer is newer than the status.
		view.Words, view.Broken, view.Connected = words{bad, notice.Title, ""}, true, false
	}
	if isHTMX(r) {
		s.views.fragment(w, http.StatusOK, "connection", view)
		return nil
	}
	s.views.page(w, http.StatusOK, "connection", page{Title: c.Name, Section: "storage", Session: v.session, Body: view})
	return nil
}

// test checks the account and its default folder now.
func (s *Server) test(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
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
	return s.showConnection(w, r, v, c, notice)
}

// askToVerify lets the status follow what the visitor has done, so that the page says the same later. Whoever may not change the connection sees the
// result all the same.
func (s *Server) askToVerify(ctx context.Context, api client.Client, c *platenv1alpha1.StorageConnection) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{platenv1alpha1.VerifyAnnotation: s.Clock.Now().UTC().Format(time.RFC3339Nano)},
	}})
	if err != nil {
		return err
	}
	if err := api.Patch(ctx, c, client.RawPatch(types.MergePatchType, patch)); !apierrors.IsForbidden(err) {
		return err
	}
	return nil
}
