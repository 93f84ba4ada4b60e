// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics declares Platen's own metrics. Their labels have few values: none is the name of an object.
package metrics

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metric is a collector with its documentation.
type metric struct {
	name, kind, help string
	labels           []string
	collector        prometheus.Collector
}

var all []metric

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	all = append(all, metric{name, "counter", help, labels, c})
	return c
}

func gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	all = append(all, metric{name, "gauge", help, nil, g})
	return g
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	all = append(all, metric{name, "gauge", help, labels, g})
	return g
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	all = append(all, metric{name, "histogram", help, nil, h})
	return h
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	all = append(all, metric{name, "histogram", help, labels, h})
	return h
}

var (
	storageCalls     = counter("platen_storage_calls_total", "Calls of storage services, by route and by result: ok, or the reason of the error.", "provider", "route", "result")
	storageBytes     = counter("platen_storage_sent_bytes_total", "Bytes of files that storage services have taken.", "provider")
	storageRefreshes = counter("platen_storage_token_refreshes_total", "Refreshes of access tokens, by result.", "provider", "result")
	storageSeconds   = histograms("platen_storage_call_seconds", "How long calls of storage services took.", prometheus.ExponentialBuckets(0.01, 4, 8), "provider")
	uploadWait       = histogram("platen_upload_wait_seconds", "How long files waited for their account before their commit began.", prometheus.ExponentialBuckets(0.001, 4, 10))
	uploadSeconds    = histogram("platen_upload_seconds", "How long files took from when all of a job's were rendered until they were uploaded.", prometheus.ExponentialBuckets(0.05, 3, 10))
	uploads          = counter("platen_upload_files_total", "Files whose upload has ended, by result: ok, or the reason of the error.", "result")
	uploadRetries    = counter("platen_upload_retries_total", "Files that had to be tried again, by the reason of the error.", "reason")
	contentBytes     = gauge("platen_content_store_bytes", "Bytes of the files in the content store, as of the last walk and since.")
	contentRefused   = counter("platen_content_store_refused_total", "Files that the content store has not taken, by reason: full, quota for the share of the namespace, or unavailable if it has not worked for a while.", "reason")
	cacheLookups     = counter("platen_render_cache_lookups_total", "Jobs that were looked up in the render cache, by result: hit or miss.", "result")
	cacheBytes       = gauge("platen_render_cache_bytes", "Bytes of the files in the render cache, as of the last walk and since.")
	renderPods       = gauges("platen_render_pods", "Render pods of all namespaces, by state: starting, ready, busy or ending.", "state")
	queuedJobs       = gauge("platen_queued_jobs", "RenderJobs that wait for a render pod.")
	queueWait        = histogram("platen_queue_wait_seconds", "How long RenderJobs waited for a render pod to take their first attempt.", prometheus.ExponentialBuckets(0.01, 4, 10))
	podStart         = histogram("platen_render_pod_start_seconds", "How long new render pods took from their creation until they asked for a job.", prometheus.ExponentialBuckets(0.25, 2, 10))
	podFailures      = counter("platen_render_pod_launch_failures_total", "Render pods that could not be created, by reason: QuotaExceeded, PodForbidden, or Queued for what passes by itself.", "reason")
	renderSeconds    = histogram("platen_render_seconds", "How long attempts took from the moment a render pod had them until all files were stored.", prometheus.ExponentialBuckets(0.05, 3, 10))
	attempts         = counter("platen_render_attempts_total", "Attempts at a render that have ended, by outcome: rendered, failed, retried, or one that does not count: disrupted or postponed.", "outcome")
	finishedJobs     = counter("platen_finished_jobs_total", "RenderJobs that have finished, by result: Succeeded, SucceededWithWarnings or Failed.", "result")
	jobSeconds       = histogram("platen_job_seconds", "How long RenderJobs took from their acceptance until they had finished, uploads included.", prometheus.ExponentialBuckets(0.05, 3, 10))
	connections      = gauges("platen_storage_connections", "StorageConnections of all namespaces, by provider and by the status of their Ready condition: True, False or Unknown.", "provider", "ready")
	renderedPages    = counter("platen_rendered_pages_total", "Pages that render pods have painted, by place: shared (a tab that stays), alone (a browser context of their own) or repeated (alone, after another tab had failed).", "place")
	shardLeader      = gauges("platen_shard_leader", "1 for the shard of namespaces that this manager leads, 0 for the others. Without --shards, all namespaces are shard 0.", "shard")
	uploadQueue      = gauge("platen_upload_queue_files", "Files that are being uploaded or wait for it.")
)

// The labels with a few fixed values have all of them from the start: otherwise the first event of a kind would be no increase.
func init() {
	for c, values := range map[*prometheus.CounterVec][]string{
		attempts:       {"rendered", "failed", "retried", "disrupted", "postponed"},
		finishedJobs:   {"Succeeded", "SucceededWithWarnings", "Failed"},
		podFailures:    {"QuotaExceeded", "PodForbidden", "Queued"},
		contentRefused: {"full", "quota"},
		cacheLookups:   {"hit", "miss"},
		uploads:        {"ok"},
	} {
		for _, value := range values {
			c.WithLabelValues(value)
		}
	}
}

