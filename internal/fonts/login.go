// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts

import (
	"context"
	"errors"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/internal/storage"
)

// LoginWithSecrets returns a Login that reads pull Secrets.
func LoginWithSecrets(reader credentials.Reader) Login {
	return func(ctx context.Context, namespace, secret, repository string) (authn.Authenticator, error) {
		if secret == "" {
			return authn.Anonymous, nil
		}
		values, err := reader.Registry(ctx, namespace, secret, repository)
		if problem := (*storage.Error)(nil); errors.As(err, &problem) {
			return nil, reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry, "image.pullSecretRef: %s", problem.Message)
		}
		if err != nil {
			return nil, reconcile.Waiting(platenv1alpha1.SourceNotFoundReason, sourceRetry, "image.pullSecretRef: Secret '%s' cannot be read from the API server", secret)
		}
		return authn.FromConfig(authn.AuthConfig{Username: values["username"], Password: values["password"], IdentityToken: values["identityToken"]}), nil
	}
}

// LoginOfUser is a Login with what the user of this machine has given docker login or podman login. It reads no Secret.
func LoginOfUser(ctx context.Context, _, _, repository string) (authn.Authenticator, error) {
	target, err := name.NewRepository(repository)
	if err != nil {
		return nil, reconcile.Terminal(platenv1alpha1.InvalidFontReason, "image.reference: it names no repository")
	}
	login, err := authn.DefaultKeychain.ResolveContext(ctx, target)
	if err != nil {
		return nil, reconcile.Terminal(platenv1alpha1.SourceNotFoundReason, "image: what docker login has stored for '%s' cannot be read", target.RegistryStr())
	}
	return login, nil
}
