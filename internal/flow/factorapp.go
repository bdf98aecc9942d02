package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// byApp ends the sign-in by an app's code.
func (f *SecondStep) byApp(ctx context.Context, s *step) (Stepped, error) {
	var (
		app   factor.AppRow
		found bool
	)
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		app, found, err = factor.AppOf(tx, s.who.ID)
		return err
	})
	if err != nil {
		return Stepped{}, err
	}
	now := f.Now()
	at, verdict := int64(0), factor.Wrong
	if code := factor.ParseAppCode(s.in.Code); found && app.SuspectAt.IsZero() && code != "" {
		appSecret, err := f.Factors.Secret(app)
		if err != nil { // the key was lost, or somebody has written into the row: no code is right, and the doctor knows more
			return Stepped{}, f.fail(ctx, s, ErrInvalidCode, "app_unreadable")
		}
		at, verdict = factor.Judge(appSecret, code, app.LastStep, now)
	}
	switch verdict {
	case factor.Wrong:
		return Stepped{}, f.fail(ctx, s, ErrInvalidCode, "wrong_code")
	case factor.Used:
		return Stepped{}, f.fail(ctx, s, ErrCodeUsed, "code_used")
	}
	used := false
	t, err := f.arrive(ctx, s, amrApp, func(tx *db.Tx, now time.Time) error {
		ok, err := factor.UseStep(tx, app, at, now)
		if err == nil && !ok {
			used = true
			err = ErrCodeUsed
		}
		return err
	})
	if used { // by another sign-in, in the same moment
		return Stepped{}, f.fail(ctx, s, ErrCodeUsed, "code_used")
	}
	return t, err
}

// NewApp is a secret for an app, which is shown once.
type NewApp struct {
	Secret, URI string
	Life        time.Duration
	// MailCode says that a mailed code is asked for beside the app's: it is the first factor.
	MailCode bool
}

// Offer makes a secret for an app, which is no factor until its first code confirms it.
func (f *Factors) Offer(ctx context.Context, by Enroller, from event.Origin) (n NewApp, err error) {
	ctx, run := f.Count.Begin(ctx, "offer_app")
	e, err := f.enroller(ctx, by)
	if err == nil {
		err = f.mayAddApp(e)
	}
	if err != nil {
		return n, run.End(err)
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		appSecret, err := f.Store.Offer(tx, e.account.ID, e.holder, f.Now())
		n = f.newApp(e, appSecret)
		return err
	})
	return n, run.End(err)
}

// mayAddApp refuses an app as the first factor of whoever must have a passkey, or in its place.
func (f *Factors) mayAddApp(e enroller) error {
	if e.pending.Proof == factor.ByMail {
		return errBeginsWithKey
	}
	if f.Demand.key(e.account.Roles) && (e.pending.ID != "" || e.account.Factors == 0) {
		return ErrPasskeyRequired
	}
	return nil
}

func (f *Factors) newApp(e enroller, appSecret []byte) NewApp {
	return NewApp{
		Secret: factor.Text(appSecret), URI: factor.URI(f.Issuer, e.account.Email, appSecret), Life: factor.OfferLife, MailCode: e.needsMail(),
	}
}

// Offered returns the secret that waits for its first code where it was asked for, or
// factor.ErrOfferOver: a page shows it once more after a code that was wrong.
func (f *Factors) Offered(ctx context.Context, by Enroller) (n NewApp, err error) {
	ctx, run := f.Count.Begin(ctx, "offer_app")
	e, err := f.enroller(ctx, by)
	if err != nil {
		return n, run.End(err)
	}
	var o factor.Offered
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		o, err = factor.OfferOf(tx, e.account.ID, e.holder, f.Now())
		return err
	})
	if err != nil {
		return n, run.End(err)
	}
	appSecret, err := f.Store.OfferedSecret(o)
	return f.newApp(e, appSecret), run.End(err)
}

// proveApp takes a try at an offer, and holds the code against its secret.
func (f *Factors) proveApp(ctx context.Context, e enroller, code string) (n proven, err error) {
	now := f.Now()
	var o factor.Offered
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		o, err = factor.TryOffer(tx, e.account.ID, e.holder, now)
		return err
	})
	if err != nil {
		return n, err
	}
	appSecret, err := f.Store.OfferedSecret(o)
	if err != nil {
		return n, err
	}
	step, verdict := factor.Judge(appSecret, factor.ParseAppCode(code), 0, now)
	if verdict != factor.Right {
		return n, errCodeOfApp.Because(Reason("wrong_code"))
	}
	return proven{
		kind: factor.App, method: amrApp,
		replaces: func(o factor.Owned) bool { return o.App != nil },
		put:      func(tx *db.Tx, now time.Time) error { return factor.Confirm(tx, o, step, now) },
	}, nil
}

// RemoveApp removes the app. With the last factor the recovery codes go too.
func (f *Factors) RemoveApp(ctx context.Context, who Identity, keepOthers bool, from event.Origin) error {
	return f.remove(ctx, who, factor.App, keepOthers, from, func(tx *db.Tx, own factor.Owned) error {
		if own.App == nil {
			return errNoApp
		}
		_, err := factor.RemoveApp(tx, who.Account)
		return err
	})
}
