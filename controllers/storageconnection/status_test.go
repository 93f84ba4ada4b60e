// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storageconnection

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/storage"
	"github.com/platen-dev/platen/test/gitops"
	"github.com/platen-dev/platen/test/testenv"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// theConnection returns a connection that has become Ready ready times; 0 is never.
func theConnection(ready int64) *platenv1alpha1.StorageConnection {
	c := &platenv1alpha1.StorageConnection{
		TypeMeta:   metav1.TypeMeta{APIVersion: platenv1alpha1.GroupVersion.String(), Kind: "StorageConnection"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "dropbox", Generation: 2},
		Spec: platenv1alpha1.StorageConnectionSpec{
			Provider: platenv1alpha1.ProviderDropbox, DefaultFolder: "/Renders", UploadPolicy: platenv1alpha1.UploadAutomatic,
			Dropbox: &platenv1alpha1.DropboxSpec{CredentialsSecretRef: platenv1alpha1.SecretReference{Name: "dropbox"}},
		},
		Status: platenv1alpha1.StorageConnectionStatus{ObservedGeneration: new(int64(1))},
	}
	if ready > 0 {
		c.Status.ReadyCount = &ready
		c.Status.Space = &platenv1alpha1.StorageSpace{Used: new(int64(10)), Allocated: new(int64(100))}
		c.Status.Conditions = []metav1.Condition{{
			Type: platenv1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: "Verified", LastTransitionTime: metav1.NewTime(noon),
		}}
	}
	return c
}

// retried returns the connection after so many retries of failed uploads.
func retried(c *platenv1alpha1.StorageConnection, times int32, last time.Time) *platenv1alpha1.StorageConnection {
	c.Status.UploadRetries, c.Status.LastUploadRetryTime = &times, new(metav1.NewTime(last))
	return c
}

// failedJob returns a finished job of size bytes whose upload failed when the connection had become Ready ready times.
func failedJob(name string, reason storage.Reason, ready, size int64) *platenv1alpha1.RenderJob {
	return &platenv1alpha1.RenderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: name},
		Status: platenv1alpha1.RenderJobStatus{
			ObservedGeneration: new(int64(0)),
			Conditions:         []metav1.Condition{{Type: platenv1alpha1.FinishedCondition, Status: metav1.ConditionTrue}},
			Pages:              []platenv1alpha1.RenderedPage{{Page: 1, Size: &size}},
			Connections: []platenv1alpha1.JobConnectionStatus{
				{Name: "dropbox", Status: platenv1alpha1.UploadError, Reason: string(reason), ReadyCount: &ready},
			},
		},
	}
}

// throughAnother returns the job with an upload through a connection that was deleted.
func throughAnother(job *platenv1alpha1.RenderJob) *platenv1alpha1.RenderJob {
	job.Status.Connections[0].UID = "another"
	return job
}

// failedAt returns a failedJob of 10 bytes that ended at a time, when the connection had become Ready three times.
func failedAt(end time.Time, reason storage.Reason) *platenv1alpha1.RenderJob {
	job := failedJob("a", reason, 3, 10)
	job.Status.CompletionTime = new(metav1.NewTime(end))
	return job
}

