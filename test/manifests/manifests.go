// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifests tests what installs Platen: the kustomizations of config/ and the Helm chart.
package manifests
