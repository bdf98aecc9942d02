package web

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
)

// Problem is a problem document (RFC 9457): what every error becomes.
type Problem struct {
	// Type is urn:gatehouse:problem: and the code.
	Type string `json:"type"`
	// Title is the code in words, the same each time.
	Title string `json:"title"`
	// Status is the response's.
	Status int `json:"status"`
	// Detail says what is wrong this time, and how to fix it.
	Detail string `json:"detail"`
	// Code is stable; clients compare it.
	Code string `json:"code"`
	// Field is the part of the input at fault, if there is one.
	Field string `json:"field,omitempty"`
	// Error is the code that RFC 6749 section 5.2 has for it, on the paths that OAuth
	// describes: its client libraries read that.
	Error string `json:"error,omitempty"`
	// Description is the detail under the name that those libraries show.
	Description string `json:"error_description,omitempty"`
	// RequestID is the id that the X-Request-Id header and the log have.
	RequestID string `json:"request_id"`

	retryAfter time.Duration
	limit      *limit.State // the rule that was broken, if one was
}

// statuses is the one place where a kind of fault becomes a status.
var statuses = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Denied:          http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Limited:         http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// narrower has the Invalid codes for which HTTP has a status of its own.
var narrower = map[string]int{
	"method_not_allowed":     http.StatusMethodNotAllowed,
	"request_timeout":        http.StatusRequestTimeout,
	"body_too_large":         http.StatusRequestEntityTooLarge,
	"unsupported_media_type": http.StatusUnsupportedMediaType,
	"unknown_host":           http.StatusMisdirectedRequest,
}

var errTimedOut = fault.New(fault.Unavailable, "timed_out",
	"The server could not finish this in time. Nothing is wrong with the request. Please try again.")

// ProblemOf returns the problem document for an error. An error that
// is not a fault, or is an Internal one, reveals nothing.
func ProblemOf(r *http.Request, err error) Problem {
	var id string
	if x := exchangeOf(r.Context()); x != nil {
		id = x.id
	}
	f := fault.As(err)
	if f == nil && errors.Is(err, context.DeadlineExceeded) {
		f = errTimedOut
	}
	if f == nil || statuses[f.Kind] == 0 || f.Kind == fault.Internal {
		f = fault.New(fault.Internal, "internal_error", "Something went wrong on our side. If it happens again, "+
			"tell the operator of this service the request id "+id+".")
	}
	p := Problem{
		Status:     statuses[f.Kind],
		Detail:     f.Message,
		Code:       f.Code,
		Field:      f.Field,
		RequestID:  id,
		retryAfter: f.RetryAfter,
		limit:      exceeded(err),
	}
	if p.Code == "" {
		p.Code = f.Kind.String()
	}
	if s := narrower[p.Code]; s != 0 && f.Kind == fault.Invalid {
		p.Status = s
	}
	if oauthPath(r.URL.Path) {
		p.Error = oauthError(p)
		if strings.HasPrefix(r.URL.Path, "/oauth2/") {
			p.Description = ascii(p.Detail)
		}
	}
	p.Type = "urn:gatehouse:problem:" + p.Code
	words := strings.ReplaceAll(p.Code, "_", " ")
	p.Title = strings.ToUpper(words[:1]) + words[1:]
	if p.Detail == "" {
		p.Detail = p.Title + "."
	}
	return p
}

// oauthPath reports whether errors at a path are OAuth's: those of introspection
// (RFC 7662 section 2.3) and revocation (RFC 7009 section 2.2.1).
func oauthPath(path string) bool {
	return path == "/v1/token/introspect" || path == "/v1/token/revoke" || strings.HasPrefix(path, "/oauth2/")
}

// contentType is that of a problem. Client libraries of OAuth read an error only in plain JSON (RFC 6749 section 5.2).
func (p Problem) contentType() string {
	if p.Description != "" {
		return "application/json"
	}
	return "application/problem+json"
}

// oauthCodes are the codes that are OAuth's own.
var oauthCodes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_token",
	"insufficient_scope", "unsupported_response_type", "request_not_supported", "registration_not_supported", "invalid_target", "authorization_pending",
	"slow_down", "access_denied", "expired_token", "invalid_redirect_uri", "invalid_client_metadata",
}

// ascii is a text as error_description may have it: printable, without quotes and backslashes (RFC 6749 section 5.2).
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}

