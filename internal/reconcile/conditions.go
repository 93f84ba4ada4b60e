// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxConditionMessage is the bound that the Kubernetes API sets for a condition's message.
const maxConditionMessage = 32 * 1024

// Conditions sets the conditions of one object at one generation.
type Conditions struct {
	List       *[]metav1.Condition
	Generation int64
	Now        metav1.Time
}

// Set writes a condition. Its transition time moves only when its status does.
func (c Conditions) Set(kind string, status metav1.ConditionStatus, reason, message string) {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) > maxConditionMessage {
		message = strings.ToValidUTF8(message[:maxConditionMessage], "")
	}
	meta.SetStatusCondition(c.List, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: c.Generation, LastTransitionTime: c.Now,
	})
}

// Remove drops a condition.
func (c Conditions) Remove(kind string) { meta.RemoveStatusCondition(c.List, kind) }
