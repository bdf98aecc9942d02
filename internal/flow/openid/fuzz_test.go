package openid

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
)

var testKey = bytes.Repeat([]byte{7}, secret.KeySize)

// FuzzUnseal: nobody makes a request but we, and one of ours comes back as it was.
func FuzzUnseal(f *testing.F) {
	now := time.Unix(1_000_000, 0)
	// The fuzzer runs this in several processes: what is good is the same in each.
	good, err := seal(secret.Random{Reader: bytes.NewReader(make([]byte, 64))}, testKey, Request{Client: "app", Scope: []string{"openid"}, At: now.Unix()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, "state", int64(0))
	f.Add("", "\x00<", int64(3601))
	f.Add(good[:32]+"\n"+good[32:], "", int64(0))
	f.Fuzz(func(t *testing.T, text, state string, age int64) {
		if _, err := unseal(testKey, text, now); err == nil && text != good {
			t.Fatalf("%q was made by nobody", text)
		} else if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
		if age < -1<<40 || age > 1<<40 {
			return
		}
		state = strings.ToValidUTF8(state, "?")
		sealed, err := seal(secret.Random{}, testKey, Request{Client: "app", State: state, At: now.Unix() - age})
		if RefusedOf(err) != nil { // it is longer than any address
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := unseal(testKey, sealed, now)
		if len(sealed) > mostSealed {
			return
		}
		if fresh := age <= 3600 && age >= -60; (err == nil) != fresh || fresh && r.State != state {
			t.Fatalf("%d s old: %v, %q", age, err, r.State)
		}
	})
}

// FuzzParse: whatever an application asks for is a request within bounds, or an error in OAuth's words.
func FuzzParse(f *testing.F) {
	f.Add("code", "openid", "S256", "y5UF_tmp_ICTDGza-Ou2vUvx2cu7DBN-Xwf_z0RDfTw", "login", "30", "query", "state",
		"https://api.example.org/ https://as.example.org/oauth2/userinfo")
	f.Add("token", "", "plain", "x", "none login", "-1", "web_message", strings.Repeat("x", 2000), "https://other.example.org/")
	f.Fuzz(func(t *testing.T, kind, scope, method, challenge, prompt, age, mode, state, resource string) {
		in := map[string]string{
			"response_type": kind, "scope": scope, "code_challenge_method": method, "code_challenge": challenge, "prompt": prompt, "max_age": age,
			"response_mode": mode, "state": state, Repeated: resource,
		}
		can := targets{"https://as.example.org/oauth2/userinfo", client.Resources{
			"https://api.example.org/": {URI: "https://api.example.org/", Scopes: []client.Scope{{Name: "notes.read"}}},
		}}
		r, refused := parse(in, Request{Client: "app"}, client.Client{Type: client.SPA}, can)
		if refused != nil {
			said := refused.Code + refused.Description
			if strings.ContainsAny(said, "\"\\") || strings.ContainsFunc(said, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Fatalf("%q", refused.Description)
			}
			if !errors.As(error(refused), new(*Refused)) {
				t.Fatal("it is no error")
			}
			return
		}
		if kind != "code" || method != "S256" || len(r.Challenge) != 43 || len(r.Scope)+len(r.Resource) == 0 || len(r.State) > mostValue || r.MaxAge < 0 ||
			r.silent() && len(r.Prompt) > 1 {
			t.Fatalf("%+v was taken", r)
		}
		for _, uri := range r.Resource {
			if uri != can.userInfo && can.all[uri].URI == "" {
				t.Fatalf("%q was taken for a resource", uri)
			}
		}
		if grant.Has(r.scope(), "notes.read") && len(r.Resource) == 0 {
			t.Fatalf("a scope of no resource was taken: %+v", r)
		}
	})
}
