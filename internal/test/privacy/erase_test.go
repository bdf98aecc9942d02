package privacy

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const (
	ada  = "ada.canary@example.org"
	name = "Adacanary Lovelace"
	// agent is what her browser calls itself, and place where it is.
	agent = "CanaryBrowser/7.31"
	place = "203.0.113.77"
	day   = 24 * time.Hour
)

// each runs a test on every database, with a clock that it sets.
func each(t *testing.T, test func(h *harness.Server, clock *harness.Clock), settings ...string) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		test(harness.OpenAt(t, url, clock.Now, append(settings, harness.BehindProxy)...), clock)
	})
}

// erasing asks that the account be deleted.
func erasing(access string) harness.Request {
	return harness.Request{Method: "DELETE", Path: "/v1/me", Bearer: access}
}

// gone waits until no erasure is due or under way, and none is remembered. The clock goes on meanwhile: what a run of the job has left, since
// its lease ended when the clock leapt, the next one does a minute later.
func gone(h *harness.Server, clock *harness.Clock) {
	h.Helper()
	var last time.Time
	h.Eventually("the erasure", func() (string, bool) {
		left := h.Count(`SELECT (SELECT COUNT(*) FROM account WHERE erase_at IS NOT NULL) + (SELECT COUNT(*) FROM erasure)`)
		if now := time.Now(); left > 0 && now.Sub(last) > time.Second {
			last = now
			clock.Shift(time.Minute)
		}
		return fmt.Sprint(left, " left"), left == 0
	})
}

// live does with an account what leaves rows: it is given a name, a session, known devices, wrong passwords, mails, links, an app, and a
// change of address that is over. Its session is returned.
func live(h *harness.Server, clock *harness.Clock) (access string) {
	h.Helper()
	a := h.AddApp(clock, ada)
	a.Next()
	access = a.SignIn().Str("access_token")
	h.Expect(200, "", harness.From(place, agent, harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: access, Body: map[string]string{"name": name}}))
	h.Expect(401, "invalid_credentials", harness.From(place, agent, harness.SignInAs(ada, "a wrong one, and wrong")))
	h.Expect(202, "", harness.From(place, agent, harness.Post("/v1/password/forgot", harness.Body{"email": ada})))
	if _, err := h.Operator().SetRoles(h.Context(), ada, []string{"canary-role"}, harness.OriginOfTests); err != nil {
		h.Fatal(err)
	}
	a.Next()
	return a.SignIn().Str("access_token")
}

// found names the columns of the database in which one of the texts stands.
func found(h *harness.Server, d *db.DB, texts ...string) (where []string) {
	h.Helper()
	for _, t := range schema.Tables {
		for _, c := range t.Columns {
			if c.Type == schema.Integer || t.Name == "event" && c.Name == schema.Open {
				continue
			}
			for _, text := range texts {
				column := `"` + c.Name + `"`
				if c.Type == schema.Bytes {
					if column = "HEX(" + column + ")"; d.Dialect() == db.Postgres {
						column = `encode("` + c.Name + `", 'hex')`
					}
					text = fmt.Sprintf("%x", text)
				}
				query := `SELECT COUNT(*) FROM "` + t.Name + `" WHERE LOWER(` + column + `) LIKE '%' || LOWER($1) || '%'`
				var n int
				if err := d.Read(h.Context(), func(tx *db.Tx) error { return tx.QueryRow(query, text).Scan(&n) }); err != nil {
					h.Fatalf("%s: %v", query, err)
				}
				if n > 0 {
					where = append(where, fmt.Sprintf("%s.%s has %q %d times", t.Name, c.Name, text, n))
				}
			}
		}
	}
	return where
}

