package admin_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func TestHealthReadinessAndMetrics(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		if status, text := h.Admin("/healthz"); status != 200 || !strings.Contains(text, `"ok"`) {
			h.Errorf("healthz: %d %s", status, text)
		}
		h.Ready()
		if _, text := h.Admin("/readyz"); !strings.Contains(text, `"database":"ok"`) {
			h.Errorf("readyz: %s", text)
		}
		h.Register("ada@example.org")
		h.Login("ada@example.org")
		text := h.Metrics()
		for _, want := range []string{
			`gatehouse_http_requests_total{method="POST",route="POST /v1/login",status="200"} 1`,
			`gatehouse_http_request_duration_seconds_count{outcome="ok",route="POST /v1/login"} 1`,
			`gatehouse_events_total{event="successful_login",outcome="success"} 1`,
			`gatehouse_hashing_done_total 2`, `gatehouse_hashing_workers `, `gatehouse_hashing_shed_total 0`,
			`gatehouse_db_connections_max 8`, `gatehouse_build_info{database="`, `go_goroutines `,
		} {
			if !strings.Contains(text, want) {
				h.Errorf("the metrics lack %s", want)
			}
		}
	})
	// The public listener serves none of them.
	h := harness.Open(t, dbtest.SQLite(t))
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		h.Expect(404, "not_found", harness.Get(path))
	}
}

func TestReadyzNamesADatabaseThatIsAway(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t))
	h.BreakDatabase()
	if status, text := h.Admin("/readyz"); status != 503 || !strings.Contains(text, `"database":"unreachable"`) {
		t.Errorf("readyz: %d %s", status, text)
	}
	if status, _ := h.Admin("/healthz"); status != 200 {
		t.Errorf("healthz: %d, but the process is well", status)
	}
}

func TestOneOfSixteenBecomesTheFirstAdministrator(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		tokens := []string{h.SetupToken(), h.SetupToken()}
		var made atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				status, text, err := h.Setup(tokens[i%2], fmt.Sprintf("admin%d@example.org", i), harness.Passphrase, nil)
				if err != nil || status != 303 && status != 403 {
					h.Errorf("%d %s %v", status, text, err)
				}
				if status == 303 {
					made.Add(1)
				}
			})
		}
		wg.Wait()
		if n := made.Load(); n != 1 {
			h.Errorf("%d administrators were made", n)
		}
		if link, err := h.App.SetupLink(h.Context()); err != nil || link != "" {
			h.Errorf("there is still a link: %q, %v", link, err)
		}
	})
}

func TestTheSetupPage(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		token := h.SetupToken()
		page := h.Do(harness.Get("/setup"))
		if page.Status != 200 || strings.Contains(page.Text, token) || page.Header.Get("Cache-Control") != "no-store" {
			h.Errorf("the page: %d, %v", page.Status, page.Header)
		}
		if csp := page.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe-inline") || !strings.Contains(csp, "frame-ancestors 'none'") {
			h.Errorf("its policy: %s", csp)
		}
		for _, src := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page.Text, -1) {
			if a := h.Do(harness.Get(src[1])); a.Status != 200 || len(a.Text) == 0 {
				h.Errorf("%s: %d", src[1], a.Status)
			}
		}
		for name, bad := range map[string]struct {
			token, email, pass string
			header             http.Header
			status             int
			says               string
		}{
			"no token":       {"", "ada@example.org", harness.Passphrase, nil, 403, "set-up link does not work"},
			"another token":  {token[:len(token)-1] + "!", "ada@example.org", harness.Passphrase, nil, 403, "set-up link does not work"},
			"short password": {token, "ada@example.org", "short", nil, 400, "15"},
			"bad address":    {token, "ada", harness.Passphrase, nil, 400, "looks like name@example.org"},
			"markup":         {token, `"><script>alert(1)</script>`, harness.Passphrase, nil, 400, "email address"},
			"another site":   {token, "ada@example.org", harness.Passphrase, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, "another site"},
			"foreign origin": {token, "ada@example.org", harness.Passphrase, http.Header{"Origin": {"https://evil.example"}}, 403, "another site"},
		} {
			status, text, err := h.Setup(bad.token, bad.email, bad.pass, bad.header)
			if err != nil || status != bad.status || !strings.Contains(text, bad.says) {
				h.Errorf("%s: %d %v\n%s", name, status, err, text)
			}
			if strings.Contains(text, "<script>alert") || bad.pass != "short" && strings.Contains(text, bad.pass) {
				h.Errorf("%s: the page repeats what it must not", name)
			}
		}
		if status, text, err := h.Setup(token, "ada@example.org", harness.Passphrase, nil); status != 303 || err != nil {
			h.Fatalf("the set-up: %d %v\n%s", status, err, text)
		}
		me := h.Do(harness.Get("/v1/me", h.Login("ada@example.org").Str("access_token")))
		if !strings.Contains(me.Text, `"roles":["admin"]`) || !strings.Contains(me.Text, `"email_verified":true`) {
			h.Errorf("the administrator: %s", me.Text)
		}
		if status, _, _ := h.Setup(token, "eve@example.org", harness.Passphrase, nil); status != 403 {
			h.Errorf("the link used twice: %d", status)
		}
	})
}

// canaries are secrets that are sent in every place that takes one. None may
// stand in the log or the metrics, or in the database but as a hash (ASVS
// 16.2.5).
func TestNoSecretIsLoggedOrStored(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const canary = "canary-5f1e-passphrase"
		h.Expect(202, "", harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: canary}))
		a := h.Expect(200, "", harness.SignInAs("ada@example.org", canary))
		h.Do(harness.SignInAs("ada@example.org", canary+"-wrong"))
		h.Do(harness.Post("/v1/login", `{"password":"`+canary+`","extra":"`+canary+`"}`))
		h.Do(harness.Post("/v1/login", `{"email":"`+canary+`@","password":["`+canary+`"]}`))
		h.Do(harness.Get("/v1/me?access_token="+canary, canary))
		h.Do(harness.Refreshing("gatehouse_rt_" + canary))
		h.Do(harness.Get("/" + canary))
		token := h.SetupToken()
		if status, text, err := h.Setup(token, "root@example.org", canary, nil); status != 303 || err != nil || strings.Contains(text, canary) {
			h.Errorf("set-up: %d %v", status, err)
		}
		b := h.Refresh(a.Str("refresh_token"))
		secrets := []string{canary, token, harness.SecretKey}
		for _, x := range []harness.Answer{a, b} {
			secrets = append(secrets, x.Str("access_token"), strings.TrimPrefix(x.Str("refresh_token"), "gatehouse_rt_"))
		}
		places := map[string]string{"log": h.Logs.String(), "metrics": h.Metrics()}
		for v := range h.EveryValue() {
			places["database"] += v + "\n"
		}
		for _, s := range secrets {
			for place, text := range places {
				if strings.Contains(text, s) {
					h.Errorf("a secret (%.6s…) stands in the %s", s, place)
				}
			}
		}
	})
}
