// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// NumberOrString is a decimal number, or a text with one. YAML takes `1.5` for a number and `"1.5"` for a text; both are right. The API server
// takes any value of such a field: its rules know whole numbers and texts, but not both with decimal numbers. The manager refuses what is no
// number, or not in the field's range, with the reason InvalidSpec.
type NumberOrString string

// UnmarshalJSON implements json.Unmarshaler. Every other value becomes its JSON, which the code that reads the field then refuses.
func (n *NumberOrString) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(n))
	}
	if string(data) != "null" {
		*n = NumberOrString(data)
	}
	return nil
}

// ProviderType names a storage service.
// +kubebuilder:validation:Enum=dropbox;s3;gcs;azureblob
type ProviderType string

const (
	// ProviderDropbox is Dropbox, reached through its HTTP API v2.
	ProviderDropbox ProviderType = "dropbox"
	// ProviderS3 is Amazon S3 or a service with its API.
	ProviderS3 ProviderType = "s3"
	// ProviderGCS is Google Cloud Storage.
	ProviderGCS ProviderType = "gcs"
	// ProviderAzureBlob is Azure Blob Storage.
	ProviderAzureBlob ProviderType = "azureblob"
)

// FolderPath is an absolute folder in a storage service, such as `/Marketing/Campaign-2024`. It must start with a slash and
// must not end with one; a component must not be empty, `.` or `..`, must not end with a space or a dot, must not contain a
// backslash, a line break or a control character, and must not be a name that Dropbox refuses (desktop.ini, thumbs.db, .ds_store,
// .dropbox, .dropbox.attr). The root folder is `/`.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=400
// +kubebuilder:validation:XValidation:rule="self.startsWith('/')",message="must start with a slash, such as /Marketing/Campaign-2024"
// +kubebuilder:validation:XValidation:rule="self == '/' || !self.endsWith('/')",message="must not end with a slash"
// +kubebuilder:validation:XValidation:rule="!self.contains('//')",message="must not contain an empty component (two slashes in a row)"
// +kubebuilder:validation:XValidation:rule=`!self.matches('[\\\\\\x00-\\x1f\\x7f-\\x{9f}\\x{2028}-\\x{202e}\\x{2066}-\\x{2069}]')`,message="must not contain a backslash, a line break or a control character, also none that changes the direction of text"
// +kubebuilder:validation:XValidation:rule=`!self.matches('[ .](/|$)')`,message="must not have a component that is '.' or '..' or that ends with a space or a dot"
// +kubebuilder:validation:XValidation:rule=`!self.matches('(?i)/(desktop\\.ini|thumbs\\.db|\\.ds_store|\\.dropbox|\\.dropbox\\.attr)(/|$)')`,message="must not have a component with a name that Dropbox refuses: desktop.ini, thumbs.db, .ds_store, .dropbox, .dropbox.attr"
// +kubebuilder:validation:XValidation:rule="!self.matches('[^/]{256}')",message="must not have a component longer than 255 characters"
type FolderPath string

// Folder returns a folder that a person or a client of an HTTP API has written, as a FolderPath spells it: with a slash first and none last.
func Folder(text string) FolderPath {
	text = strings.TrimSpace(text)
	if text != "" && text[0] != '/' {
		text = "/" + text
	}
	for len(text) > 1 && strings.HasSuffix(text, "/") {
		text = text[:len(text)-1]
	}
	return FolderPath(text)
}

// FileName is the name of a file without its extension. It must not contain a slash, a backslash, a line break or a control character,
// must not start with a space or a dot, and must have a visible character. Characters outside of the Basic Multilingual Plane, such as
// emoji, count as two, as they do in Dropbox and Windows.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=200
// +kubebuilder:validation:XValidation:rule=`self.size() + self.findAll('[\\x{10000}-\\x{10ffff}]').size() <= 200`,message="must have at most 200 characters, where an emoji counts as two, as it does in Dropbox"
// +kubebuilder:validation:XValidation:rule=`!self.contains('/')`,message="must not contain a slash: name the folder in spec.connections[].folder"
// +kubebuilder:validation:XValidation:rule=`!self.matches('[\\\\\\x00-\\x1f\\x7f-\\x{9f}\\x{2028}-\\x{202e}\\x{2066}-\\x{2069}]')`,message="must not contain a backslash, a line break or a control character, also none that changes the direction of text"
// +kubebuilder:validation:XValidation:rule=`!self.matches('^[ .]')`,message="must not start with a space or a dot"
// +kubebuilder:validation:XValidation:rule=`self.matches('[^\\p{Z}\\p{Cf}\\x{115f}\\x{1160}\\x{3164}\\x{ffa0}\\x{fe00}-\\x{fe0f}]')`,message="must have a visible character"
type FileName string

// ConfigMapKeySelector names one key of a ConfigMap in the same namespace.
type ConfigMapKeySelector struct {
	// name of the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a ConfigMap: lower-case letters, digits, hyphens and dots, with a letter or a digit first and last"
	Name string `json:"name,omitempty"`

	// key within the ConfigMap's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key that a ConfigMap can have: letters, digits, hyphens, dots and underscores"
	Key string `json:"key,omitempty"`
}

// TextIn returns the text of the key in the ConfigMap. If there is none, missing says why, and names the keys that there are.
func (s ConfigMapKeySelector) TextIn(m *corev1.ConfigMap) (text, missing string) {
	if text, ok := m.Data[s.Key]; ok {
		return text, ""
	}
	if _, ok := m.BinaryData[s.Key]; ok {
		return "", fmt.Sprintf("key '%s' of ConfigMap '%s' is in its binaryData, as it is no text in UTF-8: save the file in UTF-8, and make the ConfigMap again", s.Key, s.Name)
	}
	missing = fmt.Sprintf("ConfigMap '%s' has no key '%s'", s.Name, s.Key)
	keys := slices.Sorted(maps.Keys(m.Data))
	const most = 10
	switch {
	case len(keys) == 0:
		return "", missing
	case len(keys) > most:
		keys = append(keys[:most], "…")
	}
	return "", fmt.Sprintf("%s (it has: %s)", missing, strings.Join(keys, ", "))
}
