// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/nearest"
)

const (
	// requestTimeout bounds one request to the API server.
	requestTimeout = 30 * time.Second
	// requestsPerSecond and requestBurst bound the requests, as kubectl's do: a table makes many jobs.
	requestsPerSecond, requestBurst = 50, 300
	// watchPause is the pause between a watch that ended and the next one.
	watchPause = time.Second
)

// scheme has the types that the plugin reads and writes.
var scheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	must(clientgoscheme.AddToScheme(s))
	must(platenv1alpha1.AddToScheme(s))
	return s
}()

// cluster is the cluster and the namespace that the flags name.
type cluster struct {
	client.WithWatch
	config    *rest.Config
	namespace string
}

func (o *options) cluster() (*cluster, error) {
	config, err := o.flags.ToRESTConfig()
	if err != nil {
		return nil, explain(err)
	}
	namespace, err := o.namespace()
	if err != nil {
		return nil, err
	}
	if o.nowhere(config) {
		return nil, noCluster(os.Getenv(clientcmd.RecommendedConfigPathEnvVar))
	}
	config.WarningHandler = rest.NoWarnings{}
	config.QPS, config.Burst = requestsPerSecond, requestBurst
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, explain(err)
	}
	return &cluster{c, config, namespace}, nil
}

// noCluster returns the error about nothing that says which cluster is meant. It names the files of KUBECONFIG that do not exist.
func noCluster(kubeconfig string) error {
	missing := slices.DeleteFunc(filepath.SplitList(kubeconfig), func(name string) bool {
		_, err := os.Stat(name)
		return name == "" || !errors.Is(err, fs.ErrNotExist)
	})
	why := ""
	if len(missing) > 0 {
		why = "KUBECONFIG names " + strings.Join(missing, " and ") + ", and there is no such file; "
	}
	return fmt.Errorf("no cluster is configured: %sset --kubeconfig or KUBECONFIG to a kubeconfig file", why)
}

// nowhere tells whether a configuration is of client-go's own invention: an address of this machine, where nothing has named a cluster.
func (o *options) nowhere(config *rest.Config) bool {
	kubeconfig, err := o.flags.ToRawKubeConfigLoader().RawConfig()
	return err == nil && len(kubeconfig.Clusters) == 0 && *o.flags.APIServer == "" && os.Getenv("KUBERNETES_MASTER") == "" && config.Host == "http://localhost:8080"
}

// follows takes the namespace of a template of -f: what it reads is there. It returns an error if -n says another.
func (o *options) follows(template *platenv1alpha1.RenderTemplate) error {
	if n := *o.flags.Namespace; n != "" && template.Namespace != "" && n != template.Namespace {
		return usage("RenderTemplate '%s' of -f is in namespace %s, not in namespace %s of -n", template.Name, template.Namespace, n)
	}
	o.fileNamespace = template.Namespace
	return nil
}

func (o *options) namespace() (string, error) {
	namespace, _, err := o.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", explain(err)
	}
	namespace = cmp.Or(o.fileNamespace, namespace)
	if len(validation.IsDNS1123Label(namespace)) > 0 {
		return "", usage("no namespace has the name %q: it has at most 63 small letters, digits and hyphens", namespace)
	}
	return namespace, nil
}

// get reads an object from the namespace.
func (c *cluster) get(ctx context.Context, name string, object client.Object) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, object)
}

// list reads the objects of the namespace, or of all namespaces.
func (c *cluster) list(ctx context.Context, list client.ObjectList, allNamespaces bool) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if allNamespaces {
		return explain(c.List(ctx, list))
	}
	return explain(c.List(ctx, list, client.InNamespace(c.namespace)))
}

// errGone means that the object that follow watched was deleted.
var errGone = errors.New("was deleted meanwhile")

