package incidents_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// errKilled is what a clock panics with that stands for a process that is killed when it looks at it.
var errKilled = errors.New("killed")

// attempt is one try at an action, on what is made for it alone.
type attempt struct {
	*harness.Server
	clock *harness.Clock
	desk  *respond.Desk
	n     int64
	// i is which try it is, tag begins the names of what it is about, and before is how many there were before it.
	i, before int
	tag       string
	// calls counts how often its desk looked at the clock; at the call dies it is killed.
	calls atomic.Int64
	dies  int64
}

// now is the clock of a desk that is killed.
func (a *attempt) now() time.Time {
	if a.calls.Add(1) == a.dies {
		panic(errKilled)
	}
	return a.clock.Now()
}

// dying is a desk that is killed when its clock is looked at for a certain time: in the middle of a transaction, or between two.
func (a *attempt) dying() *respond.Desk {
	d := *a.desk
	o := *d.Operator
	b := *d.Blocks
	keys, err := d.Keys(a.Context())
	if err != nil {
		a.Fatal(err)
	}
	k := *keys
	d.Now, o.Now, b.Now, k.Now = a.now, a.now, a.now, a.now
	d.Operator, d.Blocks = &o, &b
	d.Keys = func(context.Context) (*operate.Keys, error) { return &k, nil }
	return &d
}

// run orders the action, and reports whether it was killed.
func (a *attempt) run(d *respond.Desk, o respond.Order) (killed bool) {
	a.Helper()
	defer func() {
		switch r := recover(); r {
		case nil:
		case errKilled:
			killed = true
		default:
			panic(r)
		}
	}()
	var err error
	if o.Why = "a test"; o.Does == respond.Notify {
		_, err = d.Notify(a.Context(), a.n, respond.Notice{Text: "Somebody got in.", Rate: respond.MostRate, Why: o.Why}, operator)
	} else {
		_, err = d.Contain(a.Context(), a.n, o, operator)
	}
	if err != nil {
		a.Fatalf("%s: %v", o.Does, err)
	}
	return false
}

const mine = ` account_id IN (SELECT id FROM account WHERE email_key LIKE '%s-%%')`

// counts returns numbers of rows, each of a query in which %s is the tag.
func (a *attempt) counts(queries ...string) string {
	a.Helper()
	var out []string
	for _, q := range queries {
		out = append(out, fmt.Sprint(a.Count(fmt.Sprintf(q, a.tag))))
	}
	return strings.Join(out, " ")
}

// people registers some, who sign in, and returns their addresses.
func (a *attempt) people() (list []string) {
	a.Helper()
	for i := range 3 {
		list = append(list, fmt.Sprintf("%s-%d@example.org", a.tag, i))
		a.Register(list[i])
		a.Login(list[i])
	}
	return list
}

// network is one of the try's own.
func (a *attempt) network() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("203.0.%d.0/24", a.i))}
}

const (
	// grantOf is a living grant of an application to an account, at a time.
	grantOf = `INSERT INTO client_grant (id, client_id, account_id, sid, offline, scope, resource, roles, amr, auth_at, nonce, code, code_until,
		redirect_uri, challenge, created_at, started_at, gen, minted_at, rotated_at, idle_at, max_at)
		VALUES ($1, $2, $3, '', 1, 'openid', '[]', '[]', '[]', $4, '', $5, 0, '', '', $4, $4, 1, $4, $4, $4 + 3600000000, $4 + 3600000000)`
	csrfKeys = `SELECT COUNT(*) FROM ring_key WHERE purpose = 'csrf'`
	aliveOf  = `SELECT COUNT(*) FROM session WHERE ended_at IS NULL AND` + mine
	revokeOf = `SELECT COUNT(*) FROM event AS e JOIN event_personal AS p ON p.event_id = e.id
		WHERE e.kind = 'session_revoked' AND p.person IN (SELECT id FROM account WHERE email_key LIKE '%s-%%')`
)

