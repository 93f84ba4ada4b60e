// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package dropboxsim

import (
	"bytes"
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
	Account *Account      `json:"account,omitempty"`
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

// Persist restores the accounts, access tokens and files from a journal, and from then on writes each change to it before the change is
// answered, so that a killed simulator goes on where it was. Upload sessions, consent and the request log are not kept. Call it before
// the simulator serves; the caller closes the file.
func (s *Server) Persist(journal *os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := io.ReadAll(journal)
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	end := 0
	for {
		n := bytes.IndexByte(data[end:], '\n')
		if n < 0 {
			break
		}
		var c change
		if err := json.Unmarshal(data[end:end+n], &c); err != nil {
			return fmt.Errorf("reading the journal at byte %d: %w", end, err)
		}
		s.restore(c)
		end += n + 1
	}
	// A killed process may have left half a line, of a change that it has not answered.
	if err := errors.Join(journal.Truncate(int64(end)), seek(journal, int64(end))); err != nil {
		return fmt.Errorf("cutting the journal: %w", err)
	}
	s.journal = journal
	return nil
}

func seek(file *os.File, offset int64) error {
	_, err := file.Seek(offset, io.SeekStart)
	return err
}

// restore applies a change of an earlier process.
func (s *Server) restore(c change) {
	switch {
	case c.Account != nil:
		s.addAccount(*c.Account)
	case c.Token != nil:
		s.tokens[c.Token.Value] = &token{account: s.accounts[c.Token.AppKey], expires: c.Token.Expires, scopes: c.Token.Scopes, refresh: c.Token.Refresh}
	case c.Entry != nil:
		e := c.Entry
		in := s.accounts[e.AppKey].space(e.Namespace)
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
		s.accounts[c.Deleted.AppKey].space(c.Deleted.Namespace).remove(c.Deleted.Path)
	}
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
