package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// rude is a connection over HTTP/2 that keeps to no manners.
type rude struct {
	*http2.Framer
	headers []byte // of a request, encoded
}

// floods are what is known to have brought HTTP/2 servers down. Each goes on for a
// bounded number of frames, or until the server ends the connection.
var floods = map[string]func(r rude, i uint32) error{
	// CVE-2023-44487
	"rapid reset": func(r rude, i uint32) error {
		if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: r.headers, EndStream: true, EndHeaders: true}); err != nil {
			return err
		}
		return r.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
	},
	// The same, caused by our own mistakes (CVE-2025-8671).
	"resets of the server's": func(r rude, i uint32) error {
		if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: r.headers, EndStream: true, EndHeaders: true}); err != nil {
			return err
		}
		return r.WriteRawFrame(http2.FrameWindowUpdate, 0, 2*i+1, []byte{0, 0, 0, 0})
	},
	// CVE-2019-9512, CVE-2019-9515
	"pings": func(r rude, _ uint32) error { return r.WritePing(false, [8]byte{1}) },
	"settings": func(r rude, i uint32) error {
		return r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: i})
	},
	// CVE-2023-45288
	"continuations": func(r rude, i uint32) error {
		if i == 0 {
			return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.headers})
		}
		return r.WriteContinuation(1, false, bytes.Repeat([]byte{0x40, 1, 'a', 1, 'b'}, 1000))
	},
	"streams": func(r rude, i uint32) error {
		return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: r.headers, EndHeaders: true})
	},
	// CVE-2019-9518
	"empty data": func(r rude, i uint32) error {
		if i == 0 {
			return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.headers, EndHeaders: true})
		}
		return r.WriteData(1, false, nil)
	},
	// CVE-2019-9517
	"answers that are not taken": func(r rude, i uint32) error {
		if i == 0 {
			return r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		}
		return r.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: r.headers, EndStream: true, EndHeaders: true})
	},
}

// flood makes one of them, on one connection.
func flood(t *testing.T, address, host string, frame func(r rude, i uint32) error) {
	d := &tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 4)}},
		Config:    &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{"h2"}},
	}
	conn, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return
	}
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", host}, {":path", "/openapi.json"}} {
		if err := e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Error(err)
		}
	}
	r := rude{http2.NewFramer(conn, conn), block.Bytes()}
	if r.WriteSettings() != nil {
		return
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }() // else the server's answers would stop it
	for i := range uint32(1500) {
		if frame(r, i) != nil {
			return
		}
	}
}

// NET-1: a connection has a hundred requests at once, and one more is refused alone.
func TestNET1_StreamsPerConnection(t *testing.T) {
	h, _, _ := tlsHouse(t)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(h.App.URL(), "https://"),
		&tls.Config{InsecureSkipVerify: true, ServerName: tlsName, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", tlsName}, {":path", "/v1/register"},
		{"content-type", "application/json"}} {
		err = errors.Join(err, e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	_, failed := io.WriteString(conn, http2.ClientPreface)
	r := http2.NewFramer(conn, conn)
	err = errors.Join(err, failed, conn.SetDeadline(time.Now().Add(time.Minute)), r.WriteSettings())
	for i := range uint32(101) { // their bodies never come
		err = errors.Join(err, r.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block.Bytes(), EndHeaders: true}))
	}
	if err != nil {
		t.Fatal(err)
	}
	for most := uint32(0); ; {
		frame, err := r.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if n, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
				most = n
			}
		case *http2.RSTStreamFrame:
			if most != 100 || f.StreamID != 2*100+1 {
				t.Errorf("announced %d; the stream %d was refused", most, f.StreamID)
			}
			return
		case *http2.HeadersFrame, *http2.GoAwayFrame:
			t.Fatalf("%v", f)
		}
	}
}

// honest asks from an address of its own, over and over on a new connection, until
// it is stopped, and fails the test if one response is not as it should be.
type honest struct {
	*testing.T
	client *http.Client
	url    string
	served atomic.Int64
}

func newHonest(t *testing.T, address, url string) *honest {
	return &honest{T: t, url: url, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(ctx, network, address)
		},
	}}}
}

// during asks while something is done, and at least three times.
func (h *honest) during(what string, do func()) {
	h.Helper()
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			if n >= 3 {
				select {
				case <-done:
					return
				default:
				}
			}
			h.ask(what)
			time.Sleep(150 * time.Millisecond) // nginx lets 20 a second pass
		}
	})
	do()
	close(done)
	all.Wait()
}

func (h *honest) ask(what string) {
	for path, want := range map[string]int{"/openapi.json": 200, "/v1/me": 401} {
		res, err := h.client.Get(h.url + path)
		if err != nil {
			h.Errorf("during %s: %v", what, err)
			continue
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != want {
			h.Errorf("during %s: %s answers %d, %v", what, path, res.StatusCode, err)
		}
		_ = res.Body.Close()
		h.served.Add(1)
	}
}

// NET-1, NET-5: floods over HTTP/2, at Gatehouse itself and at nginx before it, keep
// no honest client from an answer, cause no mistake of ours, and leave nothing.
func TestNET1_HTTP2Floods(t *testing.T) {
	t.Parallel()
	bare, _, _ := tlsHouse(t)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(bare.App.URL(), "https://"))
	behind := harness.InFront(t, "ours")
	for _, c := range []struct {
		where, address, host string
		server               *harness.Server
	}{
		{"bare", "127.0.0.1:" + port, tlsName, bare},
		{"nginx", behind.Front.Secure, harness.GuideHost, behind},
	} {
		t.Run(c.where, func(t *testing.T) {
			t.Parallel()
			h := newHonest(t, c.address, "https://"+c.host)
			for name, frame := range floods {
				h.during(name, func() {
					var all sync.WaitGroup
					for range 4 {
						all.Go(func() { flood(t, c.address, c.host, frame) })
					}
					all.Wait()
				})
			}
			c.server.Eventually("nothing is left", func() (string, bool) {
				text := c.server.Metrics()
				return text, strings.Contains(text, "\ngatehouse_http_requests_in_flight 0\n")
			})
			if log := c.server.Logs.String(); strings.Contains(log, `"status":500`) || strings.Contains(log, "panic") {
				t.Errorf("a mistake of ours:\n%s", tail(log))
			}
			t.Logf("%d honest requests", h.served.Load())
		})
	}
}
