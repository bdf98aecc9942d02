package respond

import (
	"fmt"
	"strings"
)

// Touched is how much an action touches, or has touched, by kind.
type Touched map[string]int64

// kinds are those of Touched, with their words, in the order in which they are said.
var kinds = []struct{ name, one, many string }{
	{"people", "person", "people"},
	{"mails", "mail queued", "mails queued"},
	{"sessions", "session", "sessions"},
	{"links", "link or code", "links and codes"},
	{"waiting", "sign-in that waits", "sign-ins that wait"},
	{"factors", "second factor", "second factors"},
	{"codes", "recovery code", "recovery codes"},
	{"networks", "network", "networks"},
	{"keys", "key", "keys"},
	{"secrets", "secret", "secrets"},
	{"doors", "door", "doors"},
	{"skipped", "person left out", "people left out"},
}

// String says it in words: 3 people, 12 sessions.
func (t Touched) String() string {
	var list []string
	for _, k := range kinds {
		if n := t[k.name]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, plural(n, k.one, k.many)))
		}
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// sum is what an event counts: the first kind that there is.
func (t Touched) sum() int64 {
	for _, k := range kinds {
		if n := t[k.name]; n > 0 {
			return n
		}
	}
	return 0
}
