// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/platen-dev/platen/internal/storage"
)

func TestRegistryCredentials(t *testing.T) {
	const acme = "registry.example.com/acme/fonts"
	for name, c := range map[string]struct {
		document, repository string
		// user of the entry that is taken.
		user string
		// words of the error, if there is one.
		words string
	}{
		"a user":                {`{"auths":{"registry.example.com":{"username":"ada","password":"hush"}}}`, acme, "ada", ""},
		"joined":                {`{"auths":{"registry.example.com":{"auth":"YWRhOmh1c2g="}}}`, acme, "ada", ""},
		"a URL":                 {`{"auths":{"https://registry.example.com/v2/":{"auth":"YWRhOmh1c2g="}}}`, acme, "ada", ""},
		"a port":                {`{"auths":{"a:5000":{"username":"ada","password":"hush"}}}`, "a:5000/fonts", "ada", ""},
		"another port":          {`{"auths":{"a:5000":{"username":"ada","password":"hush"}}}`, "a:5001/fonts", "", "must have an entry for the registry 'a:5001'"},
		"the longest path":      {`{"auths":{"registry.example.com":{"username":"eve","password":"hush"},"registry.example.com/acme":{"username":"ada","password":"hush"}}}`, acme, "ada", ""},
		"a path of another":     {`{"auths":{"registry.example.com/acm":{"username":"ada","password":"hush"}}}`, acme, "", "must have an entry for the registry 'registry.example.com'"},
		"a name that begins so": {`{"auths":{"registry.example.com.evil.org":{"username":"ada","password":"hush"}}}`, acme, "", "must have an entry"},
		"any label":             {`{"auths":{"*.example.com":{"username":"ada","password":"hush"}}}`, acme, "ada", ""},
		"the name itself":       {`{"auths":{"*.example.com":{"username":"eve","password":"hush"},"registry.example.com":{"username":"ada","password":"hush"}}}`, acme, "ada", ""},
		"two labels":            {`{"auths":{"*.com":{"username":"ada","password":"hush"}}}`, acme, "", "must have an entry"},
		"Docker Hub":            {`{"auths":{"https://index.docker.io/v1/":{"auth":"YWRhOmh1c2g="}}}`, "index.docker.io/acme/fonts", "ada", ""},
		"Docker Hub, short":     {`{"auths":{"docker.io":{"auth":"YWRhOmh1c2g="}}}`, "index.docker.io/acme/fonts", "ada", ""},
		"no document":           {`hush`, acme, "", "must be what kubectl create secret docker-registry makes"},
		"no colon":              {`{"auths":{"registry.example.com":{"auth":"aHVzaA=="}}}`, acme, "", "joined by a colon and in base64"},
		"no base64":             {`{"auths":{"registry.example.com":{"auth":"hush!"}}}`, acme, "", "joined by a colon and in base64"},
		"no password":           {`{"auths":{"registry.example.com":{"username":"ada"}}}`, acme, "", "must have a user and a password for the registry"},
	} {
		t.Run(name, func(t *testing.T) {
			reader := Reader{fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(secret(map[string]string{".dockerconfigjson": c.document})).Build()}
			login, err := reader.Registry(t.Context(), "ns", "dropbox", c.repository)
			if c.words == "" && (err != nil || login["username"] != c.user || login["password"] != "hush") {
				t.Errorf("user %q, %v", login["username"], err)
			}
			if problem := (*storage.Error)(nil); c.words != "" && (!errors.As(err, &problem) || !strings.Contains(problem.Message, c.words) || strings.Contains(err.Error(), "hush")) {
				t.Errorf("got %v, want %q", err, c.words)
			}
		})
	}
}
