// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/platen-dev/platen/internal/callers"
)

// guardMetrics lets those read metrics who may get the path. The filter of controller-runtime does the same with the packages of the API server, which take
// 8 MiB of the binary.
func guardMetrics(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	c, err := client.New(config, client.Options{HTTPClient: httpClient})
	if err != nil {
		return nil, err
	}
	reviewer := callers.NewReviewer(config, c, clock.RealClock{})
	return func(_ logr.Logger, handler http.Handler) (http.Handler, error) { return reviewer.Guard(handler), nil }, nil
}