// Everything that a person's data stood in is searched once the account is erased, down to the bytes of SQLite's files.
func TestGDPR3_NothingOfAPersonIsLeftAnywhere(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		access := live(h, clock)
		d := h.Mailbox().DB
		id := h.Expect(200, "", harness.Get("/v1/me", access)).Str("id")
		if err := d.Write(h.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO inactive_notice (account_id, step, mail_id, queued_at) VALUES ($1, 1, 'a mail', 1)`, id)
			if err != nil {
				return err
			}
			_, err = consent.Give(tx, secret.Random{}, consent.Consent{
				Account: id, Document: "canary", Version: 1, Hash: []byte("of a text"), How: consent.Account,
			}, clock.Now())
			return err
		}); err != nil {
			h.Fatal(err)
		}
		canaries := []string{ada, "ada.canary", "Adacanary", agent, place, id}
		for _, c := range canaries {
			if len(found(h, d, c)) == 0 {
				h.Errorf("%q stands nowhere before the erasure: the test plants nothing", c)
			}
		}
		before := h.Count(`SELECT COUNT(*) FROM event`)
		at := h.Expect(202, "", erasing(access)).Str("erase_at")
		if want := clock.Now().Add(14 * day); at < want.Add(-time.Hour).UTC().Format(time.RFC3339) || at > want.UTC().Format(time.RFC3339) {
			h.Errorf("it will be erased at %s, want about %v", at, want)
		}
		h.Expect(401, "invalid_token", harness.Get("/v1/me", access))
		clock.Shift(14*day + time.Minute)
		gone(h, clock)
		h.Eventually("the last mail's row", func() (string, bool) {
			clock.Shift(26 * time.Hour)
			left := h.Count(`SELECT COUNT(*) FROM outbox WHERE sent_to <> ''`)
			return fmt.Sprint(left), left == 0
		})
		if where := found(h, d, canaries...); len(where) > 0 {
			h.Errorf("after the erasure:\n%s", strings.Join(where, "\n"))
		}
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'account_deleted'`); n != 1 {
			h.Errorf("%d events account_deleted", n)
		}
		if after := h.Count(`SELECT COUNT(*) FROM event`); after <= before {
			h.Errorf("%d events before and %d after: they should stay", before, after)
		}
		report, err := event.Verify(h.Context(), d, event.VerifyOptions{Key: ""})
		if err != nil || len(report.Findings) > 0 {
			h.Errorf("the log no longer verifies: %v %v", report.Findings, err)
		}
		if d.Dialect() == db.SQLite {
			searchFiles(h, canaries)
		}
		// The address is free, and whoever registers it is a stranger.
		h.Register(ada)
		if next := h.Expect(200, "", harness.Get("/v1/me", h.Login(ada).Str("access_token"))); next.Str("id") == id || next.Str("name") != "" {
			h.Errorf("the address came back with something of before: %s", next.Text)
		}
	}, "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=1000")
}

// RET: while a hold stands nobody is erased; what was due goes once it is over.
func TestGDPR3_AHoldKeepsWhoIsDue(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		h.Expect(202, "", erasing(h.Login(ada).Str("access_token")))
		d := h.Mailbox().DB
		due := clock.Now().Add(14*day + time.Hour)
		if err := d.Write(h.Context(), func(tx *db.Tx) error {
			return hold.Put(tx, hold.Hold{Set: clock.Now(), Until: due.Add(2 * day), Reason: "a lawsuit", By: "ops"})
		}); err != nil {
			h.Fatal(err)
		}
		if err := h.Stop(); err != nil { // the test's own job is enough
			h.Fatal(err)
		}
		clock.Shift(14*day + 2*time.Hour)
		o := h.Operator()
		if err := eraserOf(h, o, clock).Run(h.Context()); err != nil {
			h.Fatal(err)
		}
		if n := h.Count(`SELECT COUNT(*) FROM account WHERE erase_at IS NOT NULL`); n != 1 {
			h.Errorf("under a hold %d accounts wait to be erased, want 1", n)
		}
		clock.Shift(2 * day)
		for range 3 {
			clock.Shift(time.Minute)
			if err := eraserOf(h, o, clock).Run(h.Context()); err != nil {
				h.Fatal(err)
			}
		}
		if n := h.Count(`SELECT COUNT(*) FROM account`) + h.Count(`SELECT COUNT(*) FROM erasure`); n != 0 {
			h.Errorf("after the hold %d rows are left", n)
		}
	})
}

