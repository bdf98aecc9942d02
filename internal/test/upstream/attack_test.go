package upstream

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// outcome is how often sign-ins by a provider ended so.
func (w *world) outcome(of string) float64 {
	w.Helper()
	return w.Metric(`gatehouse_flows_total{flow="provider_sign_in",outcome="` + of + `"}`)
}

// TestASVS_V10_2_2_V10_5_1_V10_5_4_AnswersThatAreNotBelieved: what does not fit to what was asked for signs nobody in, and says in the metrics why.
func TestASVS_V10_2_2_V10_5_1_V10_5_4_AnswersThatAreNotBelieved(t *testing.T) {
	once(t, func(w *world) {
		other := newECKey(t)
		claim := func(name string, value any) func(*fake) {
			return func(f *fake) { f.who.claims = map[string]any{name: value} }
		}
		signer := func(s func(f *fake, c map[string]any) string) func(*fake) {
			return func(f *fake) { f.signer = func(c map[string]any) string { return s(f, c) } }
		}
		cases := map[string]struct {
			forge func(*fake)
			want  string
		}{
			"another issuer's ID token":     {claim("iss", "https://evil.example"), "issuer_wrong"},
			"no issuer":                     {claim("iss", nil), "issuer_wrong"},
			"for another client":            {claim("aud", "another"), "id_token_invalid"},
			"for this client and another":   {claim("aud", []string{"gatehouse", "another"}), "audience_wrong"},
			"authorised for another client": {claim("azp", "another"), "audience_wrong"},
			"no nonce":                      {claim("nonce", nil), "nonce_wrong"},
			"another nonce":                 {claim("nonce", "another"), "nonce_wrong"},
			"an empty nonce":                {claim("nonce", ""), "nonce_wrong"},
			"expired":                       {claim("exp", w.clock.Now().Add(-2*time.Hour).Unix()), "id_token_expired"},
			"made in the future":            {claim("iat", w.clock.Now().Add(2*time.Hour).Unix()), "id_token_expired"},
			"no time":                       {claim("iat", nil), "id_token_expired"},
			"no subject":                    {claim("sub", nil), "subject_wrong"},
			"a subject of 256 bytes":        {claim("sub", strings.Repeat("x", 256)), "subject_wrong"},
			"a subject with a NUL":          {claim("sub", "a\x00b"), "subject_wrong"},
			"a hash of another token":       {claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "access_token_hash_wrong"},
			"another key": {signer(func(_ *fake, c map[string]any) string {
				return signed(t, jose.ES256, other, "one", c)
			}), "id_token_invalid"},
			"an unknown key": {signer(func(_ *fake, c map[string]any) string {
				return signed(t, jose.ES256, other, "two", c)
			}), "id_token_invalid"},
			"HS256 under the client's secret": {signer(func(_ *fake, c map[string]any) string {
				return signed(t, jose.HS256, []byte("the client's secret, of many bytes"), "one", c)
			}), "id_token_invalid"},
			"not signed": {signer(func(f *fake, c map[string]any) string {
				parts := strings.Split(signed(t, jose.RS256, f.key, "one", c), ".")
				return "eyJhbGciOiJub25lIn0." + parts[1] + "."
			}), "id_token_invalid"},
			"another payload": {signer(func(f *fake, c map[string]any) string {
				parts := strings.Split(signed(t, jose.RS256, f.key, "one", c), ".")
				c["sub"] = "2"
				return parts[0] + "." + strings.Split(signed(t, jose.RS256, f.key, "one", c), ".")[1] + "." + parts[2]
			}), "id_token_invalid"},
			"no token":                              {signer(func(*fake, map[string]any) string { return "" }), "id_token_missing"},
			"no JWT":                                {signer(func(*fake, map[string]any) string { return "x" }), "id_token_invalid"},
			"iss of another provider in the answer": {func(f *fake) { f.sent["iss"] = w.lax.URL }, "issuer_wrong"},
			"iss is announced and missing": {func(f *fake) {
				f.document["authorization_response_iss_parameter_supported"] = "true"
			}, "issuer_wrong"},
			"the code is refused": {func(f *fake) {
				f.token = func(rw http.ResponseWriter, _ *http.Request, _ *given) bool {
					rw.WriteHeader(http.StatusBadRequest)
					f.answer(rw, map[string]string{"error": "invalid_grant"})
					return true
				}
			}, "code_refused"},
			"an error with status 200": {func(f *fake) {
				f.token = func(rw http.ResponseWriter, _ *http.Request, _ *given) bool {
					f.answer(rw, map[string]string{"error": "bad_verification_code"})
					return true
				}
			}, "code_refused"},
		}
		for name, c := range cases {
			w.corp.is("1", bob, true)
			w.corp.mu.Lock()
			w.corp.signer, w.corp.token, w.corp.document, w.corp.sent = nil, nil, map[string]string{}, map[string]string{}
			c.forge(w.corp)
			w.corp.mu.Unlock()
			w.later(2 * time.Hour) // so that its documents are read again
			w.corp.mu.Lock()
			if when, ok := w.corp.who.claims["exp"]; ok && when != nil {
				w.corp.who.claims["exp"] = w.clock.Now().Add(-2 * time.Minute).Unix()
			}
			if when, ok := w.corp.who.claims["iat"]; ok && when != nil {
				w.corp.who.claims["iat"] = w.clock.Now().Add(2 * time.Minute).Unix()
			}
			w.corp.mu.Unlock()
			before, b := w.outcome(c.want), w.Browser()
			a := by(b, w.corp, "corp")
			if a.Status != 403 || in(b) != "" || !strings.Contains(a.Text, "does not fit to what was asked for") {
				t.Errorf("%s: answered %d, and %q is signed in", name, a.Status, in(b))
			}
			if w.outcome(c.want) != before+1 {
				t.Errorf("%s: is not counted as %s", name, c.want)
			}
		}
		if n := w.Count(`SELECT COUNT(*) FROM account`); n != 0 {
			t.Errorf("%d accounts were made", n)
		}
	})
}

