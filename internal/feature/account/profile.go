package account

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// maxName is the longest name, in code points.
const maxName = 100

// maxLocale is the longest language tag that everybody handles, in bytes, sent
// or in its canonical form (RFC 5646 section 4.4.1).
const maxLocale = 35

// CheckName refuses a name over 100 code points, and one with control or
// invisible formatting characters, which can make one name look like another.
// The empty name is fine: it takes the name away.
func CheckName(field, name string) error {
	if utf8.RuneCountInString(name) > maxName {
		return fault.Field(field, "name_too_long", "A name has at most %d characters.", maxName)
	}
	for _, r := range name {
		if invisible(r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			return fault.Field(field, "invalid_name", "A name can't hold control characters or invisible ones.")
		}
	}
	return nil
}

// CheckTyped refuses what has been typed of an address or a name if it can't become one,
// since it is too long already: over 254 bytes, or 100 code points.
func CheckTyped(email, name string) error {
	if len(email) > maxAddress {
		return refusal("email", "it is longer than 254 bytes")
	}
	if utf8.RuneCountInString(name) > maxName {
		return CheckName("name", name)
	}
	return nil
}

// mostAccepted is the longest Accept-Language that is read, in bytes: browsers send
// a tenth of it.
const mostAccepted = 1 << 10

// AcceptedLocale returns the language that an Accept-Language header (RFC 9110
// section 12.5.4) likes best, in its canonical form; nothing if it names none.
func AcceptedLocale(header string) string {
	if len(header) > mostAccepted {
		return ""
	}
	tags, weights, err := language.ParseAcceptLanguage(header)
	if err != nil || len(tags) == 0 || weights[0] <= 0 {
		return ""
	}
	s := tags[0].String()
	if len(s) > maxLocale || s == "und" || s == "mul" { // an asterisk reads as many
		return ""
	}
	return s
}

// ParseLocale returns a language tag (BCP 47, such as en or de-AT) in its
// canonical form. The empty one is fine: it takes the locale away.
func ParseLocale(field, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	tag, err := language.Parse(s)
	if err != nil || len(s) > maxLocale || len(tag.String()) > maxLocale {
		return "", fault.Field(field, "invalid_locale", "This is no language tag: write one such as en, de or pt-BR.")
	}
	return tag.String(), nil
}
