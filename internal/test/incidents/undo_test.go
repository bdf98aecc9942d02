package incidents_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// undone takes an action back.
func undone(h *harness.Server, d *respond.Desk, n int64, done respond.Done) {
	h.Helper()
	if _, err := d.Undo(h.Context(), n, done.ID, "a test", operator); err != nil {
		h.Fatalf("undo %s: %v", done.Does, err)
	}
}

// A mistake is taken back when it is found, and that the incident is closed by then changes nothing; the timeline says it.
func TestIR2_ActionsOfAClosedIncidentAreTakenBack(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		d := h.Incidents()
		n := opened(h, d)
		disabled := contained(h, d, n, respond.Order{Does: respond.Disable, Users: []string{"ada@example.org"}})
		shut := contained(h, d, n, respond.Order{Does: respond.Lockdown, Doors: lockdown.Doors, For: time.Hour})
		if err := d.Close(h.Context(), n, "None.", operator); err != nil {
			h.Fatal(err)
		}
		undone(h, d, n, shut)
		undone(h, d, n, disabled)
		if shut := h.Count(`SELECT COUNT(*) FROM install WHERE shut_registration + shut_changes + shut_sign_in > 0`); shut != 0 {
			h.Error("a door is closed")
		}
		h.Eventually("the sign-in", func() (string, bool) { // the replica hears of it within a second
			answer := h.Do(harness.SignInAs("ada@example.org", harness.Passphrase))
			return answer.Text, answer.Status == 200
		})
		s, err := d.Show(h.Context(), n)
		if err != nil {
			h.Fatal(err)
		}
		said := 0
		for _, e := range s.Timeline {
			if e.Kind == incident.Undone {
				said++
			}
		}
		if said != 2 {
			h.Errorf("the timeline says %d times that something was taken back", said)
		}
	})
}

// A later order makes nothing weaker, and each of two is taken back on its own: what the other wants stays.
func TestIR2_ALaterOrderOpensNothing(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		d := h.Incidents()
		n := opened(h, d)
		until := func() int { return h.Count(`SELECT shut_registration FROM install`) }
		close := func(wait time.Duration) respond.Done {
			return contained(h, d, n, respond.Order{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.Registration}, For: wait})
		}
		long := close(7 * 24 * time.Hour)
		week := until()
		short := close(time.Minute)
		if got := until(); got != week {
			h.Errorf("a second order closed it until %d, and not %d", got, week)
		}
		undone(h, d, n, short)
		if got := until(); got != week {
			h.Errorf("taken back, the second order leaves it closed until %d, and not %d", got, week)
		}
		short = close(time.Hour)
		undone(h, d, n, long)
		if got := until(); got == 0 || got >= week {
			h.Errorf("what the second order closed is closed until %d", got)
		}
		undone(h, d, n, short)
		if got := until(); got != 0 {
			h.Errorf("nobody wants it closed, and it is until %d", got)
		}
	})
}

// blocked returns the block of a network, or nil.
func blocked(h *harness.Server, d *respond.Desk, network string) *block.Block {
	h.Helper()
	list, _, err := d.Blocks.List(h.Context(), "", 100)
	if err != nil {
		h.Fatal(err)
	}
	for _, b := range list {
		if b.Network.String() == network {
			return &b
		}
	}
	return nil
}

// Of blocks the same holds, and of those that somebody made by hand.
func TestIR2_BlocksAreTakenBackAsTheyWere(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const network = "203.0.113.0/24"
		d := h.Incidents()
		n := opened(h, d)
		forTime := func(wait time.Duration) respond.Done {
			return contained(h, d, n, respond.Order{Does: respond.BlockNetworks, Networks: []netip.Prefix{netip.MustParsePrefix(network)}, For: wait})
		}
		byHand := func(until time.Time) {
			in := operate.NewBlock{Network: network, Reason: "by hand", ExpiresAt: until}
			if _, _, err := d.Blocks.Add(h.Context(), in, nil, flow.Identity{}, operator.Origin); err != nil {
				h.Fatal(err)
			}
		}
		hour := forTime(time.Hour)
		endless := forTime(0)
		if b := blocked(h, d, network); b == nil || !b.ExpiresAt.IsZero() {
			h.Fatal(b)
		}
		undone(h, d, n, hour)
		if b := blocked(h, d, network); b == nil || !b.ExpiresAt.IsZero() {
			h.Fatal("the way back of the first order ended the block of the second: ", b)
		}
		again := forTime(time.Hour)
		if b := blocked(h, d, network); b == nil || !b.ExpiresAt.IsZero() {
			h.Fatal("a later order made a block weaker: ", b)
		}
		undone(h, d, n, endless)
		if b := blocked(h, d, network); b == nil || b.ExpiresAt.IsZero() {
			h.Fatal("an hour is still wanted: ", b)
		}
		undone(h, d, n, again)
		if b := blocked(h, d, network); b != nil {
			h.Fatal("nobody wants it blocked: ", b)
		}

		byHand(time.Now().Add(30 * time.Minute))
		first, second := forTime(time.Hour), forTime(0)
		undone(h, d, n, first)
		undone(h, d, n, second)
		if b := blocked(h, d, network); b == nil || b.Reason != "by hand" || b.ExpiresAt.IsZero() || time.Until(b.ExpiresAt) > 30*time.Minute {
			h.Fatal("what there was before is not there again: ", b)
		}
		third := forTime(time.Hour)
		byHand(time.Time{})
		undone(h, d, n, third)
		if b := blocked(h, d, network); b == nil || b.Reason != "by hand" || !b.ExpiresAt.IsZero() {
			h.Fatal("what somebody changed meanwhile was changed back: ", b)
		}
	})
}

