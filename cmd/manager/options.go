// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/internal/namespaces"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/pool"
	"github.com/platen-dev/platen/internal/rendercache"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/task"
	"github.com/platen-dev/platen/internal/version"
)

// defaultContentStore is where the volume is mounted.
const defaultContentStore = "file:///var/lib/platen/content"

// options are the manager's flags.
type options struct {
	namespace      string
	namespaces     namespaces.List
	podName        string
	leaderElection bool
	leaseDuration  time.Duration
	shards         int
	metricsAddress string
	probeAddress   string
	pprofAddress   string

	dispatchAddress string
	dispatchName    string
	dispatchPort    int
	keysSecret      string

	contentStore   string
	takeOver       string
	contentAddress string
	contentTLS     string
	contentURL     string
	contentURLTTL  time.Duration

	contentRedirect bool

	sweepInterval time.Duration

	contentQuota     quantity
	contentRetention time.Duration

	cacheAge   time.Duration
	cacheBytes quantity

	rendererImage string
	cpu           quantity
	cpuLimit      quantity
	memory        quantity
	memoryLimit   quantity
	outboundAllow outbound.Prefixes
	outboundDeny  outbound.Prefixes
	networkPolicy bool
	limits        task.Limits
	rendersPer    int
	maxPods       int
	maxPodsTotal  int
	minReady      int
	rendersPerPod int
	idleTimeout   time.Duration
	poolAllow     outbound.Prefixes

	dropboxAPI      string
	dropboxContent  string
	storageAllow    outbound.Prefixes
	verifyInterval  time.Duration
	parallelUploads int

	failpointAddress string
}

// quantity is a resource.Quantity as a flag.
type quantity struct{ resource.Quantity }

// Set implements flag.Value.
func (q *quantity) Set(text string) (err error) {
	q.Quantity, err = resource.ParseQuantity(text)
	return err
}

