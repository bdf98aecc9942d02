package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxSize is the longest token that is looked at, in bytes.
const maxSize = 8 << 10

// typ is the type of access tokens (RFC 9068), which nothing else has that
// Gatehouse signs.
const typ = "at+jwt"

// claims is a token's content, as it is compared.
type claims struct {
	issuer, audience, subject, session, id string
	acr, client, scope                     string
	roles, amr                             []string
	expires, issuedAt, notBefore, authTime int64
	kid                                    string
	place                                  sessionKey // of the session, among those that ended
}

// token returns what the application gets: its own copy, since the claims are
// kept for the next time.
func (c *claims) token() *Token {
	return &Token{
		Subject: c.subject, Session: c.session, Roles: slices.Clone(c.roles), ID: c.id, AMR: slices.Clone(c.amr), ACR: c.acr, KeyID: c.kid,
		Client: c.client, Scope: c.scope,
		AuthTime: time.Unix(c.authTime, 0), IssuedAt: time.Unix(c.issuedAt, 0), Expires: time.Unix(c.expires, 0),
	}
}

// signed is a token whose form is right, and of which nothing is believed yet.
type signed struct {
	alg, kid  string
	over      string // what the signature is over
	payload   []byte
	signature []byte
}

// parse takes a token apart. Its header must have the three members of ours and
// no other: what could say how to check it (jwk, jku, x5u, crit) is refused
// unread.
func parse(token string) (*signed, error) {
	last := strings.LastIndexByte(token, '.')
	part := strings.Split(token, ".")
	if len(part) != 3 || strings.ContainsAny(token, "\r\n") { // which base64 skips
		return nil, invalid("it is not a JWT")
	}
	var raw [3][]byte
	for i, text := range part {
		b, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil || len(b) == 0 {
			return nil, invalid("it is no base64url")
		}
		raw[i] = b
	}
	header, err := object(raw[0])
	if err != nil {
		return nil, fmt.Errorf("%w: its header: %w", ErrInvalid, err)
	}
	var out = signed{over: token[:last], payload: raw[1], signature: raw[2]}
	var kind string
	if len(header) != 3 || header.text("alg", &out.alg) != nil || header.text("kid", &out.kid) != nil || header.text("typ", &kind) != nil {
		return nil, invalid("its header is not that of ours")
	}
	if kind != typ {
		return nil, invalid("its header names another type")
	}
	return &out, nil
}

// open checks the signature, then reads the claims.
func (s *signed) open(k *key) (*claims, error) {
	if s.alg != k.alg {
		// One key, one algorithm (RFC 8725 section 3.1).
		return nil, invalid("its header names an algorithm that is not its key's")
	}
	if !k.good(s.over, s.signature) {
		return nil, invalid("its signature is not good")
	}
	m, err := object(s.payload)
	if err != nil {
		return nil, fmt.Errorf("%w: its claims: %w", ErrInvalid, err)
	}
	c := &claims{kid: s.kid}
	if err := errors.Join(
		m.text("iss", &c.issuer), m.text("aud", &c.audience), m.text("sub", &c.subject), m.text("sid", &c.session), m.text("jti", &c.id),
		m.list("amr", &c.amr),
		m.number("exp", &c.expires), m.number("iat", &c.issuedAt), m.number("auth_time", &c.authTime),
	); err != nil {
		return nil, fmt.Errorf("%w: its claims: %w", ErrInvalid, err)
	}
	c.acr = OneFactor // tokens of versions before it have none
	for name, read := range map[string]func(string) error{
		"acr":       func(name string) error { return m.text(name, &c.acr) },
		"client_id": func(name string) error { return m.text(name, &c.client) },
		"scope":     func(name string) error { return m.text(name, &c.scope) },
		"nbf":       func(name string) error { return m.number(name, &c.notBefore) },
		// An application that may not know the roles gets a token without: those are none, and concern no change of roles.
		"roles": func(name string) error { return m.list(name, &c.roles) },
	} {
		if _, there := m[name]; !there {
			continue
		}
		if err := read(name); err != nil {
			return nil, fmt.Errorf("%w: its claims: %w", ErrInvalid, err)
		}
	}
	if c.subject == "" || c.session == "" {
		return nil, invalid("it has no subject or session")
	}
	c.place = keyOf(c.session)
	return c, nil
}

// members is a JSON object whose names are read exactly as they are written.
type members map[string]json.RawMessage

// object reads a JSON object. A name that stands twice is refused: two readers
// could each take another.
func object(b []byte) (members, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	m := members{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if _, twice := m[name]; twice {
			return nil, errors.New("it has a duplicate field")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		m[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return m, nil
}

func (m members) text(name string, into *string) error { return m.read(name, '"', into) }

// list reads a list, which is not nil then: what is nil is not there.
func (m members) list(name string, into *[]string) error {
	*into = []string{}
	var some []*string
	if string(m[name]) == "null" { // Go's empty list
		return nil
	}
	if err := m.read(name, '[', &some); err != nil {
		return err
	}
	for _, s := range some {
		if s == nil {
			return fmt.Errorf("%s has a null", name)
		}
		*into = append(*into, *s)
	}
	return nil
}

// number reads a whole number of seconds.
func (m members) number(name string, into *int64) error {
	if v := m[name]; len(v) == 0 || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return fmt.Errorf("%s is no number", name)
	}
	return json.Unmarshal(m[name], into)
}

// read reads a value that must begin so: null, for one, leaves what is there.
func (m members) read(name string, begins byte, into any) error {
	if v := m[name]; len(v) == 0 || v[0] != begins {
		return fmt.Errorf("%s is missing, or something else", name)
	}
	return json.Unmarshal(m[name], into)
}
