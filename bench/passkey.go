package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

const (
	// keyHolders is how many accounts sign in by passkeys, one after another; keyClients from how many places at once.
	keyHolders = 64
	keyClients = 16
	// keyFlood is how many a second strangers send: a network may ten times a second, so they are of thirty.
	keyFlood = 300
	// keyGoal is the least of one core's sign-ins to its bare checks: 300 a second, where it makes 17,200 of those.
	keyGoal = 0.0175
)

const (
	keyOptions = "/v1/login/passkey/options"
	keySignIn  = "/v1/login/passkey"
)

// passkey measures sign-ins by a passkey alone, each with its own challenge, on a server that has one core.
func (r *run) passkey(ctx context.Context) ([]Measure, error) {
	path, _, err := r.sqlite(ctx, people, 0)
	if err != nil {
		return nil, err
	}
	holders, err := givePasskeys(ctx, "sqlite:"+path, master, keyHolders)
	if err != nil {
		return nil, err
	}
	p, err := r.startGatehouse(ctx, "sqlite:"+path, "GOMAXPROCS=1")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	signIns := r.perSecond(p, bench.Load{Scenario: bench.Own, Clients: keyClients, Own: signsIn(p, holders)})
	what := fmt.Sprintf("sign-ins by a passkey alone on SQLite, %d clients, one core : ", keyClients)
	note := "its two calls, and the client that signs on the other core"
	checks, err := r.duel(ctx, Measure{
		Name: "passkey", What: what + "ES256 signatures checked on one core, and no more", Unit: "a second", Note: note, AtLeast: keyGoal,
	}, signIns, func(context.Context) (float64, error) { return bareChecks(r.turn) })
	if err != nil {
		return nil, err
	}
	hashes, err := r.duel(ctx, Measure{Name: "passkey", What: what + "bcrypt at cost 12 on one core, of which it takes none", Unit: "a second", AtLeast: 20},
		signIns, func(context.Context) (float64, error) { return bareHashes(12, r.turn) })
	if err != nil {
		return nil, err
	}
	return []Measure{checks, hashes}, nil
}

// signsIn asks for a challenge and answers it with the next account's passkey.
func signsIn(p *process, holders []*authenticator) func(int, bench.Send) (int, error) {
	return func(turn int, send bench.Send) (int, error) {
		challenge, status, err := challengeOf(send)
		if err != nil || status != http.StatusOK {
			return status, err
		}
		body, err := holders[turn%len(holders)].answer(p.url.String(), challenge)
		if err != nil {
			return 0, err
		}
		status, _, err = send(http.MethodPost, keySignIn, body)
		return status, err
	}
}

func challengeOf(send bench.Send) (challenge string, status int, err error) {
	status, answer, err := send(http.MethodPost, keyOptions, []byte("{}"))
	if err != nil || status != http.StatusOK {
		return "", status, err
	}
	var options struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
		} `json:"publicKey"`
	}
	err = json.Unmarshal(answer, &options)
	return options.PublicKey.Challenge, status, err
}

// passkeyFlood compares refreshes at a fixed rate alone with the same while strangers ask for challenges, and while they
// send assertions of a passkey that nobody has, all in order but for that: each is looked up, checked and logged, since no
// limit keeps them off. They come at a rate, or there would be as many as the machine can answer, and no processor left.
func (r *run) passkeyFlood(ctx context.Context) ([]Measure, error) {
	return r.each(ctx, nil, func(s *served) ([]Measure, error) {
		stranger, err := newAuthenticator()
		if err != nil {
			return nil, err
		}
		junk := signsIn(s.process, []*authenticator{stranger})
		var out []Measure
		for _, f := range []struct {
			what string
			load bench.Load
		}{
			{"ask for challenges", bench.Load{Own: func(_ int, send bench.Send) (int, error) { _, status, err := challengeOf(send); return status, err }}},
			{"send assertions of an unknown passkey", bench.Load{Own: junk}},
		} {
			f.load.Scenario, f.load.Clients, f.load.Rate = bench.Own, flooders, keyFlood
			light := []bench.Scenario{bench.Refresh}
			idle, under, outcomes, err := r.flooded(ctx, s, light, f.load)
			if err != nil {
				return nil, err
			}
			what := fmt.Sprintf("p99 of refresh at %d/s on %s while strangers %s, %d a second : idle", lightRate, s.database, f.what, keyFlood)
			out = append(out, floodMeasure("passkey-flood", what,
				fmt.Sprintf("meanwhile, by status: %v", outcomes), idle[0], under[0]))
		}
		return out, nil
	})
}
