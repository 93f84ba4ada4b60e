// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testenv starts a real kube-apiserver and etcd for tests, with Platen's CRDs.
package testenv

import (
	"errors"
	"os"
	"path/filepath"

	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// Scheme knows Kubernetes' types and Platen's.
func Scheme() (*k8sruntime.Scheme, error) {
	scheme := k8sruntime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), platenv1alpha1.AddToScheme(scheme))
}

// Start starts the servers, whose binaries are in the folder KUBEBUILDER_ASSETS: `make test` sets it. stop ends them.
func Start() (config *rest.Config, stop func() error, err error) {
	environment, err := New()
	if err != nil {
		return nil, nil, err
	}
	config, err = environment.Start()
	return config, environment.Stop, err
}

// New returns the servers, for tests that need to know where they keep their keys. They are not started yet.
func New() (*envtest.Environment, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	return &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}, nil
}

// moduleRoot is the folder of go.mod. The tests run in the folder of their package, which is below it.
func moduleRoot() (string, error) {
	folder, err := os.Getwd()
	for ; err == nil; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", errors.New("no folder above the working directory has a go.mod")
		}
	}
	return "", err
}
