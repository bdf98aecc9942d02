package internal_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

const rulesFile = "../deploy/prometheus/gatehouse.rules.yml"

// promtool is Prometheus' own checker, which scripts/servers brings.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if program, err = filepath.Abs("../.cache/bin/promtool"); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v (scripts/servers brings it)\n%s", strings.Join(args, " "), err, out)
	}
}

// LOG-2: what Prometheus is given is what it takes, and fires when it should.
func TestLOG2_TheRulesOfPrometheus(t *testing.T) {
	promtool(t, "check", "config", "../deploy/prometheus/prometheus.yml")
	promtool(t, "test", "rules", "../deploy/prometheus/gatehouse.rules.test.yml")
	promtool(t, "test", "rules", "../deploy/prometheus/gatehouse.days.test.yml")
}

// promRule is a rule of Prometheus'.
type promRule struct {
	Record      string            `json:"record,omitempty"`
	Alert       string            `json:"alert,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type promRules struct {
	Groups []struct {
		Name  string     `json:"name"`
		Rules []promRule `json:"rules"`
	} `json:"groups"`
}

func rules(t *testing.T) (list []promRule) {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var f promRules
	if err := yaml.UnmarshalStrict(text, &f); err != nil {
		t.Fatal(err)
	}
	for _, g := range f.Groups {
		list = append(list, g.Rules...)
	}
	return list
}

// Each built-in rule has one of Prometheus', by the default of its setting, and
// each of these says what it found and how to look closer.
func TestLOG2_PrometheusHasEveryRule(t *testing.T) {
	watched := map[string]string{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if r.Annotations["summary"] == "" || r.Annotations["look"] == "" || r.Labels["severity"] != "warning" && r.Labels["severity"] != "critical" {
			t.Errorf("%s lacks a summary, a look or a severity: %+v", r.Alert, r)
		}
		for _, m := range regexp.MustCompile(`--event (\S+)`).FindAllStringSubmatch(r.Annotations["look"], -1) {
			if !slices.ContainsFunc(event.Catalogue, func(a event.About) bool { return string(a.Kind) == m[1] }) {
				t.Errorf("%s: there is no event %s", r.Alert, m[1])
			}
		}
		watched[r.Labels["rule"]] += r.Expr + "\n"
	}
	settings, initial := columns(t, "../docs/guides/alerts.md", 0, 2), columns(t, "../docs/configuration.md", 0, 1)
	for _, r := range alert.Rules {
		own, bound := watched[r.Name], initial[settings[r.Name]]
		switch passed := regexp.MustCompile(`gatehouse_alert_open\{rule=~"([a-z_|]+)"\}`).FindStringSubmatch(watched[""]); {
		case passed == nil:
			t.Fatal("no rule passes on what the built-in ones alone can see")
		case own == "" && !slices.Contains(strings.Split(passed[1], "|"), r.Name):
			t.Errorf("%s is not watched by Prometheus", r.Name)
		case own != "" && bound != "" && !strings.Contains(own, ">= "+bound+"\n") && !strings.Contains(own, ">= "+bound+" "):
			t.Errorf("%s has the bound %s, and Prometheus another: %s", r.Name, bound, own)
		}
	}
}

// columns reads a Markdown table's two columns as a map.
func columns(t *testing.T, path string, key, value int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(strings.Trim(line, "| \n"), "|"); strings.HasPrefix(line, "| `") && len(cells) > max(key, value) {
			out[strings.Trim(cells[key], " `")] = strings.Trim(cells[value], " `")
		}
	}
	return out
}

// LOG-2: whatever the rules and the dashboard ask for is a metric that there is,
// with that label, and that flow's outcome.
func TestLOG2_OnlyMetricsThatAreDocumented(t *testing.T) {
	asked := map[string]string{} // by where it stands
	recorded := map[string]bool{}
	for _, r := range rules(t) {
		asked[r.Alert+r.Record] = r.Expr
		recorded[r.Record] = true
	}
	shown := dashboard(t)
	for i, expr := range shown {
		asked[fmt.Sprintf("the dashboard's query %d", i)] = expr
	}
	labels, outcomes := columns(t, "../docs/metrics.md", 0, 2), columns(t, "../docs/metrics.md", 0, 1)
	for where, expr := range asked {
		for _, m := range regexp.MustCompile(`([a-z][a-z0-9_:]*)(\{[^}]*\})?`).FindAllStringSubmatch(bare(expr), -1) {
			name := strings.TrimSuffix(m[1], "_bucket")
			known, documented := labels[name]
			switch {
			case !strings.Contains(name, "_") && name != "up", strings.HasPrefix(name, "gatehouse:") && recorded[name]:
				continue // a function or a keyword; or ours
			case slices.Contains([]string{"label_replace", "histogram_quantile"}, name):
				continue
			case !documented && name != "up":
				t.Errorf("%s: docs/metrics.md has no %s", where, name)
			}
			for _, l := range regexp.MustCompile(`([a-z_]+)(!?=~?)"([^"]*)"`).FindAllStringSubmatch(m[2], -1) {
				// Prometheus has a label "job" of its own, and renames ours.
				if l[1] != "job" && l[1] != "instance" && !slices.Contains(strings.Split(known, ", "), strings.TrimPrefix(l[1], "exported_")) {
					t.Errorf("%s: %s has no label %s", where, name, l[1])
				}
				if flow := regexp.MustCompile(`flow=~?"([^"]*)"`).FindStringSubmatch(m[2]); flow != nil && l[1] == "outcome" {
					for o := range strings.SplitSeq(l[3], "|") {
						if !slices.ContainsFunc(strings.Split(flow[1], "|"), func(f string) bool { return strings.Contains("`"+outcomes[f]+"`", "`"+o+"`") }) {
							t.Errorf("%s: the flow %s has no outcome %s", where, flow[1], o)
						}
					}
				}
			}
		}
	}
	var f promRules
	f.Groups = append(f.Groups, struct {
		Name  string     `json:"name"`
		Rules []promRule `json:"rules"`
	}{Name: "dashboard"})
	for i, expr := range shown {
		f.Groups[0].Rules = append(f.Groups[0].Rules, promRule{Record: fmt.Sprintf("query:%d", i), Expr: expr})
	}
	text, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}

// bare takes away what names no metric: the labels things are grouped by.
func bare(expr string) string {
	return regexp.MustCompile(`\b(by|on|without|ignoring) ?\([^)]*\)|"day", "\d", "", ""`).ReplaceAllString(expr, "")
}

// dashboard returns the queries of Grafana's, as Prometheus gets them.
func dashboard(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile("../deploy/grafana/gatehouse.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range d.Panels {
		if seen[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %d, %q, shows nothing, or has another's number", p.ID, p.Title)
		}
		seen[p.ID] = true
		for _, q := range p.Targets {
			list = append(list, strings.NewReplacer("$__rate_interval", "5m", "$job", "gatehouse").Replace(q.Expr))
		}
	}
	if len(list) < 20 {
		t.Errorf("only %d queries are there", len(list))
	}
	return list
}
