package dbtest

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a program and its PostgreSQL, and makes the network as
// bad as it is configured to be.
type Proxy struct {
	upstream string
	url      url.URL
	listener net.Listener

	mu    sync.Mutex
	woken *sync.Cond
	links map[*link]bool
	down  bool
	stall bool
	delay time.Duration
	cut   *cut
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	// marked is set once the cut's mark has gone by. It is guarded by Proxy.mu.
	marked *cut
}

func (l *link) close() {
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // as of a machine that is gone: no goodbye
		}
		_ = c.Close()
	}
}

// cut is what to look for, and on which way; with a mark only where that has
// gone to the server before.
type cut struct {
	mark     []byte
	text     []byte
	toServer bool
	done     chan struct{}
}

// ends reports whether the text ends in the piece that comes after the tail.
func ends(text, tail, piece []byte) bool {
	tail = tail[max(0, len(tail)-len(text)+1):]
	return bytes.Contains(append(tail[:len(tail):len(tail)], piece...), text)
}

// here reports whether the link is to be cut now.
func (c *cut) here(l *link, tail, piece []byte, toServer bool) bool {
	if toServer && len(c.mark) > 0 && ends(c.mark, tail, piece) {
		l.marked = c
	}
	return c.toServer == toServer && (len(c.mark) == 0 || l.marked == c) && ends(c.text, tail, piece)
}

// NewProxy returns a proxy before the server that the URL names. It ends with
// the test.
func NewProxy(t testing.TB, dbURL string) *Proxy {
	t.Helper()
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal("the database's URL is none")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{upstream: u.Host, url: *u, listener: l, links: map[*link]bool{}}
	p.woken = sync.NewCond(&p.mu)
	p.url.Host = l.Addr().String()
	go p.accept()
	t.Cleanup(func() { _ = l.Close(); p.Down() })
	return p
}

// URL is the database's, through the proxy.
func (p *Proxy) URL() string { return p.url.String() }

// Down cuts all connections, and every new one.
func (p *Proxy) Down() { p.set(func() { p.down = true; p.closeAll() }) }

// Cut cuts all connections there are.
func (p *Proxy) Cut() { p.set(p.closeAll) }

// Stall lets nothing through any more, and says nothing to anybody.
func (p *Proxy) Stall() { p.set(func() { p.stall = true }) }

// Delay holds back everything, each way, for as long.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Up mends all.
func (p *Proxy) Up() { p.set(func() { p.down, p.stall, p.delay, p.cut = false, false, 0, nil }) }

// CutAt cuts the next connection in which the text comes along, before it gets
// to its end. The channel is closed then.
func (p *Proxy) CutAt(text string, toServer bool) <-chan struct{} {
	return p.CutAfter("", text, toServer)
}

// CutAfter is [Proxy.CutAt] for a connection on which the mark has gone to the
// server from now on: others that send the text as well are left alone.
func (p *Proxy) CutAfter(mark, text string, toServer bool) <-chan struct{} {
	c := &cut{[]byte(mark), []byte(text), toServer, make(chan struct{})}
	p.set(func() { p.cut = c })
	return c.done
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.woken.Broadcast()
}

func (p *Proxy) closeAll() {
	for l := range p.links {
		l.close()
		delete(p.links, l)
	}
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go p.serve(c)
		}
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.upstream)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	if p.down {
		l.close()
	}
	p.links[l] = true
	p.mu.Unlock()
	go p.copy(l, client, server, true)
	p.copy(l, server, client, false)
	p.set(func() { delete(p.links, l) })
	l.close()
}

func (p *Proxy) copy(l *link, from, to net.Conn, toServer bool) {
	defer l.close()
	buffer := make([]byte, 32<<10)
	var tail []byte // of the piece before: a text may come in two
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.pass(tail, buffer[:n], toServer, l) {
				return
			}
			tail = append(tail[:0], buffer[max(0, n-64):n]...)
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits as long as it takes, and reports whether to go on.
func (p *Proxy) pass(tail, piece []byte, toServer bool, l *link) bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	time.Sleep(delay)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.cut; c != nil && c.here(l, tail, piece, toServer) {
		p.cut = nil
		close(c.done)
		return false
	}
	for p.stall && p.links[l] {
		p.woken.Wait()
	}
	return p.links[l]
}
