package grant

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/test/mutant"
)

const (
	verifier = "a-verifier-of-forty-three-characters-or-more"
	callback = "https://app.example.org/cb"
)

// shop is a store of grants with a clock that the test sets, and one person's session.
type shop struct {
	*testing.T
	db *db.DB
	*Store
	now    time.Time
	holder Holder
}

func eachShop(t *testing.T, test func(s *shop)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k := bytes.Repeat([]byte{1}, secret.KeySize)
		c := Config{Idle: time.Hour, OfflineIdle: 24 * time.Hour, OfflineMax: 72 * time.Hour, Grace: 10 * time.Second, Retry: time.Minute}
		now := time.Now().Truncate(time.Second)
		test(&shop{
			T: t, db: d, Store: NewStore(c, rotation.Keys{MAC: k, Derive: k}, func() []byte { return k }, 1, secret.Random{}), now: now,
			holder: Holder{Account: "ada", SID: "sid", Roles: []string{"staff"}, AMR: []string{"pwd"}, AuthAt: now, MaxAt: now.Add(10 * time.Hour)},
		})
	})
}

func (s *shop) write(fn func(tx *db.Tx) error) {
	s.Helper()
	if err := s.db.Write(s.Context(), fn); err != nil {
		s.Fatal(err)
	}
}

// give gives a code of PKCE, or with none where the challenge is emptied.
func (s *shop) give(change ...func(*Asked)) (code Code) {
	s.Helper()
	a := Asked{Client: "app", Redirect: callback, Scope: "openid", Challenge: Challenge(verifier), Nonce: "the nonce"}
	for _, c := range change {
		c(&a)
	}
	s.write(func(tx *db.Tx) error {
		text, _, err := s.Give(tx, a, s.holder, s.now)
		if err != nil {
			return err
		}
		var ok bool
		if code, ok = s.ParseCode(text); !ok {
			s.Errorf("%q is no code", text)
		}
		return nil
	})
	return code
}

func (s *shop) exchange(e Exchanged) (g Grant, how Outcome) {
	s.Helper()
	s.write(func(tx *db.Tx) (err error) {
		g, how, err = s.Exchange(tx, e, s.now)
		return err
	})
	return g, how
}

// right is what its application brings with a code.
func right(code Code) Exchanged {
	return Exchanged{Code: code, Client: "app", Redirect: callback, Verifier: verifier}
}

func (s *shop) refresh(client, token string) (g Grant, turn rotation.Turn) {
	s.Helper()
	p, turn := s.Present(token)
	if turn != "" {
		return g, turn
	}
	s.write(func(tx *db.Tx) (err error) {
		g, turn, err = s.Rotate(tx, p, client, s.now)
		return err
	})
	return g, turn
}

func offline(a *Asked) { a.Offline = true }

// A code is exchanged by its application, with its redirect URI and verifier, within a minute and once. Whoever brings anything else changes
// nothing: neither is the code spent, nor does a later replay of theirs end the grant.
func TestASVS_V10_4_2_V10_4_3_V10_4_6_WhatACodeIsGoodFor(t *testing.T) {
	eachShop(t, func(s *shop) {
		code, other := s.give(), s.give()
		with := func(code Code, client, redirect, verifier string) Exchanged {
			return Exchanged{Code: code, Client: client, Redirect: redirect, Verifier: verifier}
		}
		wrong := map[string]Exchanged{
			"another application": with(code, "evil", callback, verifier), "another redirect URI": with(code, "app", callback+"/", verifier),
			"another verifier": with(code, "app", callback, verifier+"x"), "no verifier": with(code, "app", callback, ""),
			"neither": with(code, "app", "", ""), "a code of which only the grant is right": with(Code{code.id, other.secret}, "app", callback, verifier),
		}
		tryAll := func(when string) {
			t.Helper()
			for what, e := range wrong {
				if _, how := s.exchange(e); how != Refused {
					s.Errorf("%s, %s: %s", what, when, how)
				}
			}
		}
		tryAll("before")
		got, how := s.exchange(right(code))
		if how != Started || got.Refresh == "" || got.Account != "ada" || got.SID != "sid" || got.Nonce != "the nonce" || got.Scope != "openid" ||
			!slices.Equal(got.Roles, s.holder.Roles) || !got.AuthAt.Equal(s.now) || !got.Until.Equal(s.now.Add(time.Hour)) {
			s.Fatalf("%s %+v", how, got)
		}
		tryAll("after")
		if next, turn := s.refresh("app", got.Refresh); !turn.Good() {
			s.Errorf("what strangers tried has ended the grant: %s", turn)
		} else {
			got = next
		}
		if _, how := s.exchange(right(code)); how != Reused {
			s.Errorf("a second time: %s", how)
		}
		if _, how := s.exchange(right(code)); how != Refused {
			s.Errorf("a third time: %s", how)
		}
		if _, turn := s.refresh("app", got.Refresh); turn.Good() {
			s.Error("the grant goes on after its code was used twice")
		}
		if _, how := s.exchange(Exchanged{Code: other, Client: "app", Verifier: verifier}); how != Started { // OAuth 2.1: PKCE does without it
			s.Errorf("without a redirect URI: %s", how)
		}

		plain := s.give(func(a *Asked) { a.Challenge = "" })
		for what, e := range map[string]Exchanged{"a verifier without a challenge": right(plain), "nothing but the code": {Code: plain, Client: "app"}} {
			if _, how := s.exchange(e); how != Refused {
				s.Errorf("%s: %s", what, how)
			}
		}
		if _, how := s.exchange(Exchanged{Code: plain, Client: "app", Redirect: callback}); how != Started {
			s.Errorf("without PKCE: %s", how)
		}
	})
}

