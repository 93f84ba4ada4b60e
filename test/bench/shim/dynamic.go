// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/bench/card"
)

// dynamic says how many dynamic URLs are opened.
type dynamic struct{ requests, keys, concurrency int }

// openDynamic opens each of the URLs many times, all of them from the beginning, and returns how long each answer of a picture that was there
// took, and how many renders there were.
func (b *bench) openDynamic(ctx context.Context, d dynamic) (hits []time.Duration, renders int, err error) {
	if err := b.allowDynamic(ctx); err != nil {
		return nil, 0, err
	}
	urls := make([]string, d.keys)
	for i := range urls {
		if urls[i], err = b.dynamicURL(ctx, fmt.Sprint("dynamic-", i)); err != nil {
			return nil, 0, err
		}
	}
	// Each of those who ask at a time has a connection, as browsers do.
	browser := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: d.concurrency}}
	defer browser.CloseIdleConnections()
	took := make([]time.Duration, d.requests)
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(d.concurrency)
	for i := range took {
		group.Go(func() (err error) {
			took[i], err = open(running, browser, urls[i%len(urls)])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, 0, err
	}
	jobs := &platenv1alpha1.RenderJobList{}
	if err := b.List(ctx, jobs, client.InNamespace(b.namespace)); err != nil {
		return nil, 0, err
	}
	for _, job := range jobs.Items {
		if strings.HasPrefix(job.Name, "dynamic-") && job.Status.Cache == platenv1alpha1.CacheMiss {
			renders++
		}
	}
	return took[min(d.keys, len(took)):], renders, nil // the first requests render
}

// allowDynamic enables dynamic URLs for the card.
func (b *bench) allowDynamic(ctx context.Context) error {
	template := &platenv1alpha1.RenderTemplate{}
	if err := b.Get(ctx, client.ObjectKey{Namespace: b.namespace, Name: card.Name}, template); err != nil {
		return err
	}
	template.Spec.DynamicURLs.Policy = platenv1alpha1.DynamicURLsEnabled
	const role = "platen-dynamic-urls"
	return errors.Join(b.Update(ctx, template), b.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "platen-system", Name: "platen-shim"}},
	}))
}

// dynamicURL returns a new dynamic URL.
func (b *bench) dynamicURL(ctx context.Context, headline string) (address string, err error) {
	body, err := json.Marshal(map[string]any{"templateId": card.Name, "modifications": map[string]string{"headline": headline}})
	if err != nil {
		return "", err
	}
	// The shim's watch may not have seen the template yet.
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/studio/dynamic-url", strings.NewReader(string(body)))
		if err != nil {
			return false, err
		}
		request.Header.Set("Authorization", "Bearer "+b.token)
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return false, nil
		}
		var made struct{ Data string }
		err = json.NewDecoder(resp.Body).Decode(&made)
		address = made.Data
		return true, err
	})
	if err != nil {
		return "", fmt.Errorf("making a dynamic URL: %w", err)
	}
	made, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return b.url + made.RequestURI(), nil
}

// open opens a URL, and returns how long the picture took.
func open(ctx context.Context, browser *http.Client, address string) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	resp, err := browser.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	size, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || size == 0) {
		err = fmt.Errorf("a dynamic URL: HTTP %d with %d bytes", resp.StatusCode, size)
	}
	return time.Since(began), err
}
