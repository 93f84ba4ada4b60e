// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/shard"
)

const (
	dispatchService = "platen-dispatch"
	contentClaim    = "platen-content"
	managerLease    = "platen-manager"
	// maxLogTail bounds what is read of a render pod's log, in bytes.
	maxLogTail = 16 << 10
)

// checkCommand is kubectl platen check.
type checkCommand struct {
	tryCommand
	// serviceAccount of the manager, as its Deployment says.
	serviceAccount string
	// shards is the number of managers that lead side by side; 0 if it is not known.
	shards int
	// rendered is what the render found out about the store.
	rendered string
}

func (o *options) check() *cobra.Command {
	k := &checkCommand{tryCommand: tryCommand{options: o}}
	command := &cobra.Command{
		Use:   "check",
		Short: "Check each part of an installation, and say what to do about what is wrong",
		Long: `Check each part of an installation: the kinds, your rights, the manager and its rights, the leader, the content store, and whether render pods
reach the manager, which takes DNS and the network. At last, render a built-in card in the namespace, and fetch it. Each check is a line; one that fails
says what to do. A check for which you lack the right is left out. The command deletes the template and the job that it creates.

It exits with 0 if nothing has failed, and with 1 otherwise.`,
		Example: `  # Check the installation, and render in the namespace marketing.
  kubectl platen check -n marketing`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return k.run(c.Context()) },
	}
	f := command.Flags()
	f.DurationVar(&k.timeout, "timeout", time.Minute, "how long the render may take")
	o.platenNamespaceFlag(command, &k.platenNamespace, "namespace of Platen")
	return command
}

// skipError says that a check cannot be made, which is no failure.
type skipError string

// Error implements error.
func (e skipError) Error() string { return string(e) }

// part is one check. run returns what it has seen, or an error that says what to do.
type part struct {
	name string
	// needs are the parts without which this one makes no sense.
	needs []string
	run   func(context.Context, *cluster) (string, error)
}

func (k *checkCommand) run(ctx context.Context) error {
	c, err := k.cluster()
	if err != nil {
		return err
	}
	failed := map[string]bool{}
	for _, p := range []part{
		{"kinds", nil, k.kinds},
		{"your rights", []string{"kinds"}, k.yourRights},
		{"manager", []string{"kinds"}, k.manager},
		{"manager's rights", []string{"manager"}, k.managersRights},
		{"leader", []string{"manager"}, k.leader},
		{"dispatch", []string{"manager"}, k.dispatch},
		{"volume", nil, k.volume},
		{"render", []string{"kinds", "your rights", "manager", "leader", "dispatch"}, k.card},
		{"DNS", []string{"render"}, func(context.Context, *cluster) (string, error) {
			return "the render pod has found the manager by its name", nil
		}},
		{"store", []string{"render"}, k.store},
	} {
		if i := slices.IndexFunc(p.needs, func(need string) bool { return failed[need] }); i >= 0 {
			failed[p.name] = true
			line(k.Out, "skip", p.name, "needs: "+p.needs[i])
			continue
		}
		text, err := p.run(ctx, c)
		skipped := skipError("")
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &skipped):
			line(k.Out, "skip", p.name, skipped.Error())
		case err != nil:
			failed[p.name] = true
			line(k.Out, "FAIL", p.name, k.sameCluster(err.Error()))
		default:
			line(k.Out, "ok", p.name, text)
		}
	}
	if len(failed) > 0 {
		return errors.New("a check has failed: do what the first line that begins with FAIL says")
	}
	return nil
}

// line prints the result of a check.
func line(out io.Writer, state, name, text string) {
	fmt.Fprintf(out, "%-4s  %-16s  %s\n", state, name, plain(text))
}

