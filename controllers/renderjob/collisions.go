// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/destination"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
)

// fileName returns the name of a job's file if it has only one.
func fileName(job *platenv1alpha1.RenderJob) string {
	return file.Name(job.FileBaseName(), file.ID{}, false, file.Format(job.Spec.Output.Format))
}

// fileNames returns the names of another job's files: those that its status has or, while it has none, those of the same pages as files.
func fileNames(other *platenv1alpha1.RenderJob, files []file.File) (names []string) {
	ids := make([]file.ID, 0, max(len(files), len(other.Status.Pages)))
	for _, p := range other.Status.Pages {
		ids = append(ids, file.ID{Page: int(p.Page), ExtraSize: ptr.Deref(p.ExtraSize, "")})
	}
	if len(ids) == 0 {
		for _, f := range files {
			ids = append(ids, f.ID)
		}
	}
	severalPages := slices.ContainsFunc(ids, func(id file.ID) bool { return id.Page != ids[0].Page })
	for _, id := range ids {
		names = append(names, file.Name(other.FileBaseName(), id, severalPages, file.Format(other.Spec.Output.Format)))
	}
	return names
}

// pageSuffix ends the name of a file of a job with several pages.
var pageSuffix = regexp.MustCompile(`_page_[0-9]+(\.[a-z0-9]+)$`)

const (
	// maxOfSpelling bounds the jobs of one spelling that are compared with a job, and maxCompared those of all spellings.
	maxOfSpelling = 4
	maxCompared   = 16
)

// spellings knows how the jobs of each namespace spell the names of their files: "Summer.png" and "summer.png" are one name. Thousands of jobs
// may have one name in one spelling, and are never copied. The zero value is ready.
type spellings struct {
	mu    sync.Mutex
	jobs  map[types.NamespacedName]*spelled
	names map[name][]spelling
}

// spelling has the jobs that spell a name in one way, from the oldest to the youngest. Most names have one spelling and one job, so that a map
// would take more memory than all else.
type spelling struct {
	text string
	jobs []*spelled
}

// name of a file without regard to case and to the normal form of Unicode.
type name struct{ namespace, folded string }

// spelled is a job with its spelling.
type spelled struct {
	key      types.NamespacedName
	created  time.Time
	spelling string
}

func (s *spelled) name() name { return name{s.key.Namespace, storage.PathKey(s.spelling)} }

// byAge orders jobs from the oldest to the youngest.
func byAge(a, b *spelled) int {
	return cmp.Or(a.created.Compare(b.created), strings.Compare(a.key.Name, b.key.Name))
}

