package openid

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// EndSession tells where a person goes who signs out of an application, and whether they have to be asked (OpenID Connect
// RP-Initiated Logout). It ends nothing: [flow.SignOut] does.
type EndSession struct {
	flow.Core
	Clients *flow.AuthenticateClient
	Tokens  *token.Issuer
}

// Leaving is what an application asks for that signs somebody out.
type Leaving struct {
	// Hint is an ID token of ours; Client is who asks, and may be missing with it.
	Hint, Client, Redirect, State string
}

// Farewell is what comes of it.
type Farewell struct {
	// To is where the browser goes then; empty for a page of ours.
	To string
	// Title is what the application is called; empty for none.
	Title string
	// Mine says that the hint names the session that is to end: nobody has to be asked.
	Mine bool
}

// Look judges it for the browser's session, which may be empty. What is wrong with it leads nowhere, and is no error: whoever wants to sign
// out is to get there.
func (f *EndSession) Look(ctx context.Context, l Leaving, sessionID string) (out Farewell, err error) {
	hint, err := f.Tokens.Hint(l.Hint)
	if err != nil {
		hint = nil
	}
	id := l.Client
	switch {
	case l.Hint != "" && hint == nil, hint != nil && id != "" && id != hint.Audience:
		return out, nil // not ours, or not whose it says: nothing about it is believed
	case hint != nil:
		id = hint.Audience
	}
	c, ok, err := f.Clients.Named(ctx, id)
	if err != nil || !ok || !c.DisabledAt.IsZero() {
		return out, err
	}
	out.Title, out.To = c.Shown(), leaveTo(c, l)
	if hint == nil || sessionID == "" {
		return out, nil
	}
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		sid, err := session.SIDOf(tx, sessionID)
		out.Mine = sid != "" && sid == hint.Session
		return err
	})
	return out, err
}

// leaveTo is where an application has the browser go, if it is registered for that, to the letter.
func leaveTo(c client.Client, l Leaving) string {
	if l.Redirect == "" || !slices.Contains(c.Settings.PostLogoutURIs, l.Redirect) {
		return ""
	}
	if l.State == "" {
		return l.Redirect
	}
	return With(l.Redirect, "?", url.Values{"state": {l.State}})
}

// With adds parameters to an address, behind a query or as a fragment; a query that it has is kept.
func With(address, mark string, parameters url.Values) string {
	if mark == "?" && strings.Contains(address, "?") {
		mark = "&"
		if strings.HasSuffix(address, "?") || strings.HasSuffix(address, "&") {
			mark = ""
		}
	}
	return address + mark + parameters.Encode()
}

// AnswerTo is where an application's answer goes, and with which parameters: a code or what it was refused, with the issuer always
// (RFC 9207).
func AnswerTo(r Request, issuer, code string, refused *Refused) (mode, address string, parameters url.Values) {
	parameters = url.Values{"iss": {issuer}}
	if refused != nil {
		parameters.Set("error", refused.Code)
		parameters.Set("error_description", refused.Description)
	} else {
		parameters.Set("code", code)
	}
	if r.State != "" {
		parameters.Set("state", r.State)
	}
	return r.Mode, r.Redirect, parameters
}

// RefusedOf returns what an application is told, if an error is that.
func RefusedOf(err error) *Refused {
	var refused *Refused
	if errors.As(err, &refused) {
		return refused
	}
	return nil
}
