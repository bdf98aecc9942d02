package app

import (
	"net/http"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// toldAlready are the codes of refusals that have an event of their own.
var toldAlready = []string{
	"wrong_password", "account_disabled", "password_breached", "password_expired", "password_reset_required", "not_administrator", "address_blocked",
}

// malformed are the codes of bodies that no honest client sends.
var malformed = []string{
	"invalid_json", "not_an_object", "trailing_data", "invalid_utf8", "nul_character", "duplicate_field", "unknown_field", "wrong_type",
	"unsupported_media_type", "body_too_large", "empty_body", "unreadable_body",
}

// countRejected counts the requests that were refused for who made them, or for a
// body that is none, a network and minute (ASVS 16.3.2, 16.3.3). A 404 of a route is
// that of somebody else's row, or of none: the caller must not know which.
func countRejected(tally *event.Tally) func(int, string, event.Origin) {
	return func(status int, code string, from event.Origin) {
		switch {
		case slices.Contains(toldAlready, code):
		case status == http.StatusForbidden, status == http.StatusNotFound && code != "not_found":
			tally.Add(event.AccessDenied, code, from)
		case slices.Contains(malformed, code):
			tally.Add(event.MalformedRequest, code, from)
		}
	}
}
