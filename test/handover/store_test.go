// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/s3"
)

// TestTheStoreIsAway starts a manager while its bucket is away, and takes the bucket away while jobs wait. Nothing of it counts as an attempt.
func TestTheStoreIsAway(t *testing.T) {
	w := newWorld(t)
	for name, value := range s3.Credentials { // for the manager
		t.Setenv(name, value)
	}
	free, err := program.FreeAddresses(t.Context(), 1)
	w.must(err)
	address := free[0]
	m := w.manager("platen-manager-a", "--content-store=s3://"+s3.Bucket+"?region=eu-central-1&use_path_style=true&endpoint=http://"+address)
	w.must(m.Start())
	w.eventually("the manager waits for its store", func() (bool, error) {
		log, err := os.ReadFile(m.Log)
		return bytes.Contains(log, []byte("The content store does not answer")), errors.Join(err, m.Running())
	})
	store, err := s3.Listen(t.Context(), address)
	w.must(err)
	w.must(m.Ready(t.Context()))
	w.leads(m)
	w.do(busy, "first")

	store.Close()
	w.create(busy, "second", card.Name)
	w.until(busy, "second", "waiting for the store", func(job *platenv1alpha1.RenderJob) bool {
		ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
		return ready != nil && ready.Reason == platenv1alpha1.ContentStoreUnavailableReason
	})
	store, err = s3.Listen(t.Context(), address)
	w.must(err)
	defer store.Close()
	w.succeeded(busy, "second", 1)
}
