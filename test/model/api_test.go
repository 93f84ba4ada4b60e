// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/testenv"
)

// apiServer keeps the objects of the cluster and every version of them.
type apiServer struct {
	w          *world
	validators map[string]*testenv.Validator

	mu      sync.Mutex
	version int64
	kinds   map[string]*kind
	uids    int
	// calls counts the requests of managers, by verb and kind.
	calls map[string]int
	// refused are the times at which admission refused a pod, by namespace.
	refused map[string][]time.Time
	// writes are the statuses that managers wrote, by job, and poolWrites by RenderPool.
	writes     map[types.UID][]statusWrite
	poolWrites map[types.UID][]poolWrite
}

// poolWrite is a status of a RenderPool that a manager wrote.
type poolWrite struct {
	at      time.Time
	process string
	pool    *platenv1alpha1.RenderPool
}

// kind holds the objects of one kind.
type kind struct {
	name    string
	objects map[types.NamespacedName]client.Object
	// log has every change.
	log []change
	// watchers are told of each change.
	watchers map[chan struct{}]bool
}

// change of an object. object is its new version, or the last one if it is deleted.
type change struct {
	event  watch.EventType
	at     time.Time
	object client.Object
}

// statusWrite is a status that a manager wrote.
type statusWrite struct {
	at      time.Time
	process string
	job     *platenv1alpha1.RenderJob
}

// validators of the kinds of Platen, made once, because that takes a while.
var validators = sync.OnceValues(func() (map[string]*testenv.Validator, error) {
	made := map[string]*testenv.Validator{}
	for _, kind := range []string{"RenderJob", "RenderTemplate", "StorageConnection", "RenderPool"} {
		v, err := testenv.NewValidator(kind)
		if err != nil {
			return nil, err
		}
		made[kind] = v
	}
	return made, nil
})

func newAPIServer(w *world, validators map[string]*testenv.Validator) *apiServer {
	return &apiServer{
		w: w, validators: validators, kinds: map[string]*kind{}, calls: map[string]int{},
		refused: map[string][]time.Time{}, writes: map[types.UID][]statusWrite{}, poolWrites: map[types.UID][]poolWrite{},
	}
}

// kindOf returns the name of the kind of an object or of a list of such objects.
func (s *apiServer) kindOf(object runtime.Object) string {
	gvk, err := apiutil.GVKForObject(object, s.w.scheme)
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(gvk.Kind, "List")
}

// kind returns the objects of a kind. The lock must be held.
func (s *apiServer) kind(name string) *kind {
	k := s.kinds[name]
	if k == nil {
		k = &kind{name: name, objects: map[types.NamespacedName]client.Object{}, watchers: map[chan struct{}]bool{}}
		s.kinds[name] = k
	}
	return k
}

func resource(kind string) schema.GroupResource {
	return schema.GroupResource{Group: platenv1alpha1.GroupVersion.Group, Resource: strings.ToLower(kind) + "s"}
}

// get returns a copy of an object, nil if it does not exist.
func (s *apiServer) get(kind string, key types.NamespacedName) client.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.kind(kind).objects[key]; o != nil {
		return clone(o)
	}
	return nil
}

// list returns copies of the objects of a kind, sorted by nothing.
func (s *apiServer) list(kind string) (objects []client.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.kind(kind).objects {
		objects = append(objects, clone(o))
	}
	return objects
}

