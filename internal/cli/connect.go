// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/accounts"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/authflow"
)

// defaultPort is the port of the redirect URI, which must be registered for the app.
const defaultPort = 53682

// The values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// dryRunFlag adds --dry-run as in kubectl.
func dryRunFlag(c *cobra.Command, target *string) {
	c.Flags().StringVar(target, "dry-run", dryRunNone, "none, client (send nothing) or server (the cluster checks the objects and changes nothing)")
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
	// connection holds the values of the flags, and the credentials once Dropbox has granted them.
	connection           accounts.Connection
	output, dryRun       string
	noBrowser, force     bool
	port                 int
	timeout              time.Duration
	authorizeURL, apiURL string
	// seen is the resourceVersion of a connection that stays as it is.
	seen string
	// before is the account of the connection before; nil if it is not known.
	before *platenv1alpha1.StorageAccount
}

func (o *options) connectDropbox() *cobra.Command {
	c := &connectCommand{options: o}
	command := &cobra.Command{
		Use:   "dropbox [NAME]",
		Short: "Connect a Dropbox account to the namespace",
		Long: `Connect a Dropbox account to the namespace, so that renders are uploaded to it.

Your browser shows Dropbox's own page, where you allow access. The command writes a Secret with the credentials and a
StorageConnection that names it, and waits until Platen has reached the account. NAME of the StorageConnection defaults to dropbox.
Connecting again replaces the credentials, and leaves the StorageConnection as it is unless flags change it.

You need your own Dropbox app. Create it once at https://www.dropbox.com/developers/apps ("Scoped access"), tick account_info.read,
files.content.write and files.metadata.read under Permissions, and add http://localhost:53682/ to its redirect URIs. Its app key is
not a secret; its app secret is not needed.`,
		Example: `  # Connect with the browser on this machine.
  kubectl platen connect dropbox --app-key m4v7... -n marketing

  # On a machine without a browser: paste the code that Dropbox shows.
  kubectl platen connect dropbox --app-key m4v7... --no-browser

  # Print the manifests for a GitOps tool, and change nothing in the cluster. Encrypt the Secret before you commit it.
  kubectl platen connect dropbox --app-key m4v7... --folder /Renders -o yaml`,
		Args:              arguments(0, 1, "connection"),
		ValidArgsFunction: o.completeNames(1, connectionList),
		RunE: func(command *cobra.Command, args []string) error {
			c.connection.Name = "dropbox"
			if len(args) == 1 {
				c.connection.Name = args[0]
			}
			return c.run(command.Context())
		},
	}
	f := command.Flags()
	f.StringVar(&c.connection.AppKey, "app-key", "", "app key of your Dropbox app (default: that of the last time; else the command asks for it)")
	f.StringVar(&c.connection.Folder, "folder", "", "folder for files whose job names none; a missing folder is created (default: the command asks for it)")
	f.StringVar(&c.connection.Secret, "secret", "", "name of the Secret (default: NAME-credentials)")
	f.StringVar(&c.connection.UploadPolicy, "upload-policy", "", "Automatic (every render, the default), OnRequest or Disabled")
	f.StringVar(&c.connection.ConflictPolicy, "conflict-policy", "", "what to do if another file is at a path: Overwrite (the default), Rename or Keep")
	f.BoolVar(&c.noBrowser, "no-browser", false, "print the address of Dropbox's page, and ask for the code that the page shows")
	f.IntVar(&c.port, "port", defaultPort, "port of the redirect URI http://localhost:PORT/, as registered for the app")
	f.BoolVar(&c.force, "force-conflicts", false, "take over fields that another tool manages")
	f.DurationVar(&c.timeout, "timeout", time.Minute, "how long to wait for Platen to reach the account")
	dryRunFlag(command, &c.dryRun)
	f.StringVarP(&c.output, "output", "o", "", "print the manifests with the credentials and change nothing: yaml or json")
	must(command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"yaml", "json"}, cobra.ShellCompDirectiveNoFileComp)))
	f.StringVar(&c.authorizeURL, "dropbox-authorize-url", authflow.DefaultAuthorizeURL, "`URL` of the host of Dropbox's consent page, such as that of the simulator")
	f.StringVar(&c.apiURL, "dropbox-api-url", dropbox.DefaultAPIURL, "`URL` of Dropbox's API host, such as that of the simulator")
	must(command.RegisterFlagCompletionFunc("secret", o.completeFlag(secretList)))
	must(command.RegisterFlagCompletionFunc("upload-policy", cobra.FixedCompletions(uploadPolicies, cobra.ShellCompDirectiveNoFileComp)))
	must(command.RegisterFlagCompletionFunc("conflict-policy", cobra.FixedCompletions(conflictPolicies, cobra.ShellCompDirectiveNoFileComp)))
	return command
}

