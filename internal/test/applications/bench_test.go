package applications_test

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/verify"
)

// BenchmarkApplications holds what applications do with a token against the least
// that it could cost: forward-auth and introspection, with warm memory, against a
// bare handler over loopback, and a Verifier of package verify that follows what
// is revoked against golang-jwt, which checks the signature alone; once more while
// 32 clients sign in. All take turns, so that a busy moment of the machine falls
// on all.
func BenchmarkApplications(b *testing.B) {
	for name, flooders := range map[string]int{"idle": 0, "while 32 clients sign in": 32} {
		b.Run(name, func(b *testing.B) {
			s := benchServer(b)
			end := make(chan struct{})
			var flood sync.WaitGroup
			defer flood.Wait()
			defer close(end)
			for range flooders {
				flood.Go(func() {
					for {
						select {
						case <-end:
							return
						default:
							_, _ = s.signIn()
						}
					}
				})
			}
			turns := s.turns(b)
			spent := make([]time.Duration, len(turns))
			for b.Loop() {
				for i, turn := range turns {
					start := time.Now()
					turn()
					spent[i] += time.Since(start)
				}
			}
			for i, name := range []string{"forward-auth/bare", "introspect/bare", "verify/golang-jwt"} {
				of := []int{1, 2, 4}[i]
				against := []int{0, 0, 3}[i]
				b.ReportMetric(float64(spent[against])/float64(max(1, spent[of])), name)
			}
			b.ReportMetric(float64(spent[4])/float64(b.N)/checks, "ns/verify")
			b.ReportMetric(float64(spent[3])/float64(b.N)/checks, "ns/golang-jwt")
		})
	}
}

// checks is how often a token is checked in a turn.
const checks = 400

// turns are: the bare handler, forward-auth, introspection, golang-jwt, verify.
func (s *benched) turns(b *testing.B) []func() {
	b.Helper()
	const clients = 8
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	b.Cleanup(bare.Close)
	var turns []func()
	for _, of := range []struct{ method, url, body, authorization string }{
		{"GET", bare.URL, "", "Bearer " + s.access},
		{"GET", s.url + "/v1/forward-auth", "", "Bearer " + s.access},
		{"POST", s.url + "/v1/token/introspect", "token=" + s.access, harness.Basic(s.id, s.secret)["Authorization"][0]},
	} {
		turns = append(turns, func() {
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range checks / clients {
						r, err := http.NewRequest(of.method, of.url, strings.NewReader(of.body))
						if err == nil {
							r.Header.Set("Authorization", of.authorization)
							r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
							err = answered(r)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
	v, err := verify.New(s.url, verify.WithClient(s.id, s.secret), verify.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = v.Close() })
	keys := publicKeys(b, s.url)
	find := func(t *jwt.Token) (any, error) { return keys[t.Header["kid"].(string)], nil }
	middleware := v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+s.access)
	return append(turns, func() {
		for range checks {
			if _, err := jwt.Parse(s.access, find, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(s.url), jwt.WithAudience(s.url)); err != nil {
				b.Error(err)
				return
			}
		}
	}, func() {
		for range checks {
			w := httptest.NewRecorder()
			if middleware.ServeHTTP(w, request); w.Code != http.StatusOK {
				b.Errorf("verify: %d", w.Code)
				return
			}
		}
	})
}

// publicKeys are those of a server, by their ids.
func publicKeys(b *testing.B, url string) map[string]any {
	b.Helper()
	res, err := http.Get(url + "/.well-known/jwks.json")
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		b.Fatal(err)
	}
	keys := map[string]any{}
	for _, k := range set.Keys {
		keys[k.KeyID] = k.Key
	}
	return keys
}

// answered makes a request that must go well.
func answered(r *http.Request) error {
	res, err := harness.HTTPClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d", r.URL.Path, res.StatusCode)
	}
	return nil
}

// benched is a server that hashes as in production, with one account, a token of
// its, and a registered application.
type benched struct{ url, access, id, secret string }

func benchServer(b *testing.B) *benched {
	b.Helper()
	environ := []string{
		"DATABASE_URL=" + dbtest.SQLite(b), "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0", "JWT_SECRET_KEY=" + harness.SecretKey,
		"EVENT_KEY=" + harness.EventKey,
		"API_RATE_LIMIT_REQUESTS=1000000", "LOGIN_RATE_LIMIT_ATTEMPTS=1000000",
	}
	c, err := config.Load(config.Source{Environ: environ, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }})
	if err != nil {
		b.Fatal(err)
	}
	quiet := slog.New(slog.NewJSONHandler(io.Discard, nil))
	s, err := app.Start(b.Context(), c, app.Options{Log: quiet, Version: "test"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Stop() })
	o, done, err := app.Operator(b.Context(), c, quiet, quiet)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = done() })
	known, shown, err := o.CreateClient(b.Context(), "shop", harness.OriginOfTests)
	if err != nil {
		b.Fatal(err)
	}
	out := &benched{url: s.URL(), id: known.ID, secret: shown}
	if _, err := out.post("/v1/register"); err != nil {
		b.Fatal(err)
	}
	if out.access, err = out.signIn(); err != nil || out.access == "" {
		b.Fatal("no token: ", err)
	}
	return out
}

func (s *benched) signIn() (access string, err error) { return s.post("/v1/login") }

func (s *benched) post(path string) (access string, err error) {
	res, err := harness.HTTPClient.Post(s.url+path, "application/json", strings.NewReader(`{"email":"ada@example.org","password":"`+harness.Passphrase+`"}`))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var in struct {
		Access string `json:"access_token"`
	}
	err = json.NewDecoder(res.Body).Decode(&in)
	return in.Access, err
}
