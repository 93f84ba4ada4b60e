// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	dispatch "github.com/platen-dev/platen/internal/dispatch/client"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/render"
)

// The ends of an attempt, as the pods know them.
const (
	endedWell = "finished"
	endedBad  = "failed"
	// A pod that loses its attempt by one of these is at fault, so the attempt counts.
	endedOOM, endedCrash, endedSilent, endedPartition, endedHang = "OOM kill", "crash", "silence", "partition", "deadline"
	// A disruption does not count: somebody deletes the pod, or the cluster evicts it.
	endedDisrupted, endedDeleted, endedEvicted = "disruption", "deletion", "eviction"
	// endedGone says that the manager took the task from the pod.
	endedGone = "gone"
)

// end of an attempt.
type end struct {
	at  time.Time
	how string
}

// node is the one node of the cluster: its kubelet and its pods.
type node struct {
	w     *world
	tasks sync.WaitGroup
	ctx   context.Context //nolint:containedctx // it lives as long as the node

	mu   sync.Mutex
	pods map[types.UID]*pod
	// ends has how each attempt at a job ended, in the order of the ends, by the job's name.
	ends map[string][]end
	// renders counts the attempts that began, by the job's name.
	renders map[string]int
	// names of pods in traces, by their names and UIDs.
	names map[string]string
}

// pod is a render pod.
type pod struct {
	node *node
	key  types.NamespacedName
	uid  types.UID
	// name is short and does not depend on the random name.
	name string
	ctx  context.Context //nolint:containedctx // it lives as long as the containers
	stop context.CancelCauseFunc

	mu sync.Mutex
	// cutUntil is the end of a partition between the pod and the manager.
	cutUntil time.Time
	// begun is true once a container runs.
	begun bool
	// job and attempt that the pod renders.
	job, attempt string
}

var (
	errOOM     = errors.New("OOMKilled")
	errCrash   = errors.New("Error")
	errTerm    = errors.New("SIGTERM")
	errRemoved = errors.New("the pod was removed")
)

// bind gives a new pod to the node.
func (n *node) bind(o *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ctx, stop := context.WithCancelCause(n.ctx)
	p := &pod{node: n, key: client.ObjectKeyFromObject(o), uid: o.UID, name: fmt.Sprintf("pod-%d", len(n.pods)+1), ctx: ctx, stop: stop}
	n.pods[o.UID] = p
	n.names[o.Name], n.names[string(o.UID)] = p.name, p.name
	n.tasks.Go(p.run)
}

// byToken returns the pod whose token it is, nil if it is none of a pod that exists.
func (n *node) byToken(token string) *pod {
	n.mu.Lock()
	p := n.pods[types.UID(token)]
	n.mu.Unlock()
	if p == nil || n.w.api.get("Pod", p.key) == nil {
		return nil
	}
	return p
}

// run is the life of a pod.
func (p *pod) run() {
	w := p.node.w
	err := p.live()
	defer p.stop(nil)
	if w.api.get("Pod", p.key) == nil {
		return
	}
	// The kubelet sees the end of the containers after a while.
	_ = sleep(p.node.ctx, w.between("end of "+p.name, 200*time.Millisecond, 2*time.Second))
	w.trace("%s ended: %v", p.name, err)
	w.turn(p.key.Namespace)
	deleting := false
	p.update(func(o *corev1.Pod) {
		code, reason := int32(0), "Completed"
		o.Status.Phase = corev1.PodSucceeded
		if err != nil && !errors.Is(err, errTerm) {
			code, reason, o.Status.Phase = 1, "Error", corev1.PodFailed
		}
		if errors.Is(err, errOOM) {
			code, reason = 137, "OOMKilled"
		}
		if p.begun {
			o.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "renderer", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}},
			}}
		}
		deleting = o.DeletionTimestamp != nil
	})
	if deleting {
		_ = sleep(p.node.ctx, w.between("removal of "+p.name, 10*time.Millisecond, time.Second))
		_ = w.api.remove("Pod", p.key, p.uid)
	}
}

