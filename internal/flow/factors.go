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
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Factors adds second factors and removes them, and makes recovery codes.
//
// Each change needs a fresh sign-in, and a factor if the account has one already. The first one
// needs a code that is mailed for it: without that, whoever has the password of an account that has
// no factor could add one of their own, and no mail would help its owner from then on.
type Factors struct {
	*EmailLinks
	Store *factor.Store
	End   *SignInEnd
	// Issuer is what apps show beside the codes.
	Issuer string
	// Keys makes passkeys; nil where they are off.
	Keys   *factor.Passkeys
	Demand Demand
	// Passwordless is whether people may remove their password (PASSWORDLESS).
	Passwordless bool
}

// The faults of who changes factors.
var (
	errSignInAgainForChange = fault.New(fault.Denied, "sign_in_again",
		"This needs a sign-in within the last 15 minutes. Please sign in again, and repeat it with the new session.")
	errStepUp = fault.New(fault.Denied, "step_up_required",
		"This needs a sign-in with a second factor. Please sign in again with one, and repeat it with the new session.")
	errMailCode = fault.Field("mail_code", "invalid_mail_code",
		"This is not the code that was mailed for this, or it is too old: it is good for ten minutes and a few tries. Please ask for a new one.")
	errCodeOfApp = fault.Field("code", "invalid_code",
		"This is not the code that the app shows now. If it shows the same, look whether the clock of your phone is right.")
	errNoApp = fault.New(fault.NotFound, "factor_not_found", "The account has no app that shows codes.")
	// errNoFactor is for recovery codes without a factor for which they could stand in.
	errNoFactor = fault.New(fault.Conflict, "no_factor",
		"Recovery codes stand in for a second factor, and this account has none. They are made with the first one.")
)

// IsFresh refuses a session that does not do for a change that guards the account.
func IsFresh(who Identity, factors int64, now time.Time) error {
	if now.Sub(who.AuthAt) > FreshSignIn {
		return errSignInAgainForChange
	}
	if factors > 0 && !slices.Contains(who.AMR, amrFactors) {
		return errStepUp
	}
	return nil
}

// List returns the account's factors.
func (f *Factors) List(ctx context.Context, who Identity) (o factor.Owned, err error) {
	ctx, run := f.Count.Begin(ctx, "list_factors")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		o, err = factor.Own(tx, who.Account)
		return err
	})
	return o, run.End(err)
}

// MayChange reports, as a fault, why whoever is signed in may not change factors now.
func (f *Factors) MayChange(ctx context.Context, who Identity) error {
	_, err := f.changer(ctx, who)
	return err
}

// changer returns the account of whoever is signed in and may change its factors.
func (f *Factors) changer(ctx context.Context, who Identity) (account.Credentials, error) {
	a, err := f.enroller(ctx, Enroller{Identity: who})
	return a.account, err
}

// Confirming is what puts an app in force.
type Confirming struct {
	Code, MailCode string
	// Requests are those that mailed codes were asked for with: see [LinkOrCode].
	Requests []string
	// KeepOthers leaves the other sessions of an account that had a factor before.
	KeepOthers bool
	Browser    *Browser
	Cookies    bool
}

// Added is what adding a factor gives.
type Added struct {
	// First says that it was the first one. Then the sign-in is a whole one: Tokens are those of a new
	// session, in the place of all before, and RecoveryCodes were made.
	First bool
	// SignedIn says that it is the end of a sign-in, as with the first factor.
	SignedIn bool
	// Waits is what is left before a session begins; nil for nothing.
	Waits         *Waiting
	Tokens        Tokens
	RecoveryCodes []string
}

// Confirm puts an offered app in force, in the place of the one before.
func (f *Factors) Confirm(ctx context.Context, by Enroller, in Confirming, from event.Origin) (Added, error) {
	ctx, run := f.Count.Begin(ctx, "add_factor")
	a, err := f.confirm(ctx, by, in, from)
	if err == nil && in.Cookies && a.SignedIn {
		a.Tokens.Refresh = f.End.Sessions.ForCookie(a.Tokens.Refresh)
	}
	return a, run.End(err)
}

func (f *Factors) confirm(ctx context.Context, by Enroller, in Confirming, from event.Origin) (a Added, err error) {
	e, err := f.enroller(ctx, by)
	if err == nil {
		err = f.mayAddApp(e)
	}
	if err != nil {
		return a, err
	}
	c := e.account
	if in.Code == "" {
		return a, Required("code")
	}
	a.First = c.Factors == 0
	if e.needsMail() && in.MailCode == "" {
		return a, Required("mail_code")
	}
	app, err := f.proveApp(ctx, e, in.Code)
	if err != nil {
		return a, err
	}
	if !a.First {
		return a, f.addFurther(ctx, by.Identity, c, app, in.KeepOthers, from)
	}
	return f.arrive(ctx, e, app, in.MailCode, in.Requests, in.Browser, from)
}

