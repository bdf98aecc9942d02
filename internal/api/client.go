package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/client"
	"github.com/gatehouse-auth/gatehouse/internal/fault"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// registered lets only registered applications through. Cookies and bearers are
// nobody's here.
func (a *API) registered(next func(w http.ResponseWriter, r *http.Request, c client.Client) error) web.Handler {
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
		return next(w, r, c)
	}
}

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

// maxWait is how long a request may wait for news.
const maxWait = 30

// revocations is the feed. There may be millions, so they are written one by one.
func (a *API) revocations(w http.ResponseWriter, r *http.Request, _ client.Client) error {
	q, err := web.Query(r, "cursor", "wait")
	if err != nil {
		return err
	}
	wait := 0
	if s := q.Get("wait"); s != "" {
		if wait, err = strconv.Atoi(s); err != nil || wait < 0 || wait > maxWait {
			return fault.Field("wait", "invalid_wait", "The wait is a number of seconds from 0 to %d.", maxWait)
		}
	}
	ctx, cancel := web.Patient(w, r, time.Duration(wait)*time.Second)
	defer cancel()
	told, err := a.Follow.Do(ctx, q.Get("cursor"), time.Duration(wait)*time.Second)
	if err != nil {
		return err
	}
	head, err := json.Marshal(map[string]any{"cursor": told.Cursor, "reset": told.Everything, "fresh_at": stamp(told.FreshAt)})
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
