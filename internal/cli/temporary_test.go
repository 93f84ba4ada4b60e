// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

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
