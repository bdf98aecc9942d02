package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// hosts are the names by which a listener may be called.
type hosts struct {
	names    map[string]bool // none for any
	loopback bool
	internal bool // also addresses, and names that nobody can register
}

func newHosts(names []string, loopback bool) hosts {
	h := hosts{names: map[string]bool{}, loopback: loopback}
	for _, name := range names {
		h.names[withoutPort(name)] = true
	}
	return h
}

// have reports whether a Host header is one of ours. The port is ignored:
// proxies leave it out, and no rule depends on it.
func (h hosts) have(host string) bool {
	if len(h.names) == 0 {
		return true
	}
	name := withoutPort(host)
	if h.names[name] {
		return true
	}
	if h.internal && internalName(name) {
		return true
	}
	if !h.loopback {
		return false
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback() || name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// internalSuffixes are of names that can't be registered in the public DNS (RFC 6762, RFC 8375,
// ICANN's .internal, and what Kubernetes and routers use).
var internalSuffixes = []string{".localhost", ".local", ".internal", ".home.arpa", ".svc", ".lan", ".test"}

// internalName reports whether a Host can't be a stranger's, whose name points here (DNS
// rebinding): an address, a name without a dot, or one of the internal ones.
func internalName(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil || name != "" && !strings.Contains(name, ".") {
		return true
	}
	return slices.ContainsFunc(internalSuffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// withoutPort returns a host in lower case, without its port and without the
// brackets of an IPv6 address.
func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return strings.ToLower(host)
}

var (
	errUnknownHost = fault.New(fault.Invalid, "unknown_host",
		"This server does not go by the name in the Host header. Its operator sets the name in PUBLIC_URL, "+
			"and a proxy in front of it has to pass the Host header on.")
	errPlain = fault.New(fault.Denied, "tls_required",
		"This came over plain HTTP, where others can read it: treat everything in it as known to them. Use the https address.")
)

// secured refuses a request over plain HTTP. A page that is only read
// redirects to https. Everything else is refused: what was sent with it
// could already be read by others, and a client that is redirected
// would not notice and do it again.
func (e *Edge) secured(x *exchange, r *http.Request) (done bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || forPrograms(r.URL.Path) || !plainPath(r.URL) {
		x.err = errPlain
		return false
	}
	to := e.public
	if e.toConsole(r) {
		to = e.consoleURL
	}
	h := x.Header()
	h.Set("Location", to+r.URL.RequestURI())
	h.Set("Content-Type", "text/plain; charset=utf-8")
	x.WriteHeader(http.StatusPermanentRedirect)
	return true
}