// live starts the pod and runs its container to the end.
func (p *pod) live() error {
	w := p.node.w
	if err := p.sleep("schedule", 5*time.Millisecond, 50*time.Millisecond); err != nil {
		return err
	}
	if w.happens(w.plan.unschedulable, "unschedulable "+p.name) {
		w.trace("%s is unschedulable", p.name)
		w.turn(p.key.Namespace)
		p.update(func(o *corev1.Pod) {
			o.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
				Message: "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
			}}
		})
		if err := p.sleep("unschedulable", 3*time.Second, 60*time.Second); err != nil {
			return err
		}
	}
	w.turn(p.key.Namespace)
	p.update(func(o *corev1.Pod) {
		o.Spec.NodeName = "node"
		o.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	})
	if w.happens(w.plan.imageFailure, "image failure "+p.name) {
		w.trace("%s cannot pull its image", p.name)
		w.turn(p.key.Namespace)
		for i := range 2 + w.random("image failures of "+p.name).IntN(6) {
			// The kubelet shows the two in turn.
			reason := "ErrImagePull"
			if i%2 == 1 {
				reason = "ImagePullBackOff"
			}
			p.waiting(reason, "failed to pull and unpack image")
			if err := p.sleep("image", time.Second, 10*time.Second); err != nil {
				return err
			}
		}
	}
	start, limit := 300*time.Millisecond, 1500*time.Millisecond
	if w.happens(w.plan.slowStart, "slow start "+p.name) {
		start, limit = 5*time.Second, 25*time.Second
	}
	if err := p.sleep("start", start, limit); err != nil {
		return err
	}
	w.turn(p.key.Namespace)
	p.mu.Lock()
	p.begun = true
	p.mu.Unlock()
	p.node.tasks.Go(func() {
		if p.sleep("running", 100*time.Millisecond, 1500*time.Millisecond) == nil {
			p.update(func(o *corev1.Pod) {
				o.Status.Phase = corev1.PodRunning
				o.Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name: "renderer", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
				}}
			})
		}
	})
	if w.happens(w.plan.neverPolls, "never polls "+p.name) {
		w.trace("%s never polls", p.name)
		<-p.ctx.Done()
		return context.Cause(p.ctx)
	}
	c, err := dispatch.New(dispatch.Options{
		URL: "https://dispatch.test", TokenFile: os.DevNull, Renderer: p, Logger: slog.New(slog.DiscardHandler), Transport: &link{p},
	})
	if err != nil {
		return err
	}
	err = c.Run(p.ctx)
	if cause := context.Cause(p.ctx); cause != nil {
		return cause
	}
	return err
}

// sleep waits as the pod, until its containers are stopped.
func (p *pod) sleep(what string, from, to time.Duration) error {
	if sleep(p.ctx, p.node.w.between(what+" of "+p.name, from, to)) != nil {
		return context.Cause(p.ctx)
	}
	return nil
}

func (p *pod) waiting(reason, message string) {
	p.update(func(o *corev1.Pod) {
		o.Status.Phase = corev1.PodPending
		o.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "renderer", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}
	})
}

// update changes the pod's object, if it still exists.
func (p *pod) update(change func(*corev1.Pod)) {
	_ = p.node.w.api.update("Pod", p.key, func(o client.Object) {
		if pod, ok := o.(*corev1.Pod); ok && pod.UID == p.uid {
			change(pod)
		}
	})
}

// terminate deletes a pod as the API server does: its containers get SIGTERM, and the kubelet removes the object when they have ended. A
// disruption says so in the pod's conditions.
func (n *node) terminate(key types.NamespacedName, uid types.UID, disruption string) error {
	n.mu.Lock()
	var found *pod
	for _, p := range n.pods {
		if p.key == key {
			found = p
		}
	}
	n.mu.Unlock()
	o := n.w.api.get("Pod", key)
	if found == nil || o == nil {
		return apierrors.NewNotFound(resource("Pod"), key.Name)
	}
	if uid != "" && o.GetUID() != uid {
		return apierrors.NewConflict(resource("Pod"), key.Name, errors.New("the UID is another"))
	}
	ended := false
	found.update(func(pod *corev1.Pod) {
		ended = pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if pod.DeletionTimestamp == nil {
			pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = new(metav1.Now()), new(int64(5))
		}
		if disruption != "" {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: disruption,
			})
		}
	})
	if ended {
		return n.w.api.remove("Pod", key, o.GetUID())
	}
	n.tasks.Go(func() {
		if sleep(n.ctx, n.w.between("SIGTERM of "+found.name, 5*time.Millisecond, 100*time.Millisecond)) == nil {
			found.stop(errTerm)
		}
	})
	return nil
}

// removed stops the containers of a pod whose object is gone.
func (n *node) removed(uid types.UID) {
	n.mu.Lock()
	p := n.pods[uid]
	n.mu.Unlock()
	if p != nil {
		n.tasks.Go(func() {
			_ = sleep(n.ctx, n.w.between("removal of "+p.name, 10*time.Millisecond, 500*time.Millisecond))
			// A node that is cut off does not hear that its pod is gone: the containers go on for a while.
			_ = sleep(n.ctx, min(p.isCut()+time.Second, time.Minute))
			p.stop(errRemoved)
		})
	}
}

// cut breaks the network between the pod and the manager for a time.
func (p *pod) cut(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutUntil = time.Now().Add(d)
}

