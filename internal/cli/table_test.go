// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

func TestReadTable(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want table
		err  string
	}{
		"a table": {
			file: "name,city\nAda,London\nGrace,\n",
			want: table{columns: []string{"name", "city"}, rows: []tableRow{{1, 2, []string{"Ada", "London"}}, {2, 3, []string{"Grace", ""}}}},
		},
		"of a spreadsheet": {
			file: "\ufeffname , city\r\n\"Ada, \"\"A\"\"\",\"Two\r\nlines\"\r\nGrace,New York",
			want: table{columns: []string{"name", "city"}, rows: []tableRow{{1, 2, []string{`Ada, "A"`, "Two\nlines"}}, {2, 4, []string{"Grace", "New York"}}}},
		},
		"spaces stay":          {file: "a\n x \n", want: table{columns: []string{"a"}, rows: []tableRow{{1, 2, []string{" x "}}}}},
		"empty":                {err: "it is empty: its first line must have the names of the parameters"},
		"a header":             {file: "a,b\n", err: "it has a header and no rows"},
		"a column no name":     {file: "a,,c\n1,2,3\n", err: "column 2 has no name"},
		"a column twice":       {file: "a,b, a\n1,2,3\n", err: "two columns have the name a"},
		"semicolons":           {file: "a;b\n1;2\n", err: `its header is the one column "a;b"; separate columns with commas`},
		"tabs":                 {file: "a\tb\n1\t2\n", err: "separate columns with commas"},
		"a comma in a value":   {file: "a,b\n1,2\n1,000,2\n", err: "row 2 (line 3) has 3 cells, and the header has 2; put a value that has a comma into quotes"},
		"a cell is missing":    {file: "a,b\n1\n", err: "row 1 (line 2) has 1 cell, and the header has 2"},
		"a line of nothing":    {file: "a\nx\n\ny\n", err: "row 2 (line 3) has no values; delete it"},
		"after the header":     {file: "a\r\n\r\nx\r\n", err: "row 1 (line 2) has no values; delete it"},
		"lines at the end":     {file: "a\n\"x\n\"\ny\n\n\n", want: table{columns: []string{"a"}, rows: []tableRow{{1, 2, []string{"x\n"}}, {2, 4, []string{"y"}}}}},
		"lines that are none":  {file: "a,b\n1,2\n\n3,4\n", want: table{columns: []string{"a", "b"}, rows: []tableRow{{1, 2, []string{"1", "2"}}, {2, 4, []string{"3", "4"}}}}},
		"a row of nothing":     {file: "a,b\n1,2\n,\n", err: "row 2 (line 3) has no values; delete it"},
		"a quote in a cell":    {file: "a,b\n1,5\" long\n", err: `line 2: a quote in a cell without quotes; write "" for a quote, in a cell within quotes`},
		"quotes without end":   {file: "a,b\n1,\"x\n", err: "quotes that do not end"},
		"not UTF-8":            {file: "a\nGr\xfc\xdfe\n", err: "it is not in UTF-8; save it as CSV UTF-8"},
		"UTF-16":               {file: "\xff\xfea\x00\n\x00", err: "it is not in UTF-8"},
		"too many rows":        {file: "a\n" + strings.Repeat("1\n", maxRows+1), err: "it has more than 1000 rows"},
		"too many columns":     {file: strings.Repeat("a,", maxColumns) + "a\n1\n", err: "it has more than 200 columns"},
		"too large":            {file: "a\n" + strings.Repeat("x", maxTable), err: "it is larger than 16.0 MiB; split it"},
		"as many rows as fits": {file: "a\n" + strings.Repeat("1\n", 3), want: table{columns: []string{"a"}, rows: []tableRow{{1, 2, []string{"1"}}, {2, 3, []string{"1"}}, {3, 4, []string{"1"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			streams, in, _, _ := genericiooptions.NewTestIOStreams()
			in.WriteString(c.file)
			got, err := (&options{IOStreams: streams}).readTable("-")
			if c.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "--csv -: ") || !strings.Contains(err.Error(), c.err) || exitCodeOf(err) != exitUsage {
					t.Fatalf("%v, want %s", err, c.err)
				}
				return
			}
			c.want.name = "-"
			if err != nil || !cmp.Equal(*got, c.want, cmp.AllowUnexported(table{}, tableRow{})) {
				t.Errorf("%v, %s", err, cmp.Diff(*got, c.want, cmp.AllowUnexported(table{}, tableRow{})))
			}
		})
	}
}

// theTableTemplate has a parameter of each type.
func theTableTemplate() *platenv1alpha1.RenderTemplate {
	template := &platenv1alpha1.RenderTemplate{}
	template.Name, template.Namespace = "card", "default"
	for _, kind := range []platenv1alpha1.ParameterType{
		platenv1alpha1.ParameterText, platenv1alpha1.ParameterNumber, platenv1alpha1.ParameterBoolean, platenv1alpha1.ParameterColor,
		platenv1alpha1.ParameterImage, platenv1alpha1.ParameterList, platenv1alpha1.ParameterDate,
	} {
		template.Spec.Parameters = append(template.Spec.Parameters, platenv1alpha1.Parameter{Name: string(kind), Type: kind})
	}
	template.Spec.Parameters[0].Required = new(true)
	template.Spec.Pages = []platenv1alpha1.TemplatePage{{Name: "front", Width: 10, Height: 10, HTML: "<p data-param=text>x</p><p data-param=other></p><p data-if=flag></p><p data-if=order.paid><b data-param=order.note>x"}}
	return template
}

