// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/task"
)

// options are the manager's flags.
type options struct {
	namespace      string
	podName        string
	leaderElection bool
	metricsAddress string
	probeAddress   string

	dispatchAddress string
	dispatchName    string
	dispatchPort    int
	keysSecret      string

	contentStore   string
	contentAddress string
	contentURL     string
	contentURLTTL  time.Duration
	sweepInterval  time.Duration

	rendererImage string
	cpu           quantity
	memory        quantity
	memoryLimit   quantity
	outboundAllow outbound.Prefixes
	limits        task.Limits
	rendersPer    int
	maxPods       int
	idleTimeout   time.Duration

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
	o.cpu.Quantity = resource.MustParse("250m")
	o.memory.Quantity = resource.MustParse("256Mi")
	o.memoryLimit.Quantity = resource.MustParse("1Gi")

	flags.StringVar(&o.namespace, "namespace", "platen-system", "namespace in which the manager runs")
	flags.StringVar(&o.podName, "pod-name", "", "name of the pod in which the manager runs, under which it leads; empty outside a pod")
	flags.BoolVar(&o.leaderElection, "leader-elect", true, "let one manager act at a time")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of the metrics endpoint, 0 for none")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz")

	flags.StringVar(&o.dispatchAddress, "dispatch-bind-address", ":9443", "address on which render pods ask for tasks")
	flags.StringVar(&o.dispatchName, "dispatch-service", "platen-dispatch", "name of the Service in front of the dispatch address")
	flags.IntVar(&o.dispatchPort, "dispatch-port", 9443, "port of that Service")
	flags.StringVar(&o.keysSecret, "keys-secret", "platen-keys", "Secret in which the manager keeps its own keys; made when missing")

	flags.StringVar(&o.contentStore, "content-store", "file:///var/lib/platen/content", "where rendered files are kept: file:///folder, s3://bucket?region=…, gs://bucket, azblob://container")
	flags.StringVar(&o.contentAddress, "content-bind-address", ":8082", "address of the content server")
	flags.StringVar(&o.contentURL, "content-url", "http://platen-content.platen-system.svc:8082", "URL under which users reach the content server")
	flags.DurationVar(&o.contentURLTTL, "content-url-ttl", 7*24*time.Hour, "how long a content URL is valid at least")
	flags.DurationVar(&o.sweepInterval, "content-sweep-interval", 10*time.Minute, "how often files of deleted jobs are looked for")

	flags.StringVar(&o.rendererImage, "renderer-image", "platen.dev/renderer:dev", "image of render pods")
	flags.Var(&o.cpu, "renderer-cpu", "CPU that a render pod requests")
	flags.Var(&o.outboundAllow, "renderer-outbound-allow", "prefixes that pages may reach although they are private, such as 10.1.0.0/16, separated by commas")
	flags.Var(&o.memory, "renderer-memory", "memory that a render pod requests")
	flags.Var(&o.memoryLimit, "renderer-memory-limit", "memory that a render pod may not exceed")
	flags.IntVar(&o.limits.MaxPixels, "max-pixels", task.DefaultLimits.MaxPixels, "how many pixels a picture may have")
	flags.DurationVar(&o.limits.MaxVideo, "max-video-duration", task.DefaultLimits.MaxVideo, "how long a page may be filmed, at most 1h")
	flags.IntVar(&o.rendersPer, "renders-per-browser", 1000, "how many renders a render pod's browser makes before another one replaces it")
	flags.IntVar(&o.maxPods, "max-pods-per-namespace", 10, "how many render pods a namespace may have")
	flags.DurationVar(&o.idleTimeout, "idle-timeout", time.Minute, "how long a render pod waits for another task")

	flags.StringVar(&o.dropboxAPI, "dropbox-api-url", dropbox.DefaultAPIURL, "URL of Dropbox's API host")
	flags.StringVar(&o.dropboxContent, "dropbox-content-url", dropbox.DefaultContentURL, "URL of Dropbox's content host")
	flags.Var(&o.storageAllow, "storage-outbound-allow", "prefixes that endpoints of buckets may have although they are private, such as 10.1.0.0/16, separated by commas")
	flags.DurationVar(&o.verifyInterval, "verify-interval", 10*time.Minute, "how often StorageConnections are verified")
	flags.IntVar(&o.parallelUploads, "parallel-uploads", 16, "how many calls of storage services are in flight at a time")

	flags.StringVar(&o.failpointAddress, "failpoint-bind-address", "", "address at which tests arm failpoints; only in builds with the tag failpoints")
}