func TestStatusOfEveryMoment(t *testing.T) {
	validator, err := testenv.NewValidator("StorageConnection")
	if err != nil {
		t.Fatal(err)
	}
	ann := storage.Account{ID: "dbid:1", Email: "ann@example.com", DisplayName: "Ann", SpaceUsed: 10, SpaceAllocated: 100}
	for name, tc := range map[string]struct {
		connection *platenv1alpha1.StorageConnection
		// account that answered, and the error of the step that failed.
		account *storage.Account
		err     error
		// jobs whose upload failed before.
		jobs []client.Object

		want       []string // type status reason: message; %s is the advice of package storage
		kstatus    status.Status
		readyCount int64
	}{
		"verified for the first time": {
			connection: theConnection(0), account: &ann,
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 1,
		},
		"verified as before": {
			connection: theConnection(3), account: &ann,
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 3,
		},
		"verified without an e-mail address": {
			connection: theConnection(0), account: &storage.Account{ID: "bucket", DisplayName: "bucket 'renders'"},
			want: []string{"Ready True Verified: connected as bucket 'renders'"}, kstatus: status.CurrentStatus, readyCount: 1,
		},
		"the Secret is missing": {
			connection: theConnection(0), err: &storage.Error{Class: storage.Stop, Reason: storage.ReasonSecretNotFound, Message: "Secret 'dropbox' does not exist"},
			want: []string{
				"Ready False SecretNotFound: Secret 'dropbox' does not exist. %s",
				"Stalled True SecretNotFound: Secret 'dropbox' does not exist. %s",
			},
			kstatus: status.FailedStatus,
		},
		"the token is revoked": {
			connection: theConnection(3), err: &storage.Error{Class: storage.Stop, Reason: storage.ReasonTokenExpired, Message: "Token expired"},
			want: []string{
				"Ready False TokenExpired: Token expired. %s",
				"Stalled True TokenExpired: Token expired. %s",
			},
			kstatus: status.FailedStatus, readyCount: 3,
		},
		"the service is away": {
			connection: theConnection(3), err: &storage.Error{Class: storage.Retry, Reason: storage.ReasonUnreachable, Message: "Dropbox cannot be reached"},
			want: []string{
				"Ready Unknown Unreachable: Dropbox cannot be reached. %s",
				"Reconciling True Unreachable: Dropbox cannot be reached. %s",
			},
			kstatus: status.InProgressStatus, readyCount: 3,
		},
		"the folder cannot be created": {
			connection: theConnection(0), account: &ann, err: &storage.Error{Class: storage.Stop, Reason: storage.ReasonConflict, Message: "Something else is at this path"},
			want: []string{
				"Ready False Conflict: Something else is at this path. %s",
				"Stalled True Conflict: Something else is at this path. %s",
			},
			kstatus: status.FailedStatus,
		},
		"the account is too full for every upload that failed": {
			connection: theConnection(3), account: &ann,
			jobs: []client.Object{failedJob("a", storage.ReasonInsufficientSpace, 3, 95), failedJob("b", storage.ReasonInsufficientSpace, 3, 91)},
			want: []string{
				"Ready False InsufficientSpace: the account has 90 bytes free, and an upload needs 91: make room, and Platen uploads any failed files again",
				"Stalled True InsufficientSpace: the account has 90 bytes free, and an upload needs 91: make room, and Platen uploads any failed files again",
			},
			kstatus: status.FailedStatus, readyCount: 3,
		},
		"the account has room again": {
			connection: theConnection(3), account: &storage.Account{Email: "ann@example.com", SpaceUsed: 5, SpaceAllocated: 100},
			jobs: []client.Object{failedJob("a", storage.ReasonInsufficientSpace, 3, 95), failedJob("b", storage.ReasonInsufficientSpace, 3, 200)},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 4,
		},
		"the service has refused a file although it shows the same room as before": {
			connection: theConnection(3), account: &ann, jobs: []client.Object{failedAt(noon.Add(time.Second), storage.ReasonInsufficientSpace)},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 3,
		},
		"the service does not show how full it is": {
			connection: retried(theConnection(3), 1, noon.Add(time.Second)), account: &storage.Account{DisplayName: "bucket"},
			jobs: []client.Object{failedJob("a", storage.ReasonInsufficientSpace, 3, 10)},
			want: []string{"Ready True Verified: connected as bucket"}, kstatus: status.CurrentStatus, readyCount: 3,
		},
		"an upload failed for a reason that is gone": {
			connection: theConnection(3), account: &ann, jobs: []client.Object{failedJob("a", storage.ReasonTokenExpired, 3, 10)},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 4,
		},
		"an upload failed before the connection last became Ready": {
			connection: theConnection(3), account: &ann, jobs: []client.Object{failedJob("a", storage.ReasonTokenExpired, 2, 10)},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 3,
		},
		"an upload failed through an earlier connection of the name": {
			connection: theConnection(3), account: &ann, jobs: []client.Object{throughAnother(failedJob("a", storage.ReasonTokenExpired, 3, 10))},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 3,
		},
		"an upload has failed for a reason that a verification cannot find": {
			connection: theConnection(3), account: &ann, jobs: []client.Object{failedAt(noon.Add(time.Second), storage.ReasonMissingScope)},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 3,
		},
		"an upload failed because the service was away": {
			connection: theConnection(3), account: &ann, jobs: []client.Object{failedJob("a", storage.ReasonUnreachable, 3, 10)},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 4,
		},
		"an upload failed for the third time because the service was away": {
			connection: retried(theConnection(3), 2, noon), account: &ann, jobs: []client.Object{failedJob("a", storage.ReasonUnreachable, 3, 10)},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 3,
		},
		"a full bucket, which does not show its room": {
			connection: retried(theConnection(3), 1, noon.Add(-time.Hour)), account: &storage.Account{DisplayName: "bucket"},
			jobs: []client.Object{failedJob("a", storage.ReasonInsufficientSpace, 3, 10)},
			want: []string{"Ready True Verified: connected as bucket"}, kstatus: status.CurrentStatus, readyCount: 4,
		},
		"a file that can never be uploaded": {
			connection: theConnection(3), account: &ann, jobs: []client.Object{failedJob("a", storage.ReasonPathNotAllowed, 3, 10)},
			want: []string{"Ready True Verified: connected as ann@example.com"}, kstatus: status.CurrentStatus, readyCount: 3,
		},
		"the service says more than status can hold": {
			connection: theConnection(0), account: &storage.Account{
				ID: strings.Repeat("𠮷", 2000), Email: strings.Repeat("𠮷", 2000), DisplayName: strings.Repeat("𠮷", 2000), SpaceUsed: -1, SpaceAllocated: 1 << 62,
			},
			want: []string{"Ready True Verified: connected as " + strings.Repeat("𠮷", 79) + "…"}, kstatus: status.CurrentStatus, readyCount: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, err := testenv.Scheme()
			if err != nil {
				t.Fatal(err)
			}
			r := &Reconciler{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(tc.jobs...).WithStatusSubresource(tc.jobs...).
				WithIndex(&platenv1alpha1.RenderJob{}, failedUploadIndex, failedConnections).Build()}
			s := &scope{connection: tc.connection, now: noon.Add(time.Minute), account: tc.account}
			outcome := s.classify(tc.err)
			if outcome == nil {
				outcome = r.checkFailedUploads(t.Context(), s)
			}
			after := tc.connection.DeepCopy()
			setStatus(after, s, outcome)
			if problem := (*storage.Error)(nil); errors.As(tc.err, &problem) {
				for i := range tc.want {
					tc.want[i] = fmt.Sprintf(tc.want[i], problem.Reason.Advice("dropbox").Do)
				}
			}
			if diff := cmp.Diff(tc.want, conditions(after)); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			got := int64(0)
			if after.Status.ReadyCount != nil {
				got = *after.Status.ReadyCount
			}
			if got != tc.readyCount {
				t.Errorf("readyCount is %d, want %d", got, tc.readyCount)
			}
			if diff := cmp.Diff(tc.account != nil, after.Status.LastVerifiedTime != nil); diff != "" {
				t.Errorf("lastVerifiedTime is set (-want +got):\n%s", diff)
			}
			if err := validator.Validate(t.Context(), after); err != nil {
				t.Errorf("the API server would refuse the status: %v", err)
			}
			gitops.ExpectStatus(t, "StorageConnection", after, tc.kstatus)
		})
	}
}

