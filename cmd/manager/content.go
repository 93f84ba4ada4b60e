// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/apiserver"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/plural"
)

// dispose tells S3 the Content-Disposition of what a signed URL returns. Other services cannot be told.
func dispose(as func(any) bool, disposition string) {
	if input := (*s3.GetObjectInput)(nil); as(&input) {
		input.ResponseContentDisposition = &disposition
	}
}

// claimTimeout bounds the requests to the API server and to the bucket that tell whose a content store is.
const claimTimeout = 30 * time.Second

// +kubebuilder:rbac:groups="",resources=namespaces,namespace=platen-system,verbs=get

// claim makes the content store that of this installation, or returns an error if it is another one's. The UID of an installation is that of its
// namespace: no other cluster has it, not even a copy of this one.
func claim(ctx context.Context, reader client.Reader, store *content.Store, o options) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	namespace := &corev1.Namespace{}
	if err := reader.Get(ctx, client.ObjectKey{Name: o.namespace}, namespace); err != nil {
		return fmt.Errorf("reading the UID of Namespace %s: %w", o.namespace, err)
	}
	err := store.Claim(ctx, string(namespace.UID), o.takeOver)
	if other := (*content.OwnerError)(nil); errors.As(err, &other) {
		return fmt.Errorf("--content-store: %w; give each a bucket or a prefix of its own or, if the other one is gone for good, add --content-store-take-over=%s", err, other.Owner)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	return nil
}

// errStore means that the content store has not told whose it is.
var errStore = errors.New("--content-store")

// openStore opens the content store once it is this installation's. It must come before the manager, which listens for probes.
func openStore(ctx context.Context, restConfig *rest.Config, scheme *runtime.Scheme, o options) (*content.Store, error) {
	reader, err := client.New(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	store, err := content.Open(ctx, o.contentStore, content.Options{
		QuotaPerNamespace: o.contentQuota.Value(), Observer: metrics.Content{}, Redirect: o.contentRedirect, Dispose: dispose,
	})
	if err != nil {
		return nil, err
	}
	err = awaitStore(ctx, func(ctx context.Context) error { return claim(ctx, reader, store, o) }, o.probeAddress, ctrl.Log)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// awaitStore returns once owned tells whose the content store is, with its error. A store that does not answer may do so in a moment.
func awaitStore(ctx context.Context, owned func(context.Context) error, probes string, log logr.Logger) (err error) {
	waited := apiserver.AwaitAnswer(ctx, "The content store", func(ctx context.Context) error {
		if err = owned(ctx); errors.Is(err, errStore) {
			return err
		}
		return nil
	}, probes, log)
	return cmp.Or(waited, err)
}

// contentCommand runs the command "manager content".
func contentCommand(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == "copy":
		return copyContent(ctx, args[1:], out)
	case len(args) > 0 && args[0] == "prune":
		return pruneContent(ctx, args[1:], out)
	default:
		return errors.New("usage: manager content copy, or manager content prune; -h tells their flags")
	}
}

// copyContent is the command "manager content copy": it copies one content store to another.
func copyContent(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("manager content copy", flag.ContinueOnError)
	source := flags.String("from", "", "URL of the content store to copy, as in --content-store")
	target := flags.String("to", "", "URL of the content store to copy to")
	switch err := parseFlags(flags, args, out); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case *source == "" || *target == "" || flags.NArg() > 0:
		return errors.New("usage: manager content copy --from=URL --to=URL")
	case *source == *target:
		return errors.New("--from and --to name the same content store")
	}
	var stores []*content.Store
	for _, url := range []string{*source, *target} {
		store, err := content.Open(ctx, url, content.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		stores = append(stores, store)
	}
	copied, err := content.Copy(ctx, stores[0], stores[1])
	_, _ = fmt.Fprintf(out, "copied %s with %s; %d were there already, %d are gone from the source\n",
		plural.Count(copied.Objects, "object"), plural.Count(copied.Bytes, "byte"), copied.Present, copied.Gone)
	return err
}

// pruneContent is the command "manager content prune": it deletes the retained files of a namespace's jobs that are gone.
func pruneContent(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("manager content prune", flag.ContinueOnError)
	url := flags.String("content-store", defaultContentStore, "URL of the content store, as the manager has it")
	namespace := flags.String("namespace", "", "namespace of the jobs")
	dryRun := flags.Bool("dry-run", false, "list what would be deleted, and delete nothing")
	switch err := parseFlags(flags, args, out); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case *namespace == "" || flags.NArg() > 0:
		return errors.New("usage: manager content prune --namespace=NAME [--dry-run] [--content-store=URL]")
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	reader, err := client.New(config, client.Options{})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	store, err := content.Open(ctx, *url, content.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return prune(ctx, reader, store, *namespace, *dryRun, out)
}

// parseFlags reads a command's flags. Only help goes to out: main prints errors.
func parseFlags(flags *flag.FlagSet, args []string, out io.Writer) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(out)
		flags.Usage()
	}
	return err
}

