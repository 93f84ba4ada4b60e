// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package shim tests the shim as a process, against a real API server and with the rights in its manifest. The tests play the manager:
// they finish jobs and put the files into a real content store.
package shim

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/test/program"
	"github.com/platen-dev/platen/test/suite"
	"github.com/platen-dev/platen/test/testenv"
)

const (
	namespace = "platen-system"
	// memoryLimit is what the shim takes with the limit of the container in config/shim/deployment.yaml.
	memoryLimit = "200MiB"
	// timeout bounds every wait.
	timeout = time.Minute
)

var (
	environment *envtest.Environment
	config      *rest.Config
	c           client.WithWatch
	binary      string
	files       *suite.Content
)

func TestShim(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "The shim's process")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	environment, err = testenv.New()
	Expect(err).NotTo(HaveOccurred())
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	config.QPS, config.Burst = 500, 1000
	scheme, err := testenv.Scheme()
	Expect(err).NotTo(HaveOccurred())
	c, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	binary, err = program.Own(ctx, filepath.Join("..", ".."), "shim")
	Expect(err).NotTo(HaveOccurred())

	files, err = suite.NewContent(ctx, "file://"+GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(files.Close)

	Expect(c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	manifest, err := os.Open(filepath.Join("..", "..", "config", "shim", "rbac.yaml"))
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = manifest.Close() }()
	for decoder := yaml.NewYAMLOrJSONDecoder(manifest, 4096); ; {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			break
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Create(ctx, object)).To(Succeed())
	}
})

// process is a running shim.
type process struct {
	*gexec.Session
	url string
}

// start starts a shim with the rights of its service account. It ends with the spec.
func start(flags ...string) *process {
	GinkgoHelper()
	addresses, err := program.FreeAddresses(context.Background(), 2)
	Expect(err).NotTo(HaveOccurred())
	address, probes := addresses[0], addresses[1]
	command := exec.Command(binary, append([]string{
		"--bind-address=" + address, "--health-probe-bind-address=" + probes, "--content-url=" + files.URL, "--zap-log-level=debug",
	}, flags...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig(), "GOMEMLIMIT="+memoryLimit)
	session, err := gexec.Start(command, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { session.Kill().Wait(timeout) })
	Eventually(func() (int, error) {
		resp, err := http.Get("http://" + probes + "/readyz")
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}).WithTimeout(timeout).WithPolling(20 * time.Millisecond).Should(Equal(http.StatusOK))
	readDocument("http://" + address)
	return &process{session, "http://" + address}
}

// logged returns the output of the process.
func (p *process) logged() string {
	return string(bytes.Join([][]byte{p.Out.Contents(), p.Err.Contents()}, nil))
}

func kubeconfig() string {
	GinkgoHelper()
	const name = "test"
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: suite.Token(GinkgoTB(), c, namespace, "platen-shim")}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)).To(Succeed())
	return path
}

// expired returns a token with all times moved into the past, signed with the API server's key.
func expired(valid string, ago time.Duration) string {
	GinkgoHelper()
	parts := strings.Split(valid, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	Expect(err).NotTo(HaveOccurred())
	var claims map[string]any
	Expect(json.Unmarshal(text, &claims)).To(Succeed())
	for _, name := range []string{"iat", "nbf", "exp"} {
		seconds, ok := claims[name].(float64)
		Expect(ok).To(BeTrue())
		claims[name] = int64(seconds - ago.Seconds())
	}
	text, err = json.Marshal(claims)
	Expect(err).NotTo(HaveOccurred())
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(text)
	data, err := os.ReadFile(filepath.Join(environment.ControlPlane.GetAPIServer().CertDir, "sa-signer.key"))
	Expect(err).NotTo(HaveOccurred())
	block, _ := pem.Decode(data)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	key, ok := parsed.(*ecdsa.PrivateKey)
	Expect(ok).To(BeTrue(), "%T", parsed)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	Expect(err).NotTo(HaveOccurred())
	signature := make([]byte, 64) // ES256: both numbers, RFC 7518, section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// workspace is a namespace with a template and a service account that may render.
type workspace struct{ namespace, token string }

var designer = []rbacv1.PolicyRule{{
	APIGroups: []string{platenv1alpha1.GroupVersion.Group}, Resources: []string{"renderjobs", "rendertemplates"},
	Verbs: []string{"create", "get", "list", "patch"},
}}

func newWorkspace(ctx context.Context) *workspace {
	GinkgoHelper()
	w := &workspace{namespace: suite.Namespace(GinkgoTB(), c, "shim-")}
	Expect(c.Create(ctx, &platenv1alpha1.RenderTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "card"},
		Spec: platenv1alpha1.RenderTemplateSpec{
			TemplateID: new(int64(25)),
			Parameters: []platenv1alpha1.Parameter{{Name: "headline", Description: "What it says"}},
			Pages:      []platenv1alpha1.TemplatePage{{Name: "front", Width: 400, Height: 200, HTML: "<h1>"}},
		},
	})).To(Succeed())
	w.token = w.account("designer", designer...)
	return w
}

// account makes a service account with rights in the workspace, and returns a token for it.
func (w *workspace) account(name string, rules ...rbacv1.PolicyRule) string {
	GinkgoHelper()
	return suite.ServiceAccount(GinkgoTB(), c, w.namespace, name, rules...)
}

// jobs lists the jobs of the workspace.
func (w *workspace) jobs(ctx context.Context) []platenv1alpha1.RenderJob {
	GinkgoHelper()
	list := &platenv1alpha1.RenderJobList{}
	Expect(c.List(ctx, list, client.InNamespace(w.namespace))).To(Succeed())
	return list.Items
}

// await waits until the workspace has n jobs, and returns them.
func (w *workspace) await(ctx context.Context, n int) []platenv1alpha1.RenderJob {
	GinkgoHelper()
	Eventually(func() int { return len(w.jobs(ctx)) }).WithContext(ctx).WithTimeout(timeout).WithPolling(10 * time.Millisecond).Should(Equal(n))
	return w.jobs(ctx)
}

// picture returns the content of a page's file.
func picture(page int) string { return fmt.Sprintf("the bytes of picture %d", page) }

// finish plays the manager: it stores the files of a job and sets its status.
func finish(ctx context.Context, job *platenv1alpha1.RenderJob, pages int) {
	GinkgoHelper()
	files.Finish(GinkgoTB(), job, pages, func(page int) []byte { return []byte(picture(page)) })
	Expect(c.Status().Update(ctx, job)).To(Succeed())
}

// answer is an answer of a shim.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// json parses the body as a JSON object.
func (a answer) json() (object map[string]any) {
	GinkgoHelper()
	Expect(json.Unmarshal(a.body, &object)).To(Succeed(), "%s", a.body)
	return object
}

// call sends a request. header has names and values in turn. The answer is as the API's document describes it.
func call(ctx context.Context, method, url, token, body string, header ...string) answer {
	GinkgoHelper()
	a, err := try(ctx, method, url, token, body, header...)
	Expect(err).NotTo(HaveOccurred())
	expectDescribed(method, url, a)
	return a
}

// try is call with an error instead of a failure.
func try(ctx context.Context, method, url, token, body string, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, maps.Clone(resp.Header), data}, err
}

// expectError expects a JSON error with a status.
func expectError(a answer, status int) {
	GinkgoHelper()
	Expect(a.status).To(Equal(status), "%s", a.body)
	Expect(a.header.Get("Content-Type")).To(Equal("application/json"))
	Expect(a.json()["error"]).NotTo(BeEmpty())
}