// TestASVS_V10_2_1_WhoIsBackWithoutWhatWasAskedFor: an answer is good once, in the browser that asked, at the path of the provider that was asked.
func TestASVS_V10_2_1_WhoIsBackWithoutWhatWasAskedFor(t *testing.T) {
	once(t, func(w *world) {
		w.corp.is("1", bob, true)
		w.lax.is("1", bob, true)
		over := "begun in another browser"
		// Somebody else's answer: a link to it signs nobody in (session fixation, login CSRF).
		thief, b := w.Browser(), w.Browser()
		q := w.corp.authorize(leave(thief, "corp"))
		refused(b, back(b, "corp", q), 400, over)
		// The same state in a cookie of another journey's.
		_ = leave(b, "corp")
		refused(b, back(b, "corp", q), 400, over)
		// The answer of one provider at the path of another (mix-up): the cookie is the other's.
		q = w.lax.authorize(leave(b, "corp"))
		refused(b, back(b, "lax", q), 400, over)
		// A code of another provider's, at the right path.
		q = w.lax.authorize(leave(b, "corp"))
		refused(b, back(b, "corp", q), 403, "does not fit")
		// Another state.
		q = w.corp.authorize(leave(b, "corp"))
		state := q.Get("state")
		q.Set("state", state[:len(state)-2]+"xx")
		refused(b, back(b, "corp", q), 400, over)
		q.Set("state", "short")
		refused(b, back(b, "corp", q), 400, over)
		// No cookie: it was changed, or is too old.
		q = w.corp.authorize(leave(b, "corp"))
		w.later(11 * time.Minute)
		refused(b, back(b, "corp", q), 400, over)
		// Replayed.
		q = w.corp.authorize(leave(b, "corp"))
		signedIn(b, back(b, "corp", q), bob)
		again := w.Browser()
		refused(again, back(again, "corp", q), 400, over)
		if a := back(b, "corp", q); a.Status != 400 {
			t.Errorf("a second time in the same browser: %d", a.Status)
		}
		// The person said no, and a provider that is none.
		other := w.Browser()
		q = w.corp.authorize(leave(other, "corp"))
		refused(other, back(other, "corp", url.Values{"state": q["state"], "error": {"access_denied"}}), 403, "was not finished")
		if a := other.Send(harness.Press("/signin/none", harness.Body{})); a.Status != 404 {
			t.Errorf("an unknown provider: %d", a.Status)
		}
		if a := other.Do(page("/signin/corp/callback?state=a&state=b")); a.Status != 400 {
			t.Errorf("a parameter that is there twice: %d", a.Status)
		}
	})
}

// TestOnlyOurOwnPagesSendToAProvider: no other site begins a sign-in, and no script comes back from one.
func TestOnlyOurOwnPagesSendToAProvider(t *testing.T) {
	once(t, func(w *world) {
		for _, h := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"https://app.example"}}, {"Origin": {"null"}},
		} {
			r := harness.Press("/signin/corp", harness.Body{})
			r.Header = h
			if a := w.Do(r); a.Status != 403 || a.Header.Get("Refresh") != "" || len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%v: %d %v", h, a.Status, a.Header)
			}
		}
		for name, value := range map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Purpose": "prefetch", "Purpose": "prefetch"} {
			r := page("/signin/corp/callback?state=abcdefgh&code=x&back=1")
			r.Header.Set(name, value)
			if a := w.Do(r); a.Status != 403 {
				t.Errorf("%s: %s: %d", name, value, a.Status)
			}
		}
		if a := w.Do(harness.Get("/signin/corp")); a.Status != 405 {
			t.Errorf("GET begins: %d", a.Status)
		}
		// Where it goes on to is ours.
		b := w.Browser()
		w.corp.is("1", bob, true)
		for _, to := range []string{"https://evil.example/x", "//evil.example", `/\evil.example`} {
			if a := by(b, w.corp, "corp", "return_to", to); a.Status != 303 || strings.Contains(a.Header.Get("Location"), "//evil") ||
				strings.Contains(a.Header.Get("Location"), "https://evil") {
				t.Errorf("%s leads to %s", to, a.Header.Get("Location"))
			}
		}
	}, "CORS_ORIGINS=https://app.example")
}

