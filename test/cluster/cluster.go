// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster is a client of a cluster with Platen and the Dropbox simulator, for the end-to-end tests, the benchmarks and the demo.
// Everything except requests to the shim goes through the API server, so that it works with any cluster.
package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
)

// Namespace is the namespace of Platen and the simulator.
const Namespace = "platen-system"

const (
	contentService   = "http:platen-content:content"
	simulatorService = "http:dropboxsim:http"
	pollInterval     = 20 * time.Millisecond
)

// Cluster is a client of a cluster.
type Cluster struct {
	client.WithWatch
	kube kubernetes.Interface
}

// Open reads the kubeconfig that KUBECONFIG names.
func Open() (*Cluster, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 500, 1000
	config.WarningHandler = rest.NoWarnings{}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := platenv1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Cluster{c, kube}, nil
}

// Kube returns a client for requests without objects, such as those to a pod's proxy.
func (c *Cluster) Kube() kubernetes.Interface { return c.kube }

// WaitFinished waits until the job of that name has finished in its newest generation, and returns it.
func (c *Cluster) WaitFinished(ctx context.Context, key types.NamespacedName) (*platenv1alpha1.RenderJob, error) {
	job := &platenv1alpha1.RenderJob{}
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		if err := c.Get(ctx, key, job); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		return job.Finished(), nil
	})
	if err != nil {
		return job, fmt.Errorf("RenderJob %s has not finished (conditions %v): %w", key, job.Status.Conditions, err)
	}
	return job, nil
}

// Content reads the file behind a content URL, and its content type.
func (c *Cluster) Content(ctx context.Context, contentURL string) ([]byte, string, error) {
	u, err := url.Parse(contentURL)
	if err != nil {
		return nil, "", err
	}
	contentType := ""
	request := c.proxy(http.MethodGet, contentService, u.Path)
	for name, values := range u.Query() {
		request = request.Param(name, values[0])
	}
	data, err := request.Do(ctx).ContentType(&contentType).Raw()
	return data, contentType, err
}

func (c *Cluster) proxy(method, service, path string) *rest.Request {
	return c.kube.CoreV1().RESTClient().Verb(method).Namespace(Namespace).Resource("services").Name(service).SubResource("proxy").Suffix(path)
}

// Shim returns the base URL of the REST shim: the address of its Service, which the machine must reach. The API server's proxy would
// drop the callers' tokens.
func (c *Cluster) Shim(ctx context.Context) (string, error) {
	service, err := c.kube.CoreV1().Services(Namespace).Get(ctx, "platen-shim", metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("looking for the shim: %w", err)
	}
	return "http://" + service.Spec.ClusterIP, nil
}

// Designer creates a service account that may render in the namespace, and returns its token.
func (c *Cluster) Designer(ctx context.Context, namespace, name string) (string, error) {
	return c.Account(ctx, namespace, name, rbacv1.PolicyRule{
		APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates"},
		Verbs: []string{"create", "get", "list", "patch"},
	})
}

// Account creates a service account with the rights of the rules in the namespace, and returns its token.
func (c *Cluster) Account(ctx context.Context, namespace, name string, rules ...rbacv1.PolicyRule) (string, error) {
	in := metav1.ObjectMeta{Namespace: namespace, Name: name}
	account := &corev1.ServiceAccount{ObjectMeta: in}
	for _, object := range []client.Object{
		account,
		&rbacv1.Role{ObjectMeta: in, Rules: rules},
		&rbacv1.RoleBinding{
			ObjectMeta: in, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: namespace}},
		},
	} {
		if err := c.Create(ctx, object); err != nil {
			return "", fmt.Errorf("making the service account %s: %w", name, err)
		}
	}
	request := &authenticationv1.TokenRequest{}
	if err := c.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("asking for a token of %s: %w", name, err)
	}
	return request.Status.Token, nil
}

// Simulator controls the Dropbox simulator of the cluster.
type Simulator struct{ cluster *Cluster }

// Simulator returns the cluster's Dropbox simulator.
func (c *Cluster) Simulator() Simulator { return Simulator{c} }

// AddAccount adds or changes an account.
func (s Simulator) AddAccount(ctx context.Context, a dropboxsim.Account) error {
	return s.post(ctx, "/_sim/accounts", a)
}

// RemoveAccount removes an account with its files.
func (s Simulator) RemoveAccount(ctx context.Context, appKey string) error {
	return s.cluster.proxy(http.MethodDelete, simulatorService, "/_sim/accounts/"+appKey).Do(ctx).Error()
}

// AddFault makes requests fail.
func (s Simulator) AddFault(ctx context.Context, f dropboxsim.Fault) error {
	return s.post(ctx, "/_sim/faults", f)
}

// ClearFaults drops every fault.
func (s Simulator) ClearFaults(ctx context.Context) error {
	return s.cluster.proxy(http.MethodDelete, simulatorService, "/_sim/faults").Do(ctx).Error()
}

// AdvanceClock moves the simulator's clock.
func (s Simulator) AdvanceClock(ctx context.Context, d time.Duration) error {
	return s.post(ctx, "/_sim/clock", map[string]int{"advanceSeconds": int(d.Seconds())})
}

// SetLatency delays every answer.
func (s Simulator) SetLatency(ctx context.Context, d time.Duration) error {
	return s.post(ctx, "/_sim/latency", map[string]int64{"millis": d.Milliseconds()})
}

// Log returns the request log.
func (s Simulator) Log(ctx context.Context) (entries []dropboxsim.Entry, err error) {
	return entries, s.get(ctx, "/_sim/log", nil, &entries)
}

// Files lists an account's files.
func (s Simulator) Files(ctx context.Context, appKey string) (files []dropboxsim.File, err error) {
	return files, s.get(ctx, "/_sim/files", map[string]string{"account": appKey}, &files)
}

// File returns the bytes at a path.
func (s Simulator) File(ctx context.Context, appKey, path string) ([]byte, error) {
	return s.cluster.proxy(http.MethodGet, simulatorService, "/_sim/file").Param("account", appKey).Param("path", path).Do(ctx).Raw()
}

func (s Simulator) get(ctx context.Context, path string, params map[string]string, target any) error {
	request := s.cluster.proxy(http.MethodGet, simulatorService, path)
	for name, value := range params {
		request = request.Param(name, value)
	}
	data, err := request.Do(ctx).Raw()
	if err != nil {
		return fmt.Errorf("asking the simulator for %s: %w", path, err)
	}
	return json.Unmarshal(bytes.TrimSpace(data), target)
}

func (s Simulator) post(ctx context.Context, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.cluster.proxy(http.MethodPost, simulatorService, path).SetHeader("Content-Type", "application/json").Body(data).Do(ctx).Error()
}
