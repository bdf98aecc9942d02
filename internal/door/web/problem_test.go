package web

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

func TestProblems(t *testing.T) {
	const plain = `Bearer realm="gatehouse"`
	retry := func(kind fault.Kind, d time.Duration) error {
		return &fault.Error{Kind: kind, Code: "later", Message: "Later.", RetryAfter: d}
	}
	tests := []struct {
		name            string
		err             error
		status          int
		code            string
		challenge, wait string
	}{
		{"invalid", fault.New(fault.Invalid, "bad", "Bad."), 400, "bad", "", ""},
		{"media type", errMediaType, 415, "unsupported_media_type", "", ""},
		{"too large", errBodyTooLarge, 413, "body_too_large", "", ""},
		{"late body", errRequestTimeout.Because(errors.New("x")), 408, "request_timeout", "", ""},
		{"narrower only if invalid", fault.New(fault.Conflict, "body_too_large", "x"), 409, "body_too_large", "", ""},
		{"login", fault.New(fault.Unauthenticated, "invalid_credentials", "No."), 401, "invalid_credentials", plain, ""},
		{"token", fault.New(fault.Unauthenticated, "invalid_token", "No."), 401, "invalid_token", plain + `, error="invalid_token"`, ""},
		{"mailed token", fault.New(fault.Invalid, "invalid_token", "No."), 400, "invalid_token", "", ""},
		{"two tokens", errTwoAuthorizations, 400, "invalid_request", plain + `, error="invalid_request"`, ""},
		{"denied", fault.New(fault.Denied, "no", "No."), 403, "no", "", ""},
		{"not found", fault.New(fault.NotFound, "gone", "No."), 404, "gone", "", ""},
		{"conflict", fault.New(fault.Conflict, "there", "No."), 409, "there", "", ""},
		{"limited", retry(fault.Limited, 90*time.Second), 429, "later", "", "90"},
		{"limited, rounded up", retry(fault.Limited, 1001*time.Millisecond), 429, "later", "", "2"},
		{"limited, unknown", retry(fault.Limited, 0), 429, "later", "", "1"},
		{"limited, past", retry(fault.Limited, -time.Hour), 429, "later", "", "1"},
		{"unavailable", retry(fault.Unavailable, time.Nanosecond), 503, "later", "", "1"},
		{"wrapped", fmt.Errorf("sign in: %w", fault.New(fault.Denied, "no", "No.")), 403, "no", "", ""},
		{"no code", fault.New(fault.Conflict, "", ""), 409, "conflict", "", ""},
		{"deadline", fmt.Errorf("read: %w", context.DeadlineExceeded), 503, "timed_out", "", "1"},
		{"deadline in a fault", fault.New(fault.Unavailable, "busy", "Busy.").Because(context.DeadlineExceeded), 503, "busy", "", "1"},
		{"internal", fault.New(fault.Internal, "secret_code", "secret"), 500, "internal_error", "", ""},
		{"no fault", errors.New("secret"), 500, "internal_error", "", ""},
		{"unknown kind", fault.New(math.MaxUint8, "secret", "secret"), 500, "internal_error", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t, nil)
			h.handle("POST /", func(http.ResponseWriter, *http.Request) error { return test.err })
			a := h.do(t, "POST", "/", "")
			if a.status != test.status || a.header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("got %v", a)
			}
			want := Problem{
				Type: "urn:gatehouse:problem:" + test.code, Status: test.status, Code: test.code,
				Title: a.problem.Title, Detail: a.problem.Detail, RequestID: a.header.Get("X-Request-Id"),
			}
			if diff := cmp.Diff(want, a.problem, cmpopts.IgnoreUnexported(Problem{})); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
			if a.problem.Title == "" || a.problem.Detail == "" || (test.status == 500) != (a.problem.Code == "internal_error") {
				t.Errorf("problem %+v", a.problem)
			}
			if test.status == 500 && containsAny(a.body, "secret") {
				t.Errorf("an internal error shows itself: %s", a.body)
			}
			if got := a.header.Get("WWW-Authenticate"); got != test.challenge {
				t.Errorf("WWW-Authenticate %q, want %q", got, test.challenge)
			}
			if got := a.header.Get("Retry-After"); got != test.wait {
				t.Errorf("Retry-After %q, want %q", got, test.wait)
			}
		})
	}
}

func TestProblemTexts(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	p := ProblemOf(r, fault.Field("new_password", "password_too_short", "Take %d characters or more.", 15))
	want := Problem{
		Type: "urn:gatehouse:problem:password_too_short", Title: "Password too short", Status: 400,
		Detail: "Take 15 characters or more.", Code: "password_too_short", Field: "new_password",
	}
	if diff := cmp.Diff(want, p, cmpopts.IgnoreUnexported(Problem{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOwnChallengeStays(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("POST /v1/token/introspect", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("WWW-Authenticate", `Basic realm="gatehouse"`)
		return fault.New(fault.Unauthenticated, "invalid_client", "No.")
	})
	if got := h.do(t, "POST", "/v1/token/introspect", "").header.Values("WWW-Authenticate"); len(got) != 1 || got[0] != `Basic realm="gatehouse"` {
		t.Errorf("WWW-Authenticate %q", got)
	}
}

func TestWriteJSON(t *testing.T) {
	h := newHouse(t, nil)
	h.handle("GET /broken", func(w http.ResponseWriter, _ *http.Request) error {
		return WriteJSON(w, http.StatusOK, map[string]any{"f": func() {}})
	})
	h.handle("GET /ok", func(w http.ResponseWriter, _ *http.Request) error {
		return WriteJSON(w, http.StatusAccepted, struct {
			State string `json:"state"`
		}{"<ok>"})
	})
	if a := h.do(t, "GET", "/broken", ""); a.status != 500 || a.problem.Code != "internal_error" {
		t.Errorf("broken: %v", a)
	}
	a := h.do(t, "GET", "/ok", "")
	if a.status != 202 || a.header.Get("Content-Type") != "application/json" || a.body != `{"state":"\u003cok\u003e"}`+"\n" ||
		a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
		t.Errorf("ok: %v, Content-Length %s", a, a.header.Get("Content-Length"))
	}
	// ASVS 4.2.2: HEAD has the length of what GET would send.
	if head := h.do(t, "HEAD", "/ok", ""); head.body != "" || head.header.Get("Content-Length") != a.header.Get("Content-Length") {
		t.Errorf("head: %v", head)
	}
}
