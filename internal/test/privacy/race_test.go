package privacy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/erasure"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Sixteen who sign in at the moment at which their accounts are due: each account is either kept, and its session works, or
// gone with no session. What is left of those that went is nothing.
func TestGDPR3_SignInsMeetTheErasure(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const n = 16
		for i := range n {
			email := fmt.Sprintf("racer%d@example.org", i)
			h.Register(email)
			h.Expect(202, "", erasing(h.Login(email).Str("access_token")))
		}
		clock.Shift(14*day + time.Second)
		var (
			wg      sync.WaitGroup
			answers [n]harness.Answer
			failed  [n]error
		)
		for i := range n {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 150 * time.Millisecond) // the job looks every second or two
				answers[i], failed[i] = h.Try(harness.SignInAs(fmt.Sprintf("racer%d@example.org", i), harness.Passphrase))
			})
		}
		wg.Wait()
		gone(h, clock)
		kept := 0
		for i, a := range answers {
			if failed[i] != nil {
				h.Fatal(failed[i])
			}
			there := h.Count(fmt.Sprintf(`SELECT COUNT(*) FROM account WHERE email = 'racer%d@example.org'`, i))
			switch {
			case a.Status == 200 && there == 1:
				kept++
			case a.Status != 401 || there != 0:
				h.Errorf("racer %d: the sign-in was answered %d, and %d accounts have the address", i, a.Status, there)
			}
		}
		if all := h.Count(`SELECT COUNT(*) FROM account`); all != kept {
			h.Errorf("%d accounts, and %d sign-ins kept one", all, kept)
		}
		if lost := h.Count(`SELECT COUNT(*) FROM session WHERE account_id NOT IN (SELECT id FROM account)`); lost != 0 {
			h.Errorf("%d sessions of nobody", lost)
		}
	})
}

// Two administrators who leave at once: one of them stays.
func TestGDPR3_TheLastAdministratorStays(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		for round := range 4 {
			var access [2]string
			for i := range access {
				access[i] = h.Administrator(fmt.Sprintf("root%d.%d@example.org", round, i))
			}
			var wg sync.WaitGroup
			var answers [2]harness.Answer
			for i := range access {
				wg.Go(func() { answers[i], _ = h.Try(erasing(access[i])) })
			}
			wg.Wait()
			accepted := 0
			for _, a := range answers {
				if a.Status == 202 {
					accepted++
				} else if a.Str("code") != "last_administrator" {
					h.Errorf("answered %d %s", a.Status, a.Text)
				}
			}
			if accepted != 1 {
				h.Errorf("round %d: %d of two administrators left, want one", round, accepted)
			}
			for i := range access { // the one who stays is none any more, for the next round
				if _, err := h.Operator().SetRoles(h.Context(), fmt.Sprintf("root%d.%d@example.org", round, i), nil, harness.OriginOfTests); err != nil {
					h.Fatal(err)
				}
			}
		}
	})
}

