// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command selectors reads PromQL queries, one a line, and prints the metrics and labels that each one names, as a line of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// query is what a query names.
type query struct {
	// Matchers has for each selector its metric and, by label, what it compares with.
	Selectors []selector `json:"selectors"`
	// Labels are those by which it groups or joins.
	Labels []string `json:"labels"`
}

type selector struct {
	Metric   string            `json:"metric"`
	Matchers map[string]string `json:"matchers"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		q, err := read(lines.Text())
		if err == nil {
			err = out.Encode(q)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "selectors: %s: %v\n", lines.Text(), err)
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "selectors:", err)
		os.Exit(1)
	}
}

func read(text string) (q query, err error) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return query{}, err
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			s := selector{Metric: n.Name, Matchers: map[string]string{}}
			for _, m := range n.LabelMatchers {
				if m.Name != labels.MetricName {
					s.Matchers[m.Name] = m.Value
				}
			}
			q.Selectors = append(q.Selectors, s)
		case *parser.AggregateExpr:
			q.Labels = append(q.Labels, n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				q.Labels = append(q.Labels, n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	return q, nil
}