// follow calls see with an object of the namespace, and again after each change, until see is done or ctx ends. object may be an earlier state: then see
// learns the later ones even if the object is gone by now.
func follow[T client.Object](ctx context.Context, c *cluster, name string, object T, list client.ObjectList, see func(T) (done bool, err error)) error {
	for {
		known := object.GetResourceVersion()
		err := c.get(ctx, name, object)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case apierrors.IsNotFound(err) && known != "":
			object.SetName(name)
			object.SetResourceVersion(known)
			if done, err := followWatch(ctx, c, object, list, see); done || err != nil {
				return err
			}
			return fmt.Errorf("%s %w", name, errGone) // the API server does not remember it
		case apierrors.IsNotFound(err):
			return fmt.Errorf("%s %w", name, errGone)
		case err != nil:
			return explain(err)
		}
		if done, err := see(object); done || err != nil {
			return err
		}
		if done, err := followWatch(ctx, c, object, list, see); done || err != nil {
			return err
		}
		// The API server ends every watch after some time: start another.
		timer := time.NewTimer(watchPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func followWatch[T client.Object](ctx context.Context, c *cluster, object T, list client.ObjectList, see func(T) (bool, error)) (done bool, err error) {
	watcher, err := c.Watch(ctx, list, client.InNamespace(c.namespace), client.MatchingFields{"metadata.name": object.GetName()},
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: object.GetResourceVersion()}})
	if err != nil {
		return false, explain(err)
	}
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case event, ok := <-watcher.ResultChan():
			changed, isObject := event.Object.(T)
			switch {
			case !ok || event.Type == watch.Error:
				return false, nil
			case !isObject:
				continue
			}
			if done, err := see(changed); done || err != nil { // the last state of a deleted object, too
				return done, err
			}
			if event.Type == watch.Deleted {
				return false, fmt.Errorf("%s %w", object.GetName(), errGone)
			}
		}
	}
}

// credentialsError is what client-go says before the error of a program of the kubeconfig that logs the person in.
const credentialsError = "getting credentials: "

