// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

// defaultPort of the redirect URI, which must be registered for the app.
const defaultPort = 53682

// Values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// dryRunFlag is --dry-run, as kubectl has it.
func dryRunFlag(c *cobra.Command, target *string) {
	c.Flags().StringVar(target, "dry-run", dryRunNone, "none, client (send nothing) or server (let the cluster check, and change nothing)")
	c.Flags().Lookup("dry-run").NoOptDefVal = dryRunClient
	must(c.RegisterFlagCompletionFunc("dry-run", cobra.FixedCompletions([]string{dryRunNone, dryRunClient, dryRunServer}, cobra.ShellCompDirectiveNoFileComp)))
}

func checkDryRun(value string) error {
	switch value {
	case dryRunNone, dryRunClient, dryRunServer:
		return nil
	default:
		return usage("--dry-run must be none, client or server, not %q", value)
	}
}

// connectCommand is kubectl platen connect dropbox.
type connectCommand struct {
	*options
	name, secret, appKey, folder, output, dryRun string
	uploadPolicy, conflictPolicy                 string
	noBrowser, force                             bool
	port                                         int
	timeout                                      time.Duration
	authorizeURL, apiURL                         string
}

func (o *options) connectDropbox() *cobra.Command {
	c := &connectCommand{options: o}
	command := &cobra.Command{
		Use:   "dropbox [NAME]",
		Short: "Connect a Dropbox account to the namespace",
		Long: `Connect a Dropbox account to the namespace, so that renders are uploaded to it.

Your browser shows Dropbox's own page, where you allow access. The command writes a Secret with the credentials and a
StorageConnection that names it, and waits until Platen has reached the account. NAME of the StorageConnection is dropbox unless
you give another. Connecting again replaces the account.

You need an app of your own, once: make one at https://www.dropbox.com/developers/apps ("Scoped access"), tick account_info.read,
files.content.write and files.metadata.read under Permissions, and add http://localhost:53682/ to its redirect URIs. Its app key is
no secret; its app secret is not needed.`,
		Example: `  # Connect, with the browser on this machine.
  kubectl platen connect dropbox --app-key m4v7... -n marketing

  # On a machine without a browser: paste the code that Dropbox shows.
  kubectl platen connect dropbox --app-key m4v7... --no-browser

  # Print the manifests for a GitOps tool, and change nothing in the cluster. Encrypt the Secret before you commit it.
  kubectl platen connect dropbox --app-key m4v7... --folder /Renders -o yaml`,
		Args:              arguments(0, 1, "connection"),
		ValidArgsFunction: o.completeConnections,
		RunE: func(command *cobra.Command, args []string) error {
			c.name = "dropbox"
			if len(args) == 1 {
				c.name = args[0]
			}
			return c.run(command.Context())
		},
	}
	f := command.Flags()
	f.StringVar(&c.appKey, "app-key", "", "app key of your Dropbox app; asked for when it is left out")
	f.StringVar(&c.folder, "folder", "", "folder for files whose job names none, made when missing; asked for when it is left out")
	f.StringVar(&c.secret, "secret", "", "name of the Secret (default: NAME-credentials)")
	f.StringVar(&c.uploadPolicy, "upload-policy", "", "Automatic (every render, the default), OnRequest or Disabled")
	f.StringVar(&c.conflictPolicy, "conflict-policy", "", "when another file stands at a path: Overwrite (the default), Rename or Keep")
	f.BoolVar(&c.noBrowser, "no-browser", false, "print the address of Dropbox's page, and ask for the code that it shows")
	f.IntVar(&c.port, "port", defaultPort, "port of the redirect URI http://localhost:PORT/, as registered for the app")
	f.BoolVar(&c.force, "force-conflicts", false, "take over fields that another tool manages")
	f.DurationVar(&c.timeout, "timeout", time.Minute, "how long to wait until Platen has reached the account")
	dryRunFlag(command, &c.dryRun)
	f.StringVarP(&c.output, "output", "o", "", "print the manifests, credentials included, and change nothing: yaml or json")
	must(command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"yaml", "json"}, cobra.ShellCompDirectiveNoFileComp)))
	// For tests, and for networks where Dropbox has another name.
	f.StringVar(&c.authorizeURL, "dropbox-authorize-url", authflow.DefaultAuthorizeURL, "where Dropbox's consent page is")
	f.StringVar(&c.apiURL, "dropbox-api-url", dropbox.DefaultAPIURL, "where Dropbox's API is")
	must(f.MarkHidden("dropbox-authorize-url"))
	must(f.MarkHidden("dropbox-api-url"))
	must(command.RegisterFlagCompletionFunc("upload-policy", cobra.FixedCompletions([]string{"Automatic", "OnRequest", "Disabled"}, cobra.ShellCompDirectiveNoFileComp)))
	must(command.RegisterFlagCompletionFunc("conflict-policy", cobra.FixedCompletions([]string{"Overwrite", "Rename", "Keep"}, cobra.ShellCompDirectiveNoFileComp)))
	return command
}

