// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/bindings"
	"github.com/platen-dev/platen/internal/storage"
)

// templates is kubectl platen templates.
func (o *options) templates() *cobra.Command {
	return listing[*platenv1alpha1.RenderTemplate]{
		kind: "RenderTemplate", name: "template", plural: "templates",
		object: &platenv1alpha1.RenderTemplate{}, list: &platenv1alpha1.RenderTemplateList{},
		headings: []string{"NAMESPACE", "NAME", "ID", "PAGES", "SIZE", "PARAMETERS", "AGE"}, row: templateRow,
		describe: func(_ context.Context, _ *cluster, out io.Writer, t *platenv1alpha1.RenderTemplate) {
			describeTemplate(out, t)
		},
	}.command(o, &cobra.Command{
		Use:   "templates [NAME]",
		Short: "List the templates, or show the pages and parameters of one",
		Example: `  # The templates of the namespace marketing.
  kubectl platen templates -n marketing

  # The pages and parameters of one template, and how to render it.
  kubectl platen templates banner`,
		ValidArgsFunction: o.completeNames(1, templateList),
	})
}

func templateRow(t *platenv1alpha1.RenderTemplate) []string {
	id, size := "", ""
	if t.Spec.TemplateID != nil {
		id = strconv.FormatInt(*t.Spec.TemplateID, 10)
	}
	if len(t.Spec.Pages) > 0 {
		size = fmt.Sprintf("%dx%d", t.Spec.Pages[0].Width, t.Spec.Pages[0].Height)
	}
	names := []string{}
	for _, p := range bindings.Known(t) {
		if p.Style {
			continue
		}
		if names = append(names, p.Name); p.Needed() {
			names[len(names)-1] += "*"
		}
	}
	return []string{t.Namespace, t.Name, id, strconv.Itoa(len(t.Spec.Pages)), size, strings.Join(names, ","), age(t)}
}

func describeTemplate(out io.Writer, t *platenv1alpha1.RenderTemplate) {
	title := ""
	if t.Spec.Title != "" && t.Spec.Title != t.Name {
		title = fmt.Sprintf(" (%s)", plain(t.Spec.Title))
	}
	fmt.Fprintf(out, "RenderTemplate %s%s in namespace %s\n", t.Name, title, t.Namespace)
	if t.Spec.Description != "" {
		fmt.Fprintln(out, plain(t.Spec.Description))
	}
	describeTemplateState(out, t)
	fmt.Fprintln(out)
	rows := make([][]string, 0, len(t.Spec.Pages))
	for i, p := range t.Spec.Pages {
		rows = append(rows, []string{strconv.Itoa(i + 1), p.Name, fmt.Sprintf("%dx%d", p.Width, p.Height)})
	}
	printTable(out, []string{"PAGE", "NAME", "SIZE"}, rows)
	describeParameters(out, bindings.Known(t))
	fmt.Fprintf(out, "\nRender it: %s\n", example(t))
}

// describeTemplateState prints what is wrong with a template, and what to do.
func describeTemplateState(out io.Writer, t *platenv1alpha1.RenderTemplate) {
	ready := meta.FindStatusCondition(t.Status.Conditions, platenv1alpha1.ReadyCondition)
	if observed := t.Status.ObservedGeneration; ready == nil || observed == nil || *observed != t.Generation || ready.Reason == platenv1alpha1.ValidReason {
		return
	}
	fmt.Fprintf(out, "%s: %s\n", ready.Reason, plain(ready.Message))
	for _, w := range t.Status.Warnings {
		fmt.Fprintf(out, "Warning: %s: %s\n", plain(w.Where), plain(w.Message))
	}
	printNext(out, templateAdvice(t, ready.Reason, plain(ready.Message)))
}

// maxDefault bounds a default in a table, in characters.
const maxDefault = 60

func describeParameters(out io.Writer, parameters []bindings.Parameter) {
	rows, styles := [][]string{}, []string{}
	for _, p := range parameters {
		if p.Style {
			styles = append(styles, p.Name)
			continue
		}
		value := ""
		if p.Default != nil {
			if value = string(p.Default.Raw); utf8.RuneCountInString(value) > maxDefault {
				value = string([]rune(value)[:maxDefault]) + "…"
			}
		}
		required, description := "no", p.Description
		if p.Needed() {
			required = "yes"
		}
		if !p.Declared {
			description = "from the page"
		}
		rows = append(rows, []string{p.Name, string(p.Type), required, value, description})
	}
	if len(rows) > 0 {
		fmt.Fprintln(out)
		printTable(out, []string{"PARAMETER", "TYPE", "REQUIRED", "DEFAULT", "DESCRIPTION"}, rows)
	}
	if len(styles) > 0 {
		fmt.Fprintf(out, "\nStyles, as in --set %s=...: %s\n", shellWord(styles[0]), plain(strings.Join(styles, ", ")))
	}
}

