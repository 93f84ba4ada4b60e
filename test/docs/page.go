// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs runs the commands that README.md, CONTRIBUTING.md, SECURITY.md and docs/ show, and compares their output with what the pages say.
// CONTRIBUTING.md, "How we write pages", describes the marks that steer it.
package docs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Languages of fenced blocks that tests check. A language that is neither here nor in otherLanguages is a mistake.
const (
	Shell   = "sh"
	Console = "console"
	YAML    = "yaml"
)

var otherLanguages = []string{"html", "json", "python", "text"}

// Page is a Markdown file.
type Page struct {
	// Path relative to the repository's root.
	Path string
	// Blocks in their order.
	Blocks []Block
}

// Block is a fenced block of a page, or the commands of a setup mark.
type Block struct {
	// Line is the number of the block's first line of text, from 1.
	Line int
	// Language is the word after the fence. A setup mark has Shell.
	Language string
	// Text without the fences' indentation.
	Text string
	// Setup tells whether the block is a setup mark, which readers do not see.
	Setup bool
	// Cluster tells whether the block runs on a cluster with Platen and the Dropbox simulator.
	Cluster bool
	// NotRun says why the block does not run; empty if it does.
	NotRun string
	// File is the name under which a YAML block is saved for the page's commands; empty if it is not.
	File string
	// PartOf is the kind whose fields a YAML block shows; empty for whole objects.
	PartOf string
}

// Runs tells whether the block's commands run on the cluster, or without one if onCluster is false.
func (b Block) Runs(onCluster bool) bool {
	return (b.Language == Shell || b.Language == Console) && b.NotRun == "" && b.Cluster == onCluster
}

// ReadPages reads README.md, CONTRIBUTING.md, SECURITY.md and every page in docs/. The error joins what is wrong with any of them.
func ReadPages(root string) ([]Page, error) {
	paths := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".md" {
			relative, relErr := filepath.Rel(root, path)
			paths, err = append(paths, relative), relErr
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var pages []Page
	var problems []error
	for _, path := range paths {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return nil, err
		}
		page, err := Parse(path, string(text))
		pages, problems = append(pages, page), append(problems, err)
	}
	return pages, errors.Join(problems...)
}

var (
	fence     = regexp.MustCompile("^( *)(```+|~~~+) *(.*)$")
	notRun    = regexp.MustCompile(`^not run:(.*)$`)
	saveAs    = regexp.MustCompile(`^file: ([\w.-]+)$`)
	partOf    = regexp.MustCompile(`^part of (\w+)$`)
	setupMark = regexp.MustCompile(`^setup( on the cluster)?\n`)
)

// Parse finds the blocks of a page and the marks above them. The error joins every mark and fence that is wrong.
func Parse(path, text string) (Page, error) {
	p := pageReader{page: Page{Path: path}, lines: strings.Split(text, "\n")}
	for p.next < len(p.lines) {
		line := p.lines[p.next]
		switch opening := fence.FindStringSubmatch(line); {
		case opening != nil:
			p.block(opening[1], opening[2], opening[3])
		case strings.HasPrefix(strings.TrimSpace(line), "<!--"):
			p.comment()
		default:
			p.dropMarks()
			p.next++
		}
	}
	p.dropMarks()
	return p.page, errors.Join(p.problems...)
}

// pageReader reads a page from its first line to its last.
type pageReader struct {
	page  Page
	lines []string
	// next is the index of the line that is read next.
	next int
	// marks directly above the next line.
	marks    []mark
	problems []error
}

// mark is a comment of one line.
type mark struct {
	line int
	text string
}

func (p *pageReader) problem(line int, format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf("%s:%d: %s", p.page.Path, line, fmt.Sprintf(format, args...)))
}

// block reads a fenced block.
func (p *pageReader) block(indent, delimiter, language string) {
	opening := p.next + 1
	b := Block{Line: opening + 1, Language: language}
	var text []string
	for p.next++; ; p.next++ {
		if p.next == len(p.lines) {
			p.problem(opening, "the block has no end")
			break
		}
		line := p.lines[p.next]
		if strings.HasPrefix(strings.TrimSpace(line), delimiter) {
			p.next++
			break
		}
		text = append(text, strings.TrimPrefix(line, indent))
	}
	b.Text = strings.Join(text, "\n") + "\n"
	for _, m := range p.marks {
		p.apply(&b, m)
	}
	p.marks = nil
	if !slices.Contains(append([]string{Shell, Console, YAML}, otherLanguages...), language) {
		p.problem(opening, "the block's language is %q; write sh, console, yaml, or one of %s", language, strings.Join(otherLanguages, ", "))
	}
	if language == Console && !strings.HasPrefix(b.Text, prompt) {
		p.problem(b.Line, "a console block must begin with a command after %q", prompt)
	}
	p.page.Blocks = append(p.page.Blocks, b)
}

// apply applies a mark to the block below it.
func (p *pageReader) apply(b *Block, m mark) {
	match := func(r *regexp.Regexp) string {
		if found := r.FindStringSubmatch(m.text); found != nil {
			return strings.TrimSpace(found[1])
		}
		return ""
	}
	commands := b.Language == Shell || b.Language == Console
	switch {
	case m.text == "run on the cluster" && commands:
		b.Cluster = true
	case notRun.MatchString(m.text):
		if b.NotRun = match(notRun); b.NotRun == "" {
			p.problem(m.line, "the mark has no reason: write <!-- not run: WHY -->")
		}
	case saveAs.MatchString(m.text) && b.Language == YAML:
		b.File = match(saveAs)
	case partOf.MatchString(m.text) && b.Language == YAML:
		b.PartOf = match(partOf)
	default:
		p.problem(m.line, "no mark of a %s block: %q", b.Language, m.text)
	}
}

// comment reads a comment, which is a mark if a block follows directly.
func (p *pageReader) comment() {
	first := p.next + 1
	var lines []string
	for ; p.next < len(p.lines); p.next++ {
		lines = append(lines, p.lines[p.next])
		if strings.Contains(p.lines[p.next], "-->") {
			p.next++
			break
		}
	}
	text, _, ended := strings.Cut(strings.Join(lines, "\n"), "-->")
	if !ended {
		p.problem(first, "the comment has no end")
		return
	}
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "<!--"))
	if setup := setupMark.FindStringSubmatch(text); setup != nil {
		p.dropMarks()
		p.page.Blocks = append(p.page.Blocks, Block{
			Line: first + 1, Language: Shell, Text: text[len(setup[0]):] + "\n", Setup: true, Cluster: setup[1] != "",
		})
		return
	}
	p.marks = append(p.marks, mark{first, text})
}

// dropMarks reports marks that have no block below them. Other comments may stand anywhere.
func (p *pageReader) dropMarks() {
	for _, m := range p.marks {
		if m.text == "run on the cluster" || notRun.MatchString(m.text) || saveAs.MatchString(m.text) || partOf.MatchString(m.text) {
			p.problem(m.line, "the mark %q must stand directly above a block", m.text)
		}
	}
	p.marks = nil
}
