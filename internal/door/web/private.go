package web

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// private is a listener that accepts connections only from some networks, and from this
// machine. Any other is closed before a byte of it is read.
type private struct {
	net.Listener
	networks []netip.Prefix
	log      *slog.Logger

	mu   sync.Mutex
	said time.Time
}

// Private returns a listener without TLS that can be reached only from the networks and this
// machine. Without networks it is the listener itself.
func Private(l net.Listener, networks []netip.Prefix, log *slog.Logger) net.Listener {
	if len(networks) == 0 {
		return l
	}
	return &private{Listener: l, networks: networks, log: log}
}

// Accept waits for the next connection that is allowed.
func (p *private) Accept() (net.Conn, error) {
	for {
		conn, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok {
			return conn, nil
		}
		a := tcp.AddrPort().Addr().Unmap().WithZone("")
		if a.IsLoopback() || within(p.networks, a) {
			return conn, nil
		}
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset leaves nothing of it behind in the kernel
		}
		_ = conn.Close()
		p.warn(a)
	}
}

// warn logs once a minute who was turned away: a proxy whose network was forgotten has
// nothing else to go by.
func (p *private) warn(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.said) > time.Minute {
		p.said = now
		p.log.Warn("A connection without TLS came from outside PRIVATE_NETWORKS and was closed.", "peer", a.String(), "listener", p.Addr().String())
	}
}
