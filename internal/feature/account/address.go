package account

import (
	"fmt"
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
// there. White space at the ends, which keyboards of phones add, is no part of it. An
// error is a fault about the field, with code invalid_email.
func ParseAddress(field, s string) (Address, error) {
	refuse := func(why string) (Address, error) { return Address{}, refusal(field, why) }
	s = strings.TrimSpace(s)
	if s == "" {
		return refuse("it is empty")
	}
	if len(s) > maxAddress {
		return refuse("it is longer than 254 bytes")
	}
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return refuse("it holds a space")
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

func refusal(field, why string) error {
	return fault.Field(field, "invalid_email", "This is not an e-mail address we can use: %s.", why)
}

// ParseNewAddress is ParseAddress for an address that an account is to have. It
// refuses spellings whose key is another mailbox's as well: who registered ſam@ would
// keep sam@ from its owner for good. So the part before the @ must be in NFC, and its
// key must be its lower case, character by character, with no other character that
// turns into one of ASCII. At a sign-in all of them are folded. A domain without a
// dot is most often one that lost its end; it is refused unless it is localhost, or
// singleLabels is set.
func ParseNewAddress(field, s string, singleLabels bool) (Address, error) {
	a, err := ParseAddress(field, s)
	if err != nil {
		return Address{}, err
	}
	local, domain := split(a.Typed)
	key, ascii := split(a.Key)
	if !norm.NFC.IsNormalString(local) || !lowersTo(local, key) {
		return Address{}, refusal(field, fmt.Sprintf("the part before the @ can be mistaken for %q, which may be somebody else's: write it so if it is yours", key))
	}
	if !strings.Contains(ascii, ".") && ascii != "localhost" && !singleLabels {
		return Address{}, refusal(field, fmt.Sprintf("%q has no dot: is its end missing, such as .com?", domain))
	}
	return a, nil
}

func split(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	return address[:at], address[at+1:]
}

// lowersTo reports whether the key is the lower case of the local part, character by
// character, and ASCII where that is.
func lowersTo(local, key string) bool {
	l, k := []rune(local), []rune(key)
	if len(l) != len(k) {
		return false
	}
	for i := range l {
		if unicode.ToLower(l[i]) != k[i] || (l[i] < utf8.RuneSelf) != (k[i] < utf8.RuneSelf) {
			return false
		}
	}
	return true
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
