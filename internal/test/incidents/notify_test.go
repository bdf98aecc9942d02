package incidents_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// noticed touches some people by an incident, and returns it.
func noticed(h *harness.Server, d *respond.Desk, people int) int64 {
	h.Helper()
	for i := range people {
		h.Register(fmt.Sprintf("p%d@example.org", i))
		h.Login(fmt.Sprintf("p%d@example.org", i))
	}
	n := opened(h, d)
	contained(h, d, n, respond.Order{Does: respond.ResetPasswords, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	return n
}

// eachNoticed runs a test on an incident that touches three people, with a clock of its own.
func eachNoticed(t *testing.T, test func(h *harness.Server, d *respond.Desk, clock *harness.Clock, n int64)) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, clock.Now)
		d := h.Incidents()
		d.Now = clock.Now
		test(h, d, clock, noticed(h, d, 3))
	})
}

// mailed is how many mails of notices there are.
func mailed(h *harness.Server) int {
	h.Helper()
	return h.Count(`SELECT COUNT(*) FROM outbox WHERE kind = 'incident_notice'`)
}

// Who waits for a slow notice gets no other one beside it, also of sixteen that begin at once.
func TestIR3_NobodyIsNotifiedTwice(t *testing.T) {
	eachNoticed(t, func(h *harness.Server, d *respond.Desk, clock *harness.Clock, n int64) {
		slow, err := d.Notify(h.Context(), n, respond.Notice{Text: "Somebody got in.", Rate: 1, Why: "a test"}, operator)
		if err != nil || !slow.EndedAt.IsZero() || mailed(h) != 1 {
			h.Fatal(mailed(h), slow, err)
		}
		if _, s, err := d.NoticePreview(h.Context(), n, respond.Notice{Text: "Again.", Rate: 1000}); err != nil || s.Left != 0 || s.Going != 2 {
			h.Error(s, err)
		}
		well, failed := atOnce(func(int) error {
			_, err := d.Notify(h.Context(), n, respond.Notice{Text: "Again.", Rate: 100_000, Why: "a test"}, operator)
			return err
		})
		if well != 16 {
			h.Fatal(failed)
		}
		if mailed(h) != 1 {
			h.Errorf("%d mails; two people wait for the first notice", mailed(h))
		}
		clock.Shift(incident.Notice / 24)
		if err := d.Continue(h.Context()); err != nil {
			h.Fatal(err)
		}
		if mailed(h) != 3 {
			h.Errorf("%d mails for 3 people", mailed(h))
		}
	})
}

// An action that is stopped goes no further: of sixteen who stop it one does, and what it left undone can be ordered anew.
func TestIR2_AStoppedActionGoesNoFurther(t *testing.T) {
	eachNoticed(t, func(h *harness.Server, d *respond.Desk, clock *harness.Clock, n int64) {
		wrong, err := d.Notify(h.Context(), n, respond.Notice{Text: "The wrong words.", Rate: 1, Why: "a test"}, operator)
		if err != nil || mailed(h) != 1 {
			h.Fatal(mailed(h), err)
		}
		if err := d.Close(h.Context(), n, "None.", operator); fault.As(err) == nil || fault.As(err).Code != "action_running" {
			h.Error(err)
		}
		well, failed := atOnce(func(int) error {
			_, err := d.Stop(h.Context(), n, wrong.ID, "the wrong words", operator)
			return err
		})
		if well != 1 {
			h.Errorf("%d stopped it: %v", well, failed)
		}
		clock.Shift(incident.Notice / 24)
		if err := d.Continue(h.Context()); err != nil || mailed(h) != 1 {
			h.Errorf("%d mails of a notice that was stopped after one: %v", mailed(h), err)
		}
		if _, err := d.Notify(h.Context(), n, respond.Notice{Text: "The right words.", Rate: 1000, Why: "a test"}, operator); err != nil || mailed(h) != 3 {
			h.Errorf("%d mails for 3 people: %v", mailed(h), err)
		}
		if err := d.Close(h.Context(), n, "None.", operator); err != nil {
			h.Error(err)
		}
	})
}

// What an administrator began stops when they are none any more.
func TestIR2_AnActionDoesNotOutliveItsAdministrator(t *testing.T) {
	eachNoticed(t, func(h *harness.Server, d *respond.Desk, clock *harness.Clock, n int64) {
		for email, gone := range map[string]func(id string) error{
			"mallory@example.org": func(id string) error { _, err := d.Operator.Disable(h.Context(), id, operator.Origin); return err },
			"eve@example.org": func(id string) error {
				_, err := d.Operator.SetRoles(h.Context(), id, nil, operator.Origin)
				return err
			},
			"lee@example.org": func(id string) error {
				return d.DB.Write(h.Context(), func(tx *db.Tx) error { return incident.Erase(tx, id) })
			},
		} {
			h.Administrator(email)
			who, err := d.Operator.User(h.Context(), email)
			if err != nil {
				h.Fatal(err)
			}
			by := respond.By{Who: flow.Identity{Account: who.ID, Roles: []string{account.Admin}}, Origin: harness.OriginOfTests}
			was := mailed(h)
			slow, err := d.Notify(h.Context(), n, respond.Notice{Text: "Hello.", Rate: 1, Why: "a test"}, by)
			if err != nil || slow.Touched["mails"] != 1 {
				h.Fatal(slow, err)
			}
			if err := gone(who.ID); err != nil {
				h.Fatal(err)
			}
			clock.Shift(incident.Notice / 24)
			if err := d.Continue(h.Context()); err != nil {
				h.Fatal(err)
			}
			if mails := mailed(h) - was; mails != 1 {
				h.Errorf("%d mails in the name of %s", mails, email)
			}
			if _, err := d.Stop(h.Context(), n, slow.ID, "a test", operator); fault.As(err) == nil || fault.As(err).Code != "action_ended" {
				h.Error(err)
			}
		}
		stopped := `SELECT COUNT(*) FROM event_personal WHERE data LIKE '%"reason":"stopped"%'`
		if n := h.Count(stopped); n != 3 {
			h.Errorf("%d actions stopped", n)
		}
		if n := h.Count(stopped + ` AND data LIKE '%"by":%'`); n != 0 {
			h.Errorf("%d actions that stopped by themselves are somebody's doing", n)
		}
	})
}

// Sixteen notices that begin at once reach everybody once.
func TestIR3_NoticesAtOnceReachEverybodyOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const people = 5
		d := h.Incidents()
		n := noticed(h, d, people)
		well, failed := atOnce(func(int) error {
			_, err := d.Notify(h.Context(), n, respond.Notice{Text: "Somebody got in.", Rate: 100_000, Why: "a test"}, operator)
			return err
		})
		if well != 16 {
			h.Fatal(failed)
		}
		if mails := mailed(h); mails != people {
			h.Errorf("%d mails for %d people", mails, people)
		}
	})
}
