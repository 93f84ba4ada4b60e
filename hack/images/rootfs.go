// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	suite      = "bookworm"
	passwdLine = "nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin"
	groupLine  = "nonroot:x:65532:"
	// chromiumPath is the path of the browser in the renderer's image, and chromiumPackage its package.
	chromiumPath    = "usr/lib/chromium/chromium-headless-shell"
	chromiumPackage = "chromium-headless-shell"
	// debianDictionaries are Debian's dictionaries for hyphenation, from which hack/hyphens makes those of the browser.
	debianDictionaries, dictionaries = "usr/share/hyphen", "usr/lib/chromium/hyphen-data"
	// epoch is the time of all files that the build writes, so that a file does not differ by its time alone.
	epoch = "1700000000"
)

// mmdebstrapOptions are the options for the root file system, except the packages and dpkg's configuration.
var mmdebstrapOptions = []string{
	"--mode=root",
	"--variant=minbase",
	"--format=tar",
	`--customize-hook=echo "` + passwdLine + `" >> "$1/etc/passwd"`,
	`--customize-hook=echo "` + groupLine + `" >> "$1/etc/group"`,
	`--customize-hook=rm -rf "$1"/var/log/* "$1"/var/cache/ldconfig/*`,
}

var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// parsePackages reads a package list: one name a line, "#" begins a comment.
func parsePackages(r io.Reader) ([]string, error) {
	var names []string
	scanner := bufio.NewScanner(r)
	for number := 1; scanner.Scan(); number++ {
		line, _, _ := strings.Cut(scanner.Text(), "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if !packageName.MatchString(line) {
			return nil, fmt.Errorf("line %d: %q is no package name; expected one name a line", number, line)
		}
		names = append(names, line)
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("the package list is empty")
	}
	return names, nil
}

// rootfsKey identifies a root file system by everything that it is made from, except for the versions of the packages. hyphens identifies the
// program that makes the dictionaries.
func rootfsKey(packages []string, dpkgConfig []byte, hyphens string) string {
	return hash(fmt.Sprintf("%q %q %q %q %q %q", suite, epoch, mmdebstrapOptions, packages, dpkgConfig, hyphens))
}

// sourcesHash identifies the program in a folder by its Go files.
func sourcesHash(dir string) (string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	all := sha256.New()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		all.Write(data)
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:16]
}

// rendererPackages returns the Debian packages of the renderer's image.
func (o options) rendererPackages() (names []string, err error) {
	lists := []string{filepath.Join("hack", "images", "renderer-packages.txt")}
	if o.packages != "" {
		lists = append(lists, o.packages)
	}
	for _, list := range lists {
		data, err := os.ReadFile(filepath.Join(o.repo, list))
		if err != nil {
			return nil, err
		}
		packages, err := parsePackages(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", list, err)
		}
		names = append(names, packages...)
	}
	return names, nil
}

// debianLayer returns the renderer's root file system, from the cache if it has Debian's current packages.
func (o options) debianLayer(ctx context.Context, progress io.Writer) (v1.Layer, error) {
	packages, err := o.rendererPackages()
	if err != nil {
		return nil, err
	}
	dpkgConfig := filepath.Join(o.repo, "hack", "images", "renderer-dpkg.cfg")
	configData, err := os.ReadFile(dpkgConfig)
	if err != nil {
		return nil, err
	}
	sources, err := sourcesHash(filepath.Join(o.repo, "hack", "hyphens"))
	if err != nil {
		return nil, err
	}
	cache := rootfsCache{dir: o.cache, key: rootfsKey(packages, configData, sources)}
	if layer, d, err := cache.newest(); err == nil && time.Since(d.Checked) < o.checkAfter {
		d.print(progress)
		return layer, nil
	}
	setup := exec.CommandContext(ctx, filepath.Join(o.repo, "hack", "setup"), "images")
	setup.Stdout, setup.Stderr = progress, progress
	if err := setup.Run(); err != nil {
		return nil, fmt.Errorf("hack/setup: %w", err)
	}
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return nil, err
	}
	versions, err := debianVersions(ctx, filepath.Join(o.cache, "apt"), packages)
	if err != nil {
		fmt.Fprintf(progress, "  could not ask Debian for the packages' versions: %v\n", err)
		if layer, d, err := cache.newest(); err == nil {
			d.print(progress)
			return layer, nil
		}
	}
	if layer, d, err := cache.confirm(versions, time.Now()); err == nil {
		d.print(progress)
		return layer, nil
	}
	begin := time.Now()
	fmt.Fprintf(progress, "  making the renderer's file system from Debian packages: %s (about a minute; cached until one of them changes)\n", strings.Join(packages, " "))
	if err := makeRootfs(ctx, o.repo, cache.path(versions), packages, dpkgConfig); err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "  made the renderer's file system (%.0fs)\n", time.Since(begin).Seconds())
	layer, d, err := cache.add(versions, time.Now())
	if err != nil {
		return nil, err
	}
	d.print(progress)
	return layer, nil
}

