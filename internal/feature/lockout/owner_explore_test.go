package lockout_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// place is a situation that was visited.
type place struct {
	situation
	how []string
	// next are where the moves lead, by their numbers; -1 for one that is refused.
	next []int
}

// explore visits all situations from one on, and returns them with the first rule that is broken, if any.
func (m *owners) explore(first situation) (all []*place, broken string) {
	m.t.Helper()
	found := map[string]int{first.key(): 0}
	all = []*place{{situation: first}}
	for i := 0; i < len(all); i++ {
		here := all[i]
		here.next = make([]int, len(moves))
		if broken = m.judge(here); broken != "" {
			return all, broken
		}
		for n, mv := range moves {
			here.next[n] = -1
			if !mv.may(m, here.situation) {
				continue
			}
			there, done := m.step(here.situation, mv)
			switch {
			case done:
			case mv.name == byApp && !m.reads && here.known(here.owner):
				return all, "a known browser is shut out: " + strings.Join(here.how, ", ")
			case mv.name == byRecovery:
				return all, "recovery codes are shut out: " + strings.Join(here.how, ", ")
			default:
				continue
			}
			at, seen := found[there.key()]
			if !seen {
				at = len(all)
				found[there.key()] = at
				all = append(all, &place{situation: there, how: append(slices.Clone(here.how), mv.name)})
			}
			here.next[n] = at
		}
	}
	return all, m.ways(all)
}

// step makes a move, in a transaction that is given up if it is refused.
func (m *owners) step(s situation, mv move) (there situation, done bool) {
	m.t.Helper()
	there = s
	write(m.t, m.d, func(tx *db.Tx) (err error) {
		if err = m.load(tx, s.rows); err == nil {
			there = s
			done, err = mv.do(m, tx, &there)
		}
		if err == nil && done {
			there.rows, err = m.save(tx)
		}
		return err
	})
	return there, done
}

// judge holds what must hold in every situation.
func (m *owners) judge(p *place) string {
	c := capsOf(m.reads)
	if p.now.strangers+p.before.strangers > c.unknown || p.now.known+p.before.known > c.known {
		return fmt.Sprintf("more codes are looked at than may be: %s", strings.Join(p.how, ", "))
	}
	if _, ok := m.step(p.situation, move{do: func(m *owners, tx *db.Tx, _ *situation) (bool, error) {
		_, err := m.s.Take(tx, lockout.Client{AddressKey: ada, Network: network(anotherNetwork)}, modelNow)
		if err != nil {
			return refused(err)
		}
		return true, nil
	}}); !ok {
		return "guessed codes keep a password out: " + strings.Join(p.how, ", ")
	}
	return ""
}

// ways reports a situation from which the owner, with nobody's help, does not get in: by the app, or, where the thief reads the mail
// as well, at all.
func (m *owners) ways(all []*place) string {
	open := make([]bool, len(all))
	for changed := true; changed; {
		changed = false
		for i, p := range all {
			if open[i] {
				continue
			}
			for n, at := range p.next {
				mv := moves[n]
				if at < 0 || !mv.owners || mv.name == byRecovery && !m.reads {
					continue
				}
				if mv.in || open[at] {
					open[i], changed = true, true
				}
			}
		}
	}
	if i := slices.Index(open, false); i >= 0 {
		return "the owner has no way in: " + strings.Join(all[i].how, ", ")
	}
	return ""
}

// play explores from where the owner's browser is known, or not.
func play(t *testing.T, d *db.DB, id string, r rules, reads bool) (states int, broken string) {
	t.Helper()
	s := store(patient)
	c := capsOf(reads)
	s.CapAt(c.unknown, c.known, c.device)
	m := &owners{t: t, d: d, s: s, id: id, rules: r, reads: reads}
	var known situation
	write(t, d, func(tx *db.Tx) (err error) {
		if err = m.load(tx, rows{}); err != nil {
			return err
		}
		known.owner = party{knows: true, cookie: s.NewDevice(tx, id, ada, modelNow)}
		if known.rows, err = m.save(tx); err == nil {
			err = tx.QueryRow(`SELECT account FROM known_device`).Scan(&m.home)
		}
		return err
	})
	for _, first := range []situation{known, {owner: party{knows: true}}} {
		all, broken := m.explore(first)
		if states += len(all); broken != "" {
			return states, broken
		}
	}
	return states, ""
}

func TestModelOfOwnerAndThief(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	id := account(t, d, ada)
	for _, reads := range []bool{false, true} {
		states, broken := play(t, d, id, rules{}, reads)
		t.Logf("the thief reads the mail: %t; %d states", reads, states)
		if broken != "" {
			t.Error(broken)
		}
	}
}

func TestTheModelOfOwnerAndThiefCatchesEveryMutant(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	id := account(t, d, ada)
	for name, c := range map[string]struct {
		rules rules
		want  string
	}{
		"a reset of the password clears the buckets":        {rules{resetClears: true}, "more codes are looked at"},
		"the password's step makes the browser known":       {rules{cookieAtPassword: true}, "a known browser is shut out"},
		"no mail has a link":                                {rules{noLink: true}, "the owner has no way in"},
		"a sign-in forgets what the present password's did": {rules{forgetsAll: true}, "more codes are looked at"},
		"recovery codes count as codes":                     {rules{countsRecovery: true}, "recovery codes are shut out"},
		"known browsers have no reserve":                    {rules{noReserve: true}, "shut out"},
	} {
		t.Run(name, func(t *testing.T) {
			var said []string
			for _, reads := range []bool{false, true} {
				_, broken := play(t, d, id, c.rules, reads)
				said = append(said, broken)
			}
			if !strings.Contains(strings.Join(said, "\n"), c.want) {
				t.Errorf("the model says: %q", said)
			}
			t.Logf("%q", said)
		})
	}
}
