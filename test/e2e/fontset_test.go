// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"net"
	"os"
	"time"
	"unicode/utf16"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/cluster"
	"github.com/platen-dev/platen/test/registry"
)

// family is in no image of the renderer. It is as long as the family of the font that houseFont renames.
const family = "Acme House Bold"

// houseFont returns a font of the family.
func houseFont() []byte {
	GinkgoHelper()
	const installed = "Liberation Sans"
	font, err := os.ReadFile("/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf")
	Expect(err).NotTo(HaveOccurred())
	wide := func(text string) (encoded []byte) {
		for _, unit := range utf16.Encode([]rune(text)) {
			encoded = append(encoded, byte(unit>>8), byte(unit))
		}
		return encoded
	}
	renamed := bytes.ReplaceAll(bytes.ReplaceAll(font, []byte(installed), []byte(family)), wide(installed), wide(family))
	Expect(renamed).To(HaveLen(len(font)))
	return renamed
}

var _ = Describe("A FontSet of an image", Ordered, Serial, func() {
	images := registry.New()
	var host string

	BeforeAll(func(ctx SpecContext) {
		onDevcluster()
		here := hereForPods(ctx)
		server, err := registry.Listen(ctx, images, net.JoinHostPort(here, "0"))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Close)
		host = server.Listener.Addr().String()
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace, Name: "platen-manager"}}
		Expect(c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(Succeed())
		before := deployment.DeepCopy()
		allowing := deployment.DeepCopy()
		manager := &allowing.Spec.Template.Spec.Containers[0]
		manager.Args = append(manager.Args, "--storage-outbound-allow="+here+"/32")
		patchManager(ctx, allowing, client.MergeFrom(deployment))
		DeferCleanup(func(ctx SpecContext) { rollback(ctx, allowing, before) })
	})

	It("gives its fonts to the pages of the templates that name it", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		page := platenv1alpha1.TemplatePage{Name: "front", Width: 400, Height: 200, HTML: `<body style="font:48px '` + family + `',serif">Hamburgefonts`}
		set := &platenv1alpha1.FontSet{ObjectMeta: metav1.ObjectMeta{Name: "house"}}
		digest := images.Push("acme/fonts", registry.Archive(registry.TarZstd, registry.Entry{Name: "fonts/house.ttf", Data: houseFont()}))
		set.Spec.Sources = []platenv1alpha1.FontSource{{Image: &platenv1alpha1.FontImage{Reference: host + "/acme/fonts@" + digest}}}
		w.create(ctx, set)
		for name, refs := range map[string][]platenv1alpha1.FontSetReference{"plain": nil, "branded": {{Name: set.Name}}} {
			w.create(ctx, &platenv1alpha1.RenderTemplate{
				ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec:       platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{page}, FontSetRefs: refs},
			})
		}
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(set), set)).To(Succeed())
			ready := meta.FindStatusCondition(set.Status.Conditions, platenv1alpha1.ReadyCondition)
			g.Expect(ready).NotTo(BeNil())
			g.Expect(ready.Status).To(Equal(metav1.ConditionTrue), ready.Message)
		}).WithContext(ctx).WithTimeout(waitTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
		Expect(set.Status.Families).To(ConsistOf(family))
		for template, warnings := range map[string]int{"plain": 1, "branded": 0} {
			job := w.run(ctx, w.job(template, func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = template }))
			Expect(job.Status.Warnings).To(HaveLen(warnings), "%s: %v", template, job.Status.Warnings)
		}
	}, SpecTimeout(3*time.Minute))
})
