package pages_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// C5: what a form is answered that is too large is a page, what an outage of the database is, and
// what a mistake of ours is: with its number to ask with, the way on, and not a word of the cause.
func TestCaseC5_EveryFailureIsAPage(t *testing.T) {
	forms := map[string]harness.Body{
		"/login": {"email": "ada@example.org", "password": harness.Passphrase}, "/register": {"email": "eve@example.org", "new_password": harness.Passphrase},
		"/forgot": {"email": "ada@example.org"}, "/reset": {"token": "gatehouse_mt_x", "new_password": harness.AnotherPassphrase},
		"/verify": {"token": "gatehouse_mt_x"}, "/not-me": {"token": "gatehouse_mt_x"}, "/undo": {"token": "gatehouse_mt_x", "password": harness.Passphrase},
		"/unlock": {"token": "x"}, "/setup": {"token": "x", "email": "eve@example.org", "password": harness.Passphrase},
	}
	cause := regexp.MustCompile(`(?i)sql|database|relation|table|connection|goroutine|\.go:`)
	fails := func(h *harness.Server, b *harness.Browser, status int, more harness.Body, words string) {
		h.Helper()
		for path, in := range forms {
			for name, value := range more {
				in = in.With(name, value)
			}
			a, _, _ := submit(b, path, in)
			if a.Status != status || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || len(ways(a)) == 0 || !strings.Contains(a.Text, words) {
				h.Errorf("%s: %d %q\n%s", path, a.Status, a.Header.Get("Content-Type"), a.Text)
			}
			if found := cause.FindString(a.Text); found != "" {
				h.Errorf("%s: the page says %q\n%s", path, found, a.Text)
			}
			if status == 503 && a.Header.Get("Retry-After") == "" {
				h.Errorf("%s: 503 without Retry-After", path)
			}
		}
	}
	t.Run("too large", func(t *testing.T) {
		h := harness.Open(t, dbtest.SQLite(t))
		fails(h, h.Browser(), 413, harness.Body{"more": strings.Repeat("a", 65<<10)}, "64 KiB")
	})
	t.Run("a mistake", func(t *testing.T) {
		h := harness.Open(t, dbtest.SQLite(t))
		h.Register("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		for _, statement := range []string{`ALTER TABLE account RENAME TO mislaid`, `ALTER TABLE ticket RENAME TO lost`, `ALTER TABLE unlock_link RENAME TO gone`,
			`ALTER TABLE setup_link RENAME TO none`} {
			if err := h.Database().Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(statement); return err }); err != nil {
				t.Fatal(err)
			}
		}
		fails(h, h.Browser(), 500, nil, "")
		a := click(b, "/account")
		if a.Status != 500 || len(ways(a)) == 0 || cause.MatchString(a.Text) || !strings.Contains(a.Text, a.Header.Get("X-Request-Id")) {
			t.Errorf("/account: %d\n%s", a.Status, a.Text)
		}
	})
	t.Run("an outage", func(t *testing.T) {
		p := dbtest.NewProxy(t, dbtest.Postgres(t))
		h := harness.Open(t, p.URL())
		h.Register("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		p.Down()
		fails(h, h.Browser(), 503, nil, "")
		b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_at", MaxAge: -1}})
		a := click(b, "/account")
		if a.Status != 503 || len(ways(a)) == 0 || cause.MatchString(a.Text) || a.Header.Get("Retry-After") == "" {
			t.Errorf("/account: %d\n%s", a.Status, a.Text)
		}
	})
}
