// Package token is access tokens: short-lived JWTs of type at+jwt (RFC 9068)
// that an application can verify with nothing but the published keys.
//
// # How it works
//
// Type at+jwt; one key, one algorithm. Type and key are pinned; a header with
// anything else in it is refused. The next key is always published, so that a
// rotation, or the end of a leaked key, is a step to one that everyone knows
// (keyring/rotate.go); a token with a key unknown here waits for one poll before it is
// refused (flow/authenticate.go). A token seen before costs a map lookup by its
// hash. The time of its last use is remembered, and written at most once a minute
// (session/use.go).
//
// What revokes an access token is a row, written with the change; every replica
// holds the live ones in memory and reads on every 250 ms, from the last
// transaction before which all had ended (db.Horizon), so that one that commits late
// is not missed. A check makes no query while the last successful poll is under 900 ms
// old; then it asks the database by key; when that is unavailable it says 503, never 401.
// Rows name sessions, keys, and the roles an account has now, counted by account.roles_n;
// no two clocks need to agree. The one cut-off, for "everything", goes by the time of the
// sign-in (auth_time), which no refresh changes. A client that learns that a session was
// ended (by a second logout, a refused refresh) finds its tokens dead, even if the replica
// that ended it has yet to announce it (Ended). Beyond two million, slices of sessions
// collapse into cut-offs by iat. There is no LISTEN: four polls a second keep the promise
// of one second, and work through pgbouncer.
//
// Applications that verify tokens follow /v1/revocations, a long poll served from
// memory. A cursor names a row in one replica's list and, for all others, the mark
// of its polls: rows from there on are read, some twice, none never. A replica that
// is behind waits for one poll; a cursor that can't be continued gets everything, written
// out slice by slice. Only polls fill the list, so the order is the database's.
package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Type is the typ header of an access token. Nothing else that Gatehouse signs
// has it, so that no other kind of token passes for one.
const Type = "at+jwt"

// maxSize is the longest token that is looked at, in bytes. Ours, with all the
// roles an account may have, are under 4 KiB.
const maxSize = 8 << 10

// ErrExpired is the cause of an ErrInvalid for a token that was good once.
var ErrExpired = errors.New("it has expired")

// ErrUnknownKey is the cause of an ErrInvalid for a token of a key that this
// issuer does not have. It may be too new for this replica to know of.
var ErrUnknownKey = errors.New("its key is not known here")

// Config is what the tokens say and how long they live.
type Config struct {
	Issuer   string
	Audience string
	// ClientID names the application that people sign in with.
	ClientID string
	Life     time.Duration
}

// Claims is what an access token says (RFC 9068 section 2.2).
type Claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"` // the account's id
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"` // seconds since 1970, as are the other times
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Session  string `json:"sid"`
	// Roles is nil, and absent, in the token of an application that may not know them: that are none, and no change of them.
	Roles    []string `json:"roles,omitzero"`
	AuthTime int64    `json:"auth_time"`
	AMR      []string `json:"amr"`
	// ACR is how strong what AMR lists is; tokens of versions before it have none.
	ACR string `json:"acr,omitempty"`
	// ClientID is required by RFC 9068; tokens of versions before it have none.
	ClientID string `json:"client_id,omitempty"`
	// Scope is what an application may do with it (RFC 9068 section 2.2.3); a session's tokens have none.
	Scope string `json:"scope,omitempty"`
	// KeyID names the key that signed it; it is in the header.
	KeyID string `json:"-"`
}

// ErrInvalid is for an access token that is not ours, has been tampered with,
// or has expired. It doesn't say which: the bearer of a good one never sees it.
var ErrInvalid = fault.New(fault.Unauthenticated, "invalid_token",
	"The access token is invalid or has expired. Get a new one with the refresh token, or sign in again.")

// Issuer signs access tokens and checks them. It is safe for use by many
// goroutines, while its keys are changed.
type Issuer struct {
	config Config
	random secret.Random
	keys   atomic.Pointer[keySet]
}

// NewIssuer returns an issuer with these keys: see [Issuer.Use].
func NewIssuer(c Config, keys []Key, random secret.Random, id ...Key) (*Issuer, error) {
	i := &Issuer{config: c, random: random}
	return i, i.Use(keys, id...)
}

// Audience is that of a session's tokens.
func (i *Issuer) Audience() string { return i.config.Audience }

// Life is how long a token lives.
func (i *Issuer) Life() time.Duration { return i.config.Life }

// Subject is whom and what a token is for.
type Subject struct {
	Account string
	Session string
	Roles   []string
	AMR     []string
	AuthAt  time.Time
	// Until is the latest that the token may live, which is when its session ends; the
	// zero time leaves it the life of all.
	Until time.Time
	// Audience, Client and Scope are those of an application's token; empty for a session's.
	Audience, Client, Scope string
}

