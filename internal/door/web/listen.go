package web

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// crowd is a listener at which one address holds so many connections at most.
// One more is closed before a byte of it is read.
type crowd struct {
	net.Listener
	most    int
	proxies *Proxies

	mu    sync.Mutex
	holds map[netip.Prefix]int // of networks, and of IPv6 sites
}

// perSite is how many times as many connections all networks of an IPv6 site (/48) may hold as
// one of them.
const perSite = 10

// LimitPerAddress returns a listener at which an address, or an IPv6 network of
// /64, holds at most so many connections at once, and ten times as many all of one IPv6 site. Trusted proxies, behind which
// are many, may hold any number.
func LimitPerAddress(l net.Listener, most int, proxies *Proxies) net.Listener {
	if most == 0 {
		return l
	}
	return &crowd{Listener: l, most: most, proxies: proxies, holds: map[netip.Prefix]int{}}
}

// Accept waits for the next connection that is allowed.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok {
			return conn, nil
		}
		a := tcp.AddrPort().Addr().Unmap().WithZone("")
		if c.proxies != nil && within(c.proxies.trusted, a) {
			return conn, nil
		}
		network, site := within64(a), within48(a)
		if c.enter(network, site) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { c.leave(network, site) })}, nil
		}
		// A reset leaves nothing behind in the kernel.
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// within64 and within48 return an IPv6 address's network, which one customer has alone,
// and its site, the most that one gets; an IPv4 address has only itself.
func within64(a netip.Addr) netip.Prefix { return around(a, 64) }
func within48(a netip.Addr) netip.Prefix { return around(a, 48) }

func around(a netip.Addr, bits int) netip.Prefix {
	if a.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(a, bits).Masked()
}

func (c *crowd) enter(network, site netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds[network] >= c.most || network != site && c.holds[site] >= c.most*perSite {
		return false
	}
	c.holds[network]++
	if network != site {
		c.holds[site]++
	}
	return true
}

func (c *crowd) leave(network, site netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free(network)
	if network != site {
		c.free(site)
	}
}

func (c *crowd) free(p netip.Prefix) {
	if c.holds[p]--; c.holds[p] == 0 {
		delete(c.holds, p)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.leave()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
