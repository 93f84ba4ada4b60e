// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package task

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestDocumentationListsThePresets(t *testing.T) {
	text, err := os.ReadFile("../../docs/spec/v1alpha1/renderjob.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^\| (\d+x\d+) \| (.*) \|$`).FindAllStringSubmatch(string(text), -1) {
		for name := range strings.SplitSeq(line[2], ", ") {
			listed[strings.Trim(name, "`")] = line[1]
		}
	}
	for _, name := range Presets() {
		if want := fmt.Sprintf("%dx%d", presets[name].Width, presets[name].Height); listed[name] != want {
			t.Errorf("%s is listed as %q, want %s", name, listed[name], want)
		}
	}
	if len(listed) != len(presets) {
		t.Errorf("%d sizes are listed, want %d", len(listed), len(presets))
	}
}

func TestPublicPresets(t *testing.T) {
	for name, want := range map[string]string{
		"a4-document": "2480x3508", "blog-header": "1200x630", "business-card": "1050x600", "email-header": "600x200", "facebook-cover": "851x315",
		"facebook-post": "1200x630", "facebook-story": "1080x1920", "instagram-post-landscape": "1080x566", "instagram-post-portrait": "1080x1350",
		"instagram-post": "1080x1080", "instagram-story": "1080x1920", "leaderboard-ad": "728x90", "linkedin-banner": "1584x396", "linkedin-post": "1200x627",
		"medium-rectangle-ad": "300x250", "og-image": "1200x630", "pinterest-pin": "1000x1500", "presentation-16-9": "1920x1080", "tiktok-video": "1080x1920",
		"twitter-header": "1500x500", "twitter-post": "1200x675", "us-letter": "2550x3300", "website-banner": "1920x600", "whatsapp-status": "1080x1920",
		"youtube-short": "1080x1920", "youtube-thumbnail": "1280x720", "zoom-background": "1920x1080",
	} {
		if size, err := parseSize("size", name, false); err != nil || fmt.Sprintf("%dx%d", size.Width, size.Height) != want {
			t.Errorf("%s: %+v, %v, want %s", name, size, err, want)
		}
	}
}
