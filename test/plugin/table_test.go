// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/suite"
)

// jobsOf returns the jobs of a namespace.
func jobsOf(ctx context.Context, namespace string) ([]platenv1alpha1.RenderJob, error) {
	list := &platenv1alpha1.RenderJobList{}
	err := api.List(ctx, list, client.InNamespace(namespace))
	return list.Items, err
}

// finishTable plays the manager for so many jobs: it ends each as end says.
func finishTable(ctx context.Context, namespace string, jobs int, end func(*platenv1alpha1.RenderJob)) error {
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		all, err := jobsOf(ctx, namespace)
		if err != nil || len(all) < jobs {
			return false, err
		}
		for i := range all {
			all[i].Status.ObservedGeneration = &all[i].Generation
			end(&all[i])
			if err := api.Status().Update(ctx, &all[i]); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// table writes a table to a file.
func table(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRenderATable(t *testing.T) {
	namespace, folder := studio(t), t.TempDir()
	base := content(t, nil)
	ended := make(chan error, 1)
	go func() {
		ended <- finishTable(t.Context(), namespace, 3, func(job *platenv1alpha1.RenderJob) {
			switch job.Name {
			case "cards-1":
				rendered(base, "one")(job)
			case "cards-2":
				for _, kind := range []string{platenv1alpha1.RenderedCondition, platenv1alpha1.ReadyCondition} {
					suite.SetCondition(job, kind, metav1.ConditionFalse, platenv1alpha1.InvalidModificationsReason, "broken")
				}
				suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, "Failed", "broken")
			default:
				notUploaded(base)(job)
			}
		})
	}()
	people := table(t, "\ufeffheadline,price\r\nAda,\"12,50\"\r\n\"Grace, \"\"G\"\"\",\r\nHedy,3\r\n")
	r := platen(t, "render", "banner", "--csv", people, "--name", "cards", "-o", folder, "-n", namespace)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	want := []string{
		"2 of 3 jobs did not succeed:", "row 2: RenderJob " + namespace + "/cards-2 failed: broken",
		"row 3: RenderJob " + namespace + "/cards-3 is rendered, but not uploaded:", "Warning, row 3: Failed to upload to dropbox: Token  [31mexpired\n  Connect it again\n",
	}
	if r.code != 3 || slices.ContainsFunc(want, func(part string) bool { return !strings.Contains(r.errOut, part) }) {
		t.Errorf("exit code %d, %s", r.code, r.errOut)
	}
	if files := filepath.Join(folder, "cards-1.png") + "\n" + filepath.Join(folder, "cards-3.png") + "\n"; r.out != files {
		t.Errorf("files %s", r.out)
	}
	jobs, err := jobsOf(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for i := range jobs {
		got[jobs[i].Name] = string(jobs[i].Spec.Modifications.Raw)
	}
	wantModifications := map[string]string{"cards-1": `{"headline":"Ada","price":12.5}`, "cards-2": `{"headline":"Grace, \"G\""}`, "cards-3": `{"headline":"Hedy","price":3}`}
	if diff := cmp.Diff(got, wantModifications); diff != "" {
		t.Error(diff)
	}

	// The names are taken now.
	again := platen(t, "render", "banner", "--csv", people, "--name", "cards", "-n", namespace)
	if text := fmt.Sprintf("people.csv, row 1 (line 2): RenderJob %s/cards-1 exists already", namespace); again.code != 1 || !strings.Contains(again.errOut, text) || !strings.Contains(again.errOut, "(0 of 3 jobs are created)") {
		t.Errorf("exit code %d, %s", again.code, again.errOut)
	}
}

// A row whose job has no files prints nothing on the standard output.
func TestARowThatFailsPrintsNoFiles(t *testing.T) {
	namespace := studio(t)
	base := content(t, nil)
	ended := make(chan error, 1)
	go func() {
		ended <- finishTable(t.Context(), namespace, 2, func(job *platenv1alpha1.RenderJob) {
			if job.Name == "cards-2" {
				rendered(base, "one")(job)
				return
			}
			for _, kind := range []string{platenv1alpha1.RenderedCondition, platenv1alpha1.ReadyCondition} {
				suite.SetCondition(job, kind, metav1.ConditionFalse, platenv1alpha1.InvalidSpecReason, "broken")
			}
			suite.SetCondition(job, platenv1alpha1.FinishedCondition, metav1.ConditionTrue, "Failed", "broken")
		})
	}()
	r := platen(t, "render", "banner", "--csv", table(t, "headline\nAda\nGrace\n"), "--name", "cards", "--wait", "-n", namespace)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r.code != 3 || !strings.HasPrefix(r.out, "cards-2: 1 png file") || strings.Contains(r.out, "cards-1") {
		t.Errorf("exit code %d, %q, %s", r.code, r.out, r.errOut)
	}
}

// A name that is taken in the middle stops a table before its first job.
func TestATableWhoseNamesAreTakenMakesNoJob(t *testing.T) {
	namespace := studio(t)
	people := table(t, "headline\nAda\nGrace\nHedy\n")
	for _, taken := range []string{"cards-2", "cards-3"} {
		if r := platen(t, "render", "banner", "--set", "headline=x", "--name", taken, "-n", namespace); r.code != 0 {
			t.Fatal(r.errOut)
		}
	}
	r := platen(t, "render", "banner", "--csv", people, "--name", "cards", "-n", namespace)
	want := fmt.Sprintf("row 2 (line 3): RenderJob %[1]s/cards-2 exists already, and so do those of 1 other row: give another --name, or delete them (kubectl delete renderjob cards-2 cards-3 -n %[1]s) (0 of 3 jobs are created)", namespace)
	jobs, err := jobsOf(t.Context(), namespace)
	if err != nil || r.code != 1 || len(jobs) != 2 || !strings.Contains(r.errOut, want) {
		t.Errorf("%v, exit code %d, %d jobs, %s", err, r.code, len(jobs), r.errOut)
	}
	if r := platen(t, "render", "banner", "--csv", people, "-n", namespace); r.code != 0 {
		t.Errorf("names that end at random: %s", r.errOut)
	}
}

// A quota stops a table in the middle. What is there stays, and the rest is made once there is room.
func TestATableGoesOnAfterAQuota(t *testing.T) {
	namespace := studio(t)
	room := func(jobs string) {
		t.Helper()
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "jobs"}}
		if _, err := controllerutil.CreateOrUpdate(t.Context(), api, quota, func() error {
			quota.Spec.Hard = corev1.ResourceList{"count/renderjobs.platen.dev": resource.MustParse(jobs)}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		// The controller that counts is not there.
		all, err := jobsOf(t.Context(), namespace)
		quota.Status.Hard, quota.Status.Used = quota.Spec.Hard, corev1.ResourceList{"count/renderjobs.platen.dev": *resource.NewQuantity(int64(len(all)), resource.DecimalSI)}
		if err := errors.Join(err, api.Status().Update(t.Context(), quota)); err != nil {
			t.Fatal(err)
		}
	}
	values := func() (values []string) {
		t.Helper()
		jobs, err := jobsOf(t.Context(), namespace)
		if err != nil {
			t.Fatal(err)
		}
		for i := range jobs {
			values = append(values, string(jobs[i].Spec.Modifications.Raw))
		}
		slices.Sort(values)
		return values
	}
	room("2")
	people := table(t, "headline\nAda\nGrace\nHedy\n")
	for _, name := range [][]string{{"--name", "cards"}, nil} {
		if err := api.DeleteAllOf(t.Context(), &platenv1alpha1.RenderJob{}, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		room("2")
		args := append([]string{"render", "banner", "--csv", people, "-n", namespace}, name...)
		var r result
		// The quota's cache may not know its status yet.
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, timeout, true, func(context.Context) (bool, error) {
			r = platen(t, args...)
			return r.code == 1 && !strings.Contains(r.errOut, "status unknown for quota"), nil
		})
		if err != nil || !strings.Contains(r.errOut, "row 3 (line 4): ") || !strings.Contains(r.errOut, "(2 of 3 jobs are created; once there is room, the same command with --from-row 3 makes the rest)") {
			t.Fatalf("%v, exit code %d, %s%s", err, r.code, r.out, r.errOut)
		}
		room("5")
		err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, timeout, true, func(context.Context) (bool, error) {
			r = platen(t, append(args, "--from-row", "3")...)
			return r.code == 0, nil
		})
		if want := []string{`{"headline":"Ada"}`, `{"headline":"Grace"}`, `{"headline":"Hedy"}`}; err != nil || !cmp.Equal(values(), want) {
			t.Fatalf("%v, %s%s, %s", err, r.out, r.errOut, cmp.Diff(want, values()))
		}
		if name != nil && !strings.Contains(r.out, "renderjob.platen.dev/cards-3 created") {
			t.Errorf("%s", r.out)
		}
	}
	for _, row := range []string{"0", "4", "-1"} {
		if r := platen(t, "render", "banner", "--csv", people, "--from-row", row, "-n", namespace); r.code != 2 || !strings.Contains(r.errOut, "--from-row: "+row+" must be from 1 to 3, the number of rows") {
			t.Errorf("exit code %d, %s", r.code, r.errOut)
		}
	}
	if r := platen(t, "render", "banner", "--set", "headline=x", "--from-row", "2", "-n", namespace); r.code != 2 || !strings.Contains(r.errOut, "--from-row needs --csv") {
		t.Errorf("exit code %d, %s", r.code, r.errOut)
	}
}

func TestATableWithMistakesMakesNoJob(t *testing.T) {
	namespace := studio(t)
	for text, want := range map[string]string{
		"headline,price\nAda,1\nGrace,1 €\n": `row 2 (line 3), column price: "1 €" must be a number`,
		"headline,price\nAda,1\n,2\n":        "row 2 (line 3), column headline is required by the template",
		"headlin\nAda\n":                     "row 1 (line 2), column headline is required by the template; is 'headlin' a misspelling of it?",
		"headline\nAda,1\n":                  "row 1 (line 2) has 2 cells, and the header has 1",
	} {
		r := platen(t, "render", "banner", "--csv", table(t, text), "-n", namespace)
		jobs, err := jobsOf(t.Context(), namespace)
		if r.code != 2 || !strings.Contains(r.errOut, want) || len(jobs) > 0 || err != nil {
			t.Errorf("exit code %d, %s, %d jobs, %v", r.code, r.errOut, len(jobs), err)
		}
	}
	if r := platen(t, "render", "banner", "--csv", table(t, "headline\nAda\n"), "--file-name", "x", "-n", namespace); r.code != 2 || !strings.Contains(r.errOut, "--csv excludes --file-name") {
		t.Errorf("exit code %d, %s", r.code, r.errOut)
	}
}

// What a table's jobs are printed as can be applied.
func TestATableIsPrinted(t *testing.T) {
	namespace := studio(t)
	people := table(t, "headline\nAda\nGrace\n")
	for _, dryRun := range []string{"--dry-run=client", "--dry-run=server"} {
		r := platen(t, "render", "banner", "--csv", people, "--name", "cards", dryRun, "-o", "yaml", "-n", namespace)
		if r.code != 0 || strings.Count(r.out, "kind: RenderJob") != 2 || !strings.Contains(r.out, "name: cards-2") {
			t.Errorf("%s: exit code %d, %s%s", dryRun, r.code, r.out, r.errOut)
		}
	}
	if jobs, err := jobsOf(t.Context(), namespace); len(jobs) > 0 || err != nil {
		t.Errorf("%d jobs after dry runs, %v", len(jobs), err)
	}
	r := platen(t, "render", "banner", "--csv", people, "-o", "name", "-n", namespace)
	if r.code != 0 || strings.Count(r.out, "renderjob.platen.dev/banner-") != 2 {
		t.Errorf("exit code %d, %s%s", r.code, r.out, r.errOut)
	}
}
