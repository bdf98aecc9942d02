package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Enroller is who adds a factor: somebody who is signed in, or, with the token of a pending sign-in,
// somebody who has shown a password and must add the first one.
type Enroller struct {
	Identity
	Pending string
}

// enroller is an Enroller whose account was looked at. The holder is the session, or the pending
// sign-in, to which all that is asked for is bound.
type enroller struct {
	account account.Credentials
	holder  string
	// amr is what the session has shown, or the pending sign-in.
	amr     []string
	pending factor.Pending // with no id for a session
}

// showedMore reports whether a pending sign-in has shown more than its password: then it adds a passkey to
// what the account has, and no mailed code is asked for.
func (e enroller) showedMore() bool { return len(e.pending.AMR) > 1 }

// needsMail reports whether the mailed code is asked for: for the first factor, unless the link of the set-up was shown, or
// the mail that verified the address.
func (e enroller) needsMail() bool { return e.account.Factors == 0 && e.pending.Proof == "" }

// NeedsMail reports whether a mailed code is asked for beside what a factor shows.
func (f *Factors) NeedsMail(ctx context.Context, by Enroller) (bool, error) {
	e, err := f.enroller(ctx, by)
	return e.needsMail(), err
}

func (f *Factors) enroller(ctx context.Context, by Enroller) (e enroller, err error) {
	e.holder, e.amr = by.Session, by.AMR
	id := by.Account
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if by.Pending != "" {
			if e.pending, err = factor.ByToken(tx, by.Pending, f.Now()); err != nil {
				return err
			}
			id, e.holder, e.amr = e.pending.Account, e.pending.ID, e.pending.AMR
		}
		e.account, err = account.CredentialsOf(tx, id)
		return err
	})
	if err == nil && e.pending.Proof != factor.BySetup {
		err = f.Lockdown.Pass(lockdown.Changes)
	}
	if err != nil {
		return e, err
	}
	if by.Pending == "" {
		return e, IsFresh(by.Identity, e.account.Factors, f.Now())
	}
	if p := e.pending; p.Want != factor.Enrol || p.PasswordN != e.account.PasswordN || p.FactorN != e.account.FactorN ||
		e.account.Factors > 0 && !e.showedMore() {
		return e, factor.ErrOver
	}
	return e, nil
}

// May is what somebody may add.
type May struct {
	App, Keys bool
	// MailCode says that a mailed code is asked for beside it.
	MailCode bool
	// Begins says that the account has no password, and begins with this passkey.
	Begins bool
	// SkipUntil is until when it can be put off; zero if it can't be.
	SkipUntil time.Time
}

// May returns what somebody may add now.
func (f *Factors) May(ctx context.Context, by Enroller) (m May, err error) {
	e, err := f.enroller(ctx, by)
	m = May{App: f.mayAddApp(e) == nil, Keys: f.Keys != nil, MailCode: e.needsMail(), Begins: e.pending.Proof == factor.ByMail}
	if err == nil {
		err = f.DB.Read(ctx, func(tx *db.Tx) error { m.SkipUntil, err = f.skipUntilOf(tx, e); return err })
	}
	return m, err
}

// MailCode sends the code with which the first factor is added, and returns the request that it is good
// with. It sends nothing where the account has a factor.
func (f *Factors) MailCode(ctx context.Context, by Enroller, from event.Origin) (request string, err error) {
	ctx, run := f.Count.Begin(ctx, "mail_factor_code")
	request = f.Tickets.NewRequest()
	return request, run.End(f.mailCode(ctx, by, request, from))
}

func (f *Factors) mailCode(ctx context.Context, by Enroller, request string, from event.Origin) error {
	e, err := f.enroller(ctx, by)
	c := e.account
	if err != nil || !e.needsMail() {
		return err
	}
	if err := f.Limits.mail(ctx, from); err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		h, err := account.HolderByID(tx, c.ID)
		if err != nil {
			return err
		}
		if ok, err := f.Limits.affords(tx, shareVerify, h.Key, from, now); err != nil || !ok {
			return err
		}
		s := f.Tickets.Issue(tx, ticket.Ticket{
			Purpose: ticket.Factor, Account: h.ID, Address: h.Email, AddressKey: h.Key, PasswordN: h.PasswordN, Request: request,
		}, now)
		return f.Guard.Notices.Send(tx, notice.Mail{
			Kind: notice.FactorCode, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now, Code: s.Code, CodeLife: ticket.CodeLife,
		}, from)
	})
}

// proveMail takes a try at the mailed code, or looks at what an operator gave in its place.
func (f *Factors) proveMail(ctx context.Context, c account.Credentials, mailed string, requests []string, from event.Origin) (ticket.Ticket, error) {
	if ticket.IsToken(mailed) {
		t, err := f.find(ctx, LinkOrCode{Token: mailed}, event.FactorAdded, from, ticket.FactorInvite, ticket.FactorInvite)
		if errors.Is(err, ticket.ErrLink) || err == nil && (t.Account != c.ID || t.PasswordN != c.PasswordN) {
			err = errMailCode.Because(Reason("wrong_mail_code"))
		}
		return t, err
	}
	t, err := f.find(ctx, LinkOrCode{Email: c.Email, Code: mailed, Requests: requests}, event.FactorAdded, from, ticket.Factor, ticket.Factor)
	if errors.Is(err, ticket.ErrCode) || err == nil && (t.Account != c.ID || t.PasswordN != c.PasswordN) {
		err = errMailCode.Because(Reason("wrong_mail_code"))
	}
	return t, err
}
