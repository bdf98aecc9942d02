package importing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
	"github.com/gatehouse-auth/gatehouse/internal/feature/intake"
	"github.com/gatehouse-auth/gatehouse/internal/ops/importing"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const (
	exports = "../../ops/importing/testdata/"
	// old is the password of everybody in the exports, but where a public vector has another.
	old = "wet paint on the old bench"
)

// firebaseKey is that of a public vector.
var firebaseKey = foreign.FirebaseKey{
	SignerKey:     "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
	SaltSeparator: "Bw==", Rounds: 8, MemCost: 14,
}

// open opens a file to import; close it.
func open(h *harness.Server, system, path string) *importing.Import {
	h.Helper()
	i := &importing.Import{
		Operator: h.Operator(), From: harness.OriginOfTests, Target: 1e9,
		Options: importing.Options{System: system, AllVerified: true, Firebase: firebaseKey},
	}
	if err := i.Open(path); err != nil {
		h.Fatal(err)
	}
	return i
}

// hashOf returns how somebody's stored hash begins.
func hashOf(h *harness.Server, email string) (hash string) {
	h.Helper()
	err := h.Mailbox().DB.Read(h.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT hash FROM account WHERE email_key = $1`, email).Scan(&hash)
	})
	if err != nil {
		h.Fatalf("%s: %v", email, err)
	}
	return hash
}

// Whatever system they come from, people sign in at once with the passwords that they have, on a server that runs; the hash is
// one of ours then, and another password is wrong before and after.
func TestPeopleOfEverySystemSignIn(t *testing.T) {
	for file, c := range map[string]struct {
		system string
		people map[string]string // with another password than most
	}{
		"django.json":   {"django", map[string]string{"ada": "", "grace": "", "alan": "", "old": ""}},
		"keycloak.json": {"keycloak", map[string]string{"ada": "", "grace": "", "alan": "", "old": ""}},
		"firebase.json": {"firebase", map[string]string{"ada": "user1password"}},
		"supabase.csv":  {"supabase", map[string]string{"ada": ""}},
		"auth0.ndjson":  {"auth0", map[string]string{"ada": "", "grace": ""}},
		"kratos.json":   {"kratos", map[string]string{"ada": "", "old": ""}},
		"zitadel.json":  {"zitadel", map[string]string{"ada": "", "grace": ""}},
		"devise.csv":    {"devise", map[string]string{"ada": "", "grace": ""}},
		"plain.csv":     {"csv", map[string]string{"ada": ""}},
	} {
		t.Run(file, func(t *testing.T) {
			h := harness.Open(t, dbtest.SQLite(t)) // what a hash is does not depend on the database
			i := open(h, c.system, exports+file)
			defer i.Close()
			if _, _, err := i.Run(h.Context(), filepath.Join(h.TempDir(), "report")); err != nil {
				h.Fatal(err)
			}
			for name, pass := range c.people {
				email := name + "@example.org"
				if pass == "" {
					pass = old
				}
				if hash := hashOf(h, email); !strings.HasPrefix(hash, "i1:") && !strings.HasPrefix(hash, "w1:") {
					h.Errorf("%s: %.12s", email, hash)
				}
				h.Expect(401, "invalid_credentials", harness.SignInAs(email, pass+"!"))
				h.Expect(200, "", harness.SignInAs(email, pass))
				if hash := hashOf(h, email); !strings.HasPrefix(hash, "h1:") {
					h.Errorf("%s is not upgraded: %.12s", email, hash)
				}
				h.Expect(200, "", harness.SignInAs(email, pass))
				h.Expect(401, "invalid_credentials", harness.SignInAs(email, pass+"!"))
			}
		})
	}
}

// manyOf writes a file of so many people, some of whom are refused or stand in it twice.
func manyOf(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("email,name,id,password_hash\n")
	for i := range n {
		switch i % 10 {
		case 7:
			fmt.Fprintf(&b, "nobody,,%d,\n", i)
		case 8:
			fmt.Fprintf(&b, "p%d@example.org,,%d,\n", i-8, i) // twice, often in another batch
		case 9:
			fmt.Fprintf(&b, "p%d@example.org,,%d,$md5$ptoWyof5SobW+pbZu2QXoQ==\n", i, i) // work for the pool
		default:
			fmt.Fprintf(&b, "p%d@example.org,Person %d,%d,$2a$12$CAYz4jnrAArMJkodJp8iceXLu7V.n7xD/3m0jUevvxnu3w5Np5gii\n", i, i, i)
		}
	}
	path := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// told is a line of the report without the account, which is another each time.
func told(t *testing.T, report string) (lines []string, accounts map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	accounts = map[string]bool{}
	for l := range strings.Lines(string(text)) {
		var line struct {
			Record                    int64
			ID, Result, Code, Account string
		}
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		if line.Result == "made" {
			accounts[line.Account] = true
		}
		lines = append(lines, fmt.Sprint(line.Record, line.ID, line.Result, line.Code))
	}
	return lines, accounts
}

// An import that is broken off again and again, between any two entries, ends with the accounts and the report of one that was
// not: also where the report was written and the accounts were not.
func TestAnImportThatIsBrokenOffGoesOn(t *testing.T) {
	path := manyOf(t, 200)
	harness.Each(t, func(h *harness.Server) {
		report := filepath.Join(h.TempDir(), "report")
		var run intake.Run
		for stop, done := int64(3), false; !done; stop += 17 {
			ctx, cancel := context.WithCancel(h.Context())
			i, seen := open(h, "csv", path), int64(0)
			i.Progress = func(step string, _, _ int64) {
				if seen++; step == "importing" && seen > 200+stop {
					cancel()
				}
			}
			var err error
			if run, _, err = i.Run(ctx, report); err != nil && !errors.Is(err, context.Canceled) {
				h.Fatal(err)
			}
			done = err == nil
			i.Close()
			cancel()
			if done {
				break
			}
			// It was killed when the lines of the next batch were on disk.
			f, err := os.OpenFile(report, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString(`{"record":1000,"result":"made","account":"01900000-`)
			}
			if err := errors.Join(err, f.Close()); err != nil {
				h.Fatal(err)
			}
		}
		if run.Done != 200 || run.Made != 140 || run.Twice != 40 || run.Refused != 20 || run.Had != 0 || run.Passwordless != 0 {
			h.Errorf("%+v", run.Counts)
		}
		lines, accounts := told(h.T, report)
		for n, l := range lines {
			if !strings.HasPrefix(l, fmt.Sprint(n+1)) {
				h.Fatalf("line %d of the report is about another: %s", n+1, l)
			}
		}
		if n := h.Count(`SELECT COUNT(*) FROM account`); len(lines) != 200 || n != 140 || len(accounts) != 140 {
			h.Errorf("%d lines, %d accounts, of which the report has %d", len(lines), n, len(accounts))
		}
		// Once more, nothing changes.
		i := open(h, "csv", path)
		defer i.Close()
		if _, _, err := i.Run(h.Context(), report); err == nil {
			h.Error("the report is written over")
		}
		again, resumed, err := i.Run(h.Context(), report+"2")
		if err != nil || resumed || again.Made != 0 || again.Had != 140 || again.Twice != 40 {
			h.Errorf("%+v, %t, %v", again.Counts, resumed, err)
		}
	})
}

