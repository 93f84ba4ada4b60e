// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chaos kills the manager, render pods and the Dropbox simulator of the development cluster at random while jobs run, and
// compares the outcome with a ledger that it keeps itself: every job succeeds, each page is in Dropbox once, and only killed render pods
// cost attempts.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/cluster"
	"github.com/platen-dev/platen/test/node"
)

const (
	// backoffLimit of the jobs: chance may hit one job several times.
	backoffLimit = 10
	// namespaces share the jobs of a round.
	namespaces = 2
	// maxProblems bounds the problems that an error lists.
	maxProblems = 10
	// settleTimeout bounds the wait for a page that the simulator does not show although the job has succeeded.
	settleTimeout = 30 * time.Second
)

// Options of a round. All but MaxKills are required.
type Options struct {
	Cluster *cluster.Cluster
	// Jobs of the round.
	Jobs int
	// Seed of the victims and pauses. The instants at which the processes are hit vary even so.
	Seed uint64
	// MinPause and MaxPause bound the time between two kills.
	MinPause, MaxPause time.Duration
	// MaxKills bounds the kills; 0 kills until all jobs have finished.
	MaxKills int
	// Timeout of the whole round.
	Timeout time.Duration
	// Log gets a line for each kill.
	Log io.Writer
}

// Outcome of a round whose jobs all ended as they must.
type Outcome struct {
	// Kills by victim.
	Kills map[string]int
	// Attempts beyond the first, of all jobs.
	Retries int
	// MaxAttempts of one job.
	MaxAttempts int
	Took        time.Duration
}

// The victims.
const (
	Manager   = "manager"
	Renderer  = "renderer"
	Simulator = "dropboxsim"
)

// victims in the proportion in which they are killed.
var victims = []string{Manager, Renderer, Renderer, Renderer, Simulator}

// labels of the victims' pods.
var labels = map[string]client.MatchingLabels{
	Manager:   {"app.kubernetes.io/component": "manager"},
	Renderer:  {"app.kubernetes.io/component": "renderer"},
	Simulator: {"app.kubernetes.io/name": "dropboxsim"},
}

// kill is a line of the ledger.
type kill struct {
	victim, namespace string
}

// round is one round.
type round struct {
	Options
	rand       *rand.Rand
	namespaces []string
	// pages of each job by its template.
	pages map[string]int
	jobs  []*platenv1alpha1.RenderJob
	kills []kill
}

// Round runs one round in new namespaces with accounts of their own, which it deletes afterwards. The error lists every job that did not end as it must.
func Round(ctx context.Context, o Options) (outcome Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	r := &round{Options: o, rand: rand.New(rand.NewPCG(o.Seed, 0)), pages: map[string]int{card.Name: 1, "two-pages": 2, "slow": 1}}
	began := time.Now()
	defer func() {
		if err != nil {
			err = fmt.Errorf("seed %d: %w", o.Seed, err)
			return // the namespaces are kept for a look
		}
		for _, namespace := range r.namespaces {
			err = errors.Join(err, card.Remove(ctx, o.Cluster, namespace))
		}
	}()
	if err := r.prepare(ctx); err != nil {
		return outcome, err
	}
	if err := r.run(ctx); err != nil {
		return outcome, err
	}
	outcome = Outcome{Kills: map[string]int{}, Took: time.Since(began)}
	for _, k := range r.kills {
		outcome.Kills[k.victim]++
	}
	return outcome, r.check(ctx, &outcome)
}