// Taking back enables those whom the action disabled, and who are disabled for no other reason by now.
func TestIR2_WhoIsDisabledForAnotherReasonStaysSo(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada, bob, eve = "ada@example.org", "bob@example.org", "eve@example.org"
		for _, email := range []string{ada, bob, eve} {
			h.Register(email)
		}
		d := h.Incidents()
		n := opened(h, d)
		if _, err := d.Operator.Disable(h.Context(), eve, operator.Origin); err != nil {
			h.Fatal(err)
		}
		disable := respond.Order{Does: respond.Disable, Users: []string{ada, bob, eve}}
		first := contained(h, d, n, disable)
		second := contained(h, d, n, disable)
		if first.Touched["people"] != 2 || second.Touched["people"] != 0 || first.Touched["skipped"] != 1 || second.Touched["skipped"] != 1 {
			h.Error(first.Touched, second.Touched)
		}
		if err := d.Operator.Enable(h.Context(), ada, operator.Origin); err != nil {
			h.Fatal(err)
		}
		if _, err := d.Operator.Disable(h.Context(), ada, operator.Origin); err != nil { // for fraud
			h.Fatal(err)
		}
		undone(h, d, n, first)
		if disabled := h.Count(`SELECT COUNT(*) FROM account WHERE disabled_at IS NOT NULL`); disabled != 3 {
			h.Errorf("%d are disabled; the second order wants bob, and others ada and eve", disabled)
		}
		undone(h, d, n, second)
		h.Login(bob)
		for _, email := range []string{ada, eve} {
			h.Expect(403, "account_disabled", harness.SignInAs(email, harness.Passphrase))
		}
	})
}

// Two actions that hold the same people are taken back at once: each once, and nobody stays disabled.
func TestIR2_TwoActionsAreTakenBackAtOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		d := h.Incidents()
		n := opened(h, d)
		disable := respond.Order{Does: respond.Disable}
		for i := range 5 {
			email := fmt.Sprintf("p%d@example.org", i)
			h.Register(email)
			disable.Users = append(disable.Users, email)
		}
		both := []respond.Done{contained(h, d, n, disable), contained(h, d, n, disable)}
		well, failed := atOnce(func(i int) error {
			_, err := d.Undo(h.Context(), n, both[i%2].ID, "a mistake", operator)
			return err
		})
		if well != 2 {
			h.Errorf("%d were taken back: %v", well, failed)
		}
		if disabled := h.Count(`SELECT COUNT(*) FROM account WHERE disabled_at IS NOT NULL`); disabled != 0 {
			h.Errorf("%d are disabled", disabled)
		}
		if events := h.Count(`SELECT COUNT(*) FROM outbox WHERE kind = 'account_enabled'`); events != 5 {
			h.Errorf("%d mails that an account is enabled", events)
		}
	})
}

// A factor that two actions suspended is suspended until both are taken back, whichever is first.
func TestIR2_AFactorIsSuspendedAsLongAsAnyActionWantsIt(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, clock.Now)
		app := h.AddApp(clock, "ada@example.org")
		d := h.Incidents()
		n := opened(h, d)
		suspend := respond.Order{Does: respond.SuspendFactors, Since: clock.Now().Add(-time.Hour), All: true}
		for range 2 {
			first, second := contained(h, d, n, suspend), contained(h, d, n, suspend)
			if first.Touched["people"] != 1 || second.Touched["people"] != 0 {
				h.Error(first.Touched, second.Touched)
			}
			undone(h, d, n, first)
			app.Next()
			app.SignsNobodyIn(app.Code(0))
			undone(h, d, n, second)
			app.Next()
			app.SignIn()
		}
	})
}
