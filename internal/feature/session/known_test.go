package session_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// MAIL-4: which sessions make a device and a network known.
func TestMAIL4_WhatIsKnown(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k, other := newTestStore(t, d, standard), newTestStore(t, d, standard)
		here := session.Start{Account: k.account, Device: "Firefox Linux", Network: "203.0.113.7/32"}
		begin := func(b session.Start, now time.Time, why string) {
			t.Helper()
			err := d.Write(ctx, func(tx *db.Tx) error {
				g := k.store.Begin(tx, b, now)
				if why == "" {
					return nil
				}
				_, err := session.End(tx, g.Session, "", why, now)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		want := func(known bool, others int, b session.Start, passwordAt, since time.Time) {
			t.Helper()
			err := d.Read(ctx, func(tx *db.Tx) error {
				got, n, err := session.Known(tx, b, passwordAt, since)
				if got != known || n != others {
					t.Errorf("known %v, %d others; want %v, %d", got, n, known, others)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		day := start.Add(-24 * time.Hour)
		want(false, 0, here, start, day)
		for _, why := range []string{session.WhyRevoked, session.WhyDisabled, session.WhyReuse, session.WhyAhead} {
			begin(here, start, why)
			want(false, 1, here, start, day)
		}
		elsewhere, phone, hers := here, here, here
		elsewhere.Network, phone.Device, hers.Account = "198.51.100.9/32", "Safari iPhone", other.account
		begin(elsewhere, start, "")
		begin(phone, start, "")
		begin(hers, start, "")
		want(false, 3, here, start, day)
		want(false, 0, here, start, start.Add(time.Second))
		for _, why := range []string{"", session.WhyLogout, session.WhyTooMany} {
			here.Network += "x"
			begin(here, start, why)
			want(true, 0, here, start, day)
		}
		want(false, 6, here, start.Add(time.Microsecond), day) // the password is younger
	})
}
