// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugin tests kubectl platen as people use it: the program runs at a terminal, with a browser, against a real API server with
// the controller of StorageConnections. Dropbox is simulated.
package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/platen-dev/platen/internal/storage/dropbox/dropboxsim"
	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/suite"
	"github.com/platen-dev/platen/test/testenv"
)

// timeout bounds every wait.
const timeout = 60 * time.Second

// The tests share these.
var (
	api        client.Client
	sim        = dropboxsim.New()
	simURL     string
	binary     string
	kubeconfig string
)

// root is the repository.
const root = "../.."

func TestMain(m *testing.M) { os.Exit(run(m)) }

// TestSources lets Go run these tests again after a change of the plugin.
func TestSources(t *testing.T) {
	if err := program.See(t.Context(), root, "kubectl-platen"); err != nil {
		t.Fatal(err)
	}
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "plugin-*")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	kubeconfig = filepath.Join(folder, "kubeconfig")
	if binary, err = program.Own(context.Background(), root, "kubectl-platen"); err != nil {
		return fail(err)
	}
	dropboxServer := httptest.NewServer(sim)
	defer dropboxServer.Close()
	simURL = dropboxServer.URL
	config, stop, err := testenv.Start()
	if err != nil {
		return fail(err)
	}
	defer func() { _ = stop() }()
	if err := errors.Join(writeKubeconfig(config), os.Setenv("KUBECONFIG", kubeconfig)); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended, err := startController(ctx, config)
	if err != nil {
		cancel()
		return fail(err)
	}
	defer func() { <-ended }()
	defer cancel()
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "preparing the tests:", err)
	return 1
}

// writeKubeconfig writes a kubeconfig for the program.
func writeKubeconfig(config *rest.Config) error {
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test", Namespace: "default"}
	c.CurrentContext = "test"
	return clientcmd.WriteToFile(*c, kubeconfig)
}

// startController starts the controller of StorageConnections.
func startController(ctx context.Context, config *rest.Config) (ended chan error, err error) {
	scheme, err := testenv.Scheme()
	if err != nil {
		return nil, err
	}
	ctrl.SetLogger(logr.Discard())
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		return nil, err
	}
	api, err = client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	if err := suite.VerifyConnections(mgr, simURL); err != nil {
		return nil, err
	}
	ended = make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	return ended, nil
}

// workspace creates a namespace for a test.
func workspace(t *testing.T) string {
	t.Helper()
	return suite.Namespace(t, api, "plugin-")
}

// result is what a program printed, and its exit code.
type result struct {
	code        int
	out, errOut string
}

// platen runs the plugin without a terminal.
func platen(t *testing.T, args ...string) result {
	t.Helper()
	return execute(t, binary, args...)
}

func execute(t *testing.T, path string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	command := exec.CommandContext(ctx, path, args...)
	out, errOut := &buffer{}, &buffer{}
	command.Stdout, command.Stderr = out, errOut
	_ = command.Run() // the exit code tells the result
	return result{command.ProcessState.ExitCode(), out.String(), errOut.String()}
}
