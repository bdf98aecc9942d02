package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keepKeys   = 5 * time.Minute // after which they are fetched again, in the background
	askKeys    = time.Second     // at most so often, whatever tokens name
	waitKeys   = 3 * time.Second // how long a token waits for its key
	waitingMax = 256             // how many tokens wait
	maxKeys    = 1 << 20         // bytes of an answer
)

// keys is the issuer's published keys. What was read once stays until something
// newer is read.
type keys struct {
	verifier *Verifier
	set      atomic.Pointer[keySet]
	waiting  atomic.Int64

	mu      sync.Mutex
	asking  chan struct{} // closed when the call that is under way ends; nil without one
	askedAt time.Time     // when it began, or the one before
	failed  error         // of the last one
}

type keySet struct {
	named map[string]*key
	text  string // the answer
	seen  cache
	at    atomic.Int64 // when it was asked for, in nanoseconds since 1970
}

// now returns the keys, or nil if there were never any. When they are old it
// sees to it that they are asked for again.
func (k *keys) now() *keySet {
	set := k.set.Load()
	if set != nil {
		if age := k.verifier.now().UnixNano() - set.at.Load(); age > int64(keepKeys) || age < 0 {
			k.ask()
		}
	}
	return set
}

// with returns a set that has the named key, and waits for it if need be. A key
// that Gatehouse has just been asked for and does not have is ErrInvalid; if it
// can't be asked that is ErrUnavailable.
func (k *keys) with(ctx context.Context, kid string) (*keySet, error) {
	if b, err := base64.RawURLEncoding.Strict().DecodeString(kid); err != nil || len(b) != sha256.Size {
		return nil, invalid("its header names no key of ours")
	}
	if k.waiting.Add(1) > waitingMax {
		k.waiting.Add(-1)
		return nil, fmt.Errorf("%w: too many tokens name keys that are not known here", ErrUnavailable)
	}
	defer k.waiting.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, waitKeys)
	defer cancel()
	came := time.Now()
	for {
		k.mu.Lock()
		pause, failed, fresh := time.Until(k.askedAt.Add(askKeys)), k.failed, k.asking == nil && k.askedAt.After(came)
		k.mu.Unlock()
		if set := k.set.Load(); set != nil && set.named[kid] != nil {
			return set, nil
		}
		if fresh && failed == nil {
			return nil, invalid("its key is not among the issuer's")
		}
		if fresh {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, failed)
		}
		wait := k.ask()
		if wait == nil { // one was made a moment ago, before this token came
			pausing := time.NewTimer(pause)
			select {
			case <-pausing.C:
				continue
			case <-ctx.Done():
				pausing.Stop()
			}
		} else {
			select {
			case <-wait:
				continue
			case <-ctx.Done():
			}
		}
		return nil, fmt.Errorf("%w: its key: %w", ErrUnavailable, ctx.Err())
	}
}

// ask begins to ask Gatehouse for the keys, unless a call is under way already,
// and returns a channel that is closed when it ends; nil, if the last one began
// less than a second ago.
func (k *keys) ask() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.asking != nil {
		return k.asking
	}
	if !k.askedAt.IsZero() && time.Since(k.askedAt) < askKeys {
		return nil
	}
	done := make(chan struct{})
	k.asking, k.askedAt = done, time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		at := k.verifier.now()
		err := k.fetch(ctx, at)
		if err != nil {
			k.verifier.log.Warn("the issuer's keys can't be read", "issuer", k.verifier.issuer, "error", err)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.asking, k.failed = nil, err
		close(done)
	}()
	return done
}

// fetch asks each place in turn.
func (k *keys) fetch(ctx context.Context, at time.Time) error {
	var failed error
	for n := range max(1, len(k.verifier.places)) {
		b, err := k.read(ctx, n)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if old := k.set.Load(); old != nil && old.text == string(b) {
			old.at.Store(at.UnixNano())
			return nil // and the tokens checked before stay so
		}
		set, err := parseKeys(b)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		set.at.Store(at.UnixNano())
		k.set.Store(set)
		return nil
	}
	return failed
}

