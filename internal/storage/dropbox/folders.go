// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"context"
	"slices"
	"strings"
)

const (
	// entriesPerCall is how many entries one call lists. It keeps the answer below maxAnswer.
	entriesPerCall = 500
	// maxListCalls bounds the calls that list one folder.
	maxListCalls = 20
)

// Folder of an account.
type Folder struct {
	// Name is the last component of Path, in the user's spelling.
	Name string
	// Path from the account's root, with a leading slash.
	Path string
}

// folderPage is Dropbox's ListFolderResult.
type folderPage struct {
	Entries []metadata `json:"entries"`
	Cursor  string     `json:"cursor"`
	HasMore bool       `json:"has_more"`
}

// isComplete implements result.
func (p *folderPage) isComplete() bool { return p.Cursor != "" }

// ListFolders lists the folders directly below a folder, by name; "/" is the root. complete is false if the folder has more than 10,000
// entries, including files, and the rest was not read. Errors are *storage.Error, with ReasonNotFound if the folder does not exist.
func (c *Client) ListFolders(ctx context.Context, folder string) (folders []Folder, complete bool, err error) {
	if folder == "/" {
		folder = "" // Dropbox's name for the root in this route
	}
	var page folderPage
	const first = "/2/files/list_folder"
	whole := map[string]any{"path": folder, "limit": entriesPerCall}
	route, arg := first, whole
	for range maxListCalls {
		page = folderPage{}
		err := c.rpc(ctx, route, arg, &page)
		if hasTag(err, "reset") && route != first { // Dropbox has forgotten the listing: it begins again
			folders, page.HasMore, route, arg = nil, true, first, whole
			continue
		}
		if err != nil {
			return nil, false, err
		}
		for _, e := range page.Entries {
			if e.Tag == "folder" && e.PathDisplay != "" { // one that is not mounted has no path
				folders = append(folders, Folder{Name: e.Name, Path: e.PathDisplay})
			}
		}
		if !page.HasMore {
			break
		}
		route, arg = "/2/files/list_folder/continue", map[string]any{"cursor": page.Cursor}
	}
	slices.SortFunc(folders, func(a, b Folder) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return folders, !page.HasMore, nil
}

// Revoke makes Dropbox reject the refresh token and its access tokens from now on.
func (c *Client) Revoke(ctx context.Context) error {
	return c.rpc(ctx, "/2/auth/token/revoke", nil, &nothing{})
}
