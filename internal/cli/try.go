// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	_ "embed" // the template and the job
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
)

const (
	managerDeployment = "platen-manager"
	installCommand    = "kubectl apply --server-side -f https://github.com/platen-dev/platen/releases/latest/download/install.yaml"
	// readyInterval is the pause between two checks whether Platen is ready.
	readyInterval = 500 * time.Millisecond
	// servedWithin is how long the API server may take to serve kinds that have just been installed.
	servedWithin = 10 * time.Second
)

// tryManifest holds the template and the job that try renders.
//
//go:embed try.yaml
var tryManifest []byte

// tryCommand is kubectl platen try.
type tryCommand struct {
	*options
	output, platenNamespace string
	open                    bool
	timeout                 time.Duration
	// unsaved says why the person may not fetch the card; nil if it is saved.
	unsaved error
}

func (o *options) try() *cobra.Command {
	t := &tryCommand{options: o}
	command := &cobra.Command{
		Use:   "try",
		Short: "Check that Platen works: render a card in this namespace",
		Long: `Check that Platen works: wait until it is ready, render a built-in card in the namespace, and save the picture. If something is
missing, the command says what it is and what to do. Without the right to fetch files, it does not save the picture, and says so. It deletes
the template and the job afterwards.

The command prints the YAML of the template and the job to the standard output: start from there.

` + exitCodesForPeople,
		Example: `  # Render the card, and show it.
  kubectl platen try --open

  # Keep the YAML, and work on from there.
  kubectl platen try -n marketing > hello.yaml`,
		Args: arguments(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return t.run(c.Context()) },
	}
	f := command.Flags()
	f.StringVarP(&t.output, "output", "o", "hello.png", "file to write")
	f.BoolVar(&t.open, "open", false, "show the picture")
	f.DurationVar(&t.timeout, "timeout", 2*time.Minute, "how long to wait until Platen is ready and the card is rendered")
	o.platenNamespaceFlag(command, &t.platenNamespace, "namespace of Platen")
	return command
}

func (t *tryCommand) run(ctx context.Context) error {
	if filepath.Ext(t.output) != ".png" {
		return usage("-o must end with .png, not %q", t.output)
	}
	if err := checkFile(t.output); err != nil {
		return err
	}
	c, err := t.cluster()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if err := t.awaitReady(ctx, c); err != nil {
		return err
	}
	if err := t.checkRights(ctx, c); err != nil {
		return err
	}
	began := time.Now()
	job, err := t.render(ctx, c)
	if err != nil {
		return err
	}
	page := job.Status.Pages[0]
	if t.unsaved != nil {
		fmt.Fprintf(t.ErrOut, "Rendered the card, and did not save it, because you may not fetch it: %s\n\nIts YAML:\n\n", t.unsaved)
	} else {
		fmt.Fprintf(t.ErrOut, "Saved %s (%dx%d, %s), %.1f s after the job was created, with this YAML:\n\n",
			t.output, page.Width, page.Height, file.Size(ptr.Deref(page.Size, 0)), time.Since(began).Seconds())
	}
	_, _ = t.Out.Write(tryManifest)
	describeWarnings(t.ErrOut, job.Status.Warnings)
	files := "-o out"
	if t.unsaved != nil {
		files = "--wait"
	}
	fmt.Fprint(t.ErrOut, t.sameCluster(fmt.Sprintf(`
Next:
  kubectl platen try -n %[1]s > hello.yaml && kubectl apply -n %[1]s -f hello.yaml   # keep the template and the job
  kubectl platen render hello --set name=Ada %[2]s -n %[1]s   # render with your own words
`, c.namespace, files)))
	// Who may not list connections may still connect one.
	if len(c.names(ctx, &platenv1alpha1.StorageConnectionList{}, false)) == 0 {
		fmt.Fprint(t.ErrOut, t.sameCluster(fmt.Sprintf("  kubectl platen connect dropbox -n %s   # send every picture to your Dropbox\n", c.namespace)))
	}
	if t.open && t.unsaved == nil {
		if err := openFile(t.output); err != nil {
			return fmt.Errorf("%s could not be opened: %w; open it yourself", t.output, err)
		}
	}
	return nil
}

// awaitReady waits until the API server serves Platen's kinds and the manager is available.
func (t *tryCommand) awaitReady(ctx context.Context, c *cluster) error {
	bar := newProgress(t.ErrOut)
	defer bar.end()
	began := time.Now()
	for {
		installed, missing, err := t.missing(ctx, c)
		switch {
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return &exitError{exitTimeout, fmt.Errorf("waited %s for Platen to become ready: %s", t.timeout, cmp.Or(missing, "the cluster has not answered yet"))}
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!installed || time.Since(began) > servedWithin):
			return err
		case err == nil && missing == "":
			return nil
		}
		if err == nil {
			bar.show(0, 1, "Waiting for Platen: "+missing)
		}
		select {
		case <-time.After(readyInterval):
		case <-ctx.Done():
		}
	}
}

