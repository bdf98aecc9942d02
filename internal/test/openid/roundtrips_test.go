package openid

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// A code's exchange, and a refresh, cost one transaction and two round trips on PostgreSQL, and nothing else goes to the database for them: the
// statement that settles them, then the commit with what is deferred. It is counted on the wire.
func TestAnExchangeIsOneTransactionOfTwoRoundTrips(t *testing.T) {
	wire := dbtest.NewWire(t, dbtest.Postgres(t))
	h := harness.Open(t, wire.URL())
	verified(h, ada)
	a := register(h, "app", client.Web, firstParty)
	b := h.Browser()
	codes := []string{a.code(a.through(b))}
	for len(codes) < 14 {
		codes = append(codes, a.code(a.through(b)))
	}
	exchange := func(list []string) (refresh []string) {
		for _, code := range list {
			refresh = append(refresh, h.Expect(200, "", a.exchanging(code)).Str("refresh_token"))
		}
		return refresh
	}
	turn := func(list []string) {
		for _, token := range list {
			if got := h.Expect(200, "", a.refreshing(token)); got.Str("id_token") == "" {
				t.Fatalf("no ID token: %s", got.Text)
			}
		}
	}
	// The first ones prepare the statements, on each connection that comes to be used.
	turn(exchange(codes[:10]))
	wire.Forget()
	tokens := exchange(codes[10:])
	hold(t, "exchanges", wire, len(tokens))
	wire.Forget()
	turn(tokens)
	hold(t, "refreshes", wire, len(tokens))
}

// hold checks that so many transactions have touched grants, each in two round trips, and that no account was read beside them.
func hold(t *testing.T, what string, w *dbtest.Wire, want int) {
	t.Helper()
	spoken := w.Spoken("UPDATE client_grant")
	if len(spoken) != want {
		t.Errorf("%d %s took %d transactions", want, what, len(spoken))
	}
	for _, s := range spoken {
		if s.Trips != 2 || !s.Transaction() {
			t.Errorf("one of the %s took %d round trips: %q", what, s.Trips, s.Statements)
		}
	}
	for _, s := range w.Spoken("FROM account") {
		if !s.Says("UPDATE client_grant") {
			t.Errorf("%s read an account in a statement of its own: %q", what, s.Statements)
		}
	}
}
