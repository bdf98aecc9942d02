package app_test

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
)

// PW-1, PW-3, TEST-1: what new passwords are refused for, at every door.
func TestPW1_NewPasswords(t *testing.T) {
	each(t, func(h *house) {
		for password, code := range map[string]string{
			"too short": "password_too_short", strings.Repeat("x", 257): "password_too_long", "123456789987654321": "password_breached",
			"Ada.Lovelace.1815": "password_personal", "gatehousegatehouse": "password_personal",
		} {
			h.expect(400, code, request{method: "POST", path: "/v1/register", body: credentials{"ada.lovelace@example.org", password}})
		}
		h.expect(413, "body_too_large", request{method: "POST", path: "/v1/register", body: credentials{"ada@example.org", strings.Repeat("a", 1<<20)}})
		h.expect(413, "body_too_large", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", strings.Repeat("a", 1<<20)}})
		h.expect(202, "", request{method: "POST", path: "/v1/register", body: credentials{"ada.lovelace@example.org", "Ada wrote the first program"}})
	})
	each(t, func(h *house) {
		h.expect(400, "password_needs_digit", request{method: "POST", path: "/v1/register", body: credentials{"ada@example.org", "Correct horse battery staple"}})
		h.expect(202, "", request{method: "POST", path: "/v1/register", body: credentials{"ada@example.org", "Correct horse battery 4 staples"}})
	}, "PASSWORD_REQUIRE_DIGIT=true", "PASSWORD_REQUIRE_UPPERCASE=true")
}

// PW-1: what a person is told who is choosing; nothing of it is logged or kept.
func TestPW1_Strength(t *testing.T) {
	each(t, func(h *house) {
		ask := func(body map[string]string) answer {
			return h.expect(200, "", request{method: "POST", path: "/v1/password/strength", body: body})
		}
		good := ask(map[string]string{"password": passphrase})
		if good.fields["acceptable"] != true || good.fields["score"] != 4.0 {
			h.Errorf("%s", good.text)
		}
		bad := ask(map[string]string{"password": "Ada.Lovelace.1815", "email": "ada@example.org", "name": "Ada Lovelace"})
		if bad.fields["acceptable"] != false || !strings.Contains(bad.text, "password_personal") || bad.header.Get("Cache-Control") != "no-store" {
			h.Errorf("%s", bad.text)
		}
		h.expect(400, "required", request{method: "POST", path: "/v1/password/strength", body: "{}"})
		if log := h.log.String(); strings.Contains(log, passphrase) || strings.Contains(log, "Lovelace") {
			h.Error("the log has a password")
		}
		if got := h.counts(); got["strength success"] != "2" || got["strength invalid"] != "1" {
			h.Errorf("counted %v", got)
		}
	})
}

// PW-2: hashes are upgraded over algorithm and pepper at the next sign-in, and
// open for nobody without the pepper.
func TestPW2_AlgorithmAndPepper(t *testing.T) {
	eachReadable(t, func(h *house) {
		hash := func() (s string) {
			h.Helper()
			if err := h.database().Read(h.Context(), func(tx *db.Tx) error { return tx.QueryRow(`SELECT hash FROM account`).Scan(&s) }); err != nil {
				h.Fatal(err)
			}
			return s
		}
		h.register("ada@example.org")
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
			next := open(h.T, h.dbURL, c.settings...)
			next.login("ada@example.org")
			if !strings.HasPrefix(hash(), c.form) || c.settings != nil && hash() == before {
				h.Errorf("%v: %.40s, before %.40s", c.settings, hash(), before)
			}
			upgraded := hash()
			next.login("ada@example.org")
			if hash() != upgraded {
				h.Errorf("%v: upgraded twice", c.settings)
			}
		}
	})
}

