package app_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// pagesOfHouse are pages that anybody can open, and what they load.
var pagesOfHouse = []string{"/login", "/register", "/forgot", "/reset", "/verify", "/setup", "/unlock", "/undo", "/not-me"}

// Every answer says what it is, with its charset (V4.1.1), no page tells another
// site where somebody was (V3.4.5), and the files that pages load are nobody's in
// particular (V3.5.7), and are not listed (V13.4.3).
func TestASVS_V3_4_5_V3_5_7_V4_1_1_V13_4_3_PagesAndAssets(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	h.register("ada@example.org")
	b := h.browser()
	b.signIn("ada@example.org")
	assets := map[string]string{"/assets/page.css": "text/css; charset=utf-8"}
	for _, path := range append(pagesOfHouse, "/account") {
		a := b.send(request{method: "GET", path: path})
		if got := a.header.Get("Content-Type"); a.status != 303 && got != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %q", path, a.status, got)
		}
		if got := a.header.Get("Referrer-Policy"); got != "same-origin" && got != "no-referrer" {
			t.Errorf("%s: Referrer-Policy %q", path, got)
		}
		for _, part := range strings.Split(a.text, `src="`)[1:] {
			src, _, _ := strings.Cut(part, `"`)
			assets[src] = "text/javascript; charset=utf-8"
		}
	}
	if len(assets) < 3 {
		t.Errorf("the pages load only %v", assets)
	}
	for path, kind := range assets {
		mine, anyones := b.send(request{method: "GET", path: path}), h.do(request{method: "GET", path: path})
		if mine.status != 200 || mine.header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %q", path, mine.status, mine.header.Get("Content-Type"))
		}
		if mine.text != anyones.text || len(mine.header["Set-Cookie"]) > 0 {
			t.Errorf("%s is not the same for whoever is signed in", path)
		}
	}
	for _, path := range []string{"/assets", "/assets/", "/assets/.", "/assets/..", "/assets/page", "/templates/login.html", "/assets/%2e%2e/templates/login.html"} {
		if a := h.do(request{method: "GET", path: path}); a.status != 404 || !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	for _, path := range []string{"/.well-known/jwks.json", "/openapi.json", "/v1/me", "/nothing"} {
		if got := h.do(request{method: "GET", path: path}).header.Get("Content-Type"); !slices.Contains([]string{
			"application/json", "application/json; charset=utf-8", "application/problem+json", "application/problem+json; charset=utf-8", "application/jwk-set+json",
		}, got) {
			t.Errorf("%s is %q", path, got)
		}
	}
}

// What answers a program is no page, even if somebody opens it as one (V3.2.1), and
// what ends a session has the browser forget what it showed (V14.3.1).
func TestASVS_V3_2_1_V14_3_1_AnswersAreNoPagesAndSignOutClears(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	h.register("ada@example.org")
	for _, path := range []string{"/v1/me", "/openapi.json", "/.well-known/jwks.json", "/nothing", "/assets/page.css"} {
		if csp := h.do(request{method: "GET", path: path}).header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.HasSuffix(csp, "; sandbox") {
			t.Errorf("%s: %s", path, csp)
		}
	}
	b := h.browser()
	for name, leave := range map[string]func() answer{
		"by the API":  func() answer { return b.send(request{method: "POST", path: "/v1/logout", header: b.csrf()}) },
		"by the page": func() answer { return b.send(press("/logout", body{"csrf_token": b.cookie("gatehouse_csrf")})) },
	} {
		b.signIn("ada@example.org")
		a := leave()
		if a.status >= 400 || a.header.Get("Clear-Site-Data") != `"cache"` || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q", name, a.status, a.header)
		}
		if b.cookie("gatehouse_rt") != "" || b.cookie("gatehouse_at") != "" {
			t.Errorf("%s: the cookies of the session are left", name)
		}
	}
	b.signIn("ada@example.org")
	if a := b.send(request{method: "GET", path: "/account"}); a.header.Get("Clear-Site-Data") != "" {
		t.Error("a page clears what the browser keeps")
	}
}

