// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report writes what a benchmark found: a table for people and .bench/NAME.json for programs.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// Figure is one result, beside the same work done by a peer.
type Figure struct {
	// Name in snake case, with the unit last.
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Goal in words, such as "<= 2.0".
	Goal string `json:"goal"`
	// Peer is what the same work was done with; empty without one.
	Peer      string   `json:"peer"`
	PeerValue *float64 `json:"peerValue"`
	// Ratio is Value / PeerValue.
	Ratio *float64 `json:"ratio"`
}

// Against completes a figure by its peer's value.
func (f Figure) Against(peer string, value float64) Figure {
	ratio := math.NaN()
	if value != 0 {
		ratio = f.Value / value
	}
	f.Peer, f.PeerValue = peer, &value
	if !math.IsNaN(ratio) {
		f.Ratio = &ratio
	}
	return f
}

// Write prints the figures to out and keeps them as .bench/name.json below the working directory.
func Write(out io.Writer, name string, figures []Figure) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "\nfigure\tvalue\tunit\tgoal\tpeer\tpeer's value\tratio")
	for _, f := range figures {
		peerValue, ratio := "", ""
		if f.PeerValue != nil {
			peerValue = fmt.Sprintf("%.3f", *f.PeerValue)
		}
		if f.Ratio != nil {
			ratio = fmt.Sprintf("%.2f", *f.Ratio)
		}
		_, _ = fmt.Fprintf(table, "%s\t%.3f\t%s\t%s\t%s\t%s\t%s\n", f.Name, f.Value, f.Unit, f.Goal, f.Peer, peerValue, ratio)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(map[string]any{"figures": figures}, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(".bench", name+".json")
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nwritten to %s\n", path)
	return err
}

// Percentile is the smallest value that p percent of the values do not exceed (the nearest rank), in seconds.
func Percentile(values []time.Duration, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := max(int(math.Ceil(p/100*float64(len(sorted)))), 1)
	return sorted[rank-1].Seconds()
}
