package proxies_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// ownConsole is the console on a host of its own, beside Gatehouse's and an application's.
type ownConsole struct {
	ownHosts
	console string // its origin
}

// openOwnConsole starts Gatehouse behind nginx as the guides have it: PUBLIC_URL, the console and a guarded application, each on its own host.
func openOwnConsole(t *testing.T, dbURL string, settings ...string) ownConsole {
	t.Helper()
	return openOwnConsoleAt(t, dbURL, nil, settings...)
}

func openOwnConsoleAt(t *testing.T, dbURL string, now func() time.Time, settings ...string) ownConsole {
	t.Helper()
	listens := harness.FreePort(t)
	port := listens[strings.LastIndexByte(listens, ':'):]
	o := ownConsole{ownHosts: ownHosts{auth: "http://auth.localhost" + port, app: "http://wiki.localhost" + port}, console: "http://admin.localhost" + port}
	o.Server = harness.OpenAt(t, dbURL, now, append(settings, "PUBLIC_URL="+o.auth, "ADMIN_URL="+o.console, "TRUSTED_PROXIES=127.0.0.1")...)
	application, _ := guardedApplication(t)
	gatehouse := strings.TrimPrefix(o.App.URL(), "http://")
	blocks := "server { listen " + listens + "; server_name auth.localhost; location / { proxy_pass http://" + gatehouse + ";\n" +
		"proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;\n" +
		"proxy_set_header X-Forwarded-Host \"\"; proxy_buffer_size 32k; proxy_buffers 4 32k; } }\n" +
		"server { listen " + listens + "; server_name admin.localhost;\n" +
		harness.Guide(t, "administration.md", "127.0.0.1:8000", gatehouse, "admin.example.com", "admin.localhost"+port) + "\n}\n" +
		"server { listen " + listens + "; server_name wiki.localhost;\n" +
		harness.Guide(t, "own-hosts.md", "127.0.0.1:8000", gatehouse, "127.0.0.1:8080", application, "auth.example.com", "auth.localhost"+port) + "\n}\n"
	if _, _, err := o.Operator().RegisterClient(t.Context(), "wiki", client.Guarded, client.Settings{
		RedirectURIs: []string{o.app + client.EnterPath},
	}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	harness.Nginx(t, listens, blocks)
	return o
}

// somebody registers an account with roles, and is signed in on PUBLIC_URL.
func (o ownConsole) somebody(email string, roles ...string) *person {
	o.Helper()
	o.Register(email)
	if len(roles) > 0 {
		if _, err := o.Operator().SetRoles(o.Context(), email, roles, harness.OriginOfTests); err != nil {
			o.Fatal(err)
		}
	}
	p := newPerson(o.T)
	p.signsIn(o.ownHosts, email)
	return p
}

var formToken = regexp.MustCompile(`name="csrf_token" value="([^"]+)"`)

// reads goes to a page, and returns its text.
func (p *person) reads(to string, header ...string) (*http.Response, string) {
	p.Helper()
	res, _ := p.goes("GET", to, nil, header...)
	return res, p.text
}

// presses sends the form of a page, as one of the console's own.
func (p *person) presses(o ownConsole, page, to string, in url.Values, header ...string) *http.Response {
	p.Helper()
	_, text := p.reads(page)
	found := formToken.FindStringSubmatch(text)
	if found == nil {
		p.Fatalf("%s has no form, by %q: %s", page, p.way, text)
	}
	in.Set("csrf_token", html.UnescapeString(found[1]))
	res, _ := p.goes("POST", to, strings.NewReader(in.Encode()), append([]string{
		"Content-Type", "application/x-www-form-urlencoded", "Origin", o.console, "Sec-Fetch-Site", "same-origin",
	}, header...)...)
	return res
}

// at reports where a person is led who asks for the console, and the status there.
func (o ownConsole) at(p *person, path string) string {
	p.Helper()
	res, _ := p.goes("GET", o.console+path, nil)
	return res.Request.URL.Scheme + "://" + res.Request.URL.Host + res.Request.URL.Path + " " + res.Status
}

// TestASVS_V3_5_4_TheConsoleOnAHostOfItsOwn: an administrator who is signed in on PUBLIC_URL comes to the page of the console that they asked for; a
// change works there; the hosts share no cookie; nothing else of Gatehouse is on the console's host, and no console on PUBLIC_URL's; to sign out on
// either ends it on both.
func TestASVS_V3_5_4_TheConsoleOnAHostOfItsOwn(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		o := openOwnConsole(t, dbURL)
		nobody := newPerson(t)
		if at := o.at(nobody, "/admin"); at != o.auth+"/login 200 OK" {
			t.Fatalf("nobody is led to %s by %q", at, nobody.way)
		}
		root := o.somebody("root@example.org", "admin")
		o.Register("ada@example.org")
		if at := o.at(root, "/admin/people?q=ada"); at != o.console+"/admin/people 200 OK" || !strings.Contains(root.text, "ada@example.org") {
			t.Fatalf("the administrator is at %s by %q", at, root.way)
		}
		if o.at(root, "/admin"); len(root.way) != 1 {
			t.Errorf("the second page is reached by %q", root.way)
		}
		for _, name := range []string{"gatehouse_rt", "gatehouse_at", "gatehouse_csrf"} {
			if root.cookie(o.console, name) != "" {
				t.Errorf("the console's host has %s", name)
			}
		}
		if root.cookie(o.auth, "gatehouse_app") != "" || root.cookie(o.console, "gatehouse_app") == "" {
			t.Error("the console's cookie is on the wrong host")
		}
		res := root.presses(o, o.console+"/admin/blocks/new?network=203.0.113.0/24", o.console+"/admin/blocks/new", url.Values{
			"network": {"203.0.113.0/24"}, "reason": {"it guesses passwords"}, "for": {"24"},
		})
		if res.StatusCode != 200 || res.Request.URL.Path != "/admin/blocks" || !strings.Contains(root.text, "203.0.113.0/24") {
			t.Errorf("a change is answered %s at %s: %s", res.Status, res.Request.URL, root.text)
		}
		// What is where.
		for path, want := range map[string]string{
			"/v1/me": "404", "/v1/admin/users": "404", "/v1/forward-auth": "404", "/oauth2/authorize": "404", "/.well-known/openid-configuration": "404",
			"/register": "404", "/openapi.json": "404", "/assets/icon.svg": "200",
		} {
			if at := o.at(root, path); at[:strings.LastIndex(at, "/")] == "" || !strings.HasPrefix(at, o.console+path+" "+want) {
				t.Errorf("%s on the console's host: %s, want %s", path, at, want)
			}
		}
		if at := o.at(root, "/"); at != o.console+"/admin 200 OK" {
			t.Errorf("the console's root leads to %s", at)
		}
		res, _ = root.reads(o.auth + "/admin/people?q=ada")
		if res.Request.URL.String() != o.console+"/admin/people?q=ada" || res.StatusCode != 200 {
			t.Errorf("a bookmark from before leads to %s: %s", res.Request.URL, res.Status)
		}
		if res, _ := root.goes("POST", o.auth+"/admin/blocks/new", nil); res.StatusCode != 405 {
			t.Errorf("a form on PUBLIC_URL: %d", res.StatusCode)
		}
		// The API takes tokens, and no cookies.
		if res, _ := root.goes("GET", o.auth+"/v1/admin/users", nil, "Accept", "application/json"); res.StatusCode != 401 {
			t.Errorf("the API with PUBLIC_URL's cookies: %d", res.StatusCode)
		}
		o.Expect(200, "", harness.Get("/v1/admin/users", o.Login("root@example.org").Str("access_token")))

		// Signed out at the console: the session is over everywhere, and in the console at once.
		kept := root.cookie(o.console, "gatehouse_app")
		res = root.presses(o, o.console+"/admin", o.console+"/logout", url.Values{})
		if res.Request.URL.Host != strings.TrimPrefix(o.auth, "http://") || res.Request.URL.Path != "/login" {
			t.Errorf("signing out leads to %s by %q", res.Request.URL, root.way)
		}
		root.keeps(o.console, "gatehouse_app", kept)
		if at := o.at(root, "/admin"); at != o.auth+"/login 200 OK" {
			t.Errorf("after the sign-out: %s", at)
		}
		// And the other way round.
		root.signsIn(o.ownHosts, "root@example.org")
		if at := o.at(root, "/admin"); at != o.console+"/admin 200 OK" {
			t.Fatalf("signed in again: %s", at)
		}
		if res, _ := root.goes("POST", o.auth+"/logout", strings.NewReader(""), "Content-Type", "application/x-www-form-urlencoded", "Origin", o.auth,
			"Sec-Fetch-Site", "same-origin"); res.Request.URL.Path != "/login" {
			t.Fatalf("signing out on PUBLIC_URL: %s at %s", res.Status, res.Request.URL)
		}
		if at := o.at(root, "/admin"); at != o.auth+"/login 200 OK" {
			t.Errorf("after the sign-out on PUBLIC_URL: %s", at)
		}
	})
}

