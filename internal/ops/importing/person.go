package importing

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// Person is somebody as another system knows them.
type Person struct {
	ID, Email, Name, Locale string
	// Login says that Email is the name they signed in with there: that nobody has ever verified it as an address.
	Login              bool
	Verified, Disabled bool
	Roles              []string
	// Hash is the password's, if Why is nil; else why there is none: see package foreign.
	Hash foreign.Hash
	Why  error
	// Those of an installation of ours keep their id, and have a finished hash in the place of Hash. Factors is nil for those without;
	// AppLeftOut says that an app of theirs is of a sort that we do not take.
	Keeps, MustReset, AppLeftOut bool
	Finished                     string
	Factors                      *factor.Moved
}

// verified reports whether the address is taken as verified.
func (p Person) verified(o Options) bool {
	return !p.Login && (o.AllVerified || o.TrustVerified && p.Verified)
}

// errSkip is for what is in a file and no person.
var errSkip = errors.New("this is no person")

// text is a field that may be a text, a number, a truth or missing.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(raw []byte) error {
	var s string
	switch {
	case string(raw) == "null":
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
	case raw[0] == '{' || raw[0] == '[':
		return errors.New("this is no text")
	default:
		s = string(raw)
	}
	*t = text(s)
	return nil
}

// yes reports whether the field says so, as JSON, PostgreSQL, MySQL or a person writes it.
func (t text) yes() bool {
	return slices.Contains([]string{"true", "t", "1", "yes", "y"}, strings.ToLower(strings.TrimSpace(string(t))))
}

// is reports whether there is a time, or anything else.
func (t text) is() bool {
	return t != "" && t != "0" && t != "{}" && !strings.EqualFold(string(t), "null")
}

// first returns the first that is not empty.
func first(texts ...text) string {
	for _, t := range texts {
		if s := strings.TrimSpace(string(t)); s != "" {
			return s
		}
	}
	return ""
}

// fullName joins the parts of a name.
func fullName(given, family text) text {
	return text(strings.TrimSpace(string(given) + " " + string(family)))
}

// addressed takes the address, or the user's name where that is one. What the system says of whether an address is verified is
// not about a name, which everybody could choose.
func (p Person) addressed(email text, username ...text) Person {
	p.Email = string(email)
	for _, u := range username {
		if p.Email == "" && strings.Contains(string(u), "@") {
			p.Email, p.Login, p.Verified = string(u), true, false
		}
	}
	return p
}
