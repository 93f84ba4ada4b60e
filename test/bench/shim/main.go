// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Command shim loads the REST shim: many requests at a time, of which every answer must be right, and then one after the other,
// each of which finds an idle render pod. All are uploaded.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/bench/report"
	"github.com/platen-dev/platen/test/cluster"
)

// page is a card of 1200x630.
const page = `<!doctype html><body style="margin:0;font:64px sans-serif;color:white;background:linear-gradient(135deg,#0b3d91,#c33)">
<h1 data-param="headline" style="padding:120px 80px 0">Hello World</h1></body>`

func main() {
	requests := flag.Int("requests", 200, "how many requests are made")
	concurrency := flag.Int("concurrency", 20, "how many of them at a time")
	sequential := flag.Int("sequential", 50, "how many are made one after the other")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *requests, *concurrency, *sequential)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "shim:", err)
		os.Exit(1)
	}
}

// bench is a workspace to render in.
type bench struct {
	*cluster.Cluster
	namespace, url, token string
}

func run(ctx context.Context, requests, concurrency, sequential int) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	c, err := cluster.Open()
	if err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "bench-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := c.Create(ctx, namespace); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Delete(context.WithoutCancel(ctx), namespace)) }()
	b := &bench{Cluster: c, namespace: namespace.Name}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	// The first finds no pod.
	if _, err := b.render(ctx, "first"); err != nil {
		return err
	}
	began := time.Now()
	loaded, err := b.load(ctx, requests, concurrency)
	if err != nil {
		return err
	}
	took := time.Since(began)
	if err := b.check(ctx, requests+1); err != nil {
		return err
	}
	warm := make([]time.Duration, 0, sequential)
	for i := range sequential {
		one, err := b.render(ctx, fmt.Sprint("warm-", i))
		if err != nil {
			return err
		}
		warm = append(warm, one)
	}
	return report.Write(os.Stdout, "shim", []report.Figure{
		{Name: "load_right_answers", Value: float64(len(loaded)), Unit: "answers", Goal: fmt.Sprintf("= %d", requests)},
		{Name: "load_throughput", Value: float64(requests) / took.Seconds(), Unit: "1/s"},
		{Name: "load_p50_seconds", Value: report.Percentile(loaded, 50), Unit: "s"},
		{Name: "load_p99_seconds", Value: report.Percentile(loaded, 99), Unit: "s"},
		{Name: "warm_p50_seconds", Value: report.Percentile(warm, 50), Unit: "s", Goal: "<= 0.3"},
		{Name: "warm_p99_seconds", Value: report.Percentile(warm, 99), Unit: "s"},
	})
}

// prepare makes a template, a connection that works, and a caller.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.url, err = b.Shim(ctx); err != nil {
		return err
	}
	if b.token, err = b.Designer(ctx, b.namespace, "designer"); err != nil {
		return err
	}
	account := dropboxsim.Account{AppKey: b.namespace, RefreshToken: "refresh", Email: "bench@example.com", DisplayName: "Bench"}
	if err := b.Simulator().AddAccount(ctx, account); err != nil {
		return err
	}
	in := metav1.ObjectMeta{Namespace: b.namespace, Name: "card"}
	labeled := in
	labeled.Labels = map[string]string{platenv1alpha1.CredentialsLabel: "true"}
	connection := &platenv1alpha1.StorageConnection{ObjectMeta: in, Spec: platenv1alpha1.StorageConnectionSpec{
		Provider: platenv1alpha1.ProviderDropbox,
		Dropbox:  &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "card"}},
	}}
	for _, object := range []client.Object{
		&corev1.Secret{ObjectMeta: labeled, StringData: map[string]string{"appKey": b.namespace, "refreshToken": "refresh"}},
		connection,
		&platenv1alpha1.RenderTemplate{ObjectMeta: in, Spec: platenv1alpha1.RenderTemplateSpec{
			Pages: []platenv1alpha1.TemplatePage{{Name: "front", Width: 1200, Height: 630, HTML: page}},
		}},
	} {
		if err := b.Create(ctx, object); err != nil {
			return err
		}
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := b.Get(ctx, client.ObjectKeyFromObject(connection), connection)
		return meta.IsStatusConditionTrue(connection.Status.Conditions, platenv1alpha1.ReadyCondition), err
	})
}

// load makes requests, some at a time, and returns how long each took.
func (b *bench) load(ctx context.Context, requests, concurrency int) ([]time.Duration, error) {
	took := make([]time.Duration, requests)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for i := range requests {
		group.Go(func() (err error) {
			took[i], err = b.render(ctx, fmt.Sprint("load-", i))
			return err
		})
	}
	return took, group.Wait()
}

// render makes one request under a name of its own, and checks its answer.
func (b *bench) render(ctx context.Context, name string) (time.Duration, error) {
	body, err := json.Marshal(map[string]any{
		"templateId": "card", "modifications": map[string]string{"headline": name}, "response": map[string]string{"type": "url", "fileName": name},
	})
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/studio/render", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+b.token)
	began := time.Now()
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err
	}
	var got struct {
		Data        struct{ Content string }
		Connections []struct{ Path, Status string }
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: HTTP %d: %s", name, resp.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", name, err, answer)
	}
	if got.Data.Content == "" || len(got.Connections) != 1 || got.Connections[0].Status != "success" || got.Connections[0].Path != "/Renders/"+name+".png" {
		return 0, fmt.Errorf("%s: a wrong answer: %s", name, answer)
	}
	return took, nil
}

// check looks whether each request has left one file, committed once.
func (b *bench) check(ctx context.Context, want int) error {
	files, err := b.Simulator().Files(ctx, b.namespace)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Commits != 1 {
			return fmt.Errorf("%s was committed %d times", f.Path, f.Commits)
		}
	}
	if len(files) != want {
		return fmt.Errorf("%d files are in Dropbox, not %d", len(files), want)
	}
	return nil
}
