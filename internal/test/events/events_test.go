package events_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestLOG1_EachOutcomeWritesExactlyTheseEvents lists, for each flow and outcome,
// the events it writes. What is counted and not written at once has no events
// here: see the tally's own tests.
func TestLOG1_EachOutcomeWritesExactlyTheseEvents(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		l := harness.NewLedger(h)
		var me, second harness.Answer
		wrong := harness.Credentials{Email: "ada@example.org", Password: "wrong password, quite"}
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{"register", func() { h.Register("ada@example.org") }, []string{"account_registered success"}},
			{"register again", func() { h.Register("ADA@example.org") }, []string{"account_registered failure address_taken"}},
			{"register badly", func() {
				h.Expect(400, "password_too_short", harness.Post("/v1/register", harness.Credentials{Email: "b@example.org", Password: "short"}))
			}, []string{}},
			{"sign in", func() { me = h.Login("ada@example.org") }, []string{"successful_login success"}},
			{"sign in with a wrong password", func() {
				h.Expect(401, "invalid_credentials", harness.Post("/v1/login", wrong))
			}, []string{"failed_login_attempt failure wrong_password"}},
			{"sign in to nobody's account", func() {
				h.Expect(401, "invalid_credentials", harness.SignInAs("nobody@example.org", harness.Passphrase))
			}, []string{"failed_login_attempt failure unknown_account"}},
			{"refresh", func() { second = h.Refresh(me.Str("refresh_token")) }, []string{"token_refresh success"}},
			{"refresh, racing", func() { h.Refresh(me.Str("refresh_token")) }, []string{"token_refresh success raced"}},
			{"refresh, forged", func() { h.Refresh("gatehouse_rt_AAAA") }, []string{}},
			{"refresh on", func() { h.Refresh(second.Str("refresh_token")) }, []string{"token_refresh success"}},
			{"refresh, stolen", func() { h.Refresh(me.Str("refresh_token")) }, []string{
				"suspicious_activity failure refresh_token_reused", "session_revoked success refresh_token_reused",
			}},
			{"refresh after the end", func() { h.Refresh(second.Str("refresh_token")) }, []string{}},
			{"an access token after the end", func() {
				h.Expect(401, "invalid_token", harness.Get("/v1/me", me.Str("access_token")))
			}, []string{}},
			{"look at oneself", func() {
				me = h.Login("ada@example.org")
				h.Do(harness.Get("/v1/me", me.Str("access_token")))
				h.Do(harness.Get("/v1/me/events", me.Str("access_token")))
				h.Do(harness.Get("/v1/sessions", me.Str("access_token")))
			}, []string{"successful_login success"}},
			{"change the name", func() {
				h.Do(harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: me.Str("access_token"), Body: `{"name":"Ada"}`})
			}, []string{"profile_change success"}},
			{"change nothing", func() {
				h.Do(harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: me.Str("access_token"), Body: `{}`})
			}, []string{}},
			{"end another session", func() {
				second = h.Login("ada@example.org")
				h.Expect(204, "", harness.Request{Method: "DELETE", Path: "/v1/sessions/" + second.Str("session_id"), Bearer: me.Str("access_token")})
			}, []string{"successful_login success", "session_revoked success owner"}},
			{"end one that is not there", func() {
				h.Expect(404, "session_not_found", harness.Request{Method: "DELETE", Path: "/v1/sessions/" + second.Str("session_id"), Bearer: me.Str("access_token")})
			}, []string{}},
			{"sign out", func() {
				h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: me.Str("access_token")})
			}, []string{"logout success"}},
			{"sign out again", func() {
				h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: me.Str("access_token")})
				h.Expect(204, "", harness.Post("/v1/logout", map[string]string{"refresh_token": me.Str("refresh_token")}))
			}, []string{}},
			{"sign out everywhere else", func() {
				me, second = h.Login("ada@example.org"), h.Login("ada@example.org")
				h.Expect(204, "", harness.Post("/v1/logout-all", `{"keep_current":true}`, me.Str("access_token")))
			}, []string{"successful_login success", "successful_login success", "session_revoked success logout_all"}},
			{"sign out everywhere", func() {
				h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout-all", Bearer: me.Str("access_token")})
			}, []string{"logout success logout_all"}},
		} {
			step.do()
			l.Expect(step.name, step.want)
		}
		if err := h.Stop(); err != nil {
			h.Fatal(err)
		}
		// What anyone can cause is written with its count when the server stops.
		got := l.Next()
		slices.Sort(got) // the refusal of another's session, and what was wrong with refresh tokens
		if want := 3; len(got) != want || got[0] != "access_denied failure session_not_found" ||
			!strings.HasPrefix(got[1], "suspicious_activity failure refresh_token_") {
			h.Errorf("the tally wrote %v, want %d events", got, want)
		}
	})
}

// TestLOG1_EachEventIsALineOfTheLog holds the process's log against the table.
func TestLOG1_EachEventIsALineOfTheLog(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		a := h.Login("ada@example.org")
		h.Refresh(a.Str("refresh_token"))
		want := []string{"account_registered", "successful_login", "token_refresh"}
		var got []string
		for line := range strings.Lines(h.Logs.String()) {
			var l struct {
				Event     string
				Outcome   string
				RequestID string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				h.Fatalf("a line of the log is no JSON: %s", line)
			}
			if l.Event != "" {
				got = append(got, l.Event)
				if l.RequestID == "" || l.Outcome != "success" {
					h.Errorf("%s", line)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			h.Errorf("events in the log:\n%s", diff)
		}
	})
}
