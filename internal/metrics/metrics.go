// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics declares Platen's own metrics. Their labels have few values: none is the name of an object.
package metrics

import (
	"fmt"
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

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	all = append(all, metric{name, "histogram", help, nil, h})
	return h
}

var (
	storageCalls     = counter("platen_storage_calls_total", "Calls of storage services, by route and by result: ok, or the reason of the error.", "provider", "route", "result")
	storageBytes     = counter("platen_storage_sent_bytes_total", "Bytes of files that storage services have taken.", "provider")
	storageRefreshes = counter("platen_storage_token_refreshes_total", "Refreshes of access tokens, by result.", "provider", "result")
	uploadWait       = histogram("platen_upload_wait_seconds", "How long files waited for their account before their commit began.", prometheus.ExponentialBuckets(0.001, 4, 10))
	uploadRetries    = counter("platen_upload_retries_total", "Files that had to be tried again, by the reason of the error.", "reason")
	contentBytes     = gauge("platen_content_store_bytes", "Bytes of the files in the content store, as of the last walk and since.")
	contentRefused   = counter("platen_content_store_refused_total", "Writes for which the content store had no room, by reason: full, or the quota of the namespace.", "reason")
	cacheLookups     = counter("platen_render_cache_lookups_total", "Jobs that were looked up in the render cache, by result: hit or miss.", "result")
	cacheBytes       = gauge("platen_render_cache_bytes", "Bytes of the files in the render cache, as of the last walk and since.")
	uploadQueue      = gauge("platen_upload_queue_files", "Files that are being uploaded or wait for it.")
)

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
func (Uploads) Called(provider, route, result string) {
	storageCalls.WithLabelValues(provider, route, result).Inc()
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
