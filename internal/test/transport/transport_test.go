package transport_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const tlsName = "login.gatehouse.test"

// tlsHouse is a production server with a certificate of its own.
func tlsHouse(t *testing.T) (*harness.Server, harness.Certificate, string) {
	t.Helper()
	dir := t.TempDir()
	c := harness.Certificate{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	serial := c.Write(t, tlsName, time.Now().Add(24*time.Hour))
	h := harness.Open(t, dbtest.SQLite(t), "ENVIRONMENT=production", "PUBLIC_URL=https://"+tlsName, "BCRYPT_COST=12", "LISTEN_ADDR=0.0.0.0:0",
		"TLS_CERT_FILE="+c.Cert, "TLS_KEY_FILE="+c.Key, "TLS_REDIRECT_ADDR=127.0.0.1:0")
	return h, c, serial
}

// handshake connects with the client's settings, and returns the connection's
// state.
func handshake(h *harness.Server, c *tls.Config) (tls.ConnectionState, error) {
	h.Helper()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(h.App.URL(), "https://"))
	c.InsecureSkipVerify, c.ServerName = true, tlsName
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port, c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

// tlsClient speaks to the server by its name.
func tlsClient(h *harness.Server, http2 bool) *http.Client {
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(h.App.URL(), "https://"))
	transport := &http.Transport{
		ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	if !http2 {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	h.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: harness.HTTPClient.CheckRedirect}
}

// NET-1, NET-2: TLS 1.3 and 1.2 with forward secrecy and authenticated encryption,
// and nothing else; HTTP/1.1 and HTTP/2; HSTS; the redirect to it.
func TestNET1_OwnTLS(t *testing.T) {
	t.Parallel()
	h, _, _ := tlsHouse(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if s, err := handshake(h, &tls.Config{MinVersion: version, MaxVersion: version}); err != nil || s.Version != version {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := handshake(h, &tls.Config{MinVersion: version, MaxVersion: version}); err == nil {
			t.Errorf("%s is taken", tls.VersionName(version))
		}
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		good := strings.HasPrefix(suite.Name, "TLS_ECDHE_ECDSA") && (strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "CHACHA20"))
		if _, err := handshake(h, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}); (err == nil) != good &&
			!strings.HasPrefix(suite.Name, "TLS_AES") && suite.Name != "TLS_CHACHA20_POLY1305_SHA256" {
			t.Errorf("%s: %v", suite.Name, err)
		}
	}
	for _, http2 := range []bool{false, true} {
		res, err := tlsClient(h, http2).Get("https://" + tlsName + "/.well-known/jwks.json")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 || (res.ProtoMajor == 2) != http2 || !strings.HasPrefix(res.Header.Get("Strict-Transport-Security"), "max-age=31536000") ||
			res.Header.Get("Server") != "" {
			t.Errorf("%s: %d %v", res.Proto, res.StatusCode, res.Header)
		}
		// Loopback names are for development.
		for _, host := range []string{"127.0.0.1", "other.gatehouse.test"} {
			res, err = tlsClient(h, http2).Get("https://" + host + "/login")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != 421 {
				t.Errorf("%s to %s: %d", res.Proto, host, res.StatusCode)
			}
		}
	}
	for path, want := range map[string]int{"/login?x=1": 308, "/v1/me": 403, "/.well-known/jwks.json": 403} {
		r, err := http.NewRequest("GET", h.App.RedirectURL()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tlsName
		res, err := harness.HTTPClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if to := res.Header.Get("Location"); res.StatusCode != want || want == 308 && to != "https://"+tlsName+path ||
			res.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s in the clear: %d, to %q", path, res.StatusCode, to)
		}
	}
}

// NET-1: a new certificate is served when its file changes; a faulty one is logged,
// and the one before stays.
func TestNET1_CertificateReload(t *testing.T) {
	t.Parallel()
	h, c, first := tlsHouse(t)
	serves := func(serial string) func() (string, bool) {
		return func() (string, bool) {
			s, err := handshake(h, &tls.Config{})
			if err != nil {
				return err.Error(), false
			}
			got := s.PeerCertificates[0].SerialNumber.String()
			return "it serves " + got + ", not " + serial, got == serial
		}
	}
	h.Eventually("the first", serves(first))
	second := c.Write(t, tlsName, time.Now().Add(36*time.Hour))
	h.Eventually("the second", serves(second))
	for i, fault := range []func(){
		func() { c.Put(t, c.Cert, []byte("no certificate")) },
		func() { c.Write(t, tlsName, time.Now().Add(-time.Hour)) },
		func() { c.Write(t, "other.gatehouse.test", time.Now().Add(time.Hour)) },
	} {
		fault()
		h.Eventually("the fault is logged", func() (string, bool) {
			text := h.Logs.String()
			return text, strings.Count(text, "what is there now can't be used") == i+1
		})
		h.Eventually("the second stays", serves(second))
		second = c.Write(t, tlsName, time.Now().Add(36*time.Hour))
		h.Eventually("the next", serves(second))
	}
}
