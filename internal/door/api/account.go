package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Accounts are what people have, each its own.
type Accounts struct {
	Caller
	Register *flow.Register
	Profile  *flow.Profile
}

// Routes are its operations.
func (a *Accounts) Routes() web.Routes {
	return web.Routes{
		"POST /v1/register": a.register,
		"GET /v1/me":        a.signedIn(a.me),
		"PATCH /v1/me":      a.signedIn(a.changeMe),
		"GET /v1/me/events": a.signedIn(a.events),
	}
}

// register answers 202 whether or not the address has an account.
func (a *Accounts) register(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email    string  `json:"email"`
		Password *string `json:"password"`
		Locale   string  `json:"locale"`
		// Agreed are the versions that the person agrees to.
		Agreed json.RawMessage `json:"agreed"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	agreed, err := parseAgreed(in.Agreed)
	if err != nil {
		return err
	}
	pass, passwordless := "", in.Password == nil
	if !passwordless {
		pass = *in.Password
	}
	browser := &flow.Browser{}
	request, err := a.Register.Do(r.Context(), flow.Credentials{
		Email: in.Email, Password: pass, Passwordless: passwordless, Browser: browser, Locale: in.Locale, Accepted: r.Header.Get("Accept-Language"),
		Agreed: flow.Agreed{Versions: agreed, Language: in.Locale},
	}, web.Origin(r))
	if err != nil {
		return err
	}
	a.Cookies.PutRegistered(w, browser.Registered, flow.RegisteredLife)
	return a.mailed(w, r, request, a.Register.Welcome(passwordless))
}

// meAnswer is the account as its owner sees it.
type meAnswer struct {
	ID            string   `json:"id"`
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Name          string   `json:"name"`
	Locale        string   `json:"locale"`
	Roles         []string `json:"roles"`
	CreatedAt     string   `json:"created_at"`
	CSRFToken     string   `json:"csrf_token,omitempty"`
}

func answerMe(a account.Account) meAnswer {
	return meAnswer{
		ID: a.ID, Email: a.Email, EmailVerified: !a.VerifiedAt.IsZero(),
		Name: a.Name, Locale: a.Locale, Roles: a.Roles, CreatedAt: stamp(a.CreatedAt),
	}
}

func (a *Accounts) me(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	me, err := a.Profile.Me(r.Context(), who)
	if err != nil {
		return err
	}
	out := answerMe(me)
	if _, bearer, _ := web.Bearer(r); !bearer {
		// A page that was loaded anew, and one of another host, whose scripts can't read our cookies,
		// get it from here: CORS guards it as it guards the answer of the sign-in.
		out.CSRFToken = a.Cookies.CSRF(who.Session)
		w.Header().Set(web.CSRFHeader, out.CSRFToken)
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func (a *Accounts) changeMe(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Name   *string `json:"name"`
		Locale *string `json:"locale"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	me, err := a.Profile.Change(r.Context(), who, flow.Change{Name: in.Name, Locale: in.Locale}, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerMe(me))
}

// eventAnswer is one event as the person it happened to sees it.
type eventAnswer struct {
	ID        string        `json:"id"`
	Time      string        `json:"time"`
	Event     event.Kind    `json:"event"`
	Outcome   event.Outcome `json:"outcome"`
	SessionID string        `json:"session_id,omitempty"`
	Network   string        `json:"network,omitempty"`
	Device    string        `json:"device,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	By        string        `json:"by,omitempty"`
}

// The number of events on a page.
const (
	pageDefault = 50
	pageMax     = 200
)

func (a *Accounts) events(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	cursor, limit, err := page(r)
	if err != nil {
		return err
	}
	list, more, err := a.Profile.History(r.Context(), who, cursor, limit)
	if err != nil {
		return err
	}
	out := struct {
		Events []eventAnswer `json:"events"`
		Next   string        `json:"next_cursor,omitempty"`
	}{Events: make([]eventAnswer, 0, len(list))}
	for _, e := range list {
		out.Events = append(out.Events, eventAnswer{
			ID: e.ID, Time: stamp(e.Time), Event: e.Kind, Outcome: e.Outcome, SessionID: e.Session,
			Network: e.Address, Device: e.UserAgent, Reason: e.Detail.Reason, By: e.Detail.By,
		})
	}
	if more {
		out.Next = list[len(list)-1].ID
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// page reads the query of a list: cursor, as an earlier answer gave it, and
// limit.
func page(r *http.Request) (cursor string, limit int, err error) {
	_, cursor, limit, err = filtered(r)
	return cursor, limit, err
}

// filtered is page for a list that takes filters as well, whose values it returns.
func filtered(r *http.Request, filters ...string) (q url.Values, cursor string, limit int, err error) {
	if q, limit, err = limited(r, append([]string{"cursor"}, filters...)...); err != nil {
		return nil, "", 0, err
	}
	cursor = q.Get("cursor")
	if cursor != "" {
		id, err := uuid.Parse(cursor)
		if err != nil || id.String() != cursor {
			return nil, "", 0, fault.Field("cursor", "invalid_cursor", "The cursor must be the next_cursor of an earlier answer.")
		}
	}
	return q, cursor, limit, nil
}

// limited reads the query of a list: its limit, and the parameters that it allows.
func limited(r *http.Request, allowed ...string) (q url.Values, limit int, err error) {
	if q, err = web.Query(r, append([]string{"limit"}, allowed...)...); err != nil {
		return nil, 0, err
	}
	limit = pageDefault
	if s := q.Get("limit"); s != "" {
		limit, err = strconv.Atoi(s)
		if err != nil || limit < 1 || limit > pageMax {
			return nil, 0, fault.Field("limit", "invalid_limit", "The limit is a number from 1 to %d.", pageMax)
		}
	}
	return q, limit, nil
}