// The values of --upload-policy and --conflict-policy.
var (
	uploadPolicies   = []string{string(platenv1alpha1.UploadAutomatic), string(platenv1alpha1.UploadOnRequest), string(platenv1alpha1.UploadDisabled)}
	conflictPolicies = []string{"Overwrite", "Rename", "Keep"}
)

func checkPolicy(flag, value string, known []string) error {
	if value != "" && !slices.Contains(known, value) {
		return usage("%s must be %s, not %q", flag, strings.Join(known, " or "), value)
	}
	return nil
}

// checkName refuses what no object can have for a name. The value may be empty.
func checkName(flag, name string) error {
	if name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		return usage("%s: %q must be lower-case letters, digits, hyphens and dots, with a letter or a digit first and last, and at most %d of them",
			flag, name, validation.DNS1123SubdomainMaxLength)
	}
	return nil
}

func checkPort(port int) error {
	if port < 1 || port > math.MaxUint16 {
		return usage("--port: %d must be from 1 to %d", port, math.MaxUint16)
	}
	return nil
}

// checkAppKey refuses an app key that is none. One that is missing is refused where nobody can be asked for it, and the cluster may not have it.
func (o *connectCommand) checkAppKey(mayRead bool) error {
	switch key := o.connection.AppKey; {
	case key == "" && !isTerminal(o.In) && !mayRead:
		return usage("--app-key must be given: it is in the settings of your Dropbox app at %s", authflow.AppConsole)
	case key != "" && !accounts.ValidAppKey(key):
		return usage("--app-key: %q must be letters, digits, hyphens and underscores, as in the settings of your Dropbox app at %s", key, authflow.AppConsole)
	}
	return nil
}