// Register adds Platen's metrics to a registry.
func Register(registry prometheus.Registerer) error {
	for _, m := range all {
		if err := registry.Register(m.collector); err != nil {
			return fmt.Errorf("registering %s: %w", m.name, err)
		}
	}
	return nil
}

// Table returns the documentation of all metrics as a Markdown table.
func Table() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | what it counts |\n|---|---|---|---|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.Join(m.labels, ", "), m.help)
	}
	return b.String()
}

// Uploads observes storage providers and the upload engine.
type Uploads struct{}

// Called implements storage.Observer.
func (Uploads) Called(provider, route, result string, took time.Duration) {
	storageCalls.WithLabelValues(provider, route, result).Inc()
	storageSeconds.WithLabelValues(provider).Observe(took.Seconds())
}

// Sent implements storage.Observer.
func (Uploads) Sent(provider string, bytes int64) {
	storageBytes.WithLabelValues(provider).Add(float64(bytes))
}

// Refreshed implements storage.Observer.
func (Uploads) Refreshed(provider, result string) {
	storageRefreshes.WithLabelValues(provider, result).Inc()
}

// Dequeued implements uploader.Observer.
func (Uploads) Dequeued(waited time.Duration) { uploadWait.Observe(waited.Seconds()) }

// Settled implements uploader.Observer.
func (Uploads) Settled(result string, took time.Duration) {
	uploads.WithLabelValues(result).Inc()
	if result == "ok" {
		uploadSeconds.Observe(took.Seconds())
	}
}

// Retried implements uploader.Observer.
func (Uploads) Retried(reason string) { uploadRetries.WithLabelValues(reason).Inc() }

// QueueChanged implements uploader.Observer.
func (Uploads) QueueChanged(delta int) { uploadQueue.Add(float64(delta)) }

// Content observes the content store.
type Content struct{}

// Used implements content.Observer.
func (Content) Used(bytes int64) { contentBytes.Set(float64(bytes)) }

// Refused implements content.Observer.
func (Content) Refused(reason string) { contentRefused.WithLabelValues(reason).Inc() }

// Cache observes the render cache.
type Cache struct{}

// Looked implements rendercache.Observer.
func (Cache) Looked(hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	cacheLookups.WithLabelValues(result).Inc()
}

// Cached implements rendercache.Observer.
func (Cache) Cached(bytes int64) { cacheBytes.Set(float64(bytes)) }

// Jobs observes the controller of RenderJobs.
type Jobs struct{}

// Finished implements renderjob.Observer.
func (Jobs) Finished(result string, took time.Duration, trace string) {
	finishedJobs.WithLabelValues(result).Inc()
	observe(jobSeconds, took, trace)
}

// observe adds a duration to a histogram, with its trace as the exemplar if there is one.
func observe(h prometheus.Histogram, took time.Duration, trace string) {
	if exemplars, ok := h.(prometheus.ExemplarObserver); ok && trace != "" {
		exemplars.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": trace})
		return
	}
	h.Observe(took.Seconds())
}

// Connections observes StorageConnections.
type Connections struct{}

// Counted reports how many connections of a provider have a status of their Ready condition.
func (Connections) Counted(provider, ready string, n int) {
	connections.WithLabelValues(provider, ready).Set(float64(n))
}

// Shards observes leadership.
type Shards struct{}

// Led reports whether the manager leads a shard.
func (Shards) Led(shard int, leads bool) {
	value := 0.0
	if leads {
		value = 1
	}
	shardLeader.WithLabelValues(strconv.Itoa(shard)).Set(value)
}

// Renders observes render pods.
type Renders struct{}

// Painted implements server.Observer.
func (Renders) Painted(place string, pages int) {
	renderedPages.WithLabelValues(place).Add(float64(pages))
}

// Pool observes the pool.
type Pool struct{}

// Counted implements pool.Observer.
func (Pool) Counted(starting, ready, busy, ending, queued int) {
	for state, n := range map[string]int{"starting": starting, "ready": ready, "busy": busy, "ending": ending} {
		renderPods.WithLabelValues(state).Set(float64(n))
	}
	queuedJobs.Set(float64(queued))
}

// Taken implements pool.Observer.
func (Pool) Taken(waited time.Duration) { queueWait.Observe(waited.Seconds()) }

// Ended implements pool.Observer.
func (Pool) Ended(outcome string) { attempts.WithLabelValues(outcome).Inc() }

// Rendered implements pool.Observer.
func (Pool) Rendered(took time.Duration) { renderSeconds.Observe(took.Seconds()) }

// Started implements pool.Observer.
func (Pool) Started(took time.Duration) { podStart.Observe(took.Seconds()) }

// LaunchFailed implements pool.Observer.
func (Pool) LaunchFailed(reason string) { podFailures.WithLabelValues(reason).Inc() }
