package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// What a person has shown (RFC 8176; recovery is ours).
const (
	amrPassword = "pwd"
	amrApp      = "otp"
	amrRecovery = "recovery"
	amrKey      = "pop"
	// amrProvider says that another provider has said who it is.
	amrProvider = "fed"
	// amrFactors says that it was two factors.
	amrFactors = "mfa"
)

// SecondStep ends a sign-in whose password was right and whose account has a second factor.
//
// The password's step makes nobody known, evicts no session and tells of no new device: that belongs
// to the whole sign-in, or a thief who has the password would be a known browser by it. A try is
// taken in one transaction, the end is another, and the code is computed between them in none.
type SecondStep struct {
	Core
	Factors *factor.Store
	Guard   *Guard
	Limits  *Limits
	End     *SignInEnd
	Demand  Demand
	// Keys judges passkeys.
	Keys *PasskeyCheck
}

// The faults of the second step.
var (
	errEnrolment = fault.New(fault.Denied, "second_factor_enrolment_required",
		"The password is right, and this account must have a second factor, and has none: please add one. It is asked for from then on.")
	errSecondFactor = fault.New(fault.Denied, "second_factor_required",
		"The password is right, and this account has a second factor: please show that too.")
	// ErrInvalidCode is for a code that is wrong.
	ErrInvalidCode = fault.New(fault.Unauthenticated, "invalid_code",
		"This is not the code that the app shows now. Please type the one that it shows; if it shows the same, look whether the clock of your phone is right.")
	// ErrCodeUsed is for a code that is right, and was used.
	ErrCodeUsed = fault.New(fault.Unauthenticated, "code_used",
		"This code was used already: each works once. Please wait until the app shows the next one, half a minute at most.")
	// ErrInvalidRecoveryCode is for a recovery code that is wrong, or was used.
	ErrInvalidRecoveryCode = fault.New(fault.Unauthenticated, "invalid_recovery_code",
		"This is not a recovery code of this account, or it was used already: each works once. New ones make those before worth nothing.")
	errOneWay = fault.Field("code", "one_way", "Send one of code, recovery_code and passkey.")
	// ErrPasskeyRequired is for who must show a passkey, and shows something else.
	ErrPasskeyRequired = fault.New(fault.Denied, "passkey_required",
		"The roles of this account ask for a passkey, so a code from an app opens nothing. Please use the passkey, or a recovery code if it is lost.")
)

// TriesLeft is the cause of an ErrInvalidCode, or its like: how many tries this sign-in has left.
type TriesLeft struct {
	N   int
	why Reason
}

// Error implements error.
func (t *TriesLeft) Error() string { return t.why.Error() }

// Unwrap returns the reason for the metrics.
func (t *TriesLeft) Unwrap() error { return t.why }

// Shown is what somebody shows for the second step: one of them.
type Shown struct {
	Token              string
	Code, RecoveryCode string
	// Passkey is a passkey's answer, as JSON.
	Passkey []byte
	Browser *Browser
	// Cookies is whether the tokens go into the browser's cookies.
	Cookies bool
}

// Stepped is what a second step gives.
type Stepped struct {
	Tokens
	// RecoveryCodesLeft is how many recovery codes are unused, where the person should know it.
	RecoveryCodesLeft *int
}

// Do ends the sign-in. The faults are factor.ErrOver, those above, ErrAccountDisabled and
// ErrResetRequired, which are told after the proof alone, and those of who must wait.
func (f *SecondStep) Do(ctx context.Context, in Shown, from event.Origin) (Stepped, error) {
	ctx, run := f.Count.Begin(ctx, "second_step")
	t, err := f.do(ctx, in, from)
	if err == nil && in.Cookies {
		t.Refresh = f.End.Sessions.ForCookie(t.Refresh)
	}
	return t, run.End(err)
}

// step is a second step under way.
type step struct {
	in      Shown
	pending factor.Pending
	who     account.Credentials
	client  lockout.Client
	try     lockout.Try
	from    event.Origin
}

func (f *SecondStep) do(ctx context.Context, in Shown, from event.Origin) (t Stepped, err error) {
	switch {
	case in.Token == "":
		return t, Required("pending_token")
	case !oneOf(in.Code != "", in.RecoveryCode != "", len(in.Passkey) > 0):
		return t, errOneWay
	}
	s := &step{in: in, from: from}
	if err := f.lookAt(ctx, s, factor.Step); err != nil {
		return t, err
	}
	if err := f.mayShow(ctx, s); err != nil {
		return t, err
	}
	device := s.client.Device
	if !f.Guard.Lockout.Recognises(device, s.who.Key) {
		device = ""
	}
	done, err := f.Limits.guess(ctx, device, from)
	if err != nil {
		return t, err
	}
	defer func() { done(err) }()
	end, err := f.Guard.queues.enter(ctx, s.client, f.Guard.Lockout.AtOnce())
	if err != nil {
		return t, err
	}
	defer end()
	if err := f.take(ctx, s); err != nil {
		return t, err
	}
	switch {
	case in.Code != "":
		t, err = f.byApp(ctx, s)
	case in.RecoveryCode != "":
		t, err = f.byRecoveryCode(ctx, s)
	default:
		t, err = f.byPasskey(ctx, s)
	}
	if err == nil || waitsForAgreement(err) {
		f.Limits.giveBack(ctx, f.Limits.pending(s.who.ID, s.pending.Network))
	}
	return t, err
}

