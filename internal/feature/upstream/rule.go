package upstream

// Case is what a sign-in by a provider has come upon. Nothing else decides what becomes of it.
type Case struct {
	// Known says that the identity is an account's; Own that this is the account that asks to link it.
	Known, Own bool
	// Linking says that somebody who is signed in asked for the link, and that their session still stands and is fresh.
	Linking bool
	// Trusted says that the provider vouches for the address: see [Provider.Vouches].
	Trusted bool
	// HasAccount says that the address has an account here, Verified that this account has shown that the address is its own.
	HasAccount, Verified bool
	// SignUp says that the provider may bring new accounts with such addresses. Held says that the address is about to go
	// back to an account that has lost it.
	SignUp, Held bool
}

// Then is what becomes of a sign-in.
type Then string

const (
	// SignIn is into the account that has the identity. A changed address changes nothing.
	SignIn Then = "sign_in"
	// LinkAsked links to the account of the session that asked.
	LinkAsked Then = "link_asked"
	// LinkedAlready is for a link that there is, and Taken for an identity that is another account's: nobody is signed in.
	LinkedAlready Then = "linked_already"
	Taken         Then = "taken"
	// Create makes an account without a password, whose address is verified.
	Create Then = "create"
	// Adopt links to the account that has the address.
	Adopt Then = "adopt"
	// Cleanse is Adopt after everything has gone that somebody could wait with in an account whose address nobody had verified.
	Cleanse Then = "cleanse"
	// Mail is one page for all else, whether or not the address has an account.
	Mail Then = "mail"
)

// Judge is the whole rule.
func Judge(c Case) Then {
	switch {
	case c.Known && c.Linking && c.Own:
		return LinkedAlready
	case c.Known && c.Linking:
		return Taken
	case c.Known:
		return SignIn
	case c.Linking:
		return LinkAsked
	case !c.Trusted:
		return Mail
	case c.HasAccount && c.Verified:
		return Adopt
	case c.HasAccount:
		return Cleanse
	case c.SignUp && !c.Held:
		return Create
	}
	return Mail
}
