// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package rendertemplate_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/rendertemplate"
	"github.com/platen-dev/platen/test/testenv"
)

// The reconciler runs against a real API server.
var (
	api client.Client
	// writes counts the reconciler's writes.
	writes atomic.Int64
)

func TestRenderTemplate(t *testing.T) {
	log.SetLogger(GinkgoLogr)
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "The reconciler of RenderTemplates")
}

var _ = BeforeSuite(func() {
	config, stop, err := testenv.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(stop)
	scheme, err := testenv.Scheme()
	Expect(err).NotTo(HaveOccurred())
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	Expect(err).NotTo(HaveOccurred())
	counted, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Cache: &client.CacheOptions{Reader: mgr.GetCache()}})
	Expect(err).NotTo(HaveOccurred())
	counted = interceptor.NewClient(counted, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, options ...client.SubResourcePatchOption) error {
			writes.Add(1)
			return c.SubResource(sub).Patch(ctx, o, p, options...)
		},
	})
	Expect((&rendertemplate.Reconciler{
		Client: counted, Reader: api, Recorder: events.NewFakeRecorder(100), Clock: clock.RealClock{},
	}).SetupWithManager(mgr)).To(Succeed())
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		end()
		Eventually(ended).WithTimeout(30 * time.Second).Should(Receive(Succeed()))
	})
})