// tableOf returns what render makes of a table and flags.
func tableOf(t *testing.T, file string, flags ...string) ([]platenv1alpha1.RenderJobSpec, error) {
	t.Helper()
	streams, in, _, _ := genericiooptions.NewTestIOStreams()
	in.WriteString(file)
	r := &renderCommand{options: &options{IOStreams: streams}}
	command := &cobra.Command{}
	r.add(r.options, command)
	if err := command.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	rows, err := r.readTable("-")
	if err != nil {
		t.Fatal(err)
	}
	return r.tableSpecs(rows, theTableTemplate())
}

// A cell becomes what --set makes of the same text, whatever its parameter's type is.
func TestCellsAreReadAsSetReads(t *testing.T) {
	for _, pair := range [][2]string{
		{"text", "1.10"}, {"text", " a "}, {"text", "false"}, {"number", "12,50"}, {"number", "007"}, {"boolean", "FALSE"}, {"boolean", "1"}, {"color", "#0a7"},
		{"image", "https://example.com/a.png"}, {"list", "one\ntwo"}, {"list", `["a", 1.10]`}, {"date", "2026-11-26"}, {"other", "false"}, {"other", "3"},
		{"other", "1.10"}, {"other", "9007199254740993"}, {"other", "null"}, {"page2@number", "1"}, {"front.color", "red"}, {"number", " "},
	} {
		key, text := pair[0], pair[1]
		t.Run(key+" "+text, func(t *testing.T) {
			file := fmt.Sprintf("%s\n\"%s\"\n", key, strings.ReplaceAll(text, `"`, `""`))
			flags := make([]string, 0, 4)
			if key != "text" {
				flags = append(flags, "--set-string", "text=x")
			}
			cells, err := tableOf(t, file, flags...)
			if err != nil || len(cells) != 1 {
				t.Fatalf("%v, %v", cells, err)
			}
			f := outputFlagsOf(t, append(flags, "--set", key+"="+text)...)
			if set, err := f.spec(theTableTemplate()); err != nil || !cmp.Equal(cells[0], set) {
				t.Errorf("%v, %s", err, cmp.Diff(cells[0], set))
			}
		})
	}
}