// TestASVS_V8_4_2_TheConsolesHostAsksForAFreshSignIn: a sign-in from 16 minutes ago sees, and changes nothing: the change leads to the sign-in on
// PUBLIC_URL, and back to itself with a new cookie; the link in the side bar asks for a sign-in of whoever is signed in of late, too.
func TestASVS_V8_4_2_TheConsolesHostAsksForAFreshSignIn(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		o := openOwnConsoleAt(t, dbURL, clock.Now)
		root := o.somebody("root@example.org", "admin")
		if at := o.at(root, "/admin"); at != o.console+"/admin 200 OK" {
			t.Fatalf("the administrator is at %s", at)
		}
		before := root.cookie(o.console, "gatehouse_app")
		clock.Shift(16 * time.Minute)
		if at := o.at(root, "/admin/people"); at != o.console+"/admin/people 200 OK" {
			t.Errorf("an older sign-in sees nothing: %s", at)
		}
		form := url.Values{"rule": {"rate_limits"}, "reason": {"a test of ours"}}
		token := html.UnescapeString(formToken.FindStringSubmatch(root.text)[1])
		form.Set("csrf_token", token)
		res, _ := root.goes("POST", o.console+"/admin/alerts/silence", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded",
			"Origin", o.console, "Sec-Fetch-Site", "same-origin")
		if res.StatusCode != 200 || res.Request.URL.Host != strings.TrimPrefix(o.auth, "http://") || res.Request.URL.Path != "/login" {
			t.Fatalf("a change by an older sign-in: %s at %s by %q", res.Status, res.Request.URL, root.way)
		}
		back := res.Request.URL.Query().Get("return_to")
		if !strings.Contains(res.Header.Get("Content-Security-Policy"), "form-action 'self' "+o.console+";") {
			t.Errorf("the sign-in page's form may not lead back: %s", res.Header.Get("Content-Security-Policy"))
		}
		root.signsIn(o.ownHosts, "root@example.org")
		if res, _ := root.goes("GET", o.auth+back, nil); res.Request.URL.String() != o.console+"/admin/alerts/silence?kept" || res.StatusCode != 200 {
			t.Errorf("the way back leads to %s: %s by %q", res.Request.URL, res.Status, root.way)
		}
		if root.cookie(o.console, "gatehouse_app") == before {
			t.Error("a new sign-in leaves the old cookie")
		}
		// The old cookie is the same person's, under the same session's name: it sees what the session's row says, and ends with it.
		if res, _ := root.goes("GET", o.console+"/.gatehouse/begin?again=1&to=/admin/keys", nil); res.Request.URL.Path != "/login" {
			t.Errorf("asked for a new sign-in, it leads to %s", res.Request.URL)
		}
		if res, _ := root.goes("GET", o.console+"/.gatehouse/begin?max_age=840&to=/admin/keys", nil); res.Request.URL.String() != o.console+"/admin/keys" {
			t.Errorf("whoever has just signed in is led to %s", res.Request.URL)
		}
		for to, want := range map[string]string{
			"//evil.example/": "/admin", "https://evil.example/": "/admin", `/\evil.example`: "/admin", "/admin/help": "/admin/help",
		} {
			res, _ := root.goes("GET", o.console+"/.gatehouse/begin?to="+url.QueryEscape(to), nil)
			if res.Request.URL.String() != o.console+want {
				t.Errorf("back to %q leads to %s", to, res.Request.URL)
			}
		}
	})
}