// missing returns what Platen still waits for; empty if it is ready. err is a problem that waiting does not solve. installed tells
// whether the manager's Deployment exists: then the API server may serve the kinds soon.
func (t *tryCommand) missing(ctx context.Context, c *cluster) (installed bool, missing string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	deployment := &appsv1.Deployment{}
	deploymentErr := c.Get(ctx, client.ObjectKey{Namespace: t.platenNamespace, Name: managerDeployment}, deployment)
	installed = deploymentErr == nil
	switch err := c.List(ctx, &platenv1alpha1.RenderTemplateList{}, client.InNamespace(c.namespace), client.Limit(1)); {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err):
		return installed, "its kinds are not served yet", fmt.Errorf(
			"this cluster does not have Platen: install it (%s), or choose another cluster with --context", installCommand)
	case err != nil && !apierrors.IsForbidden(err):
		return installed, "", explain(err)
	}
	switch {
	case apierrors.IsForbidden(deploymentErr):
		return installed, "", nil // a user without the right to read the Deployment just tries the render
	case apierrors.IsNotFound(deploymentErr) && t.platenNamespace != platenNamespace &&
		c.Get(ctx, client.ObjectKey{Namespace: platenNamespace, Name: managerDeployment}, deployment) == nil:
		return installed, "", fmt.Errorf("namespace %s has no manager, but %s has: leave out --platen-namespace", t.platenNamespace, platenNamespace)
	case apierrors.IsNotFound(deploymentErr):
		return installed, "", fmt.Errorf("this cluster knows Platen's kinds, but has no manager in namespace %s: install it (%s), or name its namespace with --platen-namespace",
			t.platenNamespace, installCommand)
	case deploymentErr != nil:
		return installed, "", explain(deploymentErr)
	case deployment.Spec.Replicas != nil && *deployment.Spec.Replicas == 0:
		return installed, "", fmt.Errorf("the manager is scaled to zero: kubectl scale deployment %s -n %s --replicas=1", managerDeployment, t.platenNamespace)
	case deployment.Status.ObservedGeneration >= deployment.Generation && deployment.Status.AvailableReplicas > 0 &&
		deployment.Status.UpdatedReplicas == deployment.Status.Replicas:
		return installed, "", nil
	}
	missing = "the manager is starting"
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			missing = "the manager's pod could not be created: " + plain(condition.Message)
		}
	}
	pods := &corev1.PodList{}
	if selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector); err == nil {
		// A user without the right to list pods gets the sentence above.
		_ = c.List(ctx, pods, client.InNamespace(t.platenNamespace), client.MatchingLabelsSelector{Selector: selector})
	}
	for i := range pods.Items {
		if problem := plain(podProblem(&pods.Items[i])); problem != "" {
			missing = fmt.Sprintf("the manager's pod %s does not run: %s", pods.Items[i].Name, problem)
		}
	}
	if isImageProblem(missing) {
		return installed, missing, fmt.Errorf("%s: push the image to where the nodes pull it from, or load it into them, and check its name (kubectl edit deployment %s -n %s)",
			missing, managerDeployment, t.platenNamespace)
	}
	return installed, missing, nil
}

// checkRights returns an error with the rights that the person lacks. Without it, try could create objects that the person may not
// delete.
func (t *tryCommand) checkRights(ctx context.Context, c *cluster) error {
	var lacking []string
	for _, resource := range []string{"rendertemplates", "renderjobs"} {
		var verbs []string
		for _, verb := range []string{"create", "get", "watch", "delete"} {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: c.namespace, Verb: verb, Group: platenv1alpha1.GroupVersion.Group, Resource: resource,
				},
			}}
			if err := c.Create(ctx, review); err != nil {
				return explain(err)
			}
			if !review.Status.Allowed {
				verbs = append(verbs, verb)
			}
		}
		if len(verbs) > 0 {
			lacking = append(lacking, strings.Join(verbs, ", ")+" "+resource)
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("you may not %s in namespace %s: ask for the role platen-edit there (kubectl create rolebinding platen-edit --clusterrole=platen-edit --user=%s -n %s), or choose another namespace with -n",
			strings.Join(lacking, ", nor "), c.namespace, c.user(ctx), c.namespace)
	}
	return nil
}

// whereToLook says how to find out why nothing is rendered, by what the person may read.
func (t *tryCommand) whereToLook(ctx context.Context, c *cluster) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	may := func(namespace, verb, subresource string) bool {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Resource: "pods", Subresource: subresource},
		}}
		return c.Create(ctx, review) == nil && review.Status.Allowed
	}
	var ways []string
	if may(c.namespace, "list", "") {
		ways = append(ways, "see kubectl get pods -n "+c.namespace)
	}
	if may(t.platenNamespace, "get", "log") {
		ways = append(ways, fmt.Sprintf("see kubectl logs deployment/%s -n %s", managerDeployment, t.platenNamespace))
	} else {
		ways = append(ways, "ask whoever runs Platen for the manager's log, which you may not read")
	}
	return strings.Join(ways, ", and ")
}

