package openid

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// Need is what a request still needs of the person.
type Need string

// The needs.
const (
	NeedNothing Need = ""
	// NeedSignIn is a sign-in: nobody is signed in, or not as was asked for.
	NeedSignIn Need = "sign_in"
	// NeedAccount is an account of one's own first.
	NeedAccount Need = "create"
	// NeedStrength is a sign-in with a second factor, or a passkey.
	NeedStrength Need = "strength"
	// NeedChoice is the word that this account is meant, and NeedConsent that the application may know what it asks for.
	NeedChoice  Need = "choice"
	NeedConsent Need = "consent"
	// NeedOther is another account: this one may not, whatever it shows.
	NeedOther Need = "other"
)

// standing is a session, as far as a request is judged by it.
type standing struct {
	id, account, sid string
	roles, amr       []string
	authAt           time.Time
	// factors is how many second factors the account has.
	factors int64
	// consented is what the person has let the application have before, and beyond says that it asks for a resource, or a scope of
	// one, that is not among that.
	consented grant.Consented
	beyond    bool
	// chosen says that the person has just said on our page that this account is meant.
	chosen bool
}

// judge tells what a request needs first, of whoever has this session. The order is that of the pages that people see.
func judge(r Request, c client.Client, s standing) Need {
	begun := r.Session != "" && r.Session == s.id // for this very request
	switch {
	case r.Hint == nobodys && !begun:
		return NeedSignIn
	case r.Hint != "" && r.Hint != nobodys && r.Hint != s.account:
		if begun {
			return NeedOther
		}
		return NeedSignIn
	case r.Asks(PromptCreate) && !begun:
		return NeedAccount
	case r.Asks(PromptLogin) && !begun:
		return NeedSignIn
	case r.HasMaxAge && !begun && s.authAt.Unix() < r.At-r.MaxAge:
		return NeedSignIn
	case r.Asks(PromptSelectAccount) && !begun && !s.chosen:
		return NeedChoice
	}
	if need := strength(r, c, s, begun); need != NeedNothing {
		return need
	}
	required := c.Settings.RequireRoles
	if len(required) > 0 && !slices.ContainsFunc(required, func(role string) bool { return slices.Contains(s.roles, role) }) {
		return NeedOther
	}
	if needsConsent(r, c, s) {
		return NeedConsent
	}
	return NeedNothing
}

// strength judges how strong the sign-in is. What the application requires of everybody must be met; what it asks for is met
// if the account can, and the tokens say what was reached.
func strength(r Request, c client.Client, s standing, begun bool) Need {
	acr := token.ACR(s.amr)
	if least := demanded(r, c); least != "" && !token.Satisfies(acr, least) {
		if begun {
			return NeedOther
		}
		return NeedStrength
	}
	met := len(r.ACR) == 0 || slices.ContainsFunc(r.ACR, func(asked string) bool { return token.Satisfies(acr, asked) })
	if !met && !begun && s.factors > 0 && !r.silent() {
		return NeedStrength
	}
	return NeedNothing
}

// demanded is the strength that it takes at the least; empty for any. What a guarded application's proxy asks for it asks for in earnest:
// it refuses less, and would lead the browser here again and again.
func demanded(r Request, c client.Client) string {
	if c.Type == client.Guarded && len(r.ACR) > 0 && !token.Satisfies(c.Settings.RequireACR, r.ACR[0]) {
		return r.ACR[0]
	}
	return c.Settings.RequireACR
}

// needsConsent reports whether the person has to be asked. Any program on a person's computer can pretend to be a native application
// whose answers do not go to an https address, or register itself, so a click is asked for each time there (RFC 8252 section 8.6).
func needsConsent(r Request, c client.Client, s standing) bool {
	switch {
	case r.Asks(PromptConsent), c.Self, c.Type == client.Native && client.Impersonable(r.Redirect):
		return true
	case c.Settings.FirstParty, c.Type == client.Guarded:
		return false
	}
	return !s.consented.Given || s.beyond || len(grant.Beyond(ofPerson(r), s.consented.Scope)) > 0
}

// ofPerson are the scopes of a request that say something of a person, not of a resource.
func ofPerson(r Request) []string { return grant.ParseScope(r.scope()) }

// beyond reports whether a person has not agreed to all of it.
func beyond(list []AskedResource) bool {
	return slices.ContainsFunc(list, func(r AskedResource) bool {
		return r.New || slices.ContainsFunc(r.Asked, func(s AskedScope) bool { return s.New })
	})
}

// silently is what an application is told that allows no page, where a request needs something.
func silently(n Need) (code, why string) {
	switch n {
	case NeedConsent:
		return "consent_required", "the person has to be asked first"
	case NeedChoice:
		return "account_selection_required", "the person has to choose an account"
	case NeedStrength:
		return "interaction_required", "a stronger sign-in is needed"
	case NeedOther:
		return "access_denied", "this account may not sign in to this application"
	}
	return "login_required", "nobody is signed in as was asked for"
}

// wanted is the strength that a sign-in is asked for.
func wanted(r Request, c client.Client) string {
	if least := demanded(r, c); least != "" {
		return least
	}
	for _, asked := range r.ACR {
		if asked != token.OneFactor {
			return asked
		}
	}
	return ""
}
