package web

import (
	"net/http"
	"strings"
	"time"
)

// journeyCookie begins the names of what a browser keeps while its person is at another provider to sign in, each with the beginning
// of what the provider sends along. unfinishedCookie keeps what goes on by a mail. No link on another site brings either along, whatever
// SESSION_COOKIE_SAMESITE says.
const (
	journeyCookie    = "gatehouse_up_"
	unfinishedCookie = "gatehouse_join"
	journeyName      = 8
)

// PutJourney has the browser keep one.
func (c *Cookies) PutJourney(w http.ResponseWriter, state, sealed string, life time.Duration) {
	c.strict().set(w, journeyCookie+shortState(state), sealed, life, false)
}

// Journey returns the one that belongs to what a provider sends along, or nothing.
func (c *Cookies) Journey(r *http.Request, state string) string {
	if shortState(state) == "" {
		return ""
	}
	return c.get(r, journeyCookie+shortState(state))
}

// Journeys returns all that the browser keeps, by the beginnings that name them.
func (c *Cookies) Journeys(r *http.Request) map[string]string {
	out := map[string]string{}
	for _, cookie := range r.Cookies() {
		if short, ok := strings.CutPrefix(cookie.Name, c.name(journeyCookie)); ok {
			out[short] = cookie.Value
		}
	}
	return out
}

// Unfinished returns what goes on by a mail, or nothing.
func (c *Cookies) Unfinished(r *http.Request) string { return c.get(r, unfinishedCookie) }

// PutUnfinished has the browser keep it; with no life it is taken away.
func (c *Cookies) PutUnfinished(w http.ResponseWriter, sealed string, life time.Duration) {
	c.strict().set(w, unfinishedCookie, sealed, life, false)
}

func (c *Cookies) strict() *Cookies {
	strict := *c
	strict.Lax = false
	return &strict
}

// shortState is the beginning of a state that is like one of ours, or nothing.
func shortState(state string) string {
	if len(state) < journeyName {
		return ""
	}
	short := state[:journeyName]
	if strings.ContainsFunc(short, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return ""
	}
	return short
}