// An undo of a change of address holds the erasure back, by the triggers too; and no account is deleted, nor an erasure forgotten, but in
// its turn.
func TestGDPR3_TheDatabaseHoldsToTheSteps(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		h.Settled() // the job is the test's
		d := h.Database()
		id := h.Expect(200, "", harness.Get("/v1/me", h.Login(ada).Str("access_token"))).Str("id")
		now := clock.Now()
		step := func(want bool, what string, do func(tx *db.Tx) error) {
			h.Helper()
			if err := d.Write(context.Background(), do); (err == nil) != want {
				h.Errorf("%s: %v", what, err)
			}
		}
		begin := func(tx *db.Tx) error { return erasure.Begin(tx, id, now) }
		remove := func(tx *db.Tx) error { return erasure.Delete(tx, id, now) }
		end := func(at time.Time) func(tx *db.Tx) error {
			return func(tx *db.Tx) error { return erasure.End(tx, id, at) }
		}
		step(false, "an account that is not to be erased is begun", begin)
		step(false, "an account that was not begun is deleted", remove)
		step(false, "what is none is forgotten", end(now))
		step(true, "to be erased later", func(tx *db.Tx) error {
			_, err := account.SetErase(tx, id, now.Add(time.Hour), account.EraseSelf)
			return err
		})
		step(false, "an account that is not due is begun", begin)
		step(true, "to be erased now", func(tx *db.Tx) error { _, err := account.SetErase(tx, id, now, account.EraseSelf); return err })
		undo := `INSERT INTO ticket (id, account_id, purpose, address, address_key, password_n, hash, code_until, tries, old_hash, expires_at)
			VALUES ('undo', $1, 'undo', 'a@b.c', 'a@b.c', 0, $2, 0, 0, '', $3)`
		step(true, "an undo", func(tx *db.Tx) error {
			_, err := tx.Exec(undo, id, []byte("x"), db.Micros(now.Add(time.Hour)))
			return err
		})
		step(false, "an account whose undo lives is begun", begin)
		step(true, "no undo", func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM ticket WHERE account_id = $1`, id); return err })
		step(true, "it is begun", begin)
		step(false, "it is begun twice", begin)
		step(false, "it is forgotten before it is done", end(now.Add(time.Hour)))
		step(false, "it takes a step that is none", func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO erasure_step (account_id, step, time) VALUES ($1, 'leap', 0)`, id)
			return err
		})
		step(true, "its sessions go", func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM session WHERE account_id = $1`, id); return err })
		step(true, "it is deleted", remove)
		step(false, "it is deleted twice", remove)
		step(false, "it is forgotten before it is swept up", end(now.Add(14*time.Second)))
		step(true, "it is forgotten", end(now.Add(15*time.Second)))
		if n := h.Count(`SELECT (SELECT COUNT(*) FROM account) + (SELECT COUNT(*) FROM erasure) + (SELECT COUNT(*) FROM erasure_step)`); n != 0 {
			h.Errorf("%d rows are left", n)
		}
	})
}

var errStopped = errors.New("the server is stopped here")

// The job is stopped after each of its steps, and the next run ends what it began.
func TestGDPR3_AnErasureThatIsInterruptedGoesOn(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const stops = 5 // the last is none
		var ids [stops]string
		for i := range stops {
			email := fmt.Sprintf("cut%d@example.org", i)
			h.Register(email)
			ids[i] = h.Expect(200, "", harness.Get("/v1/me", h.Login(email).Str("access_token"))).Str("id")
		}
		if err := h.Stop(); err != nil { // its job would go on with them
			h.Fatal(err)
		}
		for i, id := range ids {
			o := h.Operator()
			if _, _, err := o.EraseUser(h.Context(), id, 0, harness.OriginOfTests); err != nil {
				h.Fatal(err)
			}
			ctx, stop := context.WithCancel(h.Context())
			e := eraserOf(h, o, clock)
			seal := e.Seal
			switch i {
			case 0: // stated, and not sealed
				e.Seal = func(context.Context) error { return errStopped }
			case 1: // sealed, and not erased
				e.Seal = func(ctx context.Context) error { err := seal(ctx); stop(); return err }
			case 2: // events erased, rows not
				e.Beside = func(*db.Tx, string) error { return errStopped }
			case 3: // rows deleted, the account not
				e.Beside = func(tx *db.Tx, _ string) error { tx.OnCommit(stop); return nil }
			}
			if err := e.Run(ctx); (err == nil) != (i == stops-1) {
				h.Errorf("stop %d: %v", i, err)
			}
			stop()
			for range 3 { // the lease is another's, and another's
				clock.Shift(time.Minute)
				if err := eraserOf(h, o, clock).Run(h.Context()); err != nil {
					h.Errorf("after stop %d: %v", i, err)
				}
			}
			if where := found(h, h.Mailbox().DB, id); len(where) > 0 {
				h.Errorf("stop %d: %v", i, where)
			}
			if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'account_deleted'`); n != i+1 {
				h.Errorf("stop %d: the log has %d accounts that were deleted", i, n)
			}
		}
		report, err := event.Verify(h.Context(), h.Mailbox().DB, event.VerifyOptions{})
		if err != nil || len(report.Findings) > 0 {
			h.Errorf("the log no longer verifies: %v %v", report.Findings, err)
		}
	})
}

// eraserOf is a replica's, made of what the command line has.
func eraserOf(h *harness.Server, o *operate.Operator, clock *harness.Clock) *privacy.Eraser {
	h.Helper()
	links, err := o.EmailLinks(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	counts, err := o.Lockout(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	links.Core, links.Guard.Core, links.Guard.Lockout, links.Revoked = o.Core, o.Core, counts, o.Revoked
	links.Now = clock.Now
	return &privacy.Eraser{
		DB: o.DB, Flow: &flow.Erasures{EmailLinks: links}, Events: o.Events, Seal: o.Seal, Now: clock.Now,
		Beside: func(tx *db.Tx, id string) error { return errors.Join(alert.Erase(tx, id), retention.Forget(tx, id)) },
	}
}