// leftover is what a job that is gone has left in the content store.
type leftover struct {
	uid     string
	objects []content.Object
	files   int
	bytes   int64
	// until is the time until which the last of its renders is retained; zero if none is.
	until time.Time
}

func (l *leftover) add(o content.Object) {
	l.objects = append(l.objects, o)
	switch {
	case o.RetainedUntil.After(l.until):
		l.until = o.RetainedUntil
	case o.RetainedUntil.IsZero() && !o.IsManifest():
		l.files++
	}
	l.bytes += o.Size
}

// prune deletes the retained files of a namespace's jobs that are gone, or only lists them. What else belongs to no job is left to the sweeper,
// which knows how old it must be.
func prune(ctx context.Context, reader client.Reader, store *content.Store, namespace string, dryRun bool, out io.Writer) error {
	jobs := map[string]*leftover{} // by their UIDs
	err := store.Walk(ctx, func(o content.Object) error {
		if uid := o.Ref.JobUID; o.Ref.Namespace == namespace {
			if jobs[uid] == nil {
				jobs[uid] = &leftover{uid: uid}
			}
			jobs[uid].add(o)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		if err := reader.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{}); apierrors.IsNotFound(err) {
			return fmt.Errorf("--namespace: namespace %s does not exist, and the content store has no files of it; check its name and --content-store", namespace)
		} else if err != nil {
			return fmt.Errorf("reading Namespace %s: %w", namespace, err)
		}
	}
	present := &metav1.PartialObjectMetadataList{} // read after the files: a job that has some and is not there is gone
	present.SetGroupVersionKind(platenv1alpha1.GroupVersion.WithKind("RenderJobList"))
	if err := reader.List(ctx, present, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing the RenderJobs of namespace %s: %w", namespace, err)
	}
	for i := range present.Items {
		delete(jobs, string(present.Items[i].UID))
	}
	gone := slices.SortedFunc(maps.Values(jobs), func(a, b *leftover) int {
		return cmp.Or(a.until.Compare(b.until), cmp.Compare(a.uid, b.uid))
	})
	gone = slices.DeleteFunc(gone, func(l *leftover) bool { return l.until.IsZero() })
	total := int64(0)
	for _, l := range gone {
		if !dryRun {
			if err := store.Remove(ctx, l.objects...); err != nil {
				return err
			}
		}
		total += l.bytes
		_, _ = fmt.Fprintf(out, "job %s: %s with %s, retained until %s\n", l.uid, plural.Count(l.files, "file"), plural.Count(l.bytes, "byte"), l.until.UTC().Format(time.RFC3339))
	}
	done := "were"
	if dryRun {
		done = "would be"
	}
	_, err = fmt.Fprintf(out, "deleted jobs whose retained files %s pruned: %d, %s\n", done, len(gone), plural.Count(total, "byte"))
	return err
}
