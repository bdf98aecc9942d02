package openid

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Authorize takes what an application asks for, leads the person through what that needs, and gives the application a code.
type Authorize struct {
	flow.Core
	Clients *flow.AuthenticateClient
	Grants  *grant.Store
	Tokens  *token.Issuer
	Revoked *token.Revocations
	Random  secret.Random
	// UserInfo is the userinfo endpoint: the audience of tokens for no resource.
	UserInfo string
	// Key returns the key under which requests travel.
	Key func() []byte
	// Ready makes the key for ID tokens of an algorithm, if there is none yet.
	Ready func(ctx context.Context, algorithm string) error
}

// The faults that no application is told, since it is not known which one asks, or where the answer may go: a page says them.
var (
	errUnknownClient = fault.New(fault.Invalid, "unknown_client",
		"The application that led here is not registered, or has been disabled. Its operator finds it with: gatehouse client list")
	errRedirect = fault.New(fault.Invalid, "redirect_uri_not_registered",
		"The application that led here asks for the answer at an address that is not registered for it, to the letter. "+
			"Its operator sees the registered ones with: gatehouse client show")
	errLoop = fault.New(fault.Conflict, "application_loop",
		"You are signed in, but the application sent you back here each time. Wait a minute, and tell its operator if it happens again.")
)

// Begin reads what an application asks for, and returns it, sealed. The error is a [*Refused] that goes to the application, or a fault for
// a page.
func (f *Authorize) Begin(ctx context.Context, in map[string]string) (sealed string, r Request, err error) {
	ctx, run := f.Count.Begin(ctx, "authorize")
	r, err = f.begin(ctx, in)
	if err == nil {
		err = f.ready(ctx, r.Client)
	}
	if err == nil {
		sealed, err = seal(f.Random, f.Key(), r)
	}
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		run.As(refused.Code)
	case err != nil:
		_ = run.End(err)
	default:
		run.As("asked")
	}
	return sealed, r, err
}

// ready has an application's ID tokens be signed with what it asks for.
func (f *Authorize) ready(ctx context.Context, id string) error {
	c, err := f.client(ctx, id)
	if err != nil {
		return err
	}
	return f.Ready(ctx, c.Settings.IDAlgorithm())
}

func (f *Authorize) begin(ctx context.Context, in map[string]string) (r Request, err error) {
	c, err := f.client(ctx, in["client_id"])
	if err != nil {
		return r, err
	}
	if uri := in["request_uri"]; grant.IsPushed(uri) {
		return f.pushed(ctx, c, uri)
	}
	if r, err = f.read(ctx, in, c); err == nil && c.Settings.RequirePAR {
		err = &Refused{r, "invalid_request", "this application must push its requests first, to the pushed_authorization_request_endpoint"}
	}
	return r, err
}

// read reads what an application asks for.
func (f *Authorize) read(ctx context.Context, in map[string]string, c client.Client) (r Request, err error) {
	r = Request{Client: c.ID, Redirect: in["redirect_uri"], At: f.Now().Unix()}
	if !c.Redirects(r.Redirect) {
		return r, errRedirect
	}
	t, err := f.targets(ctx)
	if err != nil {
		return r, err
	}
	r, refused := parse(in, r, c, t)
	if refused != nil {
		return r, refused
	}
	if hint := in["id_token_hint"]; hint != "" {
		r.Hint = nobodys
		if told, err := f.Tokens.Hint(hint); err == nil && told.Audience == c.ID {
			r.Hint = told.Subject
		}
	}
	return r, nil
}

// targets are what tokens can be for now.
func (f *Authorize) targets(ctx context.Context) (targets, error) {
	all, err := f.Clients.Resources(ctx)
	return targets{f.UserInfo, all}, err
}

// client returns the application, if people may sign in to it.
func (f *Authorize) client(ctx context.Context, id string) (client.Client, error) {
	c, ok, err := f.Clients.Named(ctx, id)
	if err == nil && (!ok || !c.Type.SignsIn() || !c.DisabledAt.IsZero()) {
		err = errUnknownClient
	}
	return c, err
}

