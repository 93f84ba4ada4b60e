// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UploadPolicy says which renders a connection receives.
// +kubebuilder:validation:Enum=Automatic;OnRequest;Disabled
type UploadPolicy string

const (
	// UploadAutomatic uploads the renders of jobs that name the connection and of jobs without spec.connections.
	UploadAutomatic UploadPolicy = "Automatic"
	// UploadOnRequest uploads only renders whose job names the connection.
	UploadOnRequest UploadPolicy = "OnRequest"
	// UploadDisabled uploads nothing; a job that names the connection gets a warning.
	UploadDisabled UploadPolicy = "Disabled"
)

// ConflictPolicy says what happens when another file is already at a page's path. Overwrite replaces the file; the storage service keeps its
// history. Rename uploads under a free name, which status shows. Keep leaves the file as it is and adds a warning.
// +kubebuilder:validation:Enum=Overwrite;Rename;Keep
type ConflictPolicy string

// SecretReference names a Secret in the same namespace.
type SecretReference struct {
	// name of the Secret. The Secret must carry the label platen.dev/credentials: "true".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret: lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	Name string `json:"name,omitempty"`
}

// DropboxSpec says how to reach Dropbox.
type DropboxSpec struct {
	// credentialsSecretRef names the Secret with the keys appKey and refreshToken, and with appSecret if the app needs it. The manager
	// reads it and never writes it.
	// +required
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef,omitempty,omitzero"`

	// conflictPolicy says what happens when another file is already at a page's path. Defaults to Overwrite.
	// +optional
	// +default="Overwrite"
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`

	// rootNamespaceID is the id of a team space in Dropbox, to which paths are then relative. Defaults to the user's own namespace.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="string(self).matches('^[0-9]+$')",message="must be the number of a team space, such as 1234567890"
	RootNamespaceID NumberOrString `json:"rootNamespaceID,omitempty"`
}

// S3Spec says how to reach a bucket of Amazon S3 or of a service with its API.
type S3Spec struct {
	// bucket that receives the files, or the ARN of an access point. A file's key is its path without the leading slash. Amazon's rules for names are at
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; older buckets and other services may have names that these forbid.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-zA-Z0-9._:-]+|arn:[a-zA-Z0-9._:/-]+)$')",message="must be the name of a bucket: letters, digits, dots, hyphens and underscores, without spaces and slashes"
	Bucket string `json:"bucket,omitempty"`

	// region of the bucket. Defaults to us-east-1.
	// +optional
	// +default="us-east-1"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Region string `json:"region,omitempty"`

	// endpoint of a service other than Amazon's, such as https://s3.example.com. Private addresses need the manager's flag
	// --storage-outbound-allow. Defaults to Amazon's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@]+$')",message="must be http:// or https:// and a host, such as https://s3.example.com, without a user and a path"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/?#@]*:[^]/?#:@]+([/?#]|$)') || self.matches('^https?://[^/?#]*:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])([/?#]|$)')",message="must have a port from 1 to 65535"
	Endpoint string `json:"endpoint,omitempty"`

	// credentialsSecretRef names the Secret with the keys accessKeyID and secretAccessKey, and with sessionToken for temporary
	// credentials. The manager reads it and never writes it.
	// +required
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef,omitempty,omitzero"`

	// conflictPolicy says what happens when another file is already at a page's path. Defaults to Overwrite.
	// +optional
	// +default="Overwrite"
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`
}

// GCSSpec says how to reach a bucket of Google Cloud Storage.
type GCSSpec struct {
	// bucket that receives the files. An object's name is its path without the leading slash. The rules for the bucket's name are at
	// https://cloud.google.com/storage/docs/buckets#naming.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=222
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9._-]*[a-z0-9]$')",message="must be the name of a bucket: lower-case letters, digits, hyphens, underscores and dots, with a letter or a digit first and last"
	Bucket string `json:"bucket,omitempty"`

	// credentialsSecretRef names the Secret with the key serviceAccountKey, the JSON key of a service account. The manager reads it and
	// never writes it.
	// +required
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef,omitempty,omitzero"`

	// conflictPolicy says what happens when another file is already at a page's path. Defaults to Overwrite.
	// +optional
	// +default="Overwrite"
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`
}

// AzureBlobSpec says how to reach a container of Azure Blob Storage.
type AzureBlobSpec struct {
	// account is the storage account.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]+$')",message="must be the name of a storage account: lower-case letters and digits"
	Account string `json:"account,omitempty"`

	// container that receives the files. A blob's name is its path without the leading slash. The rules for the container's name are at
	// https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]+(-[a-z0-9]+)*|[$](root|web))$')",message="must be the name of a container: lower-case letters, digits and single hyphens, with a letter or a digit first and last"
	Container string `json:"container,omitempty"`

	// endpoint of a service other than Azure's own, such as https://blobs.example.com/account. Private addresses need the manager's
	// flag --storage-outbound-allow. Defaults to Azure's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^?#@]+$')",message="must be http:// or https:// and a host, such as https://blobs.example.com/account, without a user and a query"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/?#@]*:[^]/?#:@]+([/?#]|$)') || self.matches('^https?://[^/?#]*:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])([/?#]|$)')",message="must have a port from 1 to 65535"
	Endpoint string `json:"endpoint,omitempty"`

	// credentialsSecretRef names the Secret with the key accountKey. The manager reads it and never writes it.
	// +required
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef,omitempty,omitzero"`

	// conflictPolicy says what happens when another file is already at a page's path. Defaults to Overwrite.
	// +optional
	// +default="Overwrite"
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`
}

// StorageConnectionSpec says where files go and with whose credentials.
// +kubebuilder:validation:XValidation:rule="has(self.dropbox) == (self.provider == 'dropbox')",message="dropbox must be set when provider is dropbox, and only then"
// +kubebuilder:validation:XValidation:rule="has(self.s3) == (self.provider == 's3')",message="s3 must be set when provider is s3, and only then"
// +kubebuilder:validation:XValidation:rule="has(self.gcs) == (self.provider == 'gcs')",message="gcs must be set when provider is gcs, and only then"
// +kubebuilder:validation:XValidation:rule="has(self.azureBlob) == (self.provider == 'azureblob')",message="azureBlob must be set when provider is azureblob, and only then"
type StorageConnectionSpec struct {
	// provider is the storage service.
	// +required
	Provider ProviderType `json:"provider,omitempty"`

	// uploadPolicy says which renders are uploaded. Defaults to Automatic.
	// +optional
	// +default="Automatic"
	UploadPolicy UploadPolicy `json:"uploadPolicy,omitempty"`

	// defaultFolder receives the files of jobs that name no folder. It is created when missing. Defaults to /Renders.
	// +optional
	// +default="/Renders"
	DefaultFolder FolderPath `json:"defaultFolder,omitempty"`

	// maxUploadBytesPerSecond bounds all uploads through this connection together. Defaults to no bound.
	// +optional
	// +kubebuilder:validation:Minimum=131072
	MaxUploadBytesPerSecond int64 `json:"maxUploadBytesPerSecond,omitempty"`

	// dropbox says how to reach Dropbox; required when provider is dropbox.
	// +optional
	Dropbox *DropboxSpec `json:"dropbox,omitempty"`

	// s3 says how to reach the bucket; required when provider is s3.
	// +optional
	S3 *S3Spec `json:"s3,omitempty"`

	// gcs says how to reach the bucket; required when provider is gcs.
	// +optional
	GCS *GCSSpec `json:"gcs,omitempty"`

	// azureBlob says how to reach the container; required when provider is azureblob.
	// +optional
	AzureBlob *AzureBlobSpec `json:"azureBlob,omitempty"`
}

// StorageAccount is the account behind a connection.
type StorageAccount struct {
	// id of the account at the storage service.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`

	// email of the account.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=320
	Email string `json:"email,omitempty"`

	// displayName of the account.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	DisplayName string `json:"displayName,omitempty"`
}

