// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package suite has what the tests of the plugin, the page and the shim share: namespaces, people with rights in them, the controller
// that verifies connections, and a content store for the files of jobs that a test finishes instead of the manager.
package suite

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/controllers/storageconnection"
	"github.com/platen-dev/platen/internal/connect"
	"github.com/platen-dev/platen/internal/content"
	"github.com/platen-dev/platen/internal/credentials"
	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/storage/dropbox"
	"github.com/platen-dev/platen/internal/task"
)

// Namespace creates a namespace with a generated name. It stays: without a controller manager nothing deletes namespaces.
func Namespace(tb testing.TB, api client.Client, prefix string) string {
	tb.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix}}
	Create(tb, api, namespace)
	return namespace.Name
}

// Create creates objects.
func Create(tb testing.TB, api client.Client, objects ...client.Object) {
	tb.Helper()
	for _, object := range objects {
		if err := api.Create(tb.Context(), object); err != nil {
			tb.Fatal(err)
		}
	}
}

// ServiceAccount creates a service account with rights in its namespace, and returns a token for it.
func ServiceAccount(tb testing.TB, api client.Client, namespace, name string, rules ...rbacv1.PolicyRule) string {
	tb.Helper()
	in := metav1.ObjectMeta{Namespace: namespace, Name: name}
	Create(tb, api,
		&corev1.ServiceAccount{ObjectMeta: in},
		&rbacv1.Role{ObjectMeta: in, Rules: rules},
		&rbacv1.RoleBinding{
			ObjectMeta: in, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: namespace}},
		},
	)
	return Token(tb, api, namespace, name)
}

// Token returns a token for a service account. Its audience defaults to that of the API server.
func Token(tb testing.TB, api client.Client, namespace, account string, audiences ...string) string {
	tb.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	err := api.SubResource("token").Create(tb.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}, request)
	if err != nil {
		tb.Fatal(err)
	}
	return request.Status.Token
}

// VerifyConnections adds the controller of StorageConnections to a manager, with Dropbox at the given address.
func VerifyConnections(mgr ctrl.Manager, dropboxURL string) error {
	return (&storageconnection.Reconciler{
		Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("platen"), Clock: clock.RealClock{}, Interval: time.Hour,
		Connector: connect.New(connect.Options{
			Credentials: credentials.Reader{Reader: mgr.GetAPIReader()},
			Openers: map[platenv1alpha1.ProviderType]connect.Opener{
				platenv1alpha1.ProviderDropbox: connect.Dropbox(dropbox.Config{APIURL: dropboxURL, ContentURL: dropboxURL}),
			},
		}),
	}).SetupWithManager(mgr)
}

// Content is a content store with its server. Users reach it at another address than the shim, as behind an Ingress.
type Content struct {
	*httptest.Server
	// Users serves the URLs that the Signer makes.
	Users  *httptest.Server
	Signer *content.Signer
	store  *content.Store
}

// Close closes both servers.
func (c *Content) Close() {
	c.Server.Close()
	c.Users.Close()
}

// usersPath begins the paths of URLs for users.
const usersPath = "/files"

// NewContent starts a content store. bucketURL is a URL such as mem://. The caller must call Close.
func NewContent(ctx context.Context, bucketURL string) (*Content, error) {
	store, err := content.Open(ctx, bucketURL, content.Options{})
	if err != nil {
		return nil, err
	}
	users := httptest.NewUnstartedServer(nil)
	signer := content.NewSigner([]byte(rand.Text()), "http://"+users.Listener.Addr().String()+usersPath, time.Hour)
	handler := content.NewHandler(store, signer, time.Now)
	users.Config.Handler = http.StripPrefix(usersPath, handler)
	users.Start()
	return &Content{httptest.NewServer(handler), users, signer, store}, nil
}

// Finish stores a file for each page, and another for each in each extra size, with the bytes that picture returns, and sets the status
// of a rendered job: files and true conditions. The caller writes the status.
func (c *Content) Finish(tb testing.TB, job *platenv1alpha1.RenderJob, pages int, picture func(page int) []byte) {
	tb.Helper()
	job.Status = platenv1alpha1.RenderJobStatus{
		ObservedGeneration: &job.Generation, Format: job.Spec.Output.Format, TotalPages: new(int32(pages)), RenderedPages: new(int32(pages)),
		RenderMilliseconds: new(int64(120)), CompletionTime: new(metav1.Now()), StartTime: new(job.CreationTimestamp),
	}
	for _, kind := range []string{platenv1alpha1.ReadyCondition, platenv1alpha1.RenderedCondition, platenv1alpha1.FinishedCondition} {
		SetCondition(job, kind, metav1.ConditionTrue, platenv1alpha1.SucceededReason, "rendered")
	}
	sizes := append([]platenv1alpha1.PageSize{""}, job.Spec.Output.ExtraSizes...)
	for _, size := range sizes {
		for n := 1; n <= pages; n++ {
			ref := content.Ref{Namespace: job.Namespace, JobUID: string(job.UID), Revision: task.Revision(job)}
			id, format := file.ID{Page: n, ExtraSize: string(size)}, file.Format(job.Status.Format)
			f := file.File{ID: id, Name: file.Name(job.FileBaseName(), id, pages > 1, format), Format: format}
			f, err := c.store.Put(tb.Context(), ref, 1, f, bytes.NewReader(picture(n)), 1<<20)
			if err != nil {
				tb.Fatal(err)
			}
			job.Status.Pages = append(job.Status.Pages, platenv1alpha1.RenderedPage{
				Page: int32(n), PageID: fmt.Sprintf("a1b2c3d4-5e6f-7890-abcd-ef123456789%d", n), ContentURL: c.Signer.URL(ref.Key(1, f), f.Name, f.Size, time.Now()),
				Size: &f.Size, SHA256: f.SHA256, Width: 1200, Height: 630, ExtraSize: new(string(size)),
			})
		}
	}
}

// SetCondition sets a condition of a job's current generation.
func SetCondition(job *platenv1alpha1.RenderJob, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&job.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: job.Generation,
	})
}

// Eventually waits until check returns no error, for half a minute at most.
func Eventually(tb testing.TB, what string, check func() error) {
	tb.Helper()
	var last error
	err := wait.PollUntilContextTimeout(tb.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		tb.Fatalf("not true in time: %s: %v", what, last)
	}
}
