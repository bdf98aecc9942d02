package backup_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// standing is what somebody may do, as the world has decided it.
type standing struct {
	disabled, reset, erased bool
	password                string
	roles                   []string
}

// world is what was decided of everybody, and which networks are blocked.
type world struct {
	people map[string]standing
	blocks map[string]bool
}

func (w world) copy() world { return world{maps.Clone(w.people), maps.Clone(w.blocks)} }

// history is a random one: changes, backups, flushes of the ledger, crashes and restores.
type history struct {
	t      *testing.T
	f      *fixture
	chance *rand.Rand
	// now is what was decided, kept what of it is beside the backups: a crash loses the rest.
	now, kept world
	// made are what the backups have.
	made   map[string]world
	epochs map[int64]bool
	n      int
	told   []string
}

var modelled = []string{"ada", "bob", "eve"}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{
		t: t, f: newFixture(t, dbtest.SQLite(t)), chance: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // a test's
		made: map[string]world{}, epochs: map[int64]bool{}, now: world{map[string]standing{}, map[string]bool{}},
	}
	h.f.withLedger(t)
	h.f.add(t, modelled...)
	for _, id := range modelled {
		h.now.people[id] = standing{password: "h", roles: []string{"admin", "editor"}}
	}
	h.epochs[one[int64](t, h.f.d, `SELECT epoch FROM install`)] = true
	h.backup()
	return h
}

func (h *history) say(format string, args ...any) {
	h.told = append(h.told, fmt.Sprintf(format, args...))
}

// change decides something about somebody, or blocks a network.
func (h *history) change() {
	h.n++
	id := modelled[h.chance.IntN(len(modelled))]
	s := h.now.people[id]
	e := event.Event{Account: id}
	var q string
	switch kind := h.chance.IntN(7); {
	case kind == 0 || s.erased:
		network := fmt.Sprintf("203.0.113.%d/32", h.n)
		h.now.blocks[network] = true
		h.say("block %s", network)
		h.f.happens(h.t, event.Event{Kind: event.AddressBlocked, Detail: event.Detail{Network: network}}, fmt.Sprintf(
			`INSERT INTO block (id, network, reason, added_at, n) VALUES ('b%d', '%s', 'model', 1, %d)`, h.n, network, h.n))
		return
	case kind == 1:
		s.password, s.reset = fmt.Sprint("h", h.n), false
		e.Kind, q = event.PasswordChange, fmt.Sprintf(`UPDATE account SET hash = '%s', reset_at = NULL WHERE id = '%s'`, s.password, id)
	case kind <= 3:
		s.disabled = !s.disabled
		e.Kind, q = event.AccountEnabled, fmt.Sprintf(`UPDATE account SET disabled_at = NULL WHERE id = '%s'`, id)
		if s.disabled {
			e.Kind, q = event.AccountDisabled, fmt.Sprintf(`UPDATE account SET disabled_at = %d WHERE id = '%s'`, h.n, id)
		}
	case kind <= 5:
		s.roles = []string{}
		for _, role := range []string{"admin", "editor", "owner"} {
			if h.chance.IntN(2) == 0 {
				s.roles = append(s.roles, role)
			}
		}
		b, err := json.Marshal(s.roles)
		if err != nil {
			h.t.Fatal(err)
		}
		e.Kind, e.Detail.Roles, q = event.RoleChange, s.roles, fmt.Sprintf(`UPDATE account SET roles = '%s' WHERE id = '%s'`, b, id)
	default:
		if err := h.f.keeper.Maker.Ledger.Erased(h.t.Context(), id); err != nil { // before the first row
			h.t.Fatal(err)
		}
		s.erased = true
		kept := h.kept.people[id]
		kept.erased = true
		h.kept.people[id] = kept
		e = event.Event{Kind: event.AccountDeleted, Detail: event.Detail{Reason: "self"}}
		q = fmt.Sprintf(`UPDATE account SET erase_at = 1, erase_why = 'erased_before', disabled_at = 1 WHERE id = '%s'`, id)
	}
	h.now.people[id] = s
	h.say("%s %s: %+v", e.Kind, id, s)
	h.f.happens(h.t, e, q)
}

