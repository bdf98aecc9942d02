package flow

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

var (
	errBeginsWithKey = fault.New(fault.Denied, "passkey_required",
		"This account has no password, so it begins with a passkey. An app that shows codes can be added after it.")
	errKeyNotAlone = fault.Field("credential", "passkey_not_alone",
		"This passkey can't sign in without a password: it keeps no name, or does not ask who holds it. Please use a phone, a computer, a password manager, or a "+
			"security key with a PIN.")
)

var errPasskeyName = fault.Field("name", "invalid_name", "Write a name of 1 to %d characters.", factor.PasskeyNameMost)

// NewKey is what a browser makes a passkey by.
type NewKey struct {
	Options factor.Creation
	// MailCode says that a mailed code is asked for beside it: it is the first factor.
	MailCode bool
}

// KeyOptions is what a browser makes a passkey by, for whoever adds one. The account gets its user handle with the
// first time.
func (f *Factors) KeyOptions(ctx context.Context, by Enroller) (n NewKey, err error) {
	ctx, run := f.Count.Begin(ctx, "offer_passkey")
	if f.Keys == nil {
		return n, run.End(errPasskeysOff)
	}
	e, err := f.enroller(ctx, by)
	if err != nil {
		return n, run.End(err)
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		handle, err := account.Handle(tx, e.account.ID, f.Keys.NewHandle())
		if err != nil {
			return err
		}
		h, err := account.HolderByID(tx, e.account.ID)
		if err != nil {
			return err
		}
		has, err := factor.PasskeysOf(tx, e.account.ID)
		if err != nil {
			return err
		}
		n = NewKey{f.Keys.Creation(keyUser(h), handle, has, e.holder, f.Now()), e.needsMail()}
		if e.pending.Proof == factor.ByMail {
			n.Options = n.Options.SigningInAlone()
		}
		return nil
	})
	return n, run.End(err)
}

// AddingKey is what adds a passkey.
type AddingKey struct {
	// Credential is the authenticator's answer, as JSON; Name what its owner calls it, or nothing.
	Credential []byte
	Name       string
	// MailCode is asked for with the first factor; Requests are those that it was asked for with: see [LinkOrCode].
	MailCode string
	Requests []string
	// EndOthers ends the other sessions of an account that had a factor before.
	EndOthers bool
	Browser   *Browser
	Cookies   bool
}

// AddKey adds a passkey.
func (f *Factors) AddKey(ctx context.Context, by Enroller, in AddingKey, from event.Origin) (Added, error) {
	ctx, run := f.Count.Begin(ctx, "add_factor")
	a, err := f.addKey(ctx, by, in, from)
	if err == nil && in.Cookies && a.SignedIn {
		a.Tokens.Refresh = f.End.Sessions.ForCookie(a.Tokens.Refresh)
	}
	return a, run.End(err)
}

func (f *Factors) addKey(ctx context.Context, by Enroller, in AddingKey, from event.Origin) (a Added, err error) {
	if f.Keys == nil {
		return a, errPasskeysOff
	}
	e, err := f.enroller(ctx, by)
	if err != nil {
		return a, err
	}
	if len(in.Credential) == 0 {
		return a, Required("credential")
	}
	if e.needsMail() && in.MailCode == "" {
		return a, Required("mail_code")
	}
	n, err := f.proveKey(ctx, e, in)
	if err != nil {
		return a, err
	}
	if e.account.Factors > 0 && by.Pending == "" {
		return a, f.addFurther(ctx, by.Identity, e.account, n, !in.EndOthers, from)
	}
	return f.arrive(ctx, e, n, in.MailCode, in.Requests, in.Browser, from)
}

// proveKey looks at an authenticator's answer.
func (f *Factors) proveKey(ctx context.Context, e enroller, in AddingKey) (n proven, err error) {
	name := ""
	if in.Name != "" {
		if name, err = parsePasskeyName(in.Name); err != nil {
			return n, err
		}
	}
	r, err := factor.ParseRegistration(in.Credential)
	if err != nil {
		return n, passkeyRefused(err)
	}
	var handle []byte
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		handle, err = account.HandleOf(tx, e.account.ID)
		return err
	})
	if err != nil {
		return n, err
	}
	k, err := f.Keys.Made(r, e.account.ID, handle, e.holder, f.Now())
	if e.pending.Proof == factor.ByMail {
		k.Discoverable = !r.NeedsName() // it was asked for, and a browser that does not say so has done it
	}
	switch {
	case errors.Is(err, factor.ErrChallengeExpired):
		return n, err
	case err != nil:
		return n, passkeyRefused(err)
	case e.pending.Proof == factor.ByMail && !(k.Verifies && k.Discoverable):
		return n, errKeyNotAlone
	case name != "":
		k.Name = name
	}
	return proven{
		kind: factor.Key, method: amrKey,
		replaces: func(factor.Owned) bool { return false },
		put: func(tx *db.Tx, now time.Time) error {
			ok, err := factor.SpendChallenge(tx, r.Challenge())
			if err == nil && !ok {
				err = passkeyRefused(errors.New("the challenge was spent"))
			}
			if err != nil {
				return err
			}
			return f.Keys.AddPasskey(tx, k, handle, now)
		},
	}, nil
}

func parsePasskeyName(typed string) (string, error) {
	name := strings.Join(strings.Fields(typed), " ")
	if name == "" || utf8.RuneCountInString(name) > factor.PasskeyNameMost || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", errPasskeyName
	}
	return name, nil
}

// RenameKey gives a passkey another name.
func (f *Factors) RenameKey(ctx context.Context, who Identity, id, name string) error {
	ctx, run := f.Count.Begin(ctx, "rename_passkey")
	name, err := parsePasskeyName(name)
	if err != nil {
		return run.End(err)
	}
	return run.End(f.DB.Write(ctx, func(tx *db.Tx) error { return factor.RenamePasskey(tx, who.Account, id, name) }))
}

// RemoveKey removes a passkey. With the last factor the recovery codes go too. It returns the credential as browsers
// name it, or nothing for one of another host, which they take no word about from here.
func (f *Factors) RemoveKey(ctx context.Context, who Identity, id string, keepOthers bool, from event.Origin) (credential string, err error) {
	err = f.remove(ctx, who, factor.Key, keepOthers, from, func(tx *db.Tx, own factor.Owned) error {
		for _, k := range own.Keys {
			if k.ID == id && f.Keys != nil && k.RPID == f.Keys.RPID() {
				credential = factor.Encoded(k.Credential)
			}
		}
		return factor.RemovePasskey(tx, who.Account, id)
	})
	return credential, err
}

// ReinstateKey takes a suspect passkey back, whose owner says that there is no copy of it.
func (f *Factors) ReinstateKey(ctx context.Context, who Identity, id string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "reinstate_passkey")
	if f.Keys == nil {
		return run.End(errPasskeysOff)
	}
	c, err := f.changer(ctx, who)
	if err != nil {
		return run.End(err)
	}
	return run.End(changedMeanwhile(f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		if _, err := account.ChangeFactors(tx, account.FactorChange{Account: c.ID, PasswordN: c.PasswordN, FactorN: c.FactorN}, now); err != nil {
			return err
		}
		if err := factor.ReinstatePasskey(tx, c.ID, id); err != nil {
			return err
		}
		return f.tellAdded(tx, c, notice.FactorAdded, factor.Key, now, from)
	})))
}
