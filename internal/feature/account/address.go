package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Address is an e-mail address.
type Address struct {
	// Typed is the address as its owner wrote it: mails go there.
	Typed string
	// Key is what makes it unique: see [ParseAddress].
	Key string
}

// The limits of RFC 5321 section 4.5.3.1, in bytes.
const (
	maxLocal   = 64
	maxAddress = 254
)

// ParseAddress reads an e-mail address: a local part without quotes, an @, and
// a domain name that DNS can hold, internationalised or not (RFC 6531).
//
// Two addresses are one account's if their keys are the same: the local part
// with its case folded, in NFC, and the domain in its ASCII form (IDNA 2008).
// Dots and +tags are kept, since only the owner of a domain knows what they mean
// there. An error is a fault about the field, with code invalid_email.
func ParseAddress(field, s string) (Address, error) {
	refuse := func(why string) (Address, error) {
		return Address{}, fault.Field(field, "invalid_email", "This is not an e-mail address we can use: %s.", why)
	}
	if s == "" {
		return refuse("it is empty")
	}
	if len(s) > maxAddress {
		return refuse("it is longer than 254 bytes")
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, invisible) {
		return refuse("it holds broken or invisible characters")
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return refuse("it has no @")
	}
	local, domain := s[:at], s[at+1:]
	if !validLocal(local) {
		return refuse("the part before the @ must be 1 to 64 bytes of letters, digits and .!#$%&'*+-/=?^_`{|}~, with no dot at either end and no two together")
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !validDomain(ascii) {
		return refuse("the part after the @ is not a domain name")
	}
	// Decomposed before the folding (Unicode D145): otherwise a letter whose
	// capital composes differently has two keys. In lower case after it: x/text
	// folds each case of Cherokee into the other.
	key := cases.Fold().String(norm.NFD.String(local)) + "@" + ascii
	return Address{Typed: s, Key: norm.NFC.String(strings.ToLower(key))}, nil
}

// invisible finds what IDNA drops from a domain without a word, and its like: an
// address or a name with it looks like another one. The joiners that Persian and
// some Indic names are written with stay, where IDNA lets them.
func invisible(r rune) bool {
	return r != '\u200c' && r != '\u200d' &&
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// validLocal holds to the dot-atom of RFC 5322, with the letters and digits of
// every script (RFC 6531).
func validLocal(s string) bool {
	if s == "" || len(s) > maxLocal ||
		strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	for _, r := range s {
		if r < utf8.RuneSelf {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r) {
				return false
			}
		} else if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) {
			return false
		}
	}
	return true
}

func validDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}
