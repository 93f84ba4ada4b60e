// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Secret is what Reader.Dropbox reads, for whoever connects an account to apply.
func (d Dropbox) Secret(namespace, name string) *applycorev1.SecretApplyConfiguration {
	data := map[string][]byte{"appKey": []byte(d.AppKey), "refreshToken": []byte(d.RefreshToken)}
	if d.AppSecret != "" {
		data["appSecret"] = []byte(d.AppSecret)
	}
	return applycorev1.Secret(name, namespace).WithLabels(map[string]string{platenv1alpha1.CredentialsLabel: "true"}).WithData(data)
}
