// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package accounts connects a person's Dropbox account to a namespace. It saves the permission that Dropbox granted as a Secret
// and a StorageConnection, and revokes a permission that cannot be saved. The plugin and the web page share it; each asks for
// consent in its own way.
package accounts

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox"
)

const (
	// fieldOwner owns the fields of the Secret and the StorageConnection. The plugin and the page share it, so that an account
	// connected with one can be connected again with the other.
	fieldOwner = "platen-connect"
	// secretSuffix turns the name of a connection into the default name of its Secret.
	secretSuffix = "-credentials"
	// revokeTimeout bounds the revocation of a permission that was not saved.
	revokeTimeout = 30 * time.Second
)

// MaxName is the longest name of a connection, in bytes: the name of its Secret must fit too.
const MaxName = 63 - len(secretSuffix)

// Account is the part of a Dropbox client that connecting needs. Errors are *storage.Error.
type Account interface {
	// Verify returns who the account is.
	Verify(ctx context.Context) (storage.Account, error)
	// EnsureFolder makes a folder and its parents if they are missing.
	EnsureFolder(ctx context.Context, folder string) error
	// ListFolders lists the folders directly below a folder. complete is false if there are more.
	ListFolders(ctx context.Context, folder string) (folders []dropbox.Folder, complete bool, err error)
	// Revoke ends the permission.
	Revoke(ctx context.Context) error
}

var appKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidAppKey tells whether a text may be the key of a Dropbox app; nothing else goes into the address of its consent page.
func ValidAppKey(text string) bool { return appKey.MatchString(text) }

// SavedAppKey returns the app key of the last time from a connection's Secret; empty if there is none.
func SavedAppKey(secret *corev1.Secret) string {
	if key := string(secret.Data["appKey"]); ValidAppKey(key) {
		return key
	}
	return ""
}

// SecretName returns the default name of a connection's Secret.
func SecretName(connection string) string { return connection + secretSuffix }

// Revoke ends a permission that nothing has saved. It has its own deadline, because ctx may have ended already.
func Revoke(ctx context.Context, account Account) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	return account.Revoke(ctx)
}

// Try asks the account who it is, and makes the folder if it is missing.
func Try(ctx context.Context, account Account, folder string) (storage.Account, error) {
	who, err := account.Verify(ctx)
	if err != nil {
		return storage.Account{}, err
	}
	return who, account.EnsureFolder(ctx, folder)
}

// Connection is an account to save.
type Connection struct {
	Namespace, Name string
	// Secret that holds the credentials. Default: SecretName(Name).
	Secret string
	// AppKey and RefreshToken are the credentials.
	AppKey, RefreshToken string
	// Exists says that the StorageConnection exists and stays as it is: only its Secret is written.
	Exists bool
	// Folder for files whose job names none, and the policies. Empty values are left to the API's defaults.
	Folder         string
	UploadPolicy   string
	ConflictPolicy string
}

// String implements fmt.Stringer without the credentials.
func (c Connection) String() string { return c.Namespace + "/" + c.Name }

// GoString implements fmt.GoStringer without the credentials.
func (c Connection) GoString() string { return c.String() }

func (c Connection) secretName() string {
	if c.Secret != "" {
		return c.Secret
	}
	return SecretName(c.Name)
}

func (c Connection) credentials() credentials.Redacted {
	return credentials.Redacted{"appKey": c.AppKey, "refreshToken": c.RefreshToken}
}

// Manifests returns the Secret and the StorageConnection as Save applies them, but without the mark of a Secret that disconnecting deletes.
func (c Connection) Manifests() (*applycorev1.SecretApplyConfiguration, *unstructured.Unstructured) {
	access := map[string]any{"credentialsSecretRef": map[string]any{"name": c.secretName()}}
	spec := map[string]any{"provider": string(platenv1alpha1.ProviderDropbox), "dropbox": access}
	for field, value := range map[string]string{"defaultFolder": c.Folder, "uploadPolicy": c.UploadPolicy} {
		if value != "" {
			spec[field] = value
		}
	}
	if c.ConflictPolicy != "" {
		access["conflictPolicy"] = c.ConflictPolicy
	}
	connection := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	connection.SetGroupVersionKind(platenv1alpha1.GroupVersion.WithKind("StorageConnection"))
	connection.SetNamespace(c.Namespace)
	connection.SetName(c.Name)
	return c.credentials().Secret(c.Namespace, c.secretName()), connection
}

