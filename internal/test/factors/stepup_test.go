package factors

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/verify"
)

// An application asks for two factors, and for a fresh sign-in: by the check in its memory, and by a proxy.
func TestASVS_V10_3_4_StepUp(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, harness.BehindProxy)
	a := h.AddApp(clock, "ada@example.org")
	h.Register("eve@example.org")
	one, two := h.Login("eve@example.org").Str("access_token"), a.SignIn().Str("access_token")

	v, err := verify.New(h.App.PublicURL(), verify.WithAddress(h.URL()))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	ask := func(access, acr string, maxAge time.Duration) (int, string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+access)
		w := httptest.NewRecorder()
		v.Middleware(v.Require(acr, maxAge)(ok)).ServeHTTP(w, r)
		return w.Code, w.Header().Get("WWW-Authenticate")
	}
	for _, c := range []struct {
		access, acr string
		maxAge      time.Duration
		want        int
	}{
		{one, "", 0, 200}, {one, "1fa", 0, 200}, {one, "2fa", 0, 401}, {two, "2fa", 0, 200}, {two, "phr", 0, 401}, {two, "loa9", 0, 401},
		{two, "2fa", time.Hour, 200}, {"x", "2fa", 0, 401},
	} {
		if got, challenge := ask(c.access, c.acr, c.maxAge); got != c.want {
			t.Errorf("Require(%q, %v): %d %s, want %d", c.acr, c.maxAge, got, challenge, c.want)
		}
	}
	if _, challenge := ask(one, "2fa", time.Second); challenge != `Bearer error="insufficient_user_authentication", acr_values="2fa", max_age="60"` {
		t.Errorf("the challenge: %s", challenge)
	}

	app := h.Application("shop") // before anything asks for applications: the server reads them anew within a second
	forward := func(query, access string) harness.Request { return harness.Get("/v1/forward-auth?"+query, access) }
	if got := h.Expect(200, "", forward("acr=2fa&max_age=900", two)); got.Header.Get("X-Auth-Acr") != "2fa" {
		t.Errorf("X-Auth-Acr: %v", got.Header)
	}
	refused := h.Expect(401, "insufficient_user_authentication", forward("acr=2fa&max_age=0", one))
	if got := refused.Header.Get("WWW-Authenticate"); got != `Bearer error="insufficient_user_authentication", acr_values="2fa", max_age="60"` {
		t.Errorf("the challenge: %s", got)
	}
	h.Expect(400, "invalid_acr", forward("acr=gold", two))
	h.Expect(400, "invalid_max_age", forward("max_age=-1", two))
	clock.Shift(5 * time.Minute)
	h.Expect(401, "insufficient_user_authentication", forward("max_age=120", two))
	h.Expect(200, "", forward("max_age=900", two))
	page := forward("acr=phr&redirect=1", two)
	page.Header = harness.AsksFor("GET", "https", "app.example", "/pay")
	if got := h.Do(page); got.Status != 302 || !strings.Contains(got.Header.Get("Location"), "/login?acr=phr") {
		t.Errorf("the way there: %d %v", got.Status, got.Header)
	}
	if got := h.Active(app, two); got.Str("acr") != "2fa" {
		t.Errorf("introspection: %s", got.Text)
	}
	// Our own API answers 403, or clients would refresh.
	clock.Shift(20 * time.Minute)
	stale := h.Expect(200, "", harness.Refreshing(a.SignIn().Str("refresh_token"))).Str("access_token")
	h.Expect(200, "", harness.Post("/v1/factors/totp", nil, stale))
	clock.Shift(20 * time.Minute)
	access := h.Login("eve@example.org")
	clock.Shift(20 * time.Minute)
	old := h.Expect(200, "", harness.Refreshing(access.Str("refresh_token"))).Str("access_token")
	if got := h.Expect(403, "sign_in_again", harness.Post("/v1/factors/totp", nil, old)); !strings.Contains(got.Header.Get("WWW-Authenticate"), `max_age="900"`) {
		t.Errorf("the challenge: %v", got.Header)
	}
}

// The sign-in page asks again whoever is signed in less strongly than an application wants, and leads who has no factor to adding one.
func TestThePageOfAStepUp(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, harness.BehindProxy)
	const ada = "ada@example.org"
	h.Register(ada)
	b := h.Browser()
	if got := b.Send(harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase})); got.Status != 303 {
		t.Fatalf("%d %s", got.Status, got.Text)
	}
	if got := b.Send(harness.Get("/login?return_to=/account")); got.Status != 303 {
		t.Errorf("who is signed in is sent on: %d", got.Status)
	}
	b.Page(200, `name="acr" value="2fa"`, harness.Get("/login?acr=2fa&return_to=/account"))
	asked := harness.Body{"email": ada, "password": harness.Passphrase, "acr": "2fa", "return_to": "/account"}
	if got := b.Send(harness.Press("/login", asked)); got.Header.Get("Location") != "/login/enrol" {
		t.Errorf("who has no factor: %d %v", got.Status, got.Header)
	}
	a := h.AppFor(clock, ada)
	a.Next()
	b.Page(200, "Code from your app", harness.Press("/login", harness.Body{"email": ada, "password": harness.Passphrase, "acr": "2fa", "return_to": "/account"}))
	if got := b.Send(harness.Press("/login/second", harness.Body{"code": a.Code(0)})); got.Header.Get("Location") != "/account" {
		t.Errorf("the second step: %d %v", got.Status, got.Header)
	}
	if got := b.Send(harness.Get("/login?acr=2fa&return_to=/account")); got.Status != 303 {
		t.Errorf("who has shown two is sent on: %d", got.Status)
	}
	if n := len(kinds(h.Mailbox(), ada, notice.FactorAdded)); n != 1 {
		t.Errorf("%d mails", n)
	}
}
