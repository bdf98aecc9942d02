package applications_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestJWT5_ACheckAsksNobody: while the memory is fresh, forward-auth, introspection
// and our own API's check are answered with a database that answers nothing. The
// clock stands still, so that the memory stays fresh however long this takes.
func TestJWT5_ACheckAsksNobody(t *testing.T) {
	t.Parallel()
	stands := time.Now().Truncate(time.Second)
	p := dbtest.NewProxy(t, dbtest.Postgres(t))
	h := harness.OpenAt(t, p.URL(), func() time.Time { return stands })
	app := h.Application("shop")
	h.Register("ada@example.org")
	good, ended := h.Login("ada@example.org").Str("access_token"), h.Login("ada@example.org").Str("access_token")
	h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: ended})
	questions := map[string]func() (harness.Request, int, string){
		"forward-auth": func() (harness.Request, int, string) {
			return harness.Get("/v1/forward-auth", good), 200, ""
		},
		"forward-auth, revoked": func() (harness.Request, int, string) {
			return harness.Get("/v1/forward-auth", ended), 401, "invalid_token"
		},
		"introspection":           func() (harness.Request, int, string) { return app.Ask("/v1/token/introspect", good), 200, "" },
		"introspection, revoked":  func() (harness.Request, int, string) { return app.Ask("/v1/token/introspect", ended), 200, "" },
		"the feed of revocations": func() (harness.Request, int, string) { return app.Follow("", "0"), 200, "" },
		"our own check": func() (harness.Request, int, string) {
			return harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: good, Body: "{"}, 400, "invalid_json"
		},
		"our own check, revoked": func() (harness.Request, int, string) {
			return harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: ended, Body: "{"}, 401, "invalid_token"
		},
		"our own check, of nothing": func() (harness.Request, int, string) {
			return harness.Request{Method: "PATCH", Path: "/v1/me", Body: "{"}, 401, "not_signed_in"
		},
	}
	ask := func(name string) error {
		r, status, code := questions[name]()
		a, err := h.Try(r)
		if err == nil && (a.Status != status || a.Str("code") != code) {
			err = fmt.Errorf("%d %s", a.Status, a.Text)
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
	if a := h.Do(harness.Get("/v1/me", good)); a.Status != 503 {
		t.Errorf("the account, with a database that does not answer: %d %s", a.Status, a.Text)
	}
}
