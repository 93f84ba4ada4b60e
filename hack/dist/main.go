// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command dist writes the files of a release, except the images: install.yaml, a bill of materials of each image, the plugin's archives
// and its manifest for krew, and the provenance and the checksums of all files in the folder, both signed if there is a key. It reads the manifests of config/default from its standard input; `make dist` runs it.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/platen-dev/platen/hack/licenses/notices"
)

// options are the flags and arguments.
type options struct {
	dir       string    // where the files go
	version   string    // of the plugin, with a leading v
	platforms []string  // of the plugin, such as linux/amd64
	images    []string  // archives of the images that install.yaml names
	digests   bool      // name images by their digests too
	built     time.Time // of the bills of materials
	key       string    // file of the private key that signs the checksums and the provenance; empty does not
	source    string    // repository, for the provenance
	commit    string    // of the source
	builder   string    // who runs make dist, as a URI
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// allPlatforms are those that the manifest for krew names.
const allPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

// semver matches the versions that krew accepts.
var semver = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// commitHash matches the hash of a commit.
var commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	o := options{built: time.Unix(0, 0)}
	flags := flag.NewFlagSet("dist", flag.ContinueOnError)
	flags.StringVar(&o.dir, "o", "dist", "folder for the files")
	flags.StringVar(&o.version, "version", "v0.0.0", "version, such as v1.2.3")
	flags.BoolVar(&o.digests, "digests", true, "name images by their digests too; a cluster that loads the archives does not know the digests")
	flags.Func("built", "time of the release, such as that of its commit: 2026-01-02T15:04:05Z (default: the beginning of 1970)", func(text string) (err error) {
		o.built, err = time.Parse(time.RFC3339, text)
		return err
	})
	flags.StringVar(&o.key, "key", "", "file of a private key of ECDSA, in PEM, that signs the checksums of all files in the folder, and the provenance")
	flags.StringVar(&o.source, "source", "https://github.com/platen-dev/platen", "URL of the repository, for the provenance")
	flags.StringVar(&o.commit, "commit", "", "hash of the commit that is released, for the provenance")
	flags.StringVar(&o.builder, "builder", "https://platen.dev/local-build", "URI of who builds the release, such as a CI's workflow, for the provenance")
	platforms := flags.String("platforms", allPlatforms, "platforms of the plugin; if some are left out, there is no manifest for krew")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.platforms, o.images = strings.Split(*platforms, ","), flags.Args()
	if !semver.MatchString(o.version) {
		return fmt.Errorf("-version: %q is no version such as v1.2.3", o.version)
	}
	if !commitHash.MatchString(o.commit) {
		return fmt.Errorf("-commit: %q is no hash of a commit: 40 hexadecimal digits", o.commit)
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	manifests, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	install, err := o.install(string(manifests))
	if err != nil {
		return fmt.Errorf("install.yaml: %w", err)
	}
	if err := o.write("install.yaml", []byte(install)); err != nil {
		return err
	}
	licenses, err := declared(ctx)
	if err != nil {
		return err
	}
	for _, image := range o.images {
		name, data, err := sbom(image, o.built, licenses)
		if err != nil {
			return fmt.Errorf("bill of materials: %w", err)
		}
		if err := o.write(name, data); err != nil {
			return err
		}
	}
	archives, err := o.plugin(ctx)
	if err != nil {
		return err
	}
	if *platforms == allPlatforms {
		template, err := os.ReadFile(filepath.Join("hack", "krew", "platen.yaml"))
		if err != nil {
			return err
		}
		krew, err := fillKrew(string(template), o.version, archives)
		if err != nil {
			return fmt.Errorf("hack/krew/platen.yaml: %w", err)
		}
		if err := o.write("platen.yaml", []byte(krew)); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "==> %s holds install.yaml, a bill of materials of each image (*.spdx.json), and the plugin for %s\n", o.dir, *platforms)
	return o.vouch(out)
}

// vouch writes the provenance of the files of the release and the checksums of all, and if there is a key, their signatures.
func (o options) vouch(out io.Writer) error {
	var key []byte
	if o.key != "" {
		var err error
		if key, err = os.ReadFile(o.key); err != nil {
			return fmt.Errorf("-key: %w", err)
		}
	}
	made, err := checksums(o.dir)
	if err != nil {
		return err
	}
	origin, err := o.provenance(made)
	if err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	if err := o.write(provenanceName, origin); err != nil {
		return err
	}
	if key != nil {
		signed, err := attest(origin, key)
		if err != nil {
			return fmt.Errorf("-key %s: %w", o.key, err)
		}
		if err := o.write(attestationName, signed); err != nil {
			return err
		}
	}
	sums, err := checksums(o.dir)
	if err != nil {
		return err
	}
	if err := o.write(checksumsName, sums); err != nil {
		return err
	}
	if key == nil {
		fmt.Fprintf(out, "==> %s and %s are not signed: set SIGNING_KEY to the file of a key\n", checksumsName, provenanceName)
		return nil
	}
	signature, err := sign(sums, key)
	if err != nil {
		return fmt.Errorf("-key %s: %w", o.key, err)
	}
	return o.write(signatureName, signature)
}

// declared returns the SPDX expressions of the licenses of all modules in the images, by PATH@VERSION as in a bill of materials.
func declared(ctx context.Context) (map[string]string, error) {
	found := map[string]string{}
	for _, program := range []string{"manager", "shim", "renderer"} {
		modules, err := notices.Of(ctx, ".", "./cmd/"+program, "", "CGO_ENABLED=0", "GOOS=linux")
		if err != nil {
			return nil, err
		}
		for _, m := range modules {
			if m.Path == notices.Std {
				m = notices.Module{Path: "stdlib", Version: strings.TrimPrefix(m.Version, "go"), Licenses: m.Licenses}
			}
			found[m.Path+"@"+m.Version] = m.Expression()
		}
	}
	return found, nil
}

func (o options) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(o.dir, name), data, 0o644)
}

// unreleased matches an image of config/default.
var unreleased = regexp.MustCompile(`platen\.dev/([a-z]+):dev\b`)

// install puts the names of the images into the manifests. Every image that they name must be among the archives.
func (o options) install(manifests string) (string, error) {
	references := map[string]string{}
	for _, path := range o.images {
		reference, digest, err := readArchive(path)
		if err != nil {
			return "", err
		}
		name := reference[strings.LastIndex(reference, "/")+1:]
		name, _, _ = strings.Cut(name, ":")
		if o.digests {
			reference += "@" + digest
		}
		references[name] = reference
	}
	var missing error
	installed := unreleased.ReplaceAllStringFunc(manifests, func(image string) string {
		name := unreleased.FindStringSubmatch(image)[1]
		if references[name] == "" {
			missing = cmp.Or(missing, fmt.Errorf("no archive holds an image for %s", image))
		}
		return references[name]
	})
	if missing == nil && installed == manifests {
		missing = errors.New("the manifests name no image such as platen.dev/manager:dev; pipe those of config/default in")
	}
	return "# Platen " + o.version + ": kubectl apply --server-side -f install.yaml\n" + installed, missing
}
