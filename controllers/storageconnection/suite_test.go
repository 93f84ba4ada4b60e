// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/storageconnection"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/testenv"
)

// The reconciler runs against a real API server and a simulator of Dropbox.
var (
	api client.Client
	sim *dropboxsim.Server
)

func TestStorageConnection(t *testing.T) {
	log.SetLogger(GinkgoLogr)
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "The StorageConnection reconciler")
}

var _ = BeforeSuite(func() {
	config, stopServers, err := testenv.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(stopServers)
	scheme, err := testenv.Scheme()
	Expect(err).NotTo(HaveOccurred())
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	sim = dropboxsim.New()
	service := httptest.NewServer(sim)
	DeferCleanup(service.Close)

	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return recorder{next} })
	direct, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	Expect(err).NotTo(HaveOccurred())
	Expect((&storageconnection.Reconciler{
		Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("platen"), Clock: clock.RealClock{}, Interval: time.Hour,
		Connector: connect.New(connect.Options{
			Credentials: credentials.Reader{Reader: direct},
			Openers: map[platenv1alpha1.ProviderType]connect.Opener{
				platenv1alpha1.ProviderDropbox: connect.Dropbox(dropbox.Config{APIURL: service.URL, ContentURL: service.URL}),
			},
		}),
	}).SetupWithManager(mgr)).To(Succeed())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		stop()
		Eventually(ended).WithTimeout(30 * time.Second).Should(Receive(Succeed()))
	})
})

// seen are the requests for Secrets of the reconciler and its manager.
var seen struct {
	sync.Mutex
	requests []string
}

// recorder records requests for Secrets.
type recorder struct{ next http.RoundTripper }

func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.Contains(req.URL.Path, "/secrets") {
		seen.Lock()
		seen.requests = append(seen.requests, req.Method+" "+req.URL.Path)
		seen.Unlock()
	}
	return r.next.RoundTrip(req)
}

func secretRequests() []string {
	seen.Lock()
	defer seen.Unlock()
	return slices.Clone(seen.requests)
}
