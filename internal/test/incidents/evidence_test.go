package incidents_test

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// What an administrator did to somebody counts for the administrator, and not for whom it happened to.
func TestIR1_WhatAnAdministratorDidIsTheirs(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		mallory := h.Administrator("mallory@example.org")
		d := h.Incidents()
		ada, err := d.Operator.User(h.Context(), "ada@example.org")
		if err != nil {
			h.Fatal(err)
		}
		h.Expect(200, "", harness.Post("/v1/admin/users/"+ada.ID+"/disable", map[string]string{"reason": "A test"}, mallory))
		find := func(q respond.Question, email string) *respond.Touch {
			s, err := d.Scope(h.Context(), q)
			if err != nil {
				h.Fatal(err)
			}
			for _, p := range s.People {
				if p.Email == email {
					return &p
				}
			}
			return nil
		}
		for _, q := range []respond.Question{{Users: []string{"mallory@example.org"}}, {Since: time.Now().Add(-time.Hour)}} {
			if p := find(q, "mallory@example.org"); p == nil || p.Did[event.AdminAction] != 1 {
				h.Errorf("%+v: %+v", q, p)
			}
			if p := find(q, "ada@example.org"); p != nil && p.In() {
				h.Errorf("%+v: nobody got in to ada: %+v", q, p)
			}
		}
		if p := find(respond.Question{Users: []string{"ada@example.org"}}, "mallory@example.org"); p != nil {
			h.Errorf("a scope of ada names others: %+v", p)
		}
	})
}

// The evidence has the sessions that were ended to contain the incident, when and why.
func TestIR4_TheEvidenceHasEndedSessions(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		session := h.Login("ada@example.org").Str("session_id")
		d := h.Incidents()
		n := opened(h, d)
		contained(h, d, n, respond.Order{Does: respond.EndSessions, Users: []string{"ada@example.org"}})
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			h.Fatal(err)
		}
		var sealed bytes.Buffer
		f := respond.Freezing{Recipients: []age.Recipient{identity.Recipient()}, EventKey: harness.EventKey}
		if _, err := d.Freeze(h.Context(), n, f, &sealed, operator); err != nil {
			h.Fatal(err)
		}
		plain, err := age.Decrypt(&sealed, identity)
		if err != nil {
			h.Fatal(err)
		}
		b, err := io.ReadAll(plain)
		if err != nil {
			h.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			h.Fatal(err)
		}
		people, err := z.Open("people.jsonl")
		if err != nil {
			h.Fatal(err)
		}
		defer people.Close()
		if b, err = io.ReadAll(people); err != nil {
			h.Fatal(err)
		}
		for _, want := range []string{session, `"EndedAt":"20`, `"Why":"`} {
			if !strings.Contains(string(b), want) {
				h.Errorf("the evidence has no %s: %s", want, b)
			}
		}
	})
}
