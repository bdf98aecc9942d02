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
	holds map[netip.Addr]int
}

// LimitPerAddress returns a listener at which an address, or an IPv6 network of
// /64, holds at most so many connections at once. Trusted proxies, behind which
// are many, may hold any number.
func LimitPerAddress(l net.Listener, most int, proxies *Proxies) net.Listener {
	if most == 0 {
		return l
	}
	return &crowd{Listener: l, most: most, proxies: proxies, holds: map[netip.Addr]int{}}
}

// Accept waits for the next connection that may stay.
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
		a = neighbours(a)
		if c.enter(a) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { c.leave(a) })}, nil
		}
		// A reset leaves nothing of it behind in the kernel.
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// neighbours returns the first address of an IPv6 address's /64, which one
// customer has to himself, and an IPv4 address as it is.
func neighbours(a netip.Addr) netip.Addr {
	if a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a
}

func (c *crowd) enter(a netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds[a] >= c.most {
		return false
	}
	c.holds[a]++
	return true
}

func (c *crowd) leave(a netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds[a]--; c.holds[a] == 0 {
		delete(c.holds, a)
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
