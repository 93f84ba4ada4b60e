// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Reason names a kind of failure, in CamelCase: TokenExpired, InsufficientSpace, …. It is the reason of conditions, events and
// metrics. Every Reason has an Advice.
type Reason string

// Failures of the connection: its account, its credentials or its settings. A person has to act.
const (
	// ReasonTokenExpired means that Dropbox does not accept the access that a user gave to Platen.
	ReasonTokenExpired Reason = "TokenExpired"
	// ReasonInvalidCredentials means that the service does not know the credentials.
	ReasonInvalidCredentials Reason = "InvalidCredentials"
	// ReasonMissingScope means that the Dropbox app lacks a permission.
	ReasonMissingScope Reason = "MissingScope"
	// ReasonAccountSuspended means that the service has suspended the account.
	ReasonAccountSuspended Reason = "AccountSuspended"
	// ReasonAccessDenied means that the service knows the credentials and does not allow the call.
	ReasonAccessDenied Reason = "AccessDenied"
	// ReasonPathRootNotAllowed means that the account cannot use the team space in rootNamespaceID.
	ReasonPathRootNotAllowed Reason = "PathRootNotAllowed"
	// ReasonInsufficientSpace means that the account is full.
	ReasonInsufficientSpace Reason = "InsufficientSpace"
	// ReasonNoWritePermission means that the account may not write to the folder.
	ReasonNoWritePermission Reason = "NoWritePermission"
	// ReasonNotFound means that the folder does not exist.
	ReasonNotFound Reason = "NotFound"
	// ReasonBucketNotFound means that the bucket does not exist.
	ReasonBucketNotFound Reason = "BucketNotFound"
	// ReasonEndpointBlocked means that the manager's policy does not let it reach the endpoint.
	ReasonEndpointBlocked Reason = "EndpointBlocked"
	// ReasonInvalidSpec means that the settings of the StorageConnection cannot work.
	ReasonInvalidSpec Reason = "InvalidSpec"
	// ReasonDisabled means that uploadPolicy is Disabled.
	ReasonDisabled Reason = "Disabled"
	// ReasonConnectionNotFound means that a job names a connection that its namespace does not have.
	ReasonConnectionNotFound Reason = "ConnectionNotFound"
	// ReasonSecretNotFound means that the Secret with the credentials does not exist.
	ReasonSecretNotFound Reason = "SecretNotFound"
	// ReasonSecretNotLabelled means that the Secret does not carry the label that allows Platen to read it.
	ReasonSecretNotLabelled Reason = "SecretNotLabelled"
	// ReasonSecretKeyMissing means that the Secret lacks a key.
	ReasonSecretKeyMissing Reason = "SecretKeyMissing"
	// ReasonSecretKeyInvalid means that a value in the Secret cannot be a credential.
	ReasonSecretKeyInvalid Reason = "SecretKeyInvalid"
	// ReasonSecretNotOurs means that another tool manages the Secret and would undo a change to it.
	ReasonSecretNotOurs Reason = "SecretNotOurs"
	// ReasonRefused means that the service refused the call and gave no cause that Platen knows.
	ReasonRefused Reason = "Refused"
)

// Failures of the file: it would fail in the same way through any connection.
const (
	// ReasonPathNotAllowed means that the service does not take a file or folder of that name.
	ReasonPathNotAllowed Reason = "PathNotAllowed"
	// ReasonConflict means that something else is at the path.
	ReasonConflict Reason = "Conflict"
	// ReasonFileTooLarge means that the service does not take files of that size.
	ReasonFileTooLarge Reason = "FileTooLarge"
	// ReasonContentChanged means that the bytes of a file are not those that were rendered.
	ReasonContentChanged Reason = "ContentChanged"
	// ReasonContentLost means that the content store does not have the rendered file any more.
	ReasonContentLost Reason = "ContentLost"
)

