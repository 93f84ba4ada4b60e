// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// document is the part of an SPDX 2.3 document that a bill of materials has.
type document struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	CreationInfo  creationInfo   `json:"creationInfo"`
	Packages      []sbomPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creationInfo struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type sbomPackage struct {
	ID               string         `json:"SPDXID"`
	Name             string         `json:"name"`
	Version          string         `json:"versionInfo"`
	DownloadLocation string         `json:"downloadLocation"`
	FilesAnalyzed    bool           `json:"filesAnalyzed"`
	LicenseConcluded string         `json:"licenseConcluded"`
	LicenseDeclared  string         `json:"licenseDeclared"`
	Copyright        string         `json:"copyrightText"`
	Checksums        []checksum     `json:"checksums,omitempty"`
	References       []externalName `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type externalName struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const noAssertion = "NOASSERTION"

// sbom returns the bill of materials of the image in an OCI archive, as an SPDX document: the modules of its Go programs, and Debian's packages. It
// is the same for the same image: built is its time of creation. licenses has the SPDX expressions of modules, by PATH@VERSION.
func sbom(archivePath string, built time.Time, licenses map[string]string) (name string, data []byte, err error) {
	reference, digest, err := readArchive(archivePath)
	if err != nil {
		return "", nil, err
	}
	parts, err := contents(archivePath)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", archivePath, err)
	}
	if len(parts) == 0 {
		return "", nil, fmt.Errorf("%s: the image holds neither a Go program nor a package of Debian", archivePath)
	}
	image, tag, _ := strings.Cut(reference[strings.LastIndex(reference, "/")+1:], ":")
	for i := range parts {
		if parts[i].Version == "(devel)" { // Platen itself
			parts[i] = golang(parts[i].Name, tag)
		}
	}
	slices.SortFunc(parts, func(a, b sbomPackage) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	parts = slices.CompactFunc(parts, func(a, b sbomPackage) bool { return a.Name == b.Name && a.Version == b.Version })
	root := sbomPackage{
		ID: "SPDXRef-image", Name: reference, Version: tag, Checksums: []checksum{{"SHA256", strings.TrimPrefix(digest, "sha256:")}},
		References: []externalName{{"PACKAGE-MANAGER", "purl", "pkg:oci/" + image + "@" + digest + "?tag=" + tag}},
	}
	d := document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: reference, Namespace: "https://platen.dev/spdx/" + image + "/" + digest,
		CreationInfo:  creationInfo{Created: built.UTC().Format(time.RFC3339), Creators: []string{"Organization: The Platen Authors", "Tool: platen-dist"}},
		Packages:      append([]sbomPackage{root}, parts...),
		Relationships: []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", root.ID}},
	}
	for i := range d.Packages {
		p := &d.Packages[i]
		p.DownloadLocation, p.LicenseConcluded, p.Copyright = noAssertion, noAssertion, noAssertion
		p.LicenseDeclared = cmp.Or(licenses[p.Name+"@"+p.Version], noAssertion)
		if i > 0 {
			p.ID = fmt.Sprintf("SPDXRef-%d-%s", i, unfit.ReplaceAllString(p.Name, "-"))
			d.Relationships = append(d.Relationships, relationship{root.ID, "CONTAINS", p.ID})
		}
	}
	data, err = json.MarshalIndent(d, "", " ")
	return image + ".spdx.json", append(data, '\n'), err
}

// unfit matches what an SPDX identifier may not have.
var unfit = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// contents returns what the layers of an OCI archive hold.
func contents(archivePath string) (parts []sbomPackage, err error) {
	f, err := os.Open(archivePath)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	archive := tar.NewReader(f)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		start := make([]byte, 512)
		if n, err := io.ReadFull(archive, start); err != nil || string(start[257:262]) != "ustar" || !strings.HasPrefix(header.Name, "blobs/") || n < len(start) {
			continue // no layer
		}
		found, err := layer(tar.NewReader(io.MultiReader(bytes.NewReader(start), archive)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
		parts = append(parts, found...)
	}
}

// layer returns what a layer holds. Platen's programs are at the root of their images.
func layer(files *tar.Reader) (parts []sbomPackage, err error) {
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		switch name := path.Clean("/" + header.Name); {
		case name == "/var/lib/dpkg/status":
			found, err := debianPackages(files)
			if err != nil {
				return nil, err
			}
			parts = append(parts, found...)
		case path.Dir(name) == "/" && header.Typeflag == tar.TypeReg && header.Mode&0o111 != 0:
			program, err := io.ReadAll(files)
			if err != nil {
				return nil, err
			}
			if info, err := buildinfo.Read(bytes.NewReader(program)); err == nil {
				parts = append(parts, modules(info)...)
			}
		}
	}
}

// golang returns a Go module.
func golang(name, version string) sbomPackage {
	return sbomPackage{Name: name, Version: version, References: []externalName{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + name + "@" + escaped(version)}}}
}

// escaped returns a version as it is in a package URL.
func escaped(version string) string { return strings.ReplaceAll(version, "+", "%2B") }

// modules returns what a Go program is made of.
func modules(info *buildinfo.BuildInfo) []sbomPackage {
	parts := append(make([]sbomPackage, 0, 2+len(info.Deps)), golang("stdlib", strings.TrimPrefix(info.GoVersion, "go")), golang(info.Main.Path, info.Main.Version))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		p := golang(m.Path, m.Version)
		// go.sum has a hash of the hashes of a module's files.
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) > 0 {
			p.Checksums = []checksum{{"SHA256", hex.EncodeToString(sum)}}
		}
		parts = append(parts, p)
	}
	return parts
}

// debianPackages reads the status file of dpkg.
func debianPackages(status io.Reader) (parts []sbomPackage, err error) {
	var name, version, architecture string
	lines := bufio.NewScanner(status)
	lines.Buffer(nil, 1<<20)
	end := func() {
		if name != "" {
			parts = append(parts, sbomPackage{Name: name, Version: version, References: []externalName{{
				"PACKAGE-MANAGER", "purl", "pkg:deb/debian/" + name + "@" + escaped(version) + "?arch=" + architecture,
			}}})
		}
		name, version, architecture = "", "", ""
	}
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "":
			end()
		case "Package":
			name = value
		case "Version":
			version = value
		case "Architecture":
			architecture = value
		}
	}
	end()
	return parts, lines.Err()
}
