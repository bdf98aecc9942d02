package verify_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/verify"
)

// BenchmarkMiddleware checks one token with this many revocations alive, and beside
// it with go-jose, which checks the signature each time.
func BenchmarkMiddleware(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(n, " revocations"), func(b *testing.B) {
			i := newIssuer(b)
			for range n {
				i.feed = append(i.feed, map[string]any{"kind": "session", "id": uuid.NewString(), "until": "2100-01-01T00:00:00Z"})
			}
			v := i.verifier(verify.WithClient("app", "secret"))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+i.token(nil))
			for {
				if _, err := v.Request(r); err == nil {
					break
				}
			}
			passed := 0
			h := v.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
			if passed == 0 {
				b.Fatal("the token is refused")
			}
		})
	}
	b.Run("go-jose", func(b *testing.B) {
		i := newIssuer(b)
		token, public := i.token(nil), i.keys[0].Public()
		b.ReportAllocs()
		for b.Loop() {
			parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
			if err != nil {
				b.Fatal(err)
			}
			var c jwt.Claims
			if err := parsed.Claims(public, &c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
