// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/platen-dev/platen/hack/images/ociarchive"
)

// pauseImage is the image of the process that holds a pod's namespaces open.
const pauseImage = "platen.dev/pause:dev"

// ctr runs containerd's client on the node's images.
func (c *cluster) ctr(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return command(ctx, "", c.ctrPath(), append(c.ctrFlags(), args...)...)
}

// ctrPath returns the path of the client that belongs to the node's containerd.
func (c *cluster) ctrPath() string {
	bin, err := os.Readlink(c.path("bin"))
	if err != nil {
		return "ctr"
	}
	return filepath.Join(bin, "ctr")
}

func (c *cluster) ctrFlags() []string {
	return []string{"--address", c.containerdSocket(), "--namespace", "k8s.io", "--connect-timeout", "5s"}
}

// ensurePauseImage builds the pause image and loads it into the node, unless it is there.
func (c *cluster) ensurePauseImage(ctx context.Context) error {
	out, err := c.ctr(ctx, "images", "list", "--quiet")
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(out), pauseImage) {
		return nil
	}
	c.printf("building the pause image")
	binary := c.path("pause")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./hack/devcluster/pause")
	cmd.Dir = c.repo
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build pause: %w\n%s", err, out)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	layer, err := ociarchive.FilesLayer([]ociarchive.File{{Name: "pause", Data: data, Mode: 0o755}})
	if err != nil {
		return err
	}
	img, err := ociarchive.Image(runtime.GOARCH, v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"}, layer)
	if err != nil {
		return err
	}
	archive := binary + ".tar"
	if err := ociarchive.Write(archive, pauseImage, img); err != nil {
		return err
	}
	if err := c.loadImage(ctx, archive); err != nil {
		return err
	}
	return errors.Join(os.Remove(binary), os.Remove(archive))
}

// loadImages loads image archives into the node.
func (c *cluster) loadImages(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return errors.New("load-image needs at least one file")
	}
	if !c.running("containerd") {
		return errors.New("the cluster is not up; run `go run ./hack/devcluster up` first")
	}
	for _, file := range files {
		if err := c.step("loading "+file, func() error { return c.loadImage(ctx, file) }); err != nil {
			return fmt.Errorf("load %s: %w", file, err)
		}
	}
	return nil
}

// loadImage loads one archive. It leaves out the layers that containerd already has, so a change of a small layer does not load the
// large ones again.
func (c *cluster) loadImage(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	present := map[string]bool{}
	if oci, err := isOCIArchive(f); err != nil {
		return err
	} else if oci {
		out, err := c.ctr(ctx, "content", "list", "--quiet")
		if err != nil {
			return err
		}
		for digest := range strings.FieldsSeq(out) {
			present["blobs/"+strings.ReplaceAll(digest, ":", "/")] = true
		}
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(copyTarWithout(w, f, present)) }()
	defer func() { _ = r.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.ctrPath(), append(c.ctrFlags(), "images", "import", "--local", "-")...)
	cmd.Stdin = r
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ctr images import: %w: %s", err, out)
	}
	return nil
}

// isOCIArchive reports whether the archive finds its blobs by digest. Docker archives find theirs by path and must be complete.
func isOCIArchive(f io.ReadSeeker) (bool, error) {
	found := false
	for tr := tar.NewReader(f); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, fmt.Errorf("not an image archive: %w", err)
		}
		found = found || header.Name == "oci-layout"
	}
	_, err := f.Seek(0, io.SeekStart)
	return found, err
}

// copyTarWithout copies a tar stream except for the named entries.
func copyTarWithout(w io.Writer, r io.Reader, without map[string]bool) error {
	tr, tw := tar.NewReader(r), tar.NewWriter(w)
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return tw.Close()
		}
		if err != nil {
			return err
		}
		if without[strings.TrimPrefix(header.Name, "./")] {
			continue
		}
		if err := tw.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(tw, tr); err != nil {
			return err
		}
	}
}
