package web

import (
	_ "embed"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Proxies are the peers that are trusted to say who is calling
// (TRUSTED_PROXIES). A nil *Proxies trusts nobody.
type Proxies struct {
	trusted    []netip.Prefix
	cloudflare []netip.Prefix // empty unless Cloudflare is among them
	log        *slog.Logger

	mu     sync.Mutex
	warned map[netip.Addr]bool
}

//go:embed cloudflare.txt
var cloudflareText string

// CloudflareNetworks returns the networks from which Cloudflare connects to the
// servers behind it, as cloudflare.txt has them, which names their source and date.
func CloudflareNetworks() []netip.Prefix {
	var out []netip.Prefix
	for line := range strings.Lines(cloudflareText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, netip.MustParsePrefix(line))
		}
	}
	return out
}

// NewProxies returns those of the networks, and Cloudflare's if that is set.
func NewProxies(networks []netip.Prefix, cloudflare bool, log *slog.Logger) *Proxies {
	p := &Proxies{trusted: slices.Clone(networks), log: log, warned: map[netip.Addr]bool{}}
	if cloudflare {
		p.cloudflare = CloudflareNetworks()
		p.trusted = append(p.trusted, p.cloudflare...)
	}
	return p
}

// Overlaps returns a network of the proxies' that shares an address with n.
func (p *Proxies) Overlaps(n netip.Prefix) (netip.Prefix, bool) {
	if p == nil {
		return netip.Prefix{}, false
	}
	i := slices.IndexFunc(p.trusted, n.Overlaps)
	if i < 0 {
		return netip.Prefix{}, false
	}
	return p.trusted[i], true
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// caller is who is calling, as far as the connection and the trusted proxies
// say.
type caller struct {
	peer    netip.Addr // the connection's remote address
	address netip.Addr // IPv4 as IPv4, without a zone; invalid if there is none
	secure  bool       // it came over TLS, to us or to the proxy before us
	plain   bool       // a trusted proxy says that it came to it without
	proxied bool       // the peer is a trusted proxy
}

// Secure reports whether the request came over TLS: to us, or, as a trusted
// proxy says by X-Forwarded-Proto or Forwarded, to the proxy before us.
func Secure(r *http.Request) bool { return callerOf(r).secure }

// callerOf returns the request's caller. Outside a Stack no header is trusted.
func callerOf(r *http.Request) caller {
	if x := exchangeOf(r.Context()); x != nil {
		return x.caller
	}
	return (*Proxies)(nil).caller(r)
}

// caller determines who is calling. It starts from the connection's remote address, and
// as long as that is a trusted proxy believes what it says about the hop before:
// so the address is the rightmost hop that is not trusted, and what is left
// of it, which that hop may have made up, is ignored. A hop that can't
// be read ends the walk at the proxy that wrote it.
func (p *Proxies) caller(r *http.Request) caller {
	c := caller{peer: peerAddress(r), secure: r.TLS != nil}
	c.address = c.peer
	if p == nil {
		return c
	}
	if !within(p.trusted, c.address) {
		p.warn(r, c.address)
		return c
	}
	c.proxied = true
	if proto := last(r.Header["X-Forwarded-Proto"]); proto != "" {
		c.secure = strings.EqualFold(proto, "https")
		c.plain = !c.secure
	}
	hops := hopsOf(r.Header)
	for within(p.trusted, c.address) {
		// Cloudflare overwrites this header with the address that connected to it. It
		// counts only at a hop that is Cloudflare's: any other proxy would pass
		// on what the client made up.
		if within(p.cloudflare, c.address) {
			if v := r.Header["Cf-Connecting-Ip"]; len(v) == 1 {
				if a, ok := hopAddress(v[0]); ok && !within(p.trusted, a) {
					c.address = a
					return c
				}
			}
		}
		h, ok := hops.next()
		if !ok {
			return c
		}
		if h.proto != "" && r.Header["X-Forwarded-Proto"] == nil {
			c.secure = strings.EqualFold(h.proto, "https")
			c.plain = !c.secure
		}
		a, ok := hopAddress(h.node)
		if !ok {
			return c
		}
		c.address = a
	}
	return c
}

// hops are the elements of X-Forwarded-For, or of Forwarded (RFC 7239) where
// there is none of the former, read from the right. The two never mix: a proxy
// writes one of them, and passes the other on as the client sent it.
type hops struct {
	lines     []string
	forwarded bool
}

type hop struct{ node, proto string }

func hopsOf(h http.Header) hops {
	if lines := h["X-Forwarded-For"]; len(lines) > 0 {
		return hops{lines: slices.Clone(lines)}
	}
	return hops{lines: slices.Clone(h["Forwarded"]), forwarded: true}
}

// next takes the rightmost element off.
func (h *hops) next() (hop, bool) {
	n := len(h.lines) - 1
	if n < 0 {
		return hop{}, false
	}
	line := h.lines[n]
	i := strings.LastIndexByte(line, ',')
	if i < 0 {
		h.lines = h.lines[:n]
	} else {
		h.lines[n] = line[:i]
	}
	element := strings.Trim(line[i+1:], " \t")
	if !h.forwarded {
		return hop{node: element}, true
	}
	return forwardedHop(element), true
}

// forwardedHop reads an element of a Forwarded header. Addresses hold none of
// the characters that would need escapes in its quoted strings, so one with a
// comma, a semicolon or a backslash in it is one that we can't read, and need not.
func forwardedHop(element string) (out hop) {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok {
			return hop{}
		}
		if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		switch strings.ToLower(name) {
		case "for":
			if out.node != "" {
				return hop{} // two for one hop: neither
			}
			out.node = value
		case "proto":
			out.proto = value
		}
	}
	return out
}