var _ = Describe("A RenderTemplate", func() {
	var namespace string
	BeforeEach(func(ctx SpecContext) {
		workspace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "workspace-"}}
		Expect(api.Create(ctx, workspace)).To(Succeed())
		namespace = workspace.Name
	})
	template := func(name string, change func(*platenv1alpha1.RenderTemplateSpec)) *platenv1alpha1.RenderTemplate {
		t := &platenv1alpha1.RenderTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: platenv1alpha1.RenderTemplateSpec{Pages: []platenv1alpha1.TemplatePage{
				{Name: "front", Width: 1200, Height: 630, HTML: `<h1 data-param="headline">Hello</h1>`},
			}},
		}
		if change != nil {
			change(&t.Spec)
		}
		return t
	}
	// ready returns the reason and the message of Ready, once the status is of the template's generation.
	ready := func(ctx context.Context, name string) func() string {
		return func() string {
			t := &platenv1alpha1.RenderTemplate{}
			if err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, t); err != nil {
				return err.Error()
			}
			condition := meta.FindStatusCondition(t.Status.Conditions, platenv1alpha1.ReadyCondition)
			if condition == nil || t.Status.ObservedGeneration == nil || *t.Status.ObservedGeneration != t.Generation {
				return "not seen"
			}
			return condition.Reason + ": " + condition.Message
		}
	}

	It("is Valid, and not written again when nothing changes", func(ctx SpecContext) {
		t := template("banner", nil)
		Expect(api.Create(ctx, t)).To(Succeed())
		Eventually(ready(ctx, "banner")).Should(HavePrefix("Valid:"))
		before := writes.Load()
		Expect(api.Get(ctx, client.ObjectKeyFromObject(t), t)).To(Succeed())
		t.Labels = map[string]string{"team": "web"}
		Expect(api.Update(ctx, t)).To(Succeed())
		// Another template is reconciled after the label.
		Expect(api.Create(ctx, template("next", nil))).To(Succeed())
		Eventually(ready(ctx, "next")).Should(HavePrefix("Valid:"))
		Expect(writes.Load()).To(Equal(before + 1))
	})

	It("is as its FontSets are", func(ctx SpecContext) {
		Expect(api.Create(ctx, template("banner", func(s *platenv1alpha1.RenderTemplateSpec) {
			s.FontSetRefs = []platenv1alpha1.FontSetReference{{Name: "brand"}}
		}))).To(Succeed())
		set := &platenv1alpha1.FontSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "brand"},
			Spec:       platenv1alpha1.FontSetSpec{Sources: []platenv1alpha1.FontSource{{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "brand"}}}},
		}
		Expect(api.Create(ctx, set)).To(Succeed())
		Eventually(ready(ctx, "banner")).Should(HavePrefix("Valid"))
		for _, state := range []struct {
			status       metav1.ConditionStatus
			reason, want string
		}{
			{metav1.ConditionFalse, platenv1alpha1.InvalidFontReason, "InvalidFont: spec.fontSetRefs[0]: FontSet 'brand': what is wrong"},
			{metav1.ConditionUnknown, platenv1alpha1.SourceNotFoundReason, "SourceNotFound: spec.fontSetRefs[0]: FontSet 'brand': what is wrong"},
			{metav1.ConditionTrue, platenv1alpha1.ValidReason, "Valid: nothing is wrong with the template"},
		} {
			set.Status.Conditions = []metav1.Condition{{
				Type: platenv1alpha1.ReadyCondition, Status: state.status, Reason: state.reason, Message: "what is wrong",
				ObservedGeneration: set.Generation, LastTransitionTime: metav1.Now(),
			}}
			Expect(api.Status().Update(ctx, set)).To(Succeed())
			Eventually(ready(ctx, "banner")).Should(Equal(state.want))
		}
	})

	It("waits for the FontSets that it names", func(ctx SpecContext) {
		t := template("banner", func(s *platenv1alpha1.RenderTemplateSpec) {
			s.FontSetRefs = []platenv1alpha1.FontSetReference{{Name: "brand"}}
		})
		Expect(api.Create(ctx, t)).To(Succeed())
		Eventually(ready(ctx, "banner")).Should(Equal("FontSetNotFound: spec.fontSetRefs[0]: FontSet 'brand' does not exist in namespace '" + namespace + "'"))
		Expect(api.Create(ctx, &platenv1alpha1.FontSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "brand"},
			Spec:       platenv1alpha1.FontSetSpec{Sources: []platenv1alpha1.FontSource{{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "brand"}}}},
		})).To(Succeed())
		Eventually(ready(ctx, "banner")).Should(HavePrefix("Valid:"))
	})

	It("has warnings that name the place, until they are mended", func(ctx SpecContext) {
		t := template("banner", func(s *platenv1alpha1.RenderTemplateSpec) {
			s.Parameters = []platenv1alpha1.Parameter{{Name: "headline"}}
			s.Pages[0].HTML = `<h1 data-param="headlin">x</h1><img src="logo.png">`
		})
		Expect(api.Create(ctx, t)).To(Succeed())
		Eventually(ready(ctx, "banner")).Should(HavePrefix("ValidWithWarnings:"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(t), t)).To(Succeed())
		rules := map[string]string{}
		for _, w := range t.Status.Warnings {
			rules[w.Rule] = w.Where + ": " + w.Message
		}
		Expect(rules).To(HaveKeyWithValue("unknown-binding", ContainSubstring("did you mean 'headline'?")))
		Expect(rules).To(HaveKey("unused-parameter"))
		Expect(rules).To(HaveKeyWithValue("missing-alt", HavePrefix("page front, <img")))
		Expect(rules).To(HaveKey("unreachable-file"))
		t.Spec.Pages[0].HTML = `<h1 data-param="headline">x</h1>`
		Expect(api.Update(ctx, t)).To(Succeed())
		Eventually(ready(ctx, "banner")).Should(HavePrefix("Valid:"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(t), t)).To(Succeed())
		Expect(t.Status.Warnings).To(BeEmpty())
	})

	It("is told when another template has its number, and when it has it no more", func(ctx SpecContext) {
		number := func(s *platenv1alpha1.RenderTemplateSpec) { s.TemplateID = new(int64(25)) }
		Expect(api.Create(ctx, template("first", number))).To(Succeed())
		Eventually(ready(ctx, "first")).Should(HavePrefix("Valid:"))
		second := template("second", number)
		Expect(api.Create(ctx, second)).To(Succeed())
		Eventually(ready(ctx, "first")).Should(And(HavePrefix("TemplateIDTaken: spec.templateID: 25"), ContainSubstring("second")))
		Eventually(ready(ctx, "second")).Should(And(HavePrefix("TemplateIDTaken:"), ContainSubstring("first")))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(second), second)).To(Succeed())
		second.Spec.TemplateID = new(int64(26))
		Expect(api.Update(ctx, second)).To(Succeed())
		Eventually(ready(ctx, "first")).Should(HavePrefix("Valid:"))
		Eventually(ready(ctx, "second")).Should(HavePrefix("Valid:"))
	})

	It("says which default does not fit", func(ctx SpecContext) {
		Expect(api.Create(ctx, template("banner", func(s *platenv1alpha1.RenderTemplateSpec) {
			s.Parameters = []platenv1alpha1.Parameter{{Name: "headline", Type: platenv1alpha1.ParameterNumber, Default: &apiextensionsv1.JSON{Raw: []byte(`"soon"`)}}}
		}))).To(Succeed())
		Eventually(ready(ctx, "banner")).Should(And(HavePrefix("InvalidParameters: spec.parameters[0].default"), ContainSubstring("headline")))
	})

	It("waits for its ConfigMap, and reads what the ConfigMap has", func(ctx SpecContext) {
		from := func(s *platenv1alpha1.RenderTemplateSpec) {
			s.Pages[0].HTML = ""
			s.Pages[0].HTMLFrom = &platenv1alpha1.HTMLSource{ConfigMapKeyRef: platenv1alpha1.ConfigMapKeySelector{Name: "pages", Key: "front.html"}}
		}
		Expect(api.Create(ctx, template("early", from))).To(Succeed())
		Eventually(ready(ctx, "early")).Should(Equal("SourceNotFound: page 'front': ConfigMap 'pages' does not exist in namespace '" + namespace + "'"))
		Expect(api.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pages"}, Data: map[string]string{"front.html": `<img src="https://example.com/a.png"><h1 id="title" data-param="greeting">Hello</h1>`},
		})).To(Succeed())
		Expect(api.Create(ctx, template("late", from))).To(Succeed())
		Eventually(ready(ctx, "late")).Should(HavePrefix("ValidWithWarnings:"))
		late := &platenv1alpha1.RenderTemplate{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "late"}, late)).To(Succeed())
		Expect(late.Status.Parameters).To(ContainElements(
			platenv1alpha1.TemplateParameter{
				Name: "greeting", Type: "text", Source: platenv1alpha1.ParameterBound, Pages: []int32{1},
				Default: &apiextensionsv1.JSON{Raw: []byte(`"Hello"`)}, Example: &apiextensionsv1.JSON{Raw: []byte(`"Hello"`)},
			},
			platenv1alpha1.TemplateParameter{Name: "title.color", Type: "color", Source: platenv1alpha1.ParameterStyle, Pages: []int32{1}},
		))
		Expect(api.Create(ctx, template("wrong", func(s *platenv1alpha1.RenderTemplateSpec) {
			from(s)
			s.Pages[0].HTMLFrom.ConfigMapKeyRef.Key = "back.html"
		}))).To(Succeed())
		Eventually(ready(ctx, "wrong")).Should(Equal("SourceNotFound: page 'front': ConfigMap 'pages' has no key 'back.html' (it has: front.html)"))
		Expect(api.Create(ctx, template("twice", func(s *platenv1alpha1.RenderTemplateSpec) {
			from(s)
			s.Pages = append(s.Pages, *s.Pages[0].DeepCopy())
			s.Pages[0].HTMLFrom.ConfigMapKeyRef.Key = "back.html"
			s.Pages[1].Name, s.Pages[1].HTMLFrom.ConfigMapKeyRef.Name = "back", "gone"
		}))).To(Succeed())
		Eventually(ready(ctx, "twice")).Should(Equal("SourceNotFound: page 'front': ConfigMap 'pages' has no key 'back.html' (it has: front.html); page 'back': ConfigMap 'gone' does not exist in namespace '" + namespace + "'"))
	})
})
