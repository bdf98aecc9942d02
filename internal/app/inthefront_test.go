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
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/db/dbtest"
)

// guideHost is the name in the guide's server block.
const guideHost = "yourdomain.com"

// nginxWith starts a real nginx with server blocks.
func nginxWith(t *testing.T, listens, blocks string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // off the PATH of those who are not root
	}
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
%[2]s
}`, dir, blocks)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, listens, program, "-p", dir, "-e", "stderr", "-c", path)
}

// NET-5, HDR-2: the guide's own server block, with nothing but its port and its
// certificate's paths put in, and the one that `gatehouse nginx` prints.
func TestNET5_Nginx(t *testing.T) {
	t.Parallel()
	h := open(t, dbtest.SQLite(t), "PUBLIC_URL=https://"+guideHost, "TRUSTED_PROXIES=127.0.0.1")
	upstream := strings.TrimPrefix(h.server.URL(), "http://")
	dir := t.TempDir()
	c := certificate{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	c.write(t, guideHost, time.Now().Add(24*time.Hour))

	guides, err := os.ReadFile("testdata/guide_nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(config.Source{
		Environ:  []string{"PUBLIC_URL=https://" + guideHost, "LISTEN_ADDR=" + upstream},
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := app.Nginx(settings)
	if err != nil {
		t.Fatal(err)
	}
	live := "/etc/letsencrypt/live/" + guideHost
	for name, block := range map[string]string{
		"guide": strings.NewReplacer("127.0.0.1:8000", upstream, "/path/to/ssl/cert.pem", c.cert, "/path/to/ssl/private.key", c.key).Replace(string(guides)),
		"ours":  strings.NewReplacer(live+"/fullchain.pem", c.cert, live+"/privkey.pem", c.key).Replace(ours),
	} {
		t.Run(name, func(t *testing.T) {
			listens, plain := freePort(t), freePort(t)
			nginxWith(t, listens, strings.NewReplacer("listen 443", "listen "+listens, "listen 80", "listen "+plain).Replace(block))
			f := front{house: h, T: t, once: name == "ours", client: &http.Client{
				CheckRedirect: client.CheckRedirect,
				Transport: &http.Transport{
					ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
					DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
						// Not from the address of the proxy.
						return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}}).DialContext(ctx, network, listens)
					},
				},
			}}
			t.Cleanup(f.client.CloseIdleConnections)
			f.run(name + "@example.org")
			if name == "ours" {
				f.plain(plain)
			}
		})
	}
}

// front is a house by way of a proxy.
type front struct {
	house *house
	*testing.T
	client *http.Client
	once   bool // each header stands there once
}

// call makes a request and returns its answer's body.
func (f front) call(want int, method, url, body string, header ...string) (*http.Response, string) {
	f.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := f.client.Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.Fatal(err)
	}
	if res.StatusCode != want {
		f.Fatalf("%s %s: %d, want %d\n%s", method, url, res.StatusCode, want, b)
	}
	for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Strict-Transport-Security"} {
		n := len(res.Header.Values(name))
		if strings.HasPrefix(url, "https://"+guideHost) && (n == 0 || f.once && n > 1) {
			f.Errorf("%s %s: %d, %q", method, url, res.StatusCode, res.Header.Values(name))
		}
	}
	return res, string(b)
}

// field returns a text of a JSON answer.
func (f front) field(body, name string) string {
	_, rest, ok := strings.Cut(body, `"`+name+`":"`)
	value, _, ended := strings.Cut(rest, `"`)
	if !ok || !ended {
		f.Fatalf("no %s in %s", name, body)
	}
	return value
}

// run takes an account through what the API does, good and bad.
func (f front) run(email string) {
	f.Helper()
	const base = "https://" + guideHost
	who := fmt.Sprintf(`{"email":%q,"password":%q}`, email, passphrase)
	f.call(202, "POST", base+"/v1/register", who)
	res, body := f.call(200, "POST", base+"/v1/login", who, "X-Forwarded-For", "192.0.2.66", "X-Forwarded-Proto", "http")
	if res.ProtoMajor != 2 {
		f.Errorf("it is %s", res.Proto)
	}
	bearer := []string{"Authorization", "Bearer " + f.field(body, "access_token")}
	if _, me := f.call(200, "GET", base+"/v1/me", "", bearer...); !strings.Contains(me, email) {
		f.Errorf("me: %s", me)
	}
	f.call(200, "GET", base+"/v1/me/events", "", bearer...)
	if log := f.house.log.String(); strings.Contains(log, "192.0.2.66") || !strings.Contains(log, `"client":"127.0.0.3"`) {
		f.Errorf("the client's own X-Forwarded-For is believed:\n%s", log)
	}
	_, body = f.call(200, "POST", base+"/v1/token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, f.field(body, "refresh_token")))
	f.call(401, "POST", base+"/v1/login", strings.Replace(who, "correct", "wrong", 1))
	f.call(401, "GET", base+"/v1/me", "")
	f.call(404, "GET", base+"/v1/nothing", "")
	f.call(405, "DELETE", base+"/v1/login", "")
	f.call(400, "POST", base+"/v1/login", `{"email":`)
	f.call(413, "POST", base+"/v1/login", `{"email":"`+strings.Repeat("a", 70<<10)+`"}`)
	f.call(200, "GET", base+"/.well-known/jwks.json", "")
	f.call(200, "GET", base+"/login", "")
	f.call(421, "GET", "https://other.example/login", "")
	f.call(204, "POST", base+"/v1/logout", fmt.Sprintf(`{"refresh_token":%q}`, f.field(body, "refresh_token")))
}

// plain looks at what answers beside it.
func (f front) plain(listens string) {
	f.Helper()
	for path, want := range map[string]int{"/login?x=1": 308, "/v1/login": 403} {
		r, err := http.NewRequest("GET", "http://"+listens+path, http.NoBody)
		if err != nil {
			f.Fatal(err)
		}
		r.Host = guideHost
		res, err := client.Do(r)
		if err != nil {
			f.Fatal(err)
		}
		_ = res.Body.Close()
		if to := res.Header.Get("Location"); res.StatusCode != want || want == 308 && to != "https://"+guideHost+path {
			f.Errorf("%s in the clear: %d, to %q", path, res.StatusCode, to)
		}
	}
}
