// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/platen-dev/platen/internal/file"
)

// formats are the values of -o. Without -o, the output is text for people.
var formats = []string{"json", "yaml", "name"}

// outputFlag adds -o to a command that prints objects.
func outputFlag(c *cobra.Command, target *string) {
	c.Flags().StringVarP(target, "output", "o", "", "print the objects as json, yaml or name")
	must(c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
}

func checkOutput(format string, allowed ...string) error {
	if format != "" && !slices.Contains(allowed, format) {
		return usage("-o must be %s, not %q", strings.Join(allowed, " or "), format)
	}
	return nil
}

// printObjects prints objects in a format of -o. json prints several as a List.
func printObjects(out io.Writer, format string, objects ...runtime.Object) error {
	for _, object := range objects {
		if object.GetObjectKind().GroupVersionKind().Empty() {
			kind, err := apiutil.GVKForObject(object, scheme)
			if err != nil {
				return err
			}
			object.GetObjectKind().SetGroupVersionKind(kind)
		}
		if accessor, err := meta.Accessor(object); err == nil {
			accessor.SetManagedFields(nil)
		}
	}
	var printer printers.ResourcePrinter
	switch format {
	case "json":
		printer = &printers.JSONPrinter{}
		if len(objects) > 1 {
			list := &metav1.List{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}}
			for _, object := range objects {
				list.Items = append(list.Items, runtime.RawExtension{Object: object})
			}
			objects = []runtime.Object{list}
		}
	case "yaml":
		printer = &printers.YAMLPrinter{}
	default:
		printer = &printers.NamePrinter{ShortOutput: true}
	}
	for _, object := range objects {
		if err := printer.PrintObj(object, out); err != nil {
			return err
		}
	}
	return nil
}

// nameColumns are the headings of columns with names of objects.
var nameColumns = []string{"NAME", "TEMPLATE"}

const (
	// maxName bounds a name of an object in a table or in a list, in characters: few have more.
	maxName = 63
	// maxNameEnd is how much a shortened name has of its end, which often differs from that of others.
	maxNameEnd = 14
)

// shortName returns a name without its middle if it is very long.
func shortName(name string) string {
	runes := []rune(name)
	if len(runes) <= maxName {
		return name
	}
	return string(runes[:maxName-maxNameEnd-1]) + "…" + string(runes[len(runes)-maxNameEnd:])
}

// printTable prints rows under headings, as kubectl does. It shortens names that would move the other columns out of sight.
func printTable(out io.Writer, headings []string, rows [][]string) {
	w := printers.GetNewTabWriter(out)
	fmt.Fprintln(w, strings.Join(headings, "\t"))
	for _, row := range rows {
		for i := range row {
			if row[i] == "" {
				row[i] = "<none>"
			}
			row[i] = plain(row[i])
			if slices.Contains(nameColumns, headings[i]) {
				row[i] = shortName(row[i])
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
}

// plain removes control characters, and those that change the direction of text, from a text that may come from a template or from Dropbox, because a
// terminal would obey them.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if file.Misleads(r) {
			return ' '
		}
		return r
	}, text)
}
