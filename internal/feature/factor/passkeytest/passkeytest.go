// Package passkeytest is an authenticator and a browser in software, written from the specification (WebAuthn Level 3)
// and without the library that the server checks with. Whatever they say can be forged before it is signed.
package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// The flags of authenticator data (section 6.1).
const (
	Present  = 0x01
	Verified = 0x04
	Eligible = 0x08
	BackedUp = 0x10
	Attested = 0x40
	Extended = 0x80
)

// The algorithms (RFC 9053, RFC 8812).
const (
	ES256 = -7
	EdDSA = -8
	ES384 = -35
	RS256 = -257
)

// Key is a passkey, with its private half.
type Key struct {
	ID, Handle []byte
	Algorithm  int
	Counter    uint32
	private    crypto.Signer
}

// NewKey makes one for a user handle.
func NewKey(t testing.TB, algorithm int, handle []byte) *Key {
	t.Helper()
	k := &Key{ID: make([]byte, 32), Handle: handle, Algorithm: algorithm}
	_, _ = rand.Read(k.ID)
	var err error
	switch algorithm {
	case ES256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case EdDSA:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign signs as authenticators do.
func (k *Key) sign(data []byte) []byte {
	var (
		signature []byte
		err       error
	)
	if k.Algorithm == EdDSA {
		signature, err = k.private.Sign(rand.Reader, data, crypto.Hash(0))
	} else {
		hash := crypto.SHA256
		if k.Algorithm == ES384 {
			hash = crypto.SHA384
		}
		h := hash.New()
		h.Write(data)
		signature, err = k.private.Sign(rand.Reader, h.Sum(nil), hash)
	}
	if err != nil {
		panic(err)
	}
	return signature
}

// COSE is the public key as authenticators encode it (RFC 9052).
func (k *Key) COSE() []byte {
	switch public := k.private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		n := (len(point) - 1) / 2
		curve := 1
		if n > 32 {
			curve = 2
		}
		return CBOR(Map{{1, 2}, {3, k.Algorithm}, {-1, curve}, {-2, point[1 : 1+n]}, {-3, point[1+n:]}})
	case ed25519.PublicKey:
		return CBOR(Map{{1, 1}, {3, EdDSA}, {-1, 6}, {-2, []byte(public)}})
	case *rsa.PublicKey:
		return CBOR(Map{{1, 3}, {3, RS256}, {-1, public.N.Bytes()}, {-2, []byte{1, 0, 1}}})
	}
	panic("passkeytest: no such key")
}

// Map is a CBOR map whose members stand in the order given.
type Map [][2]any

// CBOR encodes numbers, texts, bytes and maps (RFC 8949).
func CBOR(v any) []byte {
	switch v := v.(type) {
	case int:
		if v < 0 {
			return head(1, -1-v)
		}
		return head(0, v)
	case []byte:
		return append(head(2, len(v)), v...)
	case string:
		return append(head(3, len(v)), v...)
	case bool:
		if v {
			return []byte{0xf5}
		}
		return []byte{0xf4}
	case Map:
		b := head(5, len(v))
		for _, m := range v {
			b = append(append(b, CBOR(m[0])...), CBOR(m[1])...)
		}
		return b
	}
	panic("passkeytest: no such value")
}

func head(major byte, n int) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	default:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n)) //nolint:gosec // nothing here is longer
	}
}

// Ceremony is all that a browser and an authenticator say. The zero values of what is not set are those of honest
// ones.
type Ceremony struct {
	Key *Key
	// ClientData is what the browser says.
	ClientData map[string]any
	// RawClientData stands in its place if it is set.
	RawClientData []byte
	RPID          string
	Flags         byte
	Counter       uint32
	AAGUID        [16]byte
	COSE          []byte // in the place of the key's
	AttestedID    []byte // in the place of the key's
	After         []byte // what follows in the authenticator data: extensions, or rubbish
	Format        string
	Statement     Map
	// Answer is the whole answer, once it is made and before it is encoded.
	Answer func(answer map[string]any)
	// Sign changes the signature.
	Sign func(signature []byte) []byte
}

// Browser is an honest browser on a page, and an authenticator that verifies its owner.
type Browser struct{ Origin, RPID string }

// ceremony is what an honest one says.
func (b Browser) ceremony(k *Key, kind, challenge string) *Ceremony {
	return &Ceremony{
		Key: k, RPID: b.RPID, Flags: Present | Verified, Counter: k.Counter, Format: "none",
		ClientData: map[string]any{"type": kind, "challenge": challenge, "origin": b.Origin, "crossOrigin": false},
	}
}

// Create answers the options of a new passkey (base64url of the challenge) after the forger has changed what it likes.
func (b Browser) Create(k *Key, challenge string, forge ...func(c *Ceremony)) []byte {
	c := b.ceremony(k, "webauthn.create", challenge)
	c.Flags |= Attested
	for _, f := range forge {
		f(c)
	}
	cose, id := c.COSE, c.AttestedID
	if cose == nil {
		cose = k.COSE()
	}
	if id == nil {
		id = k.ID
	}
	data := c.authData()
	if c.Flags&Attested != 0 {
		data = append(data, c.AAGUID[:]...)
		data = binary.BigEndian.AppendUint16(data, uint16(len(id))) //nolint:gosec // ids are short
		data = append(append(data, id...), cose...)
	}
	data = append(data, c.After...)
	object := CBOR(Map{{"fmt", c.Format}, {"attStmt", c.Statement}, {"authData", data}})
	return c.encode(map[string]any{
		"attestationObject": Base64(object), "clientDataJSON": Base64(c.clientData()), "transports": []string{"internal"},
	}, map[string]any{"credProps": map[string]any{"rk": true}})
}

// Get answers the options of a sign-in after the forger has changed what it likes.
func (b Browser) Get(k *Key, challenge string, forge ...func(c *Ceremony)) []byte {
	c := b.ceremony(k, "webauthn.get", challenge)
	for _, f := range forge {
		f(c)
	}
	data, client := append(c.authData(), c.After...), c.clientData()
	hash := sha256.Sum256(client)
	signature := k.sign(append(append([]byte{}, data...), hash[:]...))
	if c.Sign != nil {
		signature = c.Sign(signature)
	}
	return c.encode(map[string]any{
		"authenticatorData": Base64(data), "clientDataJSON": Base64(client), "signature": Base64(signature), "userHandle": Base64(k.Handle),
	}, map[string]any{})
}

func (c *Ceremony) clientData() []byte {
	if c.RawClientData != nil {
		return c.RawClientData
	}
	b, err := json.Marshal(c.ClientData)
	if err != nil {
		panic(err)
	}
	return b
}

func (c *Ceremony) authData() []byte {
	hash := sha256.Sum256([]byte(c.RPID))
	return binary.BigEndian.AppendUint32(append(hash[:], c.Flags), c.Counter)
}

func (c *Ceremony) encode(response, extensions map[string]any) []byte {
	answer := map[string]any{
		"id": Base64(c.Key.ID), "rawId": Base64(c.Key.ID), "type": "public-key", "authenticatorAttachment": "platform", "response": response,
		"clientExtensionResults": extensions,
	}
	if c.Answer != nil {
		c.Answer(answer)
	}
	b, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return b
}

// Base64 is base64url without padding.
func Base64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
