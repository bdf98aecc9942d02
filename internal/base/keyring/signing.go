package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// The algorithms of access tokens (RFC 7518 section 3.1, RFC 8037 section 3.1).
const (
	ES256 = "ES256"
	EdDSA = "EdDSA" // Ed25519
	RS256 = "RS256" // with 3072 bits
	HS256 = "HS256"
)

// rsaBits is the size of a key for RS256: 128 bits of strength (NIST SP 800-57).
const rsaBits = 3072

// Generate makes a key for an algorithm of access tokens, in PKCS #8 or, for
// HS256, of 32 random bytes. Go's generators read the
// operating system's randomness whatever they are handed. One for RS256 takes
// up to some seconds.
func Generate(algorithm string, random secret.Random) ([]byte, error) {
	var (
		key any
		err error
	)
	switch algorithm {
	case HS256:
		return random.Bytes(secret.KeySize), nil
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		err = fmt.Errorf("there is no algorithm %q for access tokens", algorithm)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// KeyID returns what a key for access tokens is called in their headers: the
// public key's thumbprint (RFC 7638) or, for HS256, a keyed hash.
func KeyID(algorithm string, material []byte) (string, error) {
	if algorithm == HS256 {
		return base64.RawURLEncoding.EncodeToString(secret.Derive(material, nil, "gatehouse/kid/1")), nil
	}
	private, err := x509.ParsePKCS8PrivateKey(material)
	if err != nil {
		return "", fmt.Errorf("the signing key can't be read: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return "", fmt.Errorf("the signing key is a %T", private)
	}
	sum, err := (&jose.JSONWebKey{Key: signer.Public()}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// name is what a key is called: see [Key].
func name(k Key) (string, error) {
	if k.Purpose != AccessSign && !slices.Contains(idSigns, k.Purpose) {
		return k.ID, nil
	}
	return KeyID(k.Algorithm, k.Material)
}
