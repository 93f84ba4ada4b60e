// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	_ "sigs.k8s.io/controller-runtime/pkg/controller" // registers the metrics of controllers
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"github.com/platen-dev/platen/internal/metrics"
	"github.com/platen-dev/platen/test/program"
)

// prometheusTools is the module with promtool and the program selectors.
const prometheusTools = "../../hack/tools/prometheus"

// promtool runs a command of promtool, without the service discoveries, which take long to compile.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	run := slices.Concat([]string{"-C", prometheusTools, "run", "-tags=remove_all_sd", "github.com/prometheus/prometheus/cmd/promtool"}, args)
	c := exec.CommandContext(t.Context(), "go", run...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// monitoring returns the objects that config/monitoring adds to config/default.
func monitoring(t *testing.T) objects {
	t.Helper()
	all := overlay(t, "monitoring")
	for key := range build(t, "config/default") {
		delete(all, key)
	}
	return all
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	spec := at(monitoring(t)["PrometheusRule/platen"].Object, "spec")
	folder := t.TempDir()
	write := func(name string, content any) string {
		data, err := yaml.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	promtool(t, "check", "rules", write("rules.yaml", spec))

	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The tests say when an alert fires, not what it says.
	for _, rule := range at(spec, "groups.0.rules").([]any) {
		alert := rule.(map[string]any)
		name := alert["alert"].(string)
		if !regexp.MustCompile(`alertname: ` + name + `\n    exp_alerts: \[\{`).Match(tests) {
			t.Errorf("testdata/alerts_test.yaml has no test in which %s fires", name)
		}
		if !strings.Contains(string(tests), "alertname: "+name+"}") {
			t.Errorf("testdata/alerts_test.yaml has no test in which %s is silent", name)
		}
		delete(alert, "annotations")
	}
	write("alerts.yaml", spec)
	if err := os.WriteFile(filepath.Join(folder, "alerts_test.yaml"), tests, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", filepath.Join(folder, "alerts_test.yaml"))
}

// Each alert's runbook is a section of docs/operations/alerts.md, and each section is an alert's.
func TestAlertsHaveRunbooks(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(page), -1)
	rules := at(monitoring(t)["PrometheusRule/platen"].Object, "spec.groups.0.rules").([]any)
	sections, alerts := make([]string, 0, len(headings)), make([]string, 0, len(rules))
	for _, heading := range headings {
		sections = append(sections, heading[1])
	}
	for _, rule := range rules {
		name := at(rule, "alert").(string)
		alerts = append(alerts, name)
		want := "https://github.com/platen-dev/platen/blob/main/docs/operations/alerts.md#" + strings.ToLower(name)
		if got := at(rule, "annotations.runbook_url"); got != want {
			t.Errorf("the runbook of %s is %v, want %s", name, got, want)
		}
	}
	if difference := cmp.Diff(alerts, sections); difference != "" {
		t.Errorf("the alerts (-) and the sections of docs/operations/alerts.md (+) differ:\n%s", difference)
	}
}

// described has the labels of each metric of a registry, and its help.
type described map[string]struct {
	labels []string
	help   string
}

// description is how a *prometheus.Desc prints.
var description = regexp.MustCompile(`^Desc\{fqName: "(\w+)", help: "(.*)", (?:unit: ".*", )?constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`)

func describe(t *testing.T, registries ...prometheus.Collector) described {
	t.Helper()
	all := described{}
	for _, registry := range registries {
		descriptions := make(chan *prometheus.Desc)
		go func() { registry.Describe(descriptions); close(descriptions) }()
		for d := range descriptions {
			parts := description.FindStringSubmatch(d.String())
			if parts == nil {
				t.Fatalf("%s is not understood", d)
			}
			entry := all[parts[1]]
			entry.labels, entry.help = strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' || r == ' ' }), parts[2]
			all[parts[1]] = entry
		}
	}
	return all
}

// Each query of the alerts and of the dashboard names metrics, labels and values that the manager has.
func TestQueriesNameMetricsThatExist(t *testing.T) {
	own := prometheus.NewRegistry()
	if err := metrics.Register(own); err != nil {
		t.Fatal(err)
	}
	known := describe(t, own, ctrlmetrics.Registry.(prometheus.Collector))
	// Those of Go and of the process are Prometheus's; up is made by Prometheus.
	for _, name := range []string{"up", "go_goroutines", "process_cpu_seconds_total", "process_resident_memory_bytes"} {
		known[name] = known[""]
	}
	// Prometheus adds these labels.
	target := []string{"job", "instance", "namespace", "pod", "service", "endpoint", "container"}

	set := monitoring(t)
	var queries []string
	for _, rule := range at(set["PrometheusRule/platen"].Object, "spec.groups.0.rules").([]any) {
		queries = append(queries, strings.ReplaceAll(at(rule, "expr").(string), "\n", " "))
	}
	alerts := len(queries)
	var dashboard struct {
		Panels []struct {
			Type, Title, Description string
			Targets                  []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(at(set["ConfigMap/platen-dashboard"].Object, "data").(map[string]any)["platen.json"].(string)), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && (panel.Description == "" || len(panel.Targets) == 0) {
			t.Errorf("the panel %s needs a description and a query", panel.Title)
		}
		for _, target := range panel.Targets {
			queries = append(queries, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"))
		}
	}
	if alerts == 0 || len(queries) == alerts {
		t.Fatalf("there are %d queries of alerts and %d of the dashboard", alerts, len(queries)-alerts)
	}

	if err := program.SeeFolder(prometheusTools); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "go", "-C", prometheusTools, "run", ".")
	c.Stdin, c.Stderr = strings.NewReader(strings.Join(queries, "\n")+"\n"), os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for _, text := range queries {
		var q struct {
			Selectors []struct {
				Metric   string
				Matchers map[string]string
			}
			Labels []string
		}
		if err := decoder.Decode(&q); err != nil {
			t.Fatal(err)
		}
		var labels []string
		for _, s := range q.Selectors {
			name := s.Metric
			metric, found := known[name]
			if !found {
				name = strings.TrimSuffix(name, "_bucket")
				if metric, found = known[name]; found {
					labels = append(labels, "le")
				}
			}
			if !found {
				t.Errorf("%s: there is no metric %s", text, s.Metric)
				continue
			}
			used[name] = true
			labels = append(labels, metric.labels...)
			for label, value := range s.Matchers {
				if slices.Contains(target, label) {
					continue
				}
				if !slices.Contains(metric.labels, label) {
					t.Errorf("%s: %s has no label %s", text, name, label)
				}
				for value := range strings.SplitSeq(value, "|") {
					if strings.HasPrefix(name, "platen_") && !regexp.MustCompile(`\b`+value+`\b`).MatchString(metric.help) {
						t.Errorf("%s: the help of %s does not tell of %s=%q: %s", text, name, label, value, metric.help)
					}
				}
			}
		}
		for _, label := range q.Labels {
			if !slices.Contains(labels, label) && !slices.Contains(target, label) {
				t.Errorf("%s: its metrics have no label %s", text, label)
			}
		}
	}
	for name := range describe(t, own) {
		if !used[name] {
			t.Errorf("neither an alert nor the dashboard shows %s", name)
		}
	}
}

// The chart's monitoring is that of config/monitoring.
func TestChartMonitorsAsConfigMonitoringDoes(t *testing.T) {
	want, got := monitoring(t), render(t, `monitoring={"serviceMonitor":{"enabled":true,"labels":{"release":"prometheus"}},"prometheusRule":{"enabled":true},"dashboard":{"enabled":true}}`)
	for key := range render(t) {
		delete(got, key)
	}
	if label := got["ServiceMonitor/platen-manager"].GetLabels()["release"]; label != "prometheus" {
		t.Errorf("the ServiceMonitor's label release is '%s', want 'prometheus'", label)
	}
	if label := got["ConfigMap/platen-dashboard"].GetLabels()["grafana_dashboard"]; label != "1" {
		t.Errorf("the dashboard's label grafana_dashboard is '%s', want '1'", label)
	}
	for _, set := range []objects{want, got} {
		for _, object := range set {
			object.SetLabels(nil)
		}
	}
	if difference := cmp.Diff(want, got); difference != "" {
		t.Errorf("config/monitoring (-) and the chart (+) differ:\n%s", difference)
	}
}

// Each part of the chart's monitoring brings the role that reads the metrics: a Prometheus may scrape them without a ServiceMonitor.
func TestMonitoringBringsTheRightToReadMetrics(t *testing.T) {
	const role = "ClusterRole/platen-metrics-reader"
	for _, part := range []string{"serviceMonitor", "prometheusRule", "dashboard"} {
		if render(t, "monitoring."+part+".enabled=true")[role] == nil {
			t.Errorf("monitoring.%s makes no %s", part, role)
		}
	}
	if render(t)[role] != nil {
		t.Errorf("the chart makes %s without monitoring", role)
	}
}

// The ServiceMonitor selects the Service of the metrics, and names its port.
func TestServiceMonitorSelectsTheMetrics(t *testing.T) {
	for name, set := range map[string]objects{
		"config/monitoring": overlay(t, "monitoring"), "the chart": render(t, `monitoring.serviceMonitor.enabled=true`),
	} {
		monitor := set["ServiceMonitor/platen-manager"]
		wanted, _, err := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
		if err != nil {
			t.Fatal(err)
		}
		var selected []string
		for key, object := range set {
			if object.GetKind() != "Service" {
				continue
			}
			matches := true
			for label, value := range wanted {
				matches = matches && object.GetLabels()[label] == value
			}
			if matches {
				selected = append(selected, fmt.Sprint(key, " ", at(object.Object, "spec.ports.0.name")))
			}
		}
		if port := at(monitor.Object, "spec.endpoints.0.port"); !slices.Equal(selected, []string{fmt.Sprint("Service/platen-metrics ", port)}) {
			t.Errorf("%s: the ServiceMonitor selects %v", name, selected)
		}
	}
}