// kinds checks that the API server serves Platen's kinds.
func (k *checkCommand) kinds(_ context.Context, c *cluster) (string, error) {
	var missing []string
	kinds := []string{"RenderTemplate", "FontSet", "StorageConnection", "RenderPool", "RenderJob"}
	for _, kind := range kinds {
		_, err := c.RESTMapper().RESTMapping(platenv1alpha1.GroupVersion.WithKind(kind).GroupKind(), platenv1alpha1.GroupVersion.Version)
		switch {
		case meta.IsNoMatchError(err):
			missing = append(missing, kind)
		case err != nil:
			return "", explain(err)
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("the cluster does not serve %s of %s: install Platen (%s)", strings.Join(missing, ", "), platenv1alpha1.GroupVersion, installCommand)
	}
	return strings.Join(kinds, ", "), nil
}

func (k *checkCommand) yourRights(ctx context.Context, c *cluster) (string, error) {
	// The API server tells of rights in a namespace that does not exist, too.
	if err := c.noNamespace(ctx); err != nil {
		return "", err
	}
	if err := k.checkRights(ctx, c); err != nil {
		return "", err
	}
	return "you may render in namespace " + c.namespace, nil
}

// manager checks that the manager's Deployment is available.
func (k *checkCommand) manager(ctx context.Context, c *cluster) (string, error) {
	_, missing, err := k.missing(ctx, c)
	switch {
	case err != nil:
		return "", err
	case missing != "":
		return "", fmt.Errorf("%s; see kubectl -n %s describe deployment,pod -l app.kubernetes.io/component=manager", missing, k.platenNamespace)
	}
	deployment := &appsv1.Deployment{}
	if err := c.in(k.platenNamespace).get(ctx, managerDeployment, deployment); err != nil {
		return "", k.unreadable(err)
	}
	k.serviceAccount = deployment.Spec.Template.Spec.ServiceAccountName
	if k.serviceAccount == "" {
		k.serviceAccount = "default"
	}
	return fmt.Sprintf("%d available, image %s", deployment.Status.AvailableReplicas, deployment.Spec.Template.Spec.Containers[0].Image), nil
}

// in returns the cluster with another namespace.
func (c *cluster) in(namespace string) *cluster {
	other := *c
	other.namespace = namespace
	return &other
}

// unreadable returns why an object of Platen's namespace cannot be checked.
func (k *checkCommand) unreadable(err error) error {
	if apierrors.IsForbidden(err) {
		return skipError("you may not read it in namespace " + k.platenNamespace)
	}
	return explain(err)
}

// right is what the manager must be allowed to do. An empty namespace means all.
type right struct {
	group, resource, subresource, name, verb string
}

// managersRights checks the rights of the manager's ServiceAccount.
func (k *checkCommand) managersRights(ctx context.Context, c *cluster) (string, error) {
	if k.serviceAccount == "" {
		return "", skipError("its ServiceAccount is not known")
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var lacking []string
	for _, r := range managersRights {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:   "system:serviceaccount:" + k.platenNamespace + ":" + k.serviceAccount,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + k.platenNamespace, "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: r.group, Resource: r.resource, Subresource: r.subresource, Name: r.name, Verb: r.verb,
			},
		}}
		if err := c.Create(ctx, review); apierrors.IsForbidden(err) {
			return "", skipError("you may not ask for the rights of others")
		} else if err != nil {
			return "", explain(err)
		}
		if !review.Status.Allowed {
			lacking = append(lacking, r.String())
		}
	}
	if len(lacking) > 0 {
		return "", fmt.Errorf("ServiceAccount %s/%s may not %s: apply the ClusterRole and the ClusterRoleBinding platen-manager again",
			k.platenNamespace, k.serviceAccount, strings.Join(lacking, ", nor "))
	}
	return fmt.Sprintf("ServiceAccount %s/%s has all %d", k.platenNamespace, k.serviceAccount, len(managersRights)), nil
}

// String returns the right in words, such as "patch renderjobs/status".
func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.subresource != "" {
		text += "/" + r.subresource
	}
	if r.name != "" {
		text += " " + r.name
	}
	return text
}

// managersRights are those of the ClusterRole platen-manager; a test compares them with config/rbac.
var managersRights = func() (all []right) {
	for _, r := range []struct {
		group, resources, verbs, name string
	}{
		{"", "configmaps namespaces secrets", "get", ""},
		{"", "nodes", "list", ""},
		{"", "pods", "create delete get list watch", ""},
		{"authentication.k8s.io", "tokenreviews", "create", ""},
		{"authorization.k8s.io", "subjectaccessreviews", "create", ""},
		{"events.k8s.io", "events", "create patch", ""},
		{"networking.k8s.io", "networkpolicies", "create", ""},
		{"networking.k8s.io", "networkpolicies", "get patch", "platen-render-pods"},
		{platenv1alpha1.GroupVersion.Group, "renderjobs", "delete get list watch", ""},
		{platenv1alpha1.GroupVersion.Group, "fontsets renderpools rendertemplates storageconnections", "get list watch", ""},
		{platenv1alpha1.GroupVersion.Group, "fontsets/status renderjobs/status renderpools/status rendertemplates/status storageconnections/status", "get patch", ""},
	} {
		for resource := range strings.FieldsSeq(r.resources) {
			resource, subresource, _ := strings.Cut(resource, "/")
			for verb := range strings.FieldsSeq(r.verbs) {
				all = append(all, right{r.group, resource, subresource, r.name, verb})
			}
		}
	}
	return all
}()

