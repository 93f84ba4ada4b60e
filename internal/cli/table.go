// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/plural"
	"github.com/platen-dev/platen/internal/task"
)

const (
	// maxTable bounds the file that --csv names, in bytes.
	maxTable = 16 << 20
	// maxRows bounds the jobs of a table, and maxColumns the values of each.
	maxRows, maxColumns = 1000, 200
	// maxProblems bounds the mistakes that one error names.
	maxProblems = 10
)

// table is a CSV file (RFC 4180): the header has the keys of modifications, and each row below has the values of one job.
type table struct {
	name    string
	columns []string
	rows    []tableRow
}

// tableRow is a row of a table.
type tableRow struct {
	// number counts the rows below the header, from 1; line is the line of the file where the row begins.
	number, line int
	cells        []string
}

// String names the row.
func (r tableRow) String() string { return fmt.Sprintf("row %d (line %d)", r.number, r.line) }

// again says how to make the jobs of a row and of those after it.
func (r tableRow) again() string {
	return fmt.Sprintf("the same command with --from-row %d makes the rest", r.number)
}

// readTable reads a table from a file, or from the standard input if the name is -.
func (o *options) readTable(name string) (*table, error) {
	data, err := o.readFile(name, maxTable+1)
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxTable:
		return nil, usage("--csv %s: it is larger than %s; split it", name, file.Size(maxTable))
	case !utf8.Valid(data):
		return nil, usage("--csv %s: it is not in UTF-8; save it as CSV UTF-8", name)
	}
	t := &table{name: name}
	if err := t.parse(bytes.TrimPrefix(data, []byte("\ufeff"))); err != nil {
		return nil, usage("--csv %s: %w", name, err)
	}
	return t, nil
}

// from leaves out the rows before one. Those that stay keep their numbers.
func (t *table) from(row int) error {
	if row < 1 || row > len(t.rows) {
		return usage("--from-row: %d must be from 1 to %d, the number of rows of %s", row, len(t.rows), t.name)
	}
	t.rows = t.rows[row-1:]
	return nil
}

func (t *table) parse(data []byte) error {
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty: its first line must have the names of the parameters")
	}
	if err != nil {
		return csvError(err)
	}
	if err := t.setColumns(header); err != nil {
		return err
	}
	next, read := 1, int64(0) // the line after a row, and where it begins
	for {
		next, read = next+bytes.Count(data[read:reader.InputOffset()], []byte("\n")), reader.InputOffset()
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return csvError(err)
		}
		line, _ := reader.FieldPos(0)
		row := tableRow{len(t.rows) + 1, line, cells}
		if line > next && len(header) == 1 { // the reader takes an empty line for none, and spreadsheets write an empty cell so
			row.line, cells = next, []string{""}
		}
		switch {
		case row.number > maxRows:
			return fmt.Errorf("it has more than %d rows, each of which is a job; split it", maxRows)
		case len(cells) != len(header):
			return fmt.Errorf("%s has %s, and the header has %d; put a value that has a comma into quotes", row, plural.Count(len(cells), "cell"), len(header))
		case strings.Join(cells, "") == "":
			return fmt.Errorf("%s has no values; delete it", row)
		}
		t.rows = append(t.rows, row)
	}
	if len(t.rows) == 0 {
		return errors.New("it has a header and no rows")
	}
	return nil
}

// setColumns takes the keys of the header.
func (t *table) setColumns(header []string) error {
	if len(header) > maxColumns {
		return fmt.Errorf("it has more than %d columns", maxColumns)
	}
	for i, name := range header {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
			return fmt.Errorf("column %d has no name: the first line must have the names of the parameters", i+1)
		case slices.Contains(t.columns, name):
			return fmt.Errorf("two columns have the name %s", name)
		case len(header) == 1 && strings.ContainsAny(name, ";\t"):
			return fmt.Errorf("its header is the one column %q; separate columns with commas", name)
		}
		t.columns = append(t.columns, name)
	}
	return nil
}

// csvError says what is wrong with the syntax of a table.
func csvError(err error) error {
	syntax := (*csv.ParseError)(nil)
	if !errors.As(err, &syntax) {
		return err
	}
	why := syntax.Err.Error()
	switch {
	case errors.Is(err, csv.ErrBareQuote):
		why = "a quote in a cell without quotes"
	case errors.Is(err, csv.ErrQuote):
		why = "a quote in quotes that is not doubled, or quotes that do not end"
	}
	return fmt.Errorf(`line %d: %s; write "" for a quote, in a cell within quotes`, syntax.Line, why)
}