func (h *history) backup() {
	m := h.f.create(h.t).Manifest
	h.made[m.ID], h.kept = h.now.copy(), h.now.copy()
	h.say("backup %s", m.ID)
}

func (h *history) flush() {
	step(h.t, h.f, h.f.keeper.Maker.Ledger)
	h.kept = h.now.copy()
	h.say("flush")
}

// restore goes back to any of the backups, after a crash or not.
func (h *history) restore() {
	if h.chance.IntN(2) == 0 {
		h.flush()
	}
	ids := slices.Sorted(maps.Keys(h.made))
	id := ids[h.chance.IntN(len(ids))]
	url := targets["into sqlite"](h.t)
	out, err := restore(h.t.Context(), h.f.restoring(url), h.f.install, id)
	if codeOf(err) == "backup_abandoned" {
		h.say("%s is of a history that was left", id)
		return
	}
	if err != nil {
		h.t.Fatalf("%v\n%q", err, h.told)
	}
	h.say("restore %s", id)
	if h.epochs[out.Epoch] {
		h.t.Fatalf("the epoch %d was used before\n%q", out.Epoch, h.told)
	}
	h.epochs[out.Epoch] = true
	d := dbtest.Open(h.t, url)
	h.judge(d, h.made[id])
	h.f = h.f.in(h.t, d)
	h.f.keeper.Jobs = job.NewRunner(d, "model", time.Now, slog.New(slog.DiscardHandler))
	h.kept = h.now.copy()
}

// judge holds a restored database against what the world has given: nobody may have more. What it has is the world from now on.
func (h *history) judge(d *db.DB, then world) {
	h.t.Helper()
	next := world{map[string]standing{}, map[string]bool{}}
	err := d.Read(h.t.Context(), func(tx *db.Tx) error {
		for _, id := range modelled {
			var s standing
			var roles string
			if err := tx.QueryRow(`SELECT CASE WHEN disabled_at IS NULL THEN 0 ELSE 1 END, CASE WHEN reset_at IS NULL THEN 0 ELSE 1 END,
				CASE WHEN erase_why = 'erased_before' THEN 1 ELSE 0 END, hash, roles FROM account WHERE id = $1`, id).
				Scan(&s.disabled, &s.reset, &s.erased, &s.password, &roles); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(roles), &s.roles); err != nil {
				return err
			}
			h.compare(id, s, then.people[id], h.kept.people[id])
			next.people[id] = s
		}
		rows, err := db.Strings(tx.Query(`SELECT network FROM block WHERE removed_at IS NULL`))
		for _, network := range rows {
			next.blocks[network] = true
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for network := range h.kept.blocks {
		if !next.blocks[network] {
			h.t.Fatalf("%s is blocked no more\n%q", network, h.told)
		}
	}
	h.now = next
}

func (h *history) compare(id string, has, then, kept standing) {
	h.t.Helper()
	wrong := ""
	switch {
	case kept.erased && !has.erased:
		wrong = "was erased, and is back"
	case has.erased:
	case kept.disabled && !has.disabled:
		wrong = "was disabled, and is not"
	case !has.reset && (has.password != kept.password || kept.reset):
		wrong = "has a password that is over"
	}
	for _, role := range has.roles {
		if !has.erased && (!slices.Contains(then.roles, role) || !slices.Contains(kept.roles, role)) {
			wrong = "has the role " + role
		}
	}
	if wrong != "" {
		h.t.Fatalf("%s %s: has %+v, had %+v, may %+v\n%q", id, wrong, has, then, kept, h.told)
	}
}

// In random histories of changes, backups, flushes, crashes and restores from any backup that is kept, nobody ever ends with more than the
// world has given them, and no two histories have the same epoch.
func TestDB4_RandomHistories(t *testing.T) {
	histories := uint64(8)
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		histories = 2000
	}
	for seed := range histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := newHistory(t, seed)
			for range 24 {
				switch dice := h.chance.IntN(20); {
				case dice < 11:
					h.change()
				case dice < 14:
					h.backup()
				case dice < 16:
					h.flush()
				default:
					h.restore()
				}
			}
		})
	}
}
