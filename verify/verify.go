// Package verify checks Gatehouse's access tokens inside an application, in
// its own memory: checking a token makes no request.
//
//	v, err := verify.New("https://auth.example.org")
//	...
//	http.Handle("/", v.Middleware(handler)) // the handler calls verify.TokenFrom(r.Context())
//
// The algorithm, the type, the issuer and the audience are pinned, and nothing
// in a token says how to check it. The keys are found through the issuer's metadata
// (RFC 8414), are cached, and stay valid while Gatehouse is down. With the
// credentials of a registered application ([WithClient]) a Verifier also follows
// the feed of revocations, so that a token whose session has ended is refused within
// a second.
//
// It depends only on the standard library.
//
// # How it works
//
// These are the server's own rules, implemented again on the standard library alone,
// since others import it: keys by RFC 8414, cached while Gatehouse is down; an unknown
// key causes one request a second at most, and the token waits for it. It follows
// /v1/revocations in requests of 250 ms. Its freshness goes by when the last successful
// request was sent, not by when its response came (that may have lain in a socket while
// the process was suspended), and by how much later than the request, or earlier, the
// replica itself was last up to date (fresh_after_ms): so no two clocks need to agree.
// Beyond 900 ms a token waits for the next response, then the result is 503. The time is
// taken before the lookup in memory and its age after it, since a process may be
// suspended between any two lines; replicas do the same (freshness.go).
package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	// ErrInvalid is for a token that is not to be taken: 401. The error that
	// [Verifier.Verify] returns says why, which is for the log alone.
	ErrInvalid = errors.New("the access token is not valid")
	// ErrExpired is an ErrInvalid for a token that was good once.
	ErrExpired = fmt.Errorf("%w: it has expired", ErrInvalid)
	// ErrRevoked is an ErrInvalid for a token that was taken back.
	ErrRevoked = fmt.Errorf("%w: it has been revoked", ErrInvalid)
	// ErrUnavailable is for when it can't be determined whether a token is
	// good: 503. It is no reason to sign anybody out.
	ErrUnavailable = errors.New("it can't be determined whether the access token is good")
)

// Token is what an access token says.
type Token struct {
	Subject  string    // the account's id
	Session  string    // the session's
	Roles    []string  // of the account; none where the application may not know them
	ID       string    // the token's own
	AMR      []string  // how the account signed in (RFC 8176)
	ACR      string    // how strongly: 1fa, 2fa or phr
	AuthTime time.Time // when it did
	IssuedAt time.Time
	Expires  time.Time
	KeyID    string // of the key that signed it
	// Client is the application that the token was issued to, and Scope what it may do with it, words between spaces; a
	// session's own tokens have no scope.
	Client, Scope string
}

// HasRole reports whether the account has a role.
func (t *Token) HasRole(role string) bool { return slices.Contains(t.Roles, role) }

// Verifier checks access tokens. It is safe for use by many goroutines.
type Verifier struct {
	issuer   string
	audience string
	leeway   time.Duration
	places   []string // where Gatehouse is, if not at the issuer
	client   *http.Client
	log      *slog.Logger
	now      func() time.Time

	keys   keys
	follow *follower // nil without credentials
	close  func()
}

// Option changes what [New] makes.
type Option func(*options)

type options struct {
	*Verifier
	id, secret string
	stale      time.Duration
}

// WithAudience sets what a token's audience must be (JWT_AUDIENCE): without it, the
// issuer.
func WithAudience(audience string) Option { return func(o *options) { o.audience = audience } }

// WithClient has the Verifier follow what is revoked, as the application that
// `gatehouse client create` has registered.
func WithClient(id, secret string) Option {
	return func(o *options) { o.id, o.secret = id, secret }
}

// WithStaleness sets for how long tokens are taken while Gatehouse can't be asked
// what has been revoked. Without it that is not at all: what is known is never older
// than a second, a token waits for news for up to a second, and then the answer
// is [ErrUnavailable]. With it the application survives Gatehouse's being down for
// so long, at the price that a token that is revoked meanwhile is taken.
func WithStaleness(limit time.Duration) Option { return func(o *options) { o.stale = limit } }

// WithLeeway has tokens live for longer, for clocks that differ: without it, not
// at all.
func WithLeeway(d time.Duration) Option { return func(o *options) { o.leeway = d } }

// WithAddress says where Gatehouse is if the application reaches it elsewhere than
// at the issuer's URL; of several, the next is asked when one does not answer.
func WithAddress(urls ...string) Option { return func(o *options) { o.places = urls } }

