// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package uploader

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

// moment is when the tests call next; times in their tables are relative to it.
var moment = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fileState is an item in a table.
type fileState struct {
	path  string
	stage stage
	// size in bytes; 0 is 1.
	size int64
	// age is how long it has waited; backoff is how long until it may be tried again.
	age, backoff time.Duration
	// rendering is true while its job's render goes on.
	rendering bool
	// deadline is relative to moment; 0 is ten minutes.
	deadline time.Duration
	// second says that the file goes through a second client of the account.
	second bool
}

func TestNextOfAnAccount(t *testing.T) {
	for name, tc := range map[string]struct {
		// cannotStage makes the provider one that only uploads.
		cannotStage bool
		// bytes that one commit takes unstaged; 0 is ten.
		bytes      int64
		files      []fileState
		committing bool
		heldFor    time.Duration
		// want are the actions; wakeAt is when to call next again, 0 for only after a change.
		want   []string
		wakeAt time.Duration
	}{
		"nothing to do":     {},
		"one file":          {files: []fileState{{path: "/1"}}, want: []string{"commit /1"}, wakeAt: 10 * time.Minute},
		"files of one call": {files: []fileState{{path: "/1"}, {path: "/2"}}, want: []string{"commit /1 /2"}, wakeAt: 10 * time.Minute},
		"more files than a call takes": {
			files: []fileState{{path: "/1"}, {path: "/2"}, {path: "/3"}, {path: "/4"}}, want: []string{"commit /1 /2 /3"}, wakeAt: 10 * time.Minute,
		},
		"a commit is in flight": {
			files: []fileState{{path: "/1", stage: committing}, {path: "/2"}}, committing: true, wakeAt: 10 * time.Minute,
		},
		"a path that differs only in case goes later": {
			files: []fileState{{path: "/Card.png"}, {path: "/card.PNG"}, {path: "/x"}}, want: []string{"commit /Card.png /x"}, wakeAt: 10 * time.Minute,
		},
		"a second client goes later": {
			files: []fileState{{path: "/1"}, {path: "/2", second: true}, {path: "/3"}}, want: []string{"commit /1 /3"}, wakeAt: 10 * time.Minute,
		},
		"a file waits for its next attempt": {
			files: []fileState{{path: "/1", backoff: time.Second}, {path: "/2"}}, want: []string{"commit /2"}, wakeAt: time.Second,
		},
		"the account is held": {
			files: []fileState{{path: "/1"}, {path: "/large", size: 11}}, heldFor: time.Minute, wakeAt: time.Minute,
		},
		"an account with a hold and no files is remembered": {heldFor: time.Minute, wakeAt: time.Minute},
		"a deadline has passed": {
			files: []fileState{{path: "/1", deadline: -time.Second}, {path: "/2"}}, want: []string{"expire /1", "commit /2"}, wakeAt: 10 * time.Minute,
		},
		"a deadline passes during a hold": {
			files: []fileState{{path: "/1", deadline: -time.Second}, {path: "/2", deadline: time.Second}}, heldFor: time.Minute,
			want: []string{"expire /1"}, wakeAt: time.Second,
		},
		"a deadline passes during the call": {
			files: []fileState{{path: "/1", stage: committing, deadline: -time.Second}}, committing: true,
		},
		"no deadline while the render goes on": {files: []fileState{{path: "/1", rendering: true, deadline: -time.Second}}, wakeAt: time.Second},

		"a large file is staged by itself": {
			files: []fileState{{path: "/large", size: 11}, {path: "/1"}}, want: []string{"stage /large", "commit /1"}, wakeAt: 10 * time.Minute,
		},
		"a large file that is staged": {
			files: []fileState{{path: "/large", size: 11, stage: staged}, {path: "/1"}}, want: []string{"commit /large /1"}, wakeAt: 10 * time.Minute,
		},
		"two large files at a time": {
			files: []fileState{{path: "/a", size: 11, stage: staging}, {path: "/b", size: 11}, {path: "/c", size: 11}},
			want:  []string{"stage /b"}, wakeAt: 10 * time.Minute,
		},
		"an abandoned call counts": {
			files: []fileState{{path: "/a", size: 11, stage: staging}, {path: "/b", size: 11, stage: abandoned}, {path: "/c", size: 11}}, wakeAt: 10 * time.Minute,
		},
		"too many bytes for one commit": {
			files: []fileState{{path: "/1", size: 6}, {path: "/2", size: 6}}, want: []string{"stage /1 /2", "commit /1"}, wakeAt: 10 * time.Minute,
		},
		"too many bytes and no way to stage them": {
			cannotStage: true, files: []fileState{{path: "/1", size: 6}, {path: "/2", size: 6}}, want: []string{"commit /1"}, wakeAt: 10 * time.Minute,
		},
		"small files are being staged": {
			files: []fileState{{path: "/1", size: 6, stage: staging}, {path: "/2", size: 6}, {path: "/3", size: 6}}, want: []string{"commit /2"}, wakeAt: 10 * time.Minute,
		},
		"staged bytes do not count": {
			files: []fileState{{path: "/1", size: 6, stage: staged}, {path: "/2", size: 6}}, want: []string{"commit /1 /2"}, wakeAt: 10 * time.Minute,
		},

		"a short render needs no staging":     {files: []fileState{{path: "/1", rendering: true, age: aheadAge / 4}}, wakeAt: aheadAge * 3 / 4},
		"a longer render is staged meanwhile": {files: []fileState{{path: "/1", rendering: true, age: aheadAge}, {path: "/2", rendering: true}}, want: []string{"stage /1 /2"}},
		"a render of many bytes is staged soon": {
			bytes: 2 * aheadBytes, files: []fileState{{path: "/1", rendering: true, size: aheadBytes / 2}, {path: "/2", rendering: true, size: aheadBytes / 2}},
			want: []string{"stage /1 /2"},
		},
		"a render whose files are staged waits": {files: []fileState{{path: "/1", rendering: true, stage: staged}}},
		"a render in progress joins the staging of others": {
			files: []fileState{{path: "/1", size: 6}, {path: "/2", size: 6}, {path: "/3", rendering: true}},
			want:  []string{"stage /1 /2 /3", "commit /1"}, wakeAt: 10 * time.Minute,
		},
		"a provider that cannot stage waits for the render": {cannotStage: true, files: []fileState{{path: "/1", rendering: true, age: aheadAge}}},
	} {
		t.Run(name, func(t *testing.T) {
			limits := storage.Limits{Files: 3, Bytes: max(tc.bytes, 10)}
			first, second := &fakeProvider{limits: limits}, &fakeProvider{limits: limits}
			a := &account{committing: tc.committing, heldUntil: moment.Add(tc.heldFor)}
			for _, f := range tc.files {
				client := first
				if f.second {
					client = second
				}
				d := &destination{access: opened, provider: fakeStager{client}, upload: &Upload{Complete: !f.rendering, Deadline: moment.Add(10 * time.Minute)}}
				if tc.cannotStage {
					d.provider = client
				}
				if f.deadline != 0 {
					d.upload.Deadline = moment.Add(f.deadline)
				}
				it := &item{file: &storage.File{File: file.File{Size: max(f.size, 1)}, Path: f.path}, destination: d, stage: f.stage, since: moment.Add(-f.age)}
				if f.backoff > 0 {
					it.notBefore = moment.Add(f.backoff)
				}
				a.items = append(a.items, it)
			}
			actions, wakeAt := a.next(moment)
			expectActions(t, actions, wakeAt, tc.want, tc.wakeAt)
		})
	}
}