// A pepper that is lost is told at the start, before anybody's sign-in fails.
func TestPW2_NoStartWithoutThePepper(t *testing.T) {
	const pepper = "kZ7xw2-HnQ0cVb9LrTd4YmGs6PeJu1oFa8iXqB3tNyR"
	h := open(t, dbtest.SQLite(t), "PASSWORD_PEPPER="+pepper)
	h.register("ada@example.org")
	for _, setting := range []string{"", pepper[1:] + "x"} {
		if f := refusedStart(t, "DATABASE_URL="+h.dbURL, "PASSWORD_PEPPER="+setting); f.Code != "wrong_pepper" {
			t.Errorf("%q: %v", setting, f)
		}
	}
	open(t, h.dbURL, "PASSWORD_PEPPER="+pepper[1:]+"x", "PASSWORD_PEPPER_PREVIOUS="+pepper).login("ada@example.org")
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
	each(t, func(h *house) {
		h.expect(202, "", request{method: "POST", path: "/v1/register", body: credentials{"ada@example.org", leaked}})
		h.expect(200, "", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", leaked}})
		breached := filepath.Join(h.TempDir(), "pwned.filter")
		filter(h.T, breached, leaked)
		later := open(h.T, h.dbURL, "PASSWORD_BREACH=file", "PASSWORD_BREACH_FILE="+breached)
		for range 7 {
			later.expect(403, "password_breached", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", leaked}})
		}
		later.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", leaked + "!"}})
		later.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{"eve@example.org", leaked}})
		later.expect(400, "password_breached", request{method: "POST", path: "/v1/register", body: credentials{"eve@example.org", leaked}})
		if got := later.counts(); got["sign_in password_breached"] != "7" {
			h.Errorf("counted %v", got)
		}
		open(h.T, h.dbURL, "PASSWORD_BREACH=file", "PASSWORD_BREACH_FILE="+breached, "PASSWORD_BREACH_AT_SIGN_IN=false").
			expect(200, "", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", leaked}})
	}, "PASSWORD_BREACH=file", "PASSWORD_BREACH_FILE="+path)
}

// Passwords expire only where a setting says so, and then for those alone who
// know them.
func TestPW1_Expiry(t *testing.T) {
	c := &clock{}
	h := openAt(t, dbtest.SQLite(t), c.now, "PASSWORD_EXPIRE_DAYS=90")
	h.register("ada@example.org")
	c.shift(89 * 24 * time.Hour)
	h.login("ada@example.org")
	c.shift(2 * 24 * time.Hour)
	h.expect(403, "password_expired", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}})
	h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase + "!"}})
	never := openAt(t, h.dbURL, c.now)
	c.shift(9000 * 24 * time.Hour)
	never.login("ada@example.org")
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
	h := open(t, dbtest.SQLite(t), settings...)
	h.expect(400, "password_breached", request{method: "POST", path: "/v1/register", body: credentials{"ada@example.org", leaked}})
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if a := h.expect(200, "", request{method: "POST", path: "/v1/password/strength", body: map[string]string{"password": leaked + "?"}}); asked.Load() != 1 {
		t.Errorf("the server is told of passwords that are being typed: %s", a.text)
	}
	h.register("ada@example.org")
	down.Store(1)
	h.expect(202, "", request{method: "POST", path: "/v1/register", body: credentials{"eve@example.org", "another long passphrase"}})
	strict := open(t, dbtest.SQLite(t), append(settings, "PASSWORD_BREACH_AWAY=refuse")...)
	a := strict.expect(503, "breach_check_unavailable", request{method: "POST", path: "/v1/register", body: credentials{"eve@example.org", "another long passphrase"}})
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.login("ada@example.org") // whoever signs in need not wait for the server to come back
	if n := strings.Count(h.log.String(), "PASSWORD_BREACH_AWAY"); n != 1 {
		t.Errorf("the outage is told %d times", n)
	}
}

// A filter that is not there, or damaged, is no reason to serve without one.
func TestPW3_NoStartWithoutTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pwned.filter")
	if err := os.WriteFile(path, []byte("gatehouse breach, and then nothing that makes sense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + ".none"} {
		if f := refusedStart(t, "DATABASE_URL="+dbtest.SQLite(t), "PASSWORD_BREACH=file", "PASSWORD_BREACH_FILE="+file); f.Code != "breach_filter_unusable" || !strings.Contains(f.Message, "gatehouse breach build") {
			t.Errorf("%v", f)
		}
	}
}
