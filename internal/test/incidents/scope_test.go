package incidents_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// An attack from two networks: who was tried in vain, whom they got in to, in which sessions, and what they did there; nobody
// else is in it.
func TestIR1_ScopeFindsWhoWasTouched(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const attacker, elsewhere = "203.0.113.7", "192.0.2.9"
		for i := range 6 {
			h.Register(fmt.Sprintf("p%d@example.org", i))
			h.Expect(200, "", harness.Through(elsewhere, harness.SignInAs(fmt.Sprintf("p%d@example.org", i), harness.Passphrase)))
		}
		for i := range 4 {
			h.Expect(401, "invalid_credentials", harness.Through(attacker, harness.SignInAs(fmt.Sprintf("p%d@example.org", i), "a wrong passphrase of many words")))
		}
		h.Expect(401, "invalid_credentials", harness.Through(attacker, harness.SignInAs("nobody@example.org", "a wrong passphrase of many words")))
		in := h.Expect(200, "", harness.Through(attacker, harness.SignInAs("p1@example.org", harness.Passphrase)))
		rename := harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: in.Str("access_token"), Body: map[string]any{"name": "Mallory"}}
		h.Expect(200, "", harness.Through(attacker, rename))
		d := h.Incidents()
		n := opened(h, d)
		q := respond.Question{Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, Since: time.Now().Add(-time.Hour)}
		s, err := d.Scope(h.Context(), q)
		if err != nil {
			h.Fatal(err)
		}
		vain, got, sessions, reused := s.Counts()
		if vain != 3 || got != 1 || sessions != 1 || reused != 0 || s.Unknown != 1 || s.Living != 1 || s.Done["profile_change"] != 1 {
			h.Errorf("%d in vain, %d got in, %d sessions, %d reused, %d unknown, %d living, %v", vain, got, sessions, reused, s.Unknown, s.Living, s.Done)
		}
		if len(s.Sources) != 1 || s.Sources[0] != (respond.Source{Network: "203.0.113.0/24", Addresses: 1, Tries: 5, Ins: 1}) {
			h.Error(s.Sources)
		}
		if p := s.People[0]; p.Email != "p1@example.org" || p.Tries != 1 || p.Ins != 1 || len(p.Sessions) != 1 || p.Sessions[0] != in.Str("session_id") {
			h.Errorf("%+v", p)
		}
		if added, err := d.SaveScope(h.Context(), n, s, "again", false, operator); err != nil || added != 1 {
			h.Error(added, err)
		}
		if added, err := d.SaveScope(h.Context(), n, s, "again", true, operator); err != nil || added != 3 {
			h.Error(added, err)
		}
		q.Session = in.Str("session_id")
		if s, err = d.Scope(h.Context(), q); err != nil || len(s.People) != 1 {
			h.Error(s.People, err)
		}
		if s, err = d.Scope(h.Context(), respond.Question{Users: []string{"p1@example.org"}}); err != nil || len(s.Sources) != 2 {
			h.Error(s.Sources, err)
		}
		if _, err = d.Scope(h.Context(), respond.Question{}); err == nil {
			h.Error("a scope of everything was begun")
		}
		if s, err = d.Scope(h.Context(), respond.Question{Since: time.Now().Add(-time.Hour), Most: 1}); err != nil {
			h.Error(err)
		}
	}, harness.BehindProxy)
}