func TestNextOfADestination(t *testing.T) {
	for name, tc := range map[string]struct {
		access    access
		attempts  int
		backoff   time.Duration
		rendering bool
		want      []string
		wakeAt    time.Duration
	}{
		"new":                               {want: []string{"open dropbox"}},
		"new, while the render goes on":     {rendering: true, want: []string{"open dropbox"}},
		"failed once":                       {attempts: 1, backoff: time.Second, wakeAt: time.Second},
		"its next attempt is due":           {attempts: 1, backoff: -time.Second, want: []string{"open dropbox"}},
		"failed once, and the render lasts": {attempts: 1, backoff: -time.Second, rendering: true},
		"being opened":                      {access: opening, attempts: 1},
		"opened":                            {access: opened, attempts: 1},
		"failed for good":                   {access: failed, attempts: 1},
		"stopped":                           {access: stopped},
	} {
		t.Run(name, func(t *testing.T) {
			d := &destination{Connection: Connection{Name: "dropbox"}, access: tc.access, attempts: tc.attempts, upload: &Upload{Complete: !tc.rendering}}
			if tc.backoff != 0 {
				d.notBefore = moment.Add(tc.backoff)
			}
			actions, wakeAt := d.next(moment)
			expectActions(t, actions, wakeAt, tc.want, tc.wakeAt)
		})
	}
}

// expectActions compares the answer of next with actions in words and the time until the next call.
func expectActions(t *testing.T, actions []action, at time.Time, want []string, wakeAt time.Duration) {
	t.Helper()
	names := map[kind]string{openProvider: "open", stageFiles: "stage", commitFiles: "commit", expireFiles: "expire"}
	got := make([]string, 0, len(actions))
	for _, a := range actions {
		words := []string{names[a.kind]}
		if a.destination != nil {
			words = append(words, a.destination.Name)
		}
		for _, it := range a.items {
			words = append(words, it.file.Path)
		}
		got = append(got, strings.Join(words, " "))
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	var wait time.Duration
	if !at.IsZero() {
		wait = at.Sub(moment)
	}
	if diff := cmp.Diff(wakeAt.String(), wait.String()); diff != "" {
		t.Errorf("next call after (-want +got):\n%s", diff)
	}
}