// tableSpecs returns the specs of the jobs of a table. The error names what is wrong with the flags and with the cells.
func (r *renderCommand) tableSpecs(t *table, template *platenv1alpha1.RenderTemplate) ([]platenv1alpha1.RenderJobSpec, error) {
	base, options := r.withoutModifications(template)
	if len(options) == 0 {
		_, found, err := r.withModifications(*base.DeepCopy(), template, nil)
		if err != nil {
			return nil, err
		}
		options = slices.DeleteFunc(found.list, func(one mistake) bool { return !one.option })
	}
	reader := newValueReader(template)
	common, wrong := r.modifications(reader)
	refused := []error{mistakes{list: slices.Concat(options, wrong)}.err()}
	for _, key := range t.columns {
		if _, ok := common[key]; ok {
			refused = append(refused, usage("--csv %s: a flag gives %s already, which is a column; give it once", t.name, key))
		}
	}
	r.columns = t.columns
	var specs []platenv1alpha1.RenderJobSpec
	var problems []rowProblem
	misread := func(key string) bool {
		return slices.ContainsFunc(wrong, func(one mistake) bool { return one.key == key })
	}
	for _, row := range t.rows {
		given, cells := maps.Clone(common), map[string]any{}
		before := len(problems)
		for i, key := range t.columns {
			if row.cells[i] == "" {
				continue // not given
			}
			value, err := reader.read(key, row.cells[i])
			cells[key] = value
			if err != nil {
				problems = append(problems, rowProblem{row, fmt.Sprintf("column %s: %s", key, err)})
				continue
			}
			given[key] = value
		}
		maps.Copy(cells, given)
		for _, err := range task.Missing(cells, template) {
			problems = append(problems, rowProblem{row, r.inFlags(err).Error()})
		}
		if len(problems) > before {
			continue
		}
		spec, found, err := r.withModifications(*base.DeepCopy(), template, given)
		if err != nil {
			return nil, err
		}
		for _, one := range found.ofValues().list { // the options are the same in each row
			if !misread(one.key) {
				problems = append(problems, rowProblem{row, one.text})
			}
		}
		specs = append(specs, spec)
	}
	return specs, errors.Join(append(refused, t.refuse(problems))...)
}

// rowProblem is a mistake in a row.
type rowProblem struct {
	row  tableRow
	text string
}

// refuse returns an error about rows; nil if there are no problems. It says once what each row has, such as a value that no column gives.
func (t *table) refuse(problems []rowProblem) error {
	if len(problems) == 0 {
		return nil
	}
	rows := map[string]int{}
	for _, one := range problems {
		rows[one.text]++
	}
	var lines []string
	for _, one := range problems {
		switch {
		case len(t.rows) == 1 || rows[one.text] < len(t.rows):
			lines = append(lines, fmt.Sprintf("%s, %s", one.row, one.text))
		case one.row.number == t.rows[0].number:
			lines = append(lines, "each row, "+one.text)
		}
	}
	return usage("--csv %s: no job is created, because of %s:\n%s", t.name, plural.Count(len(lines), "mistake"), listed(lines, 0))
}

// listed returns the first of many lines. more are those that are not among them.
func listed(lines []string, more int) string {
	text := "  " + strings.Join(lines[:min(len(lines), maxProblems)], "\n  ")
	if more += max(len(lines)-maxProblems, 0); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return text
}

// renderTable creates the jobs of a table, and waits for them and fetches their files as the flags say.
func (r *renderCommand) renderTable(ctx context.Context, c *cluster, t *table, jobs []*platenv1alpha1.RenderJob) error {
	if r.dryRun == dryRunClient {
		for i, job := range jobs {
			if err := r.admit(ctx, job); err != nil {
				return fmt.Errorf("--csv %s, %s: %w", t.name, t.rows[i], err)
			}
		}
		return r.printJobs(jobs, "created (dry run)")
	}
	if err := r.checkNames(ctx, c, t, jobs); err != nil {
		return err
	}
	for i, job := range jobs {
		if err := ctx.Err(); err != nil {
			if i == 0 || r.dryRun != dryRunNone {
				return err
			}
			_ = r.printJobs(jobs[:i], "created")
			return &goesOnError{fmt.Errorf("%d of %s are created and go on; see kubectl platen status -n %s; %s%s",
				i, plural.Count(len(jobs), "job"), job.Namespace, t.rows[i].again(), r.fetchThose(jobs[:i]))}
		}
		// Whoever interrupts the command waits for this row: else nobody would know whether its job is there.
		if err := r.create(context.WithoutCancel(ctx), c, job); err != nil {
			if i > 0 && r.dryRun == dryRunNone {
				_ = r.printJobs(jobs[:i], "created")
			}
			rest := ""
			if i > 0 && r.dryRun == dryRunNone {
				rest = t.restFrom(t.rows[i], err) + r.fetchThose(jobs[:i])
			}
			return fmt.Errorf("--csv %s, %s: %w (%d of %s are created%s)", t.name, t.rows[i], err, i, plural.Count(len(jobs), "job"), rest)
		}
	}
	if r.dryRun == dryRunServer {
		return r.printJobs(jobs, "created (server dry run)")
	}
	if !r.wait && !r.toFolder() {
		return r.printJobs(jobs, "created")
	}
	ended, failed := r.awaitTable(ctx, c, t, jobs)
	if r.printed() {
		failed = errors.Join(r.printJobs(ended, ""), failed)
	}
	return failed
}