func (o *connectCommand) run(ctx context.Context) (err error) {
	if err := errors.Join(checkOutput(o.output, "yaml", "json"), checkDryRun(o.dryRun),
		checkName("NAME", o.connection.Name), checkName("--secret", o.connection.Secret), checkPort(o.port),
		checkPolicy("--upload-policy", o.connection.UploadPolicy, uploadPolicies), checkPolicy("--conflict-policy", o.connection.ConflictPolicy, conflictPolicies)); err != nil {
		return err
	}
	connection := &o.connection
	if connection.Namespace, err = o.namespace(); err != nil {
		return err
	}
	var c *cluster
	if o.output == "" && o.dryRun != dryRunClient {
		if c, err = o.cluster(); err != nil {
			return err
		}
	}
	if err := o.checkAppKey(c != nil); err != nil {
		return err
	}
	if c != nil {
		if err := o.findExisting(ctx, c); err != nil {
			return err
		}
		if err := o.checkAppKey(false); err != nil {
			return err
		}
	}
	connection.Secret = cmp.Or(connection.Secret, accounts.SecretName(connection.Name))
	if c != nil {
		if err := o.check(ctx, c); err != nil {
			return err
		}
	} else if problem := accounts.FolderProblem(connection.Folder); connection.Folder != "" && problem != "" {
		return usage("--folder: %q %s", connection.Folder, problem)
	}
	prompt := &prompter{in: o.In, out: o.ErrOut}
	if connection.AppKey == "" {
		if connection.AppKey, err = prompt.ask(ctx, "App key of your Dropbox app (from "+authflow.AppConsole+"): "); err != nil {
			return err
		}
		if !accounts.ValidAppKey(connection.AppKey) {
			return usage("%q is not an app key: it is letters, digits, hyphens and underscores", connection.AppKey)
		}
	}
	grant, err := o.consent(ctx, prompt)
	if err != nil {
		return err
	}
	connection.RefreshToken = grant.RefreshToken
	account, err := dropbox.New(dropbox.Config{AppKey: connection.AppKey, RefreshToken: grant.RefreshToken, APIURL: o.apiURL})
	if err != nil {
		return err
	}
	saved := accounts.Saved{}
	defer func() {
		if !saved.Secret {
			_ = accounts.Revoke(ctx, account)
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
	switch {
	case o.output != "":
		saved.Secret = true // in the manifests
		return o.print()
	case o.dryRun == dryRunClient:
		o.report(" (dry run)")
		return nil
	case o.dryRun == dryRunServer:
		if err := o.check(ctx, c); err != nil {
			return err
		}
		o.report(" (server dry run)")
		return nil
	}
	if saved, err = o.save(ctx, c); err != nil {
		return err
	}
	o.report("")
	return o.await(ctx, c, who, cmp.Or(saved.ResourceVersion, o.seen))
}

// findExisting looks for a connection of that name. Unless flags say how it shall be, it stays as it is, whichever tool manages it, and only
// its Secret is written.
func (o *connectCommand) findExisting(ctx context.Context, c *cluster) error {
	connection, existing := &o.connection, &platenv1alpha1.StorageConnection{}
	err := c.get(ctx, connection.Name, existing)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil // a person who may not read it may still be allowed to write it
	}
	if err != nil {
		return explain(err)
	}
	o.before = existing.Status.Account
	if existing.Spec.Dropbox == nil {
		return fmt.Errorf("StorageConnection %s/%s is of provider %s: choose another NAME", c.namespace, connection.Name, existing.Spec.Provider)
	}
	if connection.AppKey == "" {
		o.takeAppKey(ctx, c, existing.Spec.Dropbox.CredentialsSecretRef.Name)
	}
	if connection.Secret+connection.Folder+connection.UploadPolicy+connection.ConflictPolicy != "" {
		return nil
	}
	connection.Exists, connection.Secret, connection.Folder = true, existing.Spec.Dropbox.CredentialsSecretRef.Name, string(existing.Spec.DefaultFolder)
	o.seen = existing.ResourceVersion
	return nil
}

// takeAppKey takes the app key of the last time, which is no secret, from a connection's Secret. Without the right to read that, a person says it again.
func (o *connectCommand) takeAppKey(ctx context.Context, c *cluster, name string) {
	secret := &corev1.Secret{}
	if err := c.get(ctx, name, secret); err != nil {
		return
	}
	if key := accounts.SavedAppKey(secret); key != "" {
		o.connection.AppKey = key
		fmt.Fprintf(o.ErrOut, "App key %s, as in Secret %s; another one with --app-key.\n", key, name)
	}
}

// check asks the cluster whether it would accept the objects, and changes nothing.
func (o *connectCommand) check(ctx context.Context, c *cluster) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return explainSave(connectFields.refusal(o.connection.Check(ctx, c, o.force)))
}

func (o *connectCommand) save(ctx context.Context, c *cluster) (accounts.Saved, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	saved, err := o.connection.Save(ctx, c, accounts.SaveOptions{Force: o.force})
	return saved, explainSave(connectFields.refusal(err))
}

// connectFields are the fields that the flags of connect set.
var connectFields = fieldFlags{
	"metadata.name": "NAME", "spec.defaultFolder": "--folder", "spec.uploadPolicy": "--upload-policy",
	"spec.dropbox.conflictPolicy": "--conflict-policy", "spec.dropbox.credentialsSecretRef.name": "--secret",
}

// applied is the field manager of kubectl apply without --server-side.
const applied = `"kubectl-client-side-apply"`

func explainSave(err error) error {
	switch {
	case apierrors.IsConflict(err) && strings.Contains(err.Error(), applied):
		return fmt.Errorf("%w; kubectl apply would give the credentials of its file again: put what -o yaml prints into the file, or take over with --force-conflicts", err)
	case apierrors.IsConflict(err):
		return fmt.Errorf("%w; give that tool what -o yaml prints, or take over with --force-conflicts", err)
	}
	return explain(err)
}