// create adds an object, with the defaults of its CRD, and fills in its metadata.
func (s *apiServer) create(o client.Object) error {
	kind, key := s.kindOf(o), client.ObjectKeyFromObject(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(kind)
	if k.objects[key] != nil {
		return apierrors.NewAlreadyExists(resource(kind), key.Name)
	}
	if pod, ok := o.(*corev1.Pod); ok {
		if err := s.admit(pod); err != nil {
			return err
		}
	}
	if v := s.validators[kind]; v != nil {
		if err := v.Default(o); err != nil {
			return err
		}
	}
	s.uids++
	o.SetUID(types.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", s.w.seed, s.uids)))
	o.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	o.SetGeneration(1)
	return s.put(k, watch.Added, o)
}

// update changes an object. The generation grows with the spec of an object of Platen. The error is a NotFound.
func (s *apiServer) update(kind string, key types.NamespacedName, change func(client.Object)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(kind)
	before := k.objects[key]
	if before == nil {
		return apierrors.NewNotFound(resource(kind), key.Name)
	}
	after := clone(before)
	change(after)
	if specOf(before) != specOf(after) {
		after.SetGeneration(before.GetGeneration() + 1)
	}
	return s.put(k, watch.Modified, after)
}

// remove deletes an object at once.
func (s *apiServer) remove(kind string, key types.NamespacedName, uid types.UID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(kind)
	o := k.objects[key]
	switch {
	case o == nil:
		return apierrors.NewNotFound(resource(kind), key.Name)
	case uid != "" && o.GetUID() != uid:
		return apierrors.NewConflict(resource(kind), key.Name, fmt.Errorf("the UID is %s", o.GetUID()))
	}
	delete(k.objects, key)
	s.version++
	last := clone(o)
	last.SetResourceVersion(strconv.FormatInt(s.version, 10))
	s.record(k, change{watch.Deleted, time.Now(), last})
	if kind == "Pod" {
		s.w.node.removed(o.GetUID())
	}
	return nil
}

// admit admits a pod or refuses it. The lock must be held.
func (s *apiServer) admit(pod *corev1.Pod) error {
	at, p := s.w.elapsed(), s.w.plan
	var reason string
	switch {
	case at < p.forbidden:
		reason = `violates PodSecurity "restricted:latest": hostNetwork (pod must not set hostNetwork=true)`
	case at < p.quotaFor:
		used := 0
		for _, o := range s.kind("Pod").objects {
			other, ok := o.(*corev1.Pod)
			if ok && other.Namespace == pod.Namespace && other.Status.Phase != corev1.PodSucceeded && other.Status.Phase != corev1.PodFailed {
				used++
			}
		}
		if used < p.quota {
			return nil
		}
		reason = fmt.Sprintf("exceeded quota: pods, requested: pods=1, used: pods=%d, limited: pods=%d", used, p.quota)
	default:
		return nil
	}
	s.refused[pod.Namespace] = append(s.refused[pod.Namespace], time.Now())
	return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, pod.Name, errors.New(reason))
}

// put stores a version of an object. The lock must be held.
func (s *apiServer) put(k *kind, event watch.EventType, o client.Object) error {
	if v := s.validators[k.name]; v != nil {
		if err := v.Validate(context.Background(), o); err != nil {
			return apierrors.NewInvalid(schema.GroupKind{Group: platenv1alpha1.GroupVersion.Group, Kind: k.name}, o.GetName(), nil)
		}
	}
	s.version++
	o.SetResourceVersion(strconv.FormatInt(s.version, 10))
	stored := clone(o)
	k.objects[client.ObjectKeyFromObject(o)] = stored
	s.record(k, change{event, time.Now(), stored})
	return nil
}

func (s *apiServer) record(k *kind, c change) {
	k.log = append(k.log, c)
	for watcher := range k.watchers {
		select {
		case watcher <- struct{}{}:
		default:
		}
	}
}

// patchStatus applies a merge patch to the status of an object.
func (s *apiServer) patchStatus(o client.Object, patch client.Patch) error {
	kind, key := s.kindOf(o), client.ObjectKeyFromObject(o)
	data, err := patch.Data(o)
	if err != nil {
		return err
	}
	var changes map[string]any
	if err := json.Unmarshal(data, &changes); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(kind)
	before := k.objects[key]
	if before == nil {
		return apierrors.NewNotFound(resource(kind), key.Name)
	}
	metadata, _ := changes["metadata"].(map[string]any)
	if version, ok := metadata["resourceVersion"]; ok && version != before.GetResourceVersion() {
		return apierrors.NewConflict(resource(kind), key.Name, errors.New("the object has been modified"))
	}
	if uid, ok := metadata["uid"]; ok && uid != string(before.GetUID()) {
		return apierrors.NewConflict(resource(kind), key.Name, errors.New("the UID is another"))
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(before)
	if err != nil {
		return err
	}
	merged := runtime.DeepCopyJSON(content)
	if status, ok := changes["status"]; ok {
		merged["status"] = merge(merged["status"], status)
	}
	after, ok := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(before).Elem()))
	if !ok {
		return fmt.Errorf("%T is no object", before)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(merged, after); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if v := s.validators[kind]; v != nil {
		if err := v.Validate(context.Background(), after); err != nil {
			s.w.violate("no status is refused", "%s %s: %v", kind, key.Name, err)
			return apierrors.NewInvalid(schema.GroupKind{Group: platenv1alpha1.GroupVersion.Group, Kind: kind}, key.Name, nil)
		}
	}
	if reflect.DeepEqual(merged, content) {
		return into(before, o) // no change is no new version
	}
	s.version++
	after.SetResourceVersion(strconv.FormatInt(s.version, 10))
	k.objects[key] = after
	s.record(k, change{watch.Modified, time.Now(), clone(after)})
	return into(after, o)
}

// merge applies a JSON merge patch (RFC 7386).
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result, ok := target.(map[string]any)
	if !ok {
		result = map[string]any{}
	}
	for key, value := range changes {
		if value == nil {
			delete(result, key)
		} else {
			result[key] = merge(result[key], value)
		}
	}
	return result
}

