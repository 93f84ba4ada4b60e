// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Secret returns the Secret that holds these credentials for Reader.Read. A program that connects an account applies it.
func (r Redacted) Secret(namespace, name string) *applycorev1.SecretApplyConfiguration {
	data := make(map[string][]byte, len(r))
	for key, value := range r {
		data[key] = []byte(value)
	}
	return applycorev1.Secret(name, namespace).WithLabels(map[string]string{platenv1alpha1.CredentialsLabel: "true"}).WithData(data)
}