// Two who import the same file at once, and people who register meanwhile: nobody has two accounts, and one import gives way.
func TestTwoImportsOfOneFile(t *testing.T) {
	path := manyOf(t, 200)
	harness.Each(t, func(h *harness.Server) {
		failed := make(chan error, 2)
		for n := range 2 {
			i := open(h, "csv", path)
			go func() {
				defer i.Close()
				_, _, err := i.Run(h.Context(), filepath.Join(h.TempDir(), fmt.Sprint("report", n)))
				failed <- err
			}()
		}
		for range 10 {
			h.Register("p1@example.org")
		}
		var errs []error
		for range 2 {
			if err := <-failed; err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) == 2 {
			h.Errorf("both failed: %v", errs)
		}
		if n := h.Count(`SELECT COUNT(*) FROM account`); n != 140 {
			h.Errorf("%d accounts", n)
		}
	})
}

// Nothing of an existing account is changed, whatever the file says; roles and verified addresses have to be asked for.
func TestAnImportGivesNothingUnasked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.csv")
	text := "email,email_verified,roles,password_hash\nAda@Example.org,true,admin,$md5$ptoWyof5SobW+pbZu2QXoQ==\neve@example.org,true,admin,\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		before := hashOf(h, "ada@example.org")
		i := open(h, "csv", path)
		defer i.Close()
		i.Options.AllVerified = false
		if _, _, err := i.Run(h.Context(), filepath.Join(h.TempDir(), "report")); err != nil {
			h.Fatal(err)
		}
		if hashOf(h, "ada@example.org") != before {
			h.Error("the password of an existing account was replaced")
		}
		if n := h.Count(`SELECT COUNT(*) FROM account WHERE roles <> '[]' OR email_key = 'eve@example.org' AND verified_at IS NOT NULL`); n != 0 {
			h.Errorf("%d have what was not asked for", n)
		}
		asked := open(h, "csv", path)
		defer asked.Close()
		asked.Options.AllVerified, asked.Options.TrustVerified, asked.Options.Roles = false, true, true
		if _, _, err := asked.Run(h.Context(), filepath.Join(h.TempDir(), "report2")); err != nil {
			h.Fatal(err)
		}
		if n := h.Count(`SELECT COUNT(*) FROM account WHERE roles <> '[]'`); n != 0 {
			h.Error("an existing account got a role")
		}
	})
}

