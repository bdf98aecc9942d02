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
	// journeysMost is how many sign-ins by providers a browser may have under way: tabs, and those that were given up.
	journeysMost = 5
	// stateName is how much of a state tells them apart.
	stateName = 8
)

// PutJourney has the browser keep one. If there are too many the oldest are deleted.
func (c *Cookies) PutJourney(w http.ResponseWriter, r *http.Request, state, sealed string, life time.Duration) {
	c.strict().setOneOf(w, r, journeyCookie, shortState(state), sealed, life, journeysMost)
}

// EndJourney takes one away.
func (c *Cookies) EndJourney(w http.ResponseWriter, state string) {
	c.strict().set(w, journeyCookie+shortState(state), "", 0, false)
}

// Journey returns the one that belongs to what a provider sends along, or nothing.
func (c *Cookies) Journey(r *http.Request, state string) string {
	return c.get(r, journeyCookie+shortState(state))
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
	if len(state) < stateName {
		return ""
	}
	short := state[:stateName]
	if strings.ContainsFunc(short, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return ""
	}
	return short
}
