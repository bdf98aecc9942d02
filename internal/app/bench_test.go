package app

import (
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
)

// unsent is an answer that goes nowhere and costs next to nothing.
type unsent struct{ header http.Header }

func (u unsent) Header() http.Header         { return u.header }
func (u unsent) Write(p []byte) (int, error) { return len(p), nil }
func (u unsent) WriteHeader(int)             {}

// BenchmarkRequest shows what the server itself does for a request, from the
// request's header to the answer, on SQLite: no connection is read or written.
func BenchmarkRequest(b *testing.B) {
	c, err := config.Load(config.Source{
		Environ: []string{
			"DATABASE_URL=sqlite:" + filepath.Join(b.TempDir(), "gatehouse.db"), "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0",
			"JWT_SECRET_KEY=q7Vx2mZp9LtRw4KcYb8NsHf3GdJ6TaEu", "EVENT_KEY=Hs4kPz8vWd2Qx7LmTn5RbYc9JgFa3EuK", "BCRYPT_COST=4",
			"API_RATE_LIMIT_REQUESTS=1000000",
		},
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		b.Fatal(err)
	}
	s, err := Start(b.Context(), c, Options{Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Version: "test"})
	if err != nil {
		b.Fatal(err)
	}
	handler := s.public.http.Handler
	post := func(path, body string) []byte {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Host = strings.TrimPrefix(s.URL(), "http://")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code/100 != 2 {
			b.Fatalf("%s answered %d: %s", path, w.Code, w.Body)
		}
		return w.Body.Bytes()
	}
	const person = `{"email": "person@example.org", "password": "four unrelated words of mine"}`
	post("/v1/register", person)
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	signIn := func(b *testing.B) {
		if err := json.Unmarshal(post("/v1/login", person), &tokens); err != nil {
			b.Fatal(err)
		}
	}
	for _, path := range []string{"/v1/me", "/v1/forward-auth"} {
		b.Run("GET "+path, func(b *testing.B) {
			signIn(b)
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = strings.TrimPrefix(s.URL(), "http://")
			r.Header.Set("Authorization", "Bearer "+tokens.Access)
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(unsent{http.Header{}}, r)
			}
		})
	}
	get := func(path string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = strings.TrimPrefix(s.URL(), "http://")
		r.Header.Set("Accept", "text/html")
		return r
	}
	// The goal is at most twice as much for the page as for a file of its size on the disk, read by the standard library.
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, get("/login"))
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "login.html"), w.Body.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	b.Cleanup(files.Close)
	for name, url := range map[string]string{"GET /login, over HTTP": s.URL() + "/login", "GET a file as long, over HTTP": files.URL + "/login.html"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				a, err := http.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, a.Body); err != nil || a.StatusCode != http.StatusOK {
					b.Fatal(a.Status, err)
				}
				_ = a.Body.Close()
			}
		})
	}
	b.Run("POST /v1/token/refresh", func(b *testing.B) {
		signIn(b)
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(post("/v1/token/refresh", `{"refresh_token": "`+tokens.Refresh+`"}`), &tokens); err != nil {
				b.Fatal(err)
			}
		}
	})
}