// A graph is well-formed whatever stands in it: nothing that a stranger chose breaks out.
func TestIR1_TheGraphIsInert(t *testing.T) {
	s := respond.Scope{
		Sources: []respond.Source{{Network: `"><script>alert(1)</script>`, Addresses: 1, Tries: 3, Ins: 2}},
		People:  []respond.Touch{{Account: "a", Email: "<b>", Ins: 2, Sessions: []string{"x"}}},
	}
	var out bytes.Buffer
	if err := s.Graph().WriteSVG(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "<script") {
		t.Error(out.String())
	}
	for d := xml.NewDecoder(&out); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// given has an application be given offline access to an account, as an authorization does.
func given(h *harness.Server, d *respond.Desk, clientID, accountID string) {
	h.Helper()
	err := d.DB.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO client_grant (id, client_id, account_id, sid, offline, scope, resource, roles, amr, auth_at, nonce, code, code_until,
			redirect_uri, challenge, created_at, gen, minted_at, rotated_at, idle_at, max_at)
			VALUES ($1, $2, $3, 'sid', 1, 'openid email', '', '[]', '[]', 0, '', $4, $5, '', '', $5, 0, 0, 0, $5, $5)`,
			d.Random.ID(time.Now()), clientID, accountID, []byte("code"), time.Now().Add(time.Hour).UnixMicro())
		d.Events.Append(tx, event.Event{
			Kind: event.AuthorizationGranted, Outcome: event.Success, Account: accountID, Origin: harness.OriginOfTests, Detail: event.Detail{Client: clientID},
		})
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}

// An application that should not have been given anything: whom it got access to and what it still has; the roles and the time of a
// key lead to the same people, and who used the same networks is found beside them.
func TestIR1_ScopeFromApplicationsRolesAndKeys(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const attacker = "203.0.113.7"
		root := admin(h, "root@example.org")
		for _, email := range []string{"ada@example.org", "bob@example.org"} {
			h.Register(email)
			h.Expect(200, "", harness.Through(attacker, harness.SignInAs(email, harness.Passphrase)))
		}
		d := h.Incidents()
		ada, err := d.Operator.User(h.Context(), "ada@example.org")
		if err != nil {
			h.Fatal(err)
		}
		rogue, _, err := d.Operator.RegisterClient(h.Context(), "newsletter", client.Web, client.Settings{RedirectURIs: []string{"https://evil.example/cb"}},
			operator.Origin)
		if err != nil {
			h.Fatal(err)
		}
		given(h, d, rogue.ID, ada.ID)
		s, err := d.Scope(h.Context(), respond.Question{Clients: []string{"newsletter"}})
		if err != nil || len(s.People) != 1 || s.People[0].Email != "ada@example.org" || !s.People[0].In() {
			h.Fatal(s.People, err)
		}
		if len(s.Given) != 1 || s.Given[0].Name != "newsletter" || s.Given[0].Grants != 1 || s.Given[0].Living != 1 || s.Given[0].Offline != 1 ||
			strings.Join(s.Given[0].Scopes, " ") != "openid email" {
			h.Errorf("%+v", s.Given)
		}
		if strings.Contains(s.Graph().About, "nobody") || !strings.Contains(fmt.Sprint(s.Graph().Boxes), "1 × newsletter") {
			h.Error(s.Graph().Boxes)
		}
		if s, err = d.Scope(h.Context(), respond.Question{Users: []string{"bob@example.org"}, Clients: []string{rogue.ID}}); err != nil || len(s.People) != 0 {
			h.Error("bob gave it nothing: ", s.People, err)
		}
		if s, err = d.Scope(h.Context(), respond.Question{Roles: []string{"admin"}}); err != nil || len(s.People) != 1 || s.People[0].Account != root.Who.Account {
			h.Error(s.People, err)
		}
		s, err = d.Scope(h.Context(), respond.Question{Users: []string{"ada@example.org"}, Shared: true})
		if err != nil || len(s.Others) != 1 || s.Others[0].Email != "bob@example.org" || !s.Others[0].Same || s.Others[0].Network != "203.0.113.7/32" {
			h.Error(s.Others, err)
		}
		if b := s.People[0].Births; len(b) != 1 || b[0].Address != attacker || b[0].Session == "" {
			h.Error(b)
		}
		key := h.Keys().List()[0].ID
		if s, err = d.Scope(h.Context(), respond.Question{Key: key}); err != nil || len(s.People) != 3 {
			h.Error(len(s.People), err)
		}
		for _, q := range []respond.Question{{Key: "none"}, {Clients: []string{"none"}}} {
			if _, err := d.Scope(h.Context(), q); err == nil {
				h.Errorf("%+v was begun", q)
			}
		}
	}, harness.BehindProxy)
}

// A refresh token that was seen twice is found where it was used the second time: whoever stole it was there.
func TestIR1_ScopeFindsRefreshTokensSeenTwice(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const attacker = "203.0.113.7"
		h.Register("ada@example.org")
		stolen := h.Login("ada@example.org").Str("refresh_token")
		next := h.Expect(200, "", harness.Post("/v1/token/refresh", map[string]string{"refresh_token": stolen})).Str("refresh_token")
		h.Expect(200, "", harness.Post("/v1/token/refresh", map[string]string{"refresh_token": next}))
		h.Expect(401, "invalid_refresh_token", harness.Through(attacker, harness.Post("/v1/token/refresh", map[string]string{"refresh_token": stolen})))
		s, err := h.Incidents().Scope(h.Context(), respond.Question{Networks: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
		if err != nil {
			h.Fatal(err)
		}
		if _, in, sessions, reused := s.Counts(); in != 1 || sessions != 1 || reused != 1 || s.People[0].Email != "ada@example.org" {
			h.Error(in, sessions, reused, s.People)
		}
	}, harness.BehindProxy)
}

// Somebody's refresh token was stolen and used from elsewhere, which no sign-in tells: who asks about the network, or the person, finds it; who
// asks about a time alone is not told of everybody.
func TestIR1_ScopeFindsWhoseSessionWasUsedFromANetwork(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("eve@example.org")
		h.Register("ada@example.org")
		h.Login("ada@example.org")
		in := h.Expect(200, "", harness.Through("192.0.2.9", harness.SignInAs("eve@example.org", harness.Passphrase)))
		h.Expect(200, "", harness.Through("198.51.100.7", harness.Refreshing(in.Str("refresh_token"))))
		d, since := h.Incidents(), time.Now().Add(-time.Hour)
		for name, q := range map[string]respond.Question{
			"the network": {Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, Since: since},
			"the person":  {Users: []string{"eve@example.org"}, Since: since},
		} {
			s, err := d.Scope(h.Context(), q)
			if err != nil {
				h.Fatal(err)
			}
			if len(s.People) != 1 || s.People[0].Email != "eve@example.org" || !s.People[0].In() || s.Done[event.TokenRefresh] != 1 ||
				len(s.People[0].Sessions) != 1 || s.People[0].Sessions[0] != in.Str("session_id") {
				h.Errorf("%s: %+v %+v", name, s.People, s.Sources)
			}
			if len(s.Sources) == 0 || name == "the network" && s.Sources[0].Network != "198.51.100.0/24" {
				h.Errorf("%s: %+v", name, s.Sources)
			}
		}
		s, err := d.Scope(h.Context(), respond.Question{Since: since})
		if err != nil || s.Done[event.TokenRefresh] != 0 {
			h.Errorf("of everybody: %v, %v", s.Done, err)
		}
	}, harness.BehindProxy)
}
