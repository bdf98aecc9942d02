package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// NET-1: requests to a name that is not ours are refused, whatever else they are.
func TestNET1_Hosts(t *testing.T) {
	for _, loopback := range []bool{false, true} {
		h := newHouse(t, func(s *Stack, _ *http.Server) {
			s.Edge = NewEdge(EdgeConfig{PublicURL: "https://login.example.org", Hosts: []string{"login.example.org:8443", "[2001:db8::1]"}, Loopback: loopback})
		})
		h.handle("GET /v1/me", ok)
		for host, want := range map[string]bool{
			"login.example.org": true, "LOGIN.example.ORG": true, "login.example.org:8443": true, "login.example.org:9": true, "[2001:db8::1]:80": true,
			"[2001:db8::1]": true,
			"example.org":   false, "login.example.org.": false, "xlogin.example.org": false, "login.example.org.evil.example": false, "": false, "evil.example": false,
			"login.example.org@evil.example": false, "192.0.2.1": false, "[::ffff:192.0.2.1]": false, "localhost.evil.example": false,
			"localhost": loopback, "localhost:8000": loopback, "a.localhost": loopback, "127.0.0.1": loopback, "127.9.9.9:1": loopback, "[::1]:8000": loopback,
			"[::1]": loopback,
		} {
			a := h.raw(t, "GET /v1/me HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
			switch {
			case strings.Contains(host, "@") && a.status == 400: // net/http has refused it
			case want && a.status != 200, !want && (a.status != 421 || a.problem.Code != "unknown_host"):
				t.Errorf("%q, loopback %v: %s", host, loopback, a)
			case !want && a.header.Get("X-Content-Type-Options") == "":
				t.Errorf("%q: no headers", host)
			}
		}
		// An absolute request line wins over the header (RFC 9112 section 3.2.2).
		if a := h.raw(t, "GET http://evil.example/v1/me HTTP/1.1\r\nHost: login.example.org\r\n\r\n"); a.status != 421 {
			t.Errorf("an absolute form: %s", a)
		}
	}
}

// Under the name of the host of passkeys browsers are told which origins may use them, and nothing else.
func TestNET1_TheOldHostNamesTheNewOrigin(t *testing.T) {
	h := newHouse(t, func(s *Stack, _ *http.Server) {
		s.Edge = NewEdge(EdgeConfig{PublicURL: "https://new.example.org", Hosts: []string{"new.example.org"}, Related: "old.example.org"})
	})
	h.handle("GET "+RelatedOriginsPath, ok)
	h.handle("GET /v1/me", ok)
	for at, want := range map[string]int{
		"old.example.org /.well-known/webauthn": 200, "OLD.example.org:443 /.well-known/webauthn": 200, "new.example.org /.well-known/webauthn": 200,
		"old.example.org /v1/me": 421, "other.example.org /.well-known/webauthn": 421,
	} {
		host, path, _ := strings.Cut(at, " ")
		if a := h.raw(t, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); a.status != want {
			t.Errorf("%s: %s", at, a)
		}
	}
}

// NET-1: what a trusted proxy got in the clear is sent to TLS if it only reads a
// page, and refused if not; a stranger's header changes nothing.
func TestNET1_PlainHTTP(t *testing.T) {
	plainHouse := func(public string, plain bool, trusted ...netip.Prefix) *house {
		h := newHouse(t, func(s *Stack, _ *http.Server) {
			s.Edge = NewEdge(EdgeConfig{PublicURL: public, Plain: plain})
			s.Proxies = NewProxies(trusted, false, s.Log)
		})
		h.handle("GET /login", ok)
		h.handle("POST /login", ok)
		h.handle("GET /v1/me", ok)
		return h
	}
	const public = "https://login.example.org:8443"
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	type try struct {
		method, path string
		header       []string
		status       int
		location     string
	}
	check := func(h *house, tries ...try) {
		t.Helper()
		for _, c := range tries {
			a := h.do(t, c.method, c.path, "", c.header...)
			if a.status != c.status || a.header.Get("Location") != c.location || c.status == 403 && a.problem.Code != "tls_required" ||
				a.header.Get("Strict-Transport-Security") != "" && c.status != 200 {
				t.Errorf("%s %s %q: %s, to %q", c.method, c.path, c.header, a, a.header.Get("Location"))
			}
		}
	}
	http1, https1 := []string{"X-Forwarded-Proto", "http"}, []string{"X-Forwarded-Proto", "https"}
	check(plainHouse(public, false, loopback),
		try{"GET", "/login?next=%2Faccount", http1, 308, public + "/login?next=%2Faccount"},
		try{"HEAD", "/login", http1, 308, public + "/login"},
		try{"GET", "//evil.example/", http1, 308, public + "//evil.example/"},
		try{"GET", "/login", []string{"Forwarded", "for=192.0.2.1;proto=http"}, 308, public + "/login"},
		try{"GET", "/login", []string{"X-Forwarded-Proto", "https, http"}, 308, public + "/login"},
		try{"POST", "/login", http1, 403, ""}, try{"GET", "/v1/me", http1, 403, ""}, try{"GET", "/.well-known/jwks.json", http1, 403, ""},
		try{"GET", "/login", https1, 200, ""}, try{"GET", "/v1/me", https1, 200, ""}, try{"GET", "/v1/me", nil, 200, ""},
	)
	check(plainHouse(public, false), try{"GET", "/login", http1, 200, ""}, try{"GET", "/v1/me", http1, 200, ""})
	check(plainHouse("http://127.0.0.1", false, loopback), try{"GET", "/login", http1, 200, ""})
	check(plainHouse(public, true), try{"GET", "/login", https1, 308, public + "/login"}, try{"GET", "/v1/me", https1, 403, ""},
		try{"POST", "/login", nil, 403, ""})
}

// NET-1, V3.5.4: what comes to the console's own host has its routes alone, by the Host header; plain HTTP is sent to its own https address.
func TestNET1_TheConsolesHost(t *testing.T) {
	const console = "https://127.0.0.1:8443"
	h := newHouse(t, func(s *Stack, _ *http.Server) {
		s.Edge = NewEdge(EdgeConfig{PublicURL: "https://login.example.org", ConsoleURL: console, Origins: []string{"https://app.example.org"}})
		s.Proxies = NewProxies([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, false, s.Log)
		s.Console = http.NewServeMux()
		s.Handle(s.Console, "GET /admin", ok)
	})
	h.handle("GET /login", ok)
	h.handle("GET /v1/me", ok)
	https := []string{"X-Forwarded-Proto", "https"}
	if a := h.do(t, "GET", "/admin?a=b", "", "X-Forwarded-Proto", "http"); a.status != 308 || a.header.Get("Location") != console+"/admin?a=b" {
		t.Errorf("plain HTTP: %s, to %q", a, a.header.Get("Location"))
	}
	for path, want := range map[string]int{"/admin": 200, "/login": 404, "/v1/me": 404} {
		if a := h.do(t, "GET", path, "", append(https, "Origin", "https://app.example.org")...); a.status != want ||
			a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s at the console: %s %q", path, a, a.header)
		}
	}
	for _, path := range []string{"/admin", "/login", "/v1/me"} {
		want := 200
		if path == "/admin" {
			want = 404
		}
		forged := "GET " + path + " HTTP/1.1\r\nHost: login.example.org\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: 127.0.0.1\r\n\r\n"
		if a := h.raw(t, forged); a.status != want {
			t.Errorf("%s at PUBLIC_URL, under the console's name: %s", path, a)
		}
	}
}

// NET-1: an address holds as many connections as it may, gets its place back
// when one ends, and takes none of another's; a trusted proxy holds any number.
func TestNET1_ConnectionsPerAddress(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const most = 3
	l := LimitPerAddress(inner, most, NewProxies([]netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}, false, nil))
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	dial := func(from string) (net.Conn, bool) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, false
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		n, err := c.Read(make([]byte, 1))
		return c, n == 1 && err == nil
	}
	var held []net.Conn
	for i := range 2 * most {
		c, served := dial("127.0.0.2")
		if served != (i < most) {
			t.Errorf("connection %d: %v", i, served)
		}
		held = append(held, c)
	}
	if _, served := dial("127.0.0.3"); !served {
		t.Error("another address was turned away")
	}
	for i := range 2 * most {
		if _, served := dial("127.0.0.9"); !served {
			t.Errorf("the proxy's connection %d was turned away", i)
		}
	}
	_ = held[0].Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, served := dial("127.0.0.2"); served {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("a place was not given back")
		}
	}
	if a, b := within64(netip.MustParseAddr("2001:db8::1")), within64(netip.MustParseAddr("2001:db8::ffff:1")); a != b {
		t.Errorf("%v and %v", a, b)
	}
}

// Attack 7: an IPv6 site holds ten times as many connections as one network of it.
func TestNET1_ConnectionsPerSite(t *testing.T) {
	c := &crowd{most: 2, holds: map[netip.Prefix]int{}}
	at := func(site, i int) (network, whole netip.Prefix) {
		a := netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", site, i))
		return within64(a), within48(a)
	}
	n := 0
	for i := range 30 {
		for range 3 {
			if c.enter(at(1, i)) {
				n++
			}
		}
	}
	if n != 20 || !c.enter(at(2, 1)) || !c.enter(within64(netip.MustParseAddr("192.0.2.1")), within48(netip.MustParseAddr("192.0.2.1"))) {
		t.Errorf("a site holds %d", n)
	}
	c.leave(at(1, 3))
	if !c.enter(at(1, 29)) || c.enter(at(1, 28)) {
		t.Error("a place was not given back")
	}
	for p := range c.holds {
		c.holds[p] = 1
	}
	for i := range 30 {
		if network, site := at(1, i); c.holds[network] == 1 {
			c.holds[site] = 1
			c.leave(network, site)
		}
	}
	if _, site := at(1, 0); c.holds[site] != 0 || len(c.holds) != 3 {
		t.Errorf("left: %v", c.holds)
	}
}