// connections is kubectl platen connections.
func (o *options) connections() *cobra.Command {
	return listing[*platenv1alpha1.StorageConnection]{
		kind: "StorageConnection", name: "connection", plural: "connections",
		object: &platenv1alpha1.StorageConnection{}, list: &platenv1alpha1.StorageConnectionList{},
		headings: []string{"NAMESPACE", "NAME", "STATUS", "PROVIDER", "ACCOUNT", "SPACE", "FOLDER", "UPLOADS", "AGE"}, row: connectionRow,
		describe: func(ctx context.Context, c *cluster, out io.Writer, s *platenv1alpha1.StorageConnection) {
			describeConnection(out, s, c.isFromManifest(ctx, s))
		},
	}.command(o, &cobra.Command{
		Use:   "connections [NAME]",
		Short: "List the connected accounts, or show the state of one",
		Example: `  # The accounts of all namespaces.
  kubectl platen connections -A

  # One account, and what is wrong with it.
  kubectl platen connections dropbox -n marketing`,
		ValidArgsFunction: o.completeNames(1, connectionList),
	})
}

func connectionRow(s *platenv1alpha1.StorageConnection) []string {
	word, _ := connectionStage(s)
	return []string{
		s.Namespace, s.Name, word, string(s.Spec.Provider), email(s), connectionSpace(s), string(s.Spec.DefaultFolder), string(s.Spec.UploadPolicy), age(s),
	}
}

// connectionStage returns the state of a connection in one word and in a sentence.
func connectionStage(s *platenv1alpha1.StorageConnection) (word, sentence string) {
	ready := meta.FindStatusCondition(s.Status.Conditions, platenv1alpha1.ReadyCondition)
	if observed := s.Status.ObservedGeneration; ready == nil || observed == nil || *observed != s.Generation {
		return platenv1alpha1.PendingReason, "Platen has not looked at it yet"
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

// describeConnection prints everything about a connection. manifested tells that its Secret is from a manifest.
func describeConnection(out io.Writer, s *platenv1alpha1.StorageConnection, manifested bool) {
	word, sentence := connectionStage(s)
	fmt.Fprintf(out, "StorageConnection %s in namespace %s\n%s: %s\n\n", s.Name, s.Namespace, word, sentence)
	rows := [][]string{
		{"Account", email(s)}, {"Space", connectionSpace(s)}, {"Default folder", string(s.Spec.DefaultFolder)}, {"Uploads", string(s.Spec.UploadPolicy)},
	}
	rows = append(rows, []string{"Secret", secretOf(s)})
	if d := s.Spec.Dropbox; d != nil {
		rows = append(rows, []string{"On conflict", string(d.ConflictPolicy)})
	}
	if t := s.Status.LastVerifiedTime; t != nil {
		rows = append(rows, []string{"Last checked", t.UTC().Format("2006-01-02 15:04:05 MST")})
	}
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(out, "%-15s %s\n", row[0], plain(row[1]))
		}
	}
	if !meta.IsStatusConditionFalse(s.Status.Conditions, platenv1alpha1.ReadyCondition) || word == platenv1alpha1.PendingReason {
		return
	}
	if known := storage.Reason(word).AdviceOfConnection(string(s.Spec.Provider)); known.Do != "" {
		if reason := storage.Reason(word); manifested && reason != storage.ReasonSecretNotLabelled && known.Reconnect && s.Spec.Provider == platenv1alpha1.ProviderDropbox {
			fmt.Fprintln(out)
			printNext(out, aboutManifest(s, reason))
			return
		}
		fmt.Fprintf(out, "\nNext: %s\n", known.Do)
		if secret := secretOf(s); word == string(storage.ReasonSecretNotLabelled) && secret != "" {
			fmt.Fprintf(out, "  kubectl label secret %s %s=true --overwrite -n %s\n", secret, platenv1alpha1.CredentialsLabel, s.Namespace)
			return
		}
		if known.Reconnect && s.Spec.Provider == platenv1alpha1.ProviderDropbox {
			fmt.Fprintln(out, "  "+reconnect(storage.Reason(word), string(s.Spec.Provider), s.Name, s.Namespace))
		}
	}
}

// secretOf returns the name of the Secret with a connection's credentials.
func secretOf(s *platenv1alpha1.StorageConnection) string {
	switch {
	case s.Spec.Dropbox != nil:
		return s.Spec.Dropbox.CredentialsSecretRef.Name
	case s.Spec.S3 != nil:
		return s.Spec.S3.CredentialsSecretRef.Name
	case s.Spec.GCS != nil:
		return s.Spec.GCS.CredentialsSecretRef.Name
	case s.Spec.AzureBlob != nil:
		return s.Spec.AzureBlob.CredentialsSecretRef.Name
	default:
		return ""
	}
}
