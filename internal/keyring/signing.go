package keyring

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"

	"github.com/gatehouse-auth/gatehouse/internal/secret"
)

// newSigningKey makes a key for ES256 in PKCS #8. Go's generator reads the
// operating system's randomness whatever it is handed.
func newSigningKey(secret.Random) ([]byte, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(k)
}
