// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// A time that is not ahead would end every request, or delete every job before it is fetched.
func TestTimesArePositive(t *testing.T) {
	good := options{wait: time.Minute, ttl: time.Hour, signedURLTTL: time.Hour}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for flag, change := range map[string]func(*options){
		"wait": func(o *options) { o.wait = 0 }, "job-ttl": func(o *options) { o.ttl = 0 }, "signed-url-ttl": func(o *options) { o.signedURLTTL = 0 },
	} {
		o := good
		change(&o)
		if err := o.check(); err == nil || err.Error() != "--"+flag+": 0s must be at least 1s" {
			t.Errorf("%s: %v", flag, err)
		}
	}
}