// file writes a file of people.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "people")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// imported is the report of an import, each with the address of the account that it names.
func imported(h *harness.Server, i *importing.Import) (lines []string) {
	h.Helper()
	defer i.Close()
	report := filepath.Join(h.T.TempDir(), "report")
	if _, _, err := i.Run(h.Context(), report); err != nil {
		h.Fatal(err)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		h.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		var line struct{ ID, Result, Code, Account string }
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			h.Fatalf("%q: %v", l, err)
		}
		of := ""
		if line.Account != "" {
			a, err := h.Operator().User(h.Context(), line.Account)
			if err != nil {
				h.Fatal(err)
			}
			of = a.Email
		}
		lines = append(lines, strings.TrimSpace(strings.Join(strings.Fields(line.ID+" "+line.Result+" "+line.Code+" "+of), " ")))
	}
	return lines
}

// Where addresses are not unique in the other system, whoever comes first in the file would get the address, and with it what
// the others have: so none of them does, however the address is written, and also if another of them is refused anyway.
func TestAnAddressOfSeveralIsNobodys(t *testing.T) {
	path := file(t, "email,id,password_hash\nada@example.org,1,!\neve@example.org,2,!\nADA@Example.org,3,!\n"+
		"eve@example.org,4,pbkdf2_sha256$2147483648$s$x\nalan@example.org,5,!\n")
	harness.Each(t, func(h *harness.Server) {
		i := open(h, "csv", path)
		p, err := i.Preview(h.Context())
		if err != nil || p.Twice != 3 || p.Made != 1 || p.Refused != 1 || len(p.Refusals) != 4 || p.Refusals[0].Code != "duplicate" {
			h.Errorf("%+v, %v", p, err)
		}
		got := imported(h, i)
		want := []string{"1 duplicate", "2 duplicate", "3 duplicate", "4 refused hash_refused", "5 made no_password alan@example.org"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			h.Errorf("%q", got)
		}
	})
}

// Who registered an address and never verified it need not be who had it elsewhere: the report does not name the account, so
// that no application gives it what it has.
func TestAnUnverifiedAccountIsNotNamed(t *testing.T) {
	path := file(t, "email,id\nada@example.org,1\neve@example.org,2\n")
	harness.Each(t, func(h *harness.Server) {
		h.Register("eve@example.org")
		ada := open(h, "csv", file(t, "email\nada@example.org\n"))
		imported(h, ada) // and verified, as all
		i := open(h, "csv", path)
		p, err := i.Preview(h.Context())
		if err != nil || p.Had != 2 || p.Unverified != 1 {
			h.Errorf("%+v, %v", p, err)
		}
		if got := imported(h, i); fmt.Sprint(got) != fmt.Sprint([]string{"1 exists ada@example.org", "2 exists unverified"}) {
			h.Errorf("%q", got)
		}
	})
}