// TestASVS_V3_5_4_WhatOpensNoConsole: the console's cookie opens nothing else, and nothing else opens the console: cookies of other hosts, codes of other
// applications and other people, forged names of hosts, people without a role, other networks, requests of other sites.
func TestASVS_V3_5_4_WhatOpensNoConsole(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		o := openOwnConsole(t, dbURL)
		root, ada := o.somebody("root@example.org", "admin"), o.somebody("ada@example.org")
		if at := o.at(root, "/admin"); at != o.console+"/admin 200 OK" || !root.in(o.app) {
			t.Fatalf("they are not in: %s", at)
		}
		cookie := root.cookie(o.console, "gatehouse_app")
		// The console's cookie elsewhere.
		for what, name := range map[string]string{o.app: "gatehouse_app", o.auth: "gatehouse_rt"} {
			stranger := newPerson(t)
			stranger.keeps(what, name, cookie)
			if res, saw := stranger.goes("GET", what+"/account", nil); len(saw.Header["X-Auth-User"]) > 0 || res.Request.URL.Path != "/login" {
				t.Errorf("the console's cookie at %s: %s %s", what, res.Request.URL, res.Status)
			}
		}
		for _, r := range []harness.Request{
			harness.Get("/v1/admin/users", cookie), harness.Get("/v1/me", cookie), harness.Post("/v1/token/refresh", harness.Body{"refresh_token": cookie}),
		} {
			if a := o.Do(r); a.Status != 401 {
				t.Errorf("%s %s with the console's cookie: %d", r.Method, r.Path, a.Status)
			}
		}
		// Others' cookies at the console.
		for what, value := range map[string]string{
			"the application's cookie": root.cookie(o.app, "gatehouse_app"), "the session's refresh token": root.cookie(o.auth, "gatehouse_rt"),
			"the session's access token": root.cookie(o.auth, "gatehouse_at"), "nonsense": "gatehouse_rt_x",
		} {
			stranger := newPerson(t)
			stranger.keeps(o.console, "gatehouse_app", value)
			stranger.keeps(o.console, "gatehouse_rt", root.cookie(o.auth, "gatehouse_rt"))
			stranger.keeps(o.console, "gatehouse_at", root.cookie(o.auth, "gatehouse_at"))
			if at := o.at(stranger, "/admin"); at != o.auth+"/login 200 OK" {
				t.Errorf("%s opens the console: %s", what, at)
			}
		}
		// A code for the application at the console, and one for the console at the application, each in the browser that began there.
		way := ada.stopped(o.app)
		if res, _ := ada.goes("GET", strings.Replace(way, o.app, o.console, 1), nil); res.StatusCode != 400 || ada.cookie(o.console, "gatehouse_app") != "" {
			t.Errorf("the application's code at the console: %s", res.Status)
		}
		ada.keeps(o.console, "gatehouse_enter_"+stateOf(way), ada.cookie(o.app, "gatehouse_enter_"+stateOf(way)))
		if res, _ := ada.goes("GET", strings.Replace(way, o.app, o.console, 1), nil); res.StatusCode != 400 || ada.cookie(o.console, "gatehouse_app") != "" {
			t.Errorf("the application's code at the console, with what was begun: %s", res.Status)
		}
		way = root.stopped(o.console + "/.gatehouse/begin?to=/admin&x=")
		stranger := newPerson(t)
		if res, _ := stranger.goes("GET", way, nil); res.StatusCode != 400 || stranger.cookie(o.console, "gatehouse_app") != "" {
			t.Errorf("an administrator's code in a stranger's browser: %s", res.Status)
		}
		root.keeps(o.app, "gatehouse_enter_"+stateOf(way), root.cookie(o.console, "gatehouse_enter_"+stateOf(way)))
		if res, _ := root.goes("GET", strings.Replace(way, o.console, o.app, 1), nil); res.StatusCode != 400 {
			t.Errorf("the console's code at the application: %s", res.Status)
		}
		if res, _ := root.goes("GET", way, nil); res.StatusCode != 200 || res.Request.URL.Host != strings.TrimPrefix(o.console, "http://") {
			t.Errorf("the administrator's own: %s at %s", res.Status, res.Request.URL)
		}
		if res, _ := root.goes("GET", way, nil); res.StatusCode != 400 {
			t.Errorf("a second time: %s", res.Status)
		}
		// Forged names of hosts: the Host header alone decides, and what a proxy says of another is not looked at.
		for what, asked := range map[string][]string{
			"X-Forwarded-Host at PUBLIC_URL":   {hostOf(o.auth), "/admin", "X-Forwarded-Host", hostOf(o.console)},
			"the hand-over under its name":     {hostOf(o.auth), "/.gatehouse/begin", "X-Forwarded-Host", hostOf(o.console), "X-Forwarded-Proto", "http"},
			"a name that is none of the two":   {"evil.example", "/admin"},
			"the console's name with a suffix": {"admin.localhost.evil.example", "/admin"},
		} {
			res := o.directly(asked[0], asked[1], append(asked[2:], "Cookie", "gatehouse_app="+cookie)...)
			if res.StatusCode == 200 || strings.Contains(res.Header.Get("Set-Cookie"), "gatehouse") {
				t.Errorf("%s: %s %s", what, res.Status, res.Header)
			}
		}
		// No application is registered at the console's host, by whoever it is and at whatever port.
		for _, kind := range []client.Type{client.Guarded, client.Web, client.SPA} {
			operator := o.Operator()
			operator.Console = o.console
			if _, _, err := operator.RegisterClient(t.Context(), "beside", kind, client.Settings{
				RedirectURIs: []string{"https://ADMIN.localhost:8443" + client.EnterPath},
			}, harness.OriginOfTests); fault.As(err) == nil || fault.As(err).Code != "invalid_redirect_uri" {
				t.Errorf("a %s application at the console's host: %v", kind, err)
			}
		}
		// Without a role there is no cookie; with one that is taken away no page.
		if res, _ := ada.goes("GET", o.console+"/admin", nil); res.Request.URL.Host != hostOf(o.auth) || ada.cookie(o.console, "gatehouse_app") != "" {
			t.Errorf("somebody without a role is at %s: %s", res.Request.URL, res.Status)
		}
		// Requests of other sites, PUBLIC_URL's own scripts included.
		form := url.Values{"network": {"198.51.100.0/24"}, "reason": {"a forged one"}, "for": {"24"}}
		for _, from := range []string{o.auth, o.app, "https://evil.example"} {
			res := root.presses(o, o.console+"/admin/blocks/new?network=198.51.100.0/24", o.console+"/admin/blocks/new", form, "Origin", from,
				"Sec-Fetch-Site", "same-site")
			if res.StatusCode != 403 {
				t.Errorf("a form from %s: %s", from, res.Status)
			}
			if res := root.presses(o, o.console+"/admin", o.console+"/logout", url.Values{}, "Origin", from, "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
				t.Errorf("a sign-out from %s: %s", from, res.Status)
			}
		}
		if res, _ := root.goes("GET", o.console+"/.gatehouse/enter?state=x", nil, "Sec-Fetch-Mode", "cors"); res.StatusCode != 403 {
			t.Errorf("a script's way in: %s", res.Status)
		}
		if _, err := o.Operator().SetRoles(t.Context(), "root@example.org", []string{}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		o.Eventually("the role is gone", func() (string, bool) {
			at := o.at(root, "/admin")
			return at, !strings.HasSuffix(at, "200 OK") || !strings.HasPrefix(at, o.console)
		})
	})
}

