package openid

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Guard takes the place of the client for guarded applications, under their own hosts: it leads a browser here to sign in, and takes
// the code that it comes back with. What it began stands sealed in a cookie of that host, so a browser that was sent there with somebody
// else's code begins no session of theirs.
type Guard struct {
	Exchange *Exchange
	Clients  *flow.AuthenticateClient
	Random   secret.Random
	// Key seals what was begun.
	Key func() []byte
	// Issuer is PUBLIC_URL.
	Issuer string
}

// GuardLife is how long a browser may take from one host to the other and back: people register and read mail meanwhile.
const GuardLife = requestLife

// guardContext binds what is sealed to its use.
const guardContext = "guarded application"

// begun is what was begun, as the cookie has it.
type begun struct {
	Client string `json:"c"`
	// Enter is where the answer goes, and To where the person wants to: a path of that host.
	Enter    string `json:"e"`
	To       string `json:"t"`
	State    string `json:"s"`
	Verifier string `json:"v"`
	At       int64  `json:"a"` // in seconds since 1970
}

// Begun is how a browser is led to sign in.
type Begun struct {
	// State tells several at once apart, and Cookie is what the browser keeps of this one.
	State, Cookie string
	// Location is where it goes.
	Location string
}

var (
	errNotGuarded = fault.New(fault.NotFound, "no_guarded_application",
		"No guarded application is registered at this host. Its operator registers it with gatehouse client create --type guarded.")
	errGuardOver = fault.New(fault.Invalid, "sign_in_over",
		"This sign-in was used before, took too long, or was begun in another browser; or this browser keeps no cookies. Go to the application again.")
	errGuardRefused = fault.New(fault.Denied, "access_denied", "You are not signed in to this application. Go to it again to try once more.")
)

// Begin begins a sign-in to the guarded application of an origin. to is a path of that host; what is none is its root.
func (f *Guard) Begin(ctx context.Context, origin, to string, asked flow.Asked) (b Begun, err error) {
	c, ok, err := f.Clients.Guarded(ctx, origin)
	if err != nil {
		return b, err
	}
	enter, is := c.EnterAt(origin)
	if !ok || !is {
		return b, errNotGuarded
	}
	return f.begin(c.ID, enter, to, asked, "")
}

// BeginConsole begins a sign-in to the console at its own origin. again asks for a new one of whoever is signed in.
func (f *Guard) BeginConsole(origin, to string, asked flow.Asked, again bool) (Begun, error) {
	prompt := ""
	if again {
		prompt = PromptLogin
	}
	return f.begin(client.ConsoleID, origin+client.EnterPath, to, asked, prompt)
}

func (f *Guard) begin(id, enter, to string, asked flow.Asked, prompt string) (b Begun, err error) {
	if to == "" || to[0] != '/' || len(to) > 1 && (to[1] == '/' || to[1] == '\\') {
		to = "/"
	}
	what := begun{Client: id, Enter: enter, To: to, State: f.Random.Text(16), Verifier: f.Random.Text(32), At: f.Exchange.Now().Unix()}
	q := url.Values{
		"client_id": {id}, "redirect_uri": {enter}, "response_type": {"code"}, "scope": {grant.OpenID}, "state": {what.State},
		"code_challenge": {grant.Challenge(what.Verifier)}, "code_challenge_method": {"S256"},
	}
	if asked.ACR != "" {
		q.Set("acr_values", asked.ACR)
	}
	if asked.MaxAge > 0 {
		q.Set("max_age", strconv.FormatInt(int64(asked.MaxAge/time.Second), 10))
	}
	if prompt != "" {
		q.Set("prompt", prompt)
	}
	return Begun{
		State: what.State, Cookie: secret.SealText(f.Random, f.Key(), what, guardContext),
		Location: f.Issuer + "/oauth2/authorize?" + q.Encode(),
	}, nil
}

// Answer is what a browser comes back with.
type Answer struct{ Code, State, Issuer, Error string }

// Entered is what it gets for that.
type Entered struct {
	// Cookie names the grant, and lasts for Life.
	Cookie string
	Life   time.Duration
	// To is where the person wanted to go: an address of the application's host.
	To string
}

// Enter takes an answer at the origin of a guarded application. cookie is what the browser kept of the sign-in with that state; empty
// for nothing.
func (f *Guard) Enter(ctx context.Context, origin string, a Answer, cookie string, from event.Origin) (in Entered, err error) {
	ctx, run := f.Exchange.Count.Begin(ctx, "enter")
	in, err = f.enter(ctx, origin, a, cookie, false, from)
	return in, run.End(err)
}

// EnterConsole is [Guard.Enter] for the console at its own origin.
func (f *Guard) EnterConsole(ctx context.Context, origin string, a Answer, cookie string, from event.Origin) (in Entered, err error) {
	ctx, run := f.Exchange.Count.Begin(ctx, "enter")
	in, err = f.enter(ctx, origin, a, cookie, true, from)
	return in, run.End(err)
}

func (f *Guard) enter(ctx context.Context, origin string, a Answer, cookie string, console bool, from event.Origin) (in Entered, err error) {
	what, err := f.opened(cookie)
	if err == nil && (what.Client == client.ConsoleID) != console { // of another host's
		err = errGuardOver
	}
	if err != nil {
		return in, err
	}
	c, ok, err := f.Clients.Named(ctx, what.Client)
	switch {
	case err != nil:
		return in, err
	case a.State != what.State || a.Issuer != f.Issuer: // mix-up (RFC 9700 section 4.4), or another's answer
		return in, errGuardOver
	case !ok || c.Type != client.Guarded || !c.DisabledAt.IsZero():
		return in, errNotGuarded
	case a.Error != "":
		return in, errGuardRefused
	}
	if enter, is := c.EnterAt(origin); !is || enter != what.Enter {
		return in, errNotGuarded
	}
	now := f.Exchange.Now()
	code, err := f.Exchange.parse(a.Code, from)
	var g grant.Grant
	if err == nil {
		e := grant.Exchanged{Code: code, Client: c.ID, Redirect: what.Enter, Verifier: what.Verifier, Lasting: true}
		g, err = f.Exchange.begin(ctx, c, e, now, from, func(grant.Grant) error { return nil })
	}
	if errors.Is(err, errGrant) || fault.KindOf(err) == fault.Invalid {
		err = errGuardOver.Because(err)
	}
	if err != nil {
		return in, err
	}
	return Entered{Cookie: g.Refresh, Life: g.Until.Sub(now), To: what.Enter[:len(what.Enter)-len(client.EnterPath)] + what.To}, nil
}

// opened reads what the browser kept.
func (f *Guard) opened(cookie string) (what begun, err error) {
	if err := secret.OpenText(f.Key(), cookie, guardContext, &what); err != nil {
		return what, errGuardOver.Because(err)
	}
	if age := f.Exchange.Now().Sub(time.Unix(what.At, 0)); age > GuardLife || age < -time.Minute {
		return what, errGuardOver
	}
	return what, nil
}
