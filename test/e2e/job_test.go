// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"image/png"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
)

var _ = Describe("A RenderJob", func() {
	It("is rendered, kept and uploaded", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		job := w.run(ctx, w.job("card", func(j *platenv1alpha1.RenderJob) {
			j.Spec.Output = platenv1alpha1.OutputSpec{FileName: "marketing-banner-001", Scale: "2"}
			j.Spec.Connections = []platenv1alpha1.JobConnection{{
				Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox, Folder: "/Marketing/Campaign-2024",
			}}
		}))
		w.expectDelivered(ctx, job)
		Expect(job.Status.Connections[0].Pages[0].Path).To(Equal("/Marketing/Campaign-2024/marketing-banner-001.png"))
		data, contentType, err := c.Content(ctx, job.Status.Pages[0].ContentURL)
		Expect(err).NotTo(HaveOccurred())
		Expect(contentType).To(Equal("image/png"))
		picture, err := png.Decode(bytes.NewReader(data))
		Expect(err).NotTo(HaveOccurred())
		Expect(picture.Bounds().Dx()).To(Equal(800))
		Expect(picture.Bounds().Dy()).To(Equal(400))
	})

	It("has a file for each page, and one for all pages of a PDF", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "carousel"}, Spec: platenv1alpha1.RenderTemplateSpec{
			Pages: []platenv1alpha1.TemplatePage{
				{Name: "a", Width: 100, Height: 100, HTML: "<p>one"},
				{Name: "b", Width: 200, Height: 100, HTML: "<p>two"},
				{Name: "c", Width: 300, Height: 100, HTML: "<p>three"},
			},
		}})
		carousel := func(name string, format platenv1alpha1.Format) *platenv1alpha1.RenderJob {
			return w.job(name, func(j *platenv1alpha1.RenderJob) {
				j.Spec.TemplateRef.Name = "carousel"
				j.Spec.Output.Format = format
			})
		}
		webp := w.run(ctx, carousel("pictures", "webp"))
		w.expectDelivered(ctx, webp)
		paths := make([]string, 0, 3)
		for i, page := range webp.Status.Connections[0].Pages {
			paths = append(paths, page.Path)
			Expect(webp.Status.Pages[i].Width).To(BeEquivalentTo(100 * (i + 1)))
		}
		Expect(paths).To(Equal([]string{"/Renders/pictures_page_1.webp", "/Renders/pictures_page_2.webp", "/Renders/pictures_page_3.webp"}))

		pdf := w.run(ctx, carousel("document", "pdf"))
		Expect(reason(pdf, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason))
		Expect(pdf.Status.Pages).To(HaveLen(1))
		Expect(pdf.Status.Connections[0].Pages[0].Path).To(Equal("/Renders/document.pdf"))
		data, contentType, err := c.Content(ctx, pdf.Status.Pages[0].ContentURL)
		Expect(err).NotTo(HaveOccurred())
		Expect(contentType).To(Equal("application/pdf"))
		Expect(bytes.HasPrefix(data, []byte("%PDF-"))).To(BeTrue())
	})

	// 1080x1920 is the size of a story: the most that most films need, and that a render pod of the default size must have memory for.
	It("becomes a video of its animated pages", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "moving"}, Spec: platenv1alpha1.RenderTemplateSpec{
			Pages: []platenv1alpha1.TemplatePage{{Name: "a", Width: 1080, Height: 1920, HTML: `<style>@keyframes go { to { transform: translateX(100px) } }
				p { animation: go 1s linear }</style><p data-param="headline">moving`}},
		}})
		for format, contentType := range map[platenv1alpha1.Format]string{"mp4": "video/mp4", "webm": "video/webm", "gif": "image/gif", "avif": "image/avif"} {
			job := w.run(ctx, w.job("film-"+string(format), func(j *platenv1alpha1.RenderJob) {
				j.Spec.TemplateRef.Name = "moving"
				j.Spec.Output.Format = format
			}))
			Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason), "%+v", job.Status)
			Expect(job.Status.Connections[0].Pages[0].Path).To(Equal("/Renders/film-" + string(format) + "." + string(format)))
			_, got, err := c.Content(ctx, job.Status.Pages[0].ContentURL)
			Expect(err).NotTo(HaveOccurred())
			Expect(got).To(Equal(contentType))
		}
	})

	It("has a file for each extra size", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		job := w.run(ctx, w.job("card", func(j *platenv1alpha1.RenderJob) {
			j.Spec.Output.Size, j.Spec.Output.ExtraSizes = "300x100", []platenv1alpha1.PageSize{"instagram-story", "200x80"}
		}))
		w.expectDelivered(ctx, job)
		got := map[string]string{}
		for i, page := range job.Status.Pages {
			uploaded := job.Status.Connections[0].Pages[i]
			Expect(uploaded.ExtraSize).To(Equal(page.ExtraSize))
			got[*page.ExtraSize] = uploaded.Path
			data, _, err := c.Content(ctx, page.ContentURL)
			Expect(err).NotTo(HaveOccurred())
			picture, err := png.DecodeConfig(bytes.NewReader(data))
			Expect(err).NotTo(HaveOccurred())
			Expect([]int{picture.Width, picture.Height}).To(Equal([]int{int(page.Width), int(page.Height)}))
		}
		Expect(got).To(Equal(map[string]string{"": "/Renders/card.png", "instagram-story": "/Renders/card_instagram-story.png", "200x80": "/Renders/card_200x80.png"}))
		Expect(job.Status.Pages[0].Width).To(BeEquivalentTo(300))
		Expect(job.Status.RenderedPages).To(HaveValue(BeEquivalentTo(1)))
	})

	It("shows the progress of a long video, at most once a second", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		job := w.job("film", func(j *platenv1alpha1.RenderJob) {
			j.Spec.Output = platenv1alpha1.OutputSpec{Format: "mp4", Scale: "2", Video: platenv1alpha1.VideoOptions{Duration: "10"}}
		})
		w.create(ctx, job)
		began := time.Now()
		var reported []int64
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
			if p := job.Status.Progress; p != nil && p.Frames != nil && (len(reported) == 0 || reported[len(reported)-1] != *p.Frames) {
				Expect(*p.Percent).To(BeEquivalentTo(*p.Frames * 100 / 300))
				reported = append(reported, *p.Frames)
			}
			g.Expect(meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.FinishedCondition)).To(BeTrue())
		}).WithContext(ctx).WithTimeout(waitTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
		Expect(reported).NotTo(BeEmpty())
		Expect(len(reported)).To(BeNumerically("<=", 1+int(time.Since(began).Seconds())))
		Expect(job.Status.Progress).To(BeNil())
	})

	It("fails, and its pod does not, when a page takes all memory", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "greedy"}, Spec: platenv1alpha1.RenderTemplateSpec{
			Pages: []platenv1alpha1.TemplatePage{{Name: "a", Width: 10, Height: 10, HTML: `<script>new Uint8Array(2 ** 30).fill(1)</script>`}},
		}})
		greedy := w.run(ctx, w.job("greedy", func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = "greedy" }))
		Expect(reason(greedy, platenv1alpha1.ReadyCondition)).To(Equal("RenderMemoryExceeded"), "%+v", greedy.Status)
		next := w.run(ctx, w.job("next", func(*platenv1alpha1.RenderJob) {}))
		Expect(reason(next, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason), "%+v", next.Status)
		Expect(next.Status.PodName).To(Equal(greedy.Status.PodName))
	})

	It("does not let its pages reach the cluster", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "curious"}, Spec: platenv1alpha1.RenderTemplateSpec{
			Pages: []platenv1alpha1.TemplatePage{{
				Name: "a", Width: 320, Height: 180,
				HTML: `<img src="http://platen-content.platen-system.svc.cluster.local:8082/content/x"><img src="http://dropboxsim.platen-system.svc.cluster.local:8090/_sim/curious.png">`,
			}},
		}})
		job := w.run(ctx, w.job("curious", func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = "curious" }))
		Expect(warnings(job)).To(ContainElement(ContainSubstring("Could not load http://dropboxsim.platen-system.svc.cluster.local:8090")))
		log, err := c.Kube().CoreV1().Pods(w.namespace).GetLogs(job.Status.PodName, &corev1.PodLogOptions{}).DoRaw(ctx)
		Expect(err).NotTo(HaveOccurred())
		for _, host := range []string{"platen-content.platen-system.svc.cluster.local:8082", "dropboxsim.platen-system.svc.cluster.local:8090"} {
			Expect(string(log)).To(ContainSubstring(`a page requested an address that is not allowed","host":"` + host))
		}
	})

	It("waits while it is suspended", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		job := w.job("card", func(j *platenv1alpha1.RenderJob) { j.Spec.Suspend = new(true) })
		w.create(ctx, job)
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
			g.Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SuspendedReason))
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		pods := &corev1.PodList{}
		Expect(c.List(ctx, pods, client.InNamespace(w.namespace))).To(Succeed())
		Expect(pods.Items).To(BeEmpty())
		before := job.DeepCopy()
		job.Spec.Suspend = nil
		Expect(c.Patch(ctx, job, client.MergeFrom(before))).To(Succeed())
		Expect(reason(w.await(ctx, job), platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason))
	})

	It("finishes when it is canceled, and is deleted when its time to live is over", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		job := w.job("card", func(j *platenv1alpha1.RenderJob) {
			j.Spec.Suspend, j.Spec.TTLSecondsAfterFinished = new(true), new(int32(3600))
			j.Annotations = map[string]string{platenv1alpha1.CanceledAnnotation: "2026-01-01T00:00:00Z"}
		})
		canceled := w.run(ctx, job)
		Expect(reason(canceled, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.CanceledReason))
		Expect(c.Patch(ctx, canceled, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"ttlSecondsAfterFinished":0}}`)))).To(Succeed())
		Eventually(func() error { return c.Get(ctx, client.ObjectKeyFromObject(job), job) }).WithContext(ctx).WithTimeout(waitTimeout).
			Should(WithTransform(apierrors.IsNotFound, BeTrue()))
	})

	It("is deleted with its files when its time to live is over", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		job := w.run(ctx, w.job("card", func(j *platenv1alpha1.RenderJob) { j.Spec.TTLSecondsAfterFinished = new(int32(1)) }))
		url := job.Status.Pages[0].ContentURL
		Eventually(func(g Gomega) {
			g.Expect(apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(job), job))).To(BeTrue())
			_, _, err := c.Content(ctx, url)
			g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
	})

	It("leaves its files behind if its spec says so, until its namespace is deleted", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		retain := func(j *platenv1alpha1.RenderJob) { j.Spec.ContentPolicy = platenv1alpha1.ContentRetain }
		kept, last := w.run(ctx, w.job("kept", retain)), w.run(ctx, w.job("last", retain))
		gone := w.run(ctx, w.job("gone", func(*platenv1alpha1.RenderJob) {}))
		removed := func(job *platenv1alpha1.RenderJob) {
			GinkgoHelper()
			Eventually(func(g Gomega) {
				_, _, err := c.Content(ctx, job.Status.Pages[0].ContentURL)
				g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
			}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		}
		for _, job := range []*platenv1alpha1.RenderJob{kept, gone} {
			Expect(c.Delete(ctx, job)).To(Succeed())
		}
		removed(gone) // the files of jobs go in the order in which these do
		data, _, err := c.Content(ctx, kept.Status.Pages[0].ContentURL)
		Expect(err).NotTo(HaveOccurred())
		Expect(data).NotTo(BeEmpty())

		Expect(c.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})).To(Succeed())
		removed(last)
	})

	It("costs one Dropbox call once the token is known", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		before := len(w.calls(ctx))
		w.expectDelivered(ctx, w.run(ctx, w.job("card", func(*platenv1alpha1.RenderJob) {})))
		Expect(w.calls(ctx)[before:]).To(Equal([]string{"/2/files/upload"}))
	})

	It("costs three Dropbox calls when it has many pages, and one more for each second of its render", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		pages := make([]platenv1alpha1.TemplatePage, 0, 20)
		for n := range 20 {
			pages = append(pages, platenv1alpha1.TemplatePage{Name: fmt.Sprintf("p%d", n), Width: 100, Height: 100, HTML: fmt.Sprintf("<p>%d", n)})
		}
		w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "book"}, Spec: platenv1alpha1.RenderTemplateSpec{Pages: pages}})
		w.run(ctx, w.job("warm", func(*platenv1alpha1.RenderJob) {})) // starts the render pod
		before := len(w.calls(ctx))
		job := w.run(ctx, w.job("book", func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = "book" }))
		Expect(job.Status.Connections[0].Pages).To(HaveLen(20))
		calls := w.calls(ctx)[before:]
		count := func(route string) (n int) {
			for _, c := range calls {
				if c == "/2/files/upload_session/"+route {
					n++
				}
			}
			return n
		}
		AddReportEntry("Dropbox calls of twenty pages", calls)
		Expect(count("start_batch")).To(Equal(1), "%q", calls)
		Expect(count("finish_batch_v2")).To(Equal(1), "%q", calls)
		seconds := int(*job.Status.RenderMilliseconds / 1000)
		Expect(len(calls)).To(BeNumerically("<=", 3+seconds), "%q", calls)
	})

	It("is uploaded while later pages are still painted", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		w.create(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Name: "slow"}, Spec: platenv1alpha1.RenderTemplateSpec{
			Pages: []platenv1alpha1.TemplatePage{
				{Name: "a", Width: 100, Height: 100, HTML: "<p>one"},
				{Name: "b", Width: 100, Height: 100, HTML: "<p>two<script>platen.ready = () => new Promise((ready) => setTimeout(ready, 4000))</script>"},
			},
		}})
		job := w.run(ctx, w.job("slow", func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = "slow" }))
		w.expectDelivered(ctx, job)
		entries, err := c.Simulator().Log(ctx)
		Expect(err).NotTo(HaveOccurred())
		var appended, committed time.Time
		for _, e := range entries {
			switch {
			case e.AppKey != w.appKey:
			case e.Route == "/2/files/upload_session/append_batch" && appended.IsZero():
				appended = e.Time
			case e.Route == "/2/files/upload_session/finish_batch_v2":
				committed = e.Time
			}
		}
		Expect(committed.Sub(appended)).To(BeNumerically(">", time.Second), "the first page waited for the second")
	})

	It("gives its pod to the next job of the namespace", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		first := w.run(ctx, w.job("first", func(*platenv1alpha1.RenderJob) {}))
		second := w.run(ctx, w.job("second", func(*platenv1alpha1.RenderJob) {}))
		Expect(second.Status.PodName).To(Equal(first.Status.PodName))
		pods := &corev1.PodList{}
		Expect(c.List(ctx, pods, client.InNamespace(w.namespace))).To(Succeed())
		Expect(pods.Items).To(HaveLen(1))
		Expect(pods.Items[0].Spec.AutomountServiceAccountToken).To(HaveValue(BeFalse()))
	})

	It("is rendered again when its spec changes, and only then", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		job := w.run(ctx, w.job("card", func(*platenv1alpha1.RenderJob) {}))
		hash := job.Status.Pages[0].SHA256
		before := job.DeepCopy()
		job.Spec.Output.Scale = "3"
		Expect(c.Patch(ctx, job, client.MergeFrom(before))).To(Succeed())
		job = w.await(ctx, job)
		Expect(job.Status.ObservedGeneration).To(HaveValue(BeEquivalentTo(2)))
		Expect(job.Status.Pages[0].SHA256).NotTo(Equal(hash))
		Expect(w.files(ctx)).To(HaveLen(1))
	})

	It("waits for its template", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		job := w.job("early", func(j *platenv1alpha1.RenderJob) { j.Spec.TemplateRef.Name = "late" })
		w.create(ctx, job)
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
			g.Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.TemplateNotFoundReason))
		}).WithContext(ctx).WithTimeout(waitTimeout).Should(Succeed())
		w.create(ctx, &platenv1alpha1.RenderTemplate{
			ObjectMeta: metav1.ObjectMeta{Name: "late"},
			Spec:       platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{{Name: "a", Width: 10, Height: 10, HTML: "<p>"}}},
		})
		Expect(reason(w.await(ctx, job), platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededReason))
	})

	It("fails and names the field that is wrong", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		job := w.run(ctx, w.job("wrong", func(j *platenv1alpha1.RenderJob) { j.Spec.Output.Pages = []int32{7} }))
		Expect(reason(job, platenv1alpha1.FinishedCondition)).To(Equal(platenv1alpha1.FailedReason))
		ready := meta.FindStatusCondition(job.Status.Conditions, platenv1alpha1.ReadyCondition)
		Expect(ready.Reason).To(Equal(platenv1alpha1.InvalidSpecReason))
		Expect(ready.Message).To(ContainSubstring("spec.output.pages[0]: 7 must be from 1 to 1"))
	})
})

var _ = Describe("A failed upload", func() {
	// Each ends with the pages rendered, Ready, and one warning.
	expectWarning := func(job *platenv1alpha1.RenderJob, title string) {
		GinkgoHelper()
		Expect(meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.RenderedCondition)).To(BeTrue())
		Expect(reason(job, platenv1alpha1.ReadyCondition)).To(Equal(platenv1alpha1.SucceededWithWarningsReason))
		Expect(meta.IsStatusConditionFalse(job.Status.Conditions, platenv1alpha1.UploadedCondition)).To(BeTrue())
		Expect(warnings(job)).To(ConsistOf(title))
		Expect(job.Status.Pages).To(HaveLen(1))
	}

	It("has a warning about a revoked token", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.setAccount(ctx, func(a *dropboxsim.Account) { a.Revoked = true })
		w.create(ctx, w.secret())
		w.connect(ctx, func(*platenv1alpha1.StorageConnection) {})
		job := w.run(ctx, w.job("card", func(*platenv1alpha1.RenderJob) {}))
		expectWarning(job, "Failed to upload to dropbox: Token expired")
		Expect(job.Status.Connections[0].Status).To(Equal(platenv1alpha1.UploadError))
		Expect(job.Status.Connections[0].Error).To(Equal("Token expired"))
		w.awaitConnection(ctx, "TokenExpired")
	})

	It("is uploaded although an access token has expired", Serial, func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		Expect(c.Simulator().AdvanceClock(ctx, 5*time.Hour)).To(Succeed())
		w.expectDelivered(ctx, w.run(ctx, w.job("card", func(*platenv1alpha1.RenderJob) {})))
	})

	It("has a warning about a Secret that was deleted, lacks a key or has a wrong app key", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		secret := w.secret()
		Expect(c.Delete(ctx, secret)).To(Succeed())
		w.awaitConnection(ctx, "SecretNotFound")
		expectWarning(w.run(ctx, w.job("deleted", func(*platenv1alpha1.RenderJob) {})),
			"Failed to upload to dropbox: Secret 'dropbox' does not exist")

		secret = w.secret()
		delete(secret.StringData, "refreshToken")
		Expect(c.Create(ctx, secret)).To(Succeed())
		w.awaitConnection(ctx, "SecretKeyMissing")
		expectWarning(w.run(ctx, w.job("missing", func(*platenv1alpha1.RenderJob) {})),
			"Failed to upload to dropbox: Secret 'dropbox' has no key 'refreshToken'")

		before := secret.DeepCopy()
		secret.StringData = map[string]string{"appKey": "nobody", "refreshToken": "refresh-" + w.namespace}
		Expect(c.Patch(ctx, secret, client.MergeFrom(before))).To(Succeed())
		w.awaitConnection(ctx, "InvalidCredentials")
		expectWarning(w.run(ctx, w.job("wrong", func(*platenv1alpha1.RenderJob) {})),
			"Failed to upload to dropbox: App key or app secret is not accepted by Dropbox")

		By("correcting the Secret, without a template that could be rendered again")
		Expect(c.Delete(ctx, &platenv1alpha1.RenderTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "card"}})).To(Succeed())
		before = secret.DeepCopy()
		secret.StringData = map[string]string{"appKey": w.appKey}
		Expect(c.Patch(ctx, secret, client.MergeFrom(before))).To(Succeed())
		for _, name := range []string{"deleted", "missing", "wrong"} {
			w.expectHealed(ctx, name)
		}
		Expect(w.files(ctx)).To(HaveLen(3))
	})

	It("to a full Dropbox is retried when there is room, and changes nothing else", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.setAccount(ctx, func(a *dropboxsim.Account) { a.Quota = 10 })
		w.connected(ctx)
		expectWarning(w.run(ctx, w.job("card", func(*platenv1alpha1.RenderJob) {})), "Failed to upload to dropbox: Dropbox is full")
		w.awaitConnection(ctx, string(storage.ReasonInsufficientSpace))
		w.setAccount(ctx, func(*dropboxsim.Account) {})
		secret := w.secret()
		Expect(c.Patch(ctx, secret, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"look":"again"}}}`)))).To(Succeed())
		w.expectDelivered(ctx, w.expectHealed(ctx, "card"))
	})

	It("is retried when a user asks", Serial, func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		Expect(c.Simulator().AddFault(ctx, dropboxsim.Fault{Route: "/2/files/upload", Status: 400, ContentType: "text/plain", Body: "Error in call"})).To(Succeed())
		job := w.run(ctx, w.job("card", func(*platenv1alpha1.RenderJob) {}))
		expectWarning(job, "Failed to upload to dropbox: Dropbox refused the request (HTTP 400 Error in call)")
		Expect(c.Patch(ctx, job, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"platen.dev/retry-uploads":"once"}}}`)))).To(Succeed())
		healed := w.expectHealed(ctx, "card")
		w.expectDelivered(ctx, healed)
		Expect(healed.Status.LastHandledRetryUploads).To(Equal("once"))
		Expect(healed.Status.PodName).To(Equal(job.Status.PodName))
	})

	It("has a warning when there is no connection", func(ctx SpecContext) {
		w := newWorkspace(ctx)
		job := w.run(ctx, w.job("card", func(j *platenv1alpha1.RenderJob) {
			j.Spec.Connections = []platenv1alpha1.JobConnection{{Type: platenv1alpha1.ConnectionStorage, Provider: platenv1alpha1.ProviderDropbox}}
		}))
		expectWarning(job, "Dropbox connection not found for this workspace")
		Expect(job.Status.Connections).To(BeEmpty())
	})

	It("does not delay the content URL while Dropbox cannot be reached", Serial, func(ctx SpecContext) {
		w := newWorkspace(ctx)
		w.connected(ctx)
		Expect(c.Simulator().AddFault(ctx, dropboxsim.Fault{Route: "/2/files/upload", Count: 1000, Drop: "before"})).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(c.Simulator().ClearFaults(ctx)).To(Succeed()) })
		job := w.job("card", func(j *platenv1alpha1.RenderJob) { j.Spec.UploadTimeoutSeconds = 8 })
		w.create(ctx, job)
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(job), job)).To(Succeed())
			g.Expect(job.Status.Pages).To(HaveLen(1))
		}).WithContext(ctx).WithTimeout(waitTimeout).WithPolling(50 * time.Millisecond).Should(Succeed())
		Expect(meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.FinishedCondition)).To(BeFalse())
		_, _, err := c.Content(ctx, job.Status.Pages[0].ContentURL)
		Expect(err).NotTo(HaveOccurred())
		expectWarning(w.await(ctx, job), "Failed to upload to dropbox: Dropbox could not be reached")
	})
})