// SaveOptions say how Save writes.
type SaveOptions struct {
	// Force takes over fields that another tool manages.
	Force bool
	// DryRun lets the API server check everything and change nothing.
	DryRun bool
}

// Saved says what Save has written.
type Saved struct {
	// Secret is true once the Secret holds the credentials: the permission must not be revoked from then on.
	Secret bool
	// Filed tells that the Secret is from a file of kubectl apply, which brings the credentials of the file back when it is applied again.
	Filed bool
	// ResourceVersion of the StorageConnection; empty if it was not written.
	ResourceVersion string
}

// Check returns the error that Save would return, before anybody asks for consent. It changes nothing. The credentials may be missing. The API
// server finds conflicts with other tools before it looks at values, and nobody who takes over should meet the next refusal: a value that it does
// not take comes first.
func (c Connection) Check(ctx context.Context, api client.Client, force bool) error {
	c.RefreshToken = "check"
	_, err := c.Save(ctx, api, SaveOptions{Force: force, DryRun: true})
	if !force && apierrors.IsConflict(err) {
		if _, forced := c.Save(ctx, api, SaveOptions{Force: true, DryRun: true}); apierrors.IsInvalid(forced) {
			return forced
		}
	}
	return err
}

// Save applies the Secret and then the StorageConnection, so that the connection is never seen without its Secret. The error is a
// *storage.Error if something keeps the Secret as it is, and a conflict if another tool manages a field. What a person wrote
// with kubectl by hand is taken over.
func (c Connection) Save(ctx context.Context, api client.Client, options SaveOptions) (saved Saved, err error) {
	apply := []client.ApplyOption{client.FieldOwner(fieldOwner)}
	if options.Force {
		apply = append(apply, client.ForceOwnership)
	}
	if options.DryRun {
		apply = append(apply, client.DryRunAll)
	}
	err = takeOver(apply, func(apply []client.ApplyOption) error {
		applied, err := credentials.Writer{Client: api}.ApplyDropbox(ctx, c.Namespace, c.secretName(), c.credentials(), apply...)
		saved.Secret, saved.Filed = applied.Done && !options.DryRun, applied.Filed
		return err
	})
	if err != nil {
		return saved, managed(err, "Secret", c.Namespace, c.secretName())
	}
	if c.Exists {
		return saved, nil
	}
	_, connection := c.Manifests()
	err = takeOver(apply, func(apply []client.ApplyOption) error {
		return api.Apply(ctx, client.ApplyConfigurationFromUnstructured(connection), apply...)
	})
	if err != nil {
		return saved, managed(err, "StorageConnection", c.Namespace, c.Name)
	}
	saved.ResourceVersion = connection.GetResourceVersion()
	return saved, nil
}

// byHand are the field managers of kubectl's commands that a person gives: nothing gives them again, as it does with kubectl apply.
var byHand = []string{"kubectl-create", "kubectl-patch", "kubectl-edit", "kubectl-replace", "kubectl-set", "kubectl-label", "kubectl-annotate"}

var conflicting = regexp.MustCompile(`^conflict with "([^"]+)"`)

// takeOver applies an object, and takes over the fields that a person wrote by hand.
func takeOver(options []client.ApplyOption, apply func([]client.ApplyOption) error) error {
	err := apply(options)
	status := apierrors.APIStatus(nil)
	if !apierrors.IsConflict(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	for _, cause := range status.Status().Details.Causes {
		if m := conflicting.FindStringSubmatch(cause.Message); m == nil || !slices.Contains(byHand, m[1]) {
			return err
		}
	}
	return apply(append(slices.Clone(options), client.ForceOwnership))
}

// IsFromManifest reports whether a connection or its Secret is from a manifest, and so comes back with it after somebody has changed or deleted it.
func IsFromManifest(object client.Object) bool {
	return credentials.IsFromManifest(object, fieldOwner)
}

// managed names the object in a conflict with another field manager.
func managed(err error, kind, namespace, name string) error {
	if apierrors.IsConflict(err) {
		return fmt.Errorf("another tool manages %s %s/%s: %w", kind, namespace, name, err)
	}
	return err
}
