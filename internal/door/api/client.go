package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Applications finds out which registered application makes a request.
type Applications struct {
	Clients *flow.AuthenticateClient
}

// registered lets only registered applications through. Cookies and bearers are
// nobody's here.
func (a *Applications) registered(next func(w http.ResponseWriter, r *http.Request, c client.Client) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, secret, ok := web.Basic(r)
		var c client.Client
		err := error(flow.ErrInvalidClient)
		if ok {
			c, err = a.Clients.Do(r.Context(), id, secret, web.Origin(r))
		}
		if err != nil {
			if fault.KindOf(err) == fault.Unauthenticated {
				web.ChallengeBasic(w.Header())
			}
			return err
		}
		if c.Type != client.Service {
			return errNoService
		}
		return next(w, r, c)
	}
}

// errNoService is for an application that people sign in to: it may know nothing but its own tokens.
var errNoService = fault.New(fault.Denied, "unauthorized_client",
	"This is for services. An application that people sign in to asks about its own tokens at /oauth2/introspect and /oauth2/revoke.")

// revocationAnswer is one thing that ends access tokens before their time.
type revocationAnswer struct {
	Kind     token.RevocationKind `json:"kind"`
	ID       string               `json:"id,omitempty"`
	Account  string               `json:"account,omitempty"`
	Roles    *[]string            `json:"roles,omitempty"`
	RolesN   int64                `json:"roles_n,omitempty"`
	Before   int64                `json:"before,omitempty"`
	Slice    *int                 `json:"slice,omitempty"`
	IssuedAt int64                `json:"issued_at,omitempty"`
	Until    string               `json:"until"`
}

func answerRevocation(r token.Revocation) revocationAnswer {
	out := revocationAnswer{Kind: r.Kind, Until: stamp(r.Until)}
	switch r.Kind {
	case token.RevokedSession, token.RevokedKey:
		out.ID = r.Subject
	case token.RevokedRoles:
		roles := append([]string{}, r.Roles...)
		out.Account, out.Roles, out.RolesN = r.Subject, &roles, r.N
	case token.RevokedBefore:
		out.Before = r.N
	case token.RevokedIssued:
		slice, _ := strconv.Atoi(r.Subject)
		out.Slice, out.IssuedAt = &slice, r.N
	}
	return out
}

// maxWait is how many seconds a request may wait for news.
const maxWait = 30

// mostCursor is the longest cursor that is read, in bytes: several times what one has. One that is not
// known begins anew.
const mostCursor = 128

// waits are numbers of seconds, to the millisecond.
var waits = regexp.MustCompile(`^[0-9]{1,2}(\.[0-9]{1,3})?$`)

// parseWait reads how long a request will wait.
func parseWait(s string) (time.Duration, error) {
	seconds := 0.0
	if waits.MatchString(s) {
		seconds, _ = strconv.ParseFloat(s, 64)
	} else if s != "" {
		seconds = -1
	}
	if seconds < 0 || seconds > maxWait {
		return 0, fault.Field("wait", "invalid_wait", "The wait is a number of seconds from 0 to %d, with three decimals at most.", maxWait)
	}
	return time.Duration(seconds*1000) * time.Millisecond, nil
}

// revocations is the feed. There may be millions, so they are written one by one.
func (a *Tokens) revocations(w http.ResponseWriter, r *http.Request, _ client.Client) error {
	q, err := web.Query(r, "cursor", "wait")
	if err != nil {
		return err
	}
	wait, err := parseWait(q.Get("wait"))
	if err != nil {
		return err
	}
	if len(q.Get("cursor")) > mostCursor {
		return fault.Field("cursor", "invalid_cursor", "The cursor must be that of an earlier answer.")
	}
	ctx, cancel := web.Patient(w, r, wait)
	defer cancel()
	told, err := a.Follow.Do(ctx, q.Get("cursor"), wait)
	if err != nil {
		return err
	}
	head, err := json.Marshal(map[string]any{
		"cursor": told.Cursor, "reset": told.Everything, "fresh_at": stamp(told.FreshAt),
		"fresh_after_ms": told.FreshAfter.Milliseconds() - 1, // rounded down
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 32<<10)
	_, _ = out.Write(head[:len(head)-1])
	_, _ = out.WriteString(`,"revocations":[`)
	first := true
	for one := range told.Revocations {
		item, err := json.Marshal(answerRevocation(one))
		if err != nil {
			return err
		}
		if !first {
			_ = out.WriteByte(',')
		}
		first = false
		if _, err := out.Write(item); err != nil {
			return nil // the client has gone
		}
	}
	_, _ = out.WriteString("]}\n")
	_ = out.Flush()
	return nil
}
