package admin_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func TestWhichOutcomeIsLoggedAtWhichLevel(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t))
	h.Register("ada@example.org")
	me := h.Login("ada@example.org")
	access, refresh := me.Str("access_token"), me.Str("refresh_token")
	look := harness.Get("/v1/me", access)
	probe := func(path string) func() string {
		return func() string {
			return harness.SendRaw(t, h.App.AdminURL(), "GET", path, "").Header.Get("X-Request-Id")
		}
	}
	call := func(r harness.Request) func() string {
		return func() string { h.Helper(); return h.Do(r).Header.Get("X-Request-Id") }
	}
	change := func(query string) {
		t.Helper()
		if err := h.Database().Write(context.Background(), func(tx *db.Tx) error { _, err := tx.Exec(query); return err }); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		before func()
		do     func() string
		want   string // the lines with the request's id
	}{
		{"a good request", nil, call(look), "INFO request"},
		{"a good request with an event", nil, call(harness.SignInAs("ada@example.org", harness.Passphrase)), "INFO security event, INFO request"},
		{"a wrong password", nil, call(harness.SignInAs("ada@example.org", "wrong, and long enough")), "INFO security event, INFO request"},
		{"bad input", nil, call(harness.Post("/v1/login", "{")), "INFO request"},
		{"a forged token", nil, call(harness.Refreshing("gatehouse_rt_A")), "INFO request"},
		{"nothing there", nil, call(harness.Get("/wp-login.php")), "INFO request"},
		{"a method that is not taken", nil, call(harness.Request{Method: "DELETE", Path: "/v1/login"}), "INFO request"},
		{"healthz", nil, probe("/healthz"), "DEBUG request"},
		{"readyz", nil, probe("/readyz"), "DEBUG request"},
		{"metrics", nil, probe("/metrics"), "DEBUG request"},
		{"nothing on the admin listener", nil, probe("/v1/me"), "INFO request"},
		{"a mistake of ours", func() { change(`UPDATE account SET roles = 'broken'`) }, call(look), "ERROR request"},
		{"a database that went back in time", func() { change(`UPDATE session SET gen = 0, cur = salt`) }, call(harness.Refreshing(refresh)),
			"INFO security event, INFO security event, ERROR A client holds a refresh token newer than the database knows: the database went back in time. If a backup was restored by hand, all sessions from after it are to be ended., INFO request"},
		{"no database", h.BreakDatabase, call(harness.SignInAs("ada@example.org", harness.Passphrase)), "WARN request"},
		{"readyz without a database", nil, probe("/readyz"), "WARN readyz: the database does not serve, WARN request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != nil {
				c.before()
			}
			lines, request := h.LinesOf(c.do())
			if got := strings.Join(lines, ", "); got != c.want {
				t.Errorf("logged %s\nwant %s", got, c.want)
			}
			// What goes wrong on our side says why in the line itself, and nothing
			// else does.
			serious := strings.Contains(c.want, "ERROR request") || c.name == "no database"
			if (request.Error != "") != serious {
				t.Errorf("the line's error is %q", request.Error)
			}
		})
	}
}

// TestEveryLineOfTheLogIsOneObject sends what could break a line, in every place
// that gets into one (ASVS 16.4.1).
func TestEveryLineOfTheLogIsOneObject(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		bad := []string{
			`"},{"level":"ERROR"`, "a\tb", "\xff\xfe\xc0\xaf", "\u2028\u2029\u202e", "\x1b[2J", "\\u0000\\n", "{}", strings.Repeat("é\"", 2000), "\u0085\ufeff\ufffd",
		}
		for _, s := range bad {
			for _, base := range []string{h.App.URL(), h.App.AdminURL()} {
				for _, header := range []string{"User-Agent", "X-Request-Id", "Authorization", "Content-Type", "X-Forwarded-For", "Cookie", "Referer", "Origin"} {
					harness.SendRaw(h.T, base, "GET", "/v1/me", header+": "+s+"\r\n")
					harness.SendRaw(h.T, base, "POST", "/v1/logout", header+": "+s+"\r\nAuthorization: Bearer a.b.c\r\n")
				}
			}
			h.Do(harness.Request{Method: "POST", Path: "/v1/login", Body: harness.Credentials{Email: s + "@example.org", Password: s},
				Header: map[string][]string{"User-Agent": {strings.Map(harness.HeaderSafe, s)}}})
			h.Do(harness.Refreshing(s))
			_, _, _ = h.Setup(s, s, s, nil)
		}
		for _, path := range []string{"/%0a%0d%22%7b", "/v1/sessions/%22%0a", "/%ff%fe", "/v1/me?%0a=%22", "/v1/sessions/\"{}"} {
			harness.SendRaw(h.T, h.App.URL(), "GET", path, "")
			harness.SendRaw(h.T, h.App.URL(), "!#$%&'*+-.^_`|~", path, "")
		}
		if err := h.Stop(); err != nil { // writes what was tallied
			h.Fatal(err)
		}
		if n := len(h.Lines()); n < 200 {
			h.Errorf("only %d lines", n)
		}
	})
}
