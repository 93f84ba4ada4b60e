// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// listing is a command that lists the objects of a kind, or describes the one that its argument names.
type listing[T client.Object] struct {
	// kind is RenderJob, and name and plural are job and jobs.
	kind, name, plural string
	// object and list are empty; the command reads into them.
	object T
	list   client.ObjectList
	// headings are the columns of the table; row returns a cell for each. The first is the namespace, which only -A shows.
	headings []string
	row      func(T) []string
	// order sorts the list; nil keeps the order of the API server.
	order func(a, b T) int
	// await waits for the object that the argument names, and ended returns the command's error once that is printed; nil for both if a kind has no end.
	await func(context.Context, *cluster, T) (T, error)
	ended func(T) error
	// describe prints everything about an object. It may ask the cluster for what the object depends on.
	describe func(context.Context, *cluster, io.Writer, T)
}

// command completes a cobra command.
func (l listing[T]) command(o *options, command *cobra.Command) *cobra.Command {
	output, all := "", false
	command.Args = arguments(0, 1, l.name)
	command.RunE = func(command *cobra.Command, args []string) error {
		if err := checkOutput(output, formats...); err != nil {
			return err
		}
		if all && len(args) > 0 {
			return usage("-A lists the %s of all namespaces; give the namespace of one %s with -n", l.plural, l.name)
		}
		c, err := o.cluster()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return l.printAll(command.Context(), o, c, output, all)
		}
		if err := c.get(command.Context(), args[0], l.object); err != nil {
			return c.notFound(command.Context(), err, l.kind, args[0], l.list)
		}
		object := l.object
		if l.await != nil {
			if object, err = l.await(command.Context(), c, object); err != nil {
				return err
			}
		}
		if output != "" {
			err = printObjects(o.Out, output, object)
		} else {
			var text strings.Builder
			l.describe(command.Context(), c, &text, object)
			fmt.Fprint(o.Out, o.sameCluster(text.String()))
		}
		if err != nil || l.ended == nil {
			return err
		}
		return l.ended(object)
	}
	outputFlag(command, &output)
	command.Flags().BoolVarP(&all, "all-namespaces", "A", false, "list the objects of all namespaces")
	return command
}

func (l listing[T]) printAll(ctx context.Context, o *options, c *cluster, output string, all bool) error {
	if err := c.list(ctx, l.list, all); err != nil {
		return err
	}
	var objects []T
	err := meta.EachListItem(l.list, func(item runtime.Object) error {
		if object, ok := item.(T); ok && !isPreview(object) {
			objects = append(objects, object)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if l.order != nil {
		slices.SortStableFunc(objects, l.order)
	}
	if output != "" {
		items := make([]runtime.Object, 0, len(objects))
		for _, object := range objects {
			items = append(items, object)
		}
		return printObjects(o.Out, output, items...)
	}
	if len(objects) == 0 {
		where := "namespace " + c.namespace
		if all {
			where = "any namespace"
		} else if err := c.noNamespace(ctx); err != nil {
			return err
		}
		fmt.Fprintf(o.ErrOut, "There are no %s in %s.\n", l.plural, where)
		return nil
	}
	hidden := 1
	if all {
		hidden = 0
	}
	rows := make([][]string, 0, len(objects))
	for _, object := range objects {
		rows = append(rows, l.row(object)[hidden:])
	}
	printTable(o.Out, l.headings[hidden:], rows)
	return nil
}

// age returns how long ago an object was created, as kubectl writes it.
func age(o client.Object) string {
	return duration.HumanDuration(time.Since(o.GetCreationTimestamp().Time))
}
