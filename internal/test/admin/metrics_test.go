package admin_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

const metricsHead = `# Metrics

<!-- Made from a scrape of a running server. Rewrite it with: scripts/servers go test ./internal/test/admin -run TestTheMetricsAreDocumented -update -->

` + "`GET /metrics`" + ` on ADMIN_LISTEN_ADDR, in Prometheus' text format. Names, types and labels are stable: a change is listed in the
CHANGELOG. Every label has a fixed set of values, so no request can create new series. All numbers are one replica's
since its start; what commands such as ` + "`gatehouse user disable`" + ` do is in the event log, not here.

| metric | type | labels | meaning |
|---|---|---|---|
`

const metricsLabels = `
## Labels

| label | values |
|---|---|
| ` + "`route`" + ` | the route's pattern, as in openapi.yaml; ` + "`none`" + ` for what no route took |
| ` + "`method`" + ` | the HTTP method; ` + "`other`" + ` for what is none |
| ` + "`status`" + ` | the HTTP status; 499 for a client that left before its answer |
| ` + "`outcome`" + ` of a request | ` + "`ok`" + ` under 400, ` + "`refused`" + ` 4xx, ` + "`unavailable`" + ` 503, ` + "`failed`" + ` other 5xx, ` +
	"`gone`" + ` 499 |
| ` + "`event`" + `, its ` + "`outcome`" + ` | the event's name; ` + "`success`" + ` or ` + "`failure`" + ` |
| ` + "`flow`" + `, its ` + "`outcome`" + ` | below |
| ` + "`job`" + ` | ` + "`forget-guesses`" + ` deletes the counts of addresses at which nobody tries a password any more, ` + "`forget-revocations`" +
	` revocations that no living token can meet |
| ` + "`database`" + ` | ` + "`sqlite`" + ` or ` + "`postgres`" + ` |

## Flows

` + "`gatehouse_flows_total`" + ` has these outcomes. In addition, every flow has ` + "`invalid`" + ` (the input can't be accepted), ` + "`busy`" +
	` (too many wait for a
password hash), ` + "`unavailable`" + ` (the database is unavailable), ` + "`timed_out`" + `, ` + "`gone`" + ` (the client left) and ` + "`failed`" +
	` (a bug). A body that
can't be read never reaches a flow: it is in ` + "`gatehouse_http_requests_total`" + ` alone.

| flow | outcomes |
|---|---|
`

const metricsTail = `
Worth an alert: ` + "`gatehouse_flows_total{outcome=\"failed\"}`" + ` or ` + "`gatehouse_http_panics_total`" + ` rising; ` +
	"`gatehouse_flows_total{flow=\"refresh\"}`" + ` rising with
` + "`reused`" + ` (stolen tokens) or ` + "`ahead`" + ` (the database went back in time); ` + "`gatehouse_hashing_shed_total`" + ` rising for minutes;
` + "`gatehouse_job_overdue_seconds`" + ` over an hour.
`

// family is one metric of a scrape.
type family struct{ name, kind, labels, help string }

var sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)

// families reads a scrape. Every line must be one that it understands.
func families(t *testing.T, text string) map[string]family {
	t.Helper()
	out := map[string]family{}
	labels := map[string]map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			out[name] = family{name: name, help: help}
			labels[name] = map[string]bool{}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			f := out[name]
			f.kind = kind
			out[name] = f
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no line of a scrape: %q", line)
		}
		name := m[1]
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			base := strings.TrimSuffix(name, suffix)
			if _, ok := out[base]; ok {
				name = base
				break
			}
		}
		if labels[name] == nil {
			t.Fatalf("%s is sampled, and has no help", name)
		}
		for _, l := range regexp.MustCompile(`([a-z_]+)="(?:[^"\\]|\\.)*"`).FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" && l[1] != "quantile" {
				labels[name][l[1]] = true
			}
		}
	}
	for name, f := range out {
		f.labels = strings.Join(slices.Sorted(maps.Keys(labels[name])), ", ")
		out[name] = f
	}
	return out
}

