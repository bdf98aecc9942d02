package token

import "slices"

// How strongly somebody has shown who they are (the claim acr). Each satisfies those before it.
// They claim no level of NIST's; the last is OpenID's name.
const (
	// OneFactor is a password alone.
	OneFactor = "1fa"
	// TwoFactors is two of them.
	TwoFactors = "2fa"
	// PhishingResistant is two factors of which one can't be given to somebody else's page.
	PhishingResistant = "phr"
)

// strengths are from the weakest on.
var strengths = []string{OneFactor, TwoFactors, PhishingResistant}

// ACR is the strength of what was shown (RFC 8176).
func ACR(amr []string) string {
	switch {
	case slices.Contains(amr, "pop") && slices.Contains(amr, "mfa"):
		return PhishingResistant
	case slices.Contains(amr, "mfa"):
		return TwoFactors
	}
	return OneFactor
}

// KnownACR reports whether there is such a strength.
func KnownACR(acr string) bool { return slices.Contains(strengths, acr) }

// Satisfies reports whether one strength is enough where another is asked for; an unknown one never is.
func Satisfies(acr, asked string) bool {
	return slices.Index(strengths, asked) >= 0 && slices.Index(strengths, acr) >= slices.Index(strengths, asked)
}
