// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package numbers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// The API server takes any value of these fields, so each must be read, or refused with its name and range.
func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		output string
		want   Numbers
		err    string
	}{
		{output: `{}`},
		{output: `{"scale": 2}`, want: Numbers{Scale: 2}},
		{output: `{"scale": 1.5}`, want: Numbers{Scale: 1.5}},
		{output: `{"scale": "1.5"}`, want: Numbers{Scale: 1.5}},
		{output: `{"scale": 0.30000000000000004}`, want: Numbers{Scale: 0.30000000000000004}},
		{output: `{"pdf": {"margin": 2}}`, want: Numbers{Margin: 2}},
		{output: `{"pdf": {"margin": 2.5}}`, want: Numbers{Margin: 2.5}},
		{output: `{"pdf": {"margin": "0.5in"}}`, want: Numbers{Margin: 48}},
		{output: `{"pdf": {"margin": "36pt"}}`, want: Numbers{Margin: 48}},
		{output: `{"pdf": {"margin": "36pt", "dpi": 192}}`, want: Numbers{Margin: 96}},
		{output: `{"pdf": {"margin": "1in", "dpi": 48}}`, want: Numbers{Margin: 48}},
		{output: `{"pdf": {"margin": "20px", "dpi": 192}}`, want: Numbers{Margin: 20}},
		{output: `{"video": {"duration": 2.5, "trimStart": 0.25, "trimEnd": 3, "pageTransition": "fade", "pageTransitionDuration": 0.75}}`, want: Numbers{Duration: 2.5, TrimStart: 0.25, TrimEnd: 3, Fade: 0.75}},
		{output: `{"video": {"duration": "3", "trimStart": "0", "trimEnd": "0.5", "pageTransition": "fade", "pageTransitionDuration": "2"}}`, want: Numbers{Duration: 3, TrimEnd: 0.5, Fade: 2}},
		{output: `{"scale": "0.05"}`, err: "spec.output.scale: '0.05' must be a decimal number from 0.1 to 10"},
		{output: `{"scale": 11}`, err: "spec.output.scale: '11' must be a decimal number from 0.1 to 10"},
		{output: `{"scale": 10.01}`, err: "spec.output.scale: '10.01' must be"},
		{output: `{"scale": -1}`, err: "spec.output.scale: '-1' must be"},
		{output: `{"scale": "big"}`, err: "spec.output.scale: 'big' must be"},
		{output: `{"scale": "1,5"}`, err: "spec.output.scale: '1,5' must be a decimal number from 0.1 to 10, with a point instead of the comma"},
		{output: `{"pdf": {"margin": "1,5cm"}}`, err: "and less than 10000, with a point instead of the comma"},
		{output: `{"scale": "2px"}`, err: "spec.output.scale: '2px' must be"},
		{output: `{"scale": " 2"}`, err: "spec.output.scale: ' 2' must be"},
		{output: `{"scale": "0x2"}`, err: "spec.output.scale: '0x2' must be"},
		{output: `{"scale": "NaN"}`, err: "spec.output.scale: 'NaN' must be"},
		{output: `{"scale": true}`, err: "spec.output.scale: 'true' must be"},
		{output: `{"scale": [2]}`, err: "spec.output.scale: '[2]' must be"},
		{output: `{"scale": {}}`, err: "spec.output.scale: '{}' must be"},
		{output: `{"scale": "` + strings.Repeat("9", 1000) + `"}`, err: "spec.output.scale: '9999"},
		{output: `{"video": {"duration": 61}}`, err: "spec.output.video.duration: '61' must be a decimal number of seconds from 0.1 to 60"},
		{output: `{"video": {"duration": 0}}`, err: "spec.output.video.duration: '0' must be"},
		{output: `{"video": {"trimStart": 3601}}`, err: "spec.output.video.trimStart: '3601' must be a decimal number of seconds from 0 to 3600"},
		{output: `{"video": {"trimEnd": 1e9}}`, err: "spec.output.video.trimEnd: '1e9' must be"},
		{output: `{"video": {"pageTransitionDuration": 3}}`, err: "spec.output.video.pageTransitionDuration: '3' must be a decimal number of seconds from 0.1 to 2"},
		{output: `{"video": {"trimStart": 2, "trimEnd": "2.0"}}`, err: "spec.output.video.trimEnd: '2.0' must be more than trimStart"},
		{output: `{"video": {"pageTransitionDuration": 1}}`, err: "spec.output.video.pageTransitionDuration needs pageTransition: fade"},
		{output: `{"pdf": {"margin": "1em"}}`, err: "spec.output.pdf.margin: '1em' must be a length in px, pt, mm, cm or in, such as 20px, and less than 10000"},
		{output: `{"pdf": {"margin": 10000}}`, err: "spec.output.pdf.margin: '10000' must be"},
		{output: `{"pdf": {"margin": "px"}}`, err: "spec.output.pdf.margin: 'px' must be"},
		{output: `{"scale": "a", "video": {"trimEnd": "b"}}`, err: "10\nspec.output.video.trimEnd: 'b' must be a decimal number of seconds from 0 to 3600"},
	} {
		output := platenv1alpha1.OutputSpec{}
		if err := json.Unmarshal([]byte(c.output), &output); err != nil {
			t.Fatal(err)
		}
		got, wrong := Read(output, time.Minute)
		err := errors.Join(wrong...)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || len(err.Error()) > 200 {
				t.Errorf("%.60s: %v, want %s", c.output, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.output, got, err, c.want)
		}
	}
}
