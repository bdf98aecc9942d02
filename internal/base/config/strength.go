package config

import (
	_ "embed"
	"math"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	// secretKeyLength is the guide's least length, in characters (JWT-1).
	secretKeyLength = 32
	// secretKeyBits is the least that guessBits must find in JWT_SECRET_KEY: the 128
	// bits of ASVS V11.2.3. 32 random letters and figures come out at about 145.
	secretKeyBits = 128
	// hexKeyBits is the same for hexadecimal digits alone, of which 32 are 128 bits and
	// come out at about 110, and at 90 by bad luck; patterns stay below 80.
	hexKeyBits = 80
	// passwordLength and passwordBits are the same for the database's password
	// (DB-3). Twelve random characters come out at 40, and at 30 by bad luck.
	passwordLength = 12
	passwordBits   = 28
	// guessLength is how many characters of a text are looked at.
	guessLength = 256
	// pieceBits is what a piece that guessers know costs them: which of some
	// 250 words, which run of keys, which repetition.
	pieceBits = 8
)

const mendSecretKey = "Run `gatehouse secret` and put what it prints into JWT_SECRET_KEY." //nolint:gosec // words

// readSecretKey takes JWT_SECRET_KEY. In every environment it must have 32
// characters or more, no placeholder, and 128 bits by guessBits.
func readSecretKey(r *reading) {
	switch {
	case r.placeholder:
		// Reported already; the strength of the rest does not matter.
	case strings.TrimSpace(r.value) != r.value:
		r.refuse("It begins or ends with a space, which is easily lost in copying.", mendSecretKey)
	case utf8.RuneCountInString(r.value) < secretKeyLength:
		r.refuse("It is shorter than 32 characters.", mendSecretKey)
	case weakKey(r.value):
		r.refuse(problemWeakKey, mendSecretKey)
	default:
		r.c.JWTSecretKey = Secret(r.value)
	}
}

const problemWeakKey = "It is long, but has less than 128 bits of entropy: much of it is words, sequences, few characters, or repetition."

var hexDigits = regexp.MustCompile(`^[0-9A-Fa-f]+$`)

// weakKey reports whether a secret is easier to guess than 128 random bits.
func weakKey(value string) bool {
	if hexDigits.MatchString(value) && strings.ContainsAny(value, "abcdefABCDEF") {
		return guessBits(value) < hexKeyBits
	}
	return guessBits(value) < secretKeyBits
}

// readSecretKeyPrevious takes any secret: one that was good enough once, and is
// on its way out.
func readSecretKeyPrevious(r *reading) {
	if r.c.JWTSecretKey != "" && Secret(r.value) == r.c.JWTSecretKey {
		r.refuse("It is the same as JWT_SECRET_KEY.", "Remove it if the change of the secret is done; else put the previous secret there.")
		return
	}
	r.c.JWTSecretKeyPrevious = Secret(r.value)
}

// pepper is a field that holds a secret as strong as JWT_SECRET_KEY, or none.
func pepper(at func(*Config) *Secret) field {
	const mend = "Run `gatehouse secret` and put what it prints there."
	return field{
		read: func(r *reading) {
			switch {
			case r.placeholder:
			case strings.TrimSpace(r.value) != r.value:
				r.refuse("It begins or ends with a space, which is easily lost in copying.", mend)
			case utf8.RuneCountInString(r.value) < secretKeyLength:
				r.refuse("It is shorter than 32 characters.", mend)
			case weakKey(r.value):
				r.refuse(problemWeakKey, mend)
			case Secret(r.value) == r.c.JWTSecretKey:
				r.refuse("It is the same as JWT_SECRET_KEY. Each must be replaceable without the other.", mend)
			default:
				*at(r.c) = Secret(r.value)
			}
		},
		show: func(c *Config) string { return at(c).Reveal() },
	}
}

// readBreachURL takes an http or https URL without a name, a query or a fragment.
func readBreachURL(r *reading) {
	u, err := url.Parse(r.value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		r.refuse("It is not the URL of a server: https://HOST and optionally a path.", "Write it like https://api.pwnedpasswords.com, or remove it.")
		return
	}
	r.c.PasswordBreachAPIURL = strings.TrimSuffix(r.value, "/")
}

//go:embed words.txt
var wordList string