// StorageSpace is how full the account is, in bytes.
type StorageSpace struct {
	// used bytes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Used *int64 `json:"used,omitempty"`

	// allocated bytes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Allocated *int64 `json:"allocated,omitempty"`
}

// StorageConnectionStatus is the state of the connection when it was last verified.
type StorageConnectionStatus struct {
	// conditions of the connection: Ready, and Reconciling or Stalled while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that this status describes; -1 before Platen has seen the object.
	// +optional
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// account behind the credentials.
	// +optional
	Account *StorageAccount `json:"account,omitempty"`

	// space of the account.
	// +optional
	Space *StorageSpace `json:"space,omitempty"`

	// defaultFolder is the folder that the last verification found or created.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=400
	DefaultFolder string `json:"defaultFolder,omitempty"`

	// readyCount is how often the connection has become Ready, or failed uploads were due for a retry. Uploads that failed at a lower count
	// are retried.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ReadyCount *int64 `json:"readyCount,omitempty"`

	// lastVerifiedTime is when the account last answered.
	// +optional
	LastVerifiedTime *metav1.Time `json:"lastVerifiedTime,omitempty"`

	// nextVerificationTime is when Platen verifies the connection again, unless it, its Secret or an upload gives a reason to do so earlier.
	// A restart of the manager does not change it.
	// +optional
	NextVerificationTime *metav1.Time `json:"nextVerificationTime,omitempty"`

	// credentialsVersion is the resourceVersion of the Secret that the last verification read; absent if there was none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	CredentialsVersion string `json:"credentialsVersion,omitempty"`

	// uploadRetries is how often in a row failed uploads were retried while the connection was Ready all the time. Each time, Platen waits
	// longer before the next.
	// +optional
	// +kubebuilder:validation:Minimum=0
	UploadRetries *int32 `json:"uploadRetries,omitempty"`

	// lastUploadRetryTime is when that was done last.
	// +optional
	LastUploadRetryTime *metav1.Time `json:"lastUploadRetryTime,omitempty"`

	// lastHandledVerify is the last value of the annotation platen.dev/verify that was handled, shortened to 256 bytes.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	LastHandledVerify string `json:"lastHandledVerify,omitempty"`
}

// StorageConnection is an account of a storage service that receives the renders of a namespace.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=sconn,categories=platen
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Account",type=string,JSONPath=`.status.account.email`
// +kubebuilder:printcolumn:name="Policy",type=string,JSONPath=`.spec.uploadPolicy`
// +kubebuilder:printcolumn:name="Folder",type=string,JSONPath=`.spec.defaultFolder`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type StorageConnection struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec says where files go and with whose credentials.
	// +required
	Spec StorageConnectionSpec `json:"spec,omitempty,omitzero"`

	// status is the state of the connection when it was last verified.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1,"conditions":{{"type":"Ready","status":"Unknown","reason":"Pending","message":"Platen has not looked at it yet","lastTransitionTime":"1970-01-01T00:00:00Z"}}}
	Status StorageConnectionStatus `json:"status,omitempty,omitzero"`
}

// Ready reports whether the connection worked when it was last verified.
func (c *StorageConnection) Ready() bool {
	return meta.IsStatusConditionTrue(c.Status.Conditions, ReadyCondition)
}

// StorageConnectionList is a list of StorageConnections.
// +kubebuilder:object:root=true
type StorageConnectionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []StorageConnection `json:"items"`
}