// hopAddress reads an address as proxies write it: alone, with a port, or in
// brackets.
func hopAddress(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	a, err := netip.ParseAddr(s)
	if err != nil && strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		a, err = netip.ParseAddr(s[1 : len(s)-1])
	}
	if err != nil {
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), err == nil
}

// last returns the last of a list in headers: what the peer itself added.
func last(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return strings.Trim(line[strings.LastIndexByte(line, ',')+1:], " \t")
}

// maxWarned bounds the peers that the log warns about. Strangers from the internet
// can use up half of it, and leave room for the proxy of our own network.
const maxWarned = 16

// warn logs once for each peer that it forwards and is not trusted: it may be
// a proxy that the operator forgot, behind which all clients count as one.
func (p *Proxies) warn(r *http.Request, peer netip.Addr) {
	name := ""
	for _, n := range []string{"X-Forwarded-For", "Forwarded", "Cf-Connecting-Ip", "X-Forwarded-Proto"} {
		if r.Header[n] != nil {
			name = n
			break
		}
	}
	if name == "" || !peer.IsValid() {
		return
	}
	room := maxWarned
	if !peer.IsPrivate() && !peer.IsLoopback() && !peer.IsLinkLocalUnicast() {
		room /= 2
	}
	p.mu.Lock()
	known := p.warned[peer]
	if known || len(p.warned) >= room {
		p.mu.Unlock()
		return
	}
	p.warned[peer] = true
	p.mu.Unlock()
	setting := "TRUSTED_PROXIES=" + peer.String()
	if within(CloudflareNetworks(), peer) {
		setting = "TRUSTED_PROXIES=cloudflare"
	}
	p.log.Warn("A request came with a forwarded header from a peer that is not trusted; the header changed nothing. If the peer is a proxy of yours, "+
		"trust it: else all its clients count as one.",
		"header", name, "peer", peer.String(), "setting", setting)
}

// peerAddress returns the connection's remote address: IPv4 as
// IPv4 even where it came in over an IPv6 socket, and without a zone, which
// means something on this machine only. It is invalid if there is none.
func peerAddress(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// Proxied reports whether a trusted proxy passed the request on.
func Proxied(r *http.Request) bool { return callerOf(r).proxied }
