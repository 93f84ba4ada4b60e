// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// SignatureAnnotation on a render pod shows that a manager made it: anybody may give a pod our labels.
const SignatureAnnotation = "platen.dev/pod-signature"

// sign returns the signature of a pod's name.
func sign(key []byte, namespace, name string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("render pod\n" + namespace + "/" + name)) // never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// IsMarked reports whether a pod has all marks of a render pod, whichever key has signed it.
func IsMarked(pod *corev1.Pod) bool {
	return strings.HasPrefix(pod.Name, NamePrefix) && pod.Labels[HashLabel] != "" && pod.Annotations[SignatureAnnotation] != ""
}

// Signed reports whether one of the keys has signed the pod.
func Signed(keys [][]byte, pod *corev1.Pod) bool {
	for _, key := range keys {
		if hmac.Equal([]byte(sign(key, pod.Namespace, pod.Name)), []byte(pod.Annotations[SignatureAnnotation])) {
			return true
		}
	}
	return false
}
