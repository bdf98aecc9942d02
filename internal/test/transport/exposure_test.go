package transport_test

import (
	"context"
	"io/fs"
	"log/slog"
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
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func faultOfStart(t *testing.T, c *config.Config) *fault.Error {
	t.Helper()
	s, err := app.Start(t.Context(), c, app.Options{Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err == nil {
		_ = s.Stop()
		return nil
	}
	return fault.As(err)
}

// V13.2.2: production does not serve as a superuser, and says what to do.
func TestASVS_V13_2_2_ASuperuserDoesNotServe(t *testing.T) {
	i := dbtest.Serving(t)
	f := faultOfStart(t, harness.ProductionSettings(t, "DATABASE_URL="+i.Admin))
	if f == nil || f.Code != "database_unsafe" || !strings.Contains(f.Message, "superuser") || !strings.Contains(f.Message, "migrate --roles") {
		t.Errorf("%v", f)
	}
}

// V13.3.2: secrets that an earlier start left, or that somebody planted, and the folder
// of the data: refused in production if others get at them.
func TestASVS_V13_3_2_SecretsBesideTheData(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		mode fs.FileMode
		says string
	}{
		"a folder for everybody":  {"", 0o777, "may be written by every user"},
		"a secret for everybody":  {"jwt_secret_key", 0o644, "may be read by every user"},
		"a key that others write": {"event_key", 0o666, "may be written by every user"},
		"as it is made":           {"event_key", 0o600, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := strings.TrimSuffix(strings.TrimPrefix(dbtest.SQLite(t), "sqlite:"), "/gatehouse.db")
			if c.path != "" {
				if err := os.WriteFile(filepath.Join(dir, c.path), []byte(harness.EventKey), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(filepath.Join(dir, c.path), c.mode); err != nil {
				t.Fatal(err)
			}
			f := faultOfStart(t, harness.ProductionSettings(t, "DATABASE_URL=sqlite:"+dir+"/gatehouse.db"))
			if c.says == "" && f != nil || c.says != "" && (f == nil || f.Code != "secret_exposed" || !strings.Contains(f.Message, c.says)) {
				t.Errorf("%v", f)
			}
		})
	}
}

// F9: the addresses of the guide for Traefik serve in production: behind a private network
// without TLS, the admin listener too; health asks there.
func TestCaseF9_APrivateNetworkServes(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "ENVIRONMENT=production", "PUBLIC_URL=https://auth.acme.org", "BCRYPT_COST=12",
		"LISTEN_ADDR=0.0.0.0:0", "ADMIN_LISTEN_ADDR=0.0.0.0:0", "PRIVATE_NETWORKS=172.18.0.0/16", "TRUSTED_PROXIES=172.18.0.0/16")
	if status, text := h.Admin("/readyz"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
}

// The admin listener answers to no public name but PUBLIC_URL's.
func TestTheAdminListenerKnowsItsNames(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	for host, want := range map[string]bool{"evil.example": false, "localhost": true, "": true, "gatehouse:9000": true, "10.0.0.7:9000": true} {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, h.App.AdminURL()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if (res.StatusCode == 200) != want {
			t.Errorf("%q: %d", host, res.StatusCode)
		}
	}
}

// V13.4.2: profiles end an hour after the start in production.
func TestASVS_V13_4_2_ProfilesEnd(t *testing.T) {
	now := time.Now()
	c := harness.ProductionSettings(t, "DATABASE_URL="+dbtest.SQLite(t), "ADMIN_PPROF=true")
	var offset atomic.Int64
	s, err := app.Start(t.Context(), c, app.Options{Log: slog.New(slog.DiscardHandler), Version: "test",
		Now: func() time.Time { return now.Add(time.Duration(offset.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	for _, want := range []int{200, 404} {
		res, err := http.Get(s.AdminURL() + "/debug/pprof/goroutine")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%d, want %d", res.StatusCode, want)
		}
		offset.Store(int64(61 * time.Minute))
	}
}
