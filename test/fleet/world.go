// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/testenv"
)

// World is a cluster without nodes.
type World struct {
	// Config and Client have all rights.
	Config *rest.Config
	Client client.WithWatch
	// Pods run the render pods.
	Pods *Pods
	// Folder for the files of the world.
	Folder string

	// binary of cmd/manager.
	binary      string
	environment *envtest.Environment
	stop        context.CancelFunc
	following   sync.WaitGroup
}

// New starts the servers and builds cmd/manager. Its files are in a folder that must exist.
func New(ctx context.Context, folder string) (w *World, err error) {
	ctrllog.SetLogger(logr.Discard())
	w = &World{Folder: folder}
	root, err := testenv.Root()
	if err != nil {
		return nil, err
	}
	if w.binary, err = program.Own(ctx, root, "manager"); err != nil {
		return nil, err
	}
	if w.environment, err = testenv.New(); err != nil {
		return nil, err
	}
	// Pods have tokens only where the API server gives them a service account.
	w.environment.ControlPlane.GetAPIServer().Configure().Disable("disable-admission-plugins")
	if w.Config, err = w.environment.Start(); err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	w.Config.QPS = -1
	scheme, err := testenv.Scheme()
	if err != nil {
		return nil, errors.Join(err, w.environment.Stop())
	}
	if w.Client, err = client.NewWithWatch(w.Config, client.Options{Scheme: scheme}); err != nil {
		return nil, errors.Join(err, w.environment.Stop())
	}
	w.Pods = &Pods{client: w.Client, folder: filepath.Join(folder, "tokens"), taken: map[string]time.Time{}, leaders: map[string]leader{}}
	if err := errors.Join(os.Mkdir(w.Pods.folder, 0o700), w.NewNamespace(ctx, ManagerNamespace)); err != nil {
		return nil, errors.Join(err, w.environment.Stop())
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	w.following.Go(func() { w.Pods.run(following) })
	w.following.Go(func() { w.Pods.followManagers(following) })
	return w, nil
}

// Stop ends the render pods and the servers. Managers must have ended.
func (w *World) Stop() error {
	w.stop()
	w.following.Wait()
	return w.environment.Stop()
}

// NewNamespace creates a namespace with the service account that no controller gives it here.
func (w *World) NewNamespace(ctx context.Context, name string) error {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "default"}}
	return errors.Join(w.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}), w.Client.Create(ctx, account))
}

// Address returns the address of the API server.
func (w *World) Address() string {
	return strings.TrimSuffix(strings.TrimPrefix(w.Config.Host, "https://"), "/")
}

// Kubeconfig writes a kubeconfig with all rights to a file and returns its path. The API server is reached at an address.
func (w *World) Kubeconfig(name, address string) (string, error) {
	verified, _, err := net.SplitHostPort(w.Address())
	if err != nil {
		return "", err
	}
	name = filepath.Join(w.Folder, name)
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: "https://" + address, CertificateAuthorityData: w.Config.CAData, TLSServerName: verified}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: w.Config.CertData, ClientKeyData: w.Config.KeyData, Token: w.Config.BearerToken}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	return name, clientcmd.WriteToFile(*config, name)
}
