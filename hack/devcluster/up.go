// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// up makes the cluster ready, whatever state it is in.
func (c *cluster) up(ctx context.Context) error {
	if len(c.state) > maxStateDir {
		return fmt.Errorf("the path %s is too long for kubelet's sockets: %d bytes, at most %d; use a checkout with a shorter path",
			c.state, len(c.state), maxStateDir)
	}
	if err := c.ensurePackages(ctx); err != nil {
		return err
	}
	bin, err := c.binaries(ctx, programNames(), "")
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.claim(ctx); err != nil {
		return err
	}
	if err := c.prepare(ctx, bin); err != nil {
		return err
	}
	if err := c.startControlPlane(ctx, bin); err != nil {
		return err
	}
	if err := c.startNode(ctx, bin); err != nil {
		return err
	}
	if err := c.waitReady(ctx); err != nil {
		return err
	}
	// down removes the state folder; this kubectl stays.
	if err := os.MkdirAll(filepath.Join(c.repo, "bin"), 0o755); err != nil {
		return err
	}
	if err := replaceLink(filepath.Join(bin, "kubectl"), filepath.Join(c.repo, "bin", "kubectl")); err != nil {
		return err
	}
	c.printf("ready: Kubernetes %s, export KUBECONFIG=%s PATH=%s:$PATH", kubernetesVersion, c.kubeconfig(), filepath.Join(c.repo, "bin"))
	return nil
}

// prepare makes the folders, certificates, configuration, cgroups and network that the daemons need.
func (c *cluster) prepare(ctx context.Context, bin string) error {
	for _, dir := range []string{
		filepath.Join(c.run, "procs"), c.path("logs"), c.path("pod-logs"), c.path("config"), c.path("kubelet"),
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := replaceLink(bin, c.path("bin")); err != nil {
		return err
	}
	if err := c.ensurePKI(); err != nil {
		return err
	}
	if err := c.writeConfig(bin); err != nil {
		return err
	}
	if err := ensureCgroups(); err != nil {
		return fmt.Errorf("make the pods' cgroups: %w", err)
	}
	return c.ensureNetwork(ctx)
}

func (c *cluster) startControlPlane(ctx context.Context, bin string) error {
	d := c.daemons(bin)
	// containerd is not part of the control plane, but can start meanwhile.
	for _, name := range []string{"etcd", "containerd", "kube-apiserver"} {
		if err := c.ensure(ctx, d[name]); err != nil {
			return err
		}
	}
	client, err := c.apiClient()
	if err != nil {
		return err
	}
	err = c.ready(ctx, "kube-apiserver", time.Minute, func(ctx context.Context) error {
		return get(ctx, client, "https://"+nodeIP+":6443/readyz")
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		if err := c.ensure(ctx, d[name]); err != nil {
			return err
		}
	}
	manifests, err := render("manifests.yaml", c.settings(bin))
	if err != nil {
		return err
	}
	if _, err := c.kubectl(ctx, string(manifests), "apply", "-f", "-"); err != nil {
		return err
	}
	if err := c.ensureVolumes(ctx); err != nil {
		return err
	}
	return c.ensure(ctx, d["coredns"])
}

func (c *cluster) startNode(ctx context.Context, bin string) error {
	err := c.ready(ctx, "containerd", time.Minute, func(ctx context.Context) error {
		_, err := c.ctr(ctx, "version")
		return err
	})
	if err != nil {
		return err
	}
	if err := c.ensurePauseImage(ctx); err != nil {
		return err
	}
	return c.ensure(ctx, c.daemons(bin)["kubelet"])
}

// waitReady waits until a new pod finds everything that it needs.
func (c *cluster) waitReady(ctx context.Context) error {
	c.printf("waiting for the node, Service names and accounts")
	err := c.ready(ctx, "kubelet", 90*time.Second, c.nodeReady)
	if err != nil {
		return err
	}
	err = c.ready(ctx, "coredns", time.Minute, resolveService)
	if err != nil {
		return err
	}
	return c.ready(ctx, "kube-controller-manager", time.Minute, func(ctx context.Context) error {
		_, err := c.kubectl(ctx, "", "get", "serviceaccount", "default", "--namespace", "default")
		return err
	})
}

// nodeReady fails until the node is ready and has no taint.
func (c *cluster) nodeReady(ctx context.Context) error {
	out, err := c.kubectl(ctx, "", "get", "node", nodeName, "-o",
		`jsonpath={.status.conditions[?(@.type=="Ready")].status} {.spec.taints[*].key}`)
	if err != nil {
		return err
	}
	if strings.TrimSpace(out) != "True" {
		return fmt.Errorf("node is not ready: status and taints %q", out)
	}
	return nil
}

// resolveService asks the cluster's DNS through its Service, from the host, as a pod does. An answer shows that
// CoreDNS, kube-proxy and the routes work.
func resolveService(ctx context.Context) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, dnsIP+":53")
	}}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
	if err != nil {
		return err
	}
	if len(addresses) != 1 || addresses[0] != apiIP {
		return fmt.Errorf("the Service kubernetes resolves to %v, expected %s", addresses, apiIP)
	}
	return nil
}

// apiClient returns an HTTPS client with the administrator's rights.
func (c *cluster) apiClient() (*http.Client, error) {
	ca, err := os.ReadFile(c.path("pki", "ca.crt"))
	if err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(c.path("pki", "admin.crt"), c.path("pki", "admin.key"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("no certificate in ca.crt")
	}
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12,
		}},
	}, nil
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
