package config

import (
	"fmt"
	"slices"
	"strings"
)

// byteOrderMark is what some editors write at the beginning of a file.
const byteOrderMark = "\ufeff"

// quoted reports whether a value stands between two quotation marks of a kind.
// Shells, .env files and systemd take them off; docker's --env-file, and a list in a
// compose file, leave them there, so that one file means two things.
func quoted(value string) bool {
	return len(value) > 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0]
}

// marks says what is in a value that its operator does not see, as a sentence, or
// nothing. It repeats none of the value.
func marks(value string) string {
	switch {
	case strings.Contains(value, byteOrderMark):
		return "It contains a byte order mark (U+FEFF), which is invisible and which an editor may have put there."
	case quoted(value):
		return "It begins and ends with a quotation mark, which was not taken off: docker's --env-file and lists in a compose file keep them."
	}
	return ""
}

// keptSecrets are settings whose value must be taken as it was used before, whatever is
// in it.
var keptSecrets = []string{"JWT_SECRET_KEY_PREVIOUS", "PASSWORD_PEPPER_PREVIOUS"}

// refuseMarks refuses a secret with such marks: read from another place without them it
// would be another secret. It reports whether the value can be read on.
func (r *reading) refuseMarks() bool {
	problem := marks(r.value)
	if problem == "" || r.setting.cover != covered || slices.Contains(keptSecrets, r.setting.name) {
		return true
	}
	mend := "Write it without."
	if previous := r.setting.name + "_PREVIOUS"; slices.Contains(keptSecrets, previous) {
		mend += fmt.Sprintf(" If this installation has run with them already, they belong to its secret: "+
			"put it as it is into %s, and a new one into %s.", previous, r.setting.name)
	}
	r.refuse(problem, mend)
	return false
}

// nameMarks adds to the faults of any other setting what its operator does not see, and
// warns where the value was taken all the same.
func (r *reading) nameMarks(before int) {
	problem := marks(r.value)
	if problem == "" || r.setting.cover == covered {
		return
	}
	if len(r.faults) == before {
		r.warn("%s If that is not intended, write it without.", problem)
		return
	}
	for i := before; i < len(r.faults); i++ {
		r.faults[i].Problem = problem + " " + r.faults[i].Problem
	}
}

// readOnlyDirectly warns of a NAME_FILE whose setting is no secret, and so is never read
// from a file.
func readOnlyDirectly(name string) (base string, ok bool) {
	base, ok = strings.CutSuffix(name, "_FILE")
	if !ok || known(name) {
		return "", false
	}
	return base, slices.ContainsFunc(table, func(s setting) bool { return s.name == base && s.cover == open })
}
