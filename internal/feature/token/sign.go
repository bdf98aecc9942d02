package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// signer writes tokens in JWS's compact form (RFC 7515 section 7.1). The header is
// the same in each, so it is encoded once. What a general library does besides
// costs a refresh a fifth of its allocations.
type signer struct {
	header string // encoded, with the dot behind it
	// sign returns the signature of RFC 7518 section 3 over the input.
	sign func(input []byte) ([]byte, error)
	size int // of a signature, in bytes
}

// newSigner returns the signer of a private key that is one for the algorithm, as
// public has found.
func newSigner(id, algorithm, kind string, private any) (signer, error) {
	h, err := json.Marshal(header{Algorithm: algorithm, KeyID: id, Type: kind})
	if err != nil {
		return signer{}, err
	}
	s := signer{header: base64.RawURLEncoding.EncodeToString(h) + "."}
	switch k := private.(type) {
	case *ecdsa.PrivateKey:
		s.size = 2 * es256Half
		s.sign = func(input []byte) ([]byte, error) { return signES256(k, input) }
	case ed25519.PrivateKey:
		s.size = ed25519.SignatureSize
		s.sign = func(input []byte) ([]byte, error) { return ed25519.Sign(k, input), nil }
	case *rsa.PrivateKey:
		s.size = k.Size()
		s.sign = func(input []byte) ([]byte, error) {
			sum := sha256.Sum256(input)
			return rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
		}
	case []byte:
		s.size = sha256.Size
		s.sign = func(input []byte) ([]byte, error) {
			mac := hmac.New(sha256.New, k)
			mac.Write(input)
			return mac.Sum(nil), nil
		}
	default:
		return signer{}, fmt.Errorf("nothing is signed with a %T", private)
	}
	return s, nil
}

// es256Half is the length of each of the two numbers of an ES256 signature, in
// bytes (RFC 7518 section 3.4).
const es256Half = 32

func signES256(k *ecdsa.PrivateKey, input []byte) ([]byte, error) {
	sum := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, 2*es256Half)
	r.FillBytes(out[:es256Half])
	s.FillBytes(out[es256Half:])
	return out, nil
}

// token returns the payload, signed.
func (s signer) token(payload []byte) (string, error) {
	b64 := base64.RawURLEncoding
	out := make([]byte, 0, len(s.header)+b64.EncodedLen(len(payload))+1+b64.EncodedLen(s.size))
	out = b64.AppendEncode(append(out, s.header...), payload)
	signature, err := s.sign(out)
	if err != nil {
		return "", err
	}
	return string(b64.AppendEncode(append(out, '.'), signature)), nil
}