// proven is a factor that has shown that it is there, and is about to be put in force.
type proven struct {
	kind factor.Kind
	// method is what it is in amr.
	method string
	// replaces reports whether one of this kind is put away by it, in the transaction that put is called in.
	replaces func(o factor.Owned) bool
	put      func(tx *db.Tx, now time.Time) error
}

// arrive puts a factor in force that is the end of a sign-in: of a fresh password, the mailed code and the first
// factor, or of a password, another factor and a passkey that the roles ask for.
func (f *Factors) arrive(ctx context.Context, e enroller, n proven, code string, requests []string, b *Browser, from event.Origin) (a Added, err error) {
	now, c := f.Now(), e.account
	a.First, a.SignedIn = c.Factors == 0, true
	var t ticket.Ticket
	if e.needsMail() {
		if t, err = f.proveMail(ctx, c, code, requests, from); err != nil {
			return a, err
		}
	}
	amr := slices.DeleteFunc(slices.Clone(e.amr), func(shown string) bool { return shown == amrFactors })
	client := f.Guard.clientOf(account.Address{Typed: c.Email, Key: c.Key}, b, from)
	var done ended
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		done, err = f.End.End(tx, Arrival{
			Who: c, AMR: append(amr, n.method, amrFactors), Try: f.Guard.Lockout.Uncounted(client), Browser: b, From: from,
			Enter: func(tx *db.Tx, signsIn bool, now time.Time) (account.Entered, error) {
				return e.enter(tx, f.Guard.Events, signsIn, now, from)
			},
			Spend: func(tx *db.Tx, now time.Time) error {
				a.RecoveryCodes, err = f.put(tx, e, t, n, now, from)
				return err
			},
		}, now)
		if err != nil || n.kind != factor.App {
			return err
		}
		return f.Guard.Lockout.ClearCodes(tx, c.ID)
	})
	if err != nil {
		return Added{}, changedMeanwhile(err)
	}
	if e.pending.ID != "" {
		f.Limits.giveBack(ctx, f.Limits.pending(c.ID, e.pending.Network))
	}
	if done.waits != nil { // the factor is in force, and its recovery codes are shown with that
		a.SignedIn, a.Waits = false, done.waits
		return a, nil
	}
	b.know(f.Guard.Lockout.CookieName(c.Key), done.device)
	a.Tokens, err = f.End.tokens(done, now)
	return a, err
}

// enter counts the account's new factor, and takes its row. Who has shown the link of the set-up is the first
// administrator by it: of any number at once, one.
func (e enroller) enter(tx *db.Tx, log *event.Log, signsIn bool, now time.Time, from event.Origin) (in account.Entered, err error) {
	if e.pending.Proof == factor.BySetup {
		first, err := account.ClaimFirstAdmin(tx, now)
		if err == nil && !first {
			err = ErrSetupClosed
		}
		if err != nil {
			return in, err
		}
	}
	c := e.account
	in, err = account.ChangeFactors(tx, account.FactorChange{
		Account: c.ID, PasswordN: c.PasswordN, FactorN: c.FactorN, By: 1, SignsIn: signsIn, Verifies: !e.showedMore(),
	}, now)
	if err != nil || e.pending.Proof != factor.BySetup {
		return in, err
	}
	in.Roles = []string{account.Admin}
	log.Append(tx, event.Event{
		Kind: event.RoleChange, Outcome: event.Success, Account: c.ID, Origin: from, Detail: event.Detail{By: bySetup, Roles: in.Roles},
	})
	_, err = account.SetRoles(tx, c.ID, in.Roles)
	return in, err
}

// put spends what was shown, and puts the factor in force. With the first one it makes recovery codes, and ends all
// sessions: they have none.
func (f *Factors) put(tx *db.Tx, e enroller, t ticket.Ticket, n proven, now time.Time, from event.Origin) (codes []string, err error) {
	first := e.account.Factors == 0
	if t.ID != "" {
		if err := ticket.Consume(tx, t, now); err != nil {
			return nil, errMailCode.Because(err)
		}
	}
	if e.pending.ID != "" {
		if err := factor.Finish(tx, e.pending.ID, now); err != nil {
			return nil, err
		}
	}
	if err := n.put(tx, now); err != nil {
		return nil, err
	}
	if first {
		codes = f.Store.MakeCodes(tx, e.account.ID, now)
		err = f.endSessions(tx, e.account.ID, "", "factor_added", from)
	} else {
		err = keepFactors(tx, f.Events, e.account.ID, from)
	}
	if err != nil {
		return nil, err
	}
	return codes, f.tellAdded(tx, e.account, notice.FactorAdded, n.kind, now, from)
}

