package password

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Strength is what there is to say about a password that somebody is choosing.
type Strength struct {
	// Acceptable says that the policy takes it.
	Acceptable bool
	// Score is from 0, guessed at once, to 4, practically unguessable. One that is not
	// acceptable has 1 at most.
	Score int
	// Bits is how much there is to guess, as the logarithm to base 2.
	Bits int
	// Findings are why the policy does not take it; Advice is what would make it
	// better, a sentence each.
	Findings []*fault.Error
	Advice   []string
	// Made are the names of what makes it easy to guess, for advice in other languages: common, personal,
	// repeat, sequence, keys, year.
	Made []string
}

// Strength judges a password. It errs on the low side for long ones. Where
// p.Breaches can't be asked it goes by the rest: it is advice.
func (p Policy) Strength(ctx context.Context, password string, about ...string) Strength {
	findings, _ := p.Findings(ctx, "password", password, about...)
	bits, made := guessBits(Normalize(password), contextWords(p.Site, about))
	s := Strength{Acceptable: len(findings) == 0, Findings: findings, Bits: int(bits), Score: score(bits)}
	if !s.Acceptable {
		s.Score = min(s.Score, 1)
	}
	s.Advice = advice(s, made)
	for _, p := range made {
		s.Made = append(s.Made, string(p))
	}
	return s
}

// score puts the bits into five classes. Who has stolen a hash of the default
// cost, and has a thousand cores, goes through 45 bits in some hundred years.
func score(bits float64) int {
	for i, least := range []float64{20, 33, 45, 60} {
		if bits < least {
			return i
		}
	}
	return 4
}

// advice says what would make a password better that is not the best already.
func advice(s Strength, made []piece) []string {
	var out []string
	for _, f := range s.Findings {
		out = append(out, f.Message)
	}
	if s.Acceptable && s.Score == 4 {
		return out
	}
	for _, p := range made {
		out = append(out, sayings[p])
	}
	if s.Acceptable {
		out = append(out, "Add another word or two that have nothing to do with the others.")
	}
	return out
}

// sayings are about the pieces of passwords that are easy to guess.
var sayings = map[piece]string{
	common:   "It has words, names or passwords that are in every guesser's list. Several that don't belong together are fine; one with digits behind it is not.",
	personal: "It has this service's name, your name or a part of your address, which are tried first.",
	repeat:   "It has the same over and over, which adds little.",
	sequence: "It has a sequence such as abc or 6543, which adds little.",
	keys:     "It has a row of neighbouring keys, which guessers try early.",
	year:     "It has a year, of which there are few.",
}