// fetchThose says how to fetch the files of jobs for which the command does not wait; nothing if nobody asked for files.
func (r *renderCommand) fetchThose(jobs []*platenv1alpha1.RenderJob) string {
	if !r.toFolder() {
		return ""
	}
	names := make([]string, 0, maxProblems)
	for _, job := range jobs[:min(len(jobs), maxProblems)] {
		names = append(names, job.Name)
	}
	if len(jobs) > maxProblems {
		names = append(names, "…")
	}
	return fmt.Sprintf("; kubectl platen fetch %s --wait -o %s -n %s fetches the files of those", strings.Join(names, " "), shellWord(r.output), jobs[0].Namespace)
}

// checkNames refuses a table before its first job if there are jobs of the names already. Who may not list jobs learns of them one by one.
func (r *renderCommand) checkNames(ctx context.Context, c *cluster, t *table, jobs []*platenv1alpha1.RenderJob) error {
	if r.name == "" {
		return nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(platenv1alpha1.GroupVersion.WithKind("RenderJobList"))
	there := map[string]bool{}
	for _, name := range c.names(ctx, list, false) {
		there[name] = true
	}
	var taken []string
	var first tableRow
	for i, job := range jobs {
		if there[job.Name] {
			if len(taken) == 0 {
				first = t.rows[i]
			}
			taken = append(taken, job.Name)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	others, them := "", "it"
	if more := len(taken) - 1; more > 0 {
		others, them = ", and so do those of "+plural.Count(more, "other row"), "them"
	}
	if len(taken) <= maxProblems {
		them += fmt.Sprintf(" (kubectl delete renderjob %s -n %s)", strings.Join(taken, " "), c.namespace)
	}
	return fmt.Errorf("--csv %s, %s: RenderJob %s/%s exists already%s: give another --name, or delete %s (0 of %s are created)",
		t.name, first, c.namespace, taken[0], others, them, plural.Count(len(jobs), "job"))
}

// restFrom says how to make the jobs of a row and of those after it, if the cluster has refused the row's: nobody knows after any other error whether it is
// there.
func (t *table) restFrom(row tableRow, err error) string {
	switch {
	case noRoom(err):
		return "; once there is room, " + row.again()
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), exitCodeOf(err) == exitUsage:
		return "; once that is mended, " + row.again()
	default:
		return ""
	}
}

func (r *renderCommand) printJobs(jobs []*platenv1alpha1.RenderJob, what string) error {
	if r.printed() {
		objects := make([]runtime.Object, 0, len(jobs))
		for _, job := range jobs {
			objects = append(objects, job)
		}
		return printObjects(r.Out, r.output, objects...)
	}
	for i, job := range jobs {
		if name := job.Name; name != "" {
			fmt.Fprintf(r.Out, "renderjob.platen.dev/%s %s in namespace %s\n", name, what, job.Namespace)
		} else {
			fmt.Fprintf(r.Out, "renderjob.platen.dev/%s* %s in namespace %s, row %d\n", job.GenerateName, what, job.Namespace, i+r.fromRow)
		}
	}
	if r.dryRun == dryRunNone && len(jobs) > 0 {
		fmt.Fprint(r.ErrOut, r.sameCluster(fmt.Sprintf("Show their states: kubectl platen status -n %s\n", jobs[0].Namespace)))
	}
	return nil
}

// worst has the exit codes of a job, in the order in which one counts more than another.
var worst = []int{0, exitFailed, exitUploadFailed, exitUsage, exitRenderFailed, exitTimeout}

// failures are the jobs of a command that did not succeed.
type failures struct {
	// code is the exit code of the worst.
	code     int
	problems []string
}

// add adds a job, by a text about it.
func (f *failures) add(text string, err error) {
	if got := exitCodeOf(err); slices.Index(worst, got) > slices.Index(worst, f.code) {
		f.code = got
	}
	f.problems = append(f.problems, text)
}

// err returns the error about the failures among a number of jobs; nil if there are none.
func (f *failures) err(jobs int) error {
	if len(f.problems) == 0 {
		return nil
	}
	return &exitError{f.code, fmt.Errorf("%d of %s did not succeed:\n%s", len(f.problems), plural.Count(jobs, "job"), listed(f.problems, 0))}
}

// awaitTable waits for jobs in their order, in which the cluster takes them up, and returns those that have finished. The error says which did not
// succeed, with the exit code of the worst.
func (r *renderCommand) awaitTable(ctx context.Context, c *cluster, t *table, jobs []*platenv1alpha1.RenderJob) ([]*platenv1alpha1.RenderJob, error) {
	waiting, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	bar := newProgress(r.ErrOut)
	defer bar.end()
	var ended []*platenv1alpha1.RenderJob
	bad := failures{}
	fail := func(row tableRow, err error) { bad.add(fmt.Sprintf("row %d: %s", row.number, err), err) }
	goOn := func(finished string, job *platenv1alpha1.RenderJob) error {
		text := fmt.Sprintf("%s, and the rest goes on; see kubectl platen status -n %s", finished, job.Namespace)
		if len(bad.problems) > 0 {
			text += fmt.Sprintf("; %d of them did not succeed:\n%s", len(bad.problems), listed(bad.problems, 0))
		}
		return errors.New(text)
	}
	for i, job := range jobs {
		finished := fmt.Sprintf("%d of %s finished", i, plural.Count(len(jobs), "job"))
		bar.show(i, len(jobs), finished)
		last := job
		err := follow(waiting, c, job.Name, job.DeepCopy(), &platenv1alpha1.RenderJobList{}, func(now *platenv1alpha1.RenderJob) (bool, error) {
			last = now
			text := finished
			if why := held(now); why != "" {
				text += "; " + why
			}
			bar.show(i, len(jobs), text)
			return now.Finished(), nil
		})
		switch why := held(last); {
		case errors.Is(err, context.DeadlineExceeded) && why != "":
			bar.pause(func() { r.printNext(advice(last)) })
			return ended, &exitError{exitTimeout, goOn(fmt.Sprintf("%s within %s: %s", finished, r.timeout, why), job)}
		case errors.Is(err, context.DeadlineExceeded):
			return ended, &exitError{exitTimeout, goOn(fmt.Sprintf("%s within %s", finished, r.timeout), job)}
		case errors.Is(err, errGone):
			fail(t.rows[i], fmt.Errorf("RenderJob %s/%w", job.Namespace, err))
			continue
		case err != nil && ctx.Err() != nil:
			return ended, &goesOnError{goOn(finished, job)}
		case err != nil:
			return ended, err
		}
		ended = append(ended, last)
		failed, files := r.outcome(last), []string(nil)
		if r.toFolder() && len(last.Status.Pages) > 0 {
			if files, err = (downloader{cluster: c, platenNamespace: r.platenNamespace}).files(ctx, last, r.output); err != nil {
				if failed != nil {
					err = fmt.Errorf("%w; %w", failed, err)
				}
				failed = err
			}
		}
		if failed != nil {
			fail(t.rows[i], failed)
		}
		bar.pause(func() { r.printRow(t.rows[i], last, files) })
	}
	bar.show(len(jobs), len(jobs), fmt.Sprintf("%d of %s finished", len(jobs), plural.Count(len(jobs), "job")))
	return ended, bad.err(len(jobs))
}

// printRow prints what there is of the job of a row: the files in the folder, or where its files are, and its warnings.
func (r *renderCommand) printRow(row tableRow, job *platenv1alpha1.RenderJob, files []string) {
	if r.printed() {
		return
	}
	for _, file := range files {
		fmt.Fprintln(r.Out, file)
	}
	if text := (strings.Builder{}); !r.toFolder() {
		describeFiles(&text, job)
		describeUploads(&text, job)
		if text.Len() > 0 { // a job that has failed may have neither
			fmt.Fprintf(r.Out, "%s: %s", job.Name, &text)
		}
	}
	for _, w := range r.unsaid(job.Status.Warnings) {
		fmt.Fprintf(r.ErrOut, "Warning, row %d: %s\n", row.number, plain(w.Title))
		if details := ptr.Deref(w.Details, ""); details != "" {
			fmt.Fprintf(r.ErrOut, "  %s\n", plain(details))
		}
	}
}
