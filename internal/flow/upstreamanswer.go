package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// Returning is somebody who is back from a provider.
type Returning struct {
	Provider string
	// State is what the provider sends along, Sealed what the browser kept under it.
	State, Sealed string
	Answer        upstream.Answer
	// Who is signed in, if somebody is.
	Who     Identity
	Browser *Browser
	// Accepted is Accept-Language.
	Accepted string
}

// Returned is what becomes of them.
type Returned struct {
	// Tokens are those of a session; where there is none it was a link, or they go on by a mail.
	Tokens
	// To is where they go.
	To string
	// Linked says that what they have there is linked now, or was already.
	Linked bool
	// Unfinished is what the browser keeps of a sign-in that goes on by a mail, and Request what the mail's code is good with.
	Unfinished, Request string
}

// Return signs in who is back from a provider, or links. Beside the faults of the provider there are those of every sign-in, and a
// [Waiting].
func (f *ProviderSignIn) Return(ctx context.Context, in Returning, from event.Origin) (Returned, error) {
	ctx, run := f.Count.Begin(ctx, "provider_sign_in")
	back, err := f.back(ctx, in, from)
	switch {
	case err == nil && back.Unfinished != "":
		run.As("mailed")
		return back, nil
	case err == nil && back.Linked:
		run.As("linked")
		return back, nil
	case err == nil:
		back.Refresh = f.End.Sessions.ForCookie(back.Refresh)
	}
	return back, run.End(err)
}

func (f *ProviderSignIn) back(ctx context.Context, in Returning, from event.Origin) (back Returned, err error) {
	r, err := f.Providers.ByID(in.Provider)
	if err != nil {
		return back, err
	}
	j, err := f.journeyOf(in.Provider, in.State, in.Sealed)
	if err != nil {
		return back, err
	}
	back.To = j.To
	done, err := f.Limits.guess(ctx, "", from)
	if err != nil {
		return back, err
	}
	defer func() { done(err) }()
	who, err := r.Person(ctx, f.asking(r, j, false), in.Answer)
	if errors.Is(err, upstream.ErrAnswer) {
		f.Tally.Add(event.SuspiciousActivity, "provider_answer_refused", from)
	}
	if err != nil {
		return back, err
	}
	a := arrival{remote: r, person: who, acr: j.ACR, linking: j.Session != "", who: in.Who, browser: in.Browser, accepted: in.Accepted, from: from}
	if a.linking && (in.Who.Session != j.Session || in.Who.Account != j.Account) {
		return back, errLinkOver // and nobody is signed in by it either
	}
	return f.settle(ctx, a, back)
}

// arrival is somebody whom a provider has named.
type arrival struct {
	remote  *upstream.Remote
	person  upstream.Person
	address account.Address // of the person; empty where it is none
	acr     string
	linking bool
	// who is signed in, and asks for the link.
	who      Identity
	browser  *Browser
	accepted string
	from     event.Origin
	// code is the ticket of a mailed code that makes the account: it vouches for the address.
	code *ticket.Ticket
}

func (a arrival) identity(accountID string) upstream.Identity {
	return upstream.Identity{Issuer: a.person.Issuer, Subject: a.person.Subject, Account: accountID, Email: a.person.Email}
}

// errLookAgain is for a case that has become another while something was done about it.
var errLookAgain = errors.New("somebody else was first")

// looks is how often a case is looked at that becomes another each time.
const looks = 4

// settle finds out which case it is, and does what the rule says: again, if it has become another meanwhile.
func (f *ProviderSignIn) settle(ctx context.Context, a arrival, back Returned) (Returned, error) {
	a.address, _ = account.ParseAddress("email", a.person.Email) // empty if it is none
	for range looks {
		found, err := f.look(ctx, a)
		if err != nil {
			return back, err
		}
		back, err = f.follow(ctx, a, found, back)
		if !errors.Is(err, errLookAgain) {
			return back, err
		}
	}
	return back, ErrChangedMeanwhile
}

// found is what there is of an arrival.
type found struct {
	upstream.Case
	identity upstream.Identity
	// has is the account that has the address.
	has account.Credentials
}

func (f *ProviderSignIn) look(ctx context.Context, a arrival) (c found, err error) {
	domain := upstream.DomainOf(a.address.Key)
	only := f.Providers.Only(a.address.Key)
	c.Linking = a.linking
	c.Trusted = a.address.Key != "" && (only == nil || only == a.remote) && (a.code != nil || a.remote.Vouches(a.person, domain))
	c.SignUp = a.code != nil && f.Open || a.remote.SignsUp(domain, f.Open)
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		c.identity, err = upstream.Find(tx, a.person.Issuer, a.person.Subject)
		if err == nil {
			c.Known, c.Own = true, c.identity.Account == a.who.Account
			return nil
		}
		if !errors.Is(err, upstream.ErrNotFound) || a.address.Key == "" {
			return ignore(err, upstream.ErrNotFound)
		}
		if c.has, c.HasAccount, err = account.Taken(tx, a.address); err != nil {
			return err
		}
		c.Verified = c.has.Verified
		_, c.Held, err = ticket.UndoTo(tx, a.address.Key, f.Now())
		return err
	})
	return c, err
}

