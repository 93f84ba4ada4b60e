// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/cluster"
)

var _ = Describe("kubectl platen try", Ordered, Serial, func() {
	folder := ""
	BeforeAll(func(ctx SpecContext) { folder = buildPlugin(ctx) })

	// try runs the command and returns the path that the picture should have.
	try := func(ctx context.Context, w *workspace, args ...string) (code int, out, errOut, picture string) {
		GinkgoHelper()
		picture = filepath.Join(GinkgoT().TempDir(), "hello.png")
		code, out, errOut = runPlugin(ctx, folder, w, append([]string{"try", "-o", picture}, args...)...)
		return code, out, errOut, picture
	}

	// expectNothingLeft waits until the namespace has only what newWorkspace created. A render pod is the pool's, and ends by itself.
	expectNothingLeft := func(ctx context.Context, w *workspace) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			jobs, templates := &platenv1alpha1.RenderJobList{}, &platenv1alpha1.RenderTemplateList{}
			for _, list := range []client.ObjectList{jobs, templates} {
				g.Expect(c.List(ctx, list, client.InNamespace(w.namespace))).To(Succeed())
			}
			g.Expect(jobs.Items).To(BeEmpty())
			g.Expect(templates.Items).To(HaveLen(1), "the workspace's own")
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
	}

	// expectFailure checks that the command fails with the message, without a picture, and leaves nothing behind.
	expectFailure := func(ctx context.Context, w *workspace, message string, args ...string) {
		GinkgoHelper()
		code, out, errOut, picture := try(ctx, w, args...)
		Expect(code).To(Equal(1), errOut)
		Expect(errOut).To(ContainSubstring(message))
		Expect(out).To(BeEmpty())
		Expect(picture).NotTo(BeAnExistingFile())
		expectNothingLeft(ctx, w)
	}

	It("renders a card within ten seconds, says how, and leaves nothing behind", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		began := time.Now()
		code, out, errOut, picture := try(ctx, w)
		took := time.Since(began)
		Expect(code).To(BeZero(), errOut)
		Expect(took).To(BeNumerically("<", 10*time.Second))
		Expect(out).To(ContainSubstring("kind: RenderJob"))
		Expect(errOut).To(ContainSubstring("kubectl platen render hello --set name=Ada -o out -n " + w.namespace))
		data, err := os.ReadFile(picture)
		Expect(err).NotTo(HaveOccurred())
		card, err := png.Decode(bytes.NewReader(data))
		Expect(err).NotTo(HaveOccurred())
		Expect(card.Bounds().Dx()).To(Equal(1200))
		red, _, blue, _ := card.At(880, 120).RGBA() // in the yellow disc
		Expect(red).To(BeNumerically(">", 4*blue))
		expectNothingLeft(ctx, w)
	})

	It("says which role to ask for", func(ctx SpecContext) {
		expectFailure(ctx, newWorkspace(ctx), "ask for the role platen-edit there", "--as", "mallory")
	})

	It("says how to install a manager that is missing", func(ctx SpecContext) {
		expectFailure(ctx, newWorkspace(ctx), "namespace default has no manager, but platen-system has: leave out --platen-namespace", "--platen-namespace", "default")
	})

	It("names the quota that leaves no room", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.create(ctx, &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "small"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
		})
		expectFailure(ctx, w, "exceeded quota: small")
	})

	It("names the image of the renderer that is missing", func(ctx SpecContext) {
		deployment := &appsv1.Deployment{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: cluster.Namespace, Name: "platen-manager"}, deployment)).To(Succeed())
		// setImage sets the renderer's image and returns the previous one.
		setImage := func(ctx context.Context, image string) (before string) {
			original := deployment.DeepCopy()
			container := &deployment.Spec.Template.Spec.Containers[0]
			for i := range container.Env {
				if container.Env[i].Name == "RENDERER_IMAGE" {
					before, container.Env[i].Value = container.Env[i].Value, image
				}
			}
			Expect(before).NotTo(BeEmpty())
			patchManager(ctx, deployment, client.MergeFrom(original))
			return before
		}
		before := setImage(ctx, "127.0.0.1:1/renderer:missing")
		DeferCleanup(func(ctx SpecContext) { setImage(ctx, before) })
		expectFailure(ctx, newWorkspace(ctx), "the renderer's image is missing: a node cannot pull the image 127.0.0.1:1/renderer:missing")
	})
})
