// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command images builds Platen's container images without a container engine, as OCI archives that
// `devcluster load-image`, `kind load image-archive` and `docker load` read. They have the content of the Dockerfile's targets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// imageNames are the names of the images; each is made from the command of the same name.
var imageNames = []string{"manager", "shim", "dropboxsim", "renderer"}

// options are the flags.
type options struct {
	dir     string   // where the archives go
	only    []string // images to build
	tags    string   // for go build
	prefix  string   // of the images' names
	tag     string   // the images' tag
	version string   // linked into the binaries
	repo    string
	cache   string
	// packages is a file with further Debian packages of the renderer, relative to the checkout.
	packages string
	// checkAfter is how long the versions of Debian's packages count as known.
	checkAfter time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, progress io.Writer) error {
	o, err := parseOptions(ctx, args, progress)
	if err != nil {
		return err
	}
	// Keep the binaries: go build links only changed ones again.
	binaries := filepath.Join(o.dir, "binaries-"+o.tag)
	// Debian's packages come over the network while Go compiles.
	var debian v1.Layer
	group, groupCtx := errgroup.WithContext(ctx)
	if slices.Contains(o.only, "renderer") {
		group.Go(func() (err error) {
			debian, err = o.debianLayer(groupCtx, progress)
			return err
		})
	}
	group.Go(func() error { return o.compile(groupCtx, binaries, progress) })
	if err := group.Wait(); err != nil {
		return err
	}
	for _, name := range o.only {
		if err := o.build(ctx, name, filepath.Join(binaries, name), debian); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		fmt.Fprintf(progress, "  %s in %s\n", o.reference(name), o.archive(name))
	}
	return nil
}

func parseOptions(ctx context.Context, args []string, output io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.dir, "o", filepath.Join(".devcluster", "images"), "folder for the archives, relative to the checkout")
	flags.StringVar(&only, "only", "", "images to build, separated by commas (default: all of "+strings.Join(imageNames, ",")+")")
	flags.StringVar(&o.tags, "tags", "", "build tags for go build")
	flags.StringVar(&o.prefix, "prefix", "platen.dev", "beginning of the images' names, such as registry.example/platen")
	flags.StringVar(&o.tag, "tag", "dev", "tag of the images; except for dev, the archives' names have it too")
	flags.StringVar(&o.version, "version", "", "version to link into the binaries (default: git describe)")
	flags.StringVar(&o.packages, "packages", "", "file with further Debian packages for the renderer, relative to the checkout, such as hack/images/web-fonts.txt")
	flags.DurationVar(&o.checkAfter, "check-after", 24*time.Hour, "ask Debian for newer packages of the renderer if it was last asked longer ago; 0s asks now")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	root, err := output1(ctx, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return options{}, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return options{}, fmt.Errorf("no cache folder (set HOME or XDG_CACHE_HOME): %w", err)
	}
	o.repo, o.cache = root, filepath.Join(cache, "platen", "rootfs")
	if !filepath.IsAbs(o.dir) {
		o.dir = filepath.Join(root, o.dir)
	}
	if o.version == "" {
		o.version = "dev"
		if described, err := output1(ctx, "git", "-C", root, "describe", "--tags", "--always", "--dirty"); err == nil {
			o.version = described
		}
	}
	o.only, err = selectImages(only, func(name string) bool {
		sources, _ := filepath.Glob(filepath.Join(root, "cmd", name, "*.go"))
		return len(sources) > 0
	})
	return o, err
}

// selectImages resolves the -only flag. Without it, selectImages returns all images whose command exists.
func selectImages(only string, exists func(name string) bool) ([]string, error) {
	if only == "" {
		return slices.DeleteFunc(slices.Clone(imageNames), func(name string) bool { return !exists(name) }), nil
	}
	names := strings.Split(only, ",")
	for _, name := range names {
		if !slices.Contains(imageNames, name) {
			return nil, fmt.Errorf("unknown image %q, expected one of %s", name, strings.Join(imageNames, ", "))
		}
		if !exists(name) {
			return nil, fmt.Errorf("image %s: there is no command ./cmd/%s", name, name)
		}
	}
	return names, nil
}

func (o options) reference(name string) string { return o.prefix + "/" + name + ":" + o.tag }

// archive returns the file of an image. An image with another tag than dev has its own file.
func (o options) archive(name string) string {
	if o.tag != "dev" {
		name += "-" + o.tag
	}
	return filepath.Join(o.dir, name+".tar")
}

// output1 runs a program and returns its standard output without the final newline.
func output1(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
