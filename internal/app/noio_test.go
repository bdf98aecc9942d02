package app_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestJWT5_ACheckAsksNobody: while the memory is fresh, forward-auth, introspection
// and our own API's check are answered with a database that answers nothing. The
// clock stands still, so that the memory stays fresh however long this takes.
func TestJWT5_ACheckAsksNobody(t *testing.T) {
	t.Parallel()
	stands := time.Now().Truncate(time.Second)
	p := dbtest.NewProxy(t, dbtest.Postgres(t))
	h := openAt(t, p.URL(), func() time.Time { return stands })
	app := h.application("shop")
	h.register("ada@example.org")
	good, ended := h.login("ada@example.org").str("access_token"), h.login("ada@example.org").str("access_token")
	h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: ended})
	questions := map[string]func() (request, int, string){
		"forward-auth": func() (request, int, string) {
			return request{method: "GET", path: "/v1/forward-auth", bearer: good}, 200, ""
		},
		"forward-auth, revoked": func() (request, int, string) {
			return request{method: "GET", path: "/v1/forward-auth", bearer: ended}, 401, "invalid_token"
		},
		"introspection":           func() (request, int, string) { return app.ask("/v1/token/introspect", good), 200, "" },
		"introspection, revoked":  func() (request, int, string) { return app.ask("/v1/token/introspect", ended), 200, "" },
		"the feed of revocations": func() (request, int, string) { return app.follow("", "0"), 200, "" },
		"our own check": func() (request, int, string) {
			return request{method: "PATCH", path: "/v1/me", bearer: good, body: "{"}, 400, "invalid_json"
		},
		"our own check, revoked": func() (request, int, string) {
			return request{method: "PATCH", path: "/v1/me", bearer: ended, body: "{"}, 401, "invalid_token"
		},
		"our own check, of nothing": func() (request, int, string) {
			return request{method: "PATCH", path: "/v1/me", body: "{"}, 401, "not_signed_in"
		},
	}
	ask := func(name string) error {
		r, status, code := questions[name]()
		a, err := h.try(r)
		if err == nil && (a.status != status || a.str("code") != code) {
			err = fmt.Errorf("%d %s", a.status, a.text)
		}
		return err
	}
	for name := range questions { // warms the memory
		if err := ask(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	p.Stall()
	defer p.Up()
	var all sync.WaitGroup
	for range 16 {
		for name := range questions {
			all.Go(func() {
				if err := ask(name); err != nil {
					t.Errorf("%s, with a database that does not answer: %v", name, err)
				}
			})
		}
	}
	all.Wait()
	// What reads the account does ask, or this was no test.
	if a := h.do(request{method: "GET", path: "/v1/me", bearer: good}); a.status != 503 {
		t.Errorf("the account, with a database that does not answer: %d %s", a.status, a.text)
	}
}