// stateOf is how a browser's cookie for a sign-in is called that an address ends.
func stateOf(way string) string {
	_, state, _ := strings.Cut(way, "state=")
	return state[:8]
}

func hostOf(origin string) string { return strings.TrimPrefix(origin, "http://") }

// TestASVS_V8_4_2_TheConsolesHostFromSomeNetworksAlone: ADMIN_NETWORKS holds on both hosts, for the way in as well.
func TestASVS_V8_4_2_TheConsolesHostFromSomeNetworksAlone(t *testing.T) {
	o := openOwnConsole(t, dbtest.SQLite(t), "ADMIN_NETWORKS=198.51.100.0/24")
	root := o.somebody("root@example.org", "admin")
	for _, at := range []string{
		o.console + "/admin", o.console + "/.gatehouse/begin", o.console + "/.gatehouse/enter", o.auth + "/admin", o.auth + "/admin/people",
	} {
		if res, _ := root.goes("GET", at, nil); res.StatusCode != 403 || len(root.way) != 1 {
			t.Errorf("%s from another network: %s by %q", at, res.Status, root.way)
		}
	}
	res := o.directly(hostOf(o.console), "/admin", "X-Forwarded-For", "198.51.100.7")
	if res.StatusCode != 303 || !strings.HasPrefix(res.Header.Get("Location"), "/.gatehouse/begin") {
		t.Errorf("from the administrators' network: %s %s", res.Status, res.Header.Get("Location"))
	}
}

// directly asks Gatehouse's own listener, as the proxy does, under the name of a host.
func (o ownConsole) directly(host, path string, header ...string) *http.Response {
	o.Helper()
	req, err := http.NewRequestWithContext(o.Context(), http.MethodGet, o.App.URL()+path, nil)
	if err != nil {
		o.Fatal(err)
	}
	req.Host = host
	req.Header.Set("Accept", "text/html")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		o.Fatal(err)
	}
	res.Body.Close()
	return res
}
