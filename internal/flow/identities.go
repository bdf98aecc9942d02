package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// Linked is an identity of somebody's account.
type Linked struct {
	upstream.Identity
	// Provider is its provider's id, empty if there is none any more; Name is what people read.
	Provider, Name string
}

// Named returns identities with the names of their providers; one that is gone has its issuer for a name.
func Named(p *upstream.Providers, list []upstream.Identity) []Linked {
	out := make([]Linked, 0, len(list))
	for _, i := range list {
		l := Linked{Identity: i, Name: i.Issuer}
		if r := p.ByIssuer(i.Issuer); r != nil {
			l.Provider, l.Name = r.ID, r.Name
		}
		out = append(out, l)
	}
	return out
}

// named returns the providers' names.
func (l *EmailLinks) named(list []upstream.Identity) (names []string) {
	for _, i := range Named(l.Providers, list) {
		names = append(names, i.Name)
	}
	return names
}

// Identities returns what somebody's account is linked to.
func (f *ProviderSignIn) Identities(ctx context.Context, who Identity) (list []Linked, err error) {
	ctx, run := f.Count.Begin(ctx, "identities")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		own, err := upstream.Of(tx, who.Account)
		list = Named(f.Providers, own)
		return err
	})
	return list, run.End(err)
}

// Unlink takes an identity from somebody's account, unless it is the last way in. The other sessions end, and so does whatever sign-in is
// under way: one of them may be by it.
func (f *ProviderSignIn) Unlink(ctx context.Context, who Identity, handle string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "unlink_identity")
	return run.End(changedMeanwhile(f.unlink(ctx, who, handle, from)))
}

func (f *ProviderSignIn) unlink(ctx context.Context, who Identity, handle string, from event.Origin) error {
	if err := f.Lockdown.Pass(lockdown.Changes); err != nil {
		return err
	}
	if err := f.mayLink(ctx, who); err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		if _, err := account.HoldUsable(tx, who.Account); err != nil { // of two at once the second sees what the first has left
			return err
		}
		c, err := account.CredentialsOf(tx, who.Account)
		if err == nil {
			err = IsFresh(who, c.Factors, now)
		}
		if err != nil {
			return err
		}
		list, err := upstream.Of(tx, c.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(i upstream.Identity) bool { return i.Handle() == handle })
		if at < 0 {
			return upstream.ErrNotFound
		}
		own, err := factor.Own(tx, c.ID)
		if err != nil {
			return err
		}
		if ok, err := upstream.Unlink(tx, list[at]); err != nil || !ok {
			return errors.Join(err, changedMeanwhile(account.ErrNotFound))
		}
		left, err := f.waysInOf(tx, c, own)
		if err == nil && f.Providers.ByIssuer(list[at].Issuer) != nil && !left.opens(f.Factors.rpID()) {
			err = errLastWayIn
		}
		if err == nil {
			err = f.gone(tx, c.ID, list[at:at+1], "asked", from)
		}
		if err == nil {
			err = f.endSessions(tx, c.ID, who.Session, "identity_unlinked", from)
		}
		return err
	})
}

// gone records that identities are an account's no more, tells its owner, and ends the sign-ins that are under way. Whoever calls it holds
// the account's row.
func (l *EmailLinks) gone(tx *db.Tx, accountID string, list []upstream.Identity, why string, from event.Origin) error {
	if len(list) == 0 {
		return nil
	}
	if err := account.FactorsRemoved(tx, accountID, 0); err != nil {
		return err
	}
	for _, i := range Named(l.Providers, list) {
		l.Guard.Events.Append(tx, event.Event{
			Kind: event.IdentityUnlinked, Outcome: event.Success, Account: accountID, Origin: from,
			Detail: event.Detail{Provider: i.Provider, Identity: i.Handle(), Reason: why},
		})
	}
	if why != "asked" {
		return nil // what it belongs to is told of by itself
	}
	return l.tell(tx, accountID, notice.Mail{Kind: notice.IdentityUnlinked, Providers: l.named(list), At: l.Now()}, from)
}

// dropIdentities takes away what was linked to an account since a time, all with the zero time: nothing of it opens the account. Whoever
// calls it holds the account's row.
func (l *EmailLinks) dropIdentities(tx *db.Tx, accountID string, since time.Time, why string, from event.Origin) error {
	list, err := upstream.DropSince(tx, accountID, since)
	if err != nil {
		return err
	}
	return l.gone(tx, accountID, list, why, from)
}