// words are those that weak secrets are made of, with letters for the figures
// that stand in for them.
var words, longestWord = func() (map[string]bool, int) {
	set, longest := map[string]bool{}, 0
	for _, w := range strings.Fields(wordList) {
		set[w] = true
		longest = max(longest, len(w))
	}
	return set, longest
}()

// figures are letters in disguise.
var figures = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// keyboard has the rows of keys, there and back.
var keyboard = []string{
	"qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm",
	"poiuytrewq", "lkjhgfdsa", "mnbvcxz", "0987654321", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
}

// guessBits estimates how many bits of guessing a text takes. It errs on the
// low side for random texts and is fooled by few others:
//
//   - a text that is one piece over and over counts as that piece;
//   - a word of the list (figures read as letters), 4 neighbouring keys, 4
//     characters in sequence, equal ones included, or 6 that are two such
//     sequences woven together, and 4 characters that stood before, count 8
//     bits each, however long;
//   - each other character counts the Shannon entropy of all of these together,
//     so that few distinct characters count little.
func guessBits(text string) float64 {
	runes := []rune(text)
	runes = period(runes[:min(len(runes), guessLength)])
	lower := []rune(strings.ToLower(string(runes)))
	plain := []rune(figures.Replace(string(lower)))
	if len(plain) != len(runes) || len(lower) != len(runes) {
		// A letter whose lower case is longer: only the characters count.
		lower, plain = runes, runes
	}
	var bits float64
	var rest []rune
	for i := 0; i < len(runes); {
		n := max(wordAt(lower, i), wordAt(plain, i), sequenceAt(lower, i), keysAt(lower, i), repeatAt(lower, i))
		if n == 0 {
			rest = append(rest, runes[i])
			i++
			continue
		}
		bits += pieceBits
		i += n
	}
	return bits + float64(len(rest))*entropy(rest)
}

// period returns the shortest beginning of s that, repeated, makes the whole of
// it; all of s if it does not stand there twice.
func period(s []rune) []rune {
	for p := 1; p <= len(s)/2; p++ {
		same := true
		for i := p; i < len(s) && same; i++ {
			same = s[i] == s[i-p]
		}
		if same {
			return s[:p]
		}
	}
	return s
}

// wordAt returns the length of the longest word at i, or 0.
func wordAt(s []rune, i int) int {
	for n := min(longestWord, len(s)-i); n >= 3; n-- {
		if words[string(s[i:i+n])] {
			return n
		}
	}
	return 0
}

// sequenceAt returns the length of the sequence at i: characters that follow one
// another by the same step of -1, 0 or 1, or every other one does, as in
// a1b2c3. It is 0 if that is under 4, or 6.
func sequenceAt(s []rune, i int) int {
	longest := 0
	for gap := 1; gap <= 2 && i+gap < len(s); gap++ {
		step := s[i+gap] - s[i]
		n := gap + 1
		for i+n < len(s) && s[i+n]-s[i+n-gap] == step {
			n++
		}
		if step >= -1 && step <= 1 && n >= 2+2*gap {
			longest = max(longest, n)
		}
	}
	return longest
}

// keysAt returns the length of the run of neighbouring keys at i, or 0 if it is
// under 4.
func keysAt(s []rune, i int) int {
	longest := 0
	for _, row := range keyboard {
		n := 0
		for n < len(row) && i+n < len(s) && strings.Contains(row, string(s[i:i+n+1])) {
			n++
		}
		longest = max(longest, n)
	}
	return atLeastFour(longest)
}

// repeatAt returns the length of the longest piece at i that stood before, or 0
// if it is under 4.
func repeatAt(s []rune, i int) int {
	longest := 0
	for j := range i {
		n := 0
		for j+n < i && i+n < len(s) && s[j+n] == s[i+n] {
			n++
		}
		longest = max(longest, n)
	}
	return atLeastFour(longest)
}

func atLeastFour(n int) int {
	if n < 4 {
		return 0
	}
	return n
}

// entropy returns Shannon's entropy of the characters, in bits for each.
func entropy(s []rune) float64 {
	count := map[rune]int{}
	for _, c := range s {
		count[c]++
	}
	var h float64
	for _, n := range count {
		p := float64(n) / float64(len(s))
		h -= p * math.Log2(p)
	}
	return h
}
