// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package attacks tests what hostile pages try over the network, with the browser and the proxy of render pods.
package attacks