// searchFiles looks at the bytes of SQLite's files, once the log is cut.
func searchFiles(h *harness.Server, canaries []string) {
	h.Helper()
	path := strings.TrimPrefix(h.DBURL, "sqlite:")
	h.Eventually("the files", func() (string, bool) {
		var said []string
		for _, file := range []string{path, path + "-wal"} {
			b, err := os.ReadFile(file)
			if err != nil && !os.IsNotExist(err) {
				return err.Error(), false
			}
			for _, c := range canaries {
				if n := strings.Count(string(b), c); n > 0 {
					said = append(said, fmt.Sprintf("%d times %q in %s", n, c, file[strings.LastIndex(file, "/")+1:]))
				}
			}
		}
		return strings.Join(said, ", "), len(said) == 0
	})
}

// A sign-in before the day keeps the account, and says so by a mail; so do a reset of the password and whoever runs the service.
func TestGDPR3_TheOwnerChangesTheirMind(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const eve = "eve@example.org"
		h.Register(eve)
		box, o := h.Mailbox(), h.Operator()
		waits := func() bool { return h.Count(`SELECT COUNT(*) FROM account WHERE erase_at IS NOT NULL`) == 1 }
		ask := func() {
			h.Helper()
			h.Expect(202, "", erasing(h.Login(eve).Str("access_token")))
			if !waits() {
				h.Fatal("it is not to be erased")
			}
			if m := box.Last(eve, notice.ErasureAsked); m.Due.Before(clock.Now().Add(13*day)) || m.NotMe == "" {
				h.Errorf("the mail says %v, with the link %q", m.Due, m.NotMe)
			}
		}
		kept := func(by string) {
			h.Helper()
			if waits() {
				h.Errorf("%s does not keep it", by)
			}
			box.Last(eve, notice.ErasureUndone)
		}
		ask()
		h.Login(eve)
		kept("a sign-in")
		ask()
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": eve}))
		token := harness.TokenOf(h.T, box.Last(eve, notice.ResetPassword).Link)
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": token, "new_password": harness.AnotherPassphrase}))
		kept("a reset")
		h.Expect(202, "", erasing(h.Expect(200, "", harness.SignInAs(eve, harness.AnotherPassphrase)).Str("access_token")))
		if _, err := o.KeepUser(h.Context(), eve, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		kept("an operator")
		if _, err := o.KeepUser(h.Context(), eve, harness.OriginOfTests); err == nil {
			h.Error("what is not to be erased was kept")
		}
		h.Expect(202, "", erasing(h.Expect(200, "", harness.SignInAs(eve, harness.AnotherPassphrase)).Str("access_token")))
		h.Expect(204, "", harness.Post("/v1/not-me", harness.Body{"token": harness.TokenOf(h.T, box.Last(eve, notice.ErasureAsked).NotMe)}))
		kept(`"this wasn't me"`)
	})
}

// A session that is not fresh deletes nothing; the current password stands in for it where there is no factor.
func TestGDPR3_WhoMayDelete(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		refresh := h.Login(ada).Str("refresh_token")
		clock.Shift(16 * time.Minute)
		access := h.Refresh(refresh).Str("access_token") // the session is new, its sign-in old
		h.Expect(403, "sign_in_again", erasing(access))
		with := erasing(access)
		with.Body = map[string]string{"current_password": "not this one, surely"}
		h.Expect(403, "wrong_password", with)
		with.Body = map[string]string{"current_password": harness.Passphrase, "id": "somebody else's"}
		h.Expect(400, "unknown_field", with)
		with.Body = map[string]string{"current_password": harness.Passphrase}
		h.Expect(202, "", with)
		h.Expect(401, "invalid_token", erasing(access))
		if a := h.Do(erasing("")); a.Status != 401 {
			h.Errorf("nobody's: %d", a.Status)
		}
	})
}
