package notice_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// Mails of an account whose address may be a stranger's wait until somebody has looked; all others go.
func TestDB4_MailsToAnAddressThatCameBackWait(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, clock := mailtest.New(t, mailtest.Options{}), newClock()
		delivery := newDelivery(t, d, s.URL, clock.now)
		held, other := one(notice.ResetPassword, "ada@example.org"), one(notice.ResetPassword, "eve@example.org")
		other.Account = "0192f0c1-0000-7000-8000-000000000002"
		err := d.Write(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(`INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at)
				VALUES ($1, 'ada@example.org', 'ada@example.org', '', '', '[]', '', 1)`, held.Account); err != nil {
				return err
			}
			if err := notice.Hold(tx, "nobody", clock.now()); err != nil {
				return err
			}
			return notice.Hold(tx, held.Account, clock.now())
		})
		if err != nil {
			t.Fatal(err)
		}
		queue(t, d, delivery.Outbox, held, other)
		if err := round(t, delivery); err != nil {
			t.Fatal(err)
		}
		if got := s.Mails(); len(got) != 1 || got[0].To != "eve@example.org" {
			t.Errorf("sent: %+v", got)
		}
		for id, want := range map[string]bool{held.Account: true, "nobody": false} {
			var released bool
			err = d.Write(ctx, func(tx *db.Tx) (err error) { released, err = notice.Release(tx, id); return err })
			if err != nil || released != want {
				t.Errorf("%s was held: %v, %v", id, released, err)
			}
		}
		if err := round(t, delivery); err != nil {
			t.Fatal(err)
		}
		if got := s.Mails(); len(got) != 2 {
			t.Errorf("after the release: %d mails", len(got))
		}
	})
}