// Failures of the service, of the way to it, or of Platen itself: they may pass by themselves.
const (
	// ReasonRateLimited means that the service asks for fewer calls.
	ReasonRateLimited Reason = "RateLimited"
	// ReasonTooManyTargets means that Dropbox takes fewer shared folders in one call than Platen sent.
	ReasonTooManyTargets Reason = "TooManyTargets"
	// ReasonUnavailable means that the service answered with an error of its own.
	ReasonUnavailable Reason = "Unavailable"
	// ReasonUnreachable means that no answer came.
	ReasonUnreachable Reason = "Unreachable"
	// ReasonUnexpectedAnswer means that the service answered in a way that Platen does not understand.
	ReasonUnexpectedAnswer Reason = "UnexpectedAnswer"
	// ReasonSessionLost means that the service does not know an upload that was begun.
	ReasonSessionLost Reason = "SessionLost"
	// ReasonSecretUnreadable means that Platen could not read the Secret from the API server.
	ReasonSecretUnreadable Reason = "SecretUnreadable"
	// ReasonContentUnreadable means that Platen could not read the rendered file from the content store.
	ReasonContentUnreadable Reason = "ContentUnreadable"
	// ReasonDeadlineExceeded means that an upload did not begin before uploadTimeoutSeconds.
	ReasonDeadlineExceeded Reason = "DeadlineExceeded"
	// ReasonSuperseded means that a newer upload has replaced this one.
	ReasonSuperseded Reason = "Superseded"
	// ReasonUnexpected means that an error came without a reason.
	ReasonUnexpected Reason = "Unexpected"
)

// Fault says where a failure lies, and so what can end it.
type Fault string

// The faults.
const (
	// FaultOfConnection ends when somebody repairs the connection: other files would fail too, this file would pass elsewhere.
	FaultOfConnection Fault = "connection"
	// FaultOfFile ends when the job changes: the file would fail through any connection.
	FaultOfFile Fault = "file"
	// FaultOfService may end by itself.
	FaultOfService Fault = "service"
)

// Advice tells a person what a Reason means and what to do.
type Advice struct {
	Fault Fault
	// Title says what happened in a few words, such as "Access has ended".
	Title string
	// Do says what to do, in whole sentences.
	Do string
	// Reconnect is true when new credentials repair the connection; Platen then uploads any failed files again.
	Reconnect bool
	// Checked is true when a check of the connection finds this failure as an upload does: once a check passes, somebody has
	// repaired it.
	Checked bool
	// doFolder replaces Do when a connection's default folder cannot be made; empty if nothing else is to be done.
	doFolder string
	// doBucket replaces Do for connections to buckets, where nobody connects an account; empty if Do applies to them too.
	doBucket string
}

// Texts for which those who render without a RenderJob, as over REST, have words of their own.
const (
	// KeptByPolicy says why a file was kept.
	KeptByPolicy = "conflictPolicy is Keep"
	// PolicyHelps is what the advice of ReasonConflict says of a file at the file's own path.
	PolicyHelps = "another file name or conflictPolicy helps"
)

const (
	// followUp says what happens to failed uploads once the connection works again.
	followUp = " Platen then uploads any failed files again."
	// inManifest says where new credentials go that connecting cannot write.
	inManifest = " If a file or a GitOps tool writes the Secret, put the new refresh token there."
	// retried says what to do about failures that may pass.
	retried = "Platen tries again by itself, at growing intervals."
)

