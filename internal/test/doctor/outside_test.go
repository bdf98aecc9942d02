package doctor

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// front is a proxy that ends TLS in front of a Gatehouse, and may be set up wrongly.
type front struct {
	*httptest.Server
	spoil func(http.Header)
	admin *httputil.ReverseProxy // where operators' paths lead, if anywhere
}

func newFront(t *testing.T, least uint16, suites ...uint16) *front {
	t.Helper()
	f := &front{}
	f.Server = httptest.NewUnstartedServer(nil)
	address := "https://" + f.Listener.Addr().String()
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL="+address, harness.BehindProxy, "SESSION_COOKIE_SECURE=true",
		"SMTP_URL="+mailtest.New(t, mailtest.Options{}).URL, "CORS_ORIGINS=https://app.example.org")
	proxyTo := func(base string) *httputil.ReverseProxy {
		to, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		return &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(to)
				r.Out.Host = r.In.Host
				r.SetXForwarded()
			},
			ModifyResponse: func(a *http.Response) error {
				if f.spoil != nil {
					f.spoil(a.Header)
				}
				return nil
			},
		}
	}
	inner, admin := proxyTo(h.App.URL()), proxyTo(h.App.AdminURL())
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.admin != nil && (r.URL.Path == "/metrics" || r.URL.Path == "/readyz") {
			f.admin.ServeHTTP(w, r)
			return
		}
		inner.ServeHTTP(w, r)
	})
	f.Config.ErrorLog = log.New(io.Discard, "", 0)               // of handshakes that are to fail
	f.TLS = &tls.Config{MinVersion: least, CipherSuites: suites} //nolint:gosec // what is to be found
	f.StartTLS()
	t.Cleanup(f.Close)
	f.admin = admin
	return f
}

// look returns which checks from outside fail or are unknown.
func (f *front) look(t *testing.T, authorities []byte, now func() time.Time) (out []string) {
	t.Helper()
	o, err := app.NewOutside(f.URL, authorities, now)
	if err != nil {
		t.Fatal(err)
	}
	checks := slices.DeleteFunc(checksOf(load(t, nil), nil, fs.ErrNotExist, now, o), func(c doctor.Check) bool { return !strings.HasPrefix(c.Name, "outside-") })
	for _, found := range doctor.Run(t.Context(), checks, now()).Findings {
		if found.State == doctor.Failed || found.State == doctor.Unknown {
			out = append(out, found.Rule)
			if found.Evidence == "" || found.Mend == "" {
				t.Errorf("%s says %q, %q", found.Rule, found.Evidence, found.Mend)
			}
		}
	}
	return out
}

// A proxy that is set up wrongly in one way turns just the check for it; a good one turns none.
func TestWhatAStrangerSeesTurnsItsCheckAlone(t *testing.T) {
	f := newFront(t, tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	operators := f.admin
	f.admin = nil
	if got := f.look(t, roots, time.Now); len(got) > 0 {
		t.Fatalf("a good deployment turns %v", got)
	}
	for rule, spoil := range map[string]func(http.Header){
		"NET-1/outside-hsts":    func(h http.Header) { h.Set("Strict-Transport-Security", "max-age=300") },
		"NET-2/outside-cookies": func(h http.Header) { h.Add("Set-Cookie", "gatehouse_session=x; HttpOnly; SameSite=Lax; Path=/") },
		"NET-3/outside-origin":  func(h http.Header) { h.Set("Access-Control-Allow-Origin", "*") },
		"RATE-2/outside-limits": func(h http.Header) { h.Del("RateLimit-Policy") },
		"HDR-1/outside-headers": func(h http.Header) {
			h.Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'")
		},
		"HDR-2/outside-server": func(h http.Header) { h.Set("Server", "nginx/1.22.1") },
	} {
		f.spoil = spoil
		if got := f.look(t, roots, time.Now); !slices.Equal(got, []string{rule}) {
			t.Errorf("%s is to be turned: %v", rule, got)
		}
	}
	// Of a header that comes twice, a browser may take either.
	f.spoil = func(h http.Header) { h.Add("X-Frame-Options", "SAMEORIGIN") }
	if got := f.look(t, roots, time.Now); !slices.Equal(got, []string{"HDR-1/outside-headers"}) {
		t.Errorf("a header twice: %v", got)
	}
	f.spoil, f.admin = nil, operators
	if got := f.look(t, roots, time.Now); !slices.Equal(got, []string{"NET-5/outside-reach"}) {
		t.Errorf("operators' paths are open: %v", got)
	}
	f.admin = nil
	end := f.Certificate().NotAfter
	if got := f.look(t, roots, func() time.Time { return end.Add(-24 * time.Hour) }); !slices.Equal(got, []string{"NET-1/outside-certificate"}) {
		t.Errorf("a day before the certificate's end: %v", got)
	}
	if got := f.look(t, nil, time.Now); !slices.Contains(got, "NET-1/outside-certificate") {
		t.Errorf("a certificate of nobody's: %v", got)
	}
}

// A front that speaks TLS 1.0 turns HDR-2.
func TestHDR2_OldVersionsOfTLSAreFound(t *testing.T) {
	f := newFront(t, tls.VersionTLS10)
	f.admin = nil
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	if got := f.look(t, roots, time.Now); !slices.Equal(got, []string{"HDR-2/outside-versions", "HDR-2/outside-ciphers"}) {
		t.Errorf("TLS 1.0 is spoken: %v", got)
	}
	// Gone, all that hangs on it is unknown, and nothing passes that was not looked at.
	f.Close()
	if got := f.look(t, roots, time.Now); len(got) < 8 {
		t.Errorf("nobody answers: %v", got)
	}
}

// An address that is none is refused with what one looks like.
func TestTheAddressFromOutside(t *testing.T) {
	for _, bad := range []string{
		"", "auth.example.org", "http://auth.example.org", "https://", "https://u:p@auth.example.org", "https://auth.example.org/path", "https://a\x7f",
	} {
		if _, err := app.NewOutside(bad, nil, time.Now); err == nil || !strings.Contains(err.Error(), "https://auth.example.com") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
