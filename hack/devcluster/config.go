// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").Option("missingkey=error").ParseFS(templateFiles, "templates/*"))

// settings are the values for the templates.
type settings struct {
	State, Run, Bin                         string
	NodeName, NodeIP, DNSIP, PodCIDR        string
	CgroupName, ContainerdSocket, PauseName string
}

func (c *cluster) settings(bin string) settings {
	return settings{
		State: c.state, Run: c.run, Bin: bin,
		NodeName: nodeName, NodeIP: nodeIP, DNSIP: dnsIP, PodCIDR: podCIDR,
		CgroupName: cgroupName, ContainerdSocket: c.containerdSocket(), PauseName: pauseImage,
	}
}

// render fills one template.
func render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// configFiles maps each template to the path of its file below the state folder.
var configFiles = map[string]string{
	"audit-policy.yaml": "config/audit-policy.yaml",
	"containerd.toml":   "config/containerd.toml",
	"kubelet.yaml":      "config/kubelet.yaml",
	"Corefile":          "config/Corefile",
	"cni.conflist":      "config/cni/10-platen-dev.conflist",
}

// writeConfig writes the configuration of all daemons and the kubeconfig of each user.
func (c *cluster) writeConfig(bin string) error {
	for name, target := range configFiles {
		data, err := render(name, c.settings(bin))
		if err != nil {
			return err
		}
		if err := replaceFile(c.path(target), data, 0o644); err != nil {
			return err
		}
	}
	for _, user := range []string{"kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"} {
		if err := c.writeKubeconfig(user, c.path("config", user+".kubeconfig")); err != nil {
			return err
		}
	}
	return c.writeKubeconfig("admin", c.kubeconfig())
}

func (c *cluster) writeKubeconfig(user, target string) error {
	ca, err1 := os.ReadFile(c.path("pki", "ca.crt"))
	cert, err2 := os.ReadFile(c.path("pki", user+".crt"))
	key, err3 := os.ReadFile(c.path("pki", user+".key"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	data, err := render("kubeconfig.yaml", map[string]string{
		"User": user, "Server": "https://" + nodeIP + ":6443",
		"CA":          base64.StdEncoding.EncodeToString(ca),
		"Certificate": base64.StdEncoding.EncodeToString(cert),
		"Key":         base64.StdEncoding.EncodeToString(key),
	})
	if err != nil {
		return err
	}
	return replaceFile(target, data, 0o600)
}

// replaceFile writes a file so that no reader ever sees half of it. It leaves a file alone that already has the data.
func replaceFile(name string, data []byte, mode os.FileMode) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	temp := name + ".new"
	if err := os.WriteFile(temp, data, mode); err != nil {
		return err
	}
	return os.Rename(temp, name)
}

// replaceLink makes name a link to target.
func replaceLink(target, name string) error {
	if old, err := os.Readlink(name); err == nil && old == target {
		return nil
	}
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	return os.Symlink(target, name)
}
