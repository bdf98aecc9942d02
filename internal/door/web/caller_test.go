package web

import (
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func testProxies(log *slog.Logger, cloudflare bool, networks ...string) *Proxies {
	var list []netip.Prefix
	for _, n := range networks {
		list = append(list, netip.MustParsePrefix(n))
	}
	return NewProxies(list, cloudflare, log)
}

// ASVS 4.1.3, 15.3.4, NET-5: the rightmost hop that is not trusted is who calls.
func TestWhoIsCalling(t *testing.T) {
	for name, tt := range map[string]struct {
		peer   string
		header []string
		want   string
		secure bool
	}{
		"nothing forwarded":                  {"10.0.0.1:1", nil, "10.0.0.1", false},
		"one hop":                            {"10.0.0.1:1", []string{"X-Forwarded-For", "192.0.2.7"}, "192.0.2.7", false},
		"what the client put before it":      {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1, 192.0.2.7"}, "192.0.2.7", false},
		"on a line of its own":               {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1", "X-Forwarded-For", "192.0.2.7"}, "192.0.2.7", false},
		"two proxies":                        {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1, 192.0.2.7,10.9.9.9"}, "192.0.2.7", false},
		"proxies all the way":                {"10.0.0.1:1", []string{"X-Forwarded-For", "10.1.1.1, 10.9.9.9"}, "10.1.1.1", false},
		"a client that claims to be a proxy": {"10.0.0.1:1", []string{"X-Forwarded-For", "10.1.1.1, 192.0.2.7"}, "192.0.2.7", false},
		"a hop that is no address":           {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1, unknown"}, "10.0.0.1", false},
		"no address behind a proxy":          {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1, _x, 10.9.9.9"}, "10.9.9.9", false},
		"an empty element":                   {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.1,"}, "10.0.0.1", false},
		"a port":                             {"10.0.0.1:1", []string{"X-Forwarded-For", "192.0.2.7:4711"}, "192.0.2.7", false},
		"IPv6":                               {"10.0.0.1:1", []string{"X-Forwarded-For", "2001:db8::1"}, "2001:db8::1", false},
		"IPv6 in brackets":                   {"10.0.0.1:1", []string{"X-Forwarded-For", "[2001:db8::1]"}, "2001:db8::1", false},
		"IPv6 with a port":                   {"10.0.0.1:1", []string{"X-Forwarded-For", "[2001:db8::1]:80"}, "2001:db8::1", false},
		"IPv4 in IPv6":                       {"[::ffff:10.0.0.1]:1", []string{"X-Forwarded-For", "::ffff:192.0.2.7"}, "192.0.2.7", false},
		"a zone":                             {"10.0.0.1:1", []string{"X-Forwarded-For", "fe80::1%eth0"}, "fe80::1", false},
		"Forwarded": {"10.0.0.1:1", []string{"Forwarded", `for=198.51.100.1, For="[2001:db8::7]:47";by=10.0.0.1;proto=https`},
			"2001:db8::7", true},
		"Forwarded, the client's TLS":      {"10.0.0.1:1", []string{"Forwarded", `for=192.0.2.7;proto=https, for=10.9.9.9;proto=http`}, "192.0.2.7", true},
		"Forwarded with a comma in quotes": {"10.0.0.1:1", []string{"Forwarded", `for="192.0.2.7, 198.51.100.1"`}, "10.0.0.1", false},
		"Forwarded for nobody":             {"10.0.0.1:1", []string{"Forwarded", `proto=https`}, "10.0.0.1", true},
		"Forwarded for two":                {"10.0.0.1:1", []string{"Forwarded", `for=192.0.2.7;for=192.0.2.8`}, "10.0.0.1", false},
		"Forwarded beside what the proxy wrote": {"10.0.0.1:1", []string{"Forwarded", "for=198.51.100.1;proto=https", "X-Forwarded-For", "192.0.2.7"}, "192.0.2.7",
			false},
		"https": {"10.0.0.1:1", []string{"X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "HTTPS"}, "192.0.2.7", true},
		"https of the client's making": {"10.0.0.1:1", []string{"X-Forwarded-For", "192.0.2.7", "X-Forwarded-Proto", "https", "X-Forwarded-Proto", "http"},
			"192.0.2.7", false},
		"Cf-Connecting-Ip through another": {"10.0.0.1:1", []string{"Cf-Connecting-Ip", "198.51.100.1", "X-Forwarded-For", "192.0.2.7"}, "192.0.2.7", false},
		"Cloudflare": {"104.16.0.9:1", []string{"Cf-Connecting-Ip", "192.0.2.7", "X-Forwarded-For", "198.51.100.1, 192.0.2.8"},
			"192.0.2.7", false},
		"Cloudflare before a proxy of ours": {"10.0.0.1:1", []string{"Cf-Connecting-Ip", "192.0.2.7", "X-Forwarded-For", "192.0.2.7, 2606:4700::5"}, "192.0.2.7",
			false},
		"Cloudflare, and two of the header": {"104.16.0.9:1",
			[]string{"Cf-Connecting-Ip", "198.51.100.1", "Cf-Connecting-Ip", "198.51.100.2", "X-Forwarded-For", "192.0.2.7"}, "192.0.2.7", false},
		"a stranger who says Cloudflare": {"10.0.0.1:1", []string{"Cf-Connecting-Ip", "198.51.100.1", "X-Forwarded-For", "104.16.0.9, 192.0.2.7"}, "192.0.2.7",
			false},
		"a stranger": {"192.0.2.1:1",
			[]string{"X-Forwarded-For", "198.51.100.1", "Forwarded", "for=198.51.100.1;proto=https", "X-Forwarded-Proto", "https", "Cf-Connecting-Ip", "198.51.100.1",
				"X-Real-Ip", "198.51.100.1", "True-Client-Ip", "198.51.100.1"}, "192.0.2.1", false},
		"a socket without address": {"@", []string{"X-Forwarded-For", "198.51.100.1"}, "invalid IP", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		for i := 0; i < len(tt.header); i += 2 {
			r.Header.Add(tt.header[i], tt.header[i+1])
		}
		got := testProxies(slog.New(slog.DiscardHandler), true, "10.0.0.0/8").caller(r)
		if got.address.String() != tt.want || got.secure != tt.secure {
			t.Errorf("%s: got %v %v, want %s %v", name, got.address, got.secure, tt.want, tt.secure)
		}
	}
}

// TestTLSOfOurOwn: what a proxy says of its own connection counts, even where
// ours to it is encrypted.
func TestTLSOfOurOwn(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr, r.TLS = "10.0.0.1:1", &tls.ConnectionState{}
	p := testProxies(slog.New(slog.DiscardHandler), false, "10.0.0.0/8")
	if !p.caller(r).secure || !Secure(r) {
		t.Error("TLS was not seen")
	}
	r.Header.Set("X-Forwarded-Proto", "http")
	if p.caller(r).secure {
		t.Error("the proxy's http was not believed")
	}
}

func TestCloudflareNetworks(t *testing.T) {
	list := CloudflareNetworks()
	if len(list) != 22 {
		t.Errorf("%d networks", len(list))
	}
	for i, n := range list {
		if n != n.Masked() {
			t.Errorf("%v has bits behind its mask", n)
		}
		for _, other := range list[:i] {
			if n.Overlaps(other) {
				t.Errorf("%v and %v overlap", n, other)
			}
		}
	}
}

// TestAProxyThatIsNotTrustedIsToldOnce: with what would trust it, and never so
// often that a stranger fills the log, or uses up what a proxy of our own needs.
func TestAProxyThatIsNotTrustedIsToldOnce(t *testing.T) {
	log := &logBuffer{}
	p := testProxies(slog.New(slog.NewJSONHandler(log, nil)), false)
	call := func(peer, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header.Set(header, "198.51.100.1")
		p.caller(r)
	}
	for i := range 100 {
		call(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1).String(), "X-Forwarded-For")
	}
	call("10.0.0.1:1", "X-Forwarded-For")
	call("10.0.0.1:2", "Forwarded")
	call("172.16.0.1:2", "Accept")
	lines := strings.Split(strings.TrimSpace(log.text()), "\n")
	if len(lines) != maxWarned/2+1 {
		t.Fatalf("%d lines:\n%s", len(lines), log.text())
	}
	var said map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &said); err != nil {
		t.Fatal(err)
	}
	if said["setting"] != "TRUSTED_PROXIES=10.0.0.1" || said["header"] != "X-Forwarded-For" || said["level"] != "WARN" {
		t.Errorf("said: %v", said)
	}
	log = &logBuffer{}
	p = testProxies(slog.New(slog.NewJSONHandler(log, nil)), false)
	call("104.16.0.1:1", "Cf-Connecting-Ip")
	if !strings.Contains(log.text(), "TRUSTED_PROXIES=cloudflare") {
		t.Errorf("said: %s", log.text())
	}
}

// FuzzCaller: whatever the headers are, a stranger is who connected; and behind
// a proxy that appends to the header, nothing that the client sent counts.
func FuzzCaller(f *testing.F) {
	for _, s := range []string{"", "192.0.2.7", "a, b", "10.0.0.1", `for="[2001:db8::1]:80";proto=https`, "for=10.0.0.1, for=\"", "\"", "::ffff:1.2.3.4",
		"fe80::1%x", ",,,", "[::1", "1.2.3.4:99999", "\\\","} {
		f.Add(s, s, s, s)
	}
	p := testProxies(slog.New(slog.DiscardHandler), true, "10.0.0.0/8", "fd00::/8")
	stranger := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, xff, forwarded, proto, cf string) {
		header := http.Header{"X-Forwarded-For": {xff}, "Forwarded": {forwarded}, "X-Forwarded-Proto": {proto}, "Cf-Connecting-Ip": {cf}}
		if got := p.caller(&http.Request{RemoteAddr: "192.0.2.1:1", Header: header}); got != (caller{peer: stranger, address: stranger}) {
			t.Fatalf("a stranger is taken for %v", got)
		}
		any := p.caller(&http.Request{RemoteAddr: "10.0.0.1:1", Header: header})
		if a := any.address; !a.IsValid() || a.Is4In6() || a.Zone() != "" {
			t.Fatalf("%q is %v", header, a)
		}
		for _, client := range []string{"192.0.2.7", "2001:db8::7"} {
			want := caller{peer: netip.MustParseAddr("10.0.0.1"), address: netip.MustParseAddr(client), secure: true, proxied: true}
			header := http.Header{"X-Forwarded-For": {xff + ", " + client}, "Forwarded": {forwarded}, "X-Forwarded-Proto": {proto, "https"}, "Cf-Connecting-Ip": {cf}}
			if got := p.caller(&http.Request{RemoteAddr: "10.0.0.1:1", Header: header}); got != want {
				t.Fatalf("%q: %v", header, got)
			}
			header = http.Header{"Forwarded": {forwarded + `, for="[` + client + `]";proto=https`}, "Cf-Connecting-Ip": {cf}}
			if got := p.caller(&http.Request{RemoteAddr: "10.0.0.1:1", Header: header}); got != want {
				t.Fatalf("%q: %v", header, got)
			}
		}
	})
}
