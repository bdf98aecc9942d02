package flow

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// SignInEnd is the end of every sign-in, whatever led to it: a password alone, or with a second
// factor, or a first factor that was just added.
type SignInEnd struct {
	Core
	Sessions *session.Store
	Tokens   *token.Issuer
	Revoked  *token.Revocations
	Guard    *Guard
	// Consents say what must be agreed to before a session begins, and Factors keep the sign-ins that wait for it.
	Consents *Consents
	Factors  *factor.Store
	// Providers are those by which people sign in: for the addresses of some domains one is the only way.
	Providers *upstream.Providers
}

// Arrival is a sign-in that has shown all that it is asked for.
type Arrival struct {
	// Who is the account as the sign-in has looked at it.
	Who account.Credentials
	AMR []string
	// AuthAt is when the person showed who they are, where a provider says that it was before; zero for now.
	AuthAt time.Time
	// Rehash is another form of the password's hash.
	Rehash account.Rehash
	// Try is the last that was counted: it tells whether the device is known.
	Try lockout.Try
	// Browser is where it comes from, if that keeps cookies: it becomes known, or stays so, and its session before is replaced.
	Browser *Browser
	// Enter takes the account's row and returns what it is, in the place of [account.SignedIn], which
	// does if it is nil; Spend is what is done next, before anything of sessions and of guesses. signsIn says that
	// the sign-in ends by it, and does not wait for an agreement.
	Enter func(tx *db.Tx, signsIn bool, now time.Time) (account.Entered, error)
	Spend func(tx *db.Tx, now time.Time) error
	// Agrees records that the person agrees to what is asked for, and returns the fault if they do not; nil for who has
	// not been asked.
	Agrees func(tx *db.Tx, asked []consent.Document) error
	// ForgetCodes says that it has shown a factor: what was counted of wrong codes before the present
	// password was set is forgotten.
	ForgetCodes bool
	From        event.Origin
}

// ended is what a sign-in has come to: a session, or, when it has shown all that it must, the wait for an agreement.
type ended struct {
	grant session.Grant
	// device makes the browser known; empty for one that was known already, or does not become so.
	device string
	waits  *Waiting
}

// tokens are those of the session. That it waits is the error.
func (e *SignInEnd) tokens(done ended, now time.Time) (Tokens, error) {
	if done.waits != nil {
		return Tokens{}, done.waits
	}
	return issue(e.Tokens, done.grant, now)
}

// End makes the session, and makes the browser known if it keeps cookies. Where documents must be agreed to first it
// makes a sign-in that waits for that. It returns account.ErrNotFound if the account is no longer what the sign-in has
// looked at.
func (e *SignInEnd) End(tx *db.Tx, a Arrival, now time.Time) (done ended, err error) {
	if err := e.mayEnd(a); err != nil {
		return done, err
	}
	if a.Enter == nil { // or it could be taken back in between; an enrolment may have to take another row first
		if err := e.Consents.hold(tx, a.Who.ID); err != nil {
			return done, err
		}
	}
	asked, err := e.Consents.outstanding(tx, a.Who.ID)
	if err != nil {
		return done, err
	}
	if len(asked) > 0 && a.Agrees == nil {
		return e.wait(tx, a, asked, now)
	}
	if a.Enter == nil {
		a.Enter = func(tx *db.Tx, _ bool, now time.Time) (account.Entered, error) {
			return account.SignedIn(tx, a.Who.ID, a.Who.PasswordN, a.Who.FactorN, a.Rehash, now)
		}
	}
	entered, err := a.Enter(tx, true, now)
	if err == nil && a.Spend != nil {
		err = a.Spend(tx, now)
	}
	if err == nil && a.Agrees != nil {
		err = a.Agrees(tx, asked)
	}
	if err != nil {
		return done, err
	}
	if entered.Kept {
		if err := e.Guard.kept(tx, a.Who.ID, event.Detail{Reason: "signed_in"}, a.From); err != nil {
			return done, err
		}
	}
	start := a.start(entered.Roles)
	if start.SID, err = e.replace(tx, a, now); err != nil {
		return done, err
	}
	if err := e.makeRoom(tx, a, now); err != nil {
		return done, err
	}
	if err := e.notifySignIn(tx, a.Who, start, a.Try, now, a.From); err != nil {
		return done, err
	}
	done.grant = e.Sessions.Begin(tx, start, now)
	if a.ForgetCodes {
		e.Guard.Lockout.ForgetOlder(tx, a.Who.ID, a.Who.PasswordAt)
	}
	e.Guard.succeeded(tx, a.Try)
	if a.Browser.keeps(a.Try.Device) {
		done.device = e.Guard.Lockout.Remember(tx, a.Try, a.Who.ID, now)
	}
	e.Events.Append(tx, event.Event{
		Kind: event.Login, Outcome: event.Success, Account: a.Who.ID, Session: done.grant.Session, Origin: a.From,
		Detail: event.Detail{Roles: done.grant.Roles, AMR: done.grant.AMR},
	})
	return done, nil
}

