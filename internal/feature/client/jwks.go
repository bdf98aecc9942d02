package client

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Algorithms are those by which an application may sign what shows who it is (RFC 7523).
func Algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.PS256, jose.RS256}
}

const (
	mostKeys  = 10
	mostKeyID = 128
	leastRSA  = 2048 // bits, ASVS 11.2.3
	mostRSA   = 8192
)

var (
	errKeys = fault.Field("jwks", "invalid_jwks",
		"Give up to %d public keys, as a JWK set or in PEM: P-256, Ed25519, or RSA of %d to %d bits; those with a key id have each one of their own.",
		mostKeys, leastRSA, mostRSA)
	errPrivateKeys = fault.Field("jwks", "private_jwks",
		"There is a private key among these, which nobody but the application should ever have seen: make new ones, and give only the public keys.")
	errTwoKeys      = fault.Field("jwks_uri", "two_jwks", "Give the keys themselves (jwks), or the address where they are (jwks_uri), and not both.")
	errKeysOfPublic = fault.Field("jwks", "jwks_not_kept",
		"What runs in a browser, or on a person's computer, can't keep a private key: only the types web and service have keys.")
)

// Keys are public keys by which an application shows who it is.
type Keys struct{ set jose.JSONWebKeySet }

// MarshalJSON writes a JWK set (RFC 7517 section 5).
func (k *Keys) MarshalJSON() ([]byte, error) { return json.Marshal(k.set) }

// UnmarshalJSON reads one. Whether these are keys that an application can have is checked apart.
func (k *Keys) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &k.set) }

// Text is the JWK set for people to read; empty without keys.
func (k *Keys) Text() string {
	if k == nil {
		return ""
	}
	b, err := json.MarshalIndent(k.set, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("client: keys: %v", err)) // they were read from such a text
	}
	return string(b)
}

// Names tell the keys apart: by their ids, or by their thumbprints (RFC 7638).
func (k *Keys) Names() (names []string) {
	if k == nil {
		return nil
	}
	for _, one := range k.set.Keys {
		name := one.KeyID
		if sum, err := one.Thumbprint(crypto.SHA256); name == "" && err == nil {
			name = base64.RawURLEncoding.EncodeToString(sum)
		}
		names = append(names, name)
	}
	return names
}

// ParseKeys reads public keys that an operator gives: a JWK set, a single JWK, or PEM; nothing is none.
func ParseKeys(text string) (*Keys, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	read := keysOfJSON
	if strings.HasPrefix(text, "-----BEGIN") {
		read = keysOfPEM
	}
	keys, err := read([]byte(text))
	if err == nil {
		err = keys.check()
	}
	if err != nil && fault.As(err) == nil {
		err = errKeys.Because(err)
	}
	return keys, err
}

func keysOfJSON(text []byte) (*Keys, error) {
	var (
		keys  Keys
		parts map[string]json.RawMessage
	)
	err := json.Unmarshal(text, &parts)
	if err == nil && parts["keys"] == nil {
		text = slices.Concat([]byte(`{"keys":[`), text, []byte(`]}`))
	}
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	return &keys, err
}

func keysOfPEM(text []byte) (*Keys, error) {
	var keys Keys
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				return nil, errKeys
			}
			return &keys, nil
		}
		if strings.Contains(block.Type, "PRIVATE") {
			return nil, errPrivateKeys
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		keys.set.Keys, text = append(keys.set.Keys, jose.JSONWebKey{Key: key}), rest
	}
}

// check tells whether these are keys that an application can have.
func (k *Keys) check() error {
	if k == nil {
		return nil
	}
	if len(k.set.Keys) == 0 || len(k.set.Keys) > mostKeys {
		return errKeys
	}
	var ids []string
	for _, k := range k.set.Keys {
		if !k.IsPublic() {
			return errPrivateKeys
		}
		fits := slices.ContainsFunc(Algorithms(), func(a jose.SignatureAlgorithm) bool { return signs(k, a) })
		if !k.Valid() || !fits || len(k.KeyID) > mostKeyID || len(k.Certificates) > 0 || k.CertificatesURL != nil || slices.Contains(ids, k.KeyID) {
			return errKeys
		}
		if k.KeyID != "" {
			ids = append(ids, k.KeyID)
		}
	}
	return nil
}

// signs reports whether a key is one for an algorithm.
func signs(k jose.JSONWebKey, a jose.SignatureAlgorithm) bool {
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != string(a) {
		return false
	}
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		return a == jose.ES256 && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return a == jose.EdDSA
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return (a == jose.PS256 || a == jose.RS256) && bits >= leastRSA && bits <= mostRSA
	}
	return false
}
