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