func TestTableSpecs(t *testing.T) {
	for name, c := range map[string]struct {
		file  string
		flags []string
		// want has the modifications of each job.
		want []string
		err  string
	}{
		"rows":                  {file: "text,number\nAda,1\nGrace,2\n", want: []string{`{"number":1,"text":"Ada"}`, `{"number":2,"text":"Grace"}`}},
		"a cell without value":  {file: "text,number\nAda,\n", want: []string{`{"text":"Ada"}`}},
		"a value for all":       {file: "text\nAda\nGrace\n", flags: []string{"--set", "number=3"}, want: []string{`{"number":3,"text":"Ada"}`, `{"number":3,"text":"Grace"}`}},
		"words of spreadsheets": {file: "text,flag,other\nAda,FALSE,FALSE\nGrace,TRUE,no\n", want: []string{`{"flag":false,"other":"FALSE","text":"Ada"}`, `{"flag":true,"other":"no","text":"Grace"}`}},
		"words in an object":    {file: "text,order.paid,order.note\nAda,FALSE,FALSE\n", want: []string{`{"order.note":"FALSE","order.paid":false,"text":"Ada"}`}},
		"given twice":           {file: "text\nAda\n", flags: []string{"--set", "text=x"}, err: "--csv -: a flag gives text already, which is a column; give it once"},
		"a bad cell": {
			file: "text,date\nAda,2026-11-26\nGrace,26.11.2026\n",
			err:  "--csv -: no job is created, because of 1 mistake:\n  row 2 (line 3), column date: \"26.11.2026\" must be a date, such as 2026-11-26, or a time, such as 2026-11-26T09:30:00Z (the parameter of template 'card' is of type date)",
		},
		"bad cells": {
			file: "text,number,boolean\nAda,\"1,000\",yes\n",
			err:  "row 1 (line 2), column boolean: \"yes\" must be true or false",
		},
		"a required cell":                {file: "text,number\nAda,1\n,2\n", err: "row 2 (line 3), column text is required by the template"},
		"a required column":              {file: "number\n1\n", err: "row 1 (line 2), column text is required by the template"},
		"a bad cell and no required one": {file: "text,number\n,many\n", err: "because of 2 mistakes:\n  row 1 (line 2), column number: \"many\" must be a number"},
		"and the required one":           {file: "text,number\n,many\n", err: "\n  row 1 (line 2), column text is required by the template"},
		"a bad required cell":            {file: "date\nx\n", err: "because of 2 mistakes:"},
		"a row that is too large":        {file: "text,number\nAda,1\n" + strings.Repeat("x", 1<<20) + ",2\n", err: "no job is created, because of 1 mistake:\n  row 2 (line 3), the values: 1048598 bytes must be at most 1048576"},
		"an option":                      {file: "text\nAda\n", flags: []string{"--format", "bmp"}, err: "--format must be one of"},
		"an option, a flag and a cell": {
			file: "text,number\nAda,x\nGrace,2\n", flags: []string{"--scale", "11", "--set", "date"},
			err: "2 mistakes:\n  --scale: '11' must be a decimal number from 0.1 to 10\n  --set must be KEY=VALUE, not \"date\"\n--csv -: no job is created, because of 1 mistake:\n  row 1 (line 2), column number: ",
		},
		"an option that no row can have": {file: "text\nAda\nGrace\n", flags: []string{"--scale", "10", "--size", "5000x9", "--format", "webp"}, err: "--format: page 1 would be 50000x90 pixels"},
		"a mistake of each row":          {file: "txt,number\nAda,1\nBob,y\n", err: "because of 2 mistakes:\n  each row, column text is required by the template; is 'txt' a misspelling of it?\n  row 2 (line 3), column number: \"y\" must be"},
		"a mistake of the only row":      {file: "number\n1\n", err: "because of 1 mistake:\n  row 1 (line 2), "},
		"more mistakes than fit":         {file: "text,number\n" + strings.Repeat("Ada,x\n", maxProblems+2) + "Ada,1\n", err: "because of 12 mistakes:\n  row 1 (line 2)"},
		"and how many":                   {file: "text,number\n" + strings.Repeat("Ada,x\n", maxProblems+2) + "Ada,1\n", err: "\n  and 2 more"},
	} {
		t.Run(name, func(t *testing.T) {
			specs, err := tableOf(t, c.file, c.flags...)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || exitCodeOf(err) != exitUsage {
					t.Fatalf("%v\nwant %s", err, c.err)
				}
				return
			}
			got := make([]string, 0, len(specs))
			for _, spec := range specs {
				got = append(got, string(spec.Modifications.Raw))
			}
			if err != nil || !cmp.Equal(got, c.want) {
				t.Errorf("%v, %s", err, cmp.Diff(got, c.want))
			}
		})
	}
}

// Whoever waits for a table learns why its jobs do not begin, while they wait and at the end.
func TestATableSaysWhyItsJobsWait(t *testing.T) {
	job := func(name string, conditions ...metav1.Condition) *platenv1alpha1.RenderJob {
		job := &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: name, Generation: 1}}
		job.Spec.TemplateRef.Name = "card"
		job.Status.ObservedGeneration = new(int64(1))
		job.Status.Conditions = conditions
		return job
	}
	ready := metav1.Condition{Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionFalse, Reason: platenv1alpha1.RenderFailedReason, Message: "broken"}
	failed := job("card-1", ready, metav1.Condition{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue})
	ready.Status, ready.Reason, ready.Message = metav1.ConditionUnknown, platenv1alpha1.FontSetNotFoundReason, "FontSet 'house': it does not exist"
	waits := job("card-2", ready)
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	r := &renderCommand{options: &options{IOStreams: streams, given: New(streams).PersistentFlags()}, timeout: 300 * time.Millisecond, output: "out"}
	c := &cluster{namespace: "marketing", WithWatch: fake.NewClientBuilder().WithScheme(scheme).WithObjects(failed, waits).Build()}
	_, err := r.awaitTable(t.Context(), c, &table{rows: []tableRow{{number: 1}, {number: 2}}}, []*platenv1alpha1.RenderJob{failed, waits})
	const why = "card-2 waits (FontSetNotFound: FontSet 'house': it does not exist)"
	want := "1 of 2 jobs finished within 300ms: " + why + ", and the rest goes on; see kubectl platen status -n marketing; 1 of them did not succeed:\n  row 1: RenderJob marketing/card-1 failed: broken"
	if err == nil || err.Error() != want || exitCodeOf(err) != exitTimeout {
		t.Errorf("the error is %v, want %s", err, want)
	}
	if got := errOut.String(); !strings.Contains(got, "1 of 2 jobs finished; "+why+"\n") || !strings.Contains(got, "Next: Create the FontSet") {
		t.Errorf("the progress is\n%s", got)
	}
}

// What a command prints on a terminal stands on lines of its own, and not behind the bar.
func TestProgressMakesRoom(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out, terminal: true, began: time.Now(), stop: make(chan struct{})}
	p.pause(func() { out.WriteString("first\n") })
	p.show(1, 2, "1 of 2")
	drawn := out.Len()
	p.pause(func() { out.WriteString("out/a.png\n") })
	p.end()
	if got, want := out.String()[drawn:], "\r\x1b[Kout/a.png\n\r\x1b[K"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.HasPrefix(out.String(), "first\n") {
		t.Errorf("got %q", out.String())
	}
}
