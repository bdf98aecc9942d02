package crashtest_test

import (
	"math"
	"testing"

	"github.com/anishathalye/porcupine"
)

// did is one call of a made-up history. Those with the same turn are concurrent.
func did(turn int64, c call, a answer) porcupine.Operation {
	o := porcupine.Operation{Call: 10 * turn, Return: 10*turn + 5, Input: c, Output: a}
	if a.lost {
		o.Return = math.MaxInt64
	}
	return o
}

func TestTheCheckerKnowsTheRules(t *testing.T) {
	var (
		t1, t2, t2b, t3 = token{"a", 1}, token{"b", 2}, token{"B", 2}, token{"c", 3}
		lost, no, yes   = answer{lost: true}, answer{}, answer{ok: true}
		gives           = func(t token) answer { return answer{ok: true, token: t} }
		use             = func(t token) call { return call{kind: refresh, token: t, graced: true} }
		late            = func(t token) call { return call{kind: refresh, token: t} }
		out, me         = call{kind: logout}, call{kind: alive}
		first           = did(0, call{kind: begin}, gives(t1))
	)
	for name, c := range map[string]struct {
		legal bool
		ops   []porcupine.Operation
	}{
		"a chain":                   {true, []porcupine.Operation{did(1, use(t1), gives(t2)), did(2, use(t2), gives(t3))}},
		"a good token is refused":   {false, []porcupine.Operation{did(1, use(t1), no)}},
		"a generation is skipped":   {false, []porcupine.Operation{did(1, use(t1), gives(t3))}},
		"a race has one successor":  {true, []porcupine.Operation{did(1, use(t1), gives(t2)), did(1, use(t1), gives(t2))}},
		"a race has two successors": {false, []porcupine.Operation{did(1, use(t1), gives(t2)), did(1, use(t1), gives(t2b))}},
		"both racers rotate":        {false, []porcupine.Operation{did(1, late(t1), gives(t2)), did(1, late(t1), gives(t3))}},
		"a late retry has a fresh one": {true,
			[]porcupine.Operation{did(1, use(t1), gives(t2)), did(2, late(t1), gives(t2b)), did(3, use(t2b), gives(t3))}},
		"a dead successor rotates": {false,
			[]porcupine.Operation{did(1, use(t1), gives(t2)), did(2, late(t1), gives(t2b)), did(3, use(t2), gives(t3))}},
		"a dead successor comes back": {false,
			[]porcupine.Operation{did(1, use(t1), gives(t2)), did(2, late(t1), gives(t2b)), did(3, late(t1), gives(t2))}},
		"an old token is taken": {false,
			[]porcupine.Operation{did(1, use(t1), gives(t2)), did(2, use(t2), gives(t3)), did(3, use(t1), gives(t2))}},
		"an old token ends the session": {true,
			[]porcupine.Operation{did(1, use(t1), gives(t2)), did(2, use(t2), gives(t3)), did(3, use(t1), no), did(4, use(t3), no), did(5, me, no)}},
		"an old token ends nothing": {false,
			[]porcupine.Operation{did(1, use(t1), gives(t2)), did(2, use(t2), gives(t3)), did(3, use(t1), no), did(4, me, yes)}},
		"a logout holds":                        {true, []porcupine.Operation{did(1, out, yes), did(2, use(t1), no), did(3, me, no)}},
		"a logout is forgotten":                 {false, []porcupine.Operation{did(1, out, yes), did(2, use(t1), gives(t2))}},
		"a logout is not seen":                  {false, []porcupine.Operation{did(1, out, yes), did(2, me, yes)}},
		"a refresh beside a logout":             {true, []porcupine.Operation{did(1, out, yes), did(1, use(t1), gives(t2)), did(2, use(t2), no)}},
		"a logout whose answer was lost":        {true, []porcupine.Operation{did(1, out, lost), did(2, me, yes), did(3, use(t1), no)}},
		"a lost logout is undone":               {false, []porcupine.Operation{did(1, out, lost), did(2, use(t1), no), did(3, me, yes)}},
		"a lost refresh, repeated":              {true, []porcupine.Operation{did(1, use(t1), lost), did(2, use(t1), gives(t2)), did(3, use(t2), gives(t3))}},
		"a lost refresh, retried":               {true, []porcupine.Operation{did(1, use(t1), lost), did(2, late(t1), gives(t2)), did(3, use(t2), gives(t3))}},
		"a lost refresh is refused again":       {false, []porcupine.Operation{did(1, use(t1), lost), did(2, use(t1), no)}},
		"a lost refresh counts twice":           {false, []porcupine.Operation{did(1, use(t1), lost), did(2, use(t1), gives(t3))}},
		"an acknowledged refresh is forgotten":  {false, []porcupine.Operation{did(1, use(t1), gives(t2)), did(2, use(t2), no)}},
		"an acknowledged refresh is done again": {false, []porcupine.Operation{did(1, use(t1), gives(t2)), did(2, use(t1), gives(t2b))}},
		"a lost retry may kill the successor later": {true,
			[]porcupine.Operation{did(1, use(t1), gives(t2)), did(2, late(t1), lost), did(3, me, yes), did(4, use(t2), no), did(5, me, no)}},
	} {
		if got := porcupine.CheckOperations(sessionModel, append([]porcupine.Operation{first}, c.ops...)); got != c.legal {
			t.Errorf("%s: legal is %v", name, got)
		}
	}

	join := func(p string) call { return call{kind: register, password: p} }
	enter := func(p string) call { return call{kind: signIn, password: p} }
	for name, c := range map[string]struct {
		legal bool
		ops   []porcupine.Operation
	}{
		"the first has it": {true,
			[]porcupine.Operation{did(1, join("p"), yes), did(2, join("q"), yes), did(3, enter("p"), yes), did(3, enter("q"), no)}},
		"the second has it": {false, []porcupine.Operation{did(1, join("p"), yes), did(2, join("q"), yes), did(3, enter("q"), yes)}},
		"one of two has it": {true,
			[]porcupine.Operation{did(1, join("p"), yes), did(1, join("q"), yes), did(3, enter("q"), yes), did(4, enter("p"), no)}},
		"nobody has it":                         {true, []porcupine.Operation{did(1, enter("p"), no)}},
		"nobody registered and somebody has it": {false, []porcupine.Operation{did(1, enter("p"), yes)}},
		"a registration is refused":             {false, []porcupine.Operation{did(1, join("p"), no)}},
		"a sign-in overtakes":                   {true, []porcupine.Operation{did(1, join("p"), yes), did(1, enter("p"), no), did(1, enter("p"), yes)}},
		"a lost one came before all": {true,
			[]porcupine.Operation{did(1, join("p"), lost), did(2, join("q"), yes), did(3, enter("q"), no), did(4, enter("p"), yes)}},
		"both have it": {false,
			[]porcupine.Operation{did(1, join("p"), yes), did(1, join("q"), yes), did(3, enter("q"), yes), did(4, enter("p"), yes)}},
		"an acknowledged account is missing":    {false, []porcupine.Operation{did(1, join("p"), yes), did(2, enter("p"), no)}},
		"a lost one never was, and comes later": {true, []porcupine.Operation{did(1, join("p"), lost), did(2, enter("p"), no), did(3, enter("p"), yes)}},
		"a lost one is gone again":              {false, []porcupine.Operation{did(1, join("p"), lost), did(2, enter("p"), yes), did(3, enter("p"), no)}},
	} {
		if got := addressIsExplained(c.ops); got != c.legal {
			t.Errorf("%s: legal is %v", name, got)
		}
	}
}
