// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// change is a line of the journal: one of its fields is set.
type change struct {
	Account *Account `json:"account,omitempty"`
	// Removed is the app key of an account.
	Removed string        `json:"removed,omitempty"`
	Token   *journalToken `json:"token,omitempty"`
	Entry   *journalEntry `json:"entry,omitempty"`
	// Deleted has the place of a file, or of a folder with all that is in it.
	Deleted *place `json:"deleted,omitempty"`
}

// place is a path in a namespace of an account.
type place struct {
	AppKey    string `json:"appKey"`
	Namespace string `json:"namespace"`
	Path      string `json:"path"`
}

type journalToken struct {
	Value   string    `json:"value"`
	AppKey  string    `json:"appKey"`
	Expires time.Time `json:"expires"`
	Scopes  []string  `json:"scopes"`
	Refresh string    `json:"refresh"`
}

type journalEntry struct {
	place
	ID             string    `json:"id"`
	Rev            string    `json:"rev"`
	Folder         bool      `json:"folder"`
	Data           []byte    `json:"data"`
	Modified       time.Time `json:"modified"`
	ClientModified string    `json:"clientModified"`
	Commits        int       `json:"commits"`
}

// Persist restores the accounts, access tokens and files from the journal at a path, and from then on writes each change to it before the
// change is answered, so that a killed simulator goes on where it was. Upload sessions, consent and the request log are not kept. Call it
// before the simulator serves.
func (s *Server) Persist(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	journal, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	end, superseded, err := s.replay(journal)
	if err != nil {
		return errors.Join(fmt.Errorf("reading the journal at byte %d: %w", end, err), journal.Close())
	}
	if superseded {
		if err := journal.Close(); err != nil {
			return err
		}
		return s.rewrite(path)
	}
	// A killed process may have left half a line, of a change that it has not answered.
	if _, err := journal.Seek(end, io.SeekStart); err != nil {
		return errors.Join(err, journal.Close())
	}
	s.journal = journal
	return journal.Truncate(end)
}

// replay applies the changes of a journal. It returns where the last whole line ends, and whether some changes undo others.
func (s *Server) replay(journal io.Reader) (end int64, superseded bool, err error) {
	lines := bufio.NewReaderSize(journal, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, superseded, nil
		}
		var c change
		if err == nil {
			err = json.Unmarshal(line, &c)
		}
		if err != nil {
			return end, false, err
		}
		superseded = s.restore(c) || superseded
		end += int64(len(line))
	}
}

// rewrite replaces the journal with one of the present state, so that it does not grow with what is gone.
func (s *Server) rewrite(path string) error {
	next, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	s.journal = next
	for _, a := range s.accounts {
		s.keep(change{Account: &a.Account})
		for _, in := range a.spaces {
			for _, e := range in.entries {
				s.keepEntry(in, e)
			}
		}
	}
	for value, t := range s.tokens {
		s.keepToken(value, t)
	}
	return errors.Join(next.Sync(), os.Rename(path+".new", path))
}

// Close closes the journal, if there is one.
func (s *Server) Close() error {
	if s.journal == nil {
		return nil
	}
	return s.journal.Close()
}

// restore applies a change of an earlier process. It reports whether the change undoes an earlier one that takes much space.
func (s *Server) restore(c change) (supersedes bool) {
	switch {
	case c.Account != nil:
		s.addAccount(*c.Account)
	case c.Removed != "":
		supersedes = true
		s.removeAccount(c.Removed)
	case c.Token != nil:
		s.tokens[c.Token.Value] = &token{account: s.accounts[c.Token.AppKey], expires: c.Token.Expires, scopes: c.Token.Scopes, refresh: c.Token.Refresh}
	case c.Entry != nil:
		e := c.Entry
		in := s.accounts[e.AppKey].space(e.Namespace)
		supersedes = in.entries[fold(e.Path)] != nil
		in.mkdirs(e.Path[:strings.LastIndex(e.Path, "/")])
		restored := &entry{
			id: e.ID, display: e.Path, rev: e.Rev, folder: e.Folder, modified: e.Modified, clientModified: e.ClientModified, commits: e.Commits,
		}
		if !e.Folder {
			restored.data = newContent(newPart(e.Data))
			restored.hash = restored.data.hash()
		}
		in.entries[fold(e.Path)] = restored
	case c.Deleted != nil:
		supersedes = true
		s.accounts[c.Deleted.AppKey].space(c.Deleted.Namespace).remove(c.Deleted.Path)
	}
	return supersedes
}

// keep writes a change to the journal, if there is one. The lock must be held. A simulator that cannot keep what it has promised ends.
func (s *Server) keep(c change) {
	if s.journal == nil {
		return
	}
	line, err := json.Marshal(c)
	if err == nil {
		_, err = s.journal.Write(append(line, '\n'))
	}
	if err != nil {
		panic(fmt.Sprintf("dropboxsim: writing the journal: %v", err))
	}
}

// keepToken writes an access token to the journal. The lock must be held.
func (s *Server) keepToken(value string, t *token) {
	s.keep(change{Token: &journalToken{Value: value, AppKey: t.account.AppKey, Expires: t.expires, Scopes: t.scopes, Refresh: t.refresh}})
}

// keepEntry writes an entry to the journal. The lock must be held.
func (s *Server) keepEntry(in *space, e *entry) {
	if s.journal == nil {
		return
	}
	kept := &journalEntry{
		place: place{in.account.AppKey, in.namespace, e.display}, ID: e.id, Rev: e.rev, Folder: e.folder,
		Modified: e.modified, ClientModified: e.clientModified, Commits: e.commits,
	}
	if !e.folder {
		kept.Data = e.data.bytes()
	}
	s.keep(change{Entry: kept})
}