func (o *connectCommand) run(ctx context.Context) (err error) {
	if err := errors.Join(checkOutput(o.output, "yaml", "json"), checkDryRun(o.dryRun)); err != nil {
		return err
	}
	o.secret = cmp.Or(o.secret, o.name+"-credentials")
	namespace, err := o.namespace()
	if err != nil {
		return err
	}
	var c *cluster
	if o.output == "" && o.dryRun != dryRunClient {
		if c, err = o.cluster(); err != nil {
			return err
		}
		// What the cluster would refuse is known before anybody goes to Dropbox.
		if err := o.apply(ctx, c, credentials.Dropbox{AppKey: "check", RefreshToken: "check"}, client.DryRunAll); err != nil {
			return err
		}
	}
	prompt := &prompter{in: o.In, out: o.ErrOut}
	if o.appKey == "" {
		if !isTerminal(o.In) {
			return usage("--app-key must be given: the app key of your Dropbox app, from %s", authflow.AppConsole)
		}
		if o.appKey, err = prompt.ask(ctx, "App key of your Dropbox app (from "+authflow.AppConsole+"): "); err != nil {
			return err
		}
	}
	grant, err := o.consent(ctx, prompt)
	if err != nil {
		return err
	}
	account, err := dropbox.New(dropbox.Config{AppKey: o.appKey, RefreshToken: grant.RefreshToken, APIURL: o.apiURL})
	if err != nil {
		return err
	}
	kept := false
	defer func() {
		// A permission that nobody keeps is given back.
		if !kept {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
			defer cancel()
			_ = account.Revoke(ctx)
		}
	}()
	who, err := account.Verify(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.ErrOut, "\nDropbox of %s, %s.\n", person(who), space(who.SpaceUsed, who.SpaceAllocated))
	if err := o.ensureFolder(ctx, prompt, account); err != nil {
		return err
	}
	secret := credentials.Dropbox{AppKey: o.appKey, RefreshToken: grant.RefreshToken}
	switch {
	case o.output != "":
		kept = true
		return o.print(secret, namespace)
	case o.dryRun == dryRunClient:
		o.report(namespace, " (dry run)")
		return nil
	case o.dryRun == dryRunServer:
		if err := o.apply(ctx, c, secret, client.DryRunAll); err != nil {
			return err
		}
		o.report(namespace, " (server dry run)")
		return nil
	}
	if err := o.apply(ctx, c, secret); err != nil {
		return err
	}
	kept = true
	o.report(namespace, "")
	return o.await(ctx, c, who)
}

// ensureFolder lets the person choose the default folder, and makes it when it is missing.
func (o *connectCommand) ensureFolder(ctx context.Context, prompt *prompter, account *dropbox.Client) (err error) {
	if o.folder == "" && isTerminal(o.In) {
		o.folder, err = chooseFolder(ctx, prompt, account)
		return err
	}
	o.folder = cmp.Or(o.folder, defaultFolder)
	if err := account.EnsureFolder(ctx, o.folder); err != nil {
		return fmt.Errorf("folder %s: %w", o.folder, err)
	}
	return nil
}

