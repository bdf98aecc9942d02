package flow

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// Profile is what people see of their own account: itself, its sessions and
// what happened to it.
type Profile struct {
	Core
}

// Me returns the account.
func (f *Profile) Me(ctx context.Context, who Identity) (account.Account, error) {
	ctx, run := f.Count.Begin(ctx, "profile")
	a, err := f.me(ctx, who)
	return a, run.End(err)
}

func (f *Profile) me(ctx context.Context, who Identity) (a account.Account, err error) {
	err = f.DB.ReadShared(ctx, func(tx *db.Tx) error {
		a, err = account.ByID(tx, who.Account)
		return err
	})
	return a, err
}

// Change is what can be changed of an account; nil leaves it as it is.
type Change struct{ Name, Locale *string }

// Change changes the account and returns it.
func (f *Profile) Change(ctx context.Context, who Identity, c Change, from event.Origin) (account.Account, error) {
	ctx, run := f.Count.Begin(ctx, "profile")
	a, err := f.change(ctx, who, c, from)
	return a, run.End(err)
}

func (f *Profile) change(ctx context.Context, who Identity, c Change, from event.Origin) (a account.Account, err error) {
	var fields []string
	if c.Name != nil {
		if err := account.CheckName("name", *c.Name); err != nil {
			return a, err
		}
		fields = append(fields, "name")
	}
	if c.Locale != nil {
		locale, err := account.ParseLocale("locale", *c.Locale)
		if err != nil {
			return a, err
		}
		c.Locale = &locale
		fields = append(fields, "locale")
	}
	if fields == nil {
		return f.me(ctx, who)
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		a, err = account.SetProfile(tx, who.Account, c.Name, c.Locale)
		if err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.ProfileChange, Outcome: event.Success, Account: who.Account, Session: who.Session,
			Origin: from, Detail: event.Detail{Fields: fields},
		})
		return nil
	})
	return a, err
}

// Sessions returns the account's living sessions, the latest used first.
func (f *Profile) Sessions(ctx context.Context, who Identity) (list []session.Info, err error) {
	ctx, run := f.Count.Begin(ctx, "profile")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = session.List(tx, who.Account, f.Now())
		return err
	})
	return list, run.End(err)
}

// History returns up to limit of the account's events, newest first, from those
// before the event with the given id on, and whether there are more.
func (f *Profile) History(ctx context.Context, who Identity, before string, limit int) (list []event.Entry, more bool, err error) {
	ctx, run := f.Count.Begin(ctx, "profile")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = f.Events.OfPerson(tx, who.Account, before, limit+1)
		return err
	})
	_ = run.End(err)
	if len(list) > limit {
		return list[:limit], true, err
	}
	return list, false, err
}
