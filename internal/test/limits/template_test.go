package limits_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// ENV-1: the guide's template, with its placeholders replaced by real values and
// nothing else changed, starts on a PostgreSQL and a Redis that speak TLS alone, and
// its limits are in force.
func TestENV1_TheGuidesTemplateStarts(t *testing.T) {
	redis, ca, cert, key := redistest.TLS(t)
	redisURL := url.URL{
		Scheme: "rediss", User: url.UserPassword("default", redistest.Password), Host: redis.Addr(), Path: "/0",
		RawQuery: url.Values{"ca": {ca}, "cert": {cert}, "key": {key}}.Encode(),
	}
	template, err := os.ReadFile(proctest.File("internal/base/config/testdata/guide.env"))
	if err != nil {
		t.Fatal(err)
	}
	env := strings.NewReplacer(
		"CHANGE_THIS_TO_A_SECURE_RANDOM_STRING_AT_LEAST_32_CHARS", harness.SecretKey,
		"postgresql://db_user:STRONG_PASSWORD@db_host:5432/production_db", dbtest.NewServer(t, "fsync=on").Serving().Serving,
		"redis://redis_host:6379/0", redisURL.String(), "yourdomain.com", "gatehouse.test",
	).Replace(string(template))
	t.Chdir(t.TempDir()) // where it keeps what the template does not give it
	c, err := config.Load(config.Source{
		Environ: []string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0"}, // any, next to other tests
		ReadFile: func(path string) ([]byte, error) {
			if path == ".env" {
				return []byte(env), nil
			}
			return nil, fs.ErrNotExist
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("the start warns: %q", c.Warnings)
	}
	h := &harness.Server{T: t, Logs: &harness.LogBuffer{}}
	if h.App, err = app.Start(context.Background(), c, app.Options{Log: slog.New(slog.NewJSONHandler(h.Logs, nil)), Version: "test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.App.Stop(); err != nil {
			t.Error(err)
		}
	})
	redisCounts(h)
	// As the proxy on the same machine passes it on.
	register := func(address, email string) (status int, limit string) {
		t.Helper()
		body := fmt.Sprintf(`{"email":%q,"password":%q}`, email, harness.Passphrase)
		r, err := http.NewRequest(http.MethodPost, h.App.URL()+"/v1/register", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "gatehouse.test"
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {address}}
		res, err := harness.HTTPClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.Header.Get("Ratelimit-Policy")
	}
	for i := range 2 {
		if status, _ := register("192.0.2.1", fmt.Sprintf("u%d@gatehouse.test", i)); status != http.StatusAccepted {
			t.Fatalf("registration %d: %d\n%s", i, status, h.Logs)
		}
	}
	if status, limit := register("192.0.2.1", "u2@gatehouse.test"); status != http.StatusTooManyRequests || limit != `"registration";q=2;w=7200` {
		t.Errorf("the third: %d %s", status, limit)
	}
	if status, _ := register("192.0.2.2", "u2@gatehouse.test"); status != http.StatusAccepted {
		t.Errorf("from elsewhere: %d", status)
	}
}
