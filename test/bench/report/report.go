// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report writes a benchmark's figures: a table for people and .bench/NAME.json for programs.
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

// Figure is one measured value, with the value of a peer that did the same work.
type Figure struct {
	// Name in snake case, with the unit last.
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Goal is a comparison such as "<= 2.0"; "2.5x" is a ratio. Empty without a goal.
	Goal string `json:"goal"`
	// Peer names the program that did the same work; empty without a peer.
	Peer string `json:"peer"`
	// PeerValue is nil without a peer.
	PeerValue *float64 `json:"peerValue"`
	// Ratio is Value / PeerValue; nil without a peer or if PeerValue is 0.
	Ratio *float64 `json:"ratio"`
}

// Against returns the figure with the value of a peer.
func (f Figure) Against(peer string, value float64) Figure {
	f.Peer, f.PeerValue, f.Ratio = peer, &value, nil
	if value != 0 {
		f.Ratio = new(f.Value / value)
	}
	return f
}

// Write prints the figures to out and writes them to .bench/name.json in the working directory.
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

// Percentile returns the smallest value that p percent of the values do not exceed (nearest rank), in seconds; 0 without values.
func Percentile(values []time.Duration, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := max(int(math.Ceil(p/100*float64(len(sorted)))), 1)
	return sorted[rank-1].Seconds()
}