// HSTS stands on every answer over TLS, refusals of a host and of a network too.
func TestASVS_V3_4_1_RefusalsHaveHSTS(t *testing.T) {
	h, _, _ := tlsHouse(t)
	c := h.tlsClient(false)
	ask := func(host string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+tlsName+"/v1/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	has := func(res *http.Response, status int) {
		t.Helper()
		if hsts := res.Header.Get("Strict-Transport-Security"); res.StatusCode != status || hsts != "max-age=31536000; includeSubDomains" {
			t.Errorf("%d (want %d) %q", res.StatusCode, status, hsts)
		}
	}
	has(ask(tlsName), 401)
	has(ask("elsewhere.example"), 421)
	if _, _, err := h.blocks().Add(t.Context(), flow.NewBlock{Network: "127.0.0.0/8", Confirmed: true}, nil, flow.Identity{}, originOfTests); err != nil {
		t.Fatal(err)
	}
	h.eventually("the block", func() (string, bool) {
		res := ask(tlsName)
		return fmt.Sprint(res.StatusCode), res.StatusCode == 403
	})
	has(ask(tlsName), 403)
}

// The key exchange is one of three, all of 128 bits or more, the hybrid one first.
func TestASVS_V11_6_2_KeyExchange(t *testing.T) {
	h, _, _ := tlsHouse(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, group := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} {
			_, err := h.handshake(&tls.Config{MinVersion: version, MaxVersion: version, CurvePreferences: []tls.CurveID{group}})
			good := group == tls.X25519 || group == tls.CurveP256 || group == tls.X25519MLKEM768 && version == tls.VersionTLS13
			if (err == nil) != good {
				t.Errorf("%s with %v: %v", tls.VersionName(version), group, err)
			}
		}
	}
	s, err := h.handshake(&tls.Config{})
	if err != nil || s.CurveID != tls.X25519MLKEM768 {
		t.Errorf("a client that knows all got %v, %v", s.CurveID, err)
	}
}

// Over HTTP/2, fields of one connection (V4.2.3), and line breaks in a value (V4.2.4),
// end the stream or the connection, or are 400; nothing of them reaches a handler.
func TestASVS_V4_2_3_V4_2_4_HTTP2Fields(t *testing.T) {
	h, _, _ := tlsHouse(t)
	for name, field := range map[string][2]string{
		"connection": {"connection", "close"}, "transfer-encoding": {"transfer-encoding", "chunked"}, "keep-alive": {"keep-alive", "timeout=5"},
		"upgrade": {"upgrade", "h2c"}, "proxy-connection": {"proxy-connection", "close"}, "te": {"te", "gzip"},
		"CRLF": {"user-agent", "one\r\nforged: line"}, "LF": {"user-agent", "one\nforged-line"}, "CR": {"user-agent", "one\rforged-line"}, "NUL": {"user-agent", "one\x00forged-line"},
		"a name with CRLF": {"x-one\r\nforged", "1"}, "capitals": {"X-Forged", "1"},
		"none, which is good": {"accept", "*/*"},
	} {
		status, ended := h.overHTTP2(field)
		if good := name == "none, which is good"; good != (status == "401") || !good && !ended && status != "400" {
			t.Errorf("%s: status %q, ended %v", name, status, ended)
		}
	}
	if strings.Contains(h.log.String(), "forged") {
		t.Error("what was refused stands in the log")
	}
}

// overHTTP2 asks for /v1/me with one more field, and returns the status, or that the
// server ended the stream or the connection.
func (h *house) overHTTP2(field [2]string) (status string, ended bool) {
	h.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(h.server.URL(), "https://"), &tls.Config{InsecureSkipVerify: true, ServerName: tlsName, NextProtos: []string{"h2"}})
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", tlsName}, {":path", "/v1/me"}, field} {
		if err := e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			h.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		h.Fatal(err)
	}
	r := http2.NewFramer(conn, conn)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := r.WriteSettings(); err != nil {
		h.Fatal(err)
	}
	if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		return "", true
	}
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			return "", true
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status"), false
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "", true
		}
	}
}