// shut refuses all but administrators while signing in is closed.
func (c *Core) shut(roles []string) error {
	if slices.Contains(roles, account.Admin) {
		return nil
	}
	return c.Lockdown.Pass(lockdown.SignIn)
}

// mayEnd refuses a sign-in while they are closed, and one of an address that has another way in alone.
func (e *SignInEnd) mayEnd(a Arrival) error {
	if r := e.Providers.Only(a.Who.Key); r != nil && !slices.Contains(a.AMR, amrProvider) {
		return onlyBy(r)
	}
	return e.shut(a.Who.Roles)
}

// start is what the session begins with.
func (a Arrival) start(roles []string) session.Start {
	s := startOf(a.Who.ID, roles, a.AMR, a.From)
	s.AuthAt = a.AuthAt
	return s
}

// wait makes the sign-in that waits until documents are agreed to, in the place of a session. What was shown is spent.
// It makes nobody known and evicts no session, and the account's time of its last sign-in stays: that belongs to the
// whole sign-in.
func (e *SignInEnd) wait(tx *db.Tx, a Arrival, asked []consent.Document, now time.Time) (done ended, err error) {
	if a.Enter == nil {
		a.Enter = func(tx *db.Tx, _ bool, _ time.Time) (account.Entered, error) {
			account.StoreRehash(tx, a.Who.ID, a.Rehash)
			return account.Entered{}, account.Unchanged(tx, a.Who.ID, a.Who.PasswordN, a.Who.FactorN)
		}
	}
	_, err = a.Enter(tx, false, now)
	if err == nil && a.Spend != nil {
		err = a.Spend(tx, now)
	}
	if err != nil {
		return done, err
	}
	who, err := account.CredentialsOf(tx, a.Who.ID) // a factor may have been added
	if err != nil {
		return done, err
	}
	if err := factor.TrimAgreeing(tx, who.ID); err != nil {
		return done, err
	}
	if a.Try.Guessed {
		if err := e.mailSignIn(tx, who.ID, notice.AfterGuesses, now, a.From); err != nil {
			return done, err
		}
	}
	done.waits = &Waiting{why: errAgreement, Agree: asked, Life: factor.PendingLife}
	done.waits.Token = e.Factors.Begin(tx, factor.Pending{
		Account: who.ID, Want: factor.Agree, AMR: a.AMR, AuthAt: a.AuthAt, PasswordN: who.PasswordN, FactorN: who.FactorN,
		Device: a.Try.Device, Network: event.Network(a.From.Address).String(),
	}, now)
	if a.ForgetCodes {
		e.Guard.Lockout.ForgetOlder(tx, who.ID, who.PasswordAt)
	}
	e.Guard.succeeded(tx, a.Try)
	e.Events.Append(tx, event.Event{
		Kind: event.AgreementAsked, Outcome: event.Success, Account: who.ID, Origin: a.From, Detail: event.Detail{AMR: a.AMR},
	})
	return done, nil
}

// replace ends the browser's session of the same person, whose tokens may be in other hands by now, and returns what applications
// call it: the new one goes on under that name, so that to sign in again for one application signs nobody out of the others. It is
// empty where there is none.
func (e *SignInEnd) replace(tx *db.Tx, a Arrival, now time.Time) (sid string, err error) {
	if a.Browser == nil || a.Browser.Session == "" {
		return "", nil
	}
	a.Browser.Replaced = false // the transaction may run again
	p, turn := e.Sessions.Present(a.Browser.Session)
	if turn != "" {
		return "", nil
	}
	sid, ok, err := session.Replace(tx, p.SessionID(), a.Who.ID, now)
	if err != nil || !ok {
		return "", err
	}
	a.Browser.Replaced = true
	e.Revoked.EndSession(tx, p.SessionID())
	e.Events.Append(tx, event.Event{
		Kind: event.Logout, Outcome: event.Success, Account: a.Who.ID, Session: p.SessionID(), Origin: a.From,
		Detail: event.Detail{Reason: session.WhyReplaced},
	})
	return sid, nil
}

// makeRoom ends the sessions that are too many beside a new one.
func (e *SignInEnd) makeRoom(tx *db.Tx, a Arrival, now time.Time) error {
	ended, err := e.Sessions.EndOldest(tx, a.Who.ID, now)
	for _, id := range ended {
		if err := EndSession(tx, e.Revoked, id, now); err != nil {
			return err
		}
		e.Events.Append(tx, event.Event{
			Kind: event.SessionRevoked, Outcome: event.Success, Account: a.Who.ID, Session: id, Origin: a.From,
			Detail: event.Detail{Reason: session.WhyTooMany},
		})
	}
	return err
}
