package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newIssuer(t testing.TB) *Issuer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	keys := []Key{{ID: base64.RawURLEncoding.EncodeToString(make([]byte, 32)), Algorithm: "ES256", Material: der, From: start}}
	i, err := NewIssuer(Config{Issuer: "https://id.example.org", Audience: "https://api.example.org", Life: 15 * time.Minute}, keys, secret.Random{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func issue(t testing.TB, i *Issuer) string {
	t.Helper()
	issued, err := i.Issue(Subject{Account: "a", Session: "s", Roles: []string{"admin"}, AMR: []string{"pwd"}, AuthAt: start}, start)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// count returns how many tokens the cache holds.
func (c *cache) count() (n int) {
	for _, m := range []*sync.Map{c.young.Load(), c.old.Load()} {
		if m != nil {
			m.Range(func(any, any) bool { n++; return true })
		}
	}
	return n
}

func TestTheCacheIsBoundedAndKeepsWhatIsInUse(t *testing.T) {
	var c cache
	used, unused := &Claims{ID: "in use"}, &Claims{ID: "used once"}
	c.put("in use", used)
	c.put("used once", unused)
	most := 0
	for i := range 3 * cacheSize {
		c.put(fmt.Sprint(i), &Claims{})
		if i%(cacheSize/4) == 0 {
			most = max(most, c.count())
			if c.get("in use") != used {
				t.Fatalf("what is in use is gone after %d others", i)
			}
		}
	}
	if most = max(most, c.count()); most > 2*cacheSize || most <= cacheSize {
		t.Errorf("the cache has held %d tokens; at most %d", most, 2*cacheSize)
	}
	if c.get("used once") != nil || c.get("never") != nil {
		t.Error("what nobody used is still there")
	}
	if c.get("in use") != used {
		t.Error("what is in use is gone")
	}
}

func TestTheCacheForgetsNothingOfItsNewestTokens(t *testing.T) {
	var c cache
	for i := range 2*cacheSize + 7 {
		c.put(fmt.Sprint(i), &Claims{Expires: int64(i)})
	}
	for i := cacheSize + 7; i < 2*cacheSize+7; i++ {
		if got := c.get(fmt.Sprint(i)); got == nil || got.Expires != int64(i) {
			t.Fatalf("token %d: %+v", i, got)
		}
	}
}

func TestTheSameTokenAgainTakesNoMoreRoom(t *testing.T) {
	var c cache
	c.put("first", &Claims{})
	for range 3 * cacheSize {
		c.put("again", &Claims{})
	}
	if c.get("first") == nil || c.count() != 2 {
		t.Errorf("one token, put in often, has driven out another: %d are left", c.count())
	}
}

func TestTheCacheHoldsNoRefusedTokenAndNoTokenItself(t *testing.T) {
	i := newIssuer(t)
	issued := issue(t, i)
	bad := issued[:len(issued)-8] + "AAAAAAAA"
	for _, s := range []string{bad, "", "a.b.c", strings.Repeat("A", maxSize+1)} {
		if _, err := i.Verify(s, start); err == nil {
			t.Errorf("%.20q was accepted", s)
		}
	}
	if n := i.keys.Load().seen.count(); n != 0 {
		t.Errorf("%d refused tokens are remembered", n)
	}
	if _, err := i.Verify(issued, start); err != nil {
		t.Fatal(err)
	}
	i.keys.Load().seen.young.Load().Range(func(key, claims any) bool {
		if held := fmt.Sprint(key, claims); strings.Contains(held, issued) || key != sha256.Sum256([]byte(issued)) {
			t.Errorf("the cache holds %s", held)
		}
		return true
	})
}

func TestSixteenVerifyAtOnce(t *testing.T) {
	i := newIssuer(t)
	var tokens [24]string
	want := map[string]string{}
	for n := range tokens {
		tokens[n] = issue(t, i)
		c, err := i.open(i.keys.Load(), tokens[n])
		if err != nil {
			t.Fatal(err)
		}
		want[tokens[n]] = c.ID
	}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := range 20 * len(tokens) {
				s := tokens[(n*(w+1))%len(tokens)]
				if c, err := i.Verify(s, start); err != nil || c.ID != want[s] {
					t.Errorf("%+v, error %v", c, err)
				}
				if _, err := i.Verify(s[:len(s)-2], start); err == nil {
					t.Error("a cut token was accepted")
				}
				if _, err := i.Verify(s, start.Add(15*time.Minute)); err == nil {
					t.Error("an expired token was accepted")
				}
				i.keys.Load().seen.put(fmt.Sprint(w, n), &Claims{}) // others come meanwhile
			}
		})
	}
	wg.Wait()
}

// BenchmarkVerify compares a token seen before, and one not, with the signature
// alone, in one run.
func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b)
	issued := issue(b, i)
	b.Run("seen before", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := i.Verify(issued, start); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first time", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			i.keys.Load().seen.young.Store(nil)
			if _, err := i.Verify(issued, start); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare ecdsa.VerifyASN1", func(b *testing.B) {
		b.ReportAllocs()
		dot := strings.LastIndexByte(issued, '.')
		signature, err := base64.RawURLEncoding.DecodeString(issued[dot+1:])
		if err != nil {
			b.Fatal(err)
		}
		der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			sum := sha256.Sum256([]byte(issued[:dot]))
			if !ecdsa.VerifyASN1(i.keys.Load().ordered[0].verifier.(*ecdsa.PublicKey), sum[:], der) {
				b.Fatal("wrong")
			}
		}
	})
}
