package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gatehouse-auth/gatehouse/verify"
)

func ExampleVerifier_Middleware() {
	v, err := verify.New("https://auth.example.org", verify.WithAudience("https://shop.example.org"))
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello,", verify.TokenFrom(r.Context()).Subject)
	}))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer
}

func ExampleVerifier_Verify() {
	v, err := verify.New("https://auth.example.org")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = v.Verify(context.Background(), "no token")
	fmt.Println(errors.Is(err, verify.ErrInvalid))
	// Output: true
}
