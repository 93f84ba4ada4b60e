// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
)

// unstored are the resources whose writes etcd does not keep, and those of leader election.
var unstored = map[string]bool{
	"tokenreviews": true, "subjectaccessreviews": true, "selfsubjectaccessreviews": true, "selfsubjectrulesreviews": true, "leases": true, "serviceaccounts": true,
}

// requestCounter matches the API server's counters of requests, and label their labels.
var (
	requestCounter = regexp.MustCompile(`(?m)^apiserver_request_total\{(.*)\} (\S+)$`)
	label          = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// Writes returns how many writes the API server has taken, by "VERB resource/subresource", except those of unstored.
func (w *World) Writes(ctx context.Context) (map[string]int, error) {
	api, err := kubernetes.NewForConfig(w.Config)
	if err != nil {
		return nil, err
	}
	data, err := api.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	writes := map[string]int{}
	for _, counter := range requestCounter.FindAllSubmatch(data, -1) {
		labels := map[string]string{}
		for _, l := range label.FindAllSubmatch(counter[1], -1) {
			labels[string(l[1])] = string(l[2])
		}
		switch labels["verb"] {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE":
		default:
			continue
		}
		if labels["component"] == "apiserver" && labels["resource"] != "" && !unstored[labels["resource"]] {
			count, err := strconv.ParseFloat(string(counter[2]), 64)
			if err != nil {
				return nil, fmt.Errorf("reading the API server's metrics: %w", err)
			}
			writes[labels["verb"]+" "+strings.TrimSuffix(labels["resource"]+"/"+labels["subresource"], "/")] += int(count)
		}
	}
	return writes, nil
}
