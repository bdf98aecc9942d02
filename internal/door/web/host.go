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

// have reports whether a Host header is one of ours. The port is not looked at:
// proxies leave it out, and no rule hangs on it.
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

// internalSuffixes are of names that are nobody's in the public DNS (RFC 6762, RFC 8375,
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
		"This server is not called by the name that the Host header has. Its operator sets the name in PUBLIC_URL; a proxy in front has to pass the Host header on.")
	errPlain = fault.New(fault.Denied, "tls_required",
		"This came over plain HTTP, where others can read it: take what it held as known to them. Use the https address.")
)

// secured turns away a request that came in the clear. A page that is only read
// is sent to its https address. Everything else is refused: what was sent with it
// has been readable to others already, and a client that is sent on
// would not notice and do it again.
func (e *Edge) secured(x *exchange, r *http.Request) (done bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || forPrograms(r.URL.Path) || !plainPath(r.URL) {
		x.err = errPlain
		return false
	}
	h := x.Header()
	h.Set("Location", e.public+r.URL.RequestURI())
	h.Set("Content-Type", "text/plain; charset=utf-8")
	x.WriteHeader(http.StatusPermanentRedirect)
	return true
}
