package signin_test

import (
	"crypto/sha1" // the corpus is one of SHA-1 hashes
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// PW-1, PW-3, TEST-1: what new passwords are refused for, at every door.
func TestPW1_NewPasswords(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		for password, code := range map[string]string{
			"too short": "password_too_short", strings.Repeat("x", 257): "password_too_long", "123456789987654321": "password_breached",
			"Ada.Lovelace.1815": "password_personal", "gatehousegatehouse": "password_personal",
		} {
			h.Expect(400, code, harness.Post("/v1/register", harness.Credentials{Email: "ada.lovelace@example.org", Password: password}))
		}
		h.Expect(413, "body_too_large", harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: strings.Repeat("a", 1<<20)}))
		h.Expect(413, "body_too_large", harness.SignInAs("ada@example.org", strings.Repeat("a", 1<<20)))
		h.Expect(202, "", harness.Post("/v1/register", harness.Credentials{Email: "ada.lovelace@example.org", Password: "Ada wrote the first program"}))
	})
	harness.Each(t, func(h *harness.Server) {
		h.Expect(400, "password_needs_digit", harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: "Correct horse battery staple"}))
		h.Expect(202, "", harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: "Correct horse battery 4 staples"}))
	}, "PASSWORD_REQUIRE_DIGIT=true", "PASSWORD_REQUIRE_UPPERCASE=true")
}

// PW-1: what a person choosing a password is told; nothing of it is logged or stored.
func TestPW1_Strength(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		ask := func(body map[string]string) harness.Answer {
			return h.Expect(200, "", harness.Post("/v1/password/strength", body))
		}
		good := ask(map[string]string{"password": harness.Passphrase})
		if good.Fields["acceptable"] != true || good.Fields["score"] != 4.0 {
			h.Errorf("%s", good.Text)
		}
		bad := ask(map[string]string{"password": "Ada.Lovelace.1815", "email": "ada@example.org", "name": "Ada Lovelace"})
		if bad.Fields["acceptable"] != false || !strings.Contains(bad.Text, "password_personal") || bad.Header.Get("Cache-Control") != "no-store" {
			h.Errorf("%s", bad.Text)
		}
		h.Expect(400, "required", harness.Post("/v1/password/strength", "{}"))
		// What can become no address and no name is not looked at.
		for code, body := range map[string]harness.Body{
			"invalid_email": {"password": harness.Passphrase, "email": strings.Repeat("a", 255)},
			"name_too_long": {"password": harness.Passphrase, "name": strings.Repeat("é", 101)},
		} {
			h.Expect(400, code, harness.Post("/v1/password/strength", body))
		}
		if log := h.Logs.String(); strings.Contains(log, harness.Passphrase) || strings.Contains(log, "Lovelace") {
			h.Error("the log has a password")
		}
		if got := h.Counts(); got["strength success"] != "2" || got["strength invalid"] != "3" {
			h.Errorf("counted %v", got)
		}
	})
}

// PW-2: hashes are upgraded over algorithm and pepper at the next sign-in, and
// open for nobody without the pepper.
func TestPW2_AlgorithmAndPepper(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		hash := func() (s string) {
			h.Helper()
			if err := h.Database().Read(h.Context(), func(tx *db.Tx) error { return tx.QueryRow(`SELECT hash FROM account`).Scan(&s) }); err != nil {
				h.Fatal(err)
			}
			return s
		}
		h.Register("ada@example.org")
		pepper, other := "PASSWORD_PEPPER=kZ7xw2-HnQ0cVb9LrTd4YmGs6PeJu1oFa8iXqB3tNyR", "Vq3-8rTzLk0WnYb5HsXe7JcUoPmD2gAf1iNtR9yQwKE"
		for _, c := range []struct {
			settings []string
			form     string
		}{
			{nil, "h1:$2a$04$"},
			{[]string{"PASSWORD_HASH=argon2id"}, "h1:$argon2id$v=19$m=19456,t=2,p=1$"},
			{[]string{"PASSWORD_HASH=argon2id", "ARGON2_PASSES=3"}, "h1:$argon2id$v=19$m=19456,t=3,p=1$"},
			{[]string{pepper}, "p1:"},
			{[]string{"PASSWORD_PEPPER=" + other, strings.Replace(pepper, "PEPPER", "PEPPER_PREVIOUS", 1)}, "p1:"},
			{[]string{"PASSWORD_PEPPER_PREVIOUS=" + other}, "h1:$2a$04$"},
		} {
			before := hash()
			next := harness.Open(h.T, h.DBURL, c.settings...)
			next.Login("ada@example.org")
			if !strings.HasPrefix(hash(), c.form) || c.settings != nil && hash() == before {
				h.Errorf("%v: %.40s, before %.40s", c.settings, hash(), before)
			}
			upgraded := hash()
			next.Login("ada@example.org")
			if hash() != upgraded {
				h.Errorf("%v: upgraded twice", c.settings)
			}
		}
	})
}

// A lost pepper is reported at startup, before anybody's sign-in fails.
func TestPW2_NoStartWithoutThePepper(t *testing.T) {
	const pepper = "kZ7xw2-HnQ0cVb9LrTd4YmGs6PeJu1oFa8iXqB3tNyR"
	h := harness.Open(t, dbtest.SQLite(t), "PASSWORD_PEPPER="+pepper)
	h.Register("ada@example.org")
	for _, setting := range []string{"", pepper[1:] + "x"} {
		if f := harness.RefusedStart(t, "DATABASE_URL="+h.DBURL, "PASSWORD_PEPPER="+setting); f.Code != "wrong_pepper" {
			t.Errorf("%q: %v", setting, f)
		}
	}
	harness.Open(t, h.DBURL, "PASSWORD_PEPPER="+pepper[1:]+"x", "PASSWORD_PEPPER_PREVIOUS="+pepper).Login("ada@example.org")
}

