package proxies_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// ownHosts are applications on hosts of their own, beside Gatehouse's.
type ownHosts struct {
	*harness.Server
	auth       string            // Gatehouse's origin
	app, other string            // the applications' origins
	ids        map[string]string // of the clients, by origin
}

// before has a proxy listen, and pass requests to Gatehouse and to an application as a guide has it, each on a host of its own.
type before func(t *testing.T, o ownHosts, listens, application string)

// openOwnHosts starts Gatehouse and two applications behind nginx.
func openOwnHosts(t *testing.T, url string, settings ...string) ownHosts {
	t.Helper()
	return openOwnHostsBehind(t, nginxBefore, url, settings...)
}

func openOwnHostsBehind(t *testing.T, proxy before, url string, settings ...string) ownHosts {
	t.Helper()
	listens := harness.FreePort(t)
	port := listens[strings.LastIndexByte(listens, ':'):]
	o := ownHosts{auth: "http://auth.localhost" + port, app: "http://wiki.localhost" + port, other: "http://shop.localhost" + port, ids: map[string]string{}}
	o.Server = harness.Open(t, url, append(settings, "PUBLIC_URL="+o.auth, "TRUSTED_PROXIES=127.0.0.1")...)
	application, _ := guardedApplication(t)
	for name, origin := range map[string]string{"wiki": o.app, "shop": o.other} {
		made, secret, err := o.Operator().RegisterClient(t.Context(), name, client.Guarded, client.Settings{
			RedirectURIs: []string{origin + client.EnterPath},
		}, harness.OriginOfTests)
		if err != nil || secret != "" {
			t.Fatalf("registering %s: %q, %v", name, secret, err)
		}
		o.ids[origin] = made.ID
	}
	proxy(t, o, listens, application)
	return o
}

// gatehouse is where its own listener is.
func (o ownHosts) gatehouse() string { return strings.TrimPrefix(o.App.URL(), "http://") }

func nginxBefore(t *testing.T, o ownHosts, listens, application string) {
	t.Helper()
	blocks := "server { listen " + listens + "; server_name auth.localhost; location / { proxy_pass http://" + o.gatehouse() + ";\n" +
		"proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n" +
		"proxy_set_header X-Forwarded-Host \"\"; proxy_buffer_size 32k; proxy_buffers 4 32k; } }\n"
	for _, name := range []string{"wiki", "shop"} {
		blocks += "server { listen " + listens + "; server_name " + name + ".localhost;\n" + harness.Guide(t, "own-hosts.md", "127.0.0.1:8000", o.gatehouse(),
			"127.0.0.1:8080", application, "auth.example.com", hostOf(o.auth)) + "\n}\n"
	}
	harness.Nginx(t, listens, blocks)
}

func caddyBefore(t *testing.T, o ownHosts, listens, application string) {
	t.Helper()
	sites := o.auth + " {\n\treverse_proxy " + o.gatehouse() + "\n}\n"
	for _, origin := range []string{o.app, o.other} {
		sites += fenced(t, "own-hosts.md", "caddyfile", "wiki.example.com", origin, "127.0.0.1:8000", o.gatehouse(), "127.0.0.1:8080", application,
			"auth.example.com", hostOf(o.auth))
	}
	caddyWith(t, listens, sites)
}

