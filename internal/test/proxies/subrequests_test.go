package proxies_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// F3: a page of an application with 900 files, each checked through nginx as the guide has
// it, with the default limits: nothing is refused, with the access cookie or after its end
// with the refresh cookie alone, and the person's own calls and pages go on.
func TestCaseF3_APageOf900FilesThroughNginx(t *testing.T) {
	listens := harness.FreePort(t)
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=http://"+listens, "TRUSTED_PROXIES=127.0.0.1", "API_RATE_LIMIT_REQUESTS=600")
	application, asked := guardedApplication(t)
	harness.Nginx(t, listens, "server { listen "+listens+";\n"+
		harness.Guide(t, "nginx.md", "127.0.0.1:8000", strings.TrimPrefix(h.App.URL(), "http://"), "127.0.0.1:8080", application)+"\n}")
	h.Register("ada@example.org")
	v := &visitor{T: h.T, h: h, address: listens, asked: asked, cookies: map[string]string{}}
	v.signIn("/login?return_to=/", "ada@example.org")
	files := func(cookies string) {
		t.Helper()
		before := asked.Load()
		for i := range 900 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.base()+"/file.js", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Cookie", cookies)
			res, err := harness.HTTPClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != 200 {
				t.Fatalf("file %d: %d, Retry-After %q", i, res.StatusCode, res.Header.Get("Retry-After"))
			}
		}
		if n := asked.Load() - before; n != 900 {
			t.Errorf("the application was asked %d times", n)
		}
	}
	refresh := "gatehouse_rt=" + v.cookies["gatehouse_rt"]
	files("gatehouse_at=" + v.cookies["gatehouse_at"] + "; " + refresh)
	files(refresh)
	if a := v.ask("GET", "/account", "", asPage); a.StatusCode != 200 {
		t.Errorf("/account: %d", a.StatusCode)
	}
	if a := v.ask("GET", "/v1/me", ""); a.StatusCode != 200 {
		t.Errorf("/v1/me: %d", a.StatusCode)
	}
}
