package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// Exports lets people take a copy of all that is kept about them (GDPR-4). What it decides is whether; package privacy
// writes it. It is recorded, and its owner told, before the first byte leaves.
type Exports struct{ *EmailLinks }

// exportsMost is how many copies an account may take within exportsWindow.
const (
	exportsMost   = 3
	exportsWindow = 24 * time.Hour
)

// Export is the rule of how many copies an account may take.
func (l *Limits) Export() limit.Rule {
	return limit.Rule{Name: "export", Limit: exportsMost, Window: exportsWindow}
}

// Ask lets whoever is signed in take a copy of their own account's data. Where there is no second factor, the current password
// is as good as a fresh sign-in.
func (f *Exports) Ask(ctx context.Context, who Identity, current string, b *Browser, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "export")
	return run.End(f.ask(ctx, who, current, b, from))
}

func (f *Exports) ask(ctx context.Context, who Identity, current string, b *Browser, from event.Origin) error {
	done, err := f.mayTake(ctx, who, current, b, from)
	if err != nil {
		return err
	}
	claim := f.Limits.claim(f.Limits.Export(), "account", who.Account)
	if _, err := f.Limits.take(ctx, from, claim); err != nil {
		done.end(ctx, err)
		return err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		done.right(tx)
		a, err := account.ByID(tx, who.Account)
		if err != nil {
			return err
		}
		f.Guard.Events.Append(tx, event.Event{
			Kind: event.DataExport, Outcome: event.Success, Account: a.ID, Session: who.Session, Origin: from, Detail: event.Detail{AMR: who.AMR},
		})
		return f.Guard.Notices.Send(tx, notice.Mail{Kind: notice.DataExported, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale}, from)
	})
	if err != nil {
		f.Limits.giveBack(ctx, claim)
	}
	done.end(ctx, err)
	return err
}
