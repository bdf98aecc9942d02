package flow

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// waysIn is what opens an account, beside its mailbox. Whoever takes something away counts here what is left, in the
// transaction that holds the account's row: of any number at once none takes the last.
type waysIn struct {
	password bool
	own      factor.Owned
	// identities are how many of other providers open it; only says that nothing else does.
	identities int
	only       bool
	roles      []string
}

// waysInOf counts what opens an account now. Whoever calls it holds the account's row.
func (l *EmailLinks) waysInOf(tx *db.Tx, c account.Credentials, own factor.Owned) (waysIn, error) {
	list, err := upstream.Of(tx, c.ID)
	return waysIn{
		password: c.Hash != "", own: own, identities: l.Providers.Open(c.Key, list), only: l.Providers.Only(c.Key) != nil, roles: c.Roles,
	}, err
}

// opens reports whether anything does, where passkeys are of this RP ID.
func (w waysIn) opens(rpID string) bool {
	return w.identities > 0 || !w.only && (w.password || len(w.alone(rpID)) > 0)
}

const (
	// keysForNone is how many passkeys that sign in alone an account has at the least when its password goes, and
	// codesForSynced how many recovery codes where it has one that is on several devices of its owner.
	keysForNone    = 2
	codesForSynced = 3
)

var (
	errLastFactor = fault.New(fault.Conflict, "last_factor",
		"This is the last one of its kind, and the account needs it: its roles ask for a second factor, or it has no password. Please add another before you "+
			"remove it.")
	errNeedsPasskeys = fault.New(fault.Conflict, "passkeys_needed",
		"Before the password goes, the account needs two passkeys that sign in alone, or one that is on several of your devices and three recovery codes. "+
			"Please add a passkey, or make new recovery codes.")
)

// alone returns the passkeys that sign in by themselves.
func (w waysIn) alone(rpID string) (keys []factor.Passkey) {
	if rpID == "" {
		return nil
	}
	for _, k := range w.own.Keys {
		if k.Usable(rpID) && k.Verifies && k.Discoverable {
			keys = append(keys, k)
		}
	}
	return keys
}

// lacks refuses what is left after a factor was removed: the roles ask for more, or there is no password, no
// passkey that signs in alone, and no identity of another provider.
func (f *Factors) lacks(tx *db.Tx, c account.Credentials, own factor.Owned) error {
	left, err := f.waysInOf(tx, c, own)
	if err != nil {
		return err
	}
	has := len(left.own.Factors())
	switch {
	case f.Demand.of(left.roles) && has == 0,
		f.Demand.key(left.roles) && len(left.own.Keys) == 0,
		!left.opens(f.rpID()):
		return errLastFactor
	}
	return nil
}

// rpID is what passkeys are of here; empty where they are off.
func (f *Factors) rpID() string {
	if f.Keys == nil {
		return ""
	}
	return f.Keys.RPID()
}

// mayGoWithout refuses to take a password away from an account that has too little beside it: one passkey alone is lost with
// its device.
func (f *Factors) mayGoWithout(w waysIn) error {
	if f.Keys == nil {
		return errPasskeysOff
	}
	keys := w.alone(f.Keys.RPID())
	if len(keys) >= keysForNone || len(keys) == 1 && keys[0].Eligible && w.own.CodesLeft >= codesForSynced {
		return nil
	}
	return errNeedsPasskeys
}
