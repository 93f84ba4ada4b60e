// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/platen-dev/platen/internal/accounts"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

// maxFolders is how many folders are shown at a time.
const maxFolders = 40

// chooseFolder lets the person browse their folders and choose or make one.
func chooseFolder(ctx context.Context, prompt *prompter, account accounts.Account) (string, error) {
	fmt.Fprintln(prompt.out, "\nWhich folder receives the files of jobs that name none?")
	current := "/"
	for {
		folders, complete, err := account.ListFolders(ctx, current)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(prompt.out, "\nFolders in %s\n", current)
		shown := folders[:min(len(folders), maxFolders)]
		for i, f := range shown {
			fmt.Fprintf(prompt.out, "%4d  %s\n", i+1, plain(f.Name))
		}
		switch {
		case len(folders) == 0:
			fmt.Fprintln(prompt.out, "      none")
		case len(shown) < len(folders) || !complete:
			fmt.Fprintln(prompt.out, "      and more; open them by name")
		}
		choice, err := prompt.ask(ctx, fmt.Sprintf(
			"A number or name opens a folder, + NAME creates one, .. goes up. To choose: . for %s, a path such as /Marketing/2026, or Enter for %s: ", current, accounts.DefaultFolder))
		if err != nil {
			return "", err
		}
		next, done := step(current, choice, shown)
		if !done && next == current {
			continue
		}
		if problem := accounts.FolderProblem(next); problem != "" {
			fmt.Fprintf(prompt.out, "A folder %s. Choose another.\n", problem)
			continue
		}
		if done || strings.HasPrefix(choice, "+") {
			err = account.EnsureFolder(ctx, next)
		} else {
			_, _, err = account.ListFolders(ctx, next)
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return "", err
		case err != nil:
			fmt.Fprintf(prompt.out, "%s: %v. Choose another.\n", next, err)
		case done:
			return next, nil
		default:
			current = next
		}
	}
}

// step returns the folder that a choice leads to. done is true if the choice chooses that folder.
func step(current, choice string, shown []dropbox.Folder) (next string, done bool) {
	number, err := strconv.Atoi(choice)
	switch {
	case choice == "":
		return accounts.DefaultFolder, true
	case choice == ".":
		return current, true
	case choice == "..":
		return path.Dir(current), false
	case strings.HasPrefix(choice, "/"):
		return cmp.Or(strings.TrimRight(choice, "/"), "/"), true
	case strings.HasPrefix(choice, "+"):
		return path.Join(current, strings.TrimSpace(choice[1:])), false
	case err == nil && number >= 1 && number <= len(shown):
		return shown[number-1].Path, false
	default:
		return path.Join(current, choice), false
	}
}
