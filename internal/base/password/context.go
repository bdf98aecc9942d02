package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The words of the context: what an attacker who knows the service and the
// person tries first (NIST SP 800-63B-4 section 3.1.1.2). A password is refused
// if it is made of nothing else: the words, in any case, with figures in place
// of letters, one or several of them in any order, and with digits, spaces and
// punctuation around and between.
const (
	// leastWord is the length of the shortest word that counts, in letters.
	leastWord = 3
	// mostWords bounds the work.
	mostWords = 160
)

// contextWords returns the words of the names, addresses and hosts, folded.
func contextWords(site, about []string) [][]rune {
	var out [][]rune
	seen := map[string]bool{}
	add := func(word string) {
		if !seen[word] && utf8.RuneCountInString(word) >= leastWord && len(out) < mostWords {
			seen[word] = true
			out = append(out, []rune(word))
		}
	}
	for _, list := range [][]string{site, about} {
		for _, name := range list {
			name = fold(name)
			pieces := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r) })
			for _, piece := range pieces {
				add(piece)
				// ada99@example.org: the letters alone are a word too.
				add(strings.TrimFunc(piece, unicode.IsNumber))
			}
		}
	}
	return out
}

func fold(s string) string { return cases.Fold().String(norm.NFC.String(s)) }

// figures are the signs that stand in for letters.
var figures = map[rune]string{
	'0': "o", '1': "il", '2': "z", '3': "e", '4': "a", '5': "s", '6': "bg", '7': "t", '8': "b", '9': "g",
	'@': "a", '$': "s", '!': "il", '|': "il", '+': "t", '(': "c", '€': "e",
}

// madeOf reports whether a password consists of the words and of what is no
// letter.
func madeOf(normalized string, words [][]rune) bool {
	text := []rune(fold(normalized))
	// fits[i] says what the text up to i can be: nothing but what is no letter,
	// or that and words too.
	type state struct{ plain, words bool }
	fits := make([]state, len(text)+1)
	fits[0].plain = true
	for i := range text {
		at := fits[i]
		if !at.plain && !at.words {
			continue
		}
		if !unicode.IsLetter(text[i]) {
			fits[i+1].plain = fits[i+1].plain || at.plain
			fits[i+1].words = fits[i+1].words || at.words
		}
		for _, w := range words {
			if n := i + len(w); n <= len(text) && alike(text[i:n], w) {
				fits[n].words = true
			}
		}
	}
	return fits[len(text)].words
}

// alike compares a text with a word, letting figures stand for letters.
func alike(text, word []rune) bool {
	for i, r := range text {
		if r != word[i] && !strings.ContainsRune(figures[r], word[i]) {
			return false
		}
	}
	return true
}
