// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/content"
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
	return err
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
	flags.SetOutput(out)
	source := flags.String("from", "", "URL of the content store to copy, as in --content-store")
	target := flags.String("to", "", "URL of the content store to copy to")
	switch err := flags.Parse(args); {
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
	flags.SetOutput(out)
	url := flags.String("content-store", defaultContentStore, "URL of the content store, as the manager has it")
	namespace := flags.String("namespace", "", "namespace of the jobs")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case *namespace == "" || flags.NArg() > 0:
		return errors.New("usage: manager content prune --namespace=NAME [--content-store=URL]")
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
	return prune(ctx, reader, store, *namespace, out)
}

// prune deletes the retained files of a namespace's jobs that are gone. What else belongs to no job is left to the sweeper, which knows how old
// it must be.
func prune(ctx context.Context, reader client.Reader, store *content.Store, namespace string, out io.Writer) error {
	objects, retained := map[string][]content.Object{}, map[string]bool{} // by the UIDs of jobs
	err := store.Walk(ctx, func(o content.Object) error {
		if uid := o.Ref.JobUID; o.Ref.Namespace == namespace {
			objects[uid] = append(objects[uid], o)
			retained[uid] = retained[uid] || !o.RetainedUntil.IsZero()
		}
		return nil
	})
	if err != nil {
		return err
	}
	jobs := &metav1.PartialObjectMetadataList{} // read after the files: a job that has some and is not there is gone
	jobs.SetGroupVersionKind(platenv1alpha1.GroupVersion.WithKind("RenderJobList"))
	if err := reader.List(ctx, jobs, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing the RenderJobs of namespace %s: %w", namespace, err)
	}
	for i := range jobs.Items {
		delete(retained, string(jobs.Items[i].UID))
	}
	pruned := 0
	for uid, marked := range retained {
		if !marked {
			continue
		}
		if err := store.Remove(ctx, objects[uid]...); err != nil {
			return err
		}
		pruned++
	}
	_, err = fmt.Fprintf(out, "deleted jobs whose retained files were pruned: %d\n", pruned)
	return err
}
