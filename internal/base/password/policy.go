// Package password decides which passwords are acceptable, and hashes them.
//
// A [Policy] requires length, and that the password is not one that attackers
// try first, following NIST SP 800-63B-4 section 3.1.1.2: every character is allowed,
// none is required unless a setting says so, and a password is used whole, never
// trimmed or truncated. Two ways of typing the same character are the same password,
// because it is normalised to Unicode NFC first.
//
// A [Hasher] does the slow work. It guarantees that no more passwords are
// hashed at once than there are cores to spare; that a request that comes when too
// many wait is refused at once; that all other requests stay fast meanwhile; and that
// the response time reveals neither whether an account exists nor how old its
// hash is.
//
// # How it works
//
// bcrypt over base64(HMAC-SHA-384), 64 bytes, stored as h1: and bcrypt's own text. A
// worker pool of cores − 1, and a queue in which a caller waits two seconds at most,
// then gets a 503; it is long (1024), since clients that are turned away at once come
// back at once. The workers' threads have a lower priority than the rest (nice +5),
// which keeps the p99 of other calls at its idle value during a flood; more than that
// makes the garbage collector wait for them. A cheaper stored hash is topped up with
// dummy work.
package password

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Lengths in code points after normalisation.
const (
	// DefaultMinLength is the shortest password where nothing else stands
	// with it (NIST SP 800-63B-4 section 3.1.1.2, ASVS 5.0 V6.2.1).
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

// Policy says what a new password must be.
type Policy struct {
	// MinLength is in code points; 0 means DefaultMinLength. Anything
	// lower than LeastMinLength counts as that, anything above MaxLength as
	// that.
	MinLength int
	// Require is what some auditors insist on. NIST advises against all of it.
	Require Require
	// Site are the names under which this service is known.
	Site []string
	// Breaches knows the passwords that others try first; nil means the
	// list in the binary alone.
	Breaches Breaches
}

// Require demands kinds of characters.
type Require struct{ Uppercase, Lowercase, Digit, Symbol bool }

// Breaches knows passwords that have been in a breach. Its error is a fault of
// kind Unavailable.
type Breaches interface {
	Breached(ctx context.Context, normalized string) (bool, error)
}

// Check returns the normal form of a new password, or the first fault about the
// field: see [Policy.Findings]. about are the person's address and name, as far
// as they are known. It may ask another server, so never call it in a
// transaction.
func (p Policy) Check(ctx context.Context, field, password string, about ...string) (string, error) {
	normalized, err := p.normal(field, password)
	if err != nil {
		return "", err
	}
	for _, rule := range p.rules(normalized, about) {
		if rule.broken {
			return "", rule.fault(field)
		}
	}
	breached, err := p.breaches().Breached(ctx, normalized)
	if err != nil {
		return "", err
	}
	if breached {
		return "", ErrBreached(field)
	}
	return normalized, nil
}

// ErrBreached is the fault of a password that others try first.
func ErrBreached(field string) *fault.Error {
	return fault.Field(field, "password_breached",
		"This password is known: it is common, or has been in a breach of another service, so attackers try it first. Choose another; a few words in a row "+
			"that only you would think of are good.")
}

func (p Policy) breaches() Breaches {
	if p.Breaches == nil {
		return breach.List{}
	}
	return p.Breaches
}

// Findings returns everything that Check would refuse a password for, each with
// what to do about it. Breaches that only another server knows are not among
// them if p.Breaches does not ask it.
func (p Policy) Findings(ctx context.Context, field, password string, about ...string) ([]*fault.Error, error) {
	normalized, err := p.normal(field, password)
	if f := fault.As(err); f != nil && f.Code != "password_too_short" {
		return []*fault.Error{f}, nil
	}
	var out []*fault.Error
	if f := fault.As(err); f != nil {
		out = append(out, f)
		normalized = norm.NFC.String(password)
	}
	for _, rule := range p.rules(normalized, about) {
		if rule.broken {
			out = append(out, rule.fault(field))
		}
	}
	breached, err := p.breaches().Breached(ctx, normalized)
	if breached {
		out = append(out, ErrBreached(field))
	}
	return out, err
}

// normal returns the normal form of what can be a password by its length and
// its characters, or a fault: password_too_short, password_too_long, or
// invalid_utf8 and nul_character for what no request could carry at sign-in.
func (p Policy) normal(field, password string) (string, error) {
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

// rule is one thing that a password of a good length must be.
type rule struct {
	broken        bool
	code, message string
}

func (r rule) fault(field string) *fault.Error { return fault.Field(field, r.code, "%s", r.message) }

func (p Policy) rules(normalized string, about []string) []rule {
	lacks := func(wanted bool, is func(rune) bool) bool { return wanted && !strings.ContainsFunc(normalized, is) }
	q := p.Require
	return []rule{
		{lacks(q.Uppercase, unicode.IsUpper), "password_needs_uppercase", "Use at least one capital letter."},
		{lacks(q.Lowercase, unicode.IsLower), "password_needs_lowercase", "Use at least one small letter."},
		{lacks(q.Digit, unicode.IsDigit), "password_needs_digit", "Use at least one digit."},
		{lacks(q.Symbol, isSymbol), "password_needs_symbol", "Use at least one character that is no letter, no digit and no space."},
		{
			madeOf(normalized, contextWords(p.Site, about)), "password_personal",
			"This password is made of this service's name, your name or your address, which others try first. Use words that have nothing to do with either.",
		},
	}
}

// isSymbol takes what is no letter, no digit, no mark on one, and no space.
func isSymbol(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r) && !unicode.IsSpace(r)
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
