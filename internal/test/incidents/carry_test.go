package incidents_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// IR-3, agreements ("Restore"): an incident comes over from its evidence to a database that does not have it, under another number where its
// own is taken; twice does nothing twice; nothing that was under way goes on there, and who has no account there is left out.
func TestIR3_AnIncidentIsBroughtOverFromItsEvidence(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		d := h.Incidents()
		n := noticed(h, d, 2)
		if _, err := d.Notify(h.Context(), n, respond.Notice{Text: "Somebody got in.", Rate: 1, Why: "a test"}, operator); err != nil {
			h.Fatal(err)
		}
		if err := d.Tick(h.Context(), n, "scope", true, operator); err != nil {
			h.Fatal(err)
		}
		key, err := age.GenerateX25519Identity()
		if err != nil {
			h.Fatal(err)
		}
		var bundle bytes.Buffer
		f := respond.Freezing{Recipients: []age.Recipient{key.Recipient()}, EventKey: harness.EventKey, Version: "test"}
		if _, err := d.Freeze(h.Context(), n, f, &bundle, operator); err != nil {
			h.Fatal(err)
		}
		var install string
		if err := d.DB.Read(h.Context(), func(tx *db.Tx) (err error) { install, err = keyring.InstallID(tx); return err }); err != nil {
			h.Fatal(err)
		}
		read := func(b []byte, eventKey, of string) (respond.Carried, error) {
			h.Helper()
			scratch, err := os.Create(filepath.Join(h.TempDir(), fmt.Sprint("scratch", time.Now().UnixNano())))
			if err != nil {
				h.Fatal(err)
			}
			defer scratch.Close()
			return respond.Carry(bytes.NewReader(b), []age.Identity{key}, eventKey, of, scratch)
		}
		c, err := read(bundle.Bytes(), harness.EventKey, install)
		if err != nil {
			h.Fatal(err)
		}
		changed := bytes.Clone(bundle.Bytes())
		changed[len(changed)/2] ^= 1
		for what, got := range map[string]error{
			"changed":          errOf(read(changed, harness.EventKey, install)),
			"another key":      errOf(read(bundle.Bytes(), strings.Repeat("k3Y9", 8), install)),
			"another's bundle": errOf(read(bundle.Bytes(), harness.EventKey, "0198c0de-0000-7000-8000-000000000001")),
			"cut":              errOf(read(bundle.Bytes()[:bundle.Len()/2], harness.EventKey, install)),
			"empty":            errOf(read(nil, harness.EventKey, install)),
		} {
			if got == nil {
				h.Errorf("%s: it was taken", what)
			}
		}
		into(h, harness.Open(h.T, dbtest.SQLite(h.T)), c)
	})
}

func errOf(_ respond.Carried, err error) error { return err }

// into brings an incident over to a server that has one of the same number, twice.
func into(h, target *harness.Server, c respond.Carried) {
	h.Helper()
	d := target.Incidents()
	if n := opened(target, d); n != 1 {
		h.Fatal(n)
	}
	target.Register("p0@example.org") // who is somebody else here
	for range 2 {
		err := d.DB.Write(h.Context(), func(tx *db.Tx) error { return c.Into(tx, d.Events, secret.Random{}, operator.Origin, time.Now()) })
		if err != nil {
			h.Fatal(err)
		}
	}
	s, err := d.Show(h.Context(), 2)
	if err != nil {
		h.Fatal(err)
	}
	acted, over := 0, 0
	for _, e := range s.Timeline {
		switch e.Kind {
		case incident.Acted:
			acted++
		case incident.Recovering:
			over++
			if !strings.Contains(e.Text, "It was called INC-1") {
				h.Errorf("the timeline says %q", e.Text)
			}
		}
	}
	if acted != 2 || over != 2 || len(s.Actions) != 2 || s.People != 0 {
		h.Errorf("%d actions in the timeline, %d times brought over, %d actions, %d people", acted, over, len(s.Actions), s.People)
	}
	for _, a := range s.Actions {
		want := map[string]incident.State{respond.ResetPasswords: incident.Finished, respond.Notify: incident.Stopped}[a.Does]
		if a.State != want || a.EndedAt.IsZero() {
			h.Errorf("%s is %s, want %s", a.Does, a.State, want)
		}
	}
	if _, ok := s.Done["scope"]; !ok {
		h.Error("the checklist forgot its first step")
	}
	if err := d.Continue(h.Context()); err != nil || mailed(target) != 0 {
		h.Errorf("what was under way goes on: %d mails, %v", mailed(target), err)
	}
	if n := opened(target, d); n != 3 {
		h.Errorf("the next incident is INC-%d", n)
	}
}
