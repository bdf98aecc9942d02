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
)

// PasskeyOptions is what a browser asks one of the account's passkeys for, for who waits for the second step.
func (f *SecondStep) PasskeyOptions(ctx context.Context, token string) (r factor.Request, err error) {
	ctx, run := f.Count.Begin(ctx, "ask_passkey")
	if token == "" {
		return r, run.End(Required("pending_token"))
	}
	if f.Keys.Passkeys == nil {
		return r, run.End(errPasskeysOff)
	}
	now := f.Now()
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		p, err := factor.ByToken(tx, token, now)
		if err == nil && p.Want != factor.Step {
			err = factor.ErrOver
		}
		if err != nil {
			return err
		}
		keys, err := factor.PasskeysOf(tx, p.Account)
		r = f.Keys.Passkeys.Behind(keys, p.ID, now)
		return err
	})
	return r, run.End(err)
}

// mayShow refuses what is no use, before a try is taken: a code where a passkey is asked for and there is one, and the
// answer to a challenge that is too old, which asks for another by itself.
func (f *SecondStep) mayShow(ctx context.Context, s *step) error {
	if len(s.in.Passkey) > 0 {
		if f.Keys.Passkeys == nil {
			return errPasskeysOff
		}
		a, err := factor.ParseAssertion(s.in.Passkey)
		if err != nil {
			return nil //nolint:nilerr // it takes a try: byPasskey refuses it
		}
		err = f.Keys.Passkeys.Answers(a, f.askedOf(s), f.Now())
		if errors.Is(err, factor.ErrChallengeExpired) {
			return err
		}
		return nil
	}
	if s.in.Code == "" || !f.Demand.key(s.who.Roles) {
		return nil
	}
	return f.DB.Read(ctx, func(tx *db.Tx) error {
		keys, err := factor.PasskeysOf(tx, s.who.ID)
		if err == nil && len(keys) > 0 {
			err = ErrPasskeyRequired
		}
		return err
	})
}

func (f *SecondStep) askedOf(s *step) factor.Asked {
	return factor.Asked{Purpose: factor.Steps, Binding: s.pending.ID}
}

// byPasskey ends the sign-in by a passkey, which may have been touched alone.
func (f *SecondStep) byPasskey(ctx context.Context, s *step) (Stepped, error) {
	a, err := factor.ParseAssertion(s.in.Passkey)
	if err == nil {
		err = f.Keys.Passkeys.Answers(a, f.askedOf(s), f.Now())
	}
	if err != nil {
		return Stepped{}, f.failKey(ctx, s, passkeyRefused(err))
	}
	r, err := f.Keys.judge(ctx, a, s.who.ID, s.from)
	if err != nil {
		return Stepped{}, f.failKey(ctx, s, err)
	}
	t, err := f.arrive(ctx, s, amrKey, func(tx *db.Tx, now time.Time) error { return f.Keys.spend(tx, r, now, s.from) })
	if errors.Is(err, errFell) {
		err = f.Keys.suspect(ctx, r, s.from)
	}
	if errors.Is(err, factor.ErrInvalidPasskey) {
		err = f.failKey(ctx, s, err)
	}
	return t, err
}

// failKey records an answer that was refused, and returns the fault with how many tries are left.
func (f *SecondStep) failKey(ctx context.Context, s *step, why error) error {
	if !errors.Is(why, factor.ErrInvalidPasskey) {
		return why
	}
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		if s.try.Device == "" && s.pending.Tries >= tellsPassword {
			if err := f.Guard.tellPassword(tx, s.who.ID, s.from); err != nil {
				return err
			}
		}
		f.Keys.failed(tx, s.who.ID, s.from)
		return nil
	})
	if err != nil {
		return unrecorded{err}
	}
	return factor.ErrInvalidPasskey.Because(&TriesLeft{N: factor.PendingTries - s.pending.Tries, why: "passkey_refused"})
}

// enrolInstead spends what was shown, and has the sign-in wait for a passkey that is added: the roles ask for one. It
// returns that as the error.
func (f *SecondStep) enrolInstead(ctx context.Context, s *step, method string, spend func(tx *db.Tx, now time.Time) error) error {
	now := f.Now()
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := account.Unchanged(tx, s.who.ID, s.who.PasswordN, s.who.FactorN); err != nil {
			return err
		}
		if err := factor.TurnToEnrol(tx, s.pending.ID, append(slices.Clone(s.pending.AMR), method), now); err != nil {
			return err
		}
		if err := spend(tx, now); err != nil {
			return err
		}
		f.Guard.succeeded(tx, s.try)
		return nil
	})
	if errors.Is(err, account.ErrNotFound) {
		return f.becameOf(ctx, s.who.ID)
	}
	if err != nil {
		return err
	}
	return &Waiting{why: errEnrolment, Token: s.in.Token, Life: s.pending.ExpiresAt.Sub(now), Enrol: true}
}

