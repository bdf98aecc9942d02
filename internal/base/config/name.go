package config

import (
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// families begin names that belong to Gatehouse and to hardly anything else, so
// that an unknown one in the environment is worth a word. SESSION_ and PASSWORD_
// are not among them: desktops set SESSION_MANAGER, and pass PASSWORD_STORE_DIR.
var families = []string{
	"ACCESS_TOKEN_", "BCRYPT_", "JWT_", "LOCKOUT_", "LOGIN_RATE_LIMIT_", "PASSWORD_REQUIRE_",
	"PASSWORD_RESET_", "REFRESH_", "REGISTRATION_", "SESSION_COOKIE_", "SESSION_MAX_",
}

// unknown returns the warnings about names that are no setting: each in the
// .env file, and those in the environment that look meant for Gatehouse.
func (in *input) unknown() []string {
	var warnings []string
	for _, name := range slices.Sorted(keys(in.environ)) {
		if known(name) || in.environ[name] == "" {
			continue
		}
		if base, ok := readOnlyDirectly(name); ok {
			warnings = append(warnings, fmt.Sprintf("%s in the environment is ignored: only a secret may stand in a file of its own. "+
				"Write the value itself into %s.", name, base))
			continue
		}
		near, distance := nearest(name)
		meant := distance == 1 || slices.ContainsFunc(families, func(f string) bool { return strings.HasPrefix(name, f) })
		if meant && showable(name) {
			warnings = append(warnings, fmt.Sprintf("%s in the environment is not a setting and is ignored. The nearest name is %s.", name, near))
		}
	}
	for _, name := range slices.Sorted(keys(in.envFile)) {
		if known(name) {
			continue
		}
		if base, ok := readOnlyDirectly(name); ok {
			warnings = append(warnings, fmt.Sprintf("%s in the .env file is ignored: only a secret may stand in a file of its own. "+
				"Write the value itself into %s.", name, base))
			continue
		}
		near, distance := nearest(strings.ToUpper(name))
		switch {
		case showable(name):
			warnings = append(warnings, fmt.Sprintf("%s in the .env file is not a setting and is ignored. The nearest name is %s.", name, near))
		case distance <= 2:
			warnings = append(warnings, fmt.Sprintf("A name in the .env file is not a setting and is ignored, but is much like %s. Names are written in "+
				"capitals.", near))
		default:
			warnings = append(warnings, "A name in the .env file is not a setting and is ignored. It is not shown, because it looks like a part of a value "+
				"that goes over two lines.")
		}
	}
	return warnings
}

func keys(m map[string]string) iter.Seq[string] { return maps.Keys(m) }

// capitals is what a name looks like, and a stray piece of a secret does not:
// words in capitals, none of them long.
var capitals = regexp.MustCompile(`^[A-Z][A-Z0-9]{0,15}(_[A-Z0-9]{1,15}){0,7}$`)

// showable reports whether a name that Gatehouse does not know may be repeated.
func showable(name string) bool { return capitals.MatchString(name) }

// owns reports whether the row stands for the name: its own, or that of a secret's file.
func (s *setting) owns(name string) bool {
	return name == s.name || (s.cover != open || s.inFile) && name == s.name+"_FILE"
}

func known(name string) bool {
	return slices.ContainsFunc(table, func(s setting) bool { return s.owns(name) })
}

// nearest returns the name in the table that the fewest edits lead to, and how
// many they are.
func nearest(name string) (string, int) {
	best, least := "", 0
	for _, s := range table {
		// Each letter that one name is longer by is an edit. Every start looks at all of
		// the environment, and the tables cost it as much as opening the database.
		if apart := max(len(name)-len(s.name), len(s.name)-len(name)); best != "" && apart >= least {
			continue
		}
		if d := distance(name, s.name); best == "" || d < least {
			best, least = s.name, d
		}
	}
	return best, least
}

// distance returns how many letters must be put in, taken out, exchanged, or
// swapped with their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	// A name from a file may be of any length; one so long is near nothing.
	if len(a) > 100 {
		return len(a)
	}
	// The rows of the table for the letters of a before this one, and for this one.
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