// ignore returns an error, unless it is the given one.
func ignore(err, other error) error {
	if errors.Is(err, other) {
		return nil
	}
	return err
}

// follow does what the rule says of a case.
func (f *ProviderSignIn) follow(ctx context.Context, a arrival, c found, back Returned) (Returned, error) {
	then := upstream.Judge(c.Case)
	if a.code != nil && then != upstream.Create && then != upstream.SignIn {
		return back, ticket.ErrCode // the address has an account by now
	}
	switch then {
	case upstream.SignIn:
		return f.enter(ctx, a, c.identity.Account, back)
	case upstream.LinkedAlready:
		back.Linked = true
		return back, nil
	case upstream.Taken:
		return back, errIdentityTaken
	case upstream.LinkAsked:
		back.Linked = true
		return back, f.link(ctx, a)
	case upstream.Create:
		id, err := f.create(ctx, a)
		if err != nil {
			return back, err
		}
		return f.enter(ctx, a, id, back)
	case upstream.Adopt, upstream.Cleanse:
		if err := usable(c.has); err != nil {
			return back, err
		}
		if err := f.adopt(ctx, a, c.has.ID, then == upstream.Cleanse); err != nil {
			return back, err
		}
		return f.enter(ctx, a, c.has.ID, back)
	case upstream.Mail:
	}
	return f.byMail(ctx, a, c, back)
}

// usable refuses an account that nobody may sign in to. A reset that was demanded of an address that nobody has verified is no
// more than its cleansing.
func usable(who account.Credentials) error {
	switch {
	case who.Disabled:
		return ErrAccountDisabled
	case who.MustReset && who.Verified:
		return ErrResetRequired
	}
	return nil
}

// enter ends a sign-in by an identity: in a session, or as one that waits. Whatever the provider says is one factor, but where the
// operator believes it that it was two.
func (f *ProviderSignIn) enter(ctx context.Context, a arrival, accountID string, back Returned) (Returned, error) {
	var who account.Credentials
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = account.CredentialsOf(tx, accountID)
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		err = factor.ErrOver
	}
	if err == nil {
		err = usable(who)
	}
	if err == nil && who.MustReset {
		err = ErrResetRequired
	}
	if only := f.Providers.Only(who.Key); err == nil && only != nil && only != a.remote {
		err = onlyBy(only)
	}
	if err != nil {
		return back, err
	}
	try := f.Guard.Lockout.Uncounted(f.Guard.clientOf(account.Address{Typed: who.Email, Key: who.Key}, a.browser, a.from))
	amr := []string{amrProvider}
	if a.remote.TrustAMR && a.person.Factors {
		amr = append(amr, amrFactors)
	}
	demand := f.Second.Demand
	switch {
	case who.Factors > 0 && (len(amr) == 1 || demand.key(who.Roles)):
		return back, f.Second.askAfter(ctx, who, factor.Step, amrProvider, try, account.Rehash{}, a.from)
	case who.Factors == 0 && (demand.forbids(who.Roles, amr) || a.acr == token.TwoFactors && len(amr) == 1):
		return back, f.Second.askAfter(ctx, who, factor.Enrol, amrProvider, try, account.Rehash{}, a.from)
	}
	now := f.Now()
	var done ended
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		done, err = f.End.End(tx, Arrival{
			Who: who, AMR: amr, AuthAt: a.authAt(now), Try: try, Browser: a.browser, From: a.from,
			Spend: func(tx *db.Tx, now time.Time) error { return upstream.Used(tx, a.identity(who.ID), now) },
		}, now)
		return err
	})
	switch {
	case errors.Is(err, upstream.ErrNotFound):
		return back, factor.ErrOver
	case errors.Is(err, account.ErrNotFound):
		return back, f.becameOf(ctx, who.ID)
	case err != nil:
		return back, err
	}
	a.browser.know(f.Guard.Lockout.CookieName(who.Key), done.device)
	back.Tokens, err = f.End.tokens(done, now)
	return back, err
}

// authAt is when somebody signed in at the provider, which may have been long ago: never later than now.
func (a arrival) authAt(now time.Time) time.Time {
	if a.person.Auth == 0 || a.person.Auth >= now.Unix() {
		return time.Time{}
	}
	return time.Unix(a.person.Auth, 0)
}
