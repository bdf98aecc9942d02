package password

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
)

// guessable bounds what is estimated, in characters. What follows is taken
// for as good as nothing.
const guessable = 100

// piece is a sort of part that a password can be made of, as guessers see it.
type piece string

const (
	character piece = "" // one by itself
	common    piece = "common"
	personal  piece = "personal"
	repeat    piece = "repeat"
	sequence  piece = "sequence"
	keys      piece = "keys"
	year      piece = "year"
)

// The bits that a piece costs a guesser who knows its sort. A common one is any of
// 414,000, of which the first are tried first; with a capital letter or figures
// for letters there are twice as many.
const (
	commonBits   = 17
	variantBits  = 1
	personalBits = 4
	repeatBits   = 3
	sequenceBits = 7
	keysBits     = 9
	yearBits     = 7
)

// The longest and the shortest piece of some sorts, in characters.
const (
	commonLeast, commonMost = 4, 24
	runLeast                = 3
	keysLeast               = 4
)

var keyboard = []string{"qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik"}

// guessBits estimates how many bits of guessing a password takes, by the
// cheapest way to put it together, and returns the sorts of pieces in that.
func guessBits(password string, words [][]rune) (bits float64, made []piece) {
	text := []rune(password)
	text = text[:min(len(text), guessable)]
	lower := []rune(strings.ToLower(string(text)))
	if len(lower) != len(text) { // one of the few letters whose small form is two
		lower = text
	}
	letters := unfigured(lower)
	type step struct {
		bits float64
		from int
		kind piece
	}
	best := make([]step, len(text)+1)
	for end := 1; end <= len(text); end++ {
		best[end] = step{best[end-1].bits + characterBits(text[end-1]), end - 1, character}
		for from := end - 2; from >= 0; from-- {
			kind, cost := judge(text, lower, letters, from, end, words)
			if kind != character && best[from].bits+cost < best[end].bits {
				best[end] = step{best[from].bits + cost, from, kind}
			}
		}
	}
	for at := len(text); at > 0; at = best[at].from {
		if k := best[at].kind; k != character && !slices.Contains(made, k) {
			made = append(made, k)
		}
	}
	return best[len(text)].bits, made
}

// judge returns the cheapest sort of piece that the text from one place to
// another is.
func judge(text, lower, letters []rune, from, end int, words [][]rune) (piece, float64) {
	part, n := lower[from:end], end-from
	variant := 0.0
	if !slices.Equal(part, text[from:end]) {
		variant = variantBits
	}
	for _, w := range words {
		if len(w) == n && alike(part, w) {
			return personal, personalBits + variant
		}
	}
	switch {
	case n <= from && slices.Equal(part, lower[from-n:from]):
		return repeat, repeatBits
	case n >= runLeast && isRun(part):
		return sequence, sequenceBits
	case n >= keysLeast && isKeys(part):
		return keys, keysBits
	case n == 4 && (part[0] == '1' && part[1] == '9' || part[0] == '2' && part[1] == '0') && unicode.IsDigit(part[2]) && unicode.IsDigit(part[3]):
		return year, yearBits
	case n < commonLeast || n > commonMost:
		return character, 0
	case breach.Common(string(part)):
		return common, commonBits + variant
	case !slices.Equal(letters[from:end], part) && breach.Common(string(letters[from:end])):
		return common, commonBits + variantBits
	}
	return character, 0
}

// isRun finds abc, 6543 and zzz.
func isRun(part []rune) bool {
	by := part[1] - part[0]
	if by < -1 || by > 1 {
		return false
	}
	for i := 2; i < len(part); i++ {
		if part[i]-part[i-1] != by {
			return false
		}
	}
	return true
}

// keyRows are the rows of keys in both directions, adjacent says which two keys come one
// after the other in any of them, and keysMost is the longest row.
var keyRows, adjacent, keysMost = func() (rows []string, adjacent [unicode.MaxASCII][unicode.MaxASCII]bool, most int) {
	for _, row := range keyboard {
		back := []byte(row)
		slices.Reverse(back)
		rows = append(rows, row, string(back))
		most = max(most, len(row))
	}
	for _, row := range rows {
		for i := range len(row) - 1 {
			adjacent[row[i]][row[i+1]] = true
		}
	}
	return rows, adjacent, most
}()

// isKeys finds keys next to one another, in either direction. Most texts are none, which
// costs a look at two characters.
func isKeys(part []rune) bool {
	if len(part) > keysMost {
		return false
	}
	for i := range len(part) - 1 {
		a, b := part[i], part[i+1]
		if a >= unicode.MaxASCII || b >= unicode.MaxASCII || !adjacent[a][b] {
			return false
		}
	}
	there := string(part)
	return slices.ContainsFunc(keyRows, func(row string) bool { return strings.Contains(row, there) })
}

// unfigured puts letters in place of the figures that stand for them.
func unfigured(lower []rune) []rune {
	out := slices.Clone(lower)
	for i, r := range out {
		if f := figures[r]; f != "" {
			out[i] = rune(f[0])
		}
	}
	return out
}

// characterBits is what one character costs that is part of nothing.
func characterBits(r rune) float64 {
	switch {
	case unicode.IsDigit(r):
		return math.Log2(10)
	case unicode.IsLower(r) && r < unicode.MaxASCII:
		return math.Log2(26)
	case unicode.IsUpper(r) && r < unicode.MaxASCII:
		return math.Log2(26) + variantBits
	case r == ' ':
		return 2
	case r < unicode.MaxASCII:
		return 5
	}
	return 7
}
