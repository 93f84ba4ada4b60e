// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet runs cmd/manager as processes against a real kube-apiserver and etcd, with simulated render pods that have the dispatch client of
// real ones. Managers serve the pods as behind the Service: only those with the leader's label are reached.
package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/platen-dev/platen/test/program"
)

const (
	// ManagerNamespace is the namespace of the managers' pods, lease and keys.
	ManagerNamespace = "platen-system"
	// roleLabel of a manager's pod is roleLeader while it leads.
	roleLabel, roleLeader = "platen.dev/role", "leader"
	// shardLabel of a manager's pod is the shard that it leads, if there are several.
	shardLabel = "platen.dev/shard"

	// addressAnnotation of a manager's pod has the address of its dispatch server.
	addressAnnotation = "platen.dev/test-dispatch"
	// startTimeout bounds the start of a manager.
	startTimeout = 2 * time.Minute
)

// Manager is a process of cmd/manager, with a pod of its own.
type Manager struct {
	// Name of the pod.
	Name string
	// Log is the file of the process's output.
	Log string

	binary, kubeconfig                 string
	dispatch, content, probes, profile string
	arguments                          []string

	process *exec.Cmd
	ended   chan struct{}
	err     error
	output  *os.File
}

// NewManager creates the pod of a manager. The manager reaches the API server at kubeconfig, a file that Kubeconfig has written.
func (w *World) NewManager(ctx context.Context, name, kubeconfig string, arguments ...string) (*Manager, error) {
	m := &Manager{Name: name, Log: filepath.Join(w.Folder, name+".log"), binary: w.binary, kubeconfig: kubeconfig, arguments: arguments}
	addresses, err := program.FreeAddresses(ctx, 4)
	if err != nil {
		return nil, err
	}
	m.dispatch, m.content, m.probes, m.profile = addresses[0], addresses[1], addresses[2], addresses[3]
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: ManagerNamespace, Name: name, Annotations: map[string]string{addressAnnotation: m.dispatch},
		Labels: map[string]string{"app.kubernetes.io/name": "platen", "app.kubernetes.io/component": "manager"},
	}}
	pod.Spec.Containers = []corev1.Container{{Name: "manager", Image: "manager"}}
	return m, w.Client.Create(ctx, pod)
}

// Content returns the address of the content server.
func (m *Manager) Content() string { return m.content }

