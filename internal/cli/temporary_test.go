// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// A person who has interrupted a command still hears what it could not delete.
func TestInterruptionShowsWhatIsLeft(t *testing.T) {
	c := &cluster{fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			return errors.New("no")
		},
	}).Build(), nil, "marketing"}
	ctx, cancel := context.WithCancel(t.Context())
	template, job := &platenv1alpha1.RenderTemplate{}, &platenv1alpha1.RenderJob{}
	discard, err := c.createTemporary(ctx, "hello-", template, job)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	var out bytes.Buffer
	code := exitCode(ctx, New(genericiooptions.NewTestIOStreamsDiscard()), errors.Join(ctx.Err(), discard()), &out)
	if code != exitInterrupted || !strings.HasPrefix(out.String(), "interrupted\n") {
		t.Errorf("exit code %d, %s", code, &out)
	}
	for _, command := range []string{"kubectl delete renderjob " + job.Name, "kubectl delete rendertemplate " + template.Name} {
		if !strings.Contains(out.String(), command+" -n marketing") {
			t.Errorf("no %q in %s", command, &out)
		}
	}
}

// Whoever interrupts the jobs of a table learns with which row to go on, and the row that is on its way gets its job.
func TestAnInterruptedTableNamesTheNextRow(t *testing.T) {
	for _, at := range []int{1, 3} {
		t.Run(fmt.Sprintf("in row %d", at), func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			created := 0
			c := &cluster{fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
				Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
					if created++; created == at {
						interrupt()
					}
					if err := ctx.Err(); err != nil {
						return err
					}
					return c.Create(ctx, object, options...)
				},
			}).Build(), nil, "marketing"}
			given := pflag.NewFlagSet("", pflag.ContinueOnError)
			genericclioptions.NewConfigFlags(true).AddFlags(given)
			streams, _, out, _ := genericiooptions.NewTestIOStreams()
			r := &renderCommand{options: &options{IOStreams: streams, given: given}, dryRun: dryRunNone, name: "card", fromRow: 1}
			rows, jobs := &table{name: "people.csv"}, make([]*platenv1alpha1.RenderJob, 0, 3)
			for i := range 3 {
				rows.rows = append(rows.rows, tableRow{number: i + 1, line: i + 2})
				jobs = append(jobs, &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: fmt.Sprintf("card-%d", i+1)}})
			}
			err, want := r.renderTable(ctx, c, rows, jobs), "<nil>"
			if at < 3 {
				want = "1 of 3 jobs are created and go on; see kubectl platen status -n marketing; the same command with --from-row 2 makes the rest"
			}
			if fmt.Sprint(err) != want || created != at || strings.Count(out.String(), " created") != at {
				t.Errorf("%v, want %s; %d jobs, %s", err, want, created, out)
			}
		})
	}
}

// Files of jobs for which nobody waits any more are not forgotten.
func TestFetchThose(t *testing.T) {
	jobs := make([]*platenv1alpha1.RenderJob, 0, 12)
	for i := range 12 {
		jobs = append(jobs, &platenv1alpha1.RenderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: fmt.Sprintf("card-%d", i+1)}})
	}
	r := &renderCommand{output: "my cards"}
	if got, want := r.fetchThose(jobs[:2]), "; kubectl platen fetch card-1 card-2 --wait -o 'my cards' -n marketing fetches the files of those"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.fetchThose(jobs); !strings.Contains(got, "card-10 … --wait") {
		t.Errorf("got %q", got)
	}
	for _, output := range []string{"", "json", "name"} {
		r.output = output
		if got := r.fetchThose(jobs); got != "" {
			t.Errorf("%q: %q", output, got)
		}
	}
}
