package harness

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// GuideHost is the name in the guide's server block.
const GuideHost = "yourdomain.com"

// Front is an nginx in front of a server.
type Front struct {
	URL           string
	Secure, Plain string // the addresses
	once          bool   // each header is there once
	From          atomic.Int32
	client        *http.Client
	faults        func(format string, args ...any)
}

// InFront starts a server behind nginx, with one of two blocks in which nothing is
// changed but ports and the paths of the certificate: the guide's own, and the one
// that `gatehouse nginx` prints.
func InFront(t *testing.T, which string, settings ...string) *Server {
	t.Helper()
	h := Open(t, dbtest.SQLite(t), append([]string{"PUBLIC_URL=https://" + GuideHost, "TRUSTED_PROXIES=127.0.0.1"}, settings...)...)
	upstream := strings.TrimPrefix(h.App.URL(), "http://")
	dir := t.TempDir()
	c := Certificate{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	c.Write(t, GuideHost, time.Now().Add(24*time.Hour))
	var block string
	if which == "guide" {
		text, err := os.ReadFile(proctest.File("internal/test/harness/testdata/guide_nginx.conf"))
		if err != nil {
			t.Fatal(err)
		}
		block = strings.NewReplacer("127.0.0.1:8000", upstream, "/path/to/ssl/cert.pem", c.Cert, "/path/to/ssl/private.key", c.Key).Replace(string(text))
	} else {
		settings, err := config.Load(config.Source{
			Environ:  []string{"PUBLIC_URL=https://" + GuideHost, "LISTEN_ADDR=" + upstream},
			ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
		})
		if err != nil {
			t.Fatal(err)
		}
		ours, err := app.Nginx(settings, "")
		if err != nil {
			t.Fatal(err)
		}
		live := "/etc/letsencrypt/live/" + GuideHost
		block = strings.NewReplacer(live+"/fullchain.pem", c.Cert, live+"/privkey.pem", c.Key).Replace(ours)
	}
	listens := FreePort(t)
	f := &Front{URL: "https://" + GuideHost, Secure: listens, Plain: FreePort(t), once: which == "ours", faults: t.Errorf}
	Nginx(t, listens, strings.NewReplacer("    listen [::]:443 ssl http2;\n", "", "    listen [::]:80;\n", "", "listen 443", "listen "+listens, "listen 80",
		"listen "+f.Plain).Replace(block))
	f.From.Store(2)
	f.client = &http.Client{
		CheckRedirect: HTTPClient.CheckRedirect,
		Transport: &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				// Never from the address of the proxy.
				return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(f.From.Load()))}}).DialContext(ctx, network, listens)
			},
		},
	}
	t.Cleanup(f.client.CloseIdleConnections)
	h.Front = f
	return h
}

// Elsewhere has what is asked from now on come from another address.
func (f *Front) Elsewhere() {
	f.From.Add(1)
	f.client.CloseIdleConnections()
}

// Send makes a request, from another address if nginx has had enough of this one,
// and looks at the headers that all answers have.
func (f *Front) Send(r *http.Request) (*http.Response, error) {
	for {
		res, err := f.client.Do(r)
		if err != nil {
			return nil, err
		}
		own := strings.HasPrefix(res.Header.Get("Content-Type"), "text/html")
		if own && res.StatusCode == http.StatusTooManyRequests {
			_ = res.Body.Close()
			f.Elsewhere()
			if r.GetBody != nil {
				if r.Body, err = r.GetBody(); err != nil {
					return nil, err
				}
			}
			continue
		}
		for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Strict-Transport-Security"} {
			if n := len(res.Header.Values(name)); r.URL.Host == GuideHost && (n == 0 || f.once && n > 1) {
				f.faults("%s %s: %d, %s %q", r.Method, r.URL, res.StatusCode, name, res.Header.Values(name))
			}
		}
		return res, nil
	}
}

// FreePort is one that nothing listened on a moment ago.
func FreePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// StartProgram runs a program until the test is over.
func StartProgram(t *testing.T, listens string, command ...string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	var out LogBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	done, err := proctest.Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for range 600 {
		if c, err := net.Dial("tcp", listens); err == nil {
			c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not listen", command[0])
}

// Nginx starts a real one with server blocks, and whatever else belongs into
// http.
func Nginx(t *testing.T, listens, blocks string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // off the PATH of those who are not root
	}
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
%[2]s
}`, dir, blocks)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	StartProgram(t, listens, program, "-p", dir, "-e", "stderr", "-c", path)
}

// Guide returns the part of a guide that the tests run, with other addresses in
// it.
func Guide(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(proctest.File("docs/guides/" + name))
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(string(text), "# ---\n")
	if len(part) != 3 {
		t.Fatalf("%s has %d parts", name, len(part))
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(part[1], replace[i]) {
			t.Fatalf("%s does not name %s", name, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(part[1])
}
