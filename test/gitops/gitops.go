// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitops reads the state of Platen's objects as GitOps tools do: Flux with kstatus, Argo CD with the health checks of
// config/argocd.
package gitops

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/platen-dev/platen/test/testenv"
)

// healths are Argo CD's words for kstatus's.
var healths = map[status.Status]string{status.CurrentStatus: "Healthy", status.InProgressStatus: "Progressing", status.FailedStatus: "Degraded"}

// ExpectStatus fails the test unless kstatus and Argo CD both read a status from an object of a kind. Argo CD has a word of its own for
// objects that are suspended, unless they have nothing left to wait for.
func ExpectStatus(t *testing.T, kind string, object client.Object, want status.Status) {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	result, err := status.Compute(&unstructured.Unstructured{Object: content})
	if err != nil {
		t.Fatal(err)
	}
	if result.Status != want {
		t.Errorf("kstatus reads %s (%s), want %s", result.Status, result.Message, want)
	}
	health, message, err := Health(kind, content)
	if err != nil {
		t.Fatal(err)
	}
	wantHealth := healths[want]
	if suspended, _, _ := unstructured.NestedBool(content, "spec", "suspend"); suspended && want != status.CurrentStatus {
		wantHealth = "Suspended"
	}
	if health != wantHealth {
		t.Errorf("Argo CD reads %s (%s), want %s", health, message, wantHealth)
	}
}

// Health returns what Argo CD's health check of a kind says of an object.
func Health(kind string, object map[string]any) (health, message string, err error) {
	root, err := testenv.Root()
	if err != nil {
		return "", "", err
	}
	data, err := os.ReadFile(filepath.Join(root, "config", "argocd", "argocd-cm.yaml"))
	if err != nil {
		return "", "", err
	}
	var checks corev1.ConfigMap
	if err := yaml.UnmarshalStrict(data, &checks); err != nil {
		return "", "", err
	}
	check := checks.Data["resource.customizations.health.platen.dev_"+kind]
	if check == "" {
		return "", "", fmt.Errorf("config/argocd has no check of %s", kind)
	}
	// As the API server's JSON says it: numbers are numbers of Lua.
	var decoded map[string]any
	if data, err = json.Marshal(object); err == nil {
		err = json.Unmarshal(data, &decoded)
	}
	if err != nil {
		return "", "", err
	}
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	lua.OpenBase(l)
	l.SetGlobal("obj", value(l, decoded))
	if err := l.DoString(check); err != nil {
		return "", "", err
	}
	result, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the check of %s returns %s", kind, l.Get(-1))
	}
	return result.RawGetString("status").String(), result.RawGetString("message").String(), nil
}

// value returns a value of JSON as one of Lua.
func value(l *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case float64:
		return lua.LNumber(v)
	case map[string]any:
		table := l.NewTable()
		for key, item := range v {
			table.RawSetString(key, value(l, item))
		}
		return table
	case []any:
		table := l.NewTable()
		for _, item := range v {
			table.Append(value(l, item))
		}
		return table
	default:
		return lua.LNil
	}
}
