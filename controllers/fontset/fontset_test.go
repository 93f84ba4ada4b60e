// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fontset_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/fontset"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/reconcile"
	"github.com/platen-dev/platen/test/registry"
	"github.com/platen-dev/platen/test/testenv"
)

// The reconciler runs against a real API server.
var (
	api     client.Client
	library *fonts.Library
)

func TestFontSet(t *testing.T) {
	log.SetLogger(GinkgoLogr)
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "The reconciler of FontSets")
}

var _ = Describe("A FontSet", Ordered, func() {
	BeforeAll(func(ctx SpecContext) {
		config, stop, err := testenv.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(stop)
		scheme, err := testenv.Scheme()
		Expect(err).NotTo(HaveOccurred())
		api, err = client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
		Expect(err).NotTo(HaveOccurred())
		var changed reconcile.Changes
		library = fonts.New(fonts.Options{
			Reader: api, Fetcher: fonts.NewFetcher(
				outbound.Policy{Allowed: outbound.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}}, fonts.LoginWithSecrets(credentials.Reader{Reader: api}), "",
			),
			Wanted: changed.Changed, Clock: clock.RealClock{},
		})
		Expect((&fontset.Reconciler{
			Client: mgr.GetClient(), Fonts: library, Changed: &changed, Recorder: events.NewFakeRecorder(100), Clock: clock.RealClock{},
		}).SetupWithManager(mgr)).To(Succeed())
		running, end := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan error, 1)
		go func() { ended <- mgr.Start(running) }()
		DeferCleanup(func() {
			end()
			Eventually(ended).WithTimeout(30 * time.Second).Should(Receive(Succeed()))
		})
	})

	// ready returns the reason and the message of Ready, once the status is of the set's generation.
	ready := func(ctx SpecContext, name string) func() string {
		return func() string {
			set := &platenv1alpha1.FontSet{}
			if err := api.Get(ctx, client.ObjectKey{Namespace: "default", Name: name}, set); err != nil {
				return err.Error()
			}
			condition := meta.FindStatusCondition(set.Status.Conditions, platenv1alpha1.ReadyCondition)
			if condition == nil || set.Status.ObservedGeneration == nil || *set.Status.ObservedGeneration != set.Generation {
				return "not seen"
			}
			return condition.Reason + ": " + condition.Message
		}
	}

	It("names the families of its ConfigMaps, and a file that is no font", func(ctx SpecContext) {
		font, err := os.ReadFile("/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf")
		Expect(err).NotTo(HaveOccurred())
		for name, data := range map[string][]byte{"brand": font, "logo": []byte("\x89PNG")} {
			Expect(api.Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, BinaryData: map[string][]byte{"bold.ttf": data},
			})).To(Succeed())
		}
		set := &platenv1alpha1.FontSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "brand"}}
		source := func(name string) platenv1alpha1.FontSource {
			return platenv1alpha1.FontSource{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: name}}
		}
		set.Spec.Sources = []platenv1alpha1.FontSource{source("brand")}
		Expect(api.Create(ctx, set)).To(Succeed())
		Eventually(ready(ctx, "brand")).Should(Equal("Valid: 1 font file; pages use them as Liberation Sans"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(set), set)).To(Succeed())
		Expect(set.Status.Fonts).To(HaveLen(1))
		Expect(set.Status.Fonts[0].Weight).To(Equal("700"))

		set.Spec.Sources = append(set.Spec.Sources, source("logo"))
		Expect(api.Update(ctx, set)).To(Succeed())
		Eventually(ready(ctx, "brand")).Should(Equal("InvalidFont: spec.sources[1]: key 'bold.ttf' of ConfigMap 'logo' is no font that pages can use: it is not a TTF, OTF, WOFF or WOFF2 file"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(set), set)).To(Succeed())
		set.Spec.Sources[1] = source("missing")
		Expect(api.Update(ctx, set)).To(Succeed())
		Eventually(ready(ctx, "brand")).Should(Equal("SourceNotFound: spec.sources[1]: ConfigMap 'missing' does not exist in namespace 'default'"))
	})

	It("fetches files at URLs, and for jobs again what it does not know any more", func(ctx SpecContext) {
		font, err := os.ReadFile("/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf")
		Expect(err).NotTo(HaveOccurred())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(font) }))
		DeferCleanup(server.Close)
		sum := sha256.Sum256(font)
		set := &platenv1alpha1.FontSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "site"}}
		set.Spec.Sources = []platenv1alpha1.FontSource{{URL: server.URL + "/bold.ttf", SHA256: hex.EncodeToString(sum[:])}}
		Expect(api.Create(ctx, set)).To(Succeed())
		Eventually(ready(ctx, "site")).Should(Equal("Valid: 1 font file; pages use them as Liberation Sans"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(set), set)).To(Succeed())
		Expect(set.Status.Fonts).To(HaveLen(1))
		Expect(set.Status.Fonts[0].URL).To(Equal(server.URL + "/bold.ttf"))

		other := set.DeepCopy()
		other.Spec.Sources[0].URL += "?v=2" // as a job sees a set that the controller has not seen
		Expect(library.Files(ctx, other)).Error().To(MatchError("spec.sources[0].url: the file is being fetched"))
		Expect(api.Update(ctx, other)).To(Succeed())
		Eventually(func() error {
			_, err := library.Files(ctx, other)
			return err
		}).Should(Succeed())

		other.Spec.Sources[0].SHA256 = strings.Repeat("0", 64)
		// A patch, because the controller may write the status meanwhile.
		before := set.DeepCopy()
		set.Spec = other.Spec
		Expect(api.Patch(ctx, set, client.MergeFrom(before))).To(Succeed())
		Eventually(ready(ctx, "site")).Should(HavePrefix("InvalidFont: spec.sources[0].sha256: the file at url has the hash " + hex.EncodeToString(sum[:])))
	})

	It("reads images, and says what is wrong with one, and with its Secret", func(ctx SpecContext) {
		font, err := os.ReadFile("/usr/share/fonts/truetype/liberation/LiberationSans-Bold.ttf")
		Expect(err).NotTo(HaveOccurred())
		images := registry.New()
		server, err := registry.Listen(ctx, images, "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Close)
		repository := strings.TrimPrefix(server.URL, "http://") + "/acme/fonts"
		set := &platenv1alpha1.FontSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "image"}}
		image := &platenv1alpha1.FontImage{Reference: repository + "@" + images.Push("acme/fonts", registry.Archive(registry.TarGzip, registry.Entry{Name: "fonts/bold.ttf", Data: font}))}
		set.Spec.Sources = []platenv1alpha1.FontSource{{Image: image}}
		Expect(api.Create(ctx, set)).To(Succeed())
		Eventually(ready(ctx, "image")).Should(Equal("Valid: 1 font file; pages use them as Liberation Sans"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(set), set)).To(Succeed())
		Expect(set.Status.Fonts).To(HaveLen(1))
		Expect(set.Status.Fonts[0].Image).To(Equal(image.Reference))
		Expect(set.Status.Fonts[0].Path).To(Equal("fonts/bold.ttf"))

		set.Spec.Sources[0].Image.Path = "/usr/share/fonts"
		Expect(api.Update(ctx, set)).To(Succeed())
		Eventually(ready(ctx, "image")).Should(HavePrefix("InvalidFont: spec.sources[0].image: it has no file in the folder '/usr/share/fonts' whose name ends with .ttf"))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(set), set)).To(Succeed())
		set.Spec.Sources[0].Image.PullSecretRef = &platenv1alpha1.SecretReference{Name: "pull"}
		Expect(api.Update(ctx, set)).To(Succeed())
		Eventually(ready(ctx, "image")).Should(Equal("SourceNotFound: spec.sources[0].image.pullSecretRef: Secret 'pull' does not exist"))
	})
})
