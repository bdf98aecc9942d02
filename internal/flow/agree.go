package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// Agree ends a sign-in that has shown all that it must, and waits until its person agrees to the required documents as
// they are now. The sign-in is a row like that of a second step, so it ends when the password or a factor is changed.
type Agree struct {
	Core
	End    *SignInEnd
	Guard  *Guard
	Demand Demand
}

var (
	errAgreement = fault.New(fault.Denied, "agreement_required",
		"You have shown who you are. Before you go on please read what this service asks everybody to agree to, and agree.")
	// ErrDocumentChanged is for who agrees to a version that is not in force, or goes on without agreeing to all that is
	// asked for. It tells nothing about accounts.
	ErrDocumentChanged = fault.New(fault.Conflict, "document_changed",
		"Please agree to each of these documents as they are now: one of them is missing, or has a new version since you were shown it.")
)

// waitsForAgreement reports whether a sign-in has shown all but that.
func waitsForAgreement(err error) bool {
	var w *Waiting
	return errors.As(err, &w) && w.Agree != nil
}

// Agreeing is what somebody agrees to on the way in.
type Agreeing struct {
	Token   string
	Agreed  Agreed
	Browser *Browser
	// Cookies is whether the tokens go into the browser's cookies.
	Cookies bool
}

// Asked returns what a sign-in that waits must agree to, or factor.ErrOver. It may be nothing by now.
func (f *Agree) Asked(ctx context.Context, token string) (asked []consent.Document, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		_, who, err := f.look(tx, token)
		if err == nil {
			asked, err = f.End.Consents.outstanding(tx, who.ID)
		}
		return err
	})
	return asked, err
}

// Do ends the sign-in. The faults are factor.ErrOver, ErrDocumentChanged, after which the sign-in goes on waiting, and
// ErrAccountDisabled and ErrResetRequired.
func (f *Agree) Do(ctx context.Context, in Agreeing, from event.Origin) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "agree")
	t, err := f.do(ctx, in, from)
	if err == nil && in.Cookies {
		t.Refresh = f.End.Sessions.ForCookie(t.Refresh)
	}
	return t, run.End(err)
}

func (f *Agree) do(ctx context.Context, in Agreeing, from event.Origin) (t Tokens, err error) {
	if in.Token == "" {
		return t, Required("pending_token")
	}
	var (
		p    factor.Pending
		who  account.Credentials
		done ended
		now  = f.Now()
	)
	if err := f.DB.Read(ctx, func(tx *db.Tx) error { p, who, err = f.look(tx, in.Token); return err }); err != nil {
		return t, err
	}
	try := f.Guard.Lockout.Uncounted(f.Guard.clientOf(account.Address{Typed: who.Email, Key: who.Key}, in.Browser, from))
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		done, err = f.End.End(tx, Arrival{
			Who: who, AMR: p.AMR, AuthAt: p.AuthAt, Try: try, Browser: in.Browser, From: from,
			Spend: func(tx *db.Tx, now time.Time) error { return factor.Finish(tx, p.ID, now) },
			Agrees: func(tx *db.Tx, asked []consent.Document) error {
				for _, d := range asked {
					if in.Agreed.Versions[d.Name] != d.Version {
						return ErrDocumentChanged
					}
				}
				return f.End.Consents.give(tx, who.ID, "", asked, in.Agreed.Language, consent.SignIn, from)
			},
		}, now)
		return err
	})
	if errors.Is(err, account.ErrNotFound) {
		err = f.becameOf(ctx, who.ID)
	}
	if err != nil {
		return t, err
	}
	in.Browser.know(f.Guard.Lockout.CookieName(who.Key), done.device)
	return f.End.tokens(done, now)
}

// look reads the sign-in and its account.
func (f *Agree) look(tx *db.Tx, token string) (p factor.Pending, who account.Credentials, err error) {
	if p, err = factor.ByToken(tx, token, f.Now()); err != nil {
		return p, who, err
	}
	who, err = account.CredentialsOf(tx, p.Account)
	if errors.Is(err, account.ErrNotFound) {
		err = factor.ErrOver
	}
	if err == nil && (p.Want != factor.Agree || p.PasswordN != who.PasswordN || p.FactorN != who.FactorN) {
		err = factor.ErrOver
	}
	if err != nil {
		return p, who, err
	}
	refused, err := f.Demand.Refuses(tx, who.ID, who.Roles, p.AMR, f.Now())
	if err == nil && refused {
		err = factor.ErrOver
	}
	return p, who, err
}
