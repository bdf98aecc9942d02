package factor_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor/passkeytest"
)

const (
	ourHost   = "login.example.org"
	ourOrigin = "https://login.example.org"
)

var honest = passkeytest.Browser{Origin: ourOrigin, RPID: ourHost}

func passkeys(t testing.TB, keys ...[]byte) *factor.Passkeys {
	t.Helper()
	if keys == nil {
		keys = [][]byte{bytes.Repeat([]byte{7}, secret.KeySize)}
	}
	ring := func() [][]byte { return keys }
	p, err := factor.NewPasskeys(factor.NewStore(ring, secret.Random{}), factor.NewChallenges(ring, 1, secret.Random{}),
		factor.RelyingParty{ID: ourHost, Name: "Example", Origins: []string{ourOrigin, "android:apk-key-hash:AAAA"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// made registers a key, and returns the passkey.
func made(t testing.TB, p *factor.Passkeys, k *passkeytest.Key, now time.Time, forge ...func(*passkeytest.Ceremony)) (factor.Passkey, error) {
	t.Helper()
	options := p.Creation(factor.User{Name: "anna@example.org"}, k.Handle, nil, "session", now)
	r, err := factor.ParseRegistration(honest.Create(k, options.Challenge, forge...))
	if err != nil {
		return factor.Passkey{}, err
	}
	return p.Made(r, "account", k.Handle, "session", now)
}

// judged signs in with a key, alone or behind a password.
func judged(p *factor.Passkeys, k *passkeytest.Key, row factor.Passkey, alone bool, now time.Time, forge ...func(*passkeytest.Ceremony)) (factor.Use, error) {
	challenge, to := p.Alone(now).Challenge, factor.Asked{Purpose: factor.SignsIn}
	if !alone {
		challenge, to = p.Behind(nil, "pending", now).Challenge, factor.Asked{Purpose: factor.Steps, Binding: "pending"}
	}
	a, err := factor.ParseAssertion(honest.Get(k, challenge, forge...))
	if err != nil {
		return factor.Use{}, err
	}
	if err := p.Answers(a, to, now); err != nil {
		return factor.Use{}, err
	}
	return p.Judge(a, row, handle, alone)
}

var handle = bytes.Repeat([]byte{9}, factor.HandleSize)

func set(member string, v any) func(*passkeytest.Ceremony) {
	return func(c *passkeytest.Ceremony) { c.ClientData[member] = v }
}

func flags(f byte) func(*passkeytest.Ceremony) {
	return func(c *passkeytest.Ceremony) { c.Flags = f }
}

func answer(f func(answer, response map[string]any)) func(*passkeytest.Ceremony) {
	return func(c *passkeytest.Ceremony) {
		c.Answer = func(a map[string]any) { f(a, a["response"].(map[string]any)) }
	}
}

const (
	present, verified, eligible, backedUp = passkeytest.Present, passkeytest.Verified, passkeytest.Eligible, passkeytest.BackedUp
	attested, extended                    = passkeytest.Attested, passkeytest.Extended
)

// What honest browsers and authenticators say that is not the plainest.
func TestHonestAnswersAreTaken(t *testing.T) {
	p, now := passkeys(t), time.Now()
	for _, algorithm := range []int{passkeytest.ES256, passkeytest.EdDSA, passkeytest.RS256} {
		k := passkeytest.NewKey(t, algorithm, handle)
		row, err := made(t, p, k, now)
		if err != nil {
			t.Fatalf("algorithm %d: %v", algorithm, err)
		}
		if !row.Verifies || !row.Discoverable || row.Eligible || row.RPID != ourHost || !bytes.Equal(row.Credential, k.ID) || row.Name != "Passkey" {
			t.Errorf("algorithm %d: %+v", algorithm, row)
		}
		for name, forge := range map[string]func(*passkeytest.Ceremony){
			"plain":                      func(*passkeytest.Ceremony) {},
			"a member that nobody knows": set("new_keys_may_be_added_here", "do not compare clientDataJSON against a template"),
			"the app's origin":           set("origin", "android:apk-key-hash:AAAA"),
			"synced":                     flags(present | verified | eligible | backedUp),
			"eligible":                   flags(present | verified | eligible),
			"a count":                    func(c *passkeytest.Ceremony) { c.Counter = 7 },
			"extensions that nobody asked of": func(c *passkeytest.Ceremony) {
				c.Flags |= extended
				c.After = passkeytest.CBOR(passkeytest.Map{{"x", true}})
			},
			"members that clients add": answer(func(a, r map[string]any) { a["new"], r["new"] = 1, 2 }),
			"outputs of extensions":    answer(func(a, _ map[string]any) { a["clientExtensionResults"] = map[string]any{"appid": false, "x": 1} }),
		} {
			if _, err := judged(p, k, row, true, now, forge); err != nil {
				t.Errorf("algorithm %d, %s: %v", algorithm, name, err)
			}
			if _, err := judged(p, k, row, false, now, forge); err != nil {
				t.Errorf("algorithm %d, %s, behind a password: %v", algorithm, name, err)
			}
		}
		touched := flags(present)
		if _, err := judged(p, k, row, false, now, touched, answer(func(_, r map[string]any) { delete(r, "userHandle") })); err != nil {
			t.Errorf("algorithm %d: a key that was touched, behind a password: %v", algorithm, err)
		}
	}
	for name, forge := range map[string]func(*passkeytest.Ceremony){
		"only touched": flags(present | attested),
		"a statement of a format": func(c *passkeytest.Ceremony) {
			c.Format, c.Statement = "packed", passkeytest.Map{{"alg", -7}, {"sig", []byte("x")}}
		},
		"a format of tomorrow":    func(c *passkeytest.Ceremony) { c.Format, c.Statement = "tomorrow", passkeytest.Map{{"x", "y"}} },
		"an output unasked":       answer(func(a, _ map[string]any) { a["clientExtensionResults"] = map[string]any{"x": 1} }),
		"a transport of tomorrow": answer(func(_, r map[string]any) { r["transports"] = []string{"thought"} }),
		"extensions that it added": func(c *passkeytest.Ceremony) {
			c.Flags |= extended
			c.After = passkeytest.CBOR(passkeytest.Map{{"credProtect", 2}})
		},
	} {
		if _, err := made(t, p, passkeytest.NewKey(t, passkeytest.ES256, handle), now, forge); err != nil {
			t.Errorf("registering with %s: %v", name, err)
		}
	}
}

// forged are changes that every ceremony refuses.
func forged(p *factor.Passkeys, now time.Time) map[string]func(*passkeytest.Ceremony) {
	foreign := passkeytest.Base64(bytes.Repeat([]byte{1}, 40))
	past := func(d time.Duration, purpose factor.Purpose, binding string) string {
		return passkeytest.Base64(p.New(purpose, binding, now.Add(d)))
	}
	return map[string]func(*passkeytest.Ceremony){
		"a challenge of somebody else":            set("challenge", foreign),
		"an empty challenge":                      set("challenge", ""),
		"no challenge":                            func(c *passkeytest.Ceremony) { delete(c.ClientData, "challenge") },
		"a challenge in padding":                  func(c *passkeytest.Ceremony) { c.ClientData["challenge"] = c.ClientData["challenge"].(string) + "=" },
		"a challenge with a line's end":           func(c *passkeytest.Ceremony) { c.ClientData["challenge"] = c.ClientData["challenge"].(string) + "\n" },
		"a challenge that is longer":              func(c *passkeytest.Ceremony) { c.ClientData["challenge"] = c.ClientData["challenge"].(string) + "AAAA" },
		"a challenge with another time":           later,
		"a challenge for a new passkey of others": set("challenge", past(0, factor.Adds, "another session")),
		"a challenge of another pending sign-in":  set("challenge", past(0, factor.Steps, "another")),
		"a sibling's origin":                      set("origin", "https://evil.example.org"),
		"a subdomain's origin":                    set("origin", "https://x.login.example.org"),
		"the parent's origin":                     set("origin", "https://example.org"),
		"another port":                            set("origin", ourOrigin+":8443"),
		"the default port":                        set("origin", ourOrigin+":443"),
		"http":                                    set("origin", "http://login.example.org"),
		"an origin with a path":                   set("origin", ourOrigin+"/path"),
		"an origin with a slash":                  set("origin", ourOrigin+"/"),
		"an origin with a user's name":            set("origin", "https://user@login.example.org"),
		"an origin in capitals":                   set("origin", "https://LOGIN.example.org"),
		"an origin with a query":                  set("origin", ourOrigin+"?x"),
		"an empty origin":                         set("origin", ""),
		"the origin null":                         set("origin", "null"),
		"another app's origin":                    set("origin", "android:apk-key-hash:BBBB"),
		"an app's origin in other case":           set("origin", "android:apk-key-hash:aaaa"),
		"a frame of another site":                 set("crossOrigin", true),
		"a frame with its top": func(c *passkeytest.Ceremony) {
			c.ClientData["crossOrigin"], c.ClientData["topOrigin"] = true, ourOrigin
		},
		"a top without a frame":  set("topOrigin", ourOrigin),
		"an empty top":           set("topOrigin", ""),
		"another type":           set("type", "payment.get"),
		"a token's binding":      set("tokenBinding", map[string]any{"status": "x"}),
		"another RP ID":          func(c *passkeytest.Ceremony) { c.RPID = "example.org" },
		"the RP ID of a sibling": func(c *passkeytest.Ceremony) { c.RPID = "evil.example.org" },
		"nobody there":           func(c *passkeytest.Ceremony) { c.Flags &^= present },
		"a copy that may be none": func(c *passkeytest.Ceremony) {
			c.Flags = c.Flags&^eligible | backedUp
		},
		"rubbish behind the data":     func(c *passkeytest.Ceremony) { c.After = []byte{1, 2, 3} },
		"extensions that are not":     func(c *passkeytest.Ceremony) { c.Flags |= extended },
		"extensions that are rubbish": func(c *passkeytest.Ceremony) { c.Flags |= extended; c.After = []byte{0xff} },
		"client data that is no JSON": func(c *passkeytest.Ceremony) { c.RawClientData = []byte("{") },
		"client data that is a list":  func(c *passkeytest.Ceremony) { c.RawClientData = []byte("[]") },
		"no client data":              answer(func(_, r map[string]any) { delete(r, "clientDataJSON") }),
		"no response":                 answer(func(a, _ map[string]any) { delete(a, "response") }),
		"no id":                       answer(func(a, _ map[string]any) { delete(a, "id") }),
		"no rawId":                    answer(func(a, _ map[string]any) { delete(a, "rawId") }),
		"another id":                  answer(func(a, _ map[string]any) { a["id"] = passkeytest.Base64([]byte("another")) }),
		"the id of another": answer(func(a, _ map[string]any) {
			a["id"], a["rawId"] = passkeytest.Base64([]byte("x")), passkeytest.Base64([]byte("x"))
		}),
		"another type of credential":   answer(func(a, _ map[string]any) { a["type"] = "password" }),
		"an answer that is too long":   answer(func(a, _ map[string]any) { a["x"] = strings.Repeat("x", 20<<10) }),
		"client data of another shape": func(c *passkeytest.Ceremony) { c.RawClientData = []byte(`{"type":1}`) },
	}
}

// later makes the challenge's time one that we did not write.
func later(c *passkeytest.Ceremony) {
	b, _ := base64.RawURLEncoding.DecodeString(c.ClientData["challenge"].(string))
	binary.BigEndian.PutUint64(b[16:], binary.BigEndian.Uint64(b[16:])+1e6)
	c.ClientData["challenge"] = passkeytest.Base64(b)
}

func TestForgedAssertionsAreRefused(t *testing.T) {
	p, now := passkeys(t), time.Now()
	k := passkeytest.NewKey(t, passkeytest.ES256, handle)
	row, err := made(t, p, k, now)
	if err != nil {
		t.Fatal(err)
	}
	other := passkeytest.NewKey(t, passkeytest.ES256, handle)
	all := forged(p, now)
	all["a new passkey's type"] = set("type", "webauthn.create")
	all["the signature of another key"] = func(c *passkeytest.Ceremony) {
		c.Sign = func([]byte) []byte { return signedBy(other, p, now) }
	}
	all["no signature"] = func(c *passkeytest.Ceremony) { c.Sign = func([]byte) []byte { return nil } }
	all["a signature cut off"] = func(c *passkeytest.Ceremony) { c.Sign = func(s []byte) []byte { return s[:len(s)-1] } }
	all["a signature with a tail"] = func(c *passkeytest.Ceremony) { c.Sign = func(s []byte) []byte { return append(s, 0) } }
	all["the signature of zeros"] = func(c *passkeytest.Ceremony) {
		c.Sign = func([]byte) []byte { return []byte{0x30, 6, 2, 1, 0, 2, 1, 0} }
	}
	all["flags changed after the signature"] = answer(func(_, r map[string]any) {
		b, _ := base64.RawURLEncoding.DecodeString(r["authenticatorData"].(string))
		b[32] |= eligible
		r["authenticatorData"] = passkeytest.Base64(b)
	})
	all["client data changed after the signature"] = answer(func(_, r map[string]any) {
		b, _ := base64.RawURLEncoding.DecodeString(r["clientDataJSON"].(string))
		r["clientDataJSON"] = passkeytest.Base64(append(b, ' '))
	})
	all["authenticator data cut off"] = answer(func(_, r map[string]any) { r["authenticatorData"] = passkeytest.Base64(make([]byte, 36)) })
	all["the handle of another"] = answer(func(_, r map[string]any) { r["userHandle"] = passkeytest.Base64([]byte("another")) })
	all["attested data in a sign-in"] = func(c *passkeytest.Ceremony) { c.Flags |= attested }
	for _, alone := range []bool{true, false} {
		for name, forge := range all {
			if _, err := judged(p, k, row, alone, now, forge); !errors.Is(err, factor.ErrInvalidPasskey) && !errors.Is(err, factor.ErrChallengeExpired) {
				t.Errorf("%s (alone %v): %v", name, alone, err)
			}
		}
	}
	for name, forge := range map[string]func(*passkeytest.Ceremony){
		"only touched":        flags(present),
		"no user handle":      answer(func(_, r map[string]any) { delete(r, "userHandle") }),
		"an empty handle":     answer(func(_, r map[string]any) { r["userHandle"] = "" }),
		"for a second step":   set("challenge", passkeytest.Base64(p.New(factor.Steps, "pending", now))),
		"for another purpose": set("challenge", passkeytest.Base64(p.New(factor.Adds, "", now))),
	} {
		if _, err := judged(p, k, row, true, now, forge); !errors.Is(err, factor.ErrInvalidPasskey) {
			t.Errorf("%s, alone: %v", name, err)
		}
	}
	if _, err := judged(p, k, row, false, now, set("challenge", p.Alone(now).Challenge)); !errors.Is(err, factor.ErrInvalidPasskey) {
		t.Errorf("a challenge of a sign-in alone, behind a password: %v", err)
	}
	if _, err := judged(p, other, row, true, now); !errors.Is(err, factor.ErrInvalidPasskey) {
		t.Errorf("another key: %v", err)
	}
	elsewhere := row
	elsewhere.RPID = "old.example.org"
	if _, err := judged(p, k, elsewhere, true, now); !errors.Is(err, factor.ErrInvalidPasskey) {
		t.Errorf("a passkey that rests: %v", err)
	}
}

// signedBy is a good signature of another key, over its own ceremony.
func signedBy(k *passkeytest.Key, p *factor.Passkeys, now time.Time) (signature []byte) {
	honest.Get(k, p.Alone(now).Challenge, func(c *passkeytest.Ceremony) {
		c.Sign = func(s []byte) []byte { signature = s; return s }
	})
	return signature
}

func TestForgedRegistrationsAreRefused(t *testing.T) {
	p, now := passkeys(t), time.Now()
	all := forged(p, now)
	es256 := func(curve int, x, y []byte) []byte {
		return passkeytest.CBOR(passkeytest.Map{{1, 2}, {3, -7}, {-1, curve}, {-2, x}, {-3, y}})
	}
	rsaKey := func(n, e []byte) []byte {
		return passkeytest.CBOR(passkeytest.Map{{1, 3}, {3, -257}, {-1, n}, {-2, e}})
	}
	odd := func(bits int) []byte {
		b := bytes.Repeat([]byte{0xff}, bits/8)
		return b
	}
	for name, cose := range map[string][]byte{
		"no key":                      {},
		"a key that is rubbish":       {0xff},
		"a point off the curve":       es256(1, bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{1}, 32)),
		"the point at infinity":       es256(1, make([]byte, 32), make([]byte, 32)),
		"a point of another curve":    es256(2, bytes.Repeat([]byte{1}, 48), bytes.Repeat([]byte{1}, 48)),
		"a short point":               es256(1, []byte{1}, []byte{1}),
		"an algorithm not offered":    passkeytest.NewKey(t, passkeytest.ES384, handle).COSE(),
		"an algorithm of tomorrow":    passkeytest.CBOR(passkeytest.Map{{1, 2}, {3, -999}}),
		"a key without its algorithm": passkeytest.CBOR(passkeytest.Map{{1, 2}, {-1, 1}}),
		"another type of key":         passkeytest.CBOR(passkeytest.Map{{1, 1}, {3, -7}, {-1, 6}, {-2, make([]byte, 32)}}),
		"a shared secret":             passkeytest.CBOR(passkeytest.Map{{1, 4}, {3, -7}, {-1, make([]byte, 32)}}),
		"a small modulus":             rsaKey(odd(1024), []byte{1, 0, 1}),
		"a huge modulus":              rsaKey(odd(8192), []byte{1, 0, 1}),
		"an even modulus":             rsaKey(append(odd(2040), 0xfe), []byte{1, 0, 1}),
		"the exponent 1":              rsaKey(odd(2048), []byte{1}),
		"the exponent 2":              rsaKey(odd(2048), []byte{2}),
		"a huge exponent":             rsaKey(odd(2048), bytes.Repeat([]byte{1}, 5)),
	} {
		all[name] = func(c *passkeytest.Ceremony) { c.COSE = cose }
	}
	all["a sign-in's type"] = set("type", "webauthn.get")
	all["a challenge of a sign-in"] = set("challenge", p.Alone(now).Challenge)
	all["no attested data"] = func(c *passkeytest.Ceremony) { c.Flags &^= attested }
	all["an id that was not attested"] = func(c *passkeytest.Ceremony) { c.AttestedID = []byte("another") }
	all["an id that is too long"] = func(c *passkeytest.Ceremony) {
		c.AttestedID = bytes.Repeat([]byte{1}, 1024)
		c.Answer = func(a map[string]any) {
			a["id"], a["rawId"] = passkeytest.Base64(c.AttestedID), passkeytest.Base64(c.AttestedID)
		}
	}
	all["an object that is rubbish"] = answer(func(_, r map[string]any) { r["attestationObject"] = passkeytest.Base64([]byte{0xff}) })
	all["an object of another shape"] = answer(func(_, r map[string]any) {
		r["attestationObject"] = passkeytest.Base64(passkeytest.CBOR(passkeytest.Map{{"fmt", "none"}}))
	})
	k := passkeytest.NewKey(t, passkeytest.ES256, handle)
	for name, forge := range all {
		if _, err := made(t, p, k, now, forge); !errors.Is(err, factor.ErrInvalidPasskey) && !errors.Is(err, factor.ErrChallengeExpired) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(all); n < 50 {
		t.Errorf("only %d forgeries", n)
	}
}

func TestChallenges(t *testing.T) {
	now := time.Now()
	old, newer := bytes.Repeat([]byte{1}, secret.KeySize), bytes.Repeat([]byte{2}, secret.KeySize)
	p := passkeys(t, old)
	k := passkeytest.NewKey(t, passkeytest.ES256, handle)
	row, err := made(t, p, k, now)
	if err != nil {
		t.Fatal(err)
	}
	a, err := factor.ParseAssertion(honest.Get(k, p.Alone(now).Challenge))
	if err != nil {
		t.Fatal(err)
	}
	to := factor.Asked{Purpose: factor.SignsIn}
	for name, c := range map[string]struct {
		p    *factor.Passkeys
		at   time.Duration
		want error
	}{
		"at once":                       {p, 0, nil},
		"after nearly ten minutes":      {p, factor.ChallengeLife - time.Second, nil},
		"after ten minutes":             {p, factor.ChallengeLife, factor.ErrChallengeExpired},
		"after a year":                  {p, 8760 * time.Hour, factor.ErrChallengeExpired},
		"by a clock that is behind":     {p, -59 * time.Second, nil},
		"by a clock that is far behind": {p, -61 * time.Second, factor.ErrInvalidPasskey},
		"with a newer key beside it":    {passkeys(t, old, newer), 0, nil},
		"with another key":              {passkeys(t, newer), 0, factor.ErrInvalidPasskey},
	} {
		if err := c.p.Answers(a, to, now.Add(c.at)); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	ring := func() [][]byte { return [][]byte{old} }
	restored, err := factor.NewPasskeys(factor.NewStore(ring, secret.Random{}), factor.NewChallenges(ring, 2, secret.Random{}), p.Party)
	if err != nil {
		t.Fatal(err)
	}
	if err := restored.Answers(a, to, now); !errors.Is(err, factor.ErrInvalidPasskey) {
		t.Errorf("after a restore: %v", err)
	}
	if u, err := p.Judge(a, row, handle, true); err != nil || !slices.Equal(u.Challenge, a.Challenge()) {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestAnUnknownPasskeyCostsAsMuch(t *testing.T) {
	p, now := passkeys(t), time.Now()
	k := passkeytest.NewKey(t, passkeytest.ES256, handle)
	for _, alone := range []bool{true, false} {
		a, err := factor.ParseAssertion(honest.Get(k, p.Alone(now).Challenge))
		if err != nil {
			t.Fatal(err)
		}
		err = p.JudgeNobody(a, alone)
		if !errors.Is(err, factor.ErrInvalidPasskey) || !strings.Contains(errors.Unwrap(err).Error(), "signature") {
			t.Errorf("alone %v: %v: the signature was not looked at", alone, errors.Unwrap(err))
		}
	}
}