func TestUploadsThatTheConnectionFailedAreRetriedWhileItIsReady(t *testing.T) {
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	account := storage.Account{Email: "ann@example.com", SpaceUsed: 10, SpaceAllocated: 100} // as before
	for _, reason := range storage.Reasons() {
		if reason.Fault() != storage.FaultOfConnection {
			continue
		}
		for waited, due := range map[time.Duration]bool{59 * time.Second: reason.Advice("dropbox").Checked, time.Minute: true} {
			due = due || reason == storage.ReasonDisabled // somebody has switched it on
			if reason == storage.ReasonInsufficientSpace {
				due = waited >= time.Minute
			}
			job := failedAt(noon, reason)
			r := &Reconciler{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(job).WithStatusSubresource(job).
				WithIndex(&platenv1alpha1.RenderJob{}, failedUploadIndex, failedConnections).Build()}
			s := &scope{connection: theConnection(3), now: noon.Add(waited), account: &account}
			if outcome := r.checkFailedUploads(t.Context(), s); outcome != nil || s.uploadsRetried != due {
				t.Errorf("%s, %s ago: retried %t, want %t; %v", reason, waited, s.uploadsRetried, due, outcome)
			}
		}
	}
}

func TestUploadsOfADisabledConnectionWaitUntilItIsSwitchedOn(t *testing.T) {
	scheme, err := testenv.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	job := failedAt(noon, storage.ReasonDisabled)
	r := &Reconciler{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(job).WithStatusSubresource(job).
		WithIndex(&platenv1alpha1.RenderJob{}, failedUploadIndex, failedConnections).Build()}
	for policy, due := range map[platenv1alpha1.UploadPolicy]bool{
		platenv1alpha1.UploadDisabled: false, platenv1alpha1.UploadOnRequest: true, platenv1alpha1.UploadAutomatic: true,
	} {
		s := &scope{connection: theConnection(3), now: noon.Add(time.Hour), account: &storage.Account{}}
		// Uploads that failed otherwise have been retried already.
		s.connection.Status.UploadRetries, s.connection.Status.LastUploadRetryTime = new(int32(9)), new(metav1.NewTime(noon.Add(59*time.Minute)))
		s.connection.Spec.UploadPolicy = policy
		if outcome := r.checkFailedUploads(t.Context(), s); outcome != nil || s.uploadsRetried != due {
			t.Errorf("%s: retried %t, want %t; %v", policy, s.uploadsRetried, due, outcome)
		}
	}
}