// explain adds advice to an error of the cluster.
func explain(err error) error {
	network := (*url.Error)(nil)
	switch {
	case err == nil:
		return nil
	case clientcmd.IsEmptyConfig(err):
		return noCluster(os.Getenv(clientcmd.RecommendedConfigPathEnvVar))
	case clientcmd.IsContextNotFound(err):
		return fmt.Errorf("%w; list those that there are with kubectl config get-contexts", err)
	case meta.IsNoMatchError(err) || strings.Contains(err.Error(), "could not find the requested resource"):
		return fmt.Errorf("this cluster does not know %s: install Platen (%s), or choose another cluster with --context", platenv1alpha1.GroupVersion, installCommand)
	case missingNamespace(err) != "":
		return fmt.Errorf("namespace %[1]s does not exist: create it (kubectl create namespace %[1]s), or choose another with -n", missingNamespace(err))
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster does not accept your login: %w", err)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("%w: choose another namespace with -n", err)
	case noRoom(err):
		return fmt.Errorf("%w; delete what is not needed, or raise that ResourceQuota", err)
	case denied.MatchString(err.Error()):
		return fmt.Errorf("%w; %s", err, aboutRight(denied.FindStringSubmatch(err.Error())))
	case strings.Contains(err.Error(), credentialsError):
		_, why, _ := strings.Cut(err.Error(), credentialsError)
		why, _, _ = strings.Cut(why, "\n") // client-go explains plugins of credentials on more lines
		return fmt.Errorf("you could not log in to the cluster: %s; log in again, or check the user in your kubeconfig", why)
	case errors.As(err, &network):
		return fmt.Errorf("the cluster could not be reached: %w; check --context and --kubeconfig", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the cluster has not answered in time: %w; check --context, --kubeconfig and --request-timeout", err)
	default:
		return fieldFlags{}.refusal(err)
	}
}

// denied matches what the API server says to somebody whose roles lack a right: the verb, the resource, its group, and where. A quota, a policy and a
// namespace that is being deleted forbid too, and no role helps against these.
var denied = regexp.MustCompile(`cannot (\S+) resource "([^"]+)" in API group "([^"]*)" (in the namespace|at the cluster scope)`)

// aboutRight says what to ask for, by what denied has found. platen-edit and platen-view have no rights on kinds of Kubernetes, such as Secrets.
func aboutRight(found []string) string {
	verb, resource, group, where := found[1], found[2], found[3], found[4]
	reads := verb == "get" || verb == "list" || verb == "watch"
	role := "edit"
	switch {
	case group == platenv1alpha1.GroupVersion.Group && reads:
		role = "platen-view or view"
	case group == platenv1alpha1.GroupVersion.Group:
		role = "platen-edit or edit"
	case where != inNamespace:
		return "ask for that right"
	case reads && resource != "secrets":
		role = "view"
	}
	if where != inNamespace {
		return "choose one namespace with -n instead of -A, or ask for the role " + role + " in all namespaces"
	}
	return "ask for the role " + role + " in that namespace"
}

// inNamespace is what denied finds for a right in one namespace.
const inNamespace = "in the namespace"

// noRoom reports whether a ResourceQuota refuses an object.
func noRoom(err error) bool {
	return apierrors.IsForbidden(err) && (strings.Contains(err.Error(), "exceeded quota") || strings.Contains(err.Error(), "failed quota"))
}

// missingNamespace returns the namespace whose absence an error is about; empty if it is about something else.
func missingNamespace(err error) string {
	answer := apierrors.APIStatus(nil)
	if apierrors.IsNotFound(err) && errors.As(err, &answer) {
		if details := answer.Status().Details; details != nil && details.Kind == "namespaces" {
			return details.Name
		}
	}
	return ""
}

// maxNames bounds the names in an error.
const maxNames = 20

// notFound explains err. If the object does not exist, the error names the one that was meant, and those that there are.
func (c *cluster) notFound(ctx context.Context, err error, kind, name string, list client.ObjectList) error {
	if err := refuseFile(name); kind == "RenderTemplate" && err != nil {
		return err
	}
	switch {
	case apierrors.IsNotFound(err):
	case strings.Contains(err.Error(), "invalid resource name"): // client-go asks for no name with a slash or the like
		return usage("no %s can have the name '%s': names have small letters, digits, hyphens and dots", kind, name)
	default:
		return explain(err)
	}
	text := fmt.Sprintf("%s '%s' does not exist in namespace %s", kind, name, c.namespace)
	names := c.names(ctx, list, false)
	if len(names) == 0 {
		if err := c.noNamespace(ctx); err != nil {
			return err
		}
		remedy := "choose another with -n"
		if kind == "StorageConnection" {
			remedy += ", or connect an account with kubectl platen connect dropbox -n " + c.namespace
		}
		return fmt.Errorf("%s, which has none; %s", text, remedy)
	}
	return fmt.Errorf("%s; %s", text, among(name, names))
}

// among names what a name that does not exist may mean, and what there is.
func among(name string, names []string) string {
	some := make([]string, 0, min(len(names), maxNames))
	for _, n := range names[:cap(some)] {
		some = append(some, shortName(n))
	}
	there := "there are: " + strings.Join(some, ", ")
	if len(names) > maxNames {
		there += fmt.Sprintf(" and %d more", len(names)-maxNames)
	}
	if near := nearest.Name(name, names); near != "" {
		return fmt.Sprintf("did you mean '%s'? %s", near, there)
	}
	return there
}

// noNamespace returns an error if the namespace does not exist; nil if it does, or if nobody may know.
func (c *cluster) noNamespace(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := c.Get(ctx, client.ObjectKey{Name: c.namespace}, &corev1.Namespace{}); apierrors.IsNotFound(err) {
		return explain(err)
	}
	return nil
}

// isPreview reports whether an object is a job of the web page that only shows somebody how a template looks. No list has it; who names it, sees it.
func isPreview(o client.Object) bool { return o.GetLabels()[platenv1alpha1.PreviewLabel] == "true" }

// names returns the names of the objects of the namespace, or of all namespaces, without previews; none if they cannot be read.
func (c *cluster) names(ctx context.Context, list client.ObjectList, allNamespaces bool) []string {
	if err := c.list(ctx, list, allNamespaces); err != nil {
		return nil
	}
	var names []string
	_ = meta.EachListItem(list, func(o runtime.Object) error {
		if object, ok := o.(client.Object); ok && !isPreview(object) {
			names = append(names, object.GetName())
		}
		return nil
	})
	return names
}

// service sends a request to a Service through the API server's proxy. name is scheme:service:port.
func (c *cluster) service(ctx context.Context, namespace, name string, target *url.URL) (*http.Response, error) {
	transport, err := rest.TransportFor(c.config)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(c.config)
	if err != nil {
		return nil, err
	}
	proxied := base.JoinPath("api", "v1", "namespaces", namespace, "services", name, "proxy", target.Path)
	proxied.RawQuery = target.RawQuery
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, proxied.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	return (&http.Client{Transport: transport}).Do(req)
}