// leader checks that managers hold the leases of all shards; without --shards, that is one.
func (k *checkCommand) leader(ctx context.Context, c *cluster) (string, error) {
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leases := &coordinationv1.LeaseList{}
	if err := c.List(bounded, leases, client.InNamespace(k.platenNamespace)); err != nil {
		return "", k.unreadable(err)
	}
	text, shards, err := leaders(leases.Items, time.Now())
	k.shards = shards
	if err != nil {
		return "", fmt.Errorf("%w: see kubectl -n %s logs deployment/%s", err, k.platenNamespace, managerDeployment)
	}
	return text, nil
}

// leaders returns who holds the leases of all shards, and how many shards there are.
func leaders(leases []coordinationv1.Lease, now time.Time) (text string, shards int, err error) {
	// The number of shards is that of the lease that was renewed last.
	newest, byName := time.Time{}, map[string]*coordinationv1.Lease{}
	for i := range leases {
		lease := &leases[i]
		_, n, ok := shard.ParseLeaseName(managerLease, lease.Name)
		if !ok {
			continue
		}
		byName[lease.Name] = lease
		if lease.Spec.RenewTime != nil && (shards == 0 || lease.Spec.RenewTime.After(newest)) {
			newest, shards = lease.Spec.RenewTime.Time, n
		}
	}
	if shards == 0 {
		return "", 1, errors.New("no manager has led yet")
	}
	var holders []string
	for i := range shards {
		of := ""
		if shards > 1 {
			of = fmt.Sprintf(" shard %d of %d, so its namespaces wait; each shard needs a replica", i, shards)
		}
		lease := byName[shard.LeaseName(managerLease, i, shards)]
		if lease == nil || ptr.Deref(lease.Spec.HolderIdentity, "") == "" || lease.Spec.RenewTime == nil {
			return "", shards, fmt.Errorf("no manager leads%s", of)
		}
		age := now.Sub(lease.Spec.RenewTime.Time)
		if age > 2*time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 15))*time.Second {
			if of != "" {
				of = fmt.Sprintf(" (shard %d of %d)", i, shards)
			}
			return "", shards, fmt.Errorf("%s led last, %s ago%s", *lease.Spec.HolderIdentity, age.Round(time.Second), of)
		}
		holders = append(holders, *lease.Spec.HolderIdentity)
	}
	return strings.Join(holders, ", "), shards, nil
}

// dispatch checks that the Services that render pods call have leaders behind them.
func (k *checkCommand) dispatch(ctx context.Context, c *cluster) (text string, err error) {
	services := []string{dispatchService}
	for i := range k.shards {
		if k.shards > 1 {
			services = append(services, fmt.Sprintf("%s-%d", dispatchService, i))
		}
	}
	for i, service := range services {
		addresses, err := k.endpoints(ctx, c, service)
		if err != nil {
			return "", err
		}
		if i == 0 {
			text = fmt.Sprintf("Service %s leads to %s", service, strings.Join(addresses, ", "))
		}
	}
	return text, nil
}

// endpoints returns the addresses behind a Service of the dispatch server. It is an error if there are none.
func (k *checkCommand) endpoints(ctx context.Context, c *cluster, name string) (addresses []string, err error) {
	service := &corev1.Service{}
	switch err := c.in(k.platenNamespace).get(ctx, name, service); {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the Service %s does not exist in namespace %s, so render pods cannot reach the manager: install Platen again (%s)",
			name, k.platenNamespace, installCommand)
	case err != nil:
		return nil, k.unreadable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	slices := &discoveryv1.EndpointSliceList{}
	if err := c.List(ctx, slices, client.InNamespace(k.platenNamespace), client.MatchingLabels{discoveryv1.LabelServiceName: name}); err != nil {
		return nil, k.unreadable(err)
	}
	for i := range slices.Items {
		for _, endpoint := range slices.Items[i].Endpoints {
			addresses = append(addresses, endpoint.Addresses...)
		}
	}
	if len(addresses) == 0 {
		label := "platen.dev/role=leader"
		if number, ok := strings.CutPrefix(name, dispatchService+"-"); ok {
			label += ",platen.dev/shard=" + number
		}
		return nil, fmt.Errorf("the Service %s selects no pod, so render pods cannot reach the manager: the leader gives its pod the label %s; see kubectl -n %s logs deployment/%s",
			name, label, k.platenNamespace, managerDeployment)
	}
	return addresses, nil
}

