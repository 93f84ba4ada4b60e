// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/accounts"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

// picker is the page on which a visitor chooses a folder.
type picker struct {
	Connection string
	// Folder is the open folder, Above the path from the root to it, and Folders its folders.
	Folder  string
	Above   []dropbox.Folder
	Folders []dropbox.Folder
	// Opened tells whether the visitor has come from another folder, so that the focus moves to this one's name.
	Opened bool
	// Current is the default folder.
	Current string
	// Complete is false if there are more folders than Folders.
	Complete bool
	// Notice is the result of the visitor's last action; nil for none.
	Notice *words
	// Failure says why the folder cannot be shown, and Reconnect whether connecting the account again helps; nil for no failure.
	Failure   *words
	Reconnect bool
	// Missing tells whether the open folder does not exist, so that the page offers to make it.
	Missing bool
	// Parent is the folder above one that does not exist; empty otherwise.
	Parent string
	// Name is what the visitor called a new folder that could not be made, and NameError says why; empty otherwise.
	Name, NameError string
}

// Taken tells whether the open folder is the default one. Dropbox does not tell folders apart by the case of letters.
func (p picker) Taken() bool { return strings.EqualFold(p.Folder, p.Current) }

func (s *Server) folders(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	view := picker{Connection: c.Name, Folder: "/", Current: string(c.Spec.DefaultFolder), Notice: s.told(w, r)}
	if wanted := r.URL.Query().Get("path"); accounts.FolderProblem(wanted) == "" {
		view.Folder, view.Opened = wanted, true
	}
	return s.showFolders(w, r, v, c, view)
}

func (s *Server) showFolders(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection, view picker) error {
	a, err := s.open(r.Context(), v, c)
	if err == nil {
		view.Folders, view.Complete, err = a.ListFolders(r.Context(), view.Folder)
	}
	if err != nil {
		if view.Failure = accountProblem(err); view.Failure == nil {
			return err
		}
		view.Reconnect = reconnect(err)
		if failure := (*storage.Error)(nil); errors.As(err, &failure) && failure.Reason == storage.ReasonNotFound {
			view.Missing = true
			view.Failure.Text = fmt.Sprintf("The account has no folder %s. Make it, or choose another one.", view.Folder)
		}
	}
	if view.Missing {
		view.Parent, view.Name = path.Split(view.Folder)
		if view.Parent != "/" {
			view.Parent = strings.TrimSuffix(view.Parent, "/")
		}
	}
	view.Above = accounts.Ancestors(view.Folder)
	if isHTMX(r) {
		s.views.fragment(w, http.StatusOK, "picker", view)
		return nil
	}
	s.views.page(w, http.StatusOK, "folders", page{Title: "Choose a folder", Section: "storage", Session: v.session, Body: view})
	return nil
}

// newFolder makes a folder and shows it.
func (s *Server) newFolder(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	view := picker{Connection: c.Name, Folder: r.PostForm.Get("path"), Current: string(c.Spec.DefaultFolder)}
	if accounts.FolderProblem(view.Folder) != "" {
		view.Folder = "/"
	}
	name := strings.TrimSpace(r.PostForm.Get("name"))
	wanted := storage.JoinPath(view.Folder, name)
	if name == "" {
		view.NameError = "Give the folder a name."
		return s.showFolders(w, r, v, c, view)
	}
	if view.NameError = nameError(name, wanted); view.NameError != "" {
		view.Name = name
		return s.showFolders(w, r, v, c, view)
	}
	a, err := s.open(r.Context(), v, c)
	if err == nil {
		err = a.EnsureFolder(r.Context(), wanted)
	}
	if err != nil {
		failure := accountProblem(err)
		if failure == nil {
			return err
		}
		view.Name, view.NameError = name, failure.Title+". "+failure.Text
		return s.showFolders(w, r, v, c, view)
	}
	if err := s.tell(w, words{good, "The folder is there", ""}); err != nil {
		return err
	}
	s.redirect(w, r, "/ui/storage/"+c.Name+"/folders?"+url.Values{"path": {wanted}}.Encode())
	return nil
}

// nameError says why a folder cannot have a name, and so the path wanted; empty if it can.
func nameError(name, wanted string) string {
	if problem := accounts.NameProblem(name); problem != "" {
		return "A folder's name " + problem + "."
	}
	if problem := accounts.FolderProblem(wanted); problem != "" {
		return "The whole path " + problem + "."
	}
	return ""
}

// chooseFolder makes a folder the default.
func (s *Server) chooseFolder(w http.ResponseWriter, r *http.Request, v *visitor, c *platenv1alpha1.StorageConnection) error {
	if err := r.ParseForm(); err != nil {
		return badForm(err)
	}
	before := c.DeepCopy()
	c.Spec.DefaultFolder = platenv1alpha1.FolderPath(r.PostForm.Get("path"))
	if err := v.Patch(r.Context(), c, client.MergeFrom(before)); err != nil {
		return err
	}
	if err := s.tell(w, words{good, "Saved", fmt.Sprintf("The default folder of %s is %s.", c.Name, c.Spec.DefaultFolder)}); err != nil {
		return err
	}
	s.redirect(w, r, "/ui/storage")
	return nil
}
