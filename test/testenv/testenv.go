// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testenv starts a real kube-apiserver and etcd with Platen's CRDs for tests, and validates objects against the CRDs without them.
package testenv

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
)

// startTimeout is long, because suites start next to each other on few cores.
const startTimeout = 2 * time.Minute

// Scheme returns a scheme with the types of Kubernetes and of Platen.
func Scheme() (*k8sruntime.Scheme, error) {
	scheme := k8sruntime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), platenv1alpha1.AddToScheme(scheme))
}

// Start starts the servers from the binaries in the folder KUBEBUILDER_ASSETS, which `make test` sets. stop ends them.
func Start() (config *rest.Config, stop func() error, err error) {
	environment, err := New()
	if err != nil {
		return nil, nil, err
	}
	config, err = environment.Start()
	return config, environment.Stop, err
}

// New returns the servers without starting them, for tests that need to know where they keep their keys.
func New() (*envtest.Environment, error) {
	folder, err := crds()
	return &envtest.Environment{
		CRDDirectoryPaths: []string{folder}, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: startTimeout, ControlPlaneStopTimeout: startTimeout,
	}, err
}

// crds returns the folder of Platen's CRDs.
func crds() (string, error) {
	root, err := Root()
	return filepath.Join(root, "config", "crd", "bases"), err
}

// Root returns the module's folder. Tests run in the folder of their package, somewhere below it.
func Root() (string, error) {
	folder, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "go.mod")); missing == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			err = errors.New("no go.mod in the working folder or above it")
		}
		folder = parent
	}
	return "", err
}
