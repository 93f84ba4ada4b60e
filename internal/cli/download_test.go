// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// The signature in a content URL is all that it takes to fetch the file.
func TestDownloadErrorsDoNotShowTheSignature(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	_ = listener.Close()
	d := downloader{&cluster{config: &rest.Config{Host: closed}}, platenNamespace}
	for name, contentURL := range map[string]string{
		"nobody answers": closed + "/content/a/1.png?signature=sealed",
		"not a URL":      "http://a b/1.png?signature=sealed",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.file(t.Context(), platenv1alpha1.RenderedPage{ContentURL: contentURL}, t.TempDir())
			if err == nil || !strings.Contains(err.Error(), "1.png") || strings.Contains(err.Error(), "sealed") {
				t.Errorf("got %v", err)
			}
		})
	}
}