// read returns the JWKS. Where it is, the issuer's metadata say (RFC 8414), which
// must be this issuer's; if there are none, or the application knows better, it
// is where Gatehouse has it.
func (k *keys) read(ctx context.Context, n int) ([]byte, error) {
	v := k.verifier
	place := v.at(n, "/.well-known/jwks.json")
	if len(v.places) == 0 {
		u, err := url.Parse(v.issuer)
		if err != nil {
			return nil, err
		}
		// The well-known part comes before the issuer's path (section 3).
		u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
		b, status, err := k.get(ctx, u.String())
		if err != nil {
			return nil, err
		}
		if status == http.StatusOK {
			var meta struct {
				Issuer string `json:"issuer"`
				JWKS   string `json:"jwks_uri"`
			}
			if err := json.Unmarshal(b, &meta); err != nil {
				return nil, fmt.Errorf("the metadata: %w", err)
			}
			if meta.Issuer != v.issuer {
				return nil, fmt.Errorf("the metadata are of the issuer %q", meta.Issuer)
			}
			if err := safe(meta.JWKS); err != nil {
				return nil, err
			}
			place = meta.JWKS
		} else if status != http.StatusNotFound {
			return nil, fmt.Errorf("%s answered %d", u, status)
		}
	}
	b, status, err := k.get(ctx, place)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answered %d", place, status)
	}
	return b, err
}

func (k *keys) get(ctx context.Context, place string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, 0, err
	}
	res, err := k.verifier.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxKeys+1))
	if err == nil && len(b) > maxKeys {
		err = fmt.Errorf("the answer of %s is over 1 MiB", place)
	}
	return b, res.StatusCode, err
}

// key is a public key, with the one algorithm that it is good for.
type key struct {
	alg    string
	public crypto.PublicKey
}

// jwk is a published key (RFC 7517).
type jwk struct {
	Kty, Crv, Kid, Alg, Use, X, Y, N, E string
}

// parseKeys reads a JWKS. Keys of kinds that are not ours are left out.
func parseKeys(b []byte) (*keySet, error) {
	var in struct{ Keys []jwk }
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("the keys: %w", err)
	}
	set := &keySet{named: map[string]*key{}, text: string(b)}
	for _, j := range in.Keys {
		if public := j.public(); public != nil && j.Use == "sig" && j.Kid != "" {
			set.named[j.Kid] = &key{j.Alg, public}
		}
	}
	if len(set.named) == 0 {
		return nil, errors.New("there are no keys")
	}
	return set, nil
}

// public returns nil for a key that no algorithm of ours goes with.
func (j jwk) public() crypto.PublicKey {
	x, y, n, e := bytesOf(j.X), bytesOf(j.Y), bytesOf(j.N), bytesOf(j.E)
	switch {
	case j.Alg == "ES256" && j.Kty == "EC" && j.Crv == "P-256" && len(x) == 32 && len(y) == 32:
		if k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...)); err == nil {
			return k
		}
	case j.Alg == "EdDSA" && j.Kty == "OKP" && j.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize:
		return ed25519.PublicKey(x)
	case j.Alg == "RS256" && j.Kty == "RSA" && len(n) >= 256 && len(n) <= 1024 && len(e) <= 4:
		if exponent := new(big.Int).SetBytes(e).Int64(); exponent > 2 && exponent%2 == 1 && exponent < 1<<31 {
			return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}
		}
	}
	return nil
}

func bytesOf(s string) []byte {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// good reports whether a signature is one of this key over the text.
func (k *key) good(over string, signature []byte) bool {
	sum := sha256.Sum256([]byte(over))
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(public, sum[:], r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(public, []byte(over), signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}