// count counts a request.
func (s *apiServer) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[what]++
}

// wrote records the status that a process wrote.
func (s *apiServer) wrote(p *process, job *platenv1alpha1.RenderJob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes[job.UID] = append(s.writes[job.UID], statusWrite{time.Now(), p.String(), job.DeepCopy()})
}

// wrotePool records the status of a RenderPool that a process wrote.
func (s *apiServer) wrotePool(p *process, pool *platenv1alpha1.RenderPool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poolWrites[pool.UID] = append(s.poolWrites[pool.UID], poolWrite{time.Now(), p.String(), pool.DeepCopy()})
}

// specOf returns the spec of an object of Platen, empty for any other.
func specOf(o client.Object) string {
	var spec any
	switch o := o.(type) {
	case *platenv1alpha1.RenderJob:
		spec = o.Spec
	case *platenv1alpha1.RenderTemplate:
		spec = o.Spec
	case *platenv1alpha1.StorageConnection:
		spec = o.Spec
	case *platenv1alpha1.RenderPool:
		spec = o.Spec
	default:
		return ""
	}
	data, err := json.Marshal(spec)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// clone returns a deep copy.
func clone(o client.Object) client.Object {
	c, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		panic(fmt.Sprintf("%T is no object", o))
	}
	return c
}

// snapshot returns the objects of a kind and the number of its changes so far, and registers a channel that is told of the next ones.
func (s *apiServer) snapshot(kind string, changed chan struct{}) (objects map[types.NamespacedName]client.Object, next int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind(kind)
	k.watchers[changed] = true
	return maps.Clone(k.objects), len(k.log)
}

func (s *apiServer) unwatch(kind string, changed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kind(kind).watchers, changed)
}

// changeAt returns the change of a kind with a number, from 0.
func (s *apiServer) changeAt(kind string, number int) (c change, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if log := s.kind(kind).log; number < len(log) {
		return log[number], true
	}
	return change{}, false
}

// sorted returns objects in the order of their names.
func sorted(objects map[types.NamespacedName]client.Object) []client.Object {
	list := slices.Collect(maps.Values(objects))
	slices.SortFunc(list, byName)
	return list
}

func byName(a, b client.Object) int {
	return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
}