// addFurther puts a factor in force for an account that has one.
func (f *Factors) addFurther(ctx context.Context, who Identity, c account.Credentials, n proven, keepOthers bool, from event.Origin) error {
	return changedMeanwhile(f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		own, err := factor.Own(tx, c.ID)
		if err != nil {
			return err
		}
		by := int64(1)
		if n.replaces(own) {
			by = 0
		}
		if _, err := account.ChangeFactors(tx, account.FactorChange{Account: c.ID, PasswordN: c.PasswordN, FactorN: c.FactorN, By: by}, now); err != nil {
			return err
		}
		if err := n.put(tx, now); err != nil {
			return err
		}
		if !keepOthers {
			if err := f.endSessions(tx, c.ID, who.Session, "factor_added", from); err != nil {
				return err
			}
		}
		if n.kind == factor.App {
			if err := f.Guard.Lockout.ClearCodes(tx, c.ID); err != nil {
				return err
			}
		}
		return f.tellAdded(tx, c, notice.FactorAdded, n.kind, now, from)
	}))
}

// remove takes a factor away.
func (f *Factors) remove(ctx context.Context, who Identity, kind factor.Kind, keepOthers bool, from event.Origin,
	take func(tx *db.Tx, own factor.Owned) error,
) error {
	ctx, run := f.Count.Begin(ctx, "remove_factor")
	c, err := f.changer(ctx, who)
	if err != nil {
		return run.End(err)
	}
	return run.End(changedMeanwhile(f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		changed, err := account.ChangeFactors(tx, account.FactorChange{Account: c.ID, PasswordN: c.PasswordN, FactorN: c.FactorN, By: -1}, now)
		if errors.Is(err, account.ErrNotFound) && c.Factors == 0 {
			return take(tx, factor.Owned{})
		}
		if err != nil {
			return err
		}
		own, err := factor.Own(tx, c.ID)
		if err == nil {
			err = take(tx, own)
		}
		if err == nil {
			own, err = factor.Own(tx, c.ID)
		}
		if err == nil {
			err = f.lacks(tx, c, own)
		}
		if err == nil && changed.Factors == 0 {
			err = factor.RemoveCodes(tx, c.ID)
		}
		if err == nil && !keepOthers {
			err = f.endSessions(tx, c.ID, who.Session, "factor_removed", from)
		}
		if err != nil {
			return err
		}
		f.Guard.Events.Append(tx, event.Event{
			Kind: event.FactorRemoved, Outcome: event.Success, Account: c.ID, Session: who.Session, Origin: from, Detail: event.Detail{Factor: string(kind)},
		})
		return f.tell(tx, c.ID, notice.Mail{Kind: notice.FactorRemoved, Factor: string(kind), At: now}, from)
	})))
}

// changedMeanwhile makes a conflict from the error of an account that is not what was looked at.
func changedMeanwhile(err error) error {
	if errors.Is(err, account.ErrNotFound) {
		return ErrChangedMeanwhile.Because(err)
	}
	return err
}

// tellAdded records what was added, and tells of it by a mail with a way back.
func (f *Factors) tellAdded(tx *db.Tx, c account.Credentials, kind notice.Kind, what factor.Kind, now time.Time, from event.Origin) error {
	e := event.Event{Kind: event.FactorAdded, Outcome: event.Success, Account: c.ID, Origin: from, Detail: event.Detail{Factor: string(what)}}
	if kind == notice.RecoveryCodesMade {
		e.Kind, e.Detail.Factor = event.RecoveryCodesMade, ""
	}
	f.Guard.Events.Append(tx, e)
	return f.tell(tx, c.ID, notice.Mail{Kind: kind, Factor: string(what), At: now}, from)
}

// tell sends a mail about a change of what opens the account: to the account's address, and to those to which an undo
// of a change of address leads. What was added goes with a way back, for which a password of now is
// asked.
func (l *EmailLinks) tell(tx *db.Tx, accountID string, m notice.Mail, from event.Origin) error {
	h, err := account.HolderByID(tx, accountID)
	if err != nil {
		return err
	}
	undos, err := ticket.Undos(tx, h.ID, m.At)
	if err != nil {
		return err
	}
	to := []ticket.Ticket{{Address: h.Email, AddressKey: h.Key}}
	for _, u := range undos {
		if !slices.ContainsFunc(to, func(t ticket.Ticket) bool { return t.AddressKey == u.AddressKey }) {
			to = append(to, u)
		}
	}
	m.Account, m.Name, m.Locale = h.ID, h.Name, h.Locale
	undone := m.Kind.Takes(notice.Undo)
	if undone {
		if undone, err = opensUndo(tx, h, m.At); err != nil {
			return err
		}
	}
	for _, t := range to {
		mail := m
		mail.To = t.Address
		if undone {
			mail.Undo, mail.UndoLife = l.link("/undo-factor", l.Tickets.Issue(tx, ticket.Ticket{
				Purpose: ticket.UndoFactor, Account: h.ID, Address: t.Address, AddressKey: t.AddressKey, PasswordN: h.PasswordN, OldHash: h.Hash,
			}, m.At).Token), ticket.UndoFactor.Life()
		}
		if err := l.Guard.Notices.Send(tx, mail, from); err != nil {
			return err
		}
	}
	return nil
}
