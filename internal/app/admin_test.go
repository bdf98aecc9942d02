package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// admin asks the admin listener.
func (h *house) admin(path string) (int, string) {
	h.Helper()
	res, err := client.Get(h.server.AdminURL() + path)
	if err != nil {
		h.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (h *house) metrics() string {
	h.Helper()
	_, text := h.admin("/metrics")
	return text
}

func TestHealthReadinessAndMetrics(t *testing.T) {
	each(t, func(h *house) {
		if status, text := h.admin("/healthz"); status != 200 || !strings.Contains(text, `"ok"`) {
			h.Errorf("healthz: %d %s", status, text)
		}
		h.ready()
		if _, text := h.admin("/readyz"); !strings.Contains(text, `"database":"ok"`) {
			h.Errorf("readyz: %s", text)
		}
		h.register("ada@example.org")
		h.login("ada@example.org")
		text := h.metrics()
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
	h := open(t, dbtest.SQLite(t))
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		h.expect(404, "not_found", request{method: "GET", path: path})
	}
}

func TestReadyzNamesADatabaseThatIsAway(t *testing.T) {
	h := open(t, dbtest.Postgres(t))
	h.breakDatabase()
	if status, text := h.admin("/readyz"); status != 503 || !strings.Contains(text, `"database":"unreachable"`) {
		t.Errorf("readyz: %d %s", status, text)
	}
	if status, _ := h.admin("/healthz"); status != 200 {
		t.Errorf("healthz: %d, but the process is well", status)
	}
}

// setupToken returns the token of a set-up link.
func (h *house) setupToken() string {
	h.Helper()
	link, err := h.server.SetupLink(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	_, token, ok := strings.Cut(link, "/setup#")
	if !ok {
		h.Fatalf("the set-up link is %q", link)
	}
	return token
}

// setup sends the set-up page's form.
func (h *house) setup(token, email, pass string, header http.Header) (int, string, error) {
	form := url.Values{"token": {token}, "email": {email}, "password": {pass}}
	req, err := http.NewRequest("POST", h.server.URL()+"/setup", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestOneOfSixteenBecomesTheFirstAdministrator(t *testing.T) {
	each(t, func(h *house) {
		tokens := []string{h.setupToken(), h.setupToken()}
		var made atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				status, text, err := h.setup(tokens[i%2], fmt.Sprintf("admin%d@example.org", i), passphrase, nil)
				if err != nil || status != 200 && status != 403 {
					h.Errorf("%d %s %v", status, text, err)
				}
				if status == 200 {
					made.Add(1)
				}
			})
		}
		wg.Wait()
		if n := made.Load(); n != 1 {
			h.Errorf("%d administrators were made", n)
		}
		if link, err := h.server.SetupLink(h.Context()); err != nil || link != "" {
			h.Errorf("there is still a link: %q, %v", link, err)
		}
	})
}

func TestTheSetupPage(t *testing.T) {
	each(t, func(h *house) {
		token := h.setupToken()
		page := h.do(request{method: "GET", path: "/setup"})
		if page.status != 200 || strings.Contains(page.text, token) || page.header.Get("Cache-Control") != "no-store" {
			h.Errorf("the page: %d, %v", page.status, page.header)
		}
		if csp := page.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe-inline") || !strings.Contains(csp, "frame-ancestors 'none'") {
			h.Errorf("its policy: %s", csp)
		}
		for _, src := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page.text, -1) {
			if a := h.do(request{method: "GET", path: src[1]}); a.status != 200 || len(a.text) == 0 {
				h.Errorf("%s: %d", src[1], a.status)
			}
		}
		for name, bad := range map[string]struct {
			token, email, pass string
			header             http.Header
			status             int
			says               string
		}{
			"no token":       {"", "ada@example.org", passphrase, nil, 403, "set-up link does not work"},
			"another token":  {token[:len(token)-1] + "!", "ada@example.org", passphrase, nil, 403, "set-up link does not work"},
			"short password": {token, "ada@example.org", "short", nil, 400, "15"},
			"bad address":    {token, "ada", passphrase, nil, 400, "no @"},
			"markup":         {token, `"><script>alert(1)</script>`, passphrase, nil, 400, "e-mail address"},
			"another site":   {token, "ada@example.org", passphrase, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, "another site"},
			"foreign origin": {token, "ada@example.org", passphrase, http.Header{"Origin": {"https://evil.example"}}, 403, "another site"},
		} {
			status, text, err := h.setup(bad.token, bad.email, bad.pass, bad.header)
			if err != nil || status != bad.status || !strings.Contains(text, bad.says) {
				h.Errorf("%s: %d %v\n%s", name, status, err, text)
			}
			if strings.Contains(text, "<script>alert") || bad.pass != "short" && strings.Contains(text, bad.pass) {
				h.Errorf("%s: the page repeats what it must not", name)
			}
		}
		if status, text, err := h.setup(token, "ada@example.org", passphrase, nil); status != 200 || err != nil {
			h.Fatalf("the set-up: %d %v\n%s", status, err, text)
		}
		me := h.do(request{method: "GET", path: "/v1/me", bearer: h.login("ada@example.org").str("access_token")})
		if !strings.Contains(me.text, `"roles":["admin"]`) || !strings.Contains(me.text, `"email_verified":true`) {
			h.Errorf("the administrator: %s", me.text)
		}
		if status, _, _ := h.setup(token, "eve@example.org", passphrase, nil); status != 403 {
			h.Errorf("the link used twice: %d", status)
		}
	})
}

// canaries are secrets that are sent in every place that takes one. None may
// stand in the log or the metrics, or in the database but as a hash (ASVS
// 16.2.5).
func TestNoSecretIsLoggedOrStored(t *testing.T) {
	each(t, func(h *house) {
		const canary = "canary-5f1e-passphrase"
		h.expect(202, "", request{method: "POST", path: "/v1/register", body: credentials{"ada@example.org", canary}})
		a := h.expect(200, "", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", canary}})
		h.do(request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", canary + "-wrong"}})
		h.do(request{method: "POST", path: "/v1/login", body: `{"password":"` + canary + `","extra":"` + canary + `"}`})
		h.do(request{method: "POST", path: "/v1/login", body: `{"email":"` + canary + `@","password":["` + canary + `"]}`})
		h.do(request{method: "GET", path: "/v1/me?access_token=" + canary, bearer: canary})
		h.do(refreshing("gatehouse_rt_" + canary))
		h.do(request{method: "GET", path: "/" + canary})
		token := h.setupToken()
		if status, text, err := h.setup(token, "root@example.org", canary, nil); status != 200 || err != nil || strings.Contains(text, canary) {
			h.Errorf("set-up: %d %v", status, err)
		}
		b := h.refresh(a.str("refresh_token"))
		secrets := []string{canary, token, secretKey}
		for _, x := range []answer{a, b} {
			secrets = append(secrets, x.str("access_token"), strings.TrimPrefix(x.str("refresh_token"), "gatehouse_rt_"))
		}
		places := map[string]string{"log": h.log.String(), "metrics": h.metrics()}
		for v := range h.everyValue() {
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