// leaked is known to the corpora of these tests.
const leaked = "a leaked secret, number 17"

// filter makes a filter file of the passwords.
func filter(t *testing.T, path string, password string) {
	t.Helper()
	corpus := fmt.Sprintf("%X:3\n", sha1.Sum([]byte(password)))
	if _, err := breach.Build(t.Context(), breach.Plan{Corpus: breach.Corpus{In: strings.NewReader(corpus)}, Path: path, Bits: 32}); err != nil {
		t.Fatal(err)
	}
}

// PW-3: a password that was fine when it was set, and has been breached since, is
// refused to whoever knows it, and counts as no guess.
func TestPW3_BreachedSince(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pwned.filter")
	filter(t, path, "something else")
	harness.Each(t, func(h *harness.Server) {
		h.Expect(202, "", harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: leaked}))
		h.Expect(200, "", harness.SignInAs("ada@example.org", leaked))
		breached := filepath.Join(h.TempDir(), "pwned.filter")
		filter(h.T, breached, leaked)
		later := harness.Open(h.T, h.DBURL, "PASSWORD_BREACH=file", "PASSWORD_BREACH_FILE="+breached)
		for range 7 {
			later.Expect(403, "password_breached", harness.SignInAs("ada@example.org", leaked))
		}
		later.Expect(401, "invalid_credentials", harness.SignInAs("ada@example.org", leaked+"!"))
		later.Expect(401, "invalid_credentials", harness.SignInAs("eve@example.org", leaked))
		later.Expect(400, "password_breached", harness.Post("/v1/register", harness.Credentials{Email: "eve@example.org", Password: leaked}))
		if got := later.Counts(); got["sign_in password_breached"] != "7" {
			h.Errorf("counted %v", got)
		}
		harness.Open(h.T, h.DBURL, "PASSWORD_BREACH=file", "PASSWORD_BREACH_FILE="+breached, "PASSWORD_BREACH_AT_SIGN_IN=false").
			Expect(200, "", harness.SignInAs("ada@example.org", leaked))
	}, "PASSWORD_BREACH=file", "PASSWORD_BREACH_FILE="+path)
}

// Passwords expire only where a setting says so, and then for those alone who
// know them.
func TestPW1_Expiry(t *testing.T) {
	c := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), c.Now, "PASSWORD_EXPIRE_DAYS=90")
	h.Register("ada@example.org")
	c.Shift(89 * 24 * time.Hour)
	h.Login("ada@example.org")
	c.Shift(2 * 24 * time.Hour)
	h.Expect(403, "password_expired", harness.SignInAs("ada@example.org", harness.Passphrase))
	h.Expect(401, "invalid_credentials", harness.SignInAs("ada@example.org", harness.Passphrase+"!"))
	never := harness.OpenAt(t, h.DBURL, c.Now)
	c.Shift(9000 * 24 * time.Hour)
	never.Login("ada@example.org")
}

// PW-3: the range API, and what happens while it is away.
func TestPW3_TheAPI(t *testing.T) {
	var asked, down atomic.Int64
	digits := fmt.Sprintf("%X", sha1.Sum([]byte(leaked)))
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if down.Load() > 0 {
			http.Error(w, "", http.StatusBadGateway)
		} else if r.URL.Path == "/range/"+digits[:5] {
			fmt.Fprintf(w, "%s:12\r\n", digits[5:])
		}
	}))
	defer api.Close()
	settings := []string{"PASSWORD_BREACH=api", "PASSWORD_BREACH_API_URL=" + api.URL}
	h := harness.Open(t, dbtest.SQLite(t), settings...)
	h.Expect(400, "password_breached", harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: leaked}))
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if a := h.Expect(200, "", harness.Post("/v1/password/strength", map[string]string{"password": leaked + "?"})); asked.Load() != 1 {
		t.Errorf("the server receives passwords that are being typed: %s", a.Text)
	}
	h.Register("ada@example.org")
	down.Store(1)
	h.Expect(202, "", harness.Post("/v1/register", harness.Credentials{Email: "eve@example.org", Password: "another long passphrase"}))
	strict := harness.Open(t, dbtest.SQLite(t), append(settings, "PASSWORD_BREACH_AWAY=refuse")...)
	a := strict.Expect(503, "breach_check_unavailable",
		harness.Post("/v1/register", harness.Credentials{Email: "eve@example.org", Password: "another long passphrase"}))
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.Login("ada@example.org") // whoever signs in need not wait for the server to come back
	if n := strings.Count(h.Logs.String(), "PASSWORD_BREACH_AWAY"); n != 1 {
		t.Errorf("the outage is logged %d times", n)
	}
}

// A filter that is not there, or damaged, is no reason to serve without one.
func TestPW3_NoStartWithoutTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pwned.filter")
	if err := os.WriteFile(path, []byte("gatehouse breach, and then nothing that makes sense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + ".none"} {
		if f := harness.RefusedStart(t, "DATABASE_URL="+dbtest.SQLite(t), "PASSWORD_BREACH=file", "PASSWORD_BREACH_FILE="+file); f.Code != "breach_filter_unusable" ||
			!strings.Contains(f.Message, "gatehouse breach build") {
			t.Errorf("%v", f)
		}
	}
}
