// Package password decides which passwords are good enough, and turns them
// into what is stored.
//
// A [Policy] asks for length and nothing else, as NIST SP 800-63B-4 section
// 3.1.1.2 wants it: any character counts, none is demanded, and a password is
// taken whole, never trimmed or cut. Two ways of typing the same character are
// one password, because everything here works on its Unicode normal form NFC.
//
// A [Hasher] does the slow work. What it promises: no more passwords are
// hashed at once than there are cores to spare; who comes when too many wait
// is told so at once; everybody else's requests stay quick meanwhile; and how
// long an answer takes says neither whether an account exists nor how old its
// hash is.
package password

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/fault"
)

// Lengths in code points after normalisation.
const (
	// DefaultMinLength is the shortest password where nothing else stands
	// beside it (NIST SP 800-63B-4 section 3.1.1.2, ASVS 5.0 V6.2.1).
	DefaultMinLength = 15
	// LeastMinLength is the lowest that DefaultMinLength can be replaced by.
	LeastMinLength = 8
	// MaxLength is the longest password. ASVS 5.0 V6.2.9 asks for 64 or more.
	MaxLength = 256
)

// maxBytes bounds the work on a password before anything has looked at it. No
// password of MaxLength is longer, however it was typed: a code point comes
// apart into four at most when decomposed (Unicode Standard Annex #15, section
// 9), and UTF-8 takes four bytes at most for each.
const maxBytes = MaxLength * 4 * utf8.UTFMax

// Policy says how long a new password must be.
type Policy struct {
	// MinLength is in code points; 0 stands for DefaultMinLength. Anything
	// lower than LeastMinLength counts as that, anything above MaxLength as
	// that.
	MinLength int
}

// Check returns the normal form of a new password, or a fault about the field:
// password_too_short, password_too_long, or invalid_utf8 and nul_character for
// what no request could carry at sign-in.
func (p Policy) Check(field, password string) (string, error) {
	// The bytes come first, so that a huge input costs nothing.
	if len(password) > maxBytes {
		return "", tooLong(field)
	}
	if strings.ContainsRune(password, utf8.RuneError) {
		return "", fault.Field(field, "invalid_utf8", "The password is not valid Unicode text. Send it as UTF-8, without broken or replaced characters.")
	}
	if strings.ContainsRune(password, 0) {
		return "", fault.Field(field, "nul_character", "The password holds the NUL character (U+0000), which is not accepted. Leave it out.")
	}
	password = norm.NFC.String(password)
	switch n, least := utf8.RuneCountInString(password), p.minLength(); {
	case n < least:
		return "", fault.Field(field, "password_too_short", "Use at least %d characters. A few words in a row are long and easy to remember.", least)
	case n > MaxLength:
		return "", tooLong(field)
	}
	return password, nil
}

func (p Policy) minLength() int {
	if p.MinLength == 0 {
		return DefaultMinLength
	}
	return min(max(p.MinLength, LeastMinLength), MaxLength)
}

func tooLong(field string) error {
	return fault.Field(field, "password_too_long", "Use at most %d characters.", MaxLength)
}

// Normalize returns the normal form in which a password is compared at sign-in,
// where no policy applies: an account made under an older one must get in. It
// returns "", which is nobody's password, for one that is longer than MaxLength.
func Normalize(password string) string {
	if len(password) > maxBytes {
		return ""
	}
	password = norm.NFC.String(password)
	if utf8.RuneCountInString(password) > MaxLength {
		return ""
	}
	return password
}