// The roles that open the administration are given only where they are asked for by name.
func TestStaffRolesAreAskedFor(t *testing.T) {
	const text = "email,roles\nada@example.org,admin editor\neve@example.org,support\nalan@example.org,writer\n"
	harness.Each(t, func(h *harness.Server) {
		for n, staff := range []bool{false, true} {
			i := open(h, "csv", file(t, strings.ReplaceAll(text, "@", fmt.Sprint(n, "@"))))
			i.Options.Roles, i.Options.StaffRoles = true, staff
			if p, err := i.Preview(h.Context()); err != nil || p.Staff != 2 {
				h.Errorf("%+v, %v", p, err)
			}
			imported(h, i)
			want := []string{"[editor]", "[]", "[writer]"}
			if staff {
				want = []string{"[admin editor]", "[support]", "[writer]"}
			}
			for k, name := range []string{"ada", "eve", "alan"} {
				a, err := h.Operator().User(h.Context(), fmt.Sprint(name, n, "@example.org"))
				if err != nil || fmt.Sprint(a.Roles) != want[k] {
					h.Errorf("%s, %t: %v, %v", name, staff, a.Roles, err)
				}
			}
		}
	})
}

// An import that was broken off goes on only with the key that it was begun with, and writes only over its own report.
func TestAnImportGoesOnWithItsOwn(t *testing.T) {
	path := manyOf(t, 40)
	h := harness.Open(t, dbtest.SQLite(t))
	report := filepath.Join(h.TempDir(), "report")
	broken := func(after int64) {
		ctx, cancel := context.WithCancel(h.Context())
		defer cancel()
		i, seen := open(h, "csv", path), int64(0)
		defer i.Close()
		i.Progress = func(step string, _, _ int64) {
			if seen++; step == "importing" && seen > 40+after {
				cancel()
			}
		}
		if _, _, err := i.Run(ctx, report); !errors.Is(err, context.Canceled) {
			h.Fatal(err)
		}
	}
	other := func(text string) {
		t.Helper()
		i, to := open(h, "csv", path), file(t, text)
		defer i.Close()
		_, resumed, err := i.Run(h.Context(), to)
		if f := fault.As(err); !resumed || f == nil || f.Code != "report_missing" {
			h.Errorf("over %.40q: %t, %v", text, resumed, err)
		}
		if after, err := os.ReadFile(to); err != nil || string(after) != text {
			h.Errorf("%.40q was written over: %.40q, %v", text, after, err)
		}
	}
	lines := strings.Repeat("{\"record\":1,\"result\":\"made\"}\n", 1000)
	broken(3) // nobody is made
	other("my notes")
	other(lines)
	broken(20)
	other(strings.Repeat("my notes\n", 1000))
	other(lines)
	other("")
	i := open(h, "csv", path)
	defer i.Close()
	if run, resumed, err := i.Run(h.Context(), report); err != nil || !resumed || run.Done != 40 {
		h.Errorf("%+v, %t, %v", run, resumed, err)
	}

	firebase := func(rounds int) error {
		ctx, cancel := context.WithCancel(h.Context())
		defer cancel()
		i := open(h, "firebase", exports+"firebase.json")
		defer i.Close()
		i.Options.Firebase.Rounds = rounds
		i.Progress = func(step string, _, _ int64) {
			if step == "importing" {
				cancel()
			}
		}
		_, _, err := i.Run(ctx, filepath.Join(h.TempDir(), "firebase"))
		return err
	}
	if err := firebase(8); !errors.Is(err, context.Canceled) {
		h.Fatal(err)
	}
	if f := fault.As(firebase(7)); f == nil || f.Code != "import_unfinished" {
		h.Errorf("with another key: %v", f)
	}
	if err := firebase(8); !errors.Is(err, context.Canceled) {
		h.Error(err)
	}
}
