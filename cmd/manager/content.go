// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/platen-dev/platen/internal/content"
)

// dispose tells S3 the Content-Disposition of what a signed URL returns. Other services cannot be told.
func dispose(as func(any) bool, disposition string) {
	if input := (*s3.GetObjectInput)(nil); as(&input) {
		input.ResponseContentDisposition = &disposition
	}
}

// copyContent is the command "manager content copy": it copies one content store to another.
func copyContent(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("manager content copy", flag.ContinueOnError)
	flags.SetOutput(out)
	source := flags.String("from", "", "URL of the content store to copy, as in --content-store")
	target := flags.String("to", "", "URL of the content store to copy to")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case *source == "" || *target == "" || flags.NArg() > 0:
		return errors.New("usage: manager content copy --from=URL --to=URL")
	case *source == *target:
		return errors.New("--from and --to name the same content store")
	}
	var stores []*content.Store
	for _, url := range []string{*source, *target} {
		store, err := content.Open(ctx, url, content.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		stores = append(stores, store)
	}
	copied, err := content.Copy(ctx, stores[0], stores[1])
	_, _ = fmt.Fprintf(out, "copied %d objects with %d bytes; %d were there already, %d are gone from the source\n",
		copied.Objects, copied.Bytes, copied.Present, copied.Gone)
	return err
}