// prepare creates the namespaces, with an account and templates each.
func (r *round) prepare(ctx context.Context) error {
	for range namespaces {
		namespace, err := card.Namespace(ctx, r.Cluster)
		if err != nil {
			return err
		}
		r.namespaces = append(r.namespaces, namespace.Name)
		page := func(name, script string) platenv1alpha1.TemplatePage {
			return platenv1alpha1.TemplatePage{Name: name, Width: 1200, Height: 630, HTML: card.Page + script}
		}
		template := func(name string, pages ...platenv1alpha1.TemplatePage) *platenv1alpha1.RenderTemplate {
			return &platenv1alpha1.RenderTemplate{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: name},
				Spec:       platenv1alpha1.RenderTemplateSpec{Pages: pages},
			}
		}
		err = errors.Join(
			card.Prepare(ctx, r.Cluster, namespace.Name),
			r.Cluster.Create(ctx, template("two-pages", page("front", ""), page("back", "<p>back"))),
			r.Cluster.Create(ctx, template("slow", page("front", "<script>platen.ready = () => new Promise((ready) => setTimeout(ready, 1000))</script>"))),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// run creates the jobs, and kills until all of them have finished.
func (r *round) run(ctx context.Context) error {
	templates := []string{card.Name, card.Name, "two-pages", "slow"}
	for i := range r.Jobs {
		r.jobs = append(r.jobs, &platenv1alpha1.RenderJob{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.namespaces[i%namespaces], Name: fmt.Sprintf("job-%04d", i)},
			Spec: platenv1alpha1.RenderJobSpec{
				TemplateRef:  platenv1alpha1.TemplateReference{Name: templates[i/namespaces%len(templates)]},
				BackoffLimit: new(int32(backoffLimit)),
				Cache:        platenv1alpha1.CacheDisabled, // a round is about renders
			},
		})
	}
	for _, job := range r.jobs {
		if err := r.Cluster.Create(ctx, job); err != nil {
			return fmt.Errorf("creating job %s: %w", job.Name, err)
		}
	}
	for {
		left, err := r.unfinished(ctx)
		switch {
		case err != nil:
			return err
		case len(left) == 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%d of %d jobs have not finished, the first: %s", len(left), r.Jobs, left[0])
		}
		if r.MaxKills == 0 || len(r.kills) < r.MaxKills {
			if err := r.kill(ctx, victims[r.rand.IntN(len(victims))]); err != nil {
				return err
			}
		}
		pause := r.MinPause + time.Duration(r.rand.Int64N(int64(r.MaxPause-r.MinPause)))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// unfinished refreshes the jobs, and describes those that have not finished. It also answers after the end of ctx.
func (r *round) unfinished(ctx context.Context) (left []string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	found := map[client.ObjectKey]*platenv1alpha1.RenderJob{}
	for _, namespace := range r.namespaces {
		jobs := &platenv1alpha1.RenderJobList{}
		if err := r.Cluster.List(ctx, jobs, client.InNamespace(namespace)); err != nil {
			return nil, err
		}
		for i := range jobs.Items {
			found[client.ObjectKeyFromObject(&jobs.Items[i])] = &jobs.Items[i]
		}
	}
	for i, job := range r.jobs {
		now := found[client.ObjectKeyFromObject(job)]
		if now == nil {
			return nil, fmt.Errorf("job %s is gone", job.Name)
		}
		r.jobs[i] = now
		if !now.Finished() {
			left = append(left, describe(now))
		}
	}
	return left, nil
}

// describe returns a job's name and what its Ready condition says.
func describe(job *platenv1alpha1.RenderJob) string {
	ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
	if ready == nil {
		return fmt.Sprintf("%s/%s (no status)", job.Namespace, job.Name)
	}
	return fmt.Sprintf("%s/%s (attempts %d, %s: %s)", job.Namespace, job.Name, ptr.Deref(job.Status.Attempts, 0), ready.Reason, ready.Message)
}

// kill kills a running victim, if there is one.
func (r *round) kill(ctx context.Context, victim string) error {
	in := []string{cluster.Namespace}
	if victim == Renderer {
		in = r.namespaces
	}
	var running []*corev1.Pod
	for _, namespace := range in {
		pods := &corev1.PodList{}
		if err := r.Cluster.List(ctx, pods, client.InNamespace(namespace), labels[victim]); err != nil {
			return client.IgnoreNotFound(err)
		}
		for i := range pods.Items {
			if s := pods.Items[i].Status.ContainerStatuses; len(s) > 0 && s[0].State.Running != nil && pods.Items[i].DeletionTimestamp == nil {
				running = append(running, &pods.Items[i])
			}
		}
	}
	if len(running) == 0 {
		return nil
	}
	pod := running[r.rand.IntN(len(running))]
	if err := node.Signal(pod, syscall.SIGKILL); err != nil {
		if errors.Is(err, node.ErrNoProcess) { // it has just ended
			return nil
		}
		return err
	}
	r.kills = append(r.kills, kill{victim, pod.Namespace})
	_, err := fmt.Fprintf(r.Log, "%s killed %s %s/%s\n", time.Now().Format("15:04:05.000"), victim, pod.Namespace, pod.Name)
	return err
}

// check compares the jobs and the simulator's files with the ledger.
func (r *round) check(ctx context.Context, outcome *Outcome) error {
	var problems []error
	for _, namespace := range r.namespaces {
		want := map[string]bool{}
		retries := 0
		for _, job := range r.jobs {
			if job.Namespace != namespace {
				continue
			}
			attempts := int(ptr.Deref(job.Status.Attempts, 0))
			retries += attempts - 1
			outcome.MaxAttempts = max(outcome.MaxAttempts, attempts)
			ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
			if ready.Reason != platenv1alpha1.SucceededReason || attempts < 1 {
				problems = append(problems, fmt.Errorf("%s has not succeeded", describe(job)))
			}
			pages := r.pages[job.Spec.TemplateRef.Name]
			for page := range pages {
				path := fmt.Sprintf("/Renders/%s.png", job.Name)
				if pages > 1 {
					path = fmt.Sprintf("/Renders/%s_page_%d.png", job.Name, page+1)
				}
				want[path] = true
			}
		}
		killed := 0
		for _, k := range r.kills {
			if k.victim == Renderer && k.namespace == namespace {
				killed++
			}
		}
		outcome.Retries += retries
		if retries > killed {
			problems = append(problems, fmt.Errorf("the jobs of %s count %d lost attempts, but %d of its render pods were killed", namespace, retries, killed))
		}
		problems = append(problems, r.compare(ctx, namespace, want))
	}
	problems = slices.DeleteFunc(problems, func(err error) bool { return err == nil })
	if n := len(problems); n > maxProblems {
		problems = append(problems[:maxProblems], fmt.Errorf("and %d more", n-maxProblems))
	}
	return errors.Join(problems...)
}

// compare waits until the simulator runs, and compares its files with the paths.
func (r *round) compare(ctx context.Context, namespace string, want map[string]bool) error {
	var problems []string
	err := wait.PollUntilContextTimeout(ctx, time.Second, settleTimeout, true, func(ctx context.Context) (bool, error) {
		files, err := r.Cluster.Simulator().Files(ctx, namespace)
		if err != nil {
			problems = []string{err.Error()}
			return false, nil //nolint:nilerr // it starts again
		}
		problems = nil
		missing := map[string]bool{}
		for path := range want {
			missing[path] = true
		}
		for _, f := range files {
			switch {
			case !want[f.Path]:
				problems = append(problems, f.Path+" belongs to no job")
			case f.Commits != 1:
				problems = append(problems, fmt.Sprintf("%s was written %d times", f.Path, f.Commits))
			}
			delete(missing, f.Path)
		}
		for path := range missing {
			problems = append(problems, path+" is missing")
		}
		return true, nil
	})
	if err == nil && problems == nil {
		return nil
	}
	slices.Sort(problems)
	return fmt.Errorf("files of %s: %q (%w)", namespace, problems, err)
}