// set notes the spelling of a RenderJob, unless it has ended and uploads nothing.
func (s *spellings) set(object client.Object) {
	job, ok := object.(*platenv1alpha1.RenderJob)
	if !ok {
		return
	}
	if job.Finished() && len(job.Status.Connections) == 0 {
		s.remove(client.ObjectKeyFromObject(job))
		return
	}
	entry := &spelled{client.ObjectKeyFromObject(job), job.CreationTimestamp.Time, fileName(job)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.jobs[entry.key]; ok {
		if *known == *entry {
			return
		}
		s.drop(known)
	}
	if s.jobs == nil {
		s.jobs, s.names = map[types.NamespacedName]*spelled{}, map[name][]spelling{}
	}
	s.jobs[entry.key] = entry
	all := s.names[entry.name()]
	i := spellingOf(all, entry.spelling)
	if i < 0 {
		s.names[entry.name()] = append(all, spelling{entry.spelling, []*spelled{entry}})
		return
	}
	at, _ := slices.BinarySearchFunc(all[i].jobs, entry, byAge)
	all[i].jobs = slices.Insert(all[i].jobs, at, entry)
}

// spellingOf returns the index of a spelling, -1 if there is none.
func spellingOf(all []spelling, text string) int {
	return slices.IndexFunc(all, func(s spelling) bool { return s.text == text })
}

// remove forgets a job that is gone.
func (s *spellings) remove(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.jobs[key]; ok {
		s.drop(known)
	}
}

// drop removes an entry. The lock must be held.
func (s *spellings) drop(entry *spelled) {
	delete(s.jobs, entry.key)
	all := s.names[entry.name()]
	i := spellingOf(all, entry.spelling)
	if i < 0 {
		return
	}
	if at, ok := slices.BinarySearchFunc(all[i].jobs, entry, byAge); ok {
		all[i].jobs = slices.Delete(all[i].jobs, at, at+1)
	}
	if len(all[i].jobs) == 0 {
		all = slices.Delete(all, i, i+1)
		s.names[entry.name()] = all
	}
	if len(all) == 0 {
		delete(s.names, entry.name())
	}
}

// others returns the oldest other jobs that may have a file with the name of one of this job's files: a few of each spelling, as they may have
// other folders. They have the same file name; that of one page, if this job has several; or no page, if this job's file name ends with one.
func (s *spellings) others(job *platenv1alpha1.RenderJob, files []file.File) (keys []types.NamespacedName) {
	mine := &spelled{key: client.ObjectKeyFromObject(job), spelling: fileName(job)}
	texts := append(make([]string, 0, len(files)+2), mine.spelling, pageSuffix.ReplaceAllString(mine.spelling, "$1"))
	for _, f := range files {
		texts = append(texts, f.Name)
	}
	wanted := map[name]bool{}
	for _, text := range texts {
		wanted[(&spelled{key: mine.key, spelling: text}).name()] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*spelled
	for name := range wanted {
		for _, spelling := range s.names[name] {
			found = append(found, spelling.jobs[:min(len(spelling.jobs), maxOfSpelling)]...)
		}
	}
	slices.SortFunc(found, byAge)
	for _, other := range found[:min(len(found), maxCompared)] {
		if other.key != mine.key {
			keys = append(keys, other.key)
		}
	}
	return keys
}

// sameName returns other jobs that may have a file of the same name but for its case, if the job uploads to a service that ignores case.
func (r *Reconciler) sameName(ctx context.Context, s *scope) (others []platenv1alpha1.RenderJob) {
	if !slices.ContainsFunc(s.uploads, ignoresCase) {
		return nil
	}
	for _, key := range r.spellings.others(s.job, s.files) {
		other := platenv1alpha1.RenderJob{}
		if err := r.Client.Get(ctx, key, &other); err == nil { // else it is gone
			others = append(others, other)
		}
	}
	return others
}

func ignoresCase(u upload) bool { return u.Connection.Spec.Provider == platenv1alpha1.ProviderDropbox }

// replaces reports whether an upload replaces the file that is at its path; otherwise two jobs have two files, or one keeps its own.
func replaces(u upload) bool {
	policy := connect.ConflictPolicy(u.Connection)
	return policy == "" || policy == storage.Overwrite
}

// collision is another job that spells the path of one of this job's files with other capitals. A service that ignores case keeps one file
// for both. Jobs with the same spelling mean the same file, and the connection's conflict policy applies.
type collision struct {
	job, path string
	provider  platenv1alpha1.ProviderType
}

// findCollisions returns the collisions of a job's files with older jobs among others, one of each job and connection.
func findCollisions(job *platenv1alpha1.RenderJob, files []file.File, uploads []upload, others []platenv1alpha1.RenderJob, connections []platenv1alpha1.StorageConnection) (list []collision) {
	for i := range others {
		other := &others[i]
		older := cmp.Or(other.CreationTimestamp.Compare(job.CreationTimestamp.Time), strings.Compare(other.Name, job.Name)) < 0
		if other.Name == job.Name || !older {
			continue
		}
		theirs := uploadsOf(destination.Resolve(other, connections).Targets)
		for _, mine := range uploads {
			for _, their := range theirs {
				if mine.Connection.Name != their.Connection.Name || !ignoresCase(mine) || !replaces(mine) {
					continue
				}
				if path := otherSpelling(mine.Folder, files, their.Folder, fileNames(other, files)); path != "" {
					list = append(list, collision{other.Name, path, mine.Connection.Spec.Provider})
				}
			}
		}
	}
	return list
}

// otherSpelling returns the first of their paths that is one of the files' in another spelling, empty if there is none.
func otherSpelling(folder string, files []file.File, theirFolder string, theirNames []string) string {
	if storage.PathKey(folder) != storage.PathKey(theirFolder) {
		return ""
	}
	spellings := make(map[string]string, len(files))
	for _, f := range files {
		path := storage.JoinPath(folder, f.Name)
		spellings[storage.PathKey(path)] = path
	}
	for _, name := range theirNames {
		path := storage.JoinPath(theirFolder, name)
		if mine, ok := spellings[storage.PathKey(path)]; ok && mine != path {
			return path
		}
	}
	return ""
}
