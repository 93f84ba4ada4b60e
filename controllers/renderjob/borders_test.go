// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package renderjob_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
)

// A job gets nothing of another namespace, whatever name it gives: the manager may read all of them.
var _ = Describe("A RenderJob that names what is in another namespace", func() {
	var here, there string
	BeforeEach(func(ctx SpecContext) {
		here, there = workspace(ctx), workspace(ctx)
		sim.AddAccount(dropboxsim.Account{AppKey: there, RefreshToken: "refresh", Email: "ann@example.com"})
		in := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: there, Name: name} }
		secret := &corev1.Secret{ObjectMeta: in("theirs"), StringData: map[string]string{"appKey": there, "refreshToken": "refresh"}}
		secret.Labels = map[string]string{platenv1alpha1.CredentialsLabel: "true"}
		Expect(api.Create(ctx, secret)).To(Succeed())
		Expect(api.Create(ctx, &corev1.ConfigMap{ObjectMeta: in("theirs"), Data: map[string]string{"values": `{"headline": "secret"}`}})).To(Succeed())
		Expect(api.Create(ctx, dropboxConnection(there, "theirs", "theirs"))).To(Succeed())
		template := banner(there)
		template.Name = "theirs"
		Expect(api.Create(ctx, template)).To(Succeed())
	})
	// names are what somebody might try who knows the API's paths.
	names := func(resource string) []string {
		return []string{"theirs", there + "/theirs", "../../" + there + "/" + resource + "/theirs"}
	}

	It("does not get its template", func(ctx SpecContext) {
		for i, name := range names("rendertemplates") {
			j := job(here, "job-"+string(rune('a'+i)))
			j.Spec.TemplateRef.Name = name
			if api.Create(ctx, j) != nil {
				continue // no such name
			}
			has(ctx, j, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.TemplateNotFoundReason)
		}
	})

	It("does not get its ConfigMap", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(here))).To(Succeed())
		for i, name := range names("configmaps") {
			j := job(here, "job-"+string(rune('a'+i)))
			j.Spec.ModificationsFrom = []platenv1alpha1.ModificationsSource{{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: name, Key: "values"}}}
			if api.Create(ctx, j) != nil {
				continue
			}
			has(ctx, j, platenv1alpha1.ReadyCondition, metav1.ConditionUnknown, platenv1alpha1.SourceNotFoundReason)
		}
	})

	It("uploads nothing to its connection", func(ctx SpecContext) {
		Expect(api.Create(ctx, banner(here))).To(Succeed())
		var idle []*pod
		for i, name := range names("storageconnections") {
			j := job(here, "job-"+string(rune('a'+i)))
			j.Spec.Connections = []platenv1alpha1.JobConnection{{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Name: &name}}
			if api.Create(ctx, j) != nil {
				continue
			}
			p := take(ctx, here, idle...)
			p.deliver(ctx)
			idle = []*pod{p}
			has(ctx, j, platenv1alpha1.UploadedCondition, metav1.ConditionFalse, string(storage.ReasonConnectionNotFound))
		}
		Expect(sim.Files(there)).To(BeEmpty())
	})

	It("does not get its Secret, nor the manager's own", func(ctx SpecContext) {
		for i, name := range append(names("secrets"), "../../platen-system/secrets/platen-keys") {
			c := dropboxConnection(here, "connection-"+string(rune('a'+i)), name)
			if api.Create(ctx, c) != nil {
				continue
			}
			Eventually(func(g Gomega) {
				g.Expect(api.Get(ctx, client.ObjectKeyFromObject(c), c)).To(Succeed())
				ready := meta.FindStatusCondition(c.Status.Conditions, platenv1alpha1.ReadyCondition)
				g.Expect(ready).NotTo(BeNil(), name)
				g.Expect(ready.Reason).To(Equal(string(storage.ReasonSecretNotFound)))
			}).Should(Succeed())
		}
	})
})

func dropboxConnection(namespace, name, secret string) *platenv1alpha1.StorageConnection {
	return &platenv1alpha1.StorageConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: platenv1alpha1.StorageConnectionSpec{
			Provider: platenv1alpha1.ProviderDropbox, DefaultFolder: "/Renders",
			Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: secret}},
		},
	}
}
