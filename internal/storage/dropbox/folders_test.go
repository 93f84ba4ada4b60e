// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/internal/storage/storagetest"
)

func TestListFolders(t *testing.T) {
	_, c := setup(t)
	// The folders come last, after more files than one answer of the simulator lists.
	for i := range 120 {
		if err := storagetest.UploadOne(t.Context(), c, storagetest.File(t, fmt.Sprintf("/aaa-%03d.txt", i), []byte("x"))).Err; err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"/Renders", "/archive/2024", "/Marketing"} {
		if err := c.EnsureFolder(t.Context(), folder); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		folder string
		want   []Folder
	}{
		{folder: "/", want: []Folder{{"archive", "/archive"}, {"Marketing", "/Marketing"}, {"Renders", "/Renders"}}},
		{folder: "/ARCHIVE", want: []Folder{{"2024", "/archive/2024"}}},
		{folder: "/Renders", want: nil},
	} {
		folders, complete, err := c.ListFolders(t.Context(), x.folder)
		if err != nil || !complete || !slices.Equal(folders, x.want) {
			t.Errorf("%s: %v, complete %t, %v", x.folder, folders, complete, err)
		}
	}
	_, _, err := c.ListFolders(t.Context(), "/nowhere")
	if problem := (*storage.Error)(nil); !errors.As(err, &problem) || problem.Reason != storage.ReasonNotFound {
		t.Errorf("a missing folder: %v", err)
	}
}

func TestListFoldersIsBounded(t *testing.T) {
	sim, c := setup(t)
	for i := range maxListCalls*100 + 1 {
		if err := c.EnsureFolder(t.Context(), fmt.Sprintf("/f%05d", i)); err != nil {
			t.Fatal(err)
		}
	}
	sim.ClearLog()
	folders, complete, err := c.ListFolders(t.Context(), "/")
	if err != nil || complete || len(folders) != maxListCalls*100 || calls(sim, "") != maxListCalls {
		t.Errorf("%d folders in %d calls, complete %t, %v", len(folders), calls(sim, ""), complete, err)
	}
}

// TestListingThatBeginsAgain lets Dropbox forget a listing between two of its pages, as it does when much changes in the folder. No folder is there twice.
func TestListingThatBeginsAgain(t *testing.T) {
	sim, c := setup(t)
	for i := range 120 {
		if err := c.EnsureFolder(t.Context(), fmt.Sprintf("/f%03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	reset := dropboxsim.Fault{Route: "/2/files/list_folder/continue", Status: 409, ContentType: "application/json", Body: `{"error_summary":"reset/.","error":{".tag":"reset"}}`}
	sim.AddFault(reset)
	if folders, complete, err := c.ListFolders(t.Context(), "/"); err != nil || !complete || len(folders) != 120 {
		t.Errorf("%d folders, complete %t, %v", len(folders), complete, err)
	}
	reset.Count = 1000
	sim.AddFault(reset)
	sim.ClearLog()
	if _, complete, err := c.ListFolders(t.Context(), "/"); err != nil || complete || calls(sim, "") > maxListCalls {
		t.Errorf("for ever: complete %t in %d calls, %v", complete, calls(sim, ""), err)
	}
}

func TestRevoke(t *testing.T) {
	_, c := setup(t)
	if err := c.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := c.Verify(t.Context())
	if problem := (*storage.Error)(nil); !errors.As(err, &problem) || problem.Reason != storage.ReasonTokenExpired {
		t.Errorf("after the revocation: %v", err)
	}
}
