package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// authenticator has one passkey (ES256) of one account, synced, as most are: it counts nothing.
type authenticator struct {
	credential, handle []byte
	private            *ecdsa.PrivateKey
}

// rpID is the host that passkeys are for where the server is on loopback.
const rpID = "localhost"

func newAuthenticator() (*authenticator, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &authenticator{credential: secret.Random{}.Bytes(32), handle: secret.Random{}.Bytes(factor.HandleSize), private: private}, err
}

// cose is the public key as authenticators encode it (RFC 9052): a map of kty 2, alg -7, crv 1, x and y.
func (a *authenticator) cose() ([]byte, error) {
	point, err := a.private.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	out := append([]byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32}, point[1:33]...)
	return append(append(out, 0x22, 0x58, 32), point[33:]...), nil
}

// answer is what a browser on the origin sends for a challenge (base64url).
func (a *authenticator) answer(origin, challenge string) ([]byte, error) {
	client, err := json.Marshal(map[string]any{"type": "webauthn.get", "challenge": challenge, "origin": origin, "crossOrigin": false})
	if err != nil {
		return nil, err
	}
	host, said := sha256.Sum256([]byte(rpID)), sha256.Sum256(client)
	const presentVerifiedSynced = 0x01 | 0x04 | 0x08 | 0x10
	data := append(host[:], presentVerifiedSynced, 0, 0, 0, 0)
	digest := sha256.Sum256(append(append([]byte{}, data...), said[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.private, digest[:])
	if err != nil {
		return nil, err
	}
	text := base64.RawURLEncoding.EncodeToString
	return json.Marshal(map[string]any{"credential": map[string]any{
		"id": text(a.credential), "rawId": text(a.credential), "type": "public-key", "clientExtensionResults": map[string]any{},
		"response": map[string]any{
			"authenticatorData": text(data), "clientDataJSON": text(client), "signature": text(signature), "userHandle": text(a.handle),
		},
	}})
}

// givePasskeys gives the first so many accounts of a filled database a passkey each, past all flows and as the server
// would: it takes them for its own.
func givePasskeys(ctx context.Context, dbURL, master string, n int) (list []*authenticator, err error) {
	d, err := db.Open(ctx, db.Config{URL: dbURL})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	ring, err := keyring.Open(ctx, d, secret.Random{}, time.Now(), keyring.Config{Secret: master})
	if err != nil {
		return nil, err
	}
	store := factor.NewStore(func() [][]byte { return [][]byte{ring.Key(keyring.Factor)} }, secret.Random{})
	for i := range n {
		a, err := newAuthenticator()
		if err != nil {
			return nil, err
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return a.register(tx, store, address(i)) }); err != nil {
			return nil, fmt.Errorf("%s: %w", address(i), err)
		}
		list = append(list, a)
	}
	return list, nil
}

func (a *authenticator) register(tx *db.Tx, store *factor.Store, email string) error {
	who, err := account.Find(tx, email)
	if err != nil {
		return err
	}
	if a.handle, err = account.Handle(tx, who.ID, a.handle); err != nil {
		return err
	}
	public, err := a.cose()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE account SET factors = factors + 1, factor_n = factor_n + 1 WHERE id = $1`, who.ID); err != nil {
		return err
	}
	return store.AddPasskey(tx, factor.Passkey{
		Account: who.ID, RPID: rpID, Credential: a.credential, PublicKey: public, Eligible: true, BackedUp: true, Verifies: true, Discoverable: true,
		AAGUID: "00000000-0000-0000-0000-000000000000", Transports: []string{"internal"}, Name: "Passkey",
	}, a.handle, time.Now())
}

// bareChecks returns how many signatures of such a key one core checks in a second.
func bareChecks(d time.Duration) (float64, error) {
	a, err := newAuthenticator()
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte("what is signed"))
	signature, err := ecdsa.SignASN1(rand.Reader, a.private, digest[:])
	if err != nil {
		return 0, err
	}
	n, began := 0, time.Now()
	for time.Since(began) < d {
		if !ecdsa.VerifyASN1(&a.private.PublicKey, digest[:], signature) {
			return 0, errors.New("a right signature is wrong")
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
