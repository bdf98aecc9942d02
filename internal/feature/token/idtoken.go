package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// IDType is the typ header of an ID token.
const IDType = "JWT"

// ID is what an ID token says (OpenID Connect Core section 2). Its audience is the application, and an access token's never
// is one: neither passes for the other.
type ID struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"` // the account's id
	Audience string   `json:"aud"` // the application's id
	Expires  int64    `json:"exp"` // seconds since 1970, as are the other times
	IssuedAt int64    `json:"iat"`
	AuthTime int64    `json:"auth_time"`
	Session  string   `json:"sid"`
	Nonce    string   `json:"nonce,omitempty"`
	AtHash   string   `json:"at_hash,omitempty"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	Person

	// Algorithm is what it is signed with: RS256 if it is empty, or ES256.
	Algorithm string `json:"-"`
}

// Person is what an application is told of a person, as far as its scopes say (OpenID Connect Core section 5.4). An address that
// is not verified is left out: applications take it for whose account it is.
type Person struct {
	Name              string    `json:"name,omitempty"`
	Locale            string    `json:"locale,omitempty"`
	PreferredUsername string    `json:"preferred_username,omitempty"`
	Email             string    `json:"email,omitempty"`
	EmailVerified     bool      `json:"email_verified,omitempty"`
	Roles             *[]string `json:"roles,omitempty"`
	Groups            *[]string `json:"groups,omitempty"`
}

// errNoIDKey is for an issuer whose key for ID tokens has yet to be made.
var errNoIDKey = errors.New("there is no key for ID tokens")

// DefaultIDAlgorithm is what ID tokens are signed with unless their application asks for another (OpenID Connect Core section 2).
const DefaultIDAlgorithm = string(jose.RS256)

// SignsID reports whether there is a key for ID tokens of an algorithm.
func (i *Issuer) SignsID(algorithm string) bool { return len(i.keys.Load().signIDs(algorithm)) > 0 }

// Issuer is what the tokens call the issuer.
func (i *Issuer) Issuer() string { return i.config.Issuer }

// IssueID signs an ID token beside an access token. Issuer, times and at_hash are set here.
func (i *Issuer) IssueID(c ID, access string, until, now time.Time) (string, error) {
	keys := i.keys.Load().signIDs(c.Algorithm)
	if len(keys) == 0 {
		return "", errNoIDKey
	}
	c.Issuer, c.IssuedAt, c.Expires, c.ACR = i.config.Issuer, now.Unix(), until.Unix(), ACR(c.AMR)
	c.AtHash = atHash(access)
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed, err := signing(keys, now).signer.token(payload)
	if err != nil {
		return "", fmt.Errorf("signing an ID token: %w", err)
	}
	return signed, nil
}

// atHash binds an ID token to an access token: the left half of its hash, which is SHA-256 for RS256 and ES256 alike (OpenID Connect Core
// section 3.1.3.6).
func atHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

// Hint returns what an ID token of ours says, however long ago it has expired: it is shown back to us as a hint of whose
// session is meant, and lets nobody in. Otherwise the error is ErrInvalid.
func (i *Issuer) Hint(token string) (*ID, error) {
	c, err := i.hint(token)
	if err != nil {
		return nil, ErrInvalid.Because(err)
	}
	return c, nil
}

func (i *Issuer) hint(token string) (*ID, error) {
	if len(token) > maxSize {
		return nil, errors.New("it is over 8 KiB")
	}
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return nil, errors.New("its header is not base64url")
	}
	var h header
	if err := strictJSON(raw, &h); err != nil || h.Type != IDType {
		return nil, errors.New("its header is not that of an ID token of ours")
	}
	for _, k := range i.keys.Load().ids {
		if k.ID != h.KeyID || h.Algorithm != string(k.algorithm) {
			continue
		}
		jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{k.algorithm})
		if err != nil {
			return nil, err
		}
		payload, err := jws.Verify(k.verifier)
		if err != nil {
			return nil, err
		}
		if spelt, err := jws.CompactSerialize(); err != nil || spelt != token { // base64 has several spellings
			return nil, errors.New("it is not written as ours are")
		}
		var c ID
		if err := json.Unmarshal(payload, &c); err != nil {
			return nil, err
		}
		if c.Issuer != i.config.Issuer || c.Subject == "" || c.Audience == "" {
			return nil, errors.New("it is of another issuer")
		}
		return &c, nil
	}
	return nil, errors.New("its header names no key of ours")
}
