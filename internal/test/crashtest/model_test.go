package crashtest_test

import (
	"strings"

	"github.com/anishathalye/porcupine"
)

// kind is what a client asked for.
type kind string

const (
	begin    kind = "begin" // a sign-in, as the first that is known of a session
	refresh  kind = "refresh"
	logout   kind = "logout"
	alive    kind = "alive" // GET /v1/me
	register kind = "register"
	signIn   kind = "sign in"
)

// call is one request, as the models see it.
type call struct {
	kind     kind
	token    token  // that is sent
	password string // of register and signIn
	// graced says that the grace for replaced tokens has certainly not run out.
	// Without it a replaced token may be a race or a retry: which of them hangs
	// on the server's clock.
	graced bool
}

// answer is what came back. A lost answer says nothing of what happened: not at
// all, before the answer got lost, or much later.
type answer struct {
	lost  bool
	ok    bool
	token token // of begin and refresh
}

// sessionState is a session by the rules of refresh tokens, as far as its
// clients can know it.
type sessionState struct {
	begun, ended bool
	generation   uint32
	current      string // empty if the answer that held it was lost
	predecessor  string
	// dead are the successors of the predecessor that a retry has replaced.
	dead string
}

// stepSession returns the states that a session may be in after a call with
// this answer. There is none if the answer breaks the rules.
func stepSession(s sessionState, c call, a answer) []sessionState {
	if !s.begun {
		if c.kind != begin || a.token.generation != 1 {
			return nil
		}
		return []sessionState{{begun: true, generation: 1, current: a.token.text}}
	}
	switch c.kind {
	case refresh:
		return stepRefresh(s, c, a)
	case logout:
		s.ended = true
		return when(a.lost || a.ok, s)
	case alive:
		return when(a.ok == !s.ended, s)
	}
	return nil
}

func stepRefresh(s sessionState, c call, a answer) []sessionState {
	refused := a.lost || !a.ok
	switch {
	case s.ended:
		return when(refused, s)
	case c.token.text == s.current:
		next := sessionState{begun: true, generation: s.generation + 1, current: a.token.text, predecessor: c.token.text}
		return when(a.grants(next.generation), next)
	case c.token.text != s.predecessor:
		s.ended = true // reuse
		return when(refused, s)
	case !a.grants(s.generation):
		return nil
	}
	var next []sessionState
	fresh := !s.isDead(a.token.text)
	// A race: the very same successor. If nobody has seen it yet, this is it.
	switch {
	case a.lost || a.token.text == s.current:
		next = append(next, s)
	case s.current == "" && fresh:
		raced := s
		raced.current = a.token.text
		next = append(next, raced)
	}
	// A retry: another successor, and the first one is dead.
	if !c.graced && (a.lost || a.token.text != s.current && fresh) {
		retried := s
		if s.current != "" {
			retried.dead += s.current + " "
		}
		retried.current = a.token.text
		next = append(next, retried)
	}
	return next
}

// grants reports whether the answer was lost, or gives a token of a generation.
func (a answer) grants(generation uint32) bool {
	return a.lost || a.ok && a.token.generation == generation
}

func (s sessionState) isDead(text string) bool {
	return text != "" && strings.Contains(s.dead, text+" ")
}

func when[S any](legal bool, s S) []S {
	if !legal {
		return nil
	}
	return []S{s}
}

// modelOf hands a step to porcupine.
func modelOf[S any](step func(S, call, answer) []S) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { var s S; return []any{s} },
		Step: func(state, input, output any) []any {
			var next []any
			for _, s := range step(state.(S), input.(call), output.(answer)) {
				next = append(next, s)
			}
			return next
		},
	}
	return m.ToModel()
}

var sessionModel = modelOf(stepSession)
