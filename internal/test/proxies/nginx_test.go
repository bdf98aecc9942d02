package proxies_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// behind is an application behind a proxy: it answers with the X-Auth headers that
// it got, and notes whether it was asked.
func behind(t *testing.T) (address string, asked *int) {
	t.Helper()
	asked = new(int)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		var names []string
		for name, values := range r.Header {
			if strings.HasPrefix(strings.ReplaceAll(name, "_", "-"), "X-Auth") {
				names = append(names, fmt.Sprintf("%s=%q", name, values))
			}
		}
		slices.Sort(names)
		fmt.Fprintln(w, strings.Join(names, " "))
	}))
	t.Cleanup(app.Close)
	return strings.TrimPrefix(app.URL, "http://"), asked
}

// proxied makes requests to an application by way of a proxy.
type proxied struct {
	*testing.T
	base  string
	asked *int
}

func (p proxied) do(method, path string, header http.Header) (status int, location, body string) {
	p.Helper()
	req, err := http.NewRequest(method, p.base+path, nil)
	if err != nil {
		p.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := harness.HTTPClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(b)
}

// refused makes a request that must not reach the application.
func (p proxied) refused(what string, status int, method, path string, header http.Header) (location string) {
	p.Helper()
	before := *p.asked
	got, location, body := p.do(method, path, header)
	if got != status || *p.asked != before {
		p.Errorf("%s: %d, want %d; the application was asked: %v\n%s", what, got, status, *p.asked != before, body)
	}
	return location
}

// forged are headers of a client that would be somebody else.
func forged(more ...string) http.Header {
	h := http.Header{
		"X-Auth-User": {"root"}, "X-Auth-Email": {"root@example.org"}, "X-Auth-Roles": {"admin"}, "X-Auth-Session": {"s"}, "X-Auth-Acr": {"phr"},
		"X-Forwarded-Method": {"GET"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Uri": {"/evil"},
	}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// guards holds a proxy to what the guides promise, whichever it is.
func (p proxied) guards(h *harness.Server) {
	h.Register("ada@example.org")
	page := []string{"Accept", "text/html,*/*"}
	p.refused("nobody", 401, "GET", "/app", forged())
	p.refused("nobody's change", 401, "POST", "/app", forged(page...))
	to := p.refused("nobody's page", 302, "GET", "/app/page", forged(page...))
	if !strings.HasPrefix(strings.TrimPrefix(to, p.base), "/login?return_to=") || strings.Contains(to, "evil") || !strings.Contains(to, "app") {
		p.Errorf("the sign-in page is %q", to)
	}
	p.refused("a bad token", 401, "GET", "/app", forged("Authorization", "Bearer x"))
	p.refused("half a header", 401, "GET", "/app", forged("Authorization", "Bearer"))

	s := h.Login("ada@example.org")
	me := h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token")))
	want := fmt.Sprintf("X-Auth-Acr=[\"1fa\"] X-Auth-Email=[\"ada@example.org\"] X-Auth-Session=[%q] X-Auth-User=[%q]", s.Str("session_id"), me.Str("id"))
	for what, header := range map[string]http.Header{
		"a bearer": forged("Authorization", "Bearer "+s.Str("access_token")),
		"a cookie": forged("Cookie", "gatehouse_at="+s.Str("access_token")),
	} {
		status, _, body := p.do("GET", "/app?x=y", header)
		body = strings.ReplaceAll(strings.TrimSpace(body), `X-Auth-Roles=[""] `, "") // an account without roles
		if status != 200 || body != want {
			p.Errorf("%s: %d\n got %s\nwant %s", what, status, body, want)
		}
	}
	cookie := func(more ...string) http.Header {
		return forged(append([]string{"Cookie", "gatehouse_at=" + s.Str("access_token")}, more...)...)
	}
	p.refused("another site's form", 403, "POST", "/app", cookie("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"))
	p.refused("a sibling's form", 403, "POST", "/app", cookie("Sec-Fetch-Site", "same-site"))
	p.refused("a form of nobody's", 403, "POST", "/app", cookie("Origin", "null"))
	if status, _, _ := p.do("POST", "/app", cookie("Origin", p.base, "Sec-Fetch-Site", "same-origin")); status != 200 {
		p.Errorf("the application's own form: %d", status)
	}
	if status, _, _ := p.do("GET", "/app", cookie("Sec-Fetch-Site", "cross-site")); status != 200 {
		p.Errorf("a link on another site: %d", status)
	}
	h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: s.Str("access_token")})
	p.refused("a revoked token", 401, "GET", "/app", cookie())
}

func TestForwardAuthBehindNginx(t *testing.T) {
	listens := harness.FreePort(t)
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=http://"+listens, "TRUSTED_PROXIES=127.0.0.1")
	app, asked := behind(t)
	harness.Nginx(t, listens, "server { listen "+listens+";\n"+
		harness.Guide(t, "nginx.md", "127.0.0.1:8000", strings.TrimPrefix(h.App.URL(), "http://"), "127.0.0.1:8080", app)+"\n}")
	p := proxied{t, "http://" + listens, asked}
	p.guards(h)
	if status, _, _ := p.do("GET", "/login", nil); status != 200 {
		t.Errorf("the sign-in page: %d", status)
	}
	if to := p.refused("a newline", 302, "GET", "/app%0d%0aSet-Cookie:a=b", http.Header{"Accept": {"text/html"}}); !strings.Contains(to, "Set-Cookie") {
		t.Errorf("a newline of the client's ends the address: %q", to)
	}
	header := http.Header{"X_Auth_User": {"root"}, "Authorization": {"Bearer " + h.Login("ada@example.org").Str("access_token")}}
	if status, _, body := p.do("GET", "/app", header); status != 200 || strings.Contains(body, "root") {
		t.Errorf("a header with underscores: %d %s", status, body)
	}
	p.refused("the check itself", 404, "GET", "/_gatehouse", nil)
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	p.refused("without Gatehouse", 503, "GET", "/app", nil)
}
