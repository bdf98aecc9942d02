package backup

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// reduction is what was taken away from somebody.
type reduction string

// The reductions. What ends with every restore, as sessions and links do, is none.
const (
	passwordChanged    reduction = "password"
	factorChanged      reduction = "factor"
	addressChanged     reduction = "address"
	rolesChanged       reduction = "roles"
	accountDisabled    reduction = "disabled"
	accountEnabled     reduction = "enabled"
	consentWithdrawn   reduction = "consent"
	agreementWithdrawn reduction = "client_consent"
	identityUnlinked   reduction = "identity"
	clientChanged      reduction = "client_changed"
	clientRotated      reduction = "client_rotated"
	clientDeleted      reduction = "client_deleted"
	networkBlocked     reduction = "block"
	// accountErased names nobody: it counts those that files of their own name.
	accountErased reduction = "erased"
)

// reductions are all of them, in the order in which they are told.
func reductions() []reduction {
	return []reduction{
		passwordChanged, factorChanged, addressChanged, rolesChanged, accountDisabled, accountEnabled, consentWithdrawn, agreementWithdrawn, identityUnlinked,
		clientChanged, clientRotated, clientDeleted, networkBlocked,
	}
}

// entry is one of the ledger's.
type entry struct {
	Leaf    int64     `json:"leaf"`
	What    reduction `json:"what"`
	Account string    `json:"account,omitempty"`
	// Roles are those that the account has since.
	Roles []string `json:"roles,omitempty"`
	// Of is the application, the document, the identity or the network; Networks are several.
	Of       string    `json:"of,omitempty"`
	Networks []string  `json:"networks,omitempty"`
	At       time.Time `json:"at"`
}

// reduces returns the ledger's entry of an event, if it has one.
func reduces(e event.Sealed) (entry, bool) {
	out := entry{Leaf: e.Leaf, Account: e.Account, At: e.Time.UTC()}
	if e.Outcome != event.Success || e.Erased {
		return out, false
	}
	switch e.Kind {
	case event.PasswordChange, event.PasswordRemoved:
		out.What = passwordChanged
	case event.PasswordReset: // one that somebody asked for in the page has not changed anything yet
		if e.Detail.By != "" {
			out.What = passwordChanged
		}
	case event.SuspiciousActivity:
		if e.Detail.Reason == "not_me" {
			out.What = passwordChanged
		}
	case event.EmailChange:
		if e.Detail.Reason == "done" || e.Detail.Reason == "undone" {
			out.What = addressChanged
		}
	case event.RoleChange:
		out.What, out.Roles = rolesChanged, append([]string{}, e.Detail.Roles...)
	case event.AccountDisabled, event.AccountDisplaced:
		out.What = accountDisabled
	case event.AccountDeleted:
		if e.Detail.Reason != string(account.EraseAsBefore) {
			out.What, out.Of = accountErased, e.Detail.Reason
		}
	case event.AccountEnabled:
		out.What = accountEnabled
	case event.ConsentChange:
		if e.Detail.Reason == "withdrawn" {
			out.What, out.Of = consentWithdrawn, e.Detail.Document
		}
	case event.GrantEnded:
		if e.Detail.Reason == "withdrawn" {
			out.What, out.Of = agreementWithdrawn, e.Detail.Client
		}
	case event.IdentityUnlinked: // those of before this was told are all that the account has
		out.What, out.Of = identityUnlinked, e.Detail.Identity
	case event.AddressBlocked:
		out.What, out.Of, out.Networks = networkBlocked, e.Detail.Network, e.Detail.Networks
	default:
		out.What, out.Of = ofMachines(e)
		if out.What == "" && ofFactors(e.Kind) {
			out.What = factorChanged
		}
	}
	person := out.Account != ""
	return out, out.What != "" && (person || out.Of != "" || len(out.Networks) > 0)
}

// ofMachines is for what happens to applications.
func ofMachines(e event.Sealed) (reduction, string) {
	switch e.Kind {
	case event.ClientChanged:
		if e.Detail.Reason == "enabled" {
			return "", ""
		}
		return clientChanged, e.Detail.Client
	case event.ClientRotated:
		return clientRotated, e.Detail.Client
	case event.ClientDeleted:
		return clientDeleted, e.Detail.Client
	}
	return "", ""
}

func ofFactors(k event.Kind) bool {
	switch k {
	case event.FactorAdded, event.FactorRemoved, event.FactorUndone, event.FactorResetDone, event.FactorsSuspended, event.RecoveryCodesMade,
		event.RecoveryCodeUsed:
		return true
	}
	return false
}
