// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node reaches into the node of the development cluster, which runs on the machine of the tests: it signals the processes of
// pods, and reads the API server's audit log.
package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes"
)

// auditTimeout bounds the wait for the API server to write its audit log.
const auditTimeout = time.Minute

// ErrNoProcess means that no process of the pod's container runs on this machine.
var ErrNoProcess = errors.New("no process of the container runs on this machine")

// Signal sends a signal to every process of the pod's first container.
func Signal(pod *corev1.Pod, signal syscall.Signal) error {
	if len(pod.Status.ContainerStatuses) == 0 {
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, ErrNoProcess)
	}
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	processes, err := processes(id)
	if err != nil {
		return err
	}
	sent := 0
	for _, pid := range processes {
		if err := syscall.Kill(pid, signal); err == nil {
			sent++
		} else if !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("sending %s to process %d of pod %s/%s: %w", signal, pid, pod.Namespace, pod.Name, err)
		}
	}
	if sent == 0 {
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, ErrNoProcess)
	}
	return nil
}

// processes returns the ids of the processes in a container's cgroup.
func processes(container string) (pids []int, err error) {
	if container == "" {
		return nil, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		groups, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
		if err == nil && strings.Contains(string(groups), container) { // a process that has ended has none
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// AuditLog is the audit log of the development cluster's API server.
type AuditLog struct {
	// Path of the log: .devcluster/audit.log in the repository.
	Path string
	// Kube marks the end of what is read.
	Kube kubernetes.Interface
}

// End returns the log's present size, where the requests from now on begin.
func (l AuditLog) End() (int64, error) {
	info, err := os.Stat(l.Path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Writes returns the writes of Platen and its users from an offset until now. It leaves out the node, the control plane and leases. The
// mark must be new.
func (l AuditLog) Writes(ctx context.Context, offset int64, mark string) (writes []auditv1.Event, err error) {
	if err := l.Kube.CoreV1().RESTClient().Get().AbsPath("/version").Param("mark", mark).Do(ctx).Error(); err != nil {
		return nil, err
	}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, auditTimeout, true, func(context.Context) (marked bool, err error) {
		writes, marked, err = l.read(offset, mark)
		return marked, err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the marked request in the audit log: %w", err)
	}
	return writes, nil
}

// read returns the writes from an offset up to the marked request, and whether it is there.
func (l AuditLog) read(offset int64, mark string) (writes []auditv1.Event, marked bool, err error) {
	file, err := os.Open(l.Path)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, false, err
	}
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		var e auditv1.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, false, err
		}
		if strings.Contains(e.RequestURI, "mark="+mark) {
			return writes, true, nil
		}
		ours := e.User.Username == "system:serviceaccount:platen-system:platen-manager" || !strings.HasPrefix(e.User.Username, "system:")
		write := e.Verb != "get" && e.Verb != "list" && e.Verb != "watch"
		if ours && write && e.ObjectRef != nil && e.ObjectRef.Resource != "leases" {
			writes = append(writes, e)
		}
	}
}
