package transport_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// HSTS stands on every answer over TLS, refusals of a host and of a network too.
func TestASVS_V3_4_1_RefusalsHaveHSTS(t *testing.T) {
	h, _, _ := tlsHouse(t)
	c := tlsClient(h, false)
	ask := func(host string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+tlsName+"/v1/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	has := func(res *http.Response, status int) {
		t.Helper()
		if hsts := res.Header.Get("Strict-Transport-Security"); res.StatusCode != status || hsts != "max-age=31536000; includeSubDomains" {
			t.Errorf("%d (want %d) %q", res.StatusCode, status, hsts)
		}
	}
	has(ask(tlsName), 401)
	has(ask("elsewhere.example"), 421)
	if _, _, err := app.OperatorBlocks(&config.Config{}, h.Operator()).Add(t.Context(), operate.NewBlock{Network: "127.0.0.0/8", Confirmed: true}, nil,
		flow.Identity{}, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	h.Eventually("the block", func() (string, bool) {
		res := ask(tlsName)
		return fmt.Sprint(res.StatusCode), res.StatusCode == 403
	})
	has(ask(tlsName), 403)
}

// The key exchange is one of three, all of 128 bits or more, the hybrid one first.
func TestASVS_V11_6_2_KeyExchange(t *testing.T) {
	h, _, _ := tlsHouse(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, group := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} {
			_, err := handshake(h, &tls.Config{MinVersion: version, MaxVersion: version, CurvePreferences: []tls.CurveID{group}})
			good := group == tls.X25519 || group == tls.CurveP256 || group == tls.X25519MLKEM768 && version == tls.VersionTLS13
			if (err == nil) != good {
				t.Errorf("%s with %v: %v", tls.VersionName(version), group, err)
			}
		}
	}
	s, err := handshake(h, &tls.Config{})
	if err != nil || s.CurveID != tls.X25519MLKEM768 {
		t.Errorf("a client that knows all got %v, %v", s.CurveID, err)
	}
}

// Over HTTP/2, fields of one connection (V4.2.3), and line breaks in a value (V4.2.4),
// end the stream or the connection, or are 400; nothing of them reaches a handler.
func TestASVS_V4_2_3_V4_2_4_HTTP2Fields(t *testing.T) {
	h, _, _ := tlsHouse(t)
	for name, field := range map[string][2]string{
		"connection": {"connection", "close"}, "transfer-encoding": {"transfer-encoding", "chunked"}, "keep-alive": {"keep-alive", "timeout=5"},
		"upgrade": {"upgrade", "h2c"}, "proxy-connection": {"proxy-connection", "close"}, "te": {"te", "gzip"},
		"CRLF": {"user-agent", "one\r\nforged: line"}, "LF": {"user-agent", "one\nforged-line"}, "CR": {"user-agent", "one\rforged-line"},
		"NUL":              {"user-agent", "one\x00forged-line"},
		"a name with CRLF": {"x-one\r\nforged", "1"}, "capitals": {"X-Forged", "1"},
		"none, which is good": {"accept", "*/*"},
	} {
		status, ended := overHTTP2(h, field)
		if good := name == "none, which is good"; good != (status == "401") || !good && !ended && status != "400" {
			t.Errorf("%s: status %q, ended %v", name, status, ended)
		}
	}
	if strings.Contains(h.Logs.String(), "forged") {
		t.Error("what was refused stands in the log")
	}
}

// overHTTP2 asks for /v1/me with one more field, and returns the status, or that the
// server ended the stream or the connection.
func overHTTP2(h *harness.Server, field [2]string) (status string, ended bool) {
	h.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(h.App.URL(), "https://"),
		&tls.Config{InsecureSkipVerify: true, ServerName: tlsName, NextProtos: []string{"h2"}})
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", tlsName}, {":path", "/v1/me"}, field} {
		if err := e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			h.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		h.Fatal(err)
	}
	r := http2.NewFramer(conn, conn)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := r.WriteSettings(); err != nil {
		h.Fatal(err)
	}
	if err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		return "", true
	}
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			return "", true
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status"), false
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "", true
		}
	}
}
