// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/platen-dev/platen/internal/storage"
)

// RegistryKeys are the keys that a FontSet reads for an image: those of a Secret of type kubernetes.io/dockerconfigjson.
var RegistryKeys = []Key{{Name: corev1.DockerConfigJsonKey, Document: true}}

// dockerConfig is the document of such a Secret.
type dockerConfig struct {
	Auths map[string]struct {
		Username      string `json:"username"`
		Password      string `json:"password"`
		Auth          string `json:"auth"`
		IdentityToken string `json:"identitytoken"`
	} `json:"auths"`
}

// Registry reads what a Secret of type kubernetes.io/dockerconfigjson has for a repository of a registry, such as registry.example.com/acme/fonts: the
// values username and password, or identityToken. Of several entries, that with the longest path decides, as the kubelet does it. The error is a
// *storage.Error when the Secret is at fault.
func (r Reader) Registry(ctx context.Context, namespace, name, repository string) (Redacted, error) {
	values, _, err := r.Read(ctx, namespace, name, RegistryKeys)
	if err != nil {
		return nil, err
	}
	config := dockerConfig{}
	if json.Unmarshal([]byte(values[corev1.DockerConfigJsonKey]), &config) != nil {
		return nil, fault(storage.ReasonSecretKeyInvalid, "Key '%s' of Secret '%s' must be what kubectl create secret docker-registry makes", corev1.DockerConfigJsonKey, name)
	}
	best, key := -1, ""
	for server := range config.Auths {
		if fit := fitOf(server, repository); fit > best || fit == best && server < key {
			best, key = fit, server
		}
	}
	if best < 0 {
		host, _, _ := strings.Cut(repository, "/")
		return nil, fault(storage.ReasonSecretKeyInvalid, "Key '%s' of Secret '%s' must have an entry for the registry '%s'", corev1.DockerConfigJsonKey, name, host)
	}
	entry := config.Auths[key]
	login := Redacted{"username": entry.Username, "password": entry.Password, "identityToken": entry.IdentityToken}
	if entry.Username == "" && entry.Auth != "" {
		decoded, err := base64.StdEncoding.DecodeString(entry.Auth)
		user, password, ok := strings.Cut(string(decoded), ":")
		if err != nil || !ok {
			return nil, fault(storage.ReasonSecretKeyInvalid, "Key '%s' of Secret '%s' must have a user and a password, joined by a colon and in base64, in each auth", corev1.DockerConfigJsonKey, name)
		}
		login["username"], login["password"] = user, password
	}
	if login["identityToken"] == "" && (login["username"] == "" || login["password"] == "") {
		return nil, fault(storage.ReasonSecretKeyInvalid, "Key '%s' of Secret '%s' must have a user and a password for the registry '%s'", corev1.DockerConfigJsonKey, name, key)
	}
	return login, nil
}

// hub has the names of Docker Hub.
var hub = map[string]bool{"docker.io": true, "index.docker.io": true, "registry-1.docker.io": true}

// fitOf returns how well a server of a dockerconfigjson fits a repository, or -1. A server is a host, perhaps with a scheme in front and a path behind it,
// and may have * in the labels of the host.
func fitOf(server, repository string) int {
	server = strings.TrimPrefix(strings.TrimPrefix(server, "https://"), "http://")
	host, folder, _ := strings.Cut(server, "/")
	if folder = strings.Trim(folder, "/"); folder == "v1" || folder == "v2" {
		folder = ""
	}
	wantedHost, wanted, _ := strings.Cut(repository, "/")
	labels, wantedLabels := strings.Split(host, "."), strings.Split(wantedHost, ".")
	same := host == wantedHost || hub[host] && hub[wantedHost]
	if !same && len(labels) != len(wantedLabels) {
		return -1
	}
	for i := range labels {
		if same {
			break
		}
		if ok, err := path.Match(labels[i], wantedLabels[i]); err != nil || !ok {
			return -1
		}
	}
	if folder != "" && folder != wanted && !strings.HasPrefix(wanted, folder+"/") {
		return -1
	}
	fit := 2 * len(folder)
	if same {
		fit++
	}
	return fit
}
