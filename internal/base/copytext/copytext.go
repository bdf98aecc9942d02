// Package copytext writes and reads rows in the text form of PostgreSQL's COPY (PostgreSQL's
// manual, COPY, "Text Format"): a row a line, a tab between columns, \N for NULL,
// escapes with a backslash, and bytes in hexadecimal behind \\x. What is written here can
// be loaded with psql.
//
// Text that PostgreSQL would refuse, because it is not UTF-8 or has a NUL, is written too:
// each such byte as \xHH. SQLite can hold it, and a backup must not fail of it.
package copytext

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// ErrMalformed is for a line that is no row of its table.
var ErrMalformed = errors.New("a row is malformed")

// Append appends a row with its line's end. Values are nil, int64, string (text) or
// []byte (bytes). It reports whether PostgreSQL takes all of it.
func Append(dst []byte, row []any) (line []byte, portable bool) {
	portable = true
	for i, v := range row {
		if i > 0 {
			dst = append(dst, '\t')
		}
		switch v := v.(type) {
		case nil:
			dst = append(dst, '\\', 'N')
		case int64:
			dst = strconv.AppendInt(dst, v, 10)
		case string:
			var ok bool
			dst, ok = appendText(dst, v)
			portable = portable && ok
		case []byte:
			dst = append(dst, '\\', '\\', 'x')
			dst = hex.AppendEncode(dst, v)
		default:
			panic(fmt.Sprintf("copytext: a %T is no value of a column", v))
		}
	}
	return append(dst, '\n'), portable
}

// escapes are the letters behind a backslash, by what they stand for.
var escapes = map[byte]byte{'\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v', '\\': '\\'}

func appendText(dst []byte, s string) ([]byte, bool) {
	portable := true
	for i := 0; i < len(s); {
		c := s[i]
		if letter, ok := escapes[c]; ok {
			dst = append(dst, '\\', letter)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if c == 0 || r == utf8.RuneError && n == 1 {
			dst, portable = fmt.Appendf(dst, `\x%02x`, c), false
		} else {
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst, portable
}

// Parse reads a line, without its end, into a row of these columns: each value becomes nil,
// int64, string or []byte. It reports whether PostgreSQL would take it. An error is
// ErrMalformed.
func Parse(line []byte, columns []schema.Column, row []any) (portable bool, err error) {
	portable = true
	for i, c := range columns {
		field, rest, more := bytes.Cut(line, []byte{'\t'})
		if more != (i < len(columns)-1) {
			return false, fmt.Errorf("%w: it has not %d columns", ErrMalformed, len(columns))
		}
		line = rest
		if string(field) == `\N` {
			row[i] = nil
			continue
		}
		text, ok := unescape(field)
		if !ok {
			return false, fmt.Errorf("%w: the column %s has an escape that is not known", ErrMalformed, c.Name)
		}
		switch c.Type {
		case schema.Integer:
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || strconv.FormatInt(n, 10) != text {
				return false, fmt.Errorf("%w: the column %s is not a whole number", ErrMalformed, c.Name)
			}
			row[i] = n
		case schema.Bytes:
			b, err := hex.DecodeString(cut(text))
			if err != nil || len(text) < 2 || text[:2] != `\x` {
				return false, fmt.Errorf("%w: the column %s is not bytes in hexadecimal", ErrMalformed, c.Name)
			}
			row[i] = b
		default:
			row[i] = text
			portable = portable && Portable(text)
		}
	}
	return portable, nil
}

func cut(text string) string { return text[min(2, len(text)):] }

// Portable reports whether PostgreSQL takes the text: it is UTF-8, and has no NUL.
func Portable(text string) bool {
	for i := range len(text) {
		if text[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(text)
}

// unescape undoes what Append and PostgreSQL write.
func unescape(field []byte) (string, bool) {
	if bytes.IndexByte(field, '\\') < 0 {
		return string(field), true
	}
	out := make([]byte, 0, len(field))
	for i := 0; i < len(field); i++ {
		if field[i] != '\\' {
			out = append(out, field[i])
			continue
		}
		if i++; i == len(field) {
			return "", false
		}
		if field[i] == 'x' {
			if i+2 >= len(field) {
				return "", false
			}
			n, err := strconv.ParseUint(string(field[i+1:i+3]), 16, 8)
			if err != nil {
				return "", false
			}
			out, i = append(out, byte(n)), i+2
			continue
		}
		c, ok := unescapes[field[i]]
		if !ok {
			return "", false
		}
		out = append(out, c)
	}
	return string(out), true
}

var unescapes = func() map[byte]byte {
	m := map[byte]byte{}
	for c, letter := range escapes {
		m[letter] = c
	}
	return m
}()