// conditions returns a connection's conditions in the order of their types.
func conditions(c *platenv1alpha1.StorageConnection) []string {
	list := make([]string, 0, len(c.Status.Conditions))
	for _, condition := range c.Status.Conditions {
		list = append(list, fmt.Sprintf("%s %s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message))
	}
	slices.Sort(list)
	return list
}

func TestStatusSaysNothingOfAnotherService(t *testing.T) {
	verified := metav1.NewTime(noon.Add(-time.Hour))
	dropbox := theConnection(0).Spec
	bucket := func(name string) platenv1alpha1.StorageConnectionSpec {
		return platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderS3, S3: &platenv1alpha1.S3Spec{Bucket: name}}
	}
	ann, renders := platenv1alpha1.StorageAccount{ID: "dbid:1", Email: "ann@example.com"}, platenv1alpha1.StorageAccount{ID: "renders", DisplayName: "renders"}
	for name, tc := range map[string]struct {
		account platenv1alpha1.StorageAccount
		spec    platenv1alpha1.StorageConnectionSpec
		stays   bool
	}{
		"the same Dropbox":            {ann, dropbox, true},
		"a bucket, after a Dropbox":   {ann, bucket("renders"), false},
		"the same bucket":             {renders, bucket("renders"), true},
		"another bucket":              {renders, bucket("others"), false},
		"a Dropbox, after a bucket":   {renders, dropbox, false},
		"a container, after a bucket": {renders, platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderAzureBlob, AzureBlob: &platenv1alpha1.AzureBlobSpec{Container: "files"}}, false},
		"another provider's bucket":   {renders, platenv1alpha1.StorageConnectionSpec{Provider: platenv1alpha1.ProviderGCS, GCS: &platenv1alpha1.GCSSpec{Bucket: "files"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := theConnection(1)
			c.Spec, c.Status.Account, c.Status.DefaultFolder, c.Status.LastVerifiedTime = tc.spec, &tc.account, "/Renders", &verified
			setStatus(c, &scope{connection: c, now: noon}, &storage.Error{Class: storage.Stop, Reason: storage.ReasonSecretNotFound})
			has := []bool{c.Status.Account != nil, c.Status.Space != nil, c.Status.DefaultFolder != "", c.Status.LastVerifiedTime != nil}
			if diff := cmp.Diff(slices.Repeat([]bool{tc.stays}, 4), has); diff != "" {
				t.Errorf("account, space, default folder, time (-want +got):\n%s", diff)
			}
			if *c.Status.ReadyCount != 1 {
				t.Errorf("readyCount is %d", *c.Status.ReadyCount)
			}
		})
	}
}
