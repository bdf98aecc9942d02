package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

// readEnvFile reads the .env file: the named one, or .env if there is one. It
// returns a fault if there is a file that can't be used.
func readEnvFile(path string, readFile func(string) ([]byte, error)) (map[string]string, *Fault) {
	fault := &Fault{Setting: "--env-file", Mend: "Name a file that is there, or leave the option out."}
	named := path != ""
	if !named {
		path = ".env"
		fault.Setting = ".env"
		fault.Mend = "Make it a file that the user running Gatehouse may read, or take it away."
	}
	b, err := readFile(path)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		fault.Problem = "The file " + unreadable(err) + "."
		return nil, fault
	}
	if len(b) > maxFile {
		fault.Problem = fmt.Sprintf("The file is over %d KiB.", maxFile>>10)
		fault.Mend = "Keep nothing but settings in it."
		return nil, fault
	}
	values, line := parseEnvFile(b)
	if line > 0 {
		fault.Problem = fmt.Sprintf("The file can't be parsed from line %d on.", line)
		fault.Mend = "Write one NAME=value on each line, in UTF-8. Close every quotation mark that opens a value, and put a value that ends in one between " +
			"two of the other kind."
		return nil, fault
	}
	return values, nil
}

// emptyBeforeComment is a line that has a comment where its value should be.
// The parser would take the comment for the value.
var emptyBeforeComment = regexp.MustCompile(`(?m)^([ \t]*(?:export[ \t]+)?[A-Za-z0-9_.]+[ \t]*=)[ \t]+#.*$`)

// quoteAtEnd is a value that ends in an escaped quotation mark. The parser would
// drop the mark and keep the backslash.
var quoteAtEnd = regexp.MustCompile(`\\(""|'')`)

// parseEnvFile returns the values of a .env file, or the number of the line
// where it stops making sense. The parser's own errors are dropped: they quote
// the file.
func parseEnvFile(b []byte) (values map[string]string, badLine int) {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	if at := bytes.IndexByte(b, 0); at >= 0 {
		return nil, 1 + bytes.Count(b[:at], []byte("\n"))
	}
	if at := quoteAtEnd.FindIndex(b); at != nil {
		return nil, 1 + bytes.Count(b[:at[0]], []byte("\n"))
	}
	b = emptyBeforeComment.ReplaceAll(b, []byte("$1"))
	values, ok := parseLines(b)
	if ok {
		return values, 0
	}
	// The longest beginning that makes sense ends before the bad line.
	lines := bytes.SplitAfter(b, []byte("\n"))
	for n := len(lines) - 1; n > 0; n-- {
		b = b[:len(b)-len(lines[n])]
		if _, ok := parseLines(b); ok {
			return nil, n + 1
		}
	}
	return nil, 1
}

// parseLines runs the parser with its expansion of $NAME switched off: it would
// silently turn the password pa$5word into pa. A NUL, of which the text has
// none, travels in place of each dollar.
func parseLines(b []byte) (map[string]string, bool) {
	values, err := godotenv.UnmarshalBytes(bytes.ReplaceAll(b, []byte("$"), []byte{0}))
	if err != nil {
		return nil, false
	}
	for name, value := range values {
		if name == "" {
			return nil, false
		}
		values[name] = strings.ReplaceAll(value, "\x00", "$")
	}
	return values, true
}
