package terminal

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzReadPassword: a password that is read from a file is what the file holds,
// without the end of its line, and could be typed into a form.
func FuzzReadPassword(f *testing.F) {
	for _, s := range []string{"", "\n", "correct horse\n", "correct horse\r\n", "two\nlines\n", " spaces \n", "\n\n", "a\r", strings.Repeat("x", 70_000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readPassword(bytes.NewReader(b), "--password-file")
		if err != nil {
			if got != "" || !strings.Contains(err.Error(), "--password-file") {
				t.Fatalf("%q was refused with %q and %v", b, got, err)
			}
			return
		}
		rest, begins := strings.CutPrefix(string(b), got)
		whole := begins && (rest == "" || rest == "\n" || rest == "\r\n" || rest == "\r")
		if strings.ContainsAny(got, "\r\n") || len(b) <= passwordFile && !whole {
			t.Fatalf("%q is read as %q", b, got)
		}
		if again, err := readPassword(strings.NewReader(got), "--password-file"); err != nil || again != got {
			t.Fatalf("%q comes back as %q, %v", got, again, err)
		}
	})
}