// RegisteredItself returns the application of an id if it registered itself.
func (f *Authorize) RegisteredItself(ctx context.Context, id string) (c client.Client, ok bool) {
	c, ok, err := f.Clients.Named(ctx, id)
	return c, ok && err == nil && c.Self
}

// Open returns a sealed request, with its application as it is now.
func (f *Authorize) Open(ctx context.Context, sealed string) (r Request, c client.Client, err error) {
	if r, err = unseal(f.Key(), sealed, f.Now()); err != nil {
		return r, c, err
	}
	if c, err = f.client(ctx, r.Client); err == nil && !c.Redirects(r.Redirect) {
		err = errRedirect
	}
	if err == nil && (c.Settings.RequirePAR && r.Pushed == nil || !c.Takes(r.Mode)) { // it was changed meanwhile
		err = errRequestOver
	}
	return r, c, err
}

// SignedIn notes in a sealed request that a session was begun for it: no clock tells that, since those of replicas differ. What is no
// request comes back as it is.
func (f *Authorize) SignedIn(sealed, sessionID string) string {
	r, err := unseal(f.Key(), sealed, f.Now())
	if err != nil {
		return sealed
	}
	r.Session = sessionID
	again, err := seal(f.Random, f.Key(), r)
	if err != nil {
		return sealed
	}
	return again
}

// Step is what happens next with a request.
type Step struct {
	Request Request
	Client  client.Client
	// Code is for the application, if the request needs nothing more.
	Code string
	Need Need
	// ACR is how strong a sign-in is needed, where it is.
	ACR string
	// Consents says that the person has not agreed yet to all that is asked for, and New are the scopes that they have not been
	// asked about before: whatever page they are shown tells them, since one click on it is all.
	Consents bool
	New      []string
	// Again says that they have agreed to something before: what is new is marked.
	Again bool
	// Resources are what it is to do where.
	Resources []AskedResource

	targets targets
	refused *Refused
}

// Answer gives the application a code for whoever has the session, if the request needs nothing more of them; no session is the empty
// text. agreed is what the person has just agreed to. The error is a [*Refused] for the application, or a fault for a page.
func (f *Authorize) Answer(ctx context.Context, sealed, sessionID string, agreed *Agreed, from event.Origin) (s Step, err error) {
	ctx, run := f.Count.Begin(ctx, "authorize")
	s, err = f.answer(ctx, sealed, sessionID, agreed, from)
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		run.As(refused.Code)
	case err != nil:
		_ = run.End(err)
	case s.Need != NeedNothing:
		run.As("asked")
	default:
		_ = run.End(nil)
	}
	return s, err
}

// Agreed is what a person has said on the page that asks.
type Agreed struct {
	// No is that the application gets nothing.
	No bool
}

func (f *Authorize) answer(ctx context.Context, sealed, sessionID string, agreed *Agreed, from event.Origin) (s Step, err error) {
	if s.Request, s.Client, err = f.Open(ctx, sealed); err != nil {
		return s, err
	}
	if s.targets, err = f.targets(ctx); err != nil {
		return s, err
	}
	for _, uri := range s.Request.Resource {
		if !s.targets.allows(s.Client, uri) { // it was taken away meanwhile
			return s, &Refused{s.Request, "invalid_target", "a resource is not registered, or this application may not ask for it"}
		}
	}
	if sessionID != "" {
		err = f.DB.Write(ctx, func(tx *db.Tx) error {
			s.Need, s.Code, s.New, s.refused = NeedNothing, "", nil, nil
			return f.give(tx, &s, sessionID, agreed, from)
		})
		if errors.Is(err, session.ErrNotFound) {
			sessionID, err = "", nil
		}
		if errors.Is(err, grant.ErrLoop) {
			err = errLoop
		}
		if errors.Is(err, grant.ErrNotPushed) {
			err = errRequestOver
		}
	}
	if err != nil {
		return s, err
	}
	if sessionID == "" {
		s.Need = NeedSignIn
		if s.Request.Asks(PromptCreate) && s.Request.Session == "" {
			s.Need = NeedAccount
		}
	}
	if s.refused != nil {
		return s, s.refused
	}
	s.ACR = wanted(s.Request, s.Client)
	if s.Need != NeedNothing && s.Request.silent() {
		code, why := silently(s.Need)
		return s, &Refused{s.Request, code, why}
	}
	return s, nil
}

