// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "path/filepath"

// controlPlane is the nice value of what runs on nodes of its own in other clusters.
const controlPlane = -10

// daemons returns the cluster's programs by name.
func (c *cluster) daemons(bin string) map[string]daemon {
	pki := func(name string) string { return c.path("pki", name) }
	config := func(name string) string { return c.path("config", name) }
	all := []daemon{
		{
			name: "etcd",
			nice: controlPlane,
			argv: []string{
				"--data-dir=" + c.path("etcd"),
				"--unsafe-no-fsync", // a development cluster need not survive a power cut
				"--listen-client-urls=http://127.0.0.1:2379",
				"--advertise-client-urls=http://127.0.0.1:2379",
				"--listen-peer-urls=http://127.0.0.1:2380",
			},
		},
		{
			name: "kube-apiserver",
			nice: controlPlane,
			argv: []string{
				"--etcd-servers=http://127.0.0.1:2379",
				"--bind-address=0.0.0.0",
				"--advertise-address=" + nodeIP,
				"--service-cluster-ip-range=" + serviceCIDR,
				"--allow-privileged=true",
				"--authorization-mode=Node,RBAC",
				"--enable-admission-plugins=NodeRestriction",
				"--client-ca-file=" + pki("ca.crt"),
				"--tls-cert-file=" + pki("apiserver.crt"),
				"--tls-private-key-file=" + pki("apiserver.key"),
				"--kubelet-certificate-authority=" + pki("ca.crt"),
				"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"),
				"--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
				"--kubelet-preferred-address-types=InternalIP",
				"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
				"--service-account-key-file=" + pki("service-account.pub"),
				"--service-account-signing-key-file=" + pki("service-account.key"),
				"--audit-policy-file=" + config("audit-policy.yaml"),
				"--audit-log-path=" + c.path("audit.log"),
				"--audit-log-maxsize=1000", // megabytes; tests that count writes read one file
				"--shutdown-delay-duration=0s",
			},
			files: []string{config("audit-policy.yaml"), pki("ca.crt")},
		},
		{
			name: "kube-controller-manager",
			nice: controlPlane,
			argv: []string{
				"--kubeconfig=" + config("kube-controller-manager.kubeconfig"),
				"--bind-address=127.0.0.1",
				"--leader-elect=false",
				"--use-service-account-credentials=true",
				"--service-account-private-key-file=" + pki("service-account.key"),
				"--root-ca-file=" + pki("ca.crt"),
				"--cluster-signing-cert-file=" + pki("ca.crt"),
				"--cluster-signing-key-file=" + pki("ca.key"),
				"--kube-api-qps=100",
				"--kube-api-burst=200",
				"--flex-volume-plugin-dir=" + c.path("kubelet-plugins"),
			},
			files: []string{pki("ca.crt")},
		},
		{
			name: "kube-scheduler",
			nice: controlPlane,
			argv: []string{
				"--kubeconfig=" + config("kube-scheduler.kubeconfig"),
				"--bind-address=127.0.0.1",
				"--leader-elect=false",
			},
			files: []string{pki("ca.crt")},
		},
		{
			name: "kube-proxy",
			argv: []string{
				"--kubeconfig=" + config("kube-proxy.kubeconfig"),
				"--hostname-override=" + nodeName,
				"--cluster-cidr=" + podCIDR,
				"--proxy-mode=iptables",
				// The connection table belongs to the whole machine: leave its limits alone.
				"--conntrack-max-per-core=0",
				"--conntrack-tcp-timeout-established=0",
				"--conntrack-tcp-timeout-close-wait=0",
			},
			files: []string{pki("ca.crt")},
		},
		{
			name: enforcer,
			argv: []string{
				"--kubeconfig=" + c.kubeconfig(),
				"--hostname-override=" + nodeName,
				"--service-cluster-ip-range=" + serviceCIDR,
			},
			files: []string{pki("ca.crt")},
		},
		{
			name:  "coredns",
			argv:  []string{"-conf", config("Corefile")},
			files: []string{config("Corefile"), pki("ca.crt")},
		},
		{
			name:  "containerd",
			argv:  []string{"--config", config("containerd.toml")},
			files: []string{config("containerd.toml")},
		},
		{
			name: "kubelet",
			argv: []string{
				"--config=" + config("kubelet.yaml"),
				"--kubeconfig=" + config("kubelet.kubeconfig"),
				"--root-dir=" + c.path("kubelet"),
				"--cert-dir=" + c.path("kubelet", "pki"),
				"--hostname-override=" + nodeName,
				"--node-ip=" + nodeIP,
			},
			files: []string{config("kubelet.yaml"), pki("ca.crt")},
		},
	}
	byName := map[string]daemon{}
	for _, d := range all {
		d.argv = append([]string{filepath.Join(bin, d.name)}, d.argv...)
		byName[d.name] = d
	}
	return byName
}
