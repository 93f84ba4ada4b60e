// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// templates is kubectl platen templates.
func (o *options) templates() *cobra.Command {
	output, all := "", false
	command := &cobra.Command{
		Use:   "templates [NAME]",
		Short: "List the templates, or tell what one takes",
		Example: `  # The templates of the namespace marketing.
  kubectl platen templates -n marketing

  # The pages and parameters of one, and how to render it.
  kubectl platen templates banner`,
		Args:              arguments(0, 1, "template"),
		ValidArgsFunction: o.completeTemplates,
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkOutput(output, formats...); err != nil {
				return err
			}
			c, err := o.cluster()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return o.listTemplates(command.Context(), c, output, all)
			}
			template := &platenv1alpha1.RenderTemplate{}
			if err := c.get(command.Context(), args[0], template); err != nil {
				return c.notFound(command.Context(), err, "RenderTemplate", args[0], &platenv1alpha1.RenderTemplateList{})
			}
			if output != "" {
				return printObjects(o.Out, output, template)
			}
			o.describeTemplate(template)
			return nil
		},
	}
	outputFlag(command, &output)
	allNamespacesFlag(command, &all)
	return command
}

func (o *options) listTemplates(ctx context.Context, c *cluster, output string, all bool) error {
	list := &platenv1alpha1.RenderTemplateList{}
	if err := c.list(ctx, list, all); err != nil {
		return err
	}
	if output != "" {
		return printList(o.Out, output, list)
	}
	rows := make([][]string, 0, len(list.Items))
	for i := range list.Items {
		t := &list.Items[i]
		id, size := "", ""
		if t.Spec.TemplateID != nil {
			id = fmt.Sprint(*t.Spec.TemplateID)
		}
		if len(t.Spec.Pages) > 0 {
			size = fmt.Sprintf("%dx%d", t.Spec.Pages[0].Width, t.Spec.Pages[0].Height)
		}
		names := make([]string, 0, len(t.Spec.Parameters))
		for _, p := range t.Spec.Parameters {
			if names = append(names, p.Name); ptr.Deref(p.Required, false) {
				names[len(names)-1] += "*"
			}
		}
		rows = append(rows, []string{t.Namespace, t.Name, id, fmt.Sprint(len(t.Spec.Pages)), size, strings.Join(names, ","), age(t)})
	}
	return o.table(c, all, "templates", []string{"NAMESPACE", "NAME", "ID", "PAGES", "SIZE", "PARAMETERS", "AGE"}, rows)
}

func (o *options) describeTemplate(t *platenv1alpha1.RenderTemplate) {
	fmt.Fprintf(o.Out, "RenderTemplate %s in namespace %s\n\n", t.Name, t.Namespace)
	rows := make([][]string, 0, len(t.Spec.Pages))
	for i, p := range t.Spec.Pages {
		rows = append(rows, []string{fmt.Sprint(i + 1), p.Name, fmt.Sprintf("%dx%d", p.Width, p.Height)})
	}
	printTable(o.Out, []string{"PAGE", "NAME", "SIZE"}, rows)
	if len(t.Spec.Parameters) > 0 {
		fmt.Fprintln(o.Out)
		rows = nil
		for _, p := range t.Spec.Parameters {
			value := ""
			if p.Default != nil {
				value = string(p.Default.Raw)
			}
			required := "no"
			if ptr.Deref(p.Required, false) {
				required = "yes"
			}
			rows = append(rows, []string{p.Name, string(p.Type), required, value, p.Description})
		}
		printTable(o.Out, []string{"PARAMETER", "TYPE", "REQUIRED", "DEFAULT", "DESCRIPTION"}, rows)
	}
	fmt.Fprintf(o.Out, "\nRender it: %s\n", example(t))
}

