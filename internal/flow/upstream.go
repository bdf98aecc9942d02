package flow

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// ProviderSignIn signs people in by other providers, and links what they have there to their accounts.
//
// Nobody has a row before they are back: what was asked for travels sealed in a cookie of the browser that asked. Who is back without
// it, or with that of another provider's, is signed in nowhere. What becomes of an answer is [upstream.Judge]'s to say.
type ProviderSignIn struct {
	*EmailLinks
	Accounts *NewAccounts
	End      *SignInEnd
	Second   *SecondStep
	Factors  *Factors
	Random   secret.Random
	// Seal returns the key of what travels with a browser.
	Seal func() []byte
	// Open is whether strangers may register.
	Open bool
}

const (
	// JourneyLife is how long the way to a provider and back may take.
	JourneyLife = 10 * time.Minute
	// mostTo is the longest address that is returned to from there, in bytes: all of it is one cookie.
	mostTo = 1500

	journeyContext = "gatehouse sign-in by a provider"
)

var (
	errJourney = fault.New(fault.Invalid, "unknown_sign_in",
		"This sign-in was begun in another browser, was finished already, or took longer than ten minutes. Please begin again.")
	errLinkOver = fault.New(fault.Denied, "link_over",
		"The session that asked for the link is not the one of this browser any more. Nothing was linked: please begin again on your account's page.")
	errIdentityTaken = fault.New(fault.Conflict, "identity_taken",
		"That account at the other provider is linked to another account here. Sign in to that one, and unlink it there, if it is yours.")
	errProviderRequired = fault.New(fault.Denied, "provider_required", "Accounts with such an address sign in by %s alone.")
	errLastWayIn        = fault.New(fault.Conflict, "last_way_in",
		"This is the last way into the account. Please set a password, add a passkey, or link another provider before you unlink it.")
)

// onlyBy is the fault of who comes another way than the one that there is for the domain of their address.
func onlyBy(r *upstream.Remote) error {
	f := *errProviderRequired
	f.Message = fmt.Sprintf(f.Message, r.Name)
	return &f
}

// journey is what somebody goes to a provider with, and comes back with: sealed, in a cookie.
type journey struct {
	At       int64  `json:"t"`
	Provider string `json:"p"`
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	To       string `json:"r,omitempty"`
	ACR      string `json:"a,omitempty"`
	// Account and Session are whose who asked for a link; empty for a sign-in.
	Account string `json:"i,omitempty"`
	Session string `json:"d,omitempty"`
}

// Departing is what somebody goes to a provider for.
type Departing struct {
	Provider string
	// To is where they go on to once they are back.
	To string
	// Asked is what an application asks for of the sign-in; Again that they show anew who they are.
	Asked Asked
	Again bool
	// Link is who asks to link what they have there; nil for a sign-in.
	Link *Identity
}

// Departure is where a browser goes, and what it keeps until it is back.
type Departure struct {
	Address string
	// State names the cookie, Sealed is its value.
	State, Sealed string
}

// Begin sends somebody to a provider.
func (f *ProviderSignIn) Begin(ctx context.Context, in Departing) (Departure, error) {
	ctx, run := f.Count.Begin(ctx, "begin_provider_sign_in")
	d, err := f.begin(ctx, in)
	return d, run.End(err)
}

func (f *ProviderSignIn) begin(ctx context.Context, in Departing) (d Departure, err error) {
	r, err := f.Providers.ByID(in.Provider)
	if err != nil {
		return d, err
	}
	j := journey{
		At: f.Now().Unix(), Provider: r.ID, State: f.Random.Text(secret.KeySize), Nonce: f.Random.Text(secret.KeySize), Verifier: f.Random.Text(secret.KeySize),
		To: in.To, ACR: in.Asked.ACR,
	}
	if len(j.To) > mostTo {
		j.To = ""
	}
	if in.Link != nil {
		if err := f.mayLink(ctx, *in.Link); err != nil {
			return d, err
		}
		j.Account, j.Session = in.Link.Account, in.Link.Session
	}
	d.State, d.Sealed = j.State, secret.SealText(f.Random, f.Seal(), j, journeyContext)
	d.Address, err = r.Address(ctx, f.asking(r, j, in.Again))
	return d, err
}

// asking is what goes to the provider of a journey.
func (f *ProviderSignIn) asking(r *upstream.Remote, j journey, again bool) upstream.Asking {
	return upstream.Asking{State: j.State, Nonce: j.Nonce, Verifier: j.Verifier, Redirect: CallbackAt(f.Base, r.ID), Again: again}
}

// CallbackAt is where a provider sends people back to, below PUBLIC_URL.
func CallbackAt(base, id string) string {
	return strings.TrimSuffix(base, "/") + "/signin/" + id + "/callback"
}

// mayLink refuses a session that does not do for linking: as for any change of what opens an account.
func (f *ProviderSignIn) mayLink(ctx context.Context, who Identity) error {
	if err := f.Lockdown.Pass(lockdown.Changes); err != nil {
		return err
	}
	var c account.Credentials
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		c, err = account.CredentialsOf(tx, who.Account)
		return err
	})
	if err != nil {
		return err
	}
	return IsFresh(who, c.Factors, f.Now())
}

// journeyOf reads a journey that somebody is back from.
func (f *ProviderSignIn) journeyOf(provider, state, sealed string) (j journey, err error) {
	if err := secret.OpenText(f.Seal(), sealed, journeyContext, &j); err != nil {
		return j, errJourney.Because(err)
	}
	age := f.Now().Sub(time.Unix(j.At, 0))
	if age > JourneyLife || age < -time.Minute || j.Provider != provider || !secret.Equal([]byte(j.State), []byte(state)) {
		return j, errJourney
	}
	return j, nil
}
