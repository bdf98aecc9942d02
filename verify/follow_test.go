package verify_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/verify"
)

// becomes asks until the answer is the wanted one.
func becomes(t *testing.T, v *verify.Verifier, token string, want error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := v.Verify(t.Context(), token)
		if want == nil && err == nil || want != nil && errors.Is(err, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is %v, want %v", err, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestJWT5_EveryKindOfRevocation: each ends the tokens that it means, and no
// others.
func TestJWT5_EveryKindOfRevocation(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	const other = "0190a6e2-7b1c-7def-8a4b-0123456789ef"
	for name, c := range map[string]struct {
		revoked     map[string]any
		dead, alive map[string]any
	}{
		"session": {map[string]any{"kind": "session", "id": "0190a6e2-7b1c-7def-8a4b-0123456789cd"}, nil, map[string]any{"sid": other}},
		"session that is no UUID": {map[string]any{"kind": "session", "id": "no UUID"},
			map[string]any{"sid": "no UUID"}, map[string]any{"sid": "another"}},
		"roles": {map[string]any{"kind": "roles", "account": "ada", "roles": []string{"editor"}, "roles_n": 2},
			map[string]any{"sub": "ada", "roles": []string{"editor", "admin"}}, map[string]any{"sub": "ada", "roles": []string{"editor"}}},
		"all roles": {map[string]any{"kind": "roles", "account": "ada", "roles": []string{}, "roles_n": 2},
			map[string]any{"sub": "ada"}, map[string]any{"sub": "ada", "roles": []string{}}},
		// A token that has no roles is not one that says nothing of them, as an application's that may not know them.
		"the first role": {map[string]any{"kind": "roles", "account": "ada", "roles": []string{"editor"}, "roles_n": 2},
			map[string]any{"sub": "ada", "roles": []string{}}, map[string]any{"sub": "ada", "roles": nil}},
		"the first role, after null": {map[string]any{"kind": "roles", "account": "ada", "roles": []string{"editor"}, "roles_n": 2},
			map[string]any{"sub": "ada", "roles": json.RawMessage("null")}, map[string]any{"sub": "ada", "roles": []string{"editor"}}},
		"before": {map[string]any{"kind": "before", "before": now * 1e6},
			map[string]any{"auth_time": now - 1}, map[string]any{"auth_time": now}},
		"sessions_before": {map[string]any{"kind": "sessions_before", "slice": 0xcd, "issued_at": now - 5},
			map[string]any{"iat": now - 5}, map[string]any{"iat": now - 4}},
		"sessions_before of another slice": {map[string]any{"kind": "sessions_before", "slice": 0xcd, "issued_at": now},
			map[string]any{"iat": now}, map[string]any{"iat": now, "sid": other}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			v := i.verifier(verify.WithClient("app", "secret"))
			dead, alive := i.token(c.dead), i.token(c.alive)
			becomes(t, v, dead, nil)
			i.revoke(c.revoked)
			becomes(t, v, dead, verify.ErrRevoked)
			becomes(t, v, alive, nil)
			// Another application learns of it at the start.
			late := i.verifier(verify.WithClient("app", "secret"))
			if _, err := late.Verify(t.Context(), dead); !errors.Is(err, verify.ErrRevoked) {
				t.Errorf("at the start: %v", err)
			}
			becomes(t, late, alive, nil)
		})
	}
}

func TestJWT5_AKeyIsRevoked(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier(verify.WithClient("app", "secret"))
	token := i.token(nil)
	becomes(t, v, token, nil)
	i.revoke(map[string]any{"kind": "key", "id": i.keys[0].KeyID})
	becomes(t, v, token, verify.ErrRevoked)
}

// TestJWT5_TheLaterChangeOfRolesCounts, in whichever order they come.
func TestJWT5_TheLaterChangeOfRolesCounts(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier(verify.WithClient("app", "secret"))
	i.revoke(map[string]any{"kind": "roles", "account": "ada", "roles": []string{"editor"}, "roles_n": 3})
	i.revoke(map[string]any{"kind": "roles", "account": "ada", "roles": []string{"admin"}, "roles_n": 2})
	becomes(t, v, i.token(map[string]any{"sub": "ada", "roles": []string{"editor"}}), nil)
	becomes(t, v, i.token(map[string]any{"sub": "ada", "roles": []string{"admin"}}), verify.ErrRevoked)
}

// TestJWT5_AnUnknownKindEndsAll: a Gatehouse that is newer than the application
// takes something back that this does not understand.
func TestJWT5_AnUnknownKindEndsAll(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier(verify.WithClient("app", "secret"))
	token := i.token(nil)
	becomes(t, v, token, nil)
	i.revoke(map[string]any{"kind": "device", "id": "x"})
	becomes(t, v, token, verify.ErrRevoked)
	// Until it learns that this is over.
	i.mu.Lock()
	i.feed, i.reset = nil, true
	i.mu.Unlock()
	becomes(t, v, token, nil)
}

// TestJWT5_WhoCanNotKnowSaysSo: it is 503, and never 401; a token that is known to
// be revoked stays so. An application that asked for it goes on.
func TestJWT5_WhoCanNotKnowSaysSo(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	strict := i.verifier(verify.WithClient("app", "secret"))
	goesOn := i.verifier(verify.WithClient("app", "secret"), verify.WithStaleness(time.Hour))
	alive, dead := i.token(nil), i.token(map[string]any{"sid": "dead"})
	i.revoke(map[string]any{"kind": "session", "id": "dead"})
	for _, v := range []*verify.Verifier{strict, goesOn} {
		becomes(t, v, alive, nil)
		becomes(t, v, dead, verify.ErrRevoked)
	}
	i.goDown(true)
	becomes(t, strict, alive, verify.ErrUnavailable)
	becomes(t, strict, dead, verify.ErrRevoked)
	becomes(t, goesOn, alive, nil)
	becomes(t, goesOn, dead, verify.ErrRevoked)
	i.goDown(false)
	becomes(t, strict, alive, nil)
}

func TestJWT5_WrongCredentialsAreNoFreedom(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier(verify.WithClient("app", "wrong"))
	if _, err := v.Verify(t.Context(), i.token(nil)); !errors.Is(err, verify.ErrUnavailable) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("%v", err)
	}
}

// TestJWT5_ASilentNetworkIsNoFreedom: no error comes, and no answer. What is taken
// for good began within a second of the last answer.
func TestJWT5_ASilentNetworkIsNoFreedom(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	strict := i.verifier(verify.WithClient("app", "secret"))
	goesOn := i.verifier(verify.WithClient("app", "secret"), verify.WithStaleness(time.Hour))
	token := i.token(nil)
	becomes(t, strict, token, nil)
	becomes(t, goesOn, token, nil)
	i.silence()
	silent := time.Now()
	for refused := 0; refused < 3; {
		began := time.Now()
		_, err := strict.Verify(t.Context(), token)
		switch {
		case errors.Is(err, verify.ErrUnavailable):
			refused++
		case err != nil:
			t.Fatal(err)
		case began.Sub(silent) > time.Second:
			t.Fatalf("taken %v after the last answer", began.Sub(silent))
		}
	}
	if _, err := goesOn.Verify(t.Context(), token); err != nil {
		t.Errorf("it was to go on: %v", err)
	}
}

// TestJWT5_WhatIsOldOnArrivalIsOld: the answer is of a replica that has not asked
// its database for too long.
func TestJWT5_WhatIsOldOnArrivalIsOld(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.age = 5 * time.Second
	v := i.verifier(verify.WithClient("app", "secret"))
	if _, err := v.Verify(t.Context(), i.token(nil)); !errors.Is(err, verify.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