// objects to apply.
func (o *connectCommand) objects(secret credentials.Dropbox, namespace string) (*applycorev1.SecretApplyConfiguration, *unstructured.Unstructured) {
	spec := map[string]any{
		"provider":      string(platenv1alpha1.ProviderDropbox),
		"defaultFolder": cmp.Or(o.folder, defaultFolder),
	}
	access := map[string]any{"credentialsSecretRef": map[string]any{"name": o.secret}}
	if o.conflictPolicy != "" {
		access["conflictPolicy"] = o.conflictPolicy
	}
	if o.uploadPolicy != "" {
		spec["uploadPolicy"] = o.uploadPolicy
	}
	spec["dropbox"] = access
	connection := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	connection.SetGroupVersionKind(platenv1alpha1.GroupVersion.WithKind("StorageConnection"))
	connection.SetNamespace(namespace)
	connection.SetName(o.name)
	return secret.Secret(namespace, o.secret), connection
}

func (o *connectCommand) apply(ctx context.Context, c *cluster, credentials credentials.Dropbox, options ...client.ApplyOption) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options = append(options, client.FieldOwner(fieldOwner))
	if o.force {
		options = append(options, client.ForceOwnership)
	}
	secret, connection := o.objects(credentials, c.namespace)
	if err := c.Apply(ctx, secret, options...); err != nil {
		return o.explainApply(err, "Secret", c.namespace, o.secret)
	}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(connection), options...); err != nil {
		return o.explainApply(err, "StorageConnection", c.namespace, o.name)
	}
	return nil
}

func (o *connectCommand) explainApply(err error, kind, namespace, name string) error {
	if apierrors.IsConflict(err) {
		return fmt.Errorf("another tool manages %s %s/%s: %w; give that tool what -o yaml prints, or take over with --force-conflicts", kind, namespace, name, err)
	}
	return explain(err)
}

func (o *connectCommand) print(credentials credentials.Dropbox, namespace string) error {
	secret, connection := o.objects(credentials, namespace)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(secret)
	if err != nil {
		return err
	}
	return printObjects(o.Out, o.output, &unstructured.Unstructured{Object: content}, connection)
}

func (o *connectCommand) report(namespace, suffix string) {
	fmt.Fprintf(o.Out, "secret/%s applied in namespace %s%s\nstorageconnection.platen.dev/%s applied in namespace %s%s\n", o.secret, namespace, suffix, o.name, namespace, suffix)
}

// await waits until Platen has reached the account. The connection may still show how an earlier account was.
func (o *connectCommand) await(ctx context.Context, c *cluster, who storage.Account) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	last, began := "it has not been looked at: does Platen run? (kubectl -n platen-system get pods)", ""
	connection := &platenv1alpha1.StorageConnection{}
	err := follow(ctx, c, o.name, connection, &platenv1alpha1.StorageConnectionList{}, func(now *platenv1alpha1.StorageConnection) (bool, error) {
		began = cmp.Or(began, now.ResourceVersion)
		ready := meta.FindStatusCondition(now.Status.Conditions, platenv1alpha1.ReadyCondition)
		if observed := now.Status.ObservedGeneration; ready == nil || observed == nil || *observed != now.Generation {
			return false, nil
		}
		last = ready.Reason + ": " + ready.Message
		switch {
		case ready.Status == metav1.ConditionTrue:
			return now.Status.Account != nil && now.Status.Account.ID == who.ID, nil
		case ready.Status == metav1.ConditionFalse && now.ResourceVersion != began:
			return false, fmt.Errorf("StorageConnection %s/%s is not ready: %s", c.namespace, o.name, plain(last))
		}
		return false, nil
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitTimeout, fmt.Errorf("StorageConnection %s/%s is not ready after %s: %s", c.namespace, o.name, o.timeout, plain(last))}
	case err != nil:
		return err
	}
	fmt.Fprintf(o.Out, "Connected: renders of namespace %s go to %s in the Dropbox of %s.\n", c.namespace, o.folder, plain(who.Email))
	return nil
}

func person(a storage.Account) string {
	return plain(strings.TrimSpace(a.DisplayName + " <" + a.Email + ">"))
}

// space says how much room there is.
func space(used, allocated int64) string {
	if allocated <= 0 {
		return size(used) + " used"
	}
	if used >= allocated {
		return fmt.Sprintf("full: all of %s are used", size(allocated))
	}
	return fmt.Sprintf("%s free of %s", size(allocated-used), size(allocated))
}