// makeRootfs runs mmdebstrap. The file appears when it is complete, with the time of Debian's build of Chromium.
func makeRootfs(ctx context.Context, repo, tarball string, packages []string, dpkgConfig string) error {
	if os.Geteuid() != 0 {
		return errors.New("installing the renderer's packages needs root")
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp(filepath.Dir(tarball), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	temp, stamp, hyphens := filepath.Join(dir, "rootfs.tar"), filepath.Join(dir, "chromium"), filepath.Join(dir, "hyphens")
	compile := exec.CommandContext(ctx, "go", "build", "-o", hyphens, "./hack/hyphens")
	compile.Dir = repo
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./hack/hyphens: %w\n%s", err, out)
	}
	args := append([]string{
		"--include=" + strings.Join(packages, ","), "--dpkgopt=" + dpkgConfig,
		`--customize-hook=` + hyphens + ` "$1"/` + debianDictionaries + ` "$1"/` + dictionaries + ` && rm -r "$1"/` + debianDictionaries,
		`--customize-hook=touch -r "$1"/` + chromiumPath + ` ` + stamp,
	}, mmdebstrapOptions...)
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, suite, temp)...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch)
	// An interrupted mmdebstrap removes its temporary folder, a killed one leaves it.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w\n%s", err, out)
	}
	built, err := os.Stat(stamp)
	if err != nil {
		return err
	}
	if err := os.Chtimes(temp, time.Time{}, built.ModTime()); err != nil {
		return err
	}
	return os.Rename(temp, tarball)
}

// description is stored next to a root file system.
type description struct {
	Hash   v1.Hash `json:"hash"`
	Length int64   `json:"length"`
	// Chromium is the version of the browser, and Built the time at which Debian built it.
	Chromium string    `json:"chromium"`
	Built    time.Time `json:"built"`
	// Made is when the file system was made, and Checked when its packages were last known to be Debian's current ones.
	Made    time.Time `json:"made"`
	Checked time.Time `json:"checked"`
}

// print says how old the browser is.
func (d description) print(w io.Writer) {
	fmt.Fprintf(w, "  the renderer has Chromium %s, which Debian built %s ago; ", d.Chromium, days(time.Since(d.Built)))
	if d.Checked.IsZero() {
		fmt.Fprintln(w, "whether there is a newer one is not known")
		return
	}
	fmt.Fprintf(w, "Debian had no newer one %s ago\n", days(time.Since(d.Checked)))
}

// days writes a duration in whole days, or hours if it is shorter than two days.
func days(d time.Duration) string {
	n, unit := int(d.Hours()), "hour"
	if n >= 48 {
		n, unit = n/24, "day"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// debianVersions returns the versions that Debian has now of the packages and all that they need, one "NAME VERSION" each. It keeps Debian's
// lists in dir, so that only changed ones are downloaded.
func debianVersions(ctx context.Context, dir string, packages []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, name := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return nil, err
		}
	}
	var sources strings.Builder
	for _, source := range []string{"debian " + suite, "debian " + suite + "-updates", "debian-security " + suite + "-security"} {
		fmt.Fprintf(&sources, "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/%s main\n", source)
	}
	for name, data := range map[string]string{"sources.list": sources.String(), "status": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			return nil, err
		}
	}
	apt := func(args ...string) (string, error) {
		return output1(ctx, "apt-get", append([]string{
			"-o", "Dir::Etc::SourceList=" + filepath.Join(dir, "sources.list"), "-o", "Dir::Etc::SourceParts=/dev/null",
			"-o", "Dir::State::Lists=" + filepath.Join(dir, "lists"), "-o", "Dir::Cache=" + filepath.Join(dir, "cache"),
			"-o", "Dir::State::status=" + filepath.Join(dir, "status"), "-o", "APT::Install-Recommends=false",
			"-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "APT::Update::Error-Mode=any",
		}, args...)...)
	}
	if _, err := apt("update", "-qq"); err != nil {
		return nil, err
	}
	plan, err := apt(append([]string{"install", "--simulate", "-qq"}, packages...)...)
	if err != nil {
		return nil, err
	}
	return parseVersions(plan)
}

var installation = regexp.MustCompile(`(?m)^Inst (\S+) \((\S+) `)

// parseVersions reads what apt-get would install.
func parseVersions(plan string) ([]string, error) {
	matches := installation.FindAllStringSubmatch(plan, -1)
	versions := make([]string, 0, len(matches))
	for _, match := range matches {
		versions = append(versions, match[1]+" "+match[2])
	}
	if len(versions) == 0 {
		return nil, fmt.Errorf("apt-get names no packages: %q", plan)
	}
	slices.Sort(versions)
	return versions, nil
}
