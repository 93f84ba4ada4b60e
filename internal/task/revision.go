// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Revision names what a job renders: 16 hexadecimal digits of a hash of those fields of its spec that change the files. A job with another
// revision renders again.
func Revision(job *platenv1alpha1.RenderJob) string {
	output := job.Spec.Output
	output.FileName = ""
	output.Pages = slices.Sorted(slices.Values(output.Pages))
	return hash(struct {
		Template          platenv1alpha1.TemplateReference
		Modifications     any
		ModificationsFrom []platenv1alpha1.ModificationsSource
		Output            platenv1alpha1.OutputSpec
	}{job.Spec.TemplateRef, canonical(job.Spec.Modifications), job.Spec.ModificationsFrom, output})
}

// UploadRevision names where the files of a job go: 16 hexadecimal digits of a hash of those fields of its spec that change the connections
// and the paths. A job with another upload revision uploads again.
func UploadRevision(job *platenv1alpha1.RenderJob) string {
	connections := slices.Clone(job.Spec.Connections)
	for i := range connections {
		connections[i].Name = new(ptr.Deref(connections[i].Name, "")) // an empty name is none
	}
	slices.SortFunc(connections, func(a, b platenv1alpha1.JobConnection) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Provider, b.Provider), cmp.Compare(ptr.Deref(a.Name, ""), ptr.Deref(b.Name, "")))
	})
	return hash(struct {
		Connections []platenv1alpha1.JobConnection // nil is not the same as none
		Name        string
	}{connections, job.FileBaseName()})
}

// canonical returns a JSON value that is equal for equal values, however they are spelled.
func canonical(raw *apiextensionsv1.JSON) (value any) {
	if raw == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw.Raw))
	decoder.UseNumber() // a float64 would take 9007199254740993 for 9007199254740992
	if err := decoder.Decode(&value); err != nil {
		return string(raw.Raw)
	}
	return value
}

func hash(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // every value can be marshaled
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
