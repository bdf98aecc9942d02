package account

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// The kinds of words that accounts are found by.
const (
	kindWord = "word"
	kindRole = "role"
)

const (
	// mostWords bounds the rows of an account, and longestWord each, in bytes.
	mostWords   = 24
	longestWord = 96
)

// plain are letters that Unicode does not take apart, as somebody types them who has
// no such key.
var plain = strings.NewReplacer("ı", "i", "ø", "o", "ł", "l", "đ", "d", "ð", "d", "æ", "ae", "œ", "oe", "þ", "th")

// fold returns a text without its case and its marks: Adèle and adele are the same
// to whoever searches.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) || invisible(r) {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
	return plain.Replace(norm.NFKC.String(cases.Fold().String(s)))
}

// cut shortens a word to what is kept of it, at the border of a character.
func cut(word string) string {
	for len(word) > longestWord {
		_, n := utf8.DecodeLastRuneInString(word)
		word = word[:len(word)-n]
	}
	return word
}

// parts returns each part of a folded text that stands between spaces, and the words
// within it that stand between other signs.
func parts(s string) (words []string) {
	for part := range strings.FieldsSeq(s) {
		words = append(words, part)
		words = append(words, strings.FieldsFunc(part, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })...)
	}
	return words
}

// wordsOf returns what an account is found by: the beginning of its id, of its
// address, of the domain, and of each word of them and of the name.
func wordsOf(id, addressKey, name string) (words []string) {
	key := fold(addressKey)
	local, domain := key, ""
	if at := strings.LastIndexByte(key, '@'); at >= 0 {
		local, domain = key[:at], key[at+1:]
	}
	words = append(words, id, key, domain)
	words = append(words, parts(fold(name))...)
	words = append(words, parts(local)...)
	if dot := strings.LastIndexByte(domain, '.'); dot > 0 { // a million have the last label
		words = append(words, parts(domain[:dot])...)
	}
	var out []string
	for _, w := range words {
		if w = cut(w); w != "" && !slices.Contains(out, w) && len(out) < mostWords {
			out = append(out, w)
		}
	}
	return out
}

// putWords writes what an account is found by, in place of what it was.
func putWords(tx *db.Tx, id, addressKey, name string, roles []string) {
	tx.Defer(`DELETE FROM account_word WHERE account_id = $1`, id)
	for _, w := range wordsOf(id, addressKey, name) {
		tx.Defer(`INSERT INTO account_word (kind, word, account_id) VALUES ('word', $1, $2) ON CONFLICT DO NOTHING`, w, id)
	}
	for _, r := range roles {
		tx.Defer(`INSERT INTO account_word (kind, word, account_id) VALUES ('role', $1, $2) ON CONFLICT DO NOTHING`, r, id)
	}
}

// rewriteWords is putWords for an account that has changed in this transaction, which
// holds its row.
func rewriteWords(tx *db.Tx, id string) error {
	var key, name, list string
	if err := tx.QueryRow(`SELECT email_key, name, roles FROM account WHERE id = $1`, id).Scan(&key, &name, &list); err != nil {
		return err
	}
	roles, err := DecodeRoles(list)
	if err == nil {
		putWords(tx, id, key, name, roles)
	}
	return err
}

// WriteWords writes the words of up to limit accounts that have none yet: from before
// this version, or written by another program. It returns how many they were.
func WriteWords(tx *db.Tx, limit int) (int64, error) {
	rows, err := tx.Query(`UPDATE account SET words = 1 WHERE words = 0 AND id IN (SELECT id FROM account WHERE words = 0 ORDER BY id LIMIT $1)
		RETURNING id`, limit)
	if err != nil {
		return 0, err
	}
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return 0, err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		rows.Close()
		return 0, err
	}
	if err := rows.Close(); err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := rewriteWords(tx, id); err != nil {
			return 0, err
		}
	}
	return int64(len(ids)), nil
}
