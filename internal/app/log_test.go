package app_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// logLine is a line of the log, taken apart.
type logLine struct {
	Time      time.Time
	Level     string
	Msg       string
	RequestID string `json:"request_id"`
	Error     string
	Code      string
}

// lines reads the log. Every line must be one object whose names come once.
func (h *house) lines() []logLine {
	h.Helper()
	var out []logLine
	for text := range strings.Lines(h.log.String()) {
		d := json.NewDecoder(strings.NewReader(text))
		seen, depth := map[string]bool{}, 0
		for name := true; ; {
			token, err := d.Token()
			if err != nil {
				h.Fatalf("a line of the log is no JSON: %v: %q", err, text)
			}
			delim, _ := token.(json.Delim)
			key, _ := token.(string)
			switch {
			case delim == '{' || delim == '[':
				depth++
			case delim == '}' || delim == ']':
				depth--
			case depth == 1 && name && seen[key]:
				h.Errorf("%s stands twice in %q", key, text)
			}
			if depth == 0 {
				break
			}
			if depth == 1 {
				// Names and values take turns; a value that was closed was one.
				if name = !name || delim == '{' && len(seen) == 0; !name {
					seen[key] = true
				}
			}
		}
		if d.InputOffset() != int64(len(text)-1) || !strings.HasPrefix(text, "{") {
			h.Fatalf("a line of the log is not one object: %q", text)
		}
		var l logLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			h.Fatal(err)
		}
		if l.Time.IsZero() || l.Level == "" || l.Msg == "" {
			h.Errorf("a line lacks a part: %q", text)
		}
		if (l.Msg == "request" || l.Msg == "security event" || strings.HasPrefix(l.Msg, "readyz")) && l.RequestID == "" {
			h.Errorf("a line lacks its request id: %q", text)
		}
		out = append(out, l)
	}
	return out
}

// of waits for the line of a request, and returns the lines that carry its id
// as "LEVEL msg".
func (h *house) of(id string) (found []string, request logLine) {
	h.Helper()
	for range 500 {
		found = nil
		for _, l := range h.lines() {
			if l.RequestID == id {
				found = append(found, l.Level+" "+l.Msg)
				if l.Msg == "request" {
					request = l
				}
			}
		}
		if request.Msg != "" {
			return found, request
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.Fatalf("no request %s in the log", id)
	return nil, logLine{}
}

func TestWhichOutcomeIsLoggedAtWhichLevel(t *testing.T) {
	h := open(t, dbtest.Postgres(t))
	h.register("ada@example.org")
	me := h.login("ada@example.org")
	access, refresh := me.str("access_token"), me.str("refresh_token")
	look := request{method: "GET", path: "/v1/me", bearer: access}
	probe := func(path string) func() string {
		return func() string {
			return send(t, h.server.AdminURL(), "GET", path, "").header.Get("X-Request-Id")
		}
	}
	call := func(r request) func() string {
		return func() string { h.Helper(); return h.do(r).header.Get("X-Request-Id") }
	}
	change := func(query string) {
		t.Helper()
		if err := h.database().Write(context.Background(), func(tx *db.Tx) error { _, err := tx.Exec(query); return err }); err != nil {
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
		{"a good request with an event", nil, call(request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}}), "INFO security event, INFO request"},
		{"a wrong password", nil, call(request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", "wrong, and long enough"}}), "INFO security event, INFO request"},
		{"bad input", nil, call(request{method: "POST", path: "/v1/login", body: "{"}), "INFO request"},
		{"a forged token", nil, call(refreshing("gatehouse_rt_A")), "INFO request"},
		{"nothing there", nil, call(request{method: "GET", path: "/wp-login.php"}), "INFO request"},
		{"a method that is not taken", nil, call(request{method: "DELETE", path: "/v1/login"}), "INFO request"},
		{"healthz", nil, probe("/healthz"), "DEBUG request"},
		{"readyz", nil, probe("/readyz"), "DEBUG request"},
		{"metrics", nil, probe("/metrics"), "DEBUG request"},
		{"nothing on the admin listener", nil, probe("/v1/me"), "INFO request"},
		{"a mistake of ours", func() { change(`UPDATE account SET roles = 'broken'`) }, call(look), "ERROR request"},
		{"a database that went back in time", func() { change(`UPDATE session SET gen = 0, cur = salt`) }, call(refreshing(refresh)),
			"INFO security event, INFO security event, ERROR A client holds a refresh token newer than the database knows: the database went back in time. If a backup was restored by hand, all sessions from after it are to be ended., INFO request"},
		{"no database", h.breakDatabase, call(request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}}), "WARN request"},
		{"readyz without a database", nil, probe("/readyz"), "WARN readyz: the database does not serve, WARN request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != nil {
				c.before()
			}
			lines, request := h.of(c.do())
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
	each(t, func(h *house) {
		h.register("ada@example.org")
		bad := []string{
			`"},{"level":"ERROR"`, "a\tb", "\xff\xfe\xc0\xaf", "\u2028\u2029\u202e", "\x1b[2J", "\\u0000\\n", "{}", strings.Repeat("é\"", 2000), "\u0085\ufeff\ufffd",
		}
		for _, s := range bad {
			for _, base := range []string{h.server.URL(), h.server.AdminURL()} {
				for _, header := range []string{"User-Agent", "X-Request-Id", "Authorization", "Content-Type", "X-Forwarded-For", "Cookie", "Referer", "Origin"} {
					send(h.T, base, "GET", "/v1/me", header+": "+s+"\r\n")
					send(h.T, base, "POST", "/v1/logout", header+": "+s+"\r\nAuthorization: Bearer a.b.c\r\n")
				}
			}
			h.do(request{method: "POST", path: "/v1/login", body: credentials{s + "@example.org", s}, header: map[string][]string{"User-Agent": {strings.Map(headerSafe, s)}}})
			h.do(refreshing(s))
			_, _, _ = h.setup(s, s, s, nil)
		}
		for _, path := range []string{"/%0a%0d%22%7b", "/v1/sessions/%22%0a", "/%ff%fe", "/v1/me?%0a=%22", "/v1/sessions/\"{}"} {
			send(h.T, h.server.URL(), "GET", path, "")
			send(h.T, h.server.URL(), "!#$%&'*+-.^_`|~", path, "")
		}
		if err := h.stop(); err != nil { // writes what was tallied
			h.Fatal(err)
		}
		if n := len(h.lines()); n < 200 {
			h.Errorf("only %d lines", n)
		}
	})
}
