package flow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// SignIn trades an e-mail address and a password for a session, or for a [Waiting] where the account
// has a second factor.
//
// An unknown address, a wrong password, and an address that has yet to be
// verified are one answer, and cost the same work: one read, one hash, one
// event. If an unverified one had an answer of its own, anyone could register
// an address and learn from signing in whether it had an account before. The try
// is counted before the password is looked at: see package lockout.
type SignIn struct {
	Core
	Hasher *password.Hasher
	Guard  *Guard
	Limits *Limits
	// End is how it ends where no second factor waits, Second what does where one is.
	End    *SignInEnd
	Second *SecondStep
	// Breaches knows passwords that are refused although they are right, since they
	// have been in a breach; nil refuses none.
	Breaches password.Breaches
	// PasswordLife is after how long a new password must be set; 0 for never.
	PasswordLife time.Duration
	// RequireVerified refuses accounts whose address is not verified.
	RequireVerified bool
}

// Credentials is what somebody signs in with.
type Credentials struct {
	Email, Password string
	// Passwordless is for who registers, and is to have a passkey and no password.
	Passwordless bool
	// Browser is where they sit, if that keeps cookies of ours; nil otherwise.
	Browser *Browser
	// Cookies is whether the tokens go into the browser's cookies.
	Cookies bool
	// Locale is the language that whoever registers asked for: what the account keeps.
	// Accepted is the same as browsers ask for it by themselves (Accept-Language); of that what can't be
	// read counts for nothing.
	Locale, Accepted string
	// Agreed is what whoever registers agrees to.
	Agreed Agreed
	// Asked is what the application asks for that leads here: whoever has no factor is led to adding one
	// where it is two.
	Asked Asked
}

// ErrAccountDisabled is only for somebody who knows the password.
var ErrAccountDisabled = fault.New(fault.Denied, "account_disabled", "This account is disabled. Please contact the operator of this service.")

// ErrPasswordBreached is only for somebody who knows the password.
var ErrPasswordBreached = fault.New(fault.Denied, "password_breached",
	"This is the right password, but it has become known: it is common, or has been in a breach of another service, so others can try it. Please set a "+
		"new one with \"Forgot password\" before you sign in.")

// ErrPasswordExpired is only for somebody who knows the password.
var ErrPasswordExpired = fault.New(fault.Denied, "password_expired",
	"This password is too old: this service requires a new one from time to time. Please set one with \"Forgot password\" before you sign in.")

// ErrResetRequired is only for somebody who knows the password.
var ErrResetRequired = fault.New(fault.Denied, "password_reset_required",
	"A new password must be set with \"Forgot password\" before anybody can sign in to this account: its owner or the operator of this service "+
		"asks for one, since somebody else may know the password.")

// Do signs in. The faults are ErrInvalidCredentials, ErrAccountDisabled, invalid
// input, and those of a server that has too much to do.
func (f *SignIn) Do(ctx context.Context, in Credentials, from event.Origin) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "sign_in")
	t, err := f.do(ctx, in, from)
	if err == nil && in.Cookies {
		t.Refresh = f.End.Sessions.ForCookie(t.Refresh)
	}
	return t, run.End(err)
}

func (f *SignIn) do(ctx context.Context, in Credentials, from event.Origin) (t Tokens, err error) {
	if in.Email == "" {
		return Tokens{}, Required("email")
	}
	if in.Password == "" {
		return Tokens{}, Required("password")
	}
	address, err := account.ParseAddress("email", in.Email)
	if err != nil {
		return Tokens{}, err
	}
	if r := f.End.Providers.Only(address.Key); r != nil {
		return Tokens{}, onlyBy(r) // which the domain alone tells
	}
	if err := f.Hasher.Room(); err != nil {
		return Tokens{}, err // before the try is counted
	}
	client := f.Guard.clientOf(address, in.Browser, from)
	device := client.Device
	if !f.Guard.Lockout.Recognises(device, address.Key) {
		device = ""
	}
	done, err := f.Limits.guess(ctx, device, from)
	if err != nil {
		return Tokens{}, err
	}
	defer func() { done(err) }()
	end, err := f.Guard.queues.enter(ctx, client, f.Guard.Lockout.AtOnce())
	if err != nil {
		return Tokens{}, err
	}
	defer end()
	ctx, cancel := finishing(ctx) // from here on it counts
	defer cancel()
	ctx = inTurn(ctx, from)
	try, who, err := f.tryAndLookUp(ctx, client, address, from)
	if err != nil {
		return Tokens{}, err
	}
	return f.signIn(ctx, in, address, try, who, from)
}

// tryAndLookUp counts the try and looks the account up, both at once, so that the
// one costs no more time than the other. An unknown address is no error.
func (f *SignIn) tryAndLookUp(
	ctx context.Context, client lockout.Client, address account.Address, from event.Origin,
) (lockout.Try, account.Credentials, error) {
	var (
		who    account.Credentials
		failed error
		done   sync.WaitGroup
	)
	done.Go(func() {
		defer func() {
			if r := recover(); r != nil { // no request's own guard stands above this one
				failed = fmt.Errorf("looking an account up panicked: %v", r)
			}
		}()
		who, failed = f.lookUp(ctx, address)
	})
	try, err := f.Guard.take(ctx, client, from)
	done.Wait()
	if err != nil {
		return try, who, err
	}
	if failed != nil {
		f.Guard.giveBack(ctx, try)
	}
	return try, who, failed
}

