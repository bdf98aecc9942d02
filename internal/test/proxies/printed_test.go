package proxies_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestASVS_V4_1_2_PrintedBlocks: what `gatehouse nginx` prints, with and without an application, starts in a real nginx; over
// plain HTTP it sends on only who reads a page, and serves certbot's challenges (N3).
func TestASVS_V4_1_2_PrintedBlocks(t *testing.T) {
	for name, guarded := range map[string]string{"alone": "", "with an application": "127.0.0.1:1", "with the console": ""} {
		environ, times := []string{"PUBLIC_URL=https://" + harness.GuideHost, "LISTEN_ADDR=127.0.0.1:1"}, 1
		if name == "with the console" {
			environ, times = append(environ, "ADMIN_URL=https://admin.localhost"), 2
		}
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(config.Source{
				Environ:  environ,
				ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
			})
			if err != nil {
				t.Fatal(err)
			}
			text, err := app.Nginx(c, guarded)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(text, "listen [::]:443 ssl") != times || strings.Count(text, "listen [::]:80;") != times ||
				(guarded != "") != strings.Contains(text, app.OwnPathsExpression()) {
				t.Errorf("it listens on IPv4 alone, or has not our paths:\n%s", text)
			}
			dir := t.TempDir()
			keys := harness.Certificate{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
			keys.Write(t, harness.GuideHost, time.Now().Add(24*time.Hour))
			challenges := filepath.Join(dir, ".well-known", "acme-challenge")
			if err := os.MkdirAll(challenges, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(challenges, "token"), []byte("proof"), 0o644); err != nil {
				t.Fatal(err)
			}
			secure, plain := harness.FreePort(t), harness.FreePort(t)
			live := "/etc/letsencrypt/live/" + harness.GuideHost
			harness.Nginx(t, secure, strings.NewReplacer(live+"/fullchain.pem", keys.Cert, live+"/privkey.pem", keys.Key, "/var/www/letsencrypt", dir,
				"/etc/letsencrypt/live/admin.localhost/fullchain.pem", keys.Cert, "/etc/letsencrypt/live/admin.localhost/privkey.pem", keys.Key,
				"    listen [::]:443 ssl http2;\n", "", "    listen [::]:80;\n", "", "listen 443", "listen "+secure, "listen 80", "listen "+plain).Replace(text))
			host := harness.GuideHost
			if times == 2 {
				host = "admin.localhost"
			}
			for _, test := range []struct {
				method, path string
				status       int
			}{
				{"GET", "/login?a=b", 308}, {"HEAD", "/account", 308}, {"POST", "/login", 403}, {"POST", "/account", 403}, {"PUT", "/app", 403}, {"DELETE", "/", 403},
				{"GET", "/v1/me", 403}, {"POST", "/v1/login", 403}, {"GET", "/.well-known/jwks.json", 403}, {"GET", "/openapi.json", 403},
				{"GET", "/.well-known/acme-challenge/token", 200},
			} {
				conn, err := net.Dial("tcp", plain)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", test.method, test.path, host)
				res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: test.method})
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(res.Body)
				conn.Close()
				if res.StatusCode != test.status || test.status == 308 && res.Header.Get("Location") != "https://"+host+test.path ||
					test.status == 200 && string(body) != "proof" {
					t.Errorf("%s %s: %d %q %.80q", test.method, test.path, res.StatusCode, res.Header.Get("Location"), body)
				}
			}
		})
	}
	c := &config.Config{PublicURL: "https://" + harness.GuideHost, ListenAddr: "127.0.0.1:1"}
	for _, address := range []string{"app", "127.0.0.1", "a:1;b", "a b:80", "http://a:80"} {
		if _, err := app.Nginx(c, address); err == nil {
			t.Errorf("--guard %q is taken", address)
		}
	}
}