// WithHTTPClient sets what Gatehouse is asked with.
func WithHTTPClient(c *http.Client) Option { return func(o *options) { o.client = c } }

// WithLogger sets where problems are logged: without it, [slog.Default].
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

const (
	askTimeout  = 5 * time.Second
	longestSkew = time.Minute // by which a clock may be behind the one that issued
)

// New returns a Verifier of the tokens of an issuer (JWT_ISSUER, which is
// PUBLIC_URL unless it was set), in the very letters that the tokens have. It makes
// no call: the first token does, or, with [WithClient], a goroutine that
// [Verifier.Close] ends.
func New(issuer string, option ...Option) (*Verifier, error) {
	v := &Verifier{
		issuer: issuer, audience: issuer, log: slog.Default(), now: time.Now, close: func() {},
		client: &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: askTimeout},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	o := options{Verifier: v}
	for _, f := range option {
		f(&o)
	}
	for _, place := range append([]string{issuer}, v.places...) {
		if len(v.places) > 0 && place == issuer {
			continue // a name, which is not called
		}
		if err := safe(place); err != nil {
			return nil, err
		}
	}
	if issuer == "" || v.audience == "" {
		return nil, errors.New("verify: the issuer and the audience must not be empty")
	}
	if (o.id == "") != (o.secret == "") {
		return nil, errors.New("verify: a client has an id and a secret")
	}
	if o.stale < 0 || v.leeway < 0 {
		return nil, fmt.Errorf("verify: the staleness is %v, the leeway %v: neither can be negative", o.stale, v.leeway)
	}
	v.keys.verifier = v
	if o.id != "" {
		v.follow = newFollower(v, o.id, o.secret, o.stale)
		ctx, cancel := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { v.follow.run(ctx) })
		v.close = func() { cancel(); done.Wait() }
	}
	return v, nil
}

// Close ends what [WithClient] began. The Verifier must not be used after it.
func (v *Verifier) Close() error {
	v.close()
	return nil
}

// safe refuses an address at which anybody on the way could hand out keys.
func safe(place string) error {
	u, err := url.Parse(place)
	switch {
	case err != nil:
		return fmt.Errorf("verify: %w", err)
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("verify: %q is no URL like https://auth.example.org", place)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http":
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
	}
	return fmt.Errorf("verify: %q is neither https nor on this machine", place)
}

// Verify returns what a token says if it is one of the issuer's, for this
// audience, lives, and has not been revoked as far as can be known. Otherwise
// the error is an [ErrInvalid], or an [ErrUnavailable].
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	c, err := v.claims(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := v.timely(c); err != nil {
		return nil, err
	}
	if v.follow != nil {
		if err := v.follow.check(ctx, c); err != nil {
			return nil, err
		}
	}
	return c.token(), nil
}

// claims returns what a token says whose signature is good: from memory, if it
// was seen before with the keys that there are now.
func (v *Verifier) claims(ctx context.Context, token string) (*claims, error) {
	if len(token) > maxSize {
		return nil, invalid("it is over 8 KiB")
	}
	set := v.keys.now()
	if set != nil {
		if c := set.seen.get(token); c != nil {
			return c, nil
		}
	}
	signed, err := parse(token)
	if err != nil {
		return nil, err
	}
	if set == nil || set.named[signed.kid] == nil {
		if set, err = v.keys.with(ctx, signed.kid); err != nil {
			return nil, err
		}
	}
	c, err := signed.open(set.named[signed.kid])
	if err != nil {
		return nil, err
	}
	if c.issuer != v.issuer || c.audience != v.audience {
		return nil, invalid("it is for another issuer or audience")
	}
	set.seen.put(token, c)
	return c, nil
}

func (v *Verifier) timely(c *claims) error {
	now := v.now()
	switch {
	case now.Add(-v.leeway).Unix() >= c.expires:
		return ErrExpired
	case c.notBefore > now.Add(v.leeway).Unix():
		return invalid("it is not valid yet")
	case c.issuedAt > now.Add(v.leeway+longestSkew).Unix():
		return invalid("it was issued in the future")
	}
	return nil
}

func invalid(why string) error { return fmt.Errorf("%w: %s", ErrInvalid, why) }

// at returns the URL of a path of Gatehouse's, at the nth of the places where it
// is.
func (v *Verifier) at(n int, path string) string {
	place := v.issuer
	if len(v.places) > 0 {
		place = v.places[n%len(v.places)]
	}
	return strings.TrimSuffix(place, "/") + path
}
