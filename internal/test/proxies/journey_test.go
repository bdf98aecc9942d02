package proxies_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// seen is a request as the guarded application saw it.
type seen struct {
	URI    string
	Header http.Header
}

// guardedApplication answers with what it saw, and takes every handshake of a WebSocket.
func guardedApplication(t *testing.T) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Upgrade") != "" {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Seen-User: %s\r\n\r\n",
				r.Header.Get("X-Auth-User"))
			_ = rw.Flush()
			_ = conn.Close()
			return
		}
		w.Header().Set("X-Application", "1")
		_ = json.NewEncoder(w).Encode(seen{r.RequestURI, r.Header})
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), asked
}

// visitor is a browser, as far as its requests show, whose URLs are sent verbatim.
type visitor struct {
	*testing.T
	h       *harness.Server
	address string // of the proxy
	asked   *atomic.Int64
	cookies map[string]string
}

func (v *visitor) base() string { return "http://" + v.address }

// reply is an answer, and who gave it.
type reply struct {
	*http.Response
	text        string
	application bool
	seen        seen
}

// ask makes a request. Header lines are sent as they are.
func (v *visitor) ask(method, uri, body string, lines ...string) reply {
	v.Helper()
	conn, err := net.Dial("tcp", v.address)
	if err != nil {
		v.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	lines = append(lines, "Host: "+v.address)
	if !strings.Contains(strings.Join(lines, "\n"), "Connection:") {
		lines = append(lines, "Connection: close")
	}
	if len(v.cookies) > 0 {
		var all []string
		for name, value := range v.cookies {
			all = append(all, name+"="+value)
		}
		lines = append(lines, "Cookie: "+strings.Join(all, "; "))
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(body)))
	}
	before := v.asked.Load()
	if _, err := io.WriteString(conn, method+" "+uri+" HTTP/1.1\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n"+body); err != nil {
		v.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		v.Fatalf("%s %.80s: %v", method, uri, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil && res.StatusCode != http.StatusSwitchingProtocols {
		v.Fatalf("%s %.80s: %v", method, uri, err)
	}
	for _, c := range res.Cookies() {
		v.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	r := reply{Response: res, text: string(text), application: v.asked.Load() > before}
	if r.application && res.StatusCode == 200 {
		if err := json.Unmarshal(text, &r.seen); err != nil {
			v.Fatalf("%s %.80s: %v\n%s", method, uri, err, text)
		}
	}
	return r
}

// here is a Location on this host as it is asked for.
func (v *visitor) here(location string) string { return strings.TrimPrefix(location, v.base()) }

const asPage = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"

var returnField = regexp.MustCompile(`name="return_to" value="([^"]*)"`)

// signIn fills in the form of a sign-in page, and returns where it led.
func (v *visitor) signIn(page, email string) string {
	v.Helper()
	a := v.ask("GET", page, "", asPage)
	field := returnField.FindStringSubmatch(a.text)
	if a.StatusCode != 200 || field == nil {
		v.Fatalf("the sign-in page %.100s: %d\n%.300s", page, a.StatusCode, a.text)
	}
	form := url.Values{"email": {email}, "password": {harness.Passphrase}, "return_to": {html.UnescapeString(field[1])}}
	a = v.ask("POST", "/login", form.Encode(), "Origin: "+v.base(), "Sec-Fetch-Site: same-origin")
	if a.StatusCode != 303 {
		v.Fatalf("signing in at %.100s: %d\n%s", page, a.StatusCode, a.text)
	}
	return v.here(a.Header.Get("Location"))
}

func (v *visitor) signOut() { v.cookies = map[string]string{} }

// addresses are those of pages, and what comes back of them.
func addresses() map[string]string {
	same := []string{
		"/", "/a?q=tea&page=2", "/repo/a%2Fb", "//a/b", "/a;b=1?c;d", "/a?q=100%25&x=%0A", "/a?q=%C3%A9%2B+%26", "/r%C3%A9sum%C3%A9/%20x",
		"/a?next=//evil.example&u=https://evil.example/",
		"/accounting/ledger", "/login-help", "/a?return_to=/b", "/" + strings.Repeat("a", 8100), "/q?" + strings.Repeat("%C3%A9", 1300), "/a/.%2e/x?'\"<>",
	}
	out := map[string]string{"/caf\xc3\xa9?\xc3\xa9": "/caf%C3%A9?%C3%A9"}
	for _, uri := range same {
		out[uri] = uri
	}
	return out
}

// comesBack: B7, F10: whoever was asked to sign in, and whoever came without their strict cookies, is back at
// the very page.
func (v *visitor) comesBack(email string, canonical func(string) string) {
	v.Helper()
	for uri, want := range addresses() {
		want = canonical(want)
		v.signOut()
		a := v.ask("GET", uri, "", asPage)
		login := v.here(a.Header.Get("Location"))
		if a.StatusCode != 302 || a.application || !strings.HasPrefix(login, "/login?return_to=") {
			v.Errorf("%.60q, signed out: %d %.100q", uri, a.StatusCode, login)
			continue
		}
		if back := v.signIn(login, email); back != want {
			v.Errorf("%.60q leads back to %.100q after the sign-in", uri, back)
		}
		if a := v.ask("GET", login, "", asPage); a.StatusCode != 303 || v.here(a.Header.Get("Location")) != want {
			v.Errorf("%.60q leads back to %.100q for who is signed in: %d", uri, v.here(a.Header.Get("Location")), a.StatusCode)
		}
		delete(v.cookies, "gatehouse_on")
		if a := v.ask("GET", want, "", asPage); a.StatusCode != 200 || !a.application || a.seen.URI != want && canonical(a.seen.URI) != want {
			v.Errorf("%.60q, back: %d, the application was asked for %.100q", uri, a.StatusCode, a.seen.URI)
		}
	}
}

// reachesOwnPages: B1, F1: all that is Gatehouse's answers, signed in or not, and the application never sees it.
func (v *visitor) reachesOwnPages() {
	v.Helper()
	for _, path := range app.OwnPaths() {
		if strings.HasSuffix(path, "/") {
			path += "x"
		}
		a := v.ask("GET", path, "", asPage)
		asks := path == "/admin" || path == "/account/factors" || path == "/device" // for a sign-in by themselves
		guarded := strings.Contains(a.Header.Get("Location"), "return_to") && !asks
		if a.application || a.Header.Get("X-Request-Id") == "" || guarded {
			v.Errorf("%s, %d cookies: %d, by the application: %v, %q", path, len(v.cookies), a.StatusCode, a.application, a.Header.Get("Location"))
		}
	}
}

// registersAndResets drives the mails' links from end to end.
func (v *visitor) registersAndResets(email string) {
	v.Helper()
	v.signOut()
	own := []string{"Origin: " + v.base(), "Sec-Fetch-Site: same-origin", asPage}
	post := func(what, uri string, form url.Values) {
		v.Helper()
		if a := v.ask("POST", uri, form.Encode(), own...); a.application || a.StatusCode >= 400 {
			v.Fatalf("%s: %d\n%s", what, a.StatusCode, a.text)
		}
	}
	open := func(link string) string {
		v.Helper()
		uri, _, _ := strings.Cut(v.here(link), "#")
		if a := v.ask("GET", uri, "", asPage); a.application || a.StatusCode != 200 || !strings.Contains(a.text, "<form") {
			v.Fatalf("the mail's link %s: %d %q", uri, a.StatusCode, a.Header.Get("Location"))
		}
		return uri
	}
	first := v.ask("GET", "/tea?q=1&page=2", "", asPage)
	login := v.here(first.Header.Get("Location"))
	v.ask("GET", login, "", asPage)
	post("registering", "/register", url.Values{"email": {email}, "new_password": {harness.Passphrase}})
	box := v.h.Mailbox()
	mail := box.Last(email, notice.VerifyAddress)
	post("verifying", open(mail.Link), url.Values{"token": {harness.TokenOf(v.T, mail.Link)}})
	post("forgetting", "/forgot", url.Values{"email": {email}})
	mail = box.Last(email, notice.ResetPassword)
	post("resetting", open(mail.Link), url.Values{"token": {harness.TokenOf(v.T, mail.Link)}, "new_password": {harness.Passphrase + " again"}})
	v.cookies["gatehouse_dc_x"] = "not one of ours"
	// D4: the way back has survived all this.
	field := returnField.FindStringSubmatch(v.ask("GET", "/login?utm_source=mail&x;y", "", asPage).text)
	if field == nil || html.UnescapeString(field[1]) != "/tea?q=1&page=2" {
		v.Errorf("where the person wanted to go is lost: %q", field)
	}
}

// keepsTokens: V10.1.1: the application sees neither our cookies nor a bearer's token.
func (v *visitor) keepsTokens(email string) {
	v.Helper()
	v.signOut()
	v.signIn("/login", email)
	v.cookies["theme"], v.cookies["__Host-gatehouse_at"] = `"dark;`, "planted"
	a := v.ask("GET", "/app", "")
	if strings.Contains(fmt.Sprint(a.seen.Header), "gatehouse_") || a.StatusCode != 200 {
		v.Errorf("ASVS 10.1.1: %d, the application sees %q", a.StatusCode, a.seen.Header)
	}
	v.cookies["theme"] = "dark"
	if a := v.ask("GET", "/app", ""); a.seen.Header.Get("Cookie") != "theme=dark" || a.seen.Header.Get("X-Auth-User") == "" {
		v.Errorf("the application's own cookie: %q", a.seen.Header)
	}
	access := v.h.Login(email).Str("access_token")
	v.cookies = map[string]string{"theme": "dark"}
	if a := v.ask("GET", "/app", "", "Authorization: Bearer "+access); a.StatusCode != 200 || strings.Contains(fmt.Sprint(a.seen.Header), access) ||
		a.seen.Header.Get("Cookie") != "theme=dark" {
		v.Errorf("ASVS 10.1.1: a bearer: %d, the application sees %q", a.StatusCode, a.seen.Header)
	}
}

// judgesHandshakes: F4, F5, G1: by who made the request, as the browser says.
func (v *visitor) judgesHandshakes(email string) {
	v.Helper()
	v.signOut()
	v.signIn("/login", email)
	evil, ours := "Origin: http://evil."+v.address, "Origin: "+v.base()
	hand := []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
	for name, c := range map[string]struct {
		method string
		lines  []string
		status int
	}{
		"a sibling's WebSocket":               {"GET", append([]string{evil, "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: websocket"}, hand...), 403},
		"another site's WebSocket":            {"GET", append([]string{evil}, hand...), 403},
		"our WebSocket":                       {"GET", append([]string{ours}, hand...), 101},
		"our WebSocket, as new browsers tell": {"GET", append([]string{ours, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: websocket"}, hand...), 101},
		"a sibling's stream":                  {"GET", []string{evil, "Accept: text/event-stream"}, 403},
		"our stream":                          {"GET", []string{"Sec-Fetch-Site: same-origin", "Accept: text/event-stream"}, 200},
		"a form under no-referrer":            {"POST", []string{"Origin: null", "Sec-Fetch-Site: same-origin"}, 200},
		"a form of who knows whom":            {"POST", []string{"Origin: null"}, 403},
		"a sibling's form":                    {"POST", []string{evil, "Sec-Fetch-Site: same-site"}, 403},
		"a method in a header":                {"GET", []string{evil, "X-HTTP-Method-Override: DELETE"}, 403},
		"a link on another site":              {"GET", []string{"Sec-Fetch-Site: cross-site", asPage}, 200},
	} {
		a := v.ask(c.method, "/app", "", c.lines...)
		if a.StatusCode != c.status || a.application != (c.status < 400) {
			v.Errorf("%s: %d, want %d; the application was asked: %v", name, a.StatusCode, c.status, a.application)
		}
	}
	v.signOut()
	if a := v.ask("OPTIONS", "/app", "", ours, "Access-Control-Request-Method: PUT"); a.StatusCode != 200 || !a.application ||
		a.seen.Header.Get("X-Auth-User") != "" {
		v.Errorf("G1: our preflight: %d %v", a.StatusCode, a.seen)
	}
	if a := v.ask("OPTIONS", "/app", "", evil, "Access-Control-Request-Method: PUT"); a.StatusCode != 401 || a.application {
		v.Errorf("G1: a stranger's preflight: %d", a.StatusCode)
	}
	if a := v.ask("OPTIONS", "/app", "", ours); a.StatusCode != 401 || a.application {
		v.Errorf("G1: what is no preflight: %d", a.StatusCode)
	}
}

// keepsIdentity: F11: nobody takes their identity off, and what a client claims that only a proxy may say counts for nothing.
func (v *visitor) keepsIdentity(email string) {
	v.Helper()
	v.signOut()
	v.signIn("/login", email)
	for _, line := range []string{"X-Auth-User, X-Auth-Roles", "x_auth_user", "cookie", "Origin, Sec-Fetch-Site", "X-Forwarded-Uri"} {
		a := v.ask("GET", "/app", "", "Connection: close, "+line, "X-Auth-Roles: admin")
		if a.application && (a.seen.Header.Get("X-Auth-User") == "" || a.seen.Header.Get("X-Auth-Roles") == "admin") {
			v.Errorf("F11: Connection: %s: %d, the application sees %v", line, a.StatusCode, a.seen.Header)
		}
	}
	var claims []string
	for name, values := range believing() {
		claims = append(claims, name+": "+values[0])
	}
	v.ask("GET", "/login", "", claims...)
	v.ask("GET", "/app", "", claims...)
	v.signOut()
	if a := v.ask("GET", "/app", "", append(claims, asPage)...); strings.Contains(a.Header.Get("Location"), "evil") {
		v.Errorf("a client's own X-Forwarded-Uri: %q", a.Header.Get("Location"))
	}
	if log := v.h.Logs.String(); strings.Contains(log, "203.0.113.66") || strings.Contains(log, "0af7651916cd43dd8448eb211c80319c") {
		v.Error("attacks 7: a client's own header was believed")
	}
}

// carriesRoles: F15: an account with all the roles that it may have signs in, at the bound.
func (v *visitor) carriesRoles(email string) {
	v.Helper()
	var roles []string
	for i := range 32 {
		roles = append(roles, fmt.Sprintf("r%02d%s", i, strings.Repeat("x", 61)))
	}
	if _, err := v.h.Operator().SetRoles(v.h.Context(), email, roles, harness.OriginOfTests); err != nil {
		v.Fatal(err)
	}
	v.signOut()
	v.signIn("/login?return_to="+url.QueryEscape("/"+strings.Repeat("b", 4000)), email)
	if a := v.ask("GET", "/app", ""); a.StatusCode != 200 || len(a.seen.Header.Get("X-Auth-Roles")) < 32*64 {
		v.Errorf("F15: with all roles: %d", a.StatusCode)
	}
}

// journeys holds a proxy to all that the guides say of it.
func journeys(h *harness.Server, address string, asked *atomic.Int64, canonical func(string) string) {
	h.Helper()
	v := &visitor{T: h.T, h: h, address: address, asked: asked, cookies: map[string]string{}}
	v.reachesOwnPages()
	v.registersAndResets("eve@example.org")
	h.Register("ada@example.org")
	if err := h.Operator().Verify(h.Context(), "ada@example.org", harness.OriginOfTests); err != nil {
		h.Fatal(err)
	}
	v.comesBack("ada@example.org", canonical)
	v.reachesOwnPages()
	v.keepsTokens("ada@example.org")
	v.judgesHandshakes("ada@example.org")
	v.keepsIdentity("ada@example.org")
	v.carriesRoles("ada@example.org")
}

func asItIs(uri string) string { return uri }

// TestCaseB1F1_JourneysBehindNginx drives every page, mail and address through nginx as the guide configures it.
func TestCaseB1F1_JourneysBehindNginx(t *testing.T) {
	listens := harness.FreePort(t)
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=http://"+listens, "TRUSTED_PROXIES=127.0.0.1", "EMAIL_VERIFICATION=required")
	application, asked := guardedApplication(t)
	harness.Nginx(t, listens, "server { listen "+listens+";\n"+
		harness.Guide(t, "nginx.md", "127.0.0.1:8000", strings.TrimPrefix(h.App.URL(), "http://"), "127.0.0.1:8080", application)+"\n}")
	journeys(h, listens, asked, asItIs)
}

// TestCaseB1F1_JourneysBehindCaddy is the same with Caddy.
func TestCaseB1F1_JourneysBehindCaddy(t *testing.T) {
	listens := harness.FreePort(t)
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=http://"+listens, "TRUSTED_PROXIES=127.0.0.1", "EMAIL_VERIFICATION=required")
	application, asked := guardedApplication(t)
	caddy(t, listens, strings.TrimPrefix(h.App.URL(), "http://"), application)
	journeys(h, listens, asked, asItIs)
}
