package flow

import (
	"context"
	"encoding/base64"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// What pages tell the browser about passkeys (WebAuthn, "signal methods"), so that people are not offered one that is
// gone, nor under an address that they had before. That a list is all there is (signalAllAcceptedCredentials) is never
// told: with a list that is short, of another host or from a restored database, it deletes good ones on people's devices.

// keyUser is how browsers show the owner of a passkey.
func keyUser(h account.Holder) factor.User {
	u := factor.User{Name: h.Email, DisplayName: h.Name}
	if u.DisplayName == "" {
		u.DisplayName = h.Email
	}
	return u
}

// SignalUser is how browsers are to show whoever is signed in, with the user handle; false where the account has no
// passkey of this host.
func (f *Factors) SignalUser(ctx context.Context, who Identity) (u factor.User, ok bool, err error) {
	if f.Keys == nil {
		return u, false, nil
	}
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		has, err := factor.PasskeysOf(tx, who.Account)
		if err != nil {
			return err
		}
		for _, k := range has {
			ok = ok || k.RPID == f.Keys.RPID()
		}
		if !ok {
			return nil
		}
		h, err := account.HolderByID(tx, who.Account)
		if err != nil {
			return err
		}
		handle, err := account.HandleOf(tx, who.Account)
		u = keyUser(h)
		u.ID = factor.Encoded(handle)
		return err
	})
	return u, ok && err == nil, err
}

// signalMost is the longest id of a credential that is told, in bytes: it travels in a cookie.
const signalMost = 512

// SignalGone reports whether a passkey, named as browsers do, is nobody's here: what is told for gone is looked at.
func (f *Factors) SignalGone(ctx context.Context, credential string) (gone bool, err error) {
	id, err := base64.RawURLEncoding.DecodeString(credential)
	if err != nil || len(id) == 0 || len(id) > signalMost || f.Keys == nil {
		return false, nil //nolint:nilerr // it names none
	}
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		_, found, err := factor.PasskeyByCredential(tx, id)
		gone = err == nil && !found
		return err
	})
	return gone, err
}