var advice = map[Reason]Advice{
	ReasonTokenExpired: {
		Fault: FaultOfConnection, Reconnect: true, Checked: true,
		Title: "Access has ended", Do: "Connect the account again." + inManifest + followUp,
	},
	ReasonInvalidCredentials: {
		Fault: FaultOfConnection, Reconnect: true, Checked: true, Title: "Credentials not accepted",
		Do:       "Compare the app key with the app's settings at Dropbox, then connect the account again." + inManifest + followUp,
		doBucket: "Put valid credentials into the Secret." + followUp,
	},
	ReasonMissingScope: {
		Fault: FaultOfConnection, Reconnect: true, Title: "A permission is missing",
		Do: "Add the permission to the app at Dropbox, then connect the account again." + inManifest + followUp,
	},
	ReasonAccountSuspended: {
		Fault: FaultOfConnection, Title: "Account suspended", Do: "Ask the owner of the account to talk to Dropbox, or connect another account." + followUp,
	},
	ReasonAccessDenied: {
		Fault: FaultOfConnection, Reconnect: true, Title: "Access denied",
		Do:       "Ask the owner of the account to talk to Dropbox, or connect another account." + followUp,
		doBucket: "Allow the credentials to list, read and write in the bucket." + followUp,
	},
	ReasonPathRootNotAllowed: {
		Fault: FaultOfConnection, Title: "Team space is closed",
		Do: "Correct or remove spec.dropbox.rootNamespaceID of the StorageConnection." + followUp,
	},
	ReasonInsufficientSpace: {
		Fault: FaultOfConnection, Checked: true, Title: "Account is full", Do: "Make room in the account." + followUp,
	},
	ReasonNoWritePermission: {
		Fault: FaultOfConnection, Title: "Folder is closed", Do: "Choose another folder, or ask its owner for the right to edit." + followUp,
	},
	ReasonNotFound: {Fault: FaultOfConnection, Title: "Folder does not exist", Do: "Choose another folder, or create this one." + followUp},
	ReasonBucketNotFound: {
		Fault: FaultOfConnection, Checked: true, Title: "Bucket does not exist",
		Do: "Create the bucket, or correct its name in the StorageConnection." + followUp,
	},
	ReasonEndpointBlocked: {
		Fault: FaultOfConnection, Checked: true, Title: "Endpoint is blocked",
		Do: "Name a public endpoint in the StorageConnection, or ask an administrator to allow its address with the manager's flag --storage-outbound-allow." + followUp,
	},
	ReasonInvalidSpec: {Fault: FaultOfConnection, Title: "Settings not valid", Do: "Correct the spec of the StorageConnection." + followUp},
	ReasonDisabled: {
		Fault: FaultOfConnection, Title: "Uploads are switched off",
		Do: "Set spec.uploadPolicy of the StorageConnection to Automatic or OnRequest." + followUp,
	},
	ReasonConnectionNotFound: {
		Fault: FaultOfConnection, Title: "No such connection", Do: "Create the connection that the job asks for, or name another one of the namespace in its spec.connections." + followUp,
	},
	ReasonSecretNotFound: {
		Fault: FaultOfConnection, Reconnect: true, Checked: true, Title: "Credentials are missing",
		Do: "Connect the account again, or create the Secret." + followUp, doBucket: `Create the Secret with the label platen.dev/credentials: "true"` +
			" and " + anyKeys + "." + followUp,
	},
	ReasonSecretNotLabelled: {
		Fault: FaultOfConnection, Reconnect: true, Checked: true, Title: "Credentials not released",
		Do: "Add the label to the Secret if Platen may read it." + followUp,
	},
	ReasonSecretKeyMissing: {
		Fault: FaultOfConnection, Reconnect: true, Checked: true, Title: "Credentials are incomplete",
		Do: "Connect the account again, or add the key to the Secret." + followUp, doBucket: "Add the key to the Secret." + followUp,
	},
	ReasonSecretKeyInvalid: {
		Fault: FaultOfConnection, Reconnect: true, Checked: true, Title: "Credentials are damaged",
		Do: "Connect the account again, or correct the key in the Secret." + followUp, doBucket: "Correct the key in the Secret." + followUp,
	},
	ReasonSecretNotOurs: {
		Fault: FaultOfConnection, Title: "Another tool manages the Secret", Do: "Put the credentials where that tool takes the Secret from.",
	},
	ReasonRefused: {Fault: FaultOfConnection, Title: "Request refused", Do: "Correct what the message names, then retry the upload."},

	ReasonPathNotAllowed: {
		Fault: FaultOfFile, Title: "Name not allowed", Do: "Choose another folder or file name.", doFolder: "Choose another spec.defaultFolder.",
	},
	ReasonConflict: {
		Fault: FaultOfFile, Title: "Something is in the way",
		Do:       "Move what is in the way, then retry the upload; or render again into another folder. If it is at the file's own path, " + PolicyHelps + ", too.",
		doFolder: "Choose another spec.defaultFolder, or move what is in its place.",
	},
	ReasonFileTooLarge:   {Fault: FaultOfFile, Title: "File is too large", Do: "Render smaller pages, or in a format that makes smaller files."},
	ReasonContentChanged: {Fault: FaultOfFile, Title: "File was changed", Do: "Render the job again."},
	ReasonContentLost: {
		Fault: FaultOfFile, Title: "File is lost", Do: "Render a finished job again. Platen renders an unfinished one again by itself.",
	},

	ReasonRateLimited:       {Fault: FaultOfService, Title: "Service asks for fewer calls", Do: retried},
	ReasonTooManyTargets:    {Fault: FaultOfService, Title: "Too many shared folders at a time", Do: retried},
	ReasonUnavailable:       {Fault: FaultOfService, Title: "Service unavailable", Do: retried},
	ReasonUnreachable:       {Fault: FaultOfService, Title: "Service out of reach", Do: retried},
	ReasonUnexpectedAnswer:  {Fault: FaultOfService, Title: "Answer not understood", Do: retried},
	ReasonSessionLost:       {Fault: FaultOfService, Title: "Upload was lost", Do: retried},
	ReasonSecretUnreadable:  {Fault: FaultOfService, Title: "Credentials could not be read", Do: retried},
	ReasonContentUnreadable: {Fault: FaultOfService, Title: "Rendered file could not be read", Do: retried},
	ReasonUnexpected:        {Fault: FaultOfService, Title: "Upload was interrupted", Do: retried},
	ReasonDeadlineExceeded: {
		Fault: FaultOfService, Title: "Upload took too long",
		Do: "Platen tries again by itself, at growing intervals. A large file on a slow line needs more time in uploadTimeoutSeconds.",
	},
	ReasonSuperseded: {Fault: FaultOfService, Title: "Upload was replaced", Do: "Nothing: a newer upload of the job replaces this one."},
}