// signIn does the rest, once the try is taken.
func (f *SignIn) signIn(
	ctx context.Context, in Credentials, address account.Address, try lockout.Try, who account.Credentials, from event.Origin,
) (Tokens, error) {
	now := f.Now()
	// The account may change while we hash: another sign-in upgrades its hash, or
	// somebody disables it. Then the second look decides.
	for again := range 2 {
		if again > 0 {
			var err error
			if who, err = f.lookUp(ctx, address); err != nil {
				return Tokens{}, err
			}
		}
		match, err := f.compare(ctx, who, in.Password)
		if err != nil {
			f.Guard.giveBack(ctx, try)
			return Tokens{}, err
		}
		if why, reason := f.refusal(who, match); why != nil {
			return Tokens{}, f.fail(ctx, try, who.ID, address, why, reason, from)
		}
		if why := f.unusable(ctx, who, in.Password, now); why != nil {
			return Tokens{}, f.requireNewPassword(ctx, try, who.ID, address, why, from)
		}
		rehash := account.Rehash{Old: who.Hash, New: f.upgrade(ctx, who.ID, match, in.Password)}
		done, err := f.finish(ctx, try, who, rehash, in, from, now)
		if err == nil {
			in.Browser.know(f.Guard.Lockout.CookieName(address.Key), done.device)
			return f.End.tokens(done, now)
		}
		if !errors.Is(err, account.ErrNotFound) {
			return Tokens{}, err
		}
	}
	return Tokens{}, f.fail(ctx, try, who.ID, address, ErrInvalidCredentials, "changed_meanwhile", from)
}

// upgrade returns a new hash where the old one is not as it would be made today,
// or nothing: if there is no room in the pool for it now, there will be another
// time.
func (f *SignIn) upgrade(ctx context.Context, accountID string, match password.Result, pass string) string {
	if !match.Upgrade {
		return ""
	}
	hash, err := f.Hasher.Hash(ctx, accountID, pass)
	if err != nil {
		return ""
	}
	return hash
}

// lookUp looks the account up. With none, the credentials have no id.
func (f *SignIn) lookUp(ctx context.Context, address account.Address) (who account.Credentials, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = account.ByAddress(tx, address)
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		return account.Credentials{}, nil
	}
	return who, err
}

// compare does the work of one comparison, whether or not there is an account.
func (f *SignIn) compare(ctx context.Context, who account.Credentials, pass string) (match password.Result, err error) {
	if who.ID == "" {
		return match, f.Hasher.VerifyNobody(ctx, pass)
	}
	return f.Hasher.Verify(ctx, who.ID, who.Hash, pass)
}

// refusal is the fault for the client and the reason for the event, or nil.
func (f *SignIn) refusal(who account.Credentials, match password.Result) (why *fault.Error, because Reason) {
	switch {
	case who.ID == "":
		return ErrInvalidCredentials, "unknown_account"
	case !match.OK:
		return ErrInvalidCredentials, "wrong_password"
	case who.Disabled:
		return ErrAccountDisabled, "account_disabled"
	case f.RequireVerified && !who.Verified:
		return ErrInvalidCredentials, "email_unverified"
	}
	return nil, ""
}

// unusable returns why a right password does not do, or nil. If it can't be
// found out now whether it has become known it counts as not: nobody is locked
// out by another server's outage.
func (f *SignIn) unusable(ctx context.Context, who account.Credentials, pass string, now time.Time) *fault.Error {
	if f.shut(who.Roles) != nil {
		return lockdown.ErrShut
	}
	if who.MustReset {
		return ErrResetRequired
	}
	if f.PasswordLife > 0 && now.Sub(who.PasswordAt) > f.PasswordLife {
		return ErrPasswordExpired
	}
	if f.Breaches == nil {
		return nil
	}
	if known, err := f.Breaches.Breached(ctx, password.Normalize(pass)); err == nil && known {
		return ErrPasswordBreached
	}
	return nil
}

// requireNewPassword records a sign-in with a right password that does not do. It is no
// guess.
func (f *SignIn) requireNewPassword(ctx context.Context, try lockout.Try, accountID string, a account.Address, why *fault.Error, from event.Origin) error {
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		f.Guard.succeeded(tx, try)
		f.Events.Append(tx, event.Event{
			Kind: event.FailedLogin, Outcome: event.Failure, Account: accountID, Origin: from,
			Detail: event.Detail{Reason: why.Code, Address: addressHash(f.Guard.Pseudonym, a.Key)},
		})
		return nil
	})
	if err != nil {
		return err
	}
	return why
}

// fail records the failure and returns the fault.
func (f *SignIn) fail(ctx context.Context, try lockout.Try, accountID string, a account.Address, why *fault.Error, because Reason, from event.Origin) error {
	err := f.Guard.record(ctx, func(tx *db.Tx) error { return f.Guard.failed(tx, try, accountID, a, because, from) })
	if err != nil {
		return unrecorded{err}
	}
	return why.Because(because)
}

// unrecorded is the error of a guess that could not be written down. It counts all the
// same.
type unrecorded struct{ error }

func (e unrecorded) Unwrap() error { return e.error }

// finish ends the sign-in: in a session, or as a pending one that waits for a second factor,
// which is then the error.
func (f *SignIn) finish(
	ctx context.Context, try lockout.Try, who account.Credentials, rehash account.Rehash, in Credentials, from event.Origin, now time.Time,
) (done ended, err error) {
	switch {
	case who.Factors > 0:
		return done, f.Second.ask(ctx, who, factor.Step, try, rehash, from)
	case f.Second.Demand.of(who.Roles), in.Asked.ACR == token.TwoFactors:
		return done, f.Second.ask(ctx, who, factor.Enrol, try, rehash, from)
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		done, err = f.End.End(tx, Arrival{
			Who: who, AMR: []string{amrPassword}, Rehash: rehash, Try: try, Browser: in.Browser, From: from,
		}, now)
		return err
	})
	return done, err
}