// ensureFolder lets the person choose the default folder, and creates a missing one.
func (o *connectCommand) ensureFolder(ctx context.Context, prompt *prompter, account accounts.Account) (err error) {
	connection := &o.connection
	if connection.Folder == "" && isTerminal(o.In) {
		connection.Folder, err = chooseFolder(ctx, prompt, account)
		return err
	}
	connection.Folder = cmp.Or(connection.Folder, accounts.DefaultFolder)
	if err := account.EnsureFolder(ctx, connection.Folder); err != nil {
		return fmt.Errorf("folder %s: %w", connection.Folder, err)
	}
	return nil
}

func (o *connectCommand) print() error {
	secret, connection := o.connection.Manifests()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(secret)
	if err != nil {
		return err
	}
	return printObjects(o.Out, o.output, &unstructured.Unstructured{Object: content}, connection)
}

func (o *connectCommand) report(suffix string) {
	objects := []string{"secret/" + o.connection.Secret}
	if !o.connection.Exists {
		objects = append(objects, "storageconnection.platen.dev/"+o.connection.Name)
	}
	for _, object := range objects {
		fmt.Fprintf(o.Out, "%s applied in namespace %s%s\n", object, o.connection.Namespace, suffix)
	}
}

// await waits until Platen has reached the account. applied is the resourceVersion after the apply: until it changes, the status
// describes an earlier account.
func (o *connectCommand) await(ctx context.Context, c *cluster, who storage.Account, applied string) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	name := o.connection.Name
	last := "Platen has not looked at it: is Platen running? (kubectl get pods -n platen-system)"
	connection := &platenv1alpha1.StorageConnection{}
	err := follow(ctx, c, name, &platenv1alpha1.StorageConnection{}, &platenv1alpha1.StorageConnectionList{}, func(now *platenv1alpha1.StorageConnection) (bool, error) {
		connection = now
		ready := meta.FindStatusCondition(now.Status.Conditions, platenv1alpha1.ReadyCondition)
		if observed := now.Status.ObservedGeneration; ready == nil || observed == nil || *observed != now.Generation {
			return false, nil
		}
		last = ready.Reason + ": " + ready.Message
		switch {
		case ready.Status == metav1.ConditionTrue:
			return now.Status.Account != nil && now.Status.Account.ID == who.ID, nil
		case ready.Status == metav1.ConditionFalse && now.ResourceVersion != applied:
			return false, fmt.Errorf("StorageConnection %s/%s is not ready: %s", c.namespace, name, plain(last))
		}
		return false, nil
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &exitError{exitTimeout, fmt.Errorf("StorageConnection %s/%s is not ready after %s: %s", c.namespace, name, o.timeout, plain(last))}
	case err != nil:
		return err
	}
	before := ""
	if o.before != nil && o.before.ID != who.ID {
		before = o.before.Email
	}
	fmt.Fprintln(o.Out, connectedWords(connection, o.connection.Folder, plain(who.Email), plain(before)))
	return nil
}

// connectedWords says which renders go to an account, and which account the connection had before; empty if it had none or the same.
func connectedWords(connection *platenv1alpha1.StorageConnection, folder, now, before string) string {
	which := "renders of namespace " + connection.Namespace
	switch connection.Spec.UploadPolicy {
	case platenv1alpha1.UploadDisabled:
		if before != "" {
			now += ", no longer to that of " + before
		}
		return fmt.Sprintf("Connected to the Dropbox of %s. Nothing is uploaded there: its uploadPolicy is Disabled.", now)
	case platenv1alpha1.UploadOnRequest:
		which += " that name " + connection.Name
	case platenv1alpha1.UploadAutomatic:
	}
	if before != "" {
		now += ", no longer in that of " + before
	}
	return fmt.Sprintf("Connected: %s go to %s in the Dropbox of %s.", which, folder, now)
}

func person(a storage.Account) string {
	return plain(strings.TrimSpace(a.DisplayName + " <" + a.Email + ">"))
}

// space returns how much space an account has left, in words.
func space(used, allocated int64) string {
	if allocated <= 0 {
		return file.Size(used) + " used"
	}
	if used >= allocated {
		return fmt.Sprintf("full: all %s are used", file.Size(allocated))
	}
	return fmt.Sprintf("%s free of %s", file.Size(allocated-used), file.Size(allocated))
}