// user returns the person's name in the cluster as a word for the shell; YOU if nobody knows it.
func (c *cluster) user(ctx context.Context) string {
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, review); err != nil || review.Status.UserInfo.Username == "" {
		return "YOU"
	}
	return shellWord(review.Status.UserInfo.Username)
}

// render renders the card and saves it. It deletes the template and the job before it returns.
func (t *tryCommand) render(ctx context.Context, c *cluster) (job *platenv1alpha1.RenderJob, err error) {
	template, job := &platenv1alpha1.RenderTemplate{}, &platenv1alpha1.RenderJob{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(tryManifest), len(tryManifest))
	must(decoder.Decode(template))
	must(decoder.Decode(job))
	job.Spec.Cache = platenv1alpha1.CacheDisabled // the picture of an earlier try would say nothing about render pods
	discard, err := c.createTemporary(ctx, "hello-", template, job)
	if err != nil {
		return nil, t.explain(err, c.namespace)
	}
	defer func() { err = errors.Join(err, discard()) }()
	bar := newProgress(t.ErrOut)
	last := job
	err = follow(ctx, c, job.Name, &platenv1alpha1.RenderJob{}, &platenv1alpha1.RenderJobList{}, func(now *platenv1alpha1.RenderJob) (bool, error) {
		last = now
		bar.show(progressOf(now, 1))
		return now.Finished(), t.noPod(now)
	})
	bar.end()
	if errors.Is(err, context.DeadlineExceeded) {
		_, sentence := stage(last)
		return nil, &exitError{exitTimeout, fmt.Errorf("the card is not rendered after %s: %s; %s", t.timeout, sentence, t.whereToLook(ctx, c))}
	}
	if err == nil {
		err = outcome(last)
	}
	if err != nil {
		return nil, err
	}
	return last, t.save(ctx, c, last)
}

// save fetches the card. The file appears under its name only once it is complete. A person who may not fetch it has seen it rendered all the
// same: that is no error, and unsaved says why.
func (t *tryCommand) save(ctx context.Context, c *cluster, job *platenv1alpha1.RenderJob) error {
	folder, err := os.MkdirTemp(filepath.Dir(t.output), ".platen-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	files, err := downloader{cluster: c, platenNamespace: t.platenNamespace}.files(ctx, job, folder)
	if denied := (*notAllowedError)(nil); errors.As(err, &denied) {
		t.unsaved = denied
		return nil
	}
	if err != nil {
		return fmt.Errorf("the card is rendered: %w", err)
	}
	return os.Rename(files[0], t.output)
}

// noPod returns an error with advice if the job waits for a render pod that will not start.
func (t *tryCommand) noPod(job *platenv1alpha1.RenderJob) error {
	switch reason, sentence := stage(job); reason {
	case platenv1alpha1.ImagePullFailedReason:
		return fmt.Errorf("the renderer's image is missing: %s; push it to where the nodes pull from, or load it into them, and check its name (RENDERER_IMAGE of deployment %s in namespace %s)",
			sentence, managerDeployment, t.platenNamespace)
	case platenv1alpha1.QuotaExceededReason, platenv1alpha1.PodForbiddenReason:
		return t.explain(errors.New(sentence), job.Namespace)
	default:
		return nil
	}
}

// explain adds advice to a refusal that more rights for the person would not change.
func (t *tryCommand) explain(err error, namespace string) error {
	switch text := err.Error(); {
	case strings.Contains(text, "failed quota") && strings.Contains(text, "must specify"):
		return fmt.Errorf("a ResourceQuota of namespace %s wants render pods to name what they may use: %w; name it in spec.podTemplate.resources of a RenderPool default there", namespace, err)
	case admitsNoPod.MatchString(text):
		return fmt.Errorf("a ResourceQuota of namespace %s admits no pod: %w; raise the quota (kubectl describe resourcequota -n %s)", namespace, err, namespace)
	case strings.Contains(text, "exceeded quota"), strings.Contains(text, "failed quota"):
		return fmt.Errorf("a ResourceQuota of namespace %s leaves no room: %w; delete what is not needed, or raise the quota (kubectl describe resourcequota -n %s)", namespace, err, namespace)
	case strings.Contains(text, "violates PodSecurity"):
		return fmt.Errorf("PodSecurity refuses render pods in namespace %s: %w; render pods meet the level restricted of this Kubernetes version, so look at the namespace's labels pod-security.kubernetes.io/*", namespace, err)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("namespace %s is being deleted: choose another with -n", namespace)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("namespace %s does not exist: create it (kubectl create namespace %s), or choose another with -n", namespace, namespace)
	case apierrors.ReasonForError(err) == metav1.StatusReasonUnknown:
		return fmt.Errorf("the cluster refuses render pods in namespace %s: %w; an admission policy or limit of the namespace must allow them, or correct spec.podTemplate of the RenderPool default there, if there is one", namespace, err)
	default:
		return explain(err)
	}
}

// isImageProblem tells whether a pod's problem is that the node cannot get its image. problem contains kubelet's reason.
func isImageProblem(problem string) bool {
	return slices.ContainsFunc([]string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}, func(reason string) bool {
		return strings.Contains(problem, reason)
	})
}