// fenced returns a block of a guide by its language, with other addresses in it.
func fenced(t *testing.T, name, language string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(proctest.File("docs/guides/" + name))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```"+language+"\n")
	block, _, _ := strings.Cut(rest, "```\n")
	if !found {
		t.Fatalf("%s has no block of %s", name, language)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(block, replace[i]) {
			t.Fatalf("%s's block of %s does not name %s", name, language, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(block)
}

// person is a browser with cookies, that follows redirects and what a page says in Refresh.
type person struct {
	*testing.T
	client *http.Client
	// way are the addresses that the last page was reached by, and text is what it says.
	way  []string
	text string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{T: t}
	dial := &net.Dialer{}
	p.client = &http.Client{
		Jar: jar,
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return dial.DialContext(ctx, network, "127.0.0.1:"+port)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p
}

var refresh = regexp.MustCompile(`url=(.+)$`)

// goes makes a request and follows where it leads.
func (p *person) goes(method, to string, body io.Reader, header ...string) (*http.Response, seen) {
	p.Helper()
	p.way = nil
	for range 12 {
		p.way = append(p.way, to)
		req, err := http.NewRequestWithContext(p.Context(), method, to, body)
		if err != nil {
			p.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := p.client.Do(req)
		if err != nil {
			p.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			p.Fatal(err)
		}
		next := res.Header.Get("Location")
		if m := refresh.FindStringSubmatch(res.Header.Get("Refresh")); m != nil {
			next = m[1]
		}
		if p.text = string(text); next == "" {
			var saw seen
			_ = json.Unmarshal(text, &saw) // the application's answer, or a page
			return res, saw
		}
		base, err := url.Parse(to)
		if err != nil {
			p.Fatal(err)
		}
		there, err := base.Parse(next)
		if err != nil {
			p.Fatal(err)
		}
		method, body, to = "GET", nil, there.String()
	}
	p.Fatalf("it goes round in circles: %q", p.way)
	return nil, seen{}
}

// signsIn signs in at Gatehouse's own host.
func (p *person) signsIn(o ownHosts, email string) {
	p.Helper()
	body := `{"email":"` + email + `","password":"` + harness.Passphrase + `","cookies":true}`
	if res, _ := p.goes("POST", o.auth+"/v1/login", strings.NewReader(body), "Content-Type", "application/json"); res.StatusCode != 200 {
		p.Fatalf("signing in: %d", res.StatusCode)
	}
}

// cookie is a cookie of a host.
func (p *person) cookie(origin, name string) string {
	p.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		p.Fatal(err)
	}
	for _, c := range p.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (p *person) keeps(origin, name, value string) {
	p.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		p.Fatal(err)
	}
	p.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// in reports whether the application sees somebody.
func (p *person) in(origin string) bool {
	p.Helper()
	res, saw := p.goes("GET", origin+"/page?q=1", nil)
	return res.StatusCode == 200 && len(saw.Header["X-Auth-User"]) == 1
}

// TestASVS_V3_5_4_AnApplicationOnAHostOfItsOwn: whoever is signed in at Gatehouse comes to the page that they asked for, and the application
// sees who it is and nothing of Gatehouse's; whoever is not is led to the sign-in page; and it ends with the session.
func TestASVS_V3_5_4_AnApplicationOnAHostOfItsOwn(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) { openOwnHosts(t, dbURL).letsIn(t) })
}

// The same, and what opens no application, behind Caddy as the guide has it.
func TestASVS_V3_5_4_AnApplicationOnAHostOfItsOwnBehindCaddy(t *testing.T) {
	openOwnHostsBehind(t, caddyBefore, dbtest.SQLite(t)).letsIn(t)
	openOwnHostsBehind(t, caddyBefore, dbtest.SQLite(t)).keepsOut(t)
}

func (o ownHosts) letsIn(t *testing.T) {
	t.Helper()
	o.Register("ada@example.org")
	ada := newPerson(t)
	res, _ := ada.goes("GET", o.app+"/page?q=1", nil)
	if res.StatusCode != 200 || res.Request.URL.Path != "/login" || res.Request.URL.Host != strings.TrimPrefix(o.auth, "http://") {
		t.Fatalf("nobody is led by %q", ada.way)
	}
	ada.signsIn(o, "ada@example.org")
	res, saw := ada.goes("GET", o.app+"/page?q=1", nil)
	if res.StatusCode != 200 || saw.URI != "/page?q=1" || saw.Header.Get("X-Auth-Email") != "ada@example.org" || saw.Header.Get("X-Auth-Acr") != "1fa" {
		t.Fatalf("by %q: %d %+v", ada.way, res.StatusCode, saw)
	}
	if saw.Header.Get("Cookie") != "" {
		t.Errorf("the application sees %q", saw.Header.Get("Cookie"))
	}
	if ada.cookie(o.app, "gatehouse_rt")+ada.cookie(o.app, "gatehouse_csrf")+ada.cookie(o.auth, "gatehouse_app") != "" {
		t.Error("the hosts share cookies")
	}
	if _, _ = ada.goes("GET", o.app+"/page?q=2", nil); len(ada.way) != 1 {
		t.Errorf("the second page is reached by %q", ada.way)
	}
	// Nothing else of ours is there.
	for _, path := range []string{"/login", "/v1/me", "/account"} {
		if res, saw := ada.goes("GET", o.app+path, nil); res.StatusCode != 200 || saw.URI != path {
			t.Errorf("%s on the application's host is %d, not the application's", path, res.StatusCode)
		}
	}
	if !ada.in(o.other) {
		t.Error("the other application sees nobody")
	}
	access := o.Login("ada@example.org").Str("access_token")
	list := o.Expect(200, "", harness.Get("/v1/me/applications", access))
	if n := strings.Count(list.Text, `"title"`); n != 2 {
		t.Errorf("%d applications: %s", n, list.Text)
	}
	// An operator ends the sessions: the applications see nobody, within a second.
	before := ada.cookie(o.app, "gatehouse_app")
	o.Expect(204, "", harness.Post("/v1/logout-all", nil, access))
	o.Eventually("the application sees nobody", func() (string, bool) {
		res, _ := ada.goes("GET", o.app+"/page", nil)
		return res.Request.URL.String(), res.Request.URL.Path == "/login"
	})
	ada.signsIn(o, "ada@example.org")
	if !ada.in(o.app) || ada.cookie(o.app, "gatehouse_app") == before {
		t.Error("a new sign-in does not lead back")
	}
}

// TestASVS_V3_5_4_WhatOpensNoApplication: cookies of other hosts, codes of others, answers that were begun elsewhere or nowhere, and requests of
// other sites open nothing; who lacks the role or the strength is told so.
func TestASVS_V3_5_4_WhatOpensNoApplication(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) { openOwnHosts(t, dbURL).keepsOut(t) })
}

func (o ownHosts) keepsOut(t *testing.T) {
	t.Helper()
	o.Register("ada@example.org")
	o.Register("eve@example.org")
	ada, eve := newPerson(t), newPerson(t)
	ada.signsIn(o, "ada@example.org")
	eve.signsIn(o, "eve@example.org")
	if !ada.in(o.app) || !eve.in(o.app) {
		t.Fatal("they are not in")
	}
	opens := func(what string, p *person, origin string) {
		t.Helper()
		if res, saw := p.goes("GET", origin+"/page", nil); len(saw.Header["X-Auth-User"]) > 0 {
			t.Errorf("%s opens the application: %d %v", what, res.StatusCode, saw.Header["X-Auth-User"])
		}
	}
	// A cookie of another application's host, a session's refresh token, and what is none.
	for what, value := range map[string]string{
		"another host's cookie": ada.cookie(o.app, "gatehouse_app"), "a session's refresh token": ada.cookie(o.auth, "gatehouse_rt"), "nonsense": "gatehouse_rt_x",
	} {
		stranger := newPerson(t)
		stranger.keeps(o.other, "gatehouse_app", value)
		opens(what, stranger, o.other)
	}
	// And the application's cookie opens nothing of Gatehouse's.
	for _, r := range []harness.Request{
		harness.Get("/v1/me", ada.cookie(o.app, "gatehouse_app")),
		harness.Post("/v1/token/refresh", harness.Body{"refresh_token": ada.cookie(o.app, "gatehouse_app")}),
	} {
		if a := o.Do(r); a.Status != 401 {
			t.Errorf("%s %s: %d", r.Method, r.Path, a.Status)
		}
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {ada.cookie(o.app, "gatehouse_app")}, "client_id": {o.ids[o.app]}}
	if a := o.Do(harness.Request{
		Method: "POST", Path: "/oauth2/token", Body: form.Encode(), ContentType: "application/x-www-form-urlencoded",
	}); a.Status != 401 {
		t.Errorf("the token endpoint: %d %s", a.Status, a.Text)
	}
	// Somebody else's code: Eve's way back, stopped before it is taken, in the browser of Mallory who began nothing, or something else.
	way := eve.stopped(o.other)
	stranger := newPerson(t)
	if res, _ := stranger.goes("GET", way, nil); res.StatusCode != 400 {
		t.Errorf("a code that nobody began for: %d", res.StatusCode)
	}
	opens("somebody else's code", stranger, o.other)
	begun := newPerson(t)
	begun.goes("GET", o.other+"/page", nil)
	if res, _ := begun.goes("GET", way, nil); res.StatusCode != 400 {
		t.Errorf("a code of another sign-in: %d", res.StatusCode)
	}
	// Changed on its way: to the other host, with another issuer, with an error.
	for what, changed := range map[string]string{
		"another host":   strings.Replace(way, o.other, o.app, 1),
		"another issuer": strings.Replace(way, "iss=", "iss=https%3A%2F%2Fevil.example%2F&x=", 1),
		"no issuer":      regexp.MustCompile(`[?&]iss=[^&]*`).ReplaceAllString(way, "&"),
		"an error":       strings.Replace(way, "code=", "error=access_denied&x=", 1),
	} {
		if res, _ := eve.goes("GET", changed, nil); res.StatusCode < 400 {
			t.Errorf("%s: %d by %q", what, res.StatusCode, eve.way)
		}
	}
	// It is good once.
	if res, saw := eve.goes("GET", way, nil); res.StatusCode != 200 || saw.Header.Get("X-Auth-Email") != "eve@example.org" {
		t.Errorf("her own: %d %+v", res.StatusCode, saw)
	}
	if res, _ := eve.goes("GET", way, nil); res.StatusCode != 400 {
		t.Errorf("a second time: %d", res.StatusCode)
	}
	// Requests of other sites change nothing, those of Gatehouse's own host included.
	for _, site := range []string{"cross-site", "same-site"} {
		if res, _ := ada.goes("POST", o.app+"/page", nil, "Sec-Fetch-Site", site, "Origin", o.auth); res.StatusCode != 403 {
			t.Errorf("a POST from %s: %d", site, res.StatusCode)
		}
	}
	if res, saw := ada.goes("POST", o.app+"/page", nil, "Sec-Fetch-Site", "same-origin", "Origin", o.app); res.StatusCode != 200 || saw.URI != "/page" {
		t.Errorf("its own POST: %d", res.StatusCode)
	}
}

// stopped goes to an application, and returns the last step of the way without taking it.
func (p *person) stopped(origin string) string {
	p.Helper()
	to := origin + "/page"
	for range 8 {
		req, err := http.NewRequestWithContext(p.Context(), http.MethodGet, to, nil)
		if err != nil {
			p.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		res, err := p.client.Do(req)
		if err != nil {
			p.Fatal(err)
		}
		res.Body.Close()
		there, err := req.URL.Parse(res.Header.Get("Location"))
		if err != nil {
			p.Fatal(err)
		}
		if to = there.String(); there.Path == client.EnterPath {
			return to
		}
	}
	p.Fatal("nothing leads back")
	return ""
}

// TestAnApplicationOnAHostOfItsOwnAsksForMore: for a role, a strength, and its own people alone; by what the session's row says now.
func TestAnApplicationOnAHostOfItsOwnAsksForMore(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		o := openOwnHosts(t, dbURL)
		o.Register("ada@example.org")
		ada := newPerson(t)
		ada.signsIn(o, "ada@example.org")
		if !ada.in(o.app) || !ada.in(o.other) {
			t.Fatal("she is not in")
		}
		change := func(settings func(s client.Settings) client.Settings) {
			t.Helper()
			if _, err := o.Operator().SetClient(t.Context(), "wiki", settings, harness.OriginOfTests); err != nil {
				t.Fatal(err)
			}
		}
		is := func(what string, status int, path string) {
			t.Helper()
			o.Eventually(what, func() (string, bool) {
				res, _ := ada.goes("GET", o.app+"/page", nil)
				return res.Status + " at " + res.Request.URL.String(), res.StatusCode == status && res.Request.URL.Path == path
			})
		}
		change(func(s client.Settings) client.Settings { s.RequireRoles = []string{"editor"}; return s })
		is("she lacks the role", 403, "/page")
		if _, err := o.Operator().SetRoles(t.Context(), "ada@example.org", []string{"editor"}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		is("she has the role", 200, "/page")
		// A second factor: whoever has none is led to the page that adds one, and not round in circles.
		change(func(s client.Settings) client.Settings { s.RequireACR = "2fa"; return s })
		o.Eventually("she needs a second factor", func() (string, bool) {
			res, _ := ada.goes("GET", o.app+"/page", nil)
			return res.Status + " at " + res.Request.URL.String(), res.Request.URL.Host == strings.TrimPrefix(o.auth, "http://")
		})
		if !ada.in(o.other) {
			t.Error("the other application asks for it too")
		}
		change(func(s client.Settings) client.Settings { s.RequireACR = ""; return s })
		is("she needs none", 200, "/page")
		if _, err := o.Operator().DisableClient(t.Context(), "wiki", true, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		o.Eventually("the application is disabled", func() (string, bool) {
			res, saw := ada.goes("GET", o.app+"/page", nil, "Accept", "application/json")
			return res.Status, res.StatusCode == 401 && len(saw.Header) == 0
		})
	})
}