// connections is kubectl platen connections.
func (o *options) connections() *cobra.Command {
	output, all := "", false
	command := &cobra.Command{
		Use:   "connections [NAME]",
		Short: "List the connected accounts, or tell about one",
		Example: `  # The accounts of all namespaces.
  kubectl platen connections -A

  # One, with what is wrong with it.
  kubectl platen connections dropbox -n marketing`,
		Args:              arguments(0, 1, "connection"),
		ValidArgsFunction: o.completeConnections,
		RunE: func(command *cobra.Command, args []string) error {
			if err := checkOutput(output, formats...); err != nil {
				return err
			}
			c, err := o.cluster()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return o.listConnections(command.Context(), c, output, all)
			}
			connection := &platenv1alpha1.StorageConnection{}
			if err := c.get(command.Context(), args[0], connection); err != nil {
				return c.notFound(command.Context(), err, "StorageConnection", args[0], &platenv1alpha1.StorageConnectionList{})
			}
			if output != "" {
				return printObjects(o.Out, output, connection)
			}
			o.describeConnection(connection)
			return nil
		},
	}
	outputFlag(command, &output)
	allNamespacesFlag(command, &all)
	return command
}

func (o *options) listConnections(ctx context.Context, c *cluster, output string, all bool) error {
	list := &platenv1alpha1.StorageConnectionList{}
	if err := c.list(ctx, list, all); err != nil {
		return err
	}
	if output != "" {
		return printList(o.Out, output, list)
	}
	rows := make([][]string, 0, len(list.Items))
	for i := range list.Items {
		s := &list.Items[i]
		word, _ := connectionStage(s)
		rows = append(rows, []string{
			s.Namespace, s.Name, word, string(s.Spec.Provider), email(s), connectionSpace(s), string(s.Spec.DefaultFolder), string(s.Spec.UploadPolicy), age(s),
		})
	}
	return o.table(c, all, "connections", []string{"NAMESPACE", "NAME", "STATUS", "PROVIDER", "ACCOUNT", "SPACE", "FOLDER", "UPLOADS", "AGE"}, rows)
}

// connectionStage says whether a connection works, in one word and in a sentence.
func connectionStage(s *platenv1alpha1.StorageConnection) (word, sentence string) {
	ready := meta.FindStatusCondition(s.Status.Conditions, platenv1alpha1.ReadyCondition)
	if observed := s.Status.ObservedGeneration; ready == nil || observed == nil || *observed != s.Generation {
		return "Pending", "Platen has not looked at it yet"
	}
	return ready.Reason, plain(ready.Message)
}

func email(s *platenv1alpha1.StorageConnection) string {
	if s.Status.Account == nil {
		return ""
	}
	return s.Status.Account.Email
}

func connectionSpace(s *platenv1alpha1.StorageConnection) string {
	if s.Status.Space == nil {
		return ""
	}
	return space(ptr.Deref(s.Status.Space.Used, 0), ptr.Deref(s.Status.Space.Allocated, 0))
}

func (o *options) describeConnection(s *platenv1alpha1.StorageConnection) {
	word, sentence := connectionStage(s)
	fmt.Fprintf(o.Out, "StorageConnection %s in namespace %s\n%s: %s\n\n", s.Name, s.Namespace, word, sentence)
	rows := [][]string{
		{"Account", email(s)}, {"Space", connectionSpace(s)}, {"Default folder", string(s.Spec.DefaultFolder)}, {"Uploads", string(s.Spec.UploadPolicy)},
	}
	if d := s.Spec.Dropbox; d != nil {
		rows = append(rows, []string{"Secret", d.CredentialsSecretRef.Name}, []string{"On conflict", string(d.ConflictPolicy)})
	}
	if t := s.Status.LastVerifiedTime; t != nil {
		rows = append(rows, []string{"Last reached", t.UTC().Format("2006-01-02 15:04:05 MST")})
	}
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(o.Out, "%-15s %s\n", row[0], plain(row[1]))
		}
	}
	if meta.IsStatusConditionFalse(s.Status.Conditions, platenv1alpha1.ReadyCondition) {
		fmt.Fprintf(o.Out, "\nNext: when that is put right outside of Kubernetes, Platen sees it by itself. To connect the account again:\n"+
			"  kubectl platen connect dropbox %s -n %s\n", s.Name, s.Namespace)
	}
}