// give holds the session, judges what the request needs of it, and gives the code.
func (f *Authorize) give(tx *db.Tx, s *Step, sessionID string, said *Agreed, from event.Origin) error {
	now := f.Now()
	held, err := session.Hold(tx, sessionID, now)
	if err != nil {
		return err
	}
	if f.Revoked.Cut(held.AuthAt) {
		return session.ErrNotFound
	}
	if said != nil && said.No {
		f.deny(tx, s, held.Account, sessionID, from)
		return nil
	}
	is, err := f.standing(tx, sessionID, held, s)
	if err != nil {
		return err
	}
	request := s.Request
	is.chosen = said != nil
	s.Resources, s.Again = s.targets.asks(request, is.consented), is.consented.Given
	is.beyond = beyond(s.Resources)
	s.Need = judge(request, s.Client, is)
	s.Consents, s.New = needsConsent(request, s.Client, is), grant.Beyond(ofPerson(request), is.consented.Scope)
	if s.Need == NeedConsent && said != nil {
		s.Need = NeedNothing
		if err := grant.Consent(tx, held.Account, s.Client.ID, request.Scope, agreed(s.Resources), now); err != nil {
			return err
		}
	}
	if s.Need != NeedNothing {
		return nil
	}
	return f.code(tx, s, held, sessionID, now, from)
}

func (f *Authorize) standing(tx *db.Tx, id string, held session.Held, s *Step) (is standing, err error) {
	is = standing{id: id, account: held.Account, sid: held.SID, roles: held.Roles, amr: held.AMR, authAt: held.AuthAt}
	if !s.Client.Settings.FirstParty {
		if is.consented, err = grant.HoldConsent(tx, held.Account, s.Client.ID); err != nil {
			return is, err
		}
	}
	if len(s.Request.ACR) > 0 {
		who, err := account.CredentialsOf(tx, held.Account)
		if err != nil {
			return is, err
		}
		is.factors = int64(who.Factors)
	}
	return is, nil
}

func (f *Authorize) code(tx *db.Tx, s *Step, held session.Held, sessionID string, now time.Time, from event.Origin) error {
	r := s.Request
	if r.Pushed != nil {
		if err := grant.Spend(tx, r.Pushed, r.Client, now); err != nil {
			return err
		}
	}
	code, ended, err := f.Grants.Give(tx, grant.Asked{
		Client: r.Client, Redirect: r.Redirect, Scope: r.scope(), Resource: strings.Join(r.Resource, " "), Challenge: r.Challenge, Nonce: r.Nonce,
		Offline: grant.Has(r.scope(), grant.Offline),
	}, grant.Holder{Account: held.Account, SID: held.SID, Roles: held.Roles, AMR: held.AMR, AuthAt: held.AuthAt, MaxAt: held.MaxAt, Until: held.Until},
		now)
	if err := flow.EndGrants(tx, f.Revoked, ended, err); err != nil {
		return err
	}
	s.Code = code
	f.Events.Append(tx, event.Event{
		Kind: event.AuthorizationGranted, Outcome: event.Success, Account: held.Account, Session: sessionID, Origin: from,
		Detail: event.Detail{Client: r.Client, AMR: held.AMR, Resource: strings.Join(r.Resource, " ")},
	})
	return nil
}

// deny records that the application gets nothing. The session stays.
func (f *Authorize) deny(tx *db.Tx, s *Step, account, sessionID string, from event.Origin) {
	s.refused = &Refused{s.Request, "access_denied", "the person said no"}
	f.Events.Append(tx, event.Event{
		Kind: event.AuthorizationDenied, Outcome: event.Failure, Account: account, Session: sessionID, Origin: from,
		Detail: event.Detail{Client: s.Request.Client, Reason: s.refused.Code},
	})
}