// Start starts the process.
func (m *Manager) Start() (err error) {
	m.output, err = os.OpenFile(m.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	m.process = exec.Command(m.binary, append([]string{
		"--namespace=" + ManagerNamespace, "--pod-name=" + m.Name, "--metrics-bind-address=0", "--health-probe-bind-address=" + m.probes,
		"--dispatch-bind-address=" + m.dispatch, "--content-bind-address=" + m.content, "--content-url=http://" + m.content,
		"--pprof-bind-address=" + m.profile,
	}, m.arguments...)...)
	m.process.Env = append(os.Environ(), "KUBECONFIG="+m.kubeconfig)
	m.process.Stdout, m.process.Stderr = m.output, m.output
	if err := m.process.Start(); err != nil {
		return fmt.Errorf("starting the manager: %w", err)
	}
	m.ended = make(chan struct{})
	go func(process *exec.Cmd, ended chan struct{}) {
		m.err = process.Wait()
		close(ended)
	}(m.process, m.ended)
	return nil
}

// Running returns an error if the process has ended by itself.
func (m *Manager) Running() error {
	if m.process == nil {
		return nil
	}
	select {
	case <-m.ended:
		return fmt.Errorf("%s has ended (%w); its log is %s", m.Name, m.err, m.Log)
	default:
		return nil
	}
}

// Leads returns once the dispatch server listens.
func (m *Manager) Leads(ctx context.Context) error {
	return m.poll(ctx, "does not lead", func() bool {
		connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", m.dispatch)
		if err != nil {
			return false
		}
		_ = connection.Close()
		return true
	})
}

// poll returns once a condition is true.
func (m *Manager) poll(ctx context.Context, otherwise string, condition func() bool) error {
	deadline := time.Now().Add(startTimeout)
	for !condition() {
		select {
		case <-m.ended:
			err := m.Running()
			m.process = nil
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s %s after %s; its log is %s", m.Name, otherwise, startTimeout, m.Log)
		}
	}
	return nil
}

// Ready returns once the process is ready.
func (m *Manager) Ready(ctx context.Context) error {
	return m.poll(ctx, "is not ready", func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.probes+"/readyz", nil)
		if err != nil {
			return false
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// ErrRunning means that a process has not ended in time.
var ErrRunning = errors.New("the manager still runs")

// Wait returns how the process has ended, or ErrRunning after a timeout.
func (m *Manager) Wait(timeout time.Duration) error {
	select {
	case <-m.ended:
		m.process = nil
		return errors.Join(m.err, m.output.Close())
	case <-time.After(timeout):
		return fmt.Errorf("%w: %s after %s; its log is %s", ErrRunning, m.Name, timeout, m.Log)
	}
}

// Stop sends a signal to the process and waits for its end.
func (m *Manager) Stop(signal syscall.Signal) error {
	if m.process == nil {
		return nil
	}
	if err := m.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		return errors.Join(errors.New("the manager has not ended within a minute"), m.process.Process.Kill())
	}
	m.process = nil
	return m.output.Close()
}

// Pause stops the process until it is resumed, as a machine does whose memory is written to disk.
func (m *Manager) Pause() (resume func() error, err error) {
	process := m.process.Process
	return func() error { return process.Signal(syscall.SIGCONT) }, process.Signal(syscall.SIGSTOP)
}

// Memory of a process in MiB.
type Memory struct {
	// Resident is what the process has in memory: Anonymous, and pages of its binary, which the kernel can drop. Peak is the most that was resident.
	Resident, Anonymous, Peak float64
}

// Memory returns the memory of the process.
func (m *Manager) Memory() (memory Memory, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.process.Process.Pid))
	if err != nil {
		return Memory{}, err
	}
	fields := map[string]*float64{"VmRSS:": &memory.Resident, "RssAnon:": &memory.Anonymous, "VmHWM:": &memory.Peak}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) < 2 || fields[words[0]] == nil {
			continue
		}
		kib, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return Memory{}, fmt.Errorf("memory of %s: %w", m.Name, err)
		}
		*fields[words[0]] = kib / 1024
	}
	return memory, nil
}

// CPU returns the CPU time that the process has used.
func (m *Manager) CPU() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// Goroutines returns the number of goroutines of the process.
func (m *Manager) Goroutines(ctx context.Context) (n int, err error) {
	data, err := m.fetch(ctx, "goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(string(data), "goroutine profile: total %d", &n)
	return n, err
}

// Descriptors returns the number of open files of the process.
func (m *Manager) Descriptors() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.process.Process.Pid))
	return len(entries), err
}

// MemoryAfterCollection returns the memory of the process after a garbage collection.
func (m *Manager) MemoryAfterCollection(ctx context.Context) (Memory, error) {
	if _, err := m.fetch(ctx, "heap?gc=1"); err != nil {
		return Memory{}, err
	}
	return m.Memory()
}

// Save writes one of the manager's profiles to a file.
func (m *Manager) Save(ctx context.Context, profile, path string) error {
	data, err := m.fetch(ctx, profile)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, data, 0o600))
}

// fetch returns one of the manager's profiles.
func (m *Manager) fetch(ctx context.Context, profile string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.profile+"/debug/pprof/"+profile, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	data := &bytes.Buffer{}
	if _, err := data.ReadFrom(answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("profile %s: HTTP %d: %s", profile, answer.StatusCode, data)
	}
	return data.Bytes(), nil
}
