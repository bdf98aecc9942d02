package app_test

import (
	"context"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/limit/redistest"
)

// ENV-1: the guide's template, with real values in the places that it leaves open,
// starts against a PostgreSQL and a Redis that speak TLS alone.
func TestENV1_GuideTemplateStarts(t *testing.T) {
	t.Parallel()
	template, err := os.ReadFile("../config/testdata/guide.env")
	if err != nil {
		t.Fatal(err)
	}
	redis, ca, cert, key := redistest.TLS(t)
	text := strings.NewReplacer(
		"CHANGE_THIS_TO_A_SECURE_RANDOM_STRING_AT_LEAST_32_CHARS", secretKey,
		"postgresql://db_user:STRONG_PASSWORD@db_host:5432/production_db", dbtest.Serving(t).Serving,
		"yourdomain.com", "acme.org",
		"redis://redis_host:6379/0", "rediss://:"+url.PathEscape(redistest.Password)+"@"+redis.Addr()+"/0?ca="+ca+"&cert="+cert+"&key="+key,
	).Replace(string(template))
	c, err := config.Load(config.Source{
		// What the template has not: ports that are free, and no file beside it.
		Environ: []string{"LISTEN_ADDR=127.0.0.1:0", "ADMIN_LISTEN_ADDR=127.0.0.1:0", "EVENT_KEY=" + eventKey},
		ReadFile: func(path string) ([]byte, error) {
			if path == ".env" {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 || !c.Production() {
		t.Errorf("%q", c.Warnings)
	}
	h := &house{T: t, log: &logBuffer{}}
	if h.server, err = app.Start(context.Background(), c, app.Options{Log: slog.New(slog.NewJSONHandler(h.log, nil)), Version: "test"}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	h.redisCounts()
	if h.server.PublicURL() != "https://acme.org" {
		t.Errorf("it is at %s", h.server.PublicURL())
	}
	status, ready := h.admin("/readyz")
	if status != 200 || strings.Contains(ready, `"redis"`) {
		t.Errorf("readyz: %d %s", status, ready)
	}
}
