package token

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// LogoutType is the typ header of a logout token (OpenID Connect Back-Channel Logout section 2.4): nothing takes it for an ID token or
// an access token.
const LogoutType = "logout+jwt"

// logoutLife is how long a logout token is good: it is made anew for each try to deliver it.
const logoutLife = 2 * time.Minute

// logoutEvent is what a logout token says has happened.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Logout is what a logout token says besides.
type Logout struct {
	// Subject is the account's id, Audience the application's, and Session what ID tokens call the session.
	Subject, Audience, Session string
	// Algorithm is that of the application's ID tokens: RS256 if it is empty.
	Algorithm string
	// ID is the token's own: an application may refuse one that it has seen.
	ID string
}

// logoutClaims is a logout token. It has no nonce, so that it can't pass for an ID token.
type logoutClaims struct {
	Issuer   string                     `json:"iss"`
	Subject  string                     `json:"sub"`
	Audience string                     `json:"aud"`
	IssuedAt int64                      `json:"iat"`
	Expires  int64                      `json:"exp"`
	ID       string                     `json:"jti"`
	Session  string                     `json:"sid"`
	Events   map[string]json.RawMessage `json:"events"`
}

// IssueLogout signs a logout token, with the key of ID tokens.
func (i *Issuer) IssueLogout(l Logout, now time.Time) (string, error) {
	keys := i.keys.Load().signIDs(l.Algorithm)
	if len(keys) == 0 {
		return "", errNoIDKey
	}
	payload, err := json.Marshal(logoutClaims{
		Issuer: i.config.Issuer, Subject: l.Subject, Audience: l.Audience, IssuedAt: now.Unix(), Expires: now.Add(logoutLife).Unix(), ID: l.ID,
		Session: l.Session, Events: map[string]json.RawMessage{logoutEvent: json.RawMessage("{}")},
	})
	if err != nil {
		return "", err
	}
	signer, err := signing(keys, now).as(LogoutType)
	if err != nil {
		return "", err
	}
	signed, err := signer.token(payload)
	if err != nil {
		return "", fmt.Errorf("signing a logout token: %w", err)
	}
	return signed, nil
}

// as is a key's signer for another kind of token.
func (k *key) as(kind string) (signer, error) {
	h, err := json.Marshal(header{Algorithm: k.Algorithm, KeyID: k.ID, Type: kind})
	s := k.signer
	s.header = base64.RawURLEncoding.EncodeToString(h) + "."
	return s, err
}