// volume checks that the content store's volume exists.
func (k *checkCommand) volume(ctx context.Context, c *cluster) (string, error) {
	claim := &corev1.PersistentVolumeClaim{}
	switch err := c.in(k.platenNamespace).get(ctx, contentClaim, claim); {
	case apierrors.IsNotFound(err):
		return "", skipError("there is none: the content store is a bucket, or has a volume of another name")
	case err != nil:
		return "", k.unreadable(err)
	case claim.Status.Phase != corev1.ClaimBound:
		return "", fmt.Errorf("PersistentVolumeClaim %s is %s: the cluster needs a StorageClass that makes volumes; see kubectl -n %s describe pvc %s",
			contentClaim, claim.Status.Phase, k.platenNamespace, contentClaim)
	}
	capacity := claim.Status.Capacity[corev1.ResourceStorage]
	return fmt.Sprintf("PersistentVolumeClaim %s, %s", contentClaim, capacity.String()), nil
}

// card renders the card of try and fetches it.
func (k *checkCommand) card(ctx context.Context, c *cluster) (string, error) {
	folder, err := os.MkdirTemp("", "platen-check-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	k.output = filepath.Join(folder, "card.png")
	bounded, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	began := time.Now()
	job, err := k.render(bounded, c)
	if err != nil {
		if problem := k.podsProblem(ctx, c); problem != "" {
			return "", fmt.Errorf("%s (%w)", problem, err)
		}
		return "", err
	}
	page := job.Status.Pages[0]
	k.rendered = file.Size(ptr.Deref(page.Size, 0)) + " stored and fetched, with the right checksum"
	return fmt.Sprintf("a card in %.1f s", time.Since(began).Seconds()), nil
}

// store says what the render found out about the store.
func (k *checkCommand) store(context.Context, *cluster) (string, error) {
	if k.unsaved != nil {
		return "", skipError("you may not fetch the card: " + k.unsaved.Error())
	}
	return k.rendered, nil
}

// podsProblem returns why a render pod of the namespace does not get on, and what to do; "" if that is not known.
func (k *checkCommand) podsProblem(ctx context.Context, c *cluster) string {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	pods := &corev1.PodList{}
	// A person who may not list pods gets the job's words.
	_ = c.List(ctx, pods, client.InNamespace(c.namespace), client.MatchingLabels{
		"app.kubernetes.io/managed-by": "platen", "app.kubernetes.io/component": "renderer",
	})
	set, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return ""
	}
	for i := range pods.Items {
		// A pod that has not reached the manager for long ends: its log still says why.
		log, err := set.CoreV1().Pods(c.namespace).GetLogs(pods.Items[i].Name, &corev1.PodLogOptions{LimitBytes: new(int64(maxLogTail)), TailLines: new(int64(20))}).DoRaw(ctx)
		if problem := networkProblem(string(log)); err == nil && problem != "" {
			return fmt.Sprintf("render pod %s %s", pods.Items[i].Name, problem)
		}
		if problem := podProblem(&pods.Items[i]); problem != "" {
			return fmt.Sprintf("render pod %s does not run: %s", pods.Items[i].Name, problem)
		}
	}
	return ""
}

// networkProblem returns what the log of a render pod says about its way to the manager, and what to do.
func networkProblem(log string) string {
	for _, known := range []struct{ word, problem string }{
		{"no such host", "cannot resolve the manager's name: the cluster's DNS must answer pods of this namespace; see kubectl -n kube-system get pods -l k8s-app=kube-dns, and NetworkPolicies that forbid port 53"},
		{"server misbehaving", "gets no answer from the cluster's DNS: see kubectl -n kube-system get pods -l k8s-app=kube-dns"},
		{"connection refused", "is refused by the manager's port: see whether the manager leads, and its log"},
		{"i/o timeout", "gets no answer from the manager or DNS: a NetworkPolicy of this namespace or of Platen's must allow render pods to reach port 9443 of the manager and port 53 of DNS"},
		{"deadline exceeded", "gets no answer from the manager or DNS: a NetworkPolicy of this namespace or of Platen's must allow render pods to reach port 9443 of the manager and port 53 of DNS"},
		{"certificate", "does not trust the manager's certificate: its pods are from before the keys changed; delete them"},
	} {
		if strings.Contains(log, known.word) {
			return known.problem
		}
	}
	return ""
}
