package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// UnfinishedLife is how long a browser keeps a sign-in that goes on by a mail.
const UnfinishedLife = time.Hour

const unfinishedContext = "gatehouse unfinished sign-in by a provider"

// unfinished is what a provider has said of somebody whom no account knows: sealed, in a cookie of theirs.
type unfinished struct {
	At       int64           `json:"t"`
	Provider string          `json:"p"`
	Person   upstream.Person `json:"w"`
	To       string          `json:"r,omitempty"`
	ACR      string          `json:"a,omitempty"`
}

// byMail is one page for all whom the rule does not know, in one time: anybody could ask which addresses have an account, by a provider
// that looks whose none is. A mail says how it goes on: with a code that makes an account, or by signing in as usual.
func (f *ProviderSignIn) byMail(ctx context.Context, a arrival, c found, back Returned) (Returned, error) {
	back.Request = f.Tickets.NewRequest()
	kept := unfinished{At: f.Now().Unix(), Provider: a.remote.ID, Person: a.person, To: back.To, ACR: a.acr}
	back.Unfinished = secret.SealText(f.Random, f.Seal(), kept, unfinishedContext)
	if a.address.Key == "" {
		return back, nil // which the provider tells, and no account
	}
	if err := f.Limits.mail(ctx, a.from); err != nil {
		return back, err
	}
	defer takeMinimumTime(ctx, time.Now())
	return back, f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		f.Guard.Events.Append(tx, event.Event{
			Kind: event.FailedLogin, Outcome: event.Failure, Account: c.has.ID, Origin: a.from,
			Detail: event.Detail{Reason: "identity_unknown", Provider: a.remote.ID, Address: addressHash(f.Guard.Pseudonym, a.address.Key)},
		})
		if c.HasAccount {
			return f.tellUsual(tx, a, c.has.ID, now)
		}
		return f.mailCode(tx, a, c, back.Request, now)
	})
}

// tellUsual tells an owner how to go on.
func (f *ProviderSignIn) tellUsual(tx *db.Tx, a arrival, accountID string, now time.Time) error {
	h, err := account.HolderByID(tx, accountID)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if ok, err := f.Limits.affords(tx, shareUnasked, h.Key, a.from, now); err != nil || !ok {
		return err
	}
	return f.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.ProviderSignIn, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, Providers: []string{a.remote.Name}, At: now,
	}, a.from)
}

// mailCode sends the code that makes an account, where there may be one.
func (f *ProviderSignIn) mailCode(tx *db.Tx, a arrival, c found, request string, now time.Time) error {
	address, err := f.Accounts.Address(a.person.Email)
	if only := f.Providers.Only(a.address.Key); err != nil || !f.Open && !c.SignUp || only != nil && only != a.remote {
		return nil //nolint:nilerr // no account can have it
	}
	if _, held, err := f.sendWayBack(tx, address, shareUnasked, now, a.from); err != nil || held {
		return err
	}
	if ok, err := f.Limits.affords(tx, shareVerify, address.Key, a.from, now); err != nil || !ok {
		return err
	}
	s := f.Tickets.Issue(tx, ticket.Ticket{
		Purpose: ticket.SignUp, Account: f.Random.ID(now), Address: address.Typed, AddressKey: address.Key, Request: request,
	}, now)
	return f.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.ProviderCode, To: address.Typed, Locale: account.AcceptedLocale(a.accepted), Providers: []string{a.remote.Name}, At: now,
		Code: s.Code, CodeLife: ticket.CodeLife,
	}, a.from)
}

// Waits is a sign-in that goes on by a mail, as its page shows it.
type Waits struct {
	// Provider is what people call it, Email the address there; empty for none.
	Provider, Email string
	To              string
}

// Waiting returns it, or the fault of one that is over.
func (f *ProviderSignIn) Waiting(sealed string) (Waits, error) {
	r, u, err := f.unfinishedOf(sealed)
	if err != nil {
		return Waits{}, err
	}
	return Waits{Provider: r.Name, Email: u.Person.Email, To: u.To}, nil
}

func (f *ProviderSignIn) unfinishedOf(sealed string) (r *upstream.Remote, u unfinished, err error) {
	if err := secret.OpenText(f.Seal(), sealed, unfinishedContext, &u); err != nil {
		return nil, u, errJourney.Because(err)
	}
	if age := f.Now().Sub(time.Unix(u.At, 0)); age > UnfinishedLife || age < -time.Minute {
		return nil, u, errJourney
	}
	r, err = f.Providers.ByID(u.Provider)
	return r, u, err
}

// Finishing is who goes on with a sign-in by a mail.
type Finishing struct {
	Sealed, Code string
	// Requests are those that mails were asked for with: see [LinkOrCode].
	Requests []string
	Browser  *Browser
	Accepted string
}

// SignUp makes an account for who shows the code that was mailed, and signs in. The faults are those of codes, and of every sign-in.
func (f *ProviderSignIn) SignUp(ctx context.Context, in Finishing, from event.Origin) (Returned, error) {
	ctx, run := f.Count.Begin(ctx, "provider_sign_up")
	back, err := f.signUp(ctx, in, from)
	if err == nil {
		back.Refresh = f.End.Sessions.ForCookie(back.Refresh)
	}
	return back, run.End(err)
}

func (f *ProviderSignIn) signUp(ctx context.Context, in Finishing, from event.Origin) (back Returned, err error) {
	r, u, err := f.unfinishedOf(in.Sealed)
	if err != nil {
		return back, err
	}
	back.To = u.To
	t, err := f.find(ctx, LinkOrCode{Email: u.Person.Email, Code: in.Code, Requests: in.Requests}, event.AccountRegistered, from, ticket.SignUp, ticket.SignUp)
	if err != nil {
		return back, err
	}
	return f.settle(ctx, arrival{remote: r, person: u.Person, acr: u.ACR, browser: in.Browser, accepted: in.Accepted, from: from, code: &t}, back)
}

// Link links what an unfinished sign-in has shown to the account of whoever is signed in, and says so on a page of ours: they have
// signed in as usual by then.
func (f *ProviderSignIn) Link(ctx context.Context, who Identity, sealed string, from event.Origin) (Returned, error) {
	ctx, run := f.Count.Begin(ctx, "link_identity")
	back, err := f.linkUnfinished(ctx, who, sealed, from)
	return back, run.End(err)
}

func (f *ProviderSignIn) linkUnfinished(ctx context.Context, who Identity, sealed string, from event.Origin) (back Returned, err error) {
	r, u, err := f.unfinishedOf(sealed)
	if err == nil {
		err = f.mayLink(ctx, who)
	}
	if err != nil {
		return back, err
	}
	back.To = u.To
	return f.settle(ctx, arrival{remote: r, person: u.Person, linking: true, who: who, from: from}, back)
}