// A browser keeps what belongs to five sign-ins at most, and the oldest goes first.
func TestABrowserHasFiveSignInsUnderWay(t *testing.T) {
	once(t, func(w *world) {
		w.corp.is("1", bob, true)
		b := w.Browser()
		var answers []url.Values
		for range 6 {
			answers = append(answers, w.corp.authorize(leave(b, "corp")))
			w.later(2 * time.Second)
		}
		n := 0
		for _, c := range b.Jar.Cookies(b.Origin()) {
			if strings.HasPrefix(c.Name, "gatehouse_up_") {
				n++
			}
		}
		if n != 5 {
			t.Errorf("it keeps %d", n)
		}
		refused(b, back(b, "corp", answers[0]), 400, "begun in another browser")
		signedIn(b, back(b, "corp", answers[1]), bob)
	})
}

// What is sent to a provider is what the rule says, with PKCE and a nonce; a fresh sign-in is asked for where one is needed.
func TestASVS_V10_2_3_WhatIsSentToAProvider(t *testing.T) {
	once(t, func(w *world) {
		b := w.Browser()
		u, err := url.Parse(leave(b, "corp"))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if q.Get("client_id") != "gatehouse" || q.Get("redirect_uri") != w.URL()+"/signin/corp/callback" || q.Get("scope") != "openid email profile" ||
			q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 43 || len(q.Get("nonce")) < 43 || q.Get("prompt") != "" ||
			q.Get("response_type") != "code" || q.Get("access_type") != "" {
			t.Errorf("%v", q)
		}
		u, _ = url.Parse(leave(b, "corp", "again", "1"))
		if u.Query().Get("prompt") != "login" {
			t.Errorf("again: %v", u.Query())
		}
		for _, c := range w.Do(harness.Press("/signin/corp", harness.Body{})).Header["Set-Cookie"] {
			if strings.HasPrefix(c, "gatehouse_up_") && (!strings.Contains(c, "SameSite=Strict") || !strings.Contains(c, "HttpOnly") ||
				!strings.Contains(c, "Max-Age=600") || !strings.Contains(c, "Path=/")) {
				t.Error(c)
			}
		}
	}, "SESSION_COOKIE_SAMESITE=lax")
}

// Keys and documents are read once an hour, and for a key that is not there once a minute; when the provider is away, what is known goes on.
func TestAProviderIsAskedSparingly(t *testing.T) {
	once(t, func(w *world) {
		w.corp.is("1", bob, true)
		for range 3 {
			b := w.Browser()
			signedIn(b, by(b, w.corp, "corp"), bob)
		}
		if w.corp.discovered != 1 || w.corp.asked != 1 {
			t.Errorf("its document was read %d times, its keys %d times", w.corp.discovered, w.corp.asked)
		}
		other := newECKey(t)
		w.corp.signer = func(c map[string]any) string { return signed(t, jose.ES256, other, "two", c) }
		for range 3 {
			b := w.Browser()
			refused(b, by(b, w.corp, "corp"), 403, "does not fit")
		}
		if w.corp.asked > 2 {
			t.Errorf("an unknown key had the keys read %d times", w.corp.asked)
		}
		w.corp.signer = nil
		w.later(2 * time.Hour)
		b := w.Browser()
		q := w.corp.authorize(leave(b, "corp"))
		w.corp.mu.Lock()
		w.corp.down = true
		w.corp.mu.Unlock()
		if a := back(b, "corp", q); a.Status != 503 || !strings.Contains(a.Text, "reached") {
			t.Errorf("it is away: %d", a.Status)
		}
		if a := b.Send(harness.Press("/signin/corp", harness.Body{})); a.Status != 200 {
			t.Errorf("what is known of it is not used: %d", a.Status)
		}
		if a := b.Send(harness.Press("/signin/lax", harness.Body{})); a.Status != 200 {
			t.Errorf("another one is away too: %d", a.Status)
		}
		w.lax.mu.Lock()
		w.lax.document["issuer"] = "https://another.example"
		w.lax.mu.Unlock()
		if !slices.Contains([]int{200, 503}, b.Send(harness.Press("/signin/lax", harness.Body{})).Status) {
			t.Error("another issuer")
		}
	})
}

// A discovery document that calls itself otherwise is none of the provider's.
func TestASVS_V10_5_3_AnotherIssuerIsAnotherProvider(t *testing.T) {
	once(t, func(w *world) {
		w.corp.issuer = "https://another.example"
		if a := w.Browser().Send(harness.Press("/signin/corp", harness.Body{})); a.Status != 503 {
			t.Errorf("answered %d", a.Status)
		}
		w.lax.document["token_endpoint"] = "file:///etc/passwd"
		if a := w.Browser().Send(harness.Press("/signin/lax", harness.Body{})); a.Status == 200 && strings.Contains(a.Text, "passwd") {
			t.Errorf("answered %d", a.Status)
		}
	})
}
