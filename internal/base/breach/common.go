package breach

import (
	_ "embed"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

//go:generate go run ./common

// commonList is a filter of 16 bits: of the passwords that are not in the list,
// one in 65,536 is taken for one that is.
//
//go:embed common.filter
var commonList []byte

var common = sync.OnceValue(func() *Filter {
	f, err := Parse(commonList)
	if err != nil {
		panic("breach: the embedded list: " + err.Error())
	}
	return f
})

// Common reports whether a password is one of the most common, in whatever case
// its letters are. The list has some 437,000 of any length, as they stood in
// breaches; what is not in it is taken for common once in 65,536 times.
func Common(password string) bool { return common().Contains(HashOf(Fold(password))) }

// Fold returns a password as the list of common ones has it.
func Fold(password string) string {
	return strings.ToLower(norm.NFC.String(password))
}