func (o *options) register(flags *flag.FlagSet) {
	o.cacheBytes.Quantity = resource.MustParse("256Mi")
	o.cpu.Quantity = resource.MustParse("500m")
	o.memory.Quantity = resource.MustParse("256Mi")
	o.memoryLimit.Quantity = resource.MustParse("1Gi")

	flags.StringVar(&o.namespace, "namespace", "platen-system", "namespace in which the manager runs")
	flags.Var(&o.namespaces, "namespaces", "comma-separated namespaces that the manager serves; empty is all of them")
	flags.StringVar(&o.podName, "pod-name", "", "name of the manager's pod, which identifies it in leader election; empty outside of a pod")
	flags.BoolVar(&o.leaderElection, "leader-elect", true, "elect one of several managers as the leader")
	flags.DurationVar(&o.leaseDuration, "leader-elect-lease-duration", 15*time.Second, "time after which another replica leads if the leader is not heard, at least 3s")
	flags.IntVar(&o.shards, "shards", 1, "number of managers that lead side by side, each some of the namespaces; more than one needs as many replicas, and a bucket as the content store")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of the metrics endpoint; 0 disables it")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")
	flags.StringVar(&o.pprofAddress, "pprof-bind-address", "", "address of Go's profiles at /debug/pprof/, such as 127.0.0.1:6060; empty is none")

	flags.StringVar(&o.dispatchAddress, "dispatch-bind-address", ":9443", "address of the dispatch server for render pods")
	flags.StringVar(&o.dispatchName, "dispatch-service", "platen-dispatch", "name of the Service in front of the dispatch address")
	flags.IntVar(&o.dispatchPort, "dispatch-port", 9443, "port of that Service")
	flags.StringVar(&o.keysSecret, "keys-secret", "platen-keys", "Secret with the manager's own keys; created if missing")

	flags.StringVar(&o.contentStore, "content-store", defaultContentStore, "bucket for rendered files: file:///folder, s3://bucket?region=…, gs://bucket, azblob://container")
	flags.StringVar(&o.takeOver, "content-store-take-over", "", "UID of the installation to which the content store belonged, when it is gone for good: the store then belongs to this one")
	flags.StringVar(&o.contentAddress, "content-bind-address", ":8082", "address of the content server")
	flags.StringVar(&o.contentTLS, "content-tls", "", "TLS of the content server: a folder with tls.crt and tls.key, or 'own' for a certificate of the manager's own authority; empty is HTTP")
	flags.StringVar(&o.contentURL, "content-url", "http://platen-content.platen-system.svc:8082", "URL at which users reach the content server")
	flags.DurationVar(&o.contentURLTTL, "content-url-ttl", 7*24*time.Hour, "shortest time that a content URL is valid")
	flags.BoolVar(&o.contentRedirect, "content-redirect", false, "answer requests for rendered files with the bucket's own signed URLs, so that their bytes do not pass the manager; s3:// and azblob:// only")
	flags.Var(&o.contentQuota, "content-quota-per-namespace", "most bytes of rendered files that the content store keeps for a namespace, such as 10Gi; 0 is no bound")
	flags.DurationVar(&o.contentRetention, "content-retention", 0, "time that the content store keeps the files of a finished job, such as 720h; 0 is as long as the job exists")
	flags.DurationVar(&o.cacheAge, "render-cache-age", 24*time.Hour, "time for which later jobs may have the files of a render, at most --content-retention; 0 renders every job")
	flags.Var(&o.cacheBytes, "render-cache-bytes-per-namespace", "most bytes of files that the render cache keeps for a namespace; they do not count against its quota")
	flags.DurationVar(&o.sweepInterval, "content-sweep-interval", 10*time.Minute, "interval between searches for the files of deleted jobs")

	flags.StringVar(&o.rendererImage, "renderer-image", "platen.dev/renderer:dev", "image of render pods")
	flags.Var(&o.cpu, "renderer-cpu", "CPU request of a render pod")
	flags.Var(&o.outboundAllow, "renderer-outbound-allow", "comma-separated prefixes that pages may reach even if they are private, such as 10.1.0.0/16")
	flags.Var(&o.outboundDeny, "outbound-deny", "comma-separated prefixes that pages, storage connections, and the URLs and registries of FontSets may not reach even if they are public, such as those of pods")
	flags.BoolVar(&o.networkPolicy, "network-policy", true, "make a NetworkPolicy for the render pods of each namespace that has some")
	flags.Var(&o.memory, "renderer-memory", "memory request of a render pod")
	flags.Var(&o.memoryLimit, "renderer-memory-limit", "memory limit of a render pod")
	flags.IntVar(&o.limits.MaxPixels, "max-pixels", task.DefaultLimits.MaxPixels, "most pixels of a picture")
	flags.DurationVar(&o.limits.MaxVideo, "max-video-duration", task.DefaultLimits.MaxVideo, "longest video of a page, at most 1h")
	flags.DurationVar(&o.limits.MaxTimeout, "max-timeout", task.DefaultLimits.MaxTimeout, "largest spec.timeoutSeconds of a RenderJob")
	flags.Var(&o.cpuLimit, "renderer-cpu-limit", "CPU limit of a render pod; 0 is none")
	flags.IntVar(&o.rendersPer, "renders-per-browser", 1000, "renders of a render pod's browser before a new one replaces it")
	flags.IntVar(&o.maxPods, "max-pods-per-namespace", 10, "most render pods of a namespace")
	flags.IntVar(&o.maxPodsTotal, "max-pods", 100, "most render pods of all namespaces together; each namespace gets a fair share")
	flags.IntVar(&o.minReady, "pool-min-ready", 0, "render pods that a namespace with jobs or pods keeps ready, unless its RenderPool says otherwise")
	flags.IntVar(&o.rendersPerPod, "renders-per-pod", 0, "renders after which another pod replaces a render pod, unless its RenderPool says otherwise; 0 is no bound")
	flags.Var(&o.poolAllow, "pool-outbound-allow", "comma-separated private prefixes that a RenderPool may let its pages reach, such as 10.1.0.0/16")
	flags.DurationVar(&o.idleTimeout, "idle-timeout", time.Minute, "time after which a render pod without a task ends")

	flags.StringVar(&o.dropboxAPI, "dropbox-api-url", dropbox.DefaultAPIURL, "URL of Dropbox's API host")
	flags.StringVar(&o.dropboxContent, "dropbox-content-url", dropbox.DefaultContentURL, "URL of Dropbox's content host")
	flags.Var(&o.storageAllow, "storage-outbound-allow", "comma-separated prefixes that bucket endpoints, and the URLs and registries of FontSets, may have even if they are private, such as 10.1.0.0/16")
	flags.DurationVar(&o.verifyInterval, "verify-interval", 10*time.Minute, "interval between verifications of a StorageConnection")
	flags.IntVar(&o.parallelUploads, "parallel-uploads", 16, "most concurrent calls to storage services, and of one namespace; calls of services that hang do not count")

	flags.StringVar(&o.failpointAddress, "failpoint-bind-address", "", "address at which tests arm failpoints (builds with the tag failpoints only)")
}