// oauthError is a problem in OAuth's words. RFC 6749 section 5.2 has none for what is
// not the client's fault; these are of section 4.1.2.1.
func oauthError(p Problem) string {
	switch {
	case slices.Contains(oauthCodes, p.Code):
		return p.Code
	case p.Status == http.StatusUnauthorized:
		return "invalid_client"
	case p.Status == http.StatusForbidden:
		return "unauthorized_client"
	case p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case p.Status >= http.StatusInternalServerError:
		return "server_error"
	}
	return "invalid_request"
}

// RetryAfter is how long to wait before retrying; zero if that is not known.
func (p Problem) RetryAfter() time.Duration { return p.retryAfter }

// SetHeaders sets the headers that must go with the status, whatever the form
// of the body: Retry-After and the state of a limit, WWW-Authenticate unless the handler has set one,
// and the closing of a connection on which the rest of a body is still to come.
func (p Problem) SetHeaders(h http.Header) {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		seconds := max(1, (p.retryAfter+time.Second-1)/time.Second)
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		if p.limit != nil {
			setRateLimit(h, *p.limit)
		}
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close")
	}
	if p.Status == http.StatusForbidden && (p.Code == "sign_in_again" || p.Code == "step_up_required") {
		// RFC 9470, with the status that does not have clients refresh: that changes no auth_time.
		acr := ""
		if p.Code == "step_up_required" {
			acr = `acr_values="2fa", `
		}
		if h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", `+acr+`max_age="900"`)
		}
	}
	// RFC 9110 section 15.5.2 requires a challenge with every 401, and RFC 6750
	// section 3 a parameter in it. Only a request that brought a token
	// gets an error (section 3.1).
	challenge := `Bearer realm="gatehouse"`
	switch {
	case p.Status == http.StatusUnauthorized && p.Code == "invalid_token",
		p.Status == http.StatusBadRequest && p.Code == "invalid_request" && p.Error == "": // those of OAuth's endpoints are about no bearer
		challenge += `, error="` + p.Code + `"`
	case p.Status != http.StatusUnauthorized:
		return
	}
	if h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", challenge)
	}
}

// WriteProblem responds to an error with its problem document. Headers that the handler
// had set for another body are removed; its cookies stay. It writes
// nothing if a response has begun already.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	p, h, ok := takeBack(w, r, err)
	if !ok {
		return
	}
	body, merr := json.Marshal(p)
	if merr != nil {
		panic("web: " + merr.Error()) // a struct of strings and numbers always marshals
	}
	p.SetHeaders(h)
	writeBody(w, p.Status, p.contentType(), body)
}

// WriteProblemWith is WriteProblem with members that only this problem has (RFC 9457 section 3.2).
func WriteProblemWith(w http.ResponseWriter, r *http.Request, err error, members map[string]any) error {
	p, h, ok := takeBack(w, r, err)
	if !ok {
		return err
	}
	plain, merr := json.Marshal(p)
	all := map[string]any{}
	if merr == nil {
		merr = json.Unmarshal(plain, &all)
	}
	maps.Copy(all, members)
	body, berr := json.Marshal(all)
	if merr != nil || berr != nil {
		panic("web: a problem can't be written") // strings and numbers always can
	}
	p.SetHeaders(h)
	writeBody(w, p.Status, "application/problem+json", body)
	return err
}

// takeBack notes the error, and prepares the headers for the response that reports
// it. It is not ok if a response has begun already.
func takeBack(w http.ResponseWriter, r *http.Request, err error) (p Problem, h http.Header, ok bool) {
	if x := exchangeOf(r.Context()); x != nil {
		x.err = err
		if x.status != 0 {
			return p, nil, false
		}
	}
	h = w.Header()
	for _, name := range []string{"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Range", "Etag", "Last-Modified"} {
		delete(h, name)
	}
	setBaseline(h)
	return ProblemOf(r, err), h, true
}

// refuse responds to an error: with a page where a browser asks for one, since a person
// reads it, and with a problem document everywhere else.
func (s *Stack) refuse(x *exchange, r *http.Request, err error) {
	if s.Refused == nil || !forPeople(r) {
		WriteProblem(x, r, err)
		return
	}
	p, h, ok := takeBack(x, r, err)
	if !ok {
		return
	}
	p.SetHeaders(h)
	if failed := s.Refused(x, r, p); failed != nil {
		WriteProblem(x, r, errors.Join(failed, err))
	}
}

// forPeople reports whether a browser asks for a page. What belongs to the API is
// answered to programs, whatever they accept.
func forPeople(r *http.Request) bool {
	return !forPrograms(r.URL.Path) && strings.Contains(r.Header.Get("Accept"), "text/html")
}
