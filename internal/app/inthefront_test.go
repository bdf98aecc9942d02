package app_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// guideHost is the name in the guide's server block.
const guideHost = "yourdomain.com"

// front is an nginx that stands before a house.
type front struct {
	url           string
	secure, plain string // the addresses
	once          bool   // each header stands there once
	from          atomic.Int32
	client        *http.Client
	faults        func(format string, args ...any)
}

// inFront starts a server behind nginx, with one of two blocks in which nothing is
// changed but ports and the paths of the certificate: the guide's own, and the one
// that `gatehouse nginx` prints.
func inFront(t *testing.T, which string, settings ...string) *house {
	t.Helper()
	h := open(t, dbtest.SQLite(t), append([]string{"PUBLIC_URL=https://" + guideHost, "TRUSTED_PROXIES=127.0.0.1"}, settings...)...)
	upstream := strings.TrimPrefix(h.server.URL(), "http://")
	dir := t.TempDir()
	c := certificate{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	c.write(t, guideHost, time.Now().Add(24*time.Hour))
	var block string
	if which == "guide" {
		text, err := os.ReadFile("testdata/guide_nginx.conf")
		if err != nil {
			t.Fatal(err)
		}
		block = strings.NewReplacer("127.0.0.1:8000", upstream, "/path/to/ssl/cert.pem", c.cert, "/path/to/ssl/private.key", c.key).Replace(string(text))
	} else {
		settings, err := config.Load(config.Source{
			Environ:  []string{"PUBLIC_URL=https://" + guideHost, "LISTEN_ADDR=" + upstream},
			ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
		})
		if err != nil {
			t.Fatal(err)
		}
		ours, err := app.Nginx(settings, "")
		if err != nil {
			t.Fatal(err)
		}
		live := "/etc/letsencrypt/live/" + guideHost
		block = strings.NewReplacer(live+"/fullchain.pem", c.cert, live+"/privkey.pem", c.key).Replace(ours)
	}
	listens := freePort(t)
	f := &front{url: "https://" + guideHost, secure: listens, plain: freePort(t), once: which == "ours", faults: t.Errorf}
	nginx(t, listens, strings.NewReplacer("    listen [::]:443 ssl http2;\n", "", "    listen [::]:80;\n", "", "listen 443", "listen "+listens, "listen 80", "listen "+f.plain).Replace(block))
	f.from.Store(2)
	f.client = &http.Client{
		CheckRedirect: client.CheckRedirect,
		Transport: &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				// Never from the address of the proxy.
				return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(f.from.Load()))}}).DialContext(ctx, network, listens)
			},
		},
	}
	t.Cleanup(f.client.CloseIdleConnections)
	h.front = f
	return h
}

// elsewhere has what is asked from now on come from another address.
func (f *front) elsewhere() {
	f.from.Add(1)
	f.client.CloseIdleConnections()
}

// send makes a request, from another address if nginx has had enough of this one,
// and looks at the headers that all answers have.
func (f *front) send(r *http.Request) (*http.Response, error) {
	for {
		res, err := f.client.Do(r)
		if err != nil {
			return nil, err
		}
		own := strings.HasPrefix(res.Header.Get("Content-Type"), "text/html")
		if own && res.StatusCode == http.StatusTooManyRequests {
			_ = res.Body.Close()
			f.elsewhere()
			if r.GetBody != nil {
				if r.Body, err = r.GetBody(); err != nil {
					return nil, err
				}
			}
			continue
		}
		for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Strict-Transport-Security"} {
			if n := len(res.Header.Values(name)); r.URL.Host == guideHost && (n == 0 || f.once && n > 1) {
				f.faults("%s %s: %d, %s %q", r.Method, r.URL, res.StatusCode, name, res.Header.Values(name))
			}
		}
		return res, nil
	}
}

// NET-5, HDR-2: the whole API answers as described through nginx.
func TestNET5_Nginx(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"guide", "ours"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			h := inFront(t, which)
			h.driveEverybody()
			h.front.elsewhere()
			h.driveAudit(h.administrator("root@example.org"))
			h.whoCalled()
			if which == "ours" {
				h.inTheClear()
			}
		})
	}
}

// whoCalled looks that nginx says who is calling, whatever the client claims, and
// passes on which name was called.
func (h *house) whoCalled() {
	h.Helper()
	h.front.elsewhere()
	h.register("eve@example.org")
	header := http.Header{"X-Forwarded-For": {"192.0.2.66"}, "X-Forwarded-Proto": {"http"}, "X-Real-Ip": {"192.0.2.66"}}
	h.expect(200, "", request{method: "POST", path: "/v1/login", header: header, body: credentials{"eve@example.org", passphrase}})
	if log := h.log.String(); strings.Contains(log, "192.0.2.66") || !strings.Contains(log, fmt.Sprintf(`"client":"127.0.0.%d"`, h.front.from.Load())) {
		h.Error("the client's own X-Forwarded-For is believed")
	}
	for url, want := range map[string]int{h.url() + "/login": 200, "https://other.example/login": 421} {
		r, err := http.NewRequest("GET", url, http.NoBody)
		if err != nil {
			h.Fatal(err)
		}
		res, err := h.front.send(r)
		if err != nil {
			h.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if _ = res.Body.Close(); res.StatusCode != want || res.ProtoMajor != 2 {
			h.Errorf("%s: %s %d, want %d", url, res.Proto, res.StatusCode, want)
		}
	}
}

// inTheClear looks at what answers beside TLS.
func (h *house) inTheClear() {
	h.Helper()
	for path, want := range map[string]int{"/login?x=1": 308, "/v1/login": 403} {
		r, err := http.NewRequest("GET", "http://"+h.front.plain+path, http.NoBody)
		if err != nil {
			h.Fatal(err)
		}
		r.Host = guideHost
		res, err := client.Do(r)
		if err != nil {
			h.Fatal(err)
		}
		_ = res.Body.Close()
		if to := res.Header.Get("Location"); res.StatusCode != want || want == 308 && to != h.url()+path {
			h.Errorf("%s in the clear: %d, to %q", path, res.StatusCode, to)
		}
	}
}
