package event_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// everyKind appends an event of each kind and outcome, with all its parts and
// with none.
func everyKind(t *testing.T, k *testLog) {
	t.Helper()
	for _, kind := range kinds(t) {
		for _, outcome := range []event.Outcome{event.Success, event.Failure} {
			e := full(kind)
			e.Outcome = outcome
			k.append(t, e, event.Event{Kind: kind, Outcome: outcome})
		}
	}
}

// ASVS 11.4.3, 16.4.2: the hash of each event can be computed from what is
// stored, and from nothing else.
func TestLOG1_TheHashOfEveryEventVerifies(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestLog(d, secret.Random{})
		everyKind(t, k)
		all := k.stored(t)
		if len(all) != 4*len(kinds(t)) {
			t.Fatalf("%d events", len(all))
		}
		hashes, salts := map[string]bool{}, map[string]bool{}
		for _, s := range all {
			if !s.verifies() {
				t.Errorf("does not verify: %+v", s)
			}
			if hashes[string(s.hash)] || salts[string(s.salt)] {
				t.Errorf("shares its hash or its salt with another: %+v", s)
			}
			hashes[string(s.hash)], salts[string(s.salt)] = true, true
		}
	})
}

func TestLOG1_WhateverIsChangedIsFound(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	k := newTestLog(d, secret.Random{})
	everyKind(t, k)
	replace := func(old, new string) func(*stored) {
		return func(s *stored) { s.data = strings.Replace(s.data, old, new, 1) }
	}
	changes := map[string]func(*stored){
		"id":                    func(s *stored) { s.id = secret.Random{}.ID(start) },
		"time":                  func(s *stored) { s.time++ },
		"kind":                  func(s *stored) { s.kind = "role_changes" },
		"outcome":               func(s *stored) { s.outcome = map[string]string{"success": "failure", "failure": "success"}[s.outcome] },
		"salt":                  func(s *stored) { s.salt = append(bytes.Clone(s.salt[1:]), s.salt[0]^1) },
		"salt made longer":      func(s *stored) { s.salt = append(bytes.Clone(s.salt), 0, 1) },
		"hash":                  func(s *stored) { s.hash = append(bytes.Clone(s.hash[1:]), s.hash[0]^1) },
		"no data":               func(s *stored) { s.data = "" },
		"data of no event":      func(s *stored) { s.data += " " },
		"data with a new field": func(s *stored) { s.data = `{"x":1,` + strings.TrimPrefix(s.data, "{") },
		"account":               replace(`"account":"account-1"`, `"account":"account-2"`),
		"no account":            replace(`"account":"account-1",`, ``),
		"session":               replace("session-1", "session-2"),
		"request":               replace("request-1", "request-2"),
		"address":               replace("2001:db8::7", "2001:db8::8"),
		"user agent":            replace("Mozilla", "Mozarella"),
		"reason":                replace(`"reason":"password"`, `"reason":"passkey"`),
		"by":                    replace("operator", "setup"),
		"address hash":          replace(`"address_hash":"h"`, `"address_hash":"i"`),
		"roles":                 replace(`["admin"]`, `[]`),
		"fields":                replace(`["name"]`, `["locale"]`),
		"count":                 replace(`"count":3`, `"count":4`),
		"generation":            replace(`"generation":7`, `"generation":8`),
	}
	for name, change := range changes {
		bitten := 0
		for _, s := range k.stored(t) {
			before := s
			if change(&s); reflect.DeepEqual(before, s) {
				continue // has no such part
			}
			bitten++
			if s.verifies() {
				t.Errorf("nobody finds another %s in %+v", name, s)
			}
		}
		if bitten == 0 {
			t.Errorf("nothing has another %s", name)
		}
	}
}

// What two events' personal parts say can't be swapped between them.
func TestLOG1_PersonalPartsCannotBeSwapped(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	k := newTestLog(d, secret.Random{})
	jane, eve := full(event.Login), full(event.Login)
	eve.Account, eve.Origin.Address = "account-2", netip.MustParseAddr("192.0.2.1")
	k.append(t, jane, eve)
	all := k.stored(t)
	all[0].salt, all[1].salt = all[1].salt, all[0].salt
	all[0].data, all[1].data = all[1].data, all[0].data
	if all[0].verifies() || all[1].verifies() {
		t.Error("one's sign-in can be made the other's")
	}
}

// GDPR-3: a person's part can go, and what is sealed stays as it was. The rest
// of the log can't be changed at all.
func TestGDPR3_OnlyThePersonalPartCanBeDeleted(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := newTestLog(d, secret.Random{})
		k.append(t, full(event.Login), full(event.Logout))
		hashes := func() (list []string) {
			err := d.Read(ctx, func(tx *db.Tx) error {
				rows, err := tx.Query(`SELECT id, time, kind, outcome, hash FROM event ORDER BY id`)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					var s stored
					if err := rows.Scan(&s.id, &s.time, &s.kind, &s.outcome, &s.hash); err != nil {
						return err
					}
					list = append(list, s.id+s.kind+s.outcome+string(s.hash))
				}
				return rows.Err()
			})
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		before := hashes()
		for _, statement := range []string{
			`UPDATE event SET kind = 'logout'`, `UPDATE event SET hash = hash`, `DELETE FROM event`, `UPDATE event_personal SET data = '{}'`,
			`UPDATE event_personal SET person = 'eve'`,
		} {
			if err := d.Write(ctx, func(tx *db.Tx) error { _, err := tx.Exec(statement); return err }); err == nil {
				t.Errorf("%s was done", statement)
			}
		}
		err := d.Write(ctx, func(tx *db.Tx) error {
			n, err := tx.Exec(`DELETE FROM event_personal WHERE person = $1`, "account-1")
			if n != 2 {
				t.Errorf("%d parts were deleted", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if after := hashes(); len(after) != 2 || after[0] != before[0] || after[1] != before[1] {
			t.Errorf("the log was %q, and is %q", before, after)
		}
	})
}