// kills are the actions, each with what it is about and how that stands afterwards.
var kills = map[string]struct {
	order func(a *attempt) respond.Order
	state func(a *attempt) string
}{
	respond.EndSessions: {
		func(a *attempt) respond.Order { return respond.Order{Users: a.people()} },
		func(a *attempt) string { return a.counts(aliveOf, revokeOf) },
	},
	respond.VoidLinks: {
		func(a *attempt) respond.Order { return respond.Order{Users: a.people()} },
		func(a *attempt) string {
			return a.counts(`SELECT COUNT(*) FROM ticket WHERE purpose = 'verify' AND used_at IS NULL AND` + mine)
		},
	},
	respond.ResetPasswords: {
		func(a *attempt) respond.Order { return respond.Order{Users: a.people()} },
		func(a *attempt) string {
			return a.counts(aliveOf, revokeOf, `SELECT COUNT(*) FROM account WHERE reset_at IS NOT NULL AND email_key LIKE '%s-%%'`,
				`SELECT COUNT(*) FROM outbox WHERE kind = 'admin_reset' AND`+mine)
		},
	},
	respond.SuspendFactors: {
		func(a *attempt) respond.Order {
			since := a.clock.Now().Add(-time.Minute)
			people := a.people()[:2]
			for _, email := range people {
				a.AppFor(a.clock, email)
			}
			return respond.Order{Users: people, Since: since}
		},
		func(a *attempt) string {
			return a.counts(`SELECT COUNT(*) FROM totp WHERE suspect_at IS NOT NULL AND`+mine, `SELECT COUNT(*) FROM event AS e JOIN event_personal AS p
				ON p.event_id = e.id WHERE e.kind = 'factors_suspended' AND p.person IN (SELECT id FROM account WHERE email_key LIKE '%s-%%')`)
		},
	},
	respond.BlockNetworks: {
		func(a *attempt) respond.Order { return respond.Order{Networks: a.network(), For: time.Hour} },
		func(a *attempt) string {
			return fmt.Sprint(a.Count(`SELECT COUNT(*) FROM block WHERE removed_at IS NULL AND network = '` + a.network()[0].String() + `'`))
		},
	},
	respond.Disable: {
		func(a *attempt) respond.Order { return respond.Order{Users: a.people()} },
		func(a *attempt) string {
			return a.counts(aliveOf, revokeOf, `SELECT COUNT(*) FROM account WHERE disabled_at IS NOT NULL AND email_key LIKE '%s-%%'`,
				`SELECT COUNT(*) FROM outbox WHERE kind = 'account_disabled' AND`+mine)
		},
	},
	respond.RotateKeys: {
		func(a *attempt) respond.Order {
			a.before = a.Count(csrfKeys)
			return respond.Order{Purposes: []keyring.Purpose{keyring.CSRF}}
		},
		func(a *attempt) string {
			return fmt.Sprint(a.Count(csrfKeys)-a.before, a.Count(csrfKeys+` AND revoked_at IS NULL`))
		},
	},
	respond.RotateSecret: {
		func(a *attempt) respond.Order {
			if _, _, err := a.desk.Operator.CreateClient(a.Context(), a.tag, harness.OriginOfTests); err != nil {
				a.Fatal(err)
			}
			return respond.Order{Client: a.tag}
		},
		func(a *attempt) string {
			return a.counts(`SELECT COUNT(*) FROM client WHERE name = '%s' AND old_hash IS NULL AND rotated_at IS NOT NULL`)
		},
	},
	respond.EndGrants: {
		func(a *attempt) respond.Order {
			c, _, err := a.desk.Operator.CreateClient(a.Context(), a.tag, harness.OriginOfTests)
			if err != nil {
				a.Fatal(err)
			}
			var id string
			a.people()
			if err := a.desk.DB.Write(a.Context(), func(tx *db.Tx) error {
				if err := tx.QueryRow(`SELECT id FROM account WHERE email_key = $1`, a.tag+"-0@example.org").Scan(&id); err != nil {
					return err
				}
				for i := range 5 {
					one := fmt.Sprintf("0198c0de-0000-7000-8000-%06d%06d", a.i, i)
					if _, err := tx.Exec(grantOf, one, c.ID, id, db.Micros(a.clock.Now()), []byte(one)); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				a.Fatal(err)
			}
			return respond.Order{Client: a.tag}
		},
		func(a *attempt) string {
			return a.counts(`SELECT COUNT(*) FROM client_grant WHERE ended_at IS NULL AND`+mine,
				`SELECT COUNT(*) FROM client_grant WHERE ended_at IS NOT NULL AND`+mine)
		},
	},
	respond.Lockdown: {
		func(a *attempt) respond.Order {
			return respond.Order{Doors: []lockdown.Door{lockdown.Changes}, For: time.Duration(a.i+2) * time.Hour} // longer than the one before
		},
		func(a *attempt) string {
			until := a.clock.Now().Add(time.Duration(a.i+1) * time.Hour)
			return fmt.Sprint(a.Count(fmt.Sprintf(`SELECT COUNT(*) FROM install WHERE shut_changes > %d`, until.UnixMicro())))
		},
	},
	respond.Notify: {
		func(a *attempt) respond.Order {
			contained(a.Server, a.desk, a.n, respond.Order{Does: respond.EndSessions, Users: a.people()})
			return respond.Order{}
		},
		func(a *attempt) string {
			return a.counts(`SELECT COUNT(*) FROM outbox WHERE kind = 'incident_notice' AND` + mine)
		},
	},
}

// IR-2: each action ends the same wherever it is killed, in the middle of a transaction or between two, and whoever goes on with
// it: sixteen servers at once, or the same order given again where nothing of it had been written.
func TestIR2_EachActionKilledInTheMiddleEndsTheSame(t *testing.T) {
	does := []string{respond.Notify}
	for _, about := range respond.Abouts {
		does = append(does, about.Does)
	}
	for _, what := range does {
		kill, ok := kills[what]
		if !ok {
			t.Errorf("the action %s is not killed", what)
			continue
		}
		t.Run(what, func(t *testing.T) {
			dbtest.EachURL(t, func(t *testing.T, dbURL string) {
				clock := &harness.Clock{}
				h := harness.OpenAt(t, dbURL, clock.Now)
				d := h.Incidents()
				d.Pace = respond.Pace{Look: 2, People: 1}
				try := func(i int, dies int64) (a *attempt, killed bool) {
					a = &attempt{Server: h, clock: clock, desk: d, n: opened(h, d), i: i, tag: fmt.Sprint("k", i), dies: dies}
					o := kill.order(a)
					o.Does = what
					if killed = a.run(a.dying(), o); killed {
						a.goOn(o)
					}
					return a, killed
				}
				whole, _ := try(0, 0)
				want, steps := kill.state(whole), whole.calls.Load()
				if strings.Trim(want, "0 ") == "" && what != respond.VoidLinks {
					t.Fatalf("unbroken, it did nothing: %s", want)
				}
				for i, at := range points(steps) {
					a, killed := try(i+1, at)
					if !killed {
						t.Errorf("it was not killed at step %d of %d", at, steps)
					}
					if got := kill.state(a); got != want {
						t.Errorf("killed at step %d of %d it ends as %s, and unbroken as %s", at, steps, got, want)
					}
					a.told(what)
				}
			})
		})
	}
}

// points are at which steps an action is killed: of many the first, the last, and some between.
func points(steps int64) (out []int64) {
	const most = 9
	for i := range int64(most) {
		if at := 1 + i*(steps-1)/(most-1); len(out) == 0 || out[len(out)-1] != at {
			out = append(out, at)
		}
	}
	return out
}

// goOn goes on with what was killed, as sixteen servers do at once; where it had written nothing, it is ordered again.
func (a *attempt) goOn(o respond.Order) {
	a.Helper()
	if well, failed := atOnce(func(int) error { return a.desk.Continue(a.Context()) }); well != 16 {
		a.Fatal(failed)
	}
	s, err := a.desk.Show(a.Context(), a.n)
	if err != nil {
		a.Fatal(err)
	}
	for _, is := range s.Actions {
		if is.Does == o.Does {
			return
		}
	}
	a.run(a.desk, o)
}

// told checks that the incident tells of the action once, and of its end.
func (a *attempt) told(what string) {
	a.Helper()
	s, err := a.desk.Show(a.Context(), a.n)
	if err != nil {
		a.Fatal(err)
	}
	for _, is := range s.Actions {
		acted, ended := 0, 0
		for _, e := range s.Timeline {
			if e.Action == is.ID && e.Kind == incident.Acted {
				acted++
			}
			if e.Action == is.ID && e.Kind == incident.Ended {
				ended++
			}
		}
		if is.EndedAt.IsZero() || acted != 1 || ended != 1 {
			a.Errorf("%s: %+v stands %d times in the timeline, its end %d times", what, is, acted, ended)
		}
	}
}