// check returns an error that names the first flag with a value with which the manager would not do what it is for.
func (o *options) check() error {
	if o.rendererImage == "" {
		return errors.New("--renderer-image: name the image of render pods")
	}
	for _, count := range []struct {
		flag         string
		value, least int
	}{
		{"shards", o.shards, 1}, {"max-pods", o.maxPodsTotal, 1}, {"max-pods-per-namespace", o.maxPods, 1}, {"pool-min-ready", o.minReady, 0}, {"renders-per-pod", o.rendersPerPod, 0},
		{"renders-per-browser", o.rendersPer, 1}, {"max-pixels", o.limits.MaxPixels, 1}, {"parallel-uploads", o.parallelUploads, 1},
	} {
		if count.value < count.least {
			return fmt.Errorf("--%s: %d must be at least %d", count.flag, count.value, count.least)
		}
	}
	for _, span := range []struct {
		flag         string
		value, least time.Duration
	}{
		{"leader-elect-lease-duration", o.leaseDuration, 3 * time.Second}, {"content-url-ttl", o.contentURLTTL, time.Second}, {"content-retention", o.contentRetention, 0},
		{"render-cache-age", o.cacheAge, 0}, {"content-sweep-interval", o.sweepInterval, time.Second}, {"max-video-duration", o.limits.MaxVideo, time.Second},
		{"max-timeout", o.limits.MaxTimeout, time.Second}, {"idle-timeout", o.idleTimeout, time.Second}, {"verify-interval", o.verifyInterval, time.Second},
	} {
		if span.value < span.least {
			return fmt.Errorf("--%s: %s must be at least %s", span.flag, span.value, span.least)
		}
	}
	for _, amount := range []struct {
		flag  string
		value *resource.Quantity
	}{
		{"content-quota-per-namespace", &o.contentQuota.Quantity}, {"render-cache-bytes-per-namespace", &o.cacheBytes.Quantity}, {"renderer-cpu", &o.cpu.Quantity},
		{"renderer-cpu-limit", &o.cpuLimit.Quantity}, {"renderer-memory", &o.memory.Quantity}, {"renderer-memory-limit", &o.memoryLimit.Quantity},
	} {
		if amount.value.Sign() < 0 {
			return fmt.Errorf("--%s: %s must not be negative", amount.flag, amount.value)
		}
	}
	return o.checkShards()
}

// poolDefaults returns the settings of a namespace without a RenderPool.
func (o *options) poolDefaults() pool.Settings {
	return pool.Settings{MinReady: o.minReady, Max: o.maxPods, RendersPerPod: o.rendersPerPod, IdleTimeout: o.idleTimeout}
}

// renderCache returns the render cache; nil for none.
func (o *options) renderCache(store *content.Store, serves func(namespace string) bool, wake func(types.NamespacedName)) *rendercache.Cache {
	if o.cacheAge <= 0 || o.cacheBytes.Value() <= 0 {
		return nil
	}
	age := o.cacheAge
	if o.contentRetention > 0 {
		age = min(age, o.contentRetention)
	}
	return rendercache.New(rendercache.Options{
		Store: store, Serves: serves, Renderer: version.Version + " " + o.rendererImage, MaxAge: age, MaxBytes: o.cacheBytes.Value(), Interval: o.sweepInterval,
		Now: time.Now, Wake: wake, Observer: metrics.Cache{}, Log: ctrl.Log.WithName("cache"),
	})
}