// PasskeySignIn trades a passkey's answer for a session: alone, without a password or a name. The passkey has verified
// the person, so that is two factors.
type PasskeySignIn struct {
	*PasskeyCheck
	Limits *Limits
	End    *SignInEnd
}

// On reports whether a passkey is enough to sign in.
func (f *PasskeySignIn) On() bool { return f.Passkeys != nil && f.PasskeyCheck.Alone }

// Options is what a browser asks any passkey for. It looks at nothing: strangers may ask.
func (f *PasskeySignIn) Options() (factor.Request, error) {
	if !f.On() {
		return factor.Request{}, f.Count.End("ask_passkey", errPasskeysOff)
	}
	return f.Passkeys.Alone(f.Now()), f.Count.End("ask_passkey", nil)
}

// PasskeyAlone is the answer of a passkey that signs in.
type PasskeyAlone struct {
	Passkey []byte // as JSON
	Browser *Browser
	Cookies bool
}

// Do signs in. The faults are factor.ErrInvalidPasskey, factor.ErrChallengeExpired, ErrPasskeySuspended,
// ErrAccountDisabled and ErrResetRequired, which are told after the proof alone, and those of who must wait.
func (f *PasskeySignIn) Do(ctx context.Context, in PasskeyAlone, from event.Origin) (t Stepped, err error) {
	ctx, run := f.Count.Begin(ctx, "passkey_sign_in")
	t, err = f.do(ctx, in, from)
	if err == nil && in.Cookies {
		t.Refresh = f.End.Sessions.ForCookie(t.Refresh)
	}
	return t, run.End(err)
}

func (f *PasskeySignIn) do(ctx context.Context, in PasskeyAlone, from event.Origin) (t Stepped, err error) {
	if !f.On() {
		return t, errPasskeysOff
	}
	if len(in.Passkey) == 0 {
		return t, Required("credential")
	}
	done, err := f.Limits.guess(ctx, "", from)
	if err != nil {
		return t, err
	}
	defer func() { done(err) }()
	a, err := factor.ParseAssertion(in.Passkey)
	if err == nil {
		err = f.Passkeys.Answers(a, factor.Asked{Purpose: factor.SignsIn}, f.Now())
	}
	var r answered
	switch {
	case errors.Is(err, factor.ErrChallengeExpired):
		return t, err
	case err != nil:
		err = passkeyRefused(err)
	default:
		r, err = f.judge(ctx, a, "", from)
	}
	if err == nil {
		t, err = f.arrive(ctx, in, r, from)
	}
	if errors.Is(err, errFell) {
		err = f.suspect(ctx, r, from)
	}
	if errors.Is(err, factor.ErrInvalidPasskey) {
		if lost := f.DB.Write(ctx, func(tx *db.Tx) error { f.failed(tx, r.key.Account, from); return nil }); lost != nil {
			err = unrecorded{lost}
		}
	}
	return t, err
}

// arrive ends the sign-in in a session.
func (f *PasskeySignIn) arrive(ctx context.Context, in PasskeyAlone, r answered, from event.Origin) (t Stepped, err error) {
	switch {
	case r.who.Disabled:
		return t, ErrAccountDisabled
	case r.who.MustReset:
		return t, ErrResetRequired
	}
	now := f.Now()
	try := f.Guard.Lockout.Uncounted(f.Guard.clientOf(account.Address{Typed: r.who.Email, Key: r.who.Key}, in.Browser, from))
	left := 0
	var ending ended
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		ending, err = f.End.End(tx, Arrival{
			Who: r.who, AMR: []string{amrKey, amrFactors}, Try: try, Browser: in.Browser, From: from, ForgetCodes: true,
			Spend: func(tx *db.Tx, now time.Time) error {
				if err := f.spend(tx, r, now, from); err != nil {
					return err
				}
				if err := keepFactors(tx, f.Events, r.who.ID, from); err != nil {
					return err
				}
				left, err = factor.CodesLeft(tx, r.who.ID)
				return err
			},
		}, now)
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		return t, factor.ErrInvalidPasskey.Because(Reason("changed_meanwhile"))
	}
	if err != nil {
		return t, err
	}
	in.Browser.know(f.Guard.Lockout.CookieName(r.who.Key), ending.device)
	t.Tokens, err = f.End.tokens(ending, now)
	if left <= factor.CodesLow {
		t.RecoveryCodesLeft = &left
	}
	return t, err
}
