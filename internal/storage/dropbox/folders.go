// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropbox

import (
	"context"
	"slices"
	"strings"
)

const (
	// folderPage entries are asked for at a time, so that an answer stays below maxAnswer.
	folderPage = 500
	// maxFolderPages bounds the listing of one folder.
	maxFolderPages = 20
)

// Folder of an account.
type Folder struct {
	// Name is the last component of Path, with the capitals that the person gave it.
	Name string
	// Path from the account's root, with a leading slash.
	Path string
}

// ListFolders lists the folders directly below a folder, by name; "/" is the root. complete is false for a folder with so many
// entries, files included, that only the first 10,000 were read. Errors are *storage.Error: reason NotFound when the folder does
// not exist.
func (c *Client) ListFolders(ctx context.Context, folder string) (folders []Folder, complete bool, err error) {
	if folder == "/" {
		folder = "" // how Dropbox writes the root of a listing
	}
	var page struct {
		Entries []struct {
			Tag         string `json:".tag"`
			Name        string `json:"name"`
			PathDisplay string `json:"path_display"`
		} `json:"entries"`
		Cursor  string `json:"cursor"`
		HasMore bool   `json:"has_more"`
	}
	route, arg := "/2/files/list_folder", map[string]any{"path": folder, "limit": folderPage}
	for range maxFolderPages {
		page.Entries = nil
		if err := c.rpc(ctx, route, arg, &page); err != nil {
			return nil, false, err
		}
		for _, e := range page.Entries {
			if e.Tag == "folder" {
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

// Revoke makes Dropbox forget the refresh token and its access tokens: whoever holds them is disconnected.
func (c *Client) Revoke(ctx context.Context) error {
	return c.rpc(ctx, "/2/auth/token/revoke", nil, nil)
}
