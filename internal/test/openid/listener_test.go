package openid

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// listener is an application's server that is told of logouts.
type listener struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	tokens []string
	wrong  []string // what was sent that should not have been
}

// listen returns a server that answers as answer does the nth request, from 0; nil is for one that is content.
func listen(t *testing.T, answer func(w http.ResponseWriter, n int)) *listener {
	t.Helper()
	l := &listener{t: t}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := l.take(r)
		if answer != nil {
			answer(w, n)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) take(r *http.Request) int {
	body, _ := io.ReadAll(r.Body)
	in, err := url.ParseQuery(string(body))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || len(in) != 1 || len(in["logout_token"]) != 1 || r.Method != http.MethodPost || r.URL.RequestURI() != "/logout?of=app" ||
		r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
		l.wrong = append(l.wrong, fmt.Sprintf("%s %s %v %s", r.Method, r.URL, r.Header, body))
	}
	l.tokens = append(l.tokens, in.Get("logout_token"))
	return len(l.tokens) - 1
}

// told has an application be told of logouts there.
func (l *listener) told(s *client.Settings) {
	s.FirstParty, s.BackchannelLogoutURI, s.BackchannelLogoutSessionRequired = true, l.URL+"/logout?of=app", true
}

// heard is what it was told.
func (l *listener) heard() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) > 0 {
		l.t.Fatalf("it was sent %s", l.wrong[0])
	}
	return slices.Clone(l.tokens)
}

// await waits until it was told n times, and returns what it was told last.
func (l *listener) await(h *harness.Server, n int) string {
	h.Helper()
	var last string
	h.Eventually(fmt.Sprintf("the notice number %d", n), func() (string, bool) {
		got := l.heard()
		if len(got) > 0 {
			last = got[len(got)-1]
		}
		return fmt.Sprintf("told %d times", len(got)), len(got) >= n
	})
	return last
}

// later is await for a notice that is put off: it puts the clock forward meanwhile, by some hours at most.
func (l *listener) later(h *harness.Server, clock *harness.Clock, n int) string {
	h.Helper()
	for range 60 {
		if len(l.heard()) >= n {
			break
		}
		clock.Shift(5 * time.Minute)
		time.Sleep(500 * time.Millisecond)
	}
	return l.await(h, n)
}

// untold waits until no notice waits.
func untold(h *harness.Server) {
	h.Helper()
	h.Eventually("the notices", func() (string, bool) {
		n := h.Count(`SELECT COUNT(*) FROM logout_notice`)
		return fmt.Sprintf("%d wait", n), n == 0
	})
}

// logout reads a logout token with the published keys, as an application does (Back-Channel Logout section 2.6).
func (a app) logout(token string) (out map[string]any) {
	a.Helper()
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.Expect(200, "", harness.Get("/.well-known/jwks.json")).Text), &keys); err != nil {
		a.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(a.Settings.IDAlgorithm())})
	if err != nil {
		a.Fatalf("%v: %s", err, token)
	}
	head := jws.Signatures[0].Protected
	found := keys.Key(head.KeyID)
	if len(found) != 1 || head.ExtraHeaders[jose.HeaderType] != "logout+jwt" {
		a.Fatalf("%d keys, %v", len(found), head.ExtraHeaders)
	}
	payload, err := jws.Verify(found[0])
	if err == nil {
		err = json.Unmarshal(payload, &out)
	}
	events, _ := out["events"].(map[string]any)
	happened, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	iat, _ := out["iat"].(float64)
	if _, nonce := out["nonce"]; err != nil || out["aud"] != a.ID || out["iss"] != a.URL() || nonce || !ok || len(happened) != 0 || len(events) != 1 ||
		out["exp"] != iat+120 || out["jti"] == "" || out["jti"] == nil {
		a.Fatalf("%v: %v", err, out)
	}
	return out
}
