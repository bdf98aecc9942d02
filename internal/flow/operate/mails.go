package operate

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// Mails shows what nobody sends in development.
type Mails struct {
	DB     *db.DB
	Outbox *notice.Outbox
	Texts  *notice.Texts
}

// Do returns the newest mails.
func (f *Mails) Do(ctx context.Context) (list []notice.Shown, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = f.Outbox.Open(tx, f.Texts, 50)
		return err
	})
	return list, err
}

// Mails returns the newest rows of the outbox; only dead mails if asked for.
func (f *Operator) Mails(ctx context.Context, dead bool, limit int) (list []notice.Entry, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = notice.List(tx, dead, limit)
		return err
	})
	return list, err
}

// RetryMail makes a mail due at once.
func (f *Operator) RetryMail(ctx context.Context, id string, from event.Origin) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		f.acted(tx, ActRetryMail, event.Event{Origin: from})
		return notice.Retry(tx, id, f.Now())
	})
}

// RetryDeadMails makes all dead mails due at once.
func (f *Operator) RetryDeadMails(ctx context.Context, from event.Origin) (n int64, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if n, err = notice.RetryDead(tx, f.Now()); err == nil {
			f.acted(tx, ActRetryMail, event.Event{Origin: from, Detail: event.Detail{Count: n}})
		}
		return err
	})
	return n, err
}