// A mailed link or code sets a password or verifies an address, and signs nobody in.
func TestASVS_V6_3_6_MailsSignNobodyIn(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		box := h.mailbox()
		b := h.browser()
		noSession := func(what string, a answer) {
			t.Helper()
			if a.status >= 400 || strings.Contains(a.text, "gatehouse_rt_") || strings.Contains(a.text, "access_token") {
				h.Errorf("%s: %d %s", what, a.status, a.text)
			}
			for _, name := range []string{"gatehouse_at", "gatehouse_rt", "gatehouse_csrf"} {
				if b.cookie(name) != "" {
					h.Errorf("%s set %s", what, name)
				}
			}
		}
		noSession("registering", b.send(press("/register", body{"email": ada, "new_password": passphrase})))
		noSession("verifying", b.send(press("/verify", body{"token": tokenOf(h, box.last(ada, notice.VerifyAddress).Link)})))
		for _, path := range []string{"/reset", "/v1/password/reset"} {
			h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
			with := body{"token": tokenOf(h, box.last(ada, notice.ResetPassword).Link), "new_password": another + path}
			if path == "/reset" {
				noSession(path, b.send(press(path, with)))
			} else {
				noSession(path, b.send(post(path, with)))
			}
		}
		if n := h.count("SELECT COUNT(*) FROM session"); n != 0 {
			h.Errorf("%d sessions", n)
		}
	})
}

// An address that becomes free, and is somebody else's then, has another subject:
// who knows people by sub takes nobody for another.
func TestASVS_V10_3_3_AFreedAddressIsAnotherSubject(t *testing.T) {
	each(t, func(h *house) {
		const ada, adas = "ada@example.org", "ada.new@example.org"
		subject := func(email string) string {
			return h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: h.login(email).str("access_token")}).str("id")
		}
		h.register(ada)
		first := subject(ada)
		box := h.mailbox()
		h.expect(202, "", post("/v1/email/change", body{"email": adas, "current_password": passphrase}, h.login(ada).str("access_token")))
		h.expect(204, "", post("/v1/email/verify", body{"token": tokenOf(h, box.last(adas, notice.ConfirmAddress).Link), "password": passphrase}))
		if got := subject(adas); got != first || first == "" {
			h.Errorf("by a new address the person is %q, was %q", got, first)
		}
		h.register(ada)
		if got := subject(ada); got == first || got == "" {
			h.Errorf("whoever has the old address now is %q, as the one before", got)
		}
	})
}

// Requests that fail in every way leave no goroutine and no descriptor behind.
func TestASVS_V1_4_3_FailuresLeaveNothingBehind(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := open(t, dbURL)
		h.register("ada@example.org")
		fail := func(rounds int) {
			for range rounds {
				h.do(request{method: "GET", path: "/v1/me", bearer: "not.a.token"})
				h.do(refreshing("gatehouse_rt_x"))
				h.do(signInAs("nobody@example.org", another))
				h.do(request{method: "POST", path: "/v1/login", body: `{"email":`})
				h.do(request{method: "POST", path: "/v1/login", body: "x", contentType: "text/plain"})
				h.do(request{method: "POST", path: "/v1/password/reset", body: body{"token": "gatehouse_mt_x", "new_password": another}})
				h.do(request{method: "GET", path: "/nothing"})
				h.do(request{method: "DELETE", path: "/v1/login"})
				sendRaw(t, strings.TrimPrefix(h.server.URL(), "http://"), "POST /v1/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n")
			}
			client.CloseIdleConnections()
		}
		fail(20) // pools and caches are as full as they get
		goroutines, files := runtime.NumGoroutine(), descriptors(t)
		fail(100)
		h.eventually("what is open", func() (string, bool) {
			client.CloseIdleConnections()
			g, f := runtime.NumGoroutine(), descriptors(t)
			return fmt.Sprintf("%d goroutines, were %d; %d descriptors, were %d", g, goroutines, f, files), g <= goroutines+5 && f <= files+5
		})
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