// isCut returns how long the network stays broken.
func (p *pod) isCut() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.cutUntil)
}

// Render implements render.Renderer. The bytes of a file differ from attempt to attempt, as those of a video may.
func (p *pod) Render(ctx context.Context, task render.Task, sink render.Sink) (_ []render.Warning, err error) {
	w, n := p.node.w, p.node
	job, _, _ := strings.Cut(task.Name, "-v") // the rest is of an edit
	n.mu.Lock()
	n.renders[job]++
	number := n.renders[job]
	attempt := fmt.Sprintf("%s %d", job, number)
	n.mu.Unlock()
	w.trace("%s renders %s", p.name, attempt)
	p.mu.Lock()
	p.job, p.attempt = job, attempt
	p.mu.Unlock()
	defer func() {
		switch {
		case errors.Is(context.Cause(p.ctx), errTerm), errors.Is(context.Cause(p.ctx), errRemoved):
			p.ended(endedDisrupted)
		case err == nil:
			p.ended(endedWell)
		case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
			p.ended(endedHang)
		case ctx.Err() != nil:
			p.ended(endedGone)
		default:
			p.ended(endedBad)
		}
	}()
	files := task.Files()
	at, fate := w.random("fault at page of "+attempt).IntN(len(files)+1), w.fateOf(attempt, number)
	for i := range len(files) + 1 {
		if err := sleep(ctx, w.between("page of "+attempt, 30*time.Millisecond, 900*time.Millisecond)); err != nil {
			return nil, &render.Error{Reason: render.ReasonDeadlineExceeded, Message: "rendering took too long", Terminal: true, Err: err}
		}
		if i == at {
			if err := p.suffer(ctx, fate, attempt); err != nil {
				return nil, err
			}
		}
		if i == len(files) {
			return nil, nil
		}
		f := files[i]
		f.Width, f.Height = 100, 100
		if err := sink.Emit(ctx, f, pageOf(attempt, f)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// pageOf returns the bytes of a file that an attempt renders.
func pageOf(attempt string, f file.File) []byte {
	return fmt.Appendf(nil, "%s: page %d of %s", attempt, f.Page, f.Name)
}

// ended records how the attempt ends that the pod renders.
func (p *pod) ended(how string) {
	p.mu.Lock()
	job, attempt := p.job, p.attempt
	p.mu.Unlock()
	p.node.w.trace("%s: %s: %s", p.name, attempt, how)
	p.node.mu.Lock()
	defer p.node.mu.Unlock()
	p.node.ends[job] = append(p.node.ends[job], end{time.Now(), how})
}

// fateOf decides how an attempt ends, by its number from 1.
func (w *world) fateOf(attempt string, number int) string {
	if number <= len(w.plan.fates) {
		return w.plan.fates[number-1]
	}
	for _, f := range []struct {
		probability float64
		fate        string
	}{
		{w.plan.oom, endedOOM}, {w.plan.crash, endedCrash}, {w.plan.silence, endedSilent}, {w.plan.partition, endedPartition},
		{w.plan.deletion, endedDeleted}, {w.plan.renderFails, endedBad}, {w.plan.renderHangs, endedHang},
	} {
		if w.happens(f.probability, f.fate+" of "+attempt) {
			return f.fate
		}
	}
	return endedWell
}

// suffer lets the fate of an attempt befall it. It records how the attempt ends, unless its render will show it.
func (p *pod) suffer(ctx context.Context, fate, attempt string) error {
	w := p.node.w
	switch fate {
	case endedOOM, endedCrash:
		p.ended(fate)
		p.stop(map[string]error{endedOOM: errOOM, endedCrash: errCrash}[fate])
		<-ctx.Done()
		return ctx.Err()
	case endedSilent:
		p.ended(fate)
		p.cut(24 * time.Hour)
		<-p.ctx.Done()
		return p.ctx.Err()
	case endedPartition:
		d := w.between("partition of "+attempt, time.Second, 40*time.Second)
		w.trace("%s is cut off for %s", p.name, d)
		p.ended(fate)
		p.cut(d)
	case endedDeleted, endedEvicted:
		w.trace("%s: %s", p.name, fate)
		if err := p.node.terminate(p.key, p.uid, map[string]string{endedEvicted: "EvictionByEvictionAPI"}[fate]); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	case endedBad:
		return &render.Error{Reason: render.ReasonBrowserCrashed, Message: "the browser crashed"}
	case endedHang:
		p.ended(fate)
		<-ctx.Done()
		return &render.Error{Reason: render.ReasonDeadlineExceeded, Message: "rendering took too long", Terminal: true, Err: ctx.Err()}
	}
	return nil
}