func metricsPage(list map[string]family) string {
	var b strings.Builder
	b.WriteString(metricsHead)
	names := slices.SortedFunc(maps.Keys(list), func(a, b string) int {
		ours := func(s string) string { // ours come first
			if strings.HasPrefix(s, "gatehouse_") {
				return " " + s
			}
			return s
		}
		return strings.Compare(ours(a), ours(b))
	})
	for _, name := range names {
		f := list[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, f.labels, strings.ReplaceAll(f.help, "|", `\|`))
	}
	b.WriteString(metricsLabels)
	common := map[string]int{}
	flows := flow.Outcomes()
	for _, outcomes := range flows {
		for _, o := range outcomes {
			common[o]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(flows)) {
		var own []string
		for _, o := range flows[name] {
			if common[o] < len(flows) {
				own = append(own, "`"+o+"`")
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.Join(own, ", "))
	}
	b.WriteString(metricsTail)
	return b.String()
}

// TestTheMetricsAreDocumented holds docs/metrics.md against what servers on both
// databases export once they have done some work.
func TestTheMetricsAreDocumented(t *testing.T) {
	path := proctest.File("docs/metrics.md")
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Expect(200, "", harness.Get("/v1/me", h.Login("ada@example.org").Str("access_token")))
		h.Expect(404, "not_found", harness.Get("/nowhere"))
		scraped := families(h.T, h.Metrics())
		if *update {
			if err := os.WriteFile(path, []byte(metricsPage(scraped)), 0o600); err != nil {
				h.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			h.Fatal(err)
		}
		// The kernel reports less about a process in some containers.
		for _, m := range regexp.MustCompile("(?m)^\\| `(process_\\w+)` \\| (\\w+) \\|  \\| (.*) \\|$").FindAllStringSubmatch(string(have), -1) {
			if _, ok := scraped[m[1]]; !ok {
				scraped[m[1]] = family{name: m[1], kind: m[2], help: m[3]}
			}
		}
		if diff := cmp.Diff(string(have), metricsPage(scraped)); diff != "" {
			h.Errorf("docs/metrics.md is not what a scrape says. Rewrite it with: scripts/servers go test ./internal/test/admin -run TestTheMetricsAreDocumented -update\n-file +scrape:\n%s", diff)
		}
	})
}

// TestEachOutcomeOfAFlowIsCounted drives the flows to their outcomes, those
// that write no event included.
func TestEachOutcomeOfAFlowIsCounted(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		seen := map[string]string{}
		step := func(want string, do func()) {
			h.Helper()
			do()
			now := h.Counts()
			var rose []string
			for k, v := range now {
				if seen[k] != v {
					rose = append(rose, k)
				}
			}
			slices.Sort(rose)
			if got := strings.Join(rose, ", "); got != want {
				h.Errorf("counted %q, want %q", got, want)
			}
			seen = now
		}
		post := func(status int, code, path string, body any) func() {
			return func() { h.Helper(); h.Expect(status, code, harness.Post(path, body)) }
		}
		step("register success", func() { h.Register("ada@example.org") })
		step("register address_taken", func() { h.Register("ada@example.org") })
		step("register invalid", post(400, "invalid_email", "/v1/register", harness.Credentials{Email: "ada", Password: harness.Passphrase}))
		step("", post(400, "wrong_type", "/v1/register", `{"email":1}`))
		step("sign_in unknown_account", post(401, "invalid_credentials", "/v1/login", harness.Credentials{Email: "eve@example.org", Password: harness.Passphrase}))
		step("sign_in wrong_password", post(401, "invalid_credentials", "/v1/login",
			harness.Credentials{Email: "ada@example.org", Password: harness.Passphrase + "!"}))
		var first, second, third harness.Answer
		step("sign_in success", func() { first = h.Login("ada@example.org") })
		step("refresh rotated", func() { second = h.Refresh(first.Str("refresh_token")) })
		step("refresh raced", func() { h.Refresh(first.Str("refresh_token")) })
		step("refresh rotated", func() { third = h.Refresh(second.Str("refresh_token")) })
		me := func(status int, code, access string) func() {
			return func() {
				h.Helper()
				h.Expect(status, code, harness.Get("/v1/me", access))
			}
		}
		step("authenticate success, profile success", me(200, "", third.Str("access_token")))
		step("authenticate success, profile invalid", func() {
			h.Expect(400, "invalid_name", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: third.Str("access_token"), Body: `{"name":"a\nb"}`})
		})
		step("refresh reused", func() { h.Refresh(first.Str("refresh_token")) })
		step("refresh refused", func() { h.Refresh(third.Str("refresh_token")) })
		step("authenticate revoked", me(401, "invalid_token", third.Str("access_token")))
		step("authenticate invalid_token", me(401, "invalid_token", "a.b.c"))
		step("", me(401, "not_signed_in", ""))
		step("refresh forged", func() { h.Refresh("gatehouse_rt_AAAA") })
		step("refresh invalid", func() { h.Refresh("") })
		step("sign_out forged", post(401, "invalid_refresh_token", "/v1/logout", map[string]string{"refresh_token": "gatehouse_rt_AAAA"}))
		step("sign_in success, sign_out success", func() {
			h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: h.Login("ada@example.org").Str("access_token")})
		})
		step("setup setup_closed", func() { _, _, _ = h.Setup("none", "ada@example.org", harness.Passphrase, nil) })
		h.Disable("ada@example.org")
		step("sign_in account_disabled", post(403, "account_disabled", "/v1/login", harness.Credentials{Email: "ada@example.org", Password: harness.Passphrase}))
		token := h.SetupToken()
		step("setup success", func() { _, _, _ = h.Setup(token, "root@example.org", harness.Passphrase, nil) })
	})
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Expect(401, "invalid_credentials", harness.SignInAs("ada@example.org", harness.Passphrase))
		want := map[string]string{"register success": "1", "sign_in email_unverified": "1"}
		if diff := cmp.Diff(want, h.Counts()); diff != "" {
			h.Error(diff)
		}
	}, "EMAIL_VERIFICATION=required")
	harness.Each(t, func(h *harness.Server) {
		h.Expect(403, "registration_closed", harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: harness.Passphrase}))
		if diff := cmp.Diff(map[string]string{"register registration_closed": "1"}, h.Counts()); diff != "" {
			h.Error(diff)
		}
	}, "REGISTRATION=closed")
	t.Run("outage", func(t *testing.T) {
		h := harness.Open(t, dbtest.Postgres(t))
		h.Register("ada@example.org")
		refresh := h.Login("ada@example.org").Str("refresh_token")
		h.BreakDatabase()
		h.Expect(503, "database_unavailable", harness.Refreshing(refresh))
		h.Expect(503, "database_unavailable", harness.SignInAs("ada@example.org", harness.Passphrase))
		want := map[string]string{"register success": "1", "sign_in success": "1", "refresh unavailable": "1", "sign_in unavailable": "1"}
		if diff := cmp.Diff(want, h.Counts()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestAJobThatNobodyRunsIsOverdue: the lag shows on a replica that never ran the
// job, while another holds its lease and does nothing.
func TestAJobThatNobodyRunsIsOverdue(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		d, hour := dbtest.Open(t, dbURL), time.Now().Add(-time.Hour)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ('forget-guesses', 'another', $1, $2, 'it broke')`,
				db.Micros(time.Now().Add(10*time.Minute)), db.Micros(hour))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		h := harness.Open(t, dbURL)
		overdue := regexp.MustCompile(`(?m)^gatehouse_job_overdue_seconds\{job="forget-guesses"\} (\S+)$`)
		for range 500 {
			text := h.Metrics()
			m := overdue.FindStringSubmatch(text)
			if m == nil {
				t.Fatal("the job is not in the metrics")
			}
			if lag, err := strconv.ParseFloat(m[1], 64); err != nil || lag >= 3600 {
				if err != nil || lag > 4000 || !strings.Contains(text, `gatehouse_job_failed{job="forget-guesses"} 1`) {
					t.Errorf("%s, %v; the last run failed", m[0], err)
				}
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error("the job has not become overdue")
	})
}