// A code ends after a minute, with its session, and when its grant is ended before; a second use is noticed for as long as the grant is known.
func TestASVS_V10_4_3_V10_4_9_WhenACodeEnds(t *testing.T) {
	eachShop(t, func(s *shop) {
		late, used, ended, last := s.give(), s.give(), s.give(), s.give()
		s.write(func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE client_grant SET ended_at = 1, ended_why = 'session' WHERE id = $1`, ended.Grant())
			return err
		})
		if _, how := s.exchange(right(ended)); how != Refused {
			s.Errorf("a code that was ended: %s", how)
		}
		if _, how := s.exchange(right(used)); how != Started {
			s.Errorf("a good code: %s", how)
		}
		s.now = s.now.Add(CodeLife - time.Second)
		if _, how := s.exchange(right(last)); how != Started {
			s.Errorf("in its last second: %s", how)
		}
		s.now = s.now.Add(time.Second)
		if _, how := s.exchange(right(late)); how != Refused {
			s.Errorf("after a minute: %s", how)
		}
		if _, how := s.exchange(right(used)); how != Reused {
			s.Errorf("a second use after a minute: %s", how)
		}
		s.holder.MaxAt = s.now.Add(30 * time.Second)
		short := s.give()
		s.now = s.now.Add(31 * time.Second)
		if _, how := s.exchange(right(short)); how != Refused {
			s.Errorf("a code of a session that is over: %s", how)
		}
	})
}

// A refresh token is its application's; it ends with its session's time, or lives for the offline time, and not before its code was exchanged.
func TestASVS_V10_4_5_V10_4_8_WhatARefreshTokenIsGoodFor(t *testing.T) {
	eachShop(t, func(s *shop) {
		online, _ := s.exchange(right(s.give()))
		away, _ := s.exchange(right(s.give(offline)))
		if !away.Offline || !away.Until.Equal(s.now.Add(24*time.Hour)) {
			s.Errorf("an offline grant: %+v", away)
		}
		if _, turn := s.refresh("evil", online.Refresh); turn != rotation.Refused {
			s.Errorf("another application's: %s", turn)
		}
		s.now = s.now.Add(50 * time.Minute)
		next, turn := s.refresh("app", online.Refresh)
		if !turn.Good() || !next.Until.Equal(s.now.Add(time.Hour)) {
			s.Fatalf("within the hour: %s %+v", turn, next)
		}
		s.now = s.now.Add(time.Hour)
		if _, turn := s.refresh("app", next.Refresh); turn != rotation.Refused {
			s.Errorf("after an idle hour: %s", turn)
		}
		back, turn := s.refresh("app", away.Refresh)
		if !turn.Good() || !back.Until.Equal(s.now.Add(24*time.Hour)) {
			s.Fatalf("offline: %s %+v", turn, back)
		}
		for range 3 { // 72 hours from its beginning, whatever it does
			s.now = s.now.Add(23 * time.Hour)
			if back, turn = s.refresh("app", back.Refresh); !turn.Good() {
				s.Fatalf("offline, in use: %s", turn)
			}
		}
		s.now = s.now.Add(3 * time.Hour)
		if _, turn := s.refresh("app", back.Refresh); turn != rotation.Refused {
			s.Errorf("offline, after its longest life: %s", turn)
		}

		// An old one that comes again, after the successor was used, is a theft; one from the future is a restored backup.
		stolen, _ := s.exchange(right(s.give(offline)))
		one, _ := s.refresh("app", stolen.Refresh)
		two, _ := s.refresh("app", one.Refresh)
		s.now = s.now.Add(2 * time.Minute)
		if _, turn := s.refresh("app", stolen.Refresh); turn != rotation.Reused {
			s.Errorf("an old refresh token: %s", turn)
		}
		if _, turn := s.refresh("app", two.Refresh); turn != rotation.Refused {
			s.Errorf("after that the newest: %s", turn)
		}
	})
}

// Of sixteen who exchange one code at once one gets tokens, one ends them, and the others find nothing.
func TestASVS_V10_4_2_SixteenExchangeACode(t *testing.T) {
	eachShop(t, func(s *shop) {
		for range 5 {
			code := s.give()
			var (
				mu    sync.Mutex
				wg    sync.WaitGroup
				count = map[Outcome]int{}
			)
			for range 16 {
				wg.Go(func() {
					var how Outcome
					err := s.db.Write(s.Context(), func(tx *db.Tx) (err error) {
						_, how, err = s.Exchange(tx, right(code), s.now)
						return err
					})
					if err != nil {
						s.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					count[how]++
				})
			}
			if wg.Wait(); count[Started] != 1 || count[Reused] != 1 || count[Refused] != 14 {
				s.Fatalf("%v", count)
			}
		}
	})
}

// mutants are mistakes one could make in the exchange and the rotation. The tests of this package must catch every one of them.
var mutants = []mutant.Mutant{
	{"a code is anybody's", "exchange.go", "AND client_id = $3 AND challenge", "AND challenge"},
	{"the verifier is not looked at", "exchange.go", "AND challenge = $5 AND", "AND"},
	{"the redirect URI is not looked at", "exchange.go", "AND (redirect_uri = $4 OR ($4 = '' AND challenge <> ''))", ""},
	{"the redirect URI may be missing without PKCE", "exchange.go", "($4 = '' AND challenge <> '')", "($4 = '')"},
	{"the redirect URI must be there with PKCE", "exchange.go", " OR ($4 = '' AND challenge <> '')", ""},
	{"the code itself is not looked at", "exchange.go", "id = $1 AND code = $2 AND", "id = $1 AND"},
	{"a code lives on", "exchange.go", "code_until > $6 AND max_at > $6)", "max_at > $6)"},
	{"a code outlives its session", "exchange.go", "code_until > $6 AND max_at > $6)", "code_until > $6)"},
	{"a second use is told from the minute on as nothing", "exchange.go", "(started_at IS NOT NULL OR code_until", "(code_until"},
	{"ended codes are exchanged", "exchange.go", "AND ended_at IS NULL AND (started_at", "AND (started_at"},
	{"a second use ends nothing", "exchange.go", "ended_at   = CASE WHEN started_at IS NULL THEN NULL ELSE $6 END", "ended_at   = ended_at"},
	{"a second use is not told", "exchange.go", "if row.EndedWhy != nil {", "if false {"},
	{"an offline grant idles as a session does", "exchange.go", "WHEN offline = 1 THEN $10 ELSE $9 END", "ELSE $9 END"},
	{"a session's grant idles as an offline one does", "exchange.go", "WHEN offline = 1 THEN $10 ELSE $9 END", "ELSE $10 END"},
	{"a refresh token is anybody's", "rotate.go", "AND client_id = $10 AND", "AND"},
	{"an idle grant lives on", "rotate.go", "AND ended_at IS NULL AND idle_at > $6 AND max_at > $6\nRETURNING", "AND ended_at IS NULL AND max_at > $6\nRETURNING"},
	{"a grant in use lives for ever", "rotate.go", "AND idle_at > $6 AND max_at > $6\nRETURNING", "AND idle_at > $6\nRETURNING"},
	{"reuse does not end the grant", "rotate.go", "THEN NULL ELSE $6 END,\n\tended_why", "THEN NULL ELSE NULL END,\n\tended_why"},
	{"a refresh does not prolong an offline grant", "rotate.go", "WHEN offline = 1 THEN $11 ELSE $9 END", "WHEN offline = 1 THEN idle_at ELSE $9 END"},
	{"an ended grant rotates", "rotate.go", "started_at IS NOT NULL AND ended_at IS NULL AND idle_at > $6 AND max_at > $6\nRETURNING",
		"started_at IS NOT NULL AND idle_at > $6 AND max_at > $6\nRETURNING"},
}

func TestTheTestsCatchEveryMutant(t *testing.T) {
	// SQLite alone is enough to judge by, and quicker.
	mutant.Judge(t, "ASVS/sqlite", mutants)
}