// Issue signs a token that is valid from now on.
func (i *Issuer) Issue(s Subject, now time.Time) (string, error) {
	expires := now.Add(i.config.Life)
	if !s.Until.IsZero() && s.Until.Before(expires) {
		expires = s.Until
	}
	c := Claims{
		Issuer: i.config.Issuer, Audience: i.config.Audience, Subject: s.Account, Session: s.Session,
		IssuedAt: now.Unix(), Expires: expires.Unix(), AuthTime: s.AuthAt.Unix(),
		ID: i.random.Text(16), Roles: s.Roles, AMR: s.AMR, ACR: ACR(s.AMR), ClientID: i.config.ClientID,
	}
	if s.Audience != "" {
		c.Audience, c.ClientID, c.Scope = s.Audience, s.Client, s.Scope
		if len(s.AMR) == 0 { // nobody signed in
			c.ACR = ""
		}
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed, err := i.keys.Load().signs(now).signer.token(payload)
	if err != nil {
		return "", fmt.Errorf("signing an access token: %w", err)
	}
	return signed, nil
}

// Verify returns what a token says if it is one of ours and now lies within its
// life; otherwise ErrInvalid, with the reason for the log. It does not know
// whether the session still lives.
//
// A token that was verified before costs a lookup by its hash until it
// expires, and no signature.
func (i *Issuer) Verify(token string, now time.Time) (*Claims, error) {
	return i.VerifyFor(token, i.config.Audience, now)
}

// VerifyFor is Verify for a token that was made for another audience than a session's (RFC 8707).
func (i *Issuer) VerifyFor(token, audience string, now time.Time) (*Claims, error) {
	return whole(i.verify(token, func(c *Claims) bool { return c.Audience == audience }, now))
}

// VerifyGranted is Verify for a token of an application's, which is for any audience but a session's: what it is for is for the
// caller to judge.
func (i *Issuer) VerifyGranted(token string, now time.Time) (*Claims, error) {
	return whole(i.verify(token, func(c *Claims) bool { return c.Audience != i.config.Audience }, now))
}

// whole leaves out what an expired token said.
func whole(c *Claims, err error) (*Claims, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Expired is Verify for a token that has expired: it returns what that said. Nobody is
// let in by it; it is good enough for ending its own session.
func (i *Issuer) Expired(token string, now time.Time) (*Claims, error) {
	c, err := i.verify(token, func(c *Claims) bool { return c.Audience == i.config.Audience }, now)
	if err != nil && !errors.Is(err, ErrExpired) {
		return nil, err
	}
	return c, nil
}

// verify returns the claims of an expired token too, together with the error.
func (i *Issuer) verify(token string, ours func(*Claims) bool, now time.Time) (*Claims, error) {
	if len(token) > maxSize {
		return nil, ErrInvalid.Because(errors.New("it is over 8 KiB"))
	}
	keys := i.keys.Load()
	c := keys.seen.get(token)
	if c == nil {
		var err error
		if c, err = i.open(keys, token); err != nil {
			return nil, ErrInvalid.Because(err)
		}
		keys.seen.put(token, c)
	}
	if !ours(c) {
		return nil, ErrInvalid.Because(errors.New("it is for another audience"))
	}
	if keys.gone(c.KeyID, now) {
		return nil, ErrInvalid.Because(errors.New("its key has been retired for longer than its tokens live"))
	}
	if err := i.timely(c, now); err != nil {
		return c, ErrInvalid.Because(err)
	}
	return c, nil
}

func (i *Issuer) timely(c *Claims, now time.Time) error {
	if now.Unix() >= c.Expires {
		return ErrExpired
	}
	// Replicas' clocks may differ by some seconds; a token from further ahead was
	// made by a clock that is wrong.
	if c.IssuedAt > now.Add(time.Minute).Unix() {
		return errors.New("it was issued in the future")
	}
	return nil
}

// header is the whole header of our tokens. Nothing in it says
// us how to check it: algorithm and type are pinned, and kid only names a key
// that we have. A header with anything else in it is not ours.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

func (i *Issuer) open(keys *keySet, token string) (*Claims, error) {
	first, _, ok := strings.Cut(token, ".")
	if !ok {
		return nil, errors.New("it is not a JWT")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return nil, errors.New("its header is not base64url")
	}
	var h header
	if err := strictJSON(raw, &h); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	if h.Type != Type {
		return nil, errors.New("its header names another type")
	}
	key, ok := keys.named[h.KeyID]
	switch {
	case !ok && isKeyID(h.KeyID):
		return nil, ErrUnknownKey
	case !ok:
		return nil, errors.New("its header names no key of ours")
	case h.Algorithm != string(key.algorithm):
		// One key, one algorithm (RFC 8725 section 3.1).
		return nil, errors.New("its header names an algorithm that is not its key's")
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{key.algorithm})
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify(key.verifier)
	if err != nil {
		return nil, err
	}
	// Base64 has several spellings of one thing, with line breaks or odd last
	// bits; a token has one.
	if spelt, err := jws.CompactSerialize(); err != nil || spelt != token {
		return nil, errors.New("it is not written as ours are")
	}
	var c Claims
	if err := strictJSON(payload, &c); err != nil {
		return nil, fmt.Errorf("its claims: %w", err)
	}
	if c.Issuer != i.config.Issuer {
		return nil, errors.New("it is of another issuer")
	}
	if c.Subject == "" || c.Session == "" {
		return nil, errors.New("it has no subject or session")
	}
	c.KeyID = h.KeyID
	return &c, nil
}

// strictJSON reads what json.Marshal wrote of the same type. All else it
// refuses: members that are unknown, missing, repeated or in other letters,
// spaces, trailing data.
func strictJSON(b []byte, into any) error {
	if err := json.Unmarshal(b, into); err != nil {
		return err
	}
	if again, err := json.Marshal(into); err != nil || !bytes.Equal(again, b) {
		return errors.New("it is not written as ours are")
	}
	return nil
}