func oneOf(ways ...bool) bool {
	n := 0
	for _, w := range ways {
		if w {
			n++
		}
	}
	return n == 1
}

// take takes a try: of the pending sign-in first, then of the account's codes.
func (f *SecondStep) take(ctx context.Context, s *step) error {
	now := f.Now()
	err := f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if s.pending, err = factor.Try(tx, s.in.Token, now); err != nil {
			return err
		}
		switch {
		case s.in.Code != "":
			s.try, err = f.Guard.Lockout.Take(tx, s.client, now)
		case s.in.RecoveryCode != "":
			s.try, err = f.Guard.Lockout.TakeAlone(tx, s.client, now)
		default: // nobody guesses a signature
			s.try = f.Guard.Lockout.Uncounted(s.client)
		}
		return err
	})
	if why := fault.As(err); why != nil && why.Kind == fault.Limited {
		f.Tally.Add(event.FailedLogin, why.Code, s.from)
	}
	return err
}

// arrive ends the sign-in in a session. Of any number at once whoever deletes the pending one does.
// Where the roles ask for a passkey, anything else leads to adding one.
func (f *SecondStep) arrive(ctx context.Context, s *step, method string, spend func(tx *db.Tx, now time.Time) error) (Stepped, error) {
	if method != amrKey && f.Demand.key(s.who.Roles) {
		return Stepped{}, f.enrolInstead(ctx, s, method, spend)
	}
	now := f.Now()
	amr := append(s.pending.AMR, method, amrFactors)
	var (
		ending ended
		left   int
	)
	err := f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		ending, err = f.End.End(tx, Arrival{
			Who: s.who, AMR: amr, Try: s.try, Browser: s.in.Browser, From: s.from, ForgetCodes: true,
			Spend: func(tx *db.Tx, now time.Time) error {
				err := factor.Finish(tx, s.pending.ID, now)
				if err == nil {
					err = spend(tx, now)
				}
				if err == nil {
					err = keepFactors(tx, f.Events, s.who.ID, s.from)
				}
				if err == nil {
					left, err = factor.CodesLeft(tx, s.who.ID)
				}
				return err
			},
		}, now)
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		return Stepped{}, f.becameOf(ctx, s.who.ID)
	}
	if err != nil {
		return Stepped{}, err
	}
	s.in.Browser.know(f.Guard.Lockout.CookieName(s.who.Key), ending.device)
	tokens, err := f.End.tokens(ending, now)
	t := Stepped{Tokens: tokens}
	if left <= factor.CodesLow || method == amrRecovery {
		t.RecoveryCodesLeft = &left
	}
	return t, err
}

// lookAt reads a pending sign-in that wants something, and its account.
func (f *SecondStep) lookAt(ctx context.Context, s *step, want factor.Want) error {
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if s.pending, err = factor.ByToken(tx, s.in.Token, f.Now()); err == nil {
			s.who, err = account.CredentialsOf(tx, s.pending.Account)
		}
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		err = factor.ErrOver
	}
	if err != nil {
		return err
	}
	if s.pending.Want != want || s.pending.PasswordN != s.who.PasswordN || s.pending.FactorN != s.who.FactorN {
		return factor.ErrOver
	}
	s.client = f.clientOf(s)
	return nil
}

// clientOf is who shows something for the account's second step.
func (f *SecondStep) clientOf(s *step) lockout.Client {
	c := f.Guard.clientOf(account.Address{Typed: s.who.Email, Key: s.who.Key}, s.in.Browser, s.from)
	c.Codes = s.who.ID
	return c
}

// becameOf tells, after the proof, what has become of an account whose sign-in does not end.
func (c *Core) becameOf(ctx context.Context, id string) error {
	var who account.Credentials
	err := c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = account.CredentialsOf(tx, id)
		return err
	})
	switch {
	case err != nil && !errors.Is(err, account.ErrNotFound):
		return err
	case err == nil && who.Disabled:
		return ErrAccountDisabled
	case err == nil && who.MustReset:
		return ErrResetRequired
	}
	return factor.ErrOver
}

// tellsPassword is how many wrong codes of one sign-in from a stranger tell that somebody else has
// the password.
const tellsPassword = factor.PendingTries

// fail records a try that was wrong, and returns the fault with how many are left.
func (f *SecondStep) fail(ctx context.Context, s *step, why *fault.Error, because Reason) error {
	err := f.Guard.record(ctx, func(tx *db.Tx) error {
		if s.try.Device == "" && s.pending.Tries >= tellsPassword && slices.Contains(s.pending.AMR, amrPassword) {
			if err := f.Guard.tellPassword(tx, s.who.ID, s.from); err != nil {
				return err
			}
		}
		return f.Guard.failedCode(tx, s.try, s.who, because, s.from)
	})
	if err != nil {
		return unrecorded{err}
	}
	return why.Because(&TriesLeft{N: factor.PendingTries - s.pending.Tries, why: because})
}