// anyKeys are the keys of a Secret for a bucket of any provider, and keysOf has those of one.
const anyKeys = "the keys accessKeyID and secretAccessKey for s3, serviceAccountKey for gcs, or accountKey for azureblob"

var keysOf = map[string]string{
	"s3": "the keys accessKeyID and secretAccessKey", "gcs": "the key serviceAccountKey", "azureblob": "the key accountKey",
}

// Advice returns what r means to a person who uses the given provider, as in spec.provider, empty for a bucket of any; the zero Advice when r is not
// declared here.
func (r Reason) Advice(provider string) Advice {
	a := advice[r]
	if a.doBucket != "" && provider != "dropbox" {
		a.Do = strings.Replace(a.doBucket, anyKeys, cmp.Or(keysOf[provider], anyKeys), 1)
	}
	return a
}

// AdviceOfConnection returns what r means to a person who sees it in the Ready condition of a StorageConnection: what concerns a file in an upload
// concerns the default folder there.
func (r Reason) AdviceOfConnection(provider string) Advice {
	a := r.Advice(provider)
	a.Do = cmp.Or(a.doFolder, a.Do)
	return a
}

// Fault returns where the failure lies; FaultOfService when r is not declared here.
func (r Reason) Fault() Fault { return cmp.Or(advice[r].Fault, FaultOfService) }

// Reasons returns all Reasons, by fault and name.
func Reasons() []Reason {
	return slices.SortedFunc(maps.Keys(advice), func(a, b Reason) int {
		return cmp.Or(cmp.Compare(a.Fault(), b.Fault()), cmp.Compare(a, b))
	})
}
