package app_test

import (
	"encoding/json"
	"errors"
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

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/db/dbtest"
)

// BenchmarkApplications holds forward-auth and introspection, with warm memory,
// against a bare handler over loopback, with eight clients on the same machine.
// They take turns of 400 requests, so that a busy moment of the machine falls on all.
func BenchmarkApplications(b *testing.B) {
	const clients, turn = 8, 400
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	defer bare.Close()
	var asks []func() (*http.Request, error)
	url, access, application := benchServer(b)
	for _, of := range []struct{ method, url, body, authorization string }{
		{"GET", bare.URL, "", "Bearer " + access},
		{"GET", url + "/v1/forward-auth", "", "Bearer " + access},
		{"POST", url + "/v1/token/introspect", "token=" + access, application},
	} {
		asks = append(asks, func() (*http.Request, error) {
			r, err := http.NewRequest(of.method, of.url, strings.NewReader(of.body))
			if err == nil {
				r.Header.Set("Authorization", of.authorization)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			return r, err
		})
	}
	spent := make([]time.Duration, len(asks))
	for b.Loop() {
		for i, ask := range asks {
			start := time.Now()
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range turn / clients {
						if err := answered(ask); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			spent[i] += time.Since(start)
		}
	}
	for i, name := range []string{"", "forward-auth/bare", "introspect/bare"} {
		if i > 0 {
			b.ReportMetric(float64(spent[0])/float64(max(1, spent[i])), name)
		}
	}
}

// answered makes a request that must go well.
func answered(ask func() (*http.Request, error)) error {
	r, err := ask()
	if err != nil {
		return err
	}
	res, err := client.Do(r)
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

// benchServer starts a server, and returns an access token and the Authorization
// of a registered application.
func benchServer(b *testing.B) (url, access, authorization string) {
	b.Helper()
	environ := []string{
		"DATABASE_URL=" + dbtest.SQLite(b), "LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0", "JWT_SECRET_KEY=" + secretKey, "EVENT_KEY=" + eventKey, "BCRYPT_COST=4",
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
	known, shown, err := o.CreateClient(b.Context(), "shop", originOfTests)
	if err != nil {
		b.Fatal(err)
	}
	who := `{"email":"ada@example.org","password":"` + passphrase + `"}`
	for _, path := range []string{"/v1/register", "/v1/login"} {
		res, err := http.Post(s.URL()+path, "application/json", strings.NewReader(who))
		if err != nil {
			b.Fatal(err)
		}
		var in struct {
			Access string `json:"access_token"`
		}
		err = json.NewDecoder(res.Body).Decode(&in)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			b.Fatal(err)
		}
		access = in.Access
	}
	return s.URL(), access, basic(known.ID, shown)["Authorization"][0]
}
