package lockout_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// The model of an owner and a thief who guesses the codes of the owner's app. Both do whatever they can, in any order, for
// as long as that leads to anything new: all states are visited. What counts tries is the product's own store, on its own
// database, with small caps; what the flows do around it is the rules. However it went:
//
//   - codes that are looked at never pass the caps: of strangers and of known browsers, until the owner has signed in since
//     the password was changed, or the app has another secret (factors.md, "What must always hold", 3);
//   - a known browser is never shut out, and an owner who has none gets in by the app, unless the thief reads the mail as well (4);
//   - then the app is shut at the cap, and recovery codes are left, which lead to another secret for the app;
//   - guessed codes keep nobody from showing a password.
//
// The mutants are those rules, each turned round: the model must catch them all.

// rules are what the flows do around the store.
type rules struct {
	// resetClears: a new password forgets what was guessed. It must not.
	resetClears bool
	// cookieAtPassword: the password's step makes the browser known. It must not.
	cookieAtPassword bool
	// noLink: no mail lets the owner's browser in.
	noLink bool
	// forgetsAll: a sign-in with a factor forgets what was counted under the present password too. It must not.
	forgetsAll bool
	// countsRecovery: recovery codes count as codes of the app. They must not.
	countsRecovery bool
	// noReserve: known browsers have no tries of their own.
	noReserve bool
}

// caps are of strangers together, of known browsers together, and of each. Where the thief reads the mail there is more to do, so
// they are smaller; the owner mistypes nothing then, who may be locked out of the app anyway.
type caps struct{ unknown, known, device int }

func capsOf(reads bool) caps {
	if reads {
		return caps{2, 2, 1}
	}
	return caps{3, 3, 2}
}

// party is somebody's browser.
type party struct {
	// knows is whether they know the present password; cookie is that of a known device, whatever that is worth by now.
	knows  bool
	cookie string
}

// situation is a state: the store's rows, and what everybody has.
type situation struct {
	owner, thief party
	// link is the token of a link that was mailed and works; empty for none.
	link string
	// slipped says that the owner has mistyped a code.
	slipped bool
	// now are the codes of the thief's that were looked at since the present password was set, and before those from before that.
	now, before looked
	rows        rows
}

// looked are codes that were looked at, from strangers and from known browsers.
type looked struct{ strangers, known int }

// rows are the store's tables.
type rows struct {
	guesses []guessRow
	devices []string
	link    []byte
}

type guessRow struct {
	k, account       string
	n, seen, day, at int64
}

// The clock stands: what matters is whether a try was counted before the present password was set.
var (
	passwordAt = start
	modelNow   = start.Add(time.Hour)
	before     = start.Add(-time.Hour)
)

// owners is the model under way.
type owners struct {
	t     *testing.T
	d     *db.DB
	s     *lockout.Store
	id    string
	home  string // the bucket under which devices are known
	rules rules
	// reads says that the thief reads the owner's mail.
	reads bool
}

// The networks.
const ownersNetwork, thievesNetwork, anotherNetwork = 1, 2, 3

// client is who shows a code.
func (m *owners) client(p party, at int) lockout.Client {
	c := lockout.Client{AddressKey: ada, Network: network(at), Codes: m.id}
	if !m.rules.noReserve {
		c.Device = p.cookie
	}
	return c
}

// load puts the rows of a situation in the place of all.
func (m *owners) load(tx *db.Tx, r rows) error {
	for _, q := range []string{`DELETE FROM guess`, `DELETE FROM known_device`, `DELETE FROM unlock_link`} {
		if _, err := tx.Exec(q); err != nil {
			return err
		}
	}
	for _, g := range r.guesses {
		if _, err := tx.Exec(`INSERT INTO guess (k, account, n, next_at, seen_at, day, locked_day) VALUES ($1, $2, $3, 0, $4, $5, $6)`,
			g.k, g.account, g.n, g.seen, g.day, g.at); err != nil {
			return err
		}
	}
	for _, id := range r.devices {
		if _, err := tx.Exec(`INSERT INTO known_device (id, account_id, account, created_at, seen_at) VALUES ($1, $2, $3, 0, 0)`, id, m.id, m.home); err != nil {
			return err
		}
	}
	if r.link == nil {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO unlock_link (hash, account_id, account, cookie, expires_at) VALUES ($1, $2, $3, 'c', $4)`,
		r.link, m.id, m.home, db.Micros(modelNow.Add(time.Hour)))
	return err
}

// save reads them.
func (m *owners) save(tx *db.Tx) (r rows, err error) {
	list, err := tx.Query(`SELECT k, account, n, seen_at, day, locked_day FROM guess ORDER BY k`)
	if err != nil {
		return r, err
	}
	for list.Next() {
		var g guessRow
		if err := list.Scan(&g.k, &g.account, &g.n, &g.seen, &g.day, &g.at); err != nil {
			return r, err
		}
		r.guesses = append(r.guesses, g)
	}
	list.Close()
	if list, err = tx.Query(`SELECT id FROM known_device`); err != nil {
		return r, err
	}
	for list.Next() {
		var id string
		if err := list.Scan(&id); err != nil {
			return r, err
		}
		r.devices = append(r.devices, id)
	}
	list.Close()
	err = tx.QueryRow(`SELECT hash FROM unlock_link WHERE used_at IS NULL`).Scan(&r.link)
	if errors.Is(err, db.ErrNoRows) {
		err = nil
	}
	return r, err
}

func deviceOf(cookie string) string { id, _, _ := strings.Cut(cookie, "."); return id }

// known reports whether somebody's browser is known still.
func (s situation) known(p party) bool {
	return p.cookie != "" && slices.Contains(s.rows.devices, deviceOf(p.cookie))
}

// key is the same for situations that lead to the same.
func (s situation) key() string {
	named := strings.NewReplacer("device "+deviceOf(s.owner.cookie)+"\n", "owner's\n", "device "+deviceOf(s.thief.cookie)+"\n", "thief's\n")
	var b strings.Builder
	fmt.Fprintln(&b, s.owner.knows, s.known(s.owner), s.thief.knows, s.known(s.thief), s.link != "", s.slipped, s.now, s.before)
	for _, g := range s.rows.guesses {
		line := named.Replace(g.k + "\n")
		if strings.Contains(line, "device ") {
			continue // of a browser that nobody has
		}
		fmt.Fprintln(&b, line, g.n, g.seen < db.Micros(passwordAt), g.at > 0)
	}
	return b.String()
}

// refused takes the store's refusal for what it is: nothing has changed.
func refused(err error) (bool, error) {
	if f := fault.As(err); f != nil && f.Kind == fault.Limited {
		return false, nil
	}
	return false, err
}

// wrong is a code that was looked at and is wrong: the last one of a bucket has a mail sent. It reports whether it came from a known
// browser.
func (m *owners) wrong(tx *db.Tx, s *situation, c lockout.Client) (known bool, err error) {
	try, err := m.s.Take(tx, c, modelNow)
	if err != nil {
		return false, err
	}
	locks, err := m.s.Locks(tx, try, modelNow)
	if locks && try.Device == "" {
		m.mail(tx, s)
	}
	return try.Device != "", err
}

// mail sends the link that lets a browser in.
func (m *owners) mail(tx *db.Tx, s *situation) {
	if !m.rules.noLink && s.link == "" {
		s.link = m.s.AddLink(tx, m.id, ada, modelNow)
	}
}

// in ends a sign-in with a factor.
func (m *owners) in(tx *db.Tx, s *situation, try lockout.Try) {
	since := passwordAt
	if m.rules.forgetsAll {
		since = modelNow.Add(time.Hour)
	}
	m.s.ForgetOlder(tx, m.id, since)
	m.s.Succeeded(tx, try)
	s.owner.cookie = m.s.Remember(tx, try, m.id, modelNow)
	s.before = looked{}
}

// reset sets a new password by mail: every browser is a stranger, and what was counted was counted before.
func (m *owners) reset(tx *db.Tx, s *situation) error {
	if _, err := lockout.ForgetDevices(tx, m.id); err != nil {
		return err
	}
	if err := lockout.VoidLinks(tx, m.id); err != nil {
		return err
	}
	if err := m.s.Clear(tx, ada); err != nil {
		return err
	}
	if m.rules.resetClears {
		if err := m.s.ClearCodes(tx, m.id); err != nil {
			return err
		}
	}
	s.before.strangers += s.now.strangers
	s.before.known += s.now.known
	s.link, s.now = "", looked{}
	_, err := tx.Exec(`UPDATE guess SET seen_at = $1`, db.Micros(before))
	return err
}

// move is what somebody may do in a situation, if they may at all; do reports whether it was done or refused.
type move struct {
	name string
	// owners says that the owner can do it without anybody else, and in that the owner is signed in by it.
	owners, in bool
	may        func(m *owners, s situation) bool
	do         func(m *owners, tx *db.Tx, s *situation) (bool, error)
}

func ownerKnows(_ *owners, s situation) bool   { return s.owner.knows }
func thiefKnows(_ *owners, s situation) bool   { return s.thief.knows }
func thiefReads(m *owners, _ situation) bool   { return m.reads }
func anybody(_ *owners, _ situation) bool      { return true }
func thiefHasLink(m *owners, s situation) bool { return m.reads && s.link != "" }

var moves = []move{
	{"the thief learns the password", false, false, anybody, func(_ *owners, _ *db.Tx, s *situation) (bool, error) {
		s.thief.knows = true
		return true, nil
	}},
	{"the thief guesses a code", false, false, thiefKnows, func(m *owners, tx *db.Tx, s *situation) (bool, error) {
		if m.rules.cookieAtPassword && !s.known(s.thief) {
			s.thief.cookie = m.s.NewDevice(tx, m.id, ada, modelNow)
		}
		device, err := m.wrong(tx, s, m.client(s.thief, thievesNetwork))
		switch {
		case err != nil:
			return refused(err)
		case device:
			s.now.known++
		default:
			s.now.strangers++
		}
		return true, nil
	}},
	{"the thief sets a password by mail", false, false, thiefReads, func(m *owners, tx *db.Tx, s *situation) (bool, error) {
		s.owner.knows, s.thief.knows = false, true
		return true, m.reset(tx, s)
	}},
	{"the thief uses the mail's link", false, false, thiefHasLink, func(m *owners, tx *db.Tx, s *situation) (ok bool, err error) {
		_, _, s.thief.cookie, err = m.s.UseLink(tx, s.link, modelNow)
		s.link = ""
		return true, err
	}},
	{"the owner mistypes a code", false, false, func(m *owners, s situation) bool {
		return s.owner.knows && !s.slipped && !m.reads
	}, func(m *owners, tx *db.Tx, s *situation) (bool, error) {
		s.slipped = true
		_, err := m.wrong(tx, s, m.client(s.owner, ownersNetwork))
		if err != nil {
			return refused(err)
		}
		return true, nil
	}},
	{byApp, true, true, ownerKnows, func(m *owners, tx *db.Tx, s *situation) (bool, error) {
		try, err := m.s.Take(tx, m.client(s.owner, ownersNetwork), modelNow)
		if err != nil {
			return refused(err)
		}
		m.in(tx, s, try)
		return true, nil
	}},
	{"the owner sets a password by mail", true, false, anybody, func(m *owners, tx *db.Tx, s *situation) (bool, error) {
		s.owner.knows, s.thief.knows = true, false
		return true, m.reset(tx, s)
	}},
	{"the owner asks for the mail again", true, false, func(_ *owners, s situation) bool {
		return s.owner.knows && s.link == ""
	}, func(m *owners, tx *db.Tx, s *situation) (bool, error) {
		locked, err := m.s.CodesLocked(tx, m.id)
		if err == nil && locked {
			m.mail(tx, s)
		}
		return locked, err
	}},
	{"the owner uses the mail's link", true, false, func(_ *owners, s situation) bool {
		return s.link != "" && !s.known(s.owner)
	}, func(m *owners, tx *db.Tx, s *situation) (ok bool, err error) {
		_, _, s.owner.cookie, err = m.s.UseLink(tx, s.link, modelNow)
		s.link = ""
		return true, err
	}},
	{byRecovery, true, true, ownerKnows, func(m *owners, tx *db.Tx, s *situation) (bool, error) {
		take := m.s.TakeAlone
		if m.rules.countsRecovery {
			take = m.s.Take
		}
		try, err := take(tx, m.client(s.owner, ownersNetwork), modelNow)
		if err != nil {
			return refused(err)
		}
		m.in(tx, s, try)
		s.now, s.before = looked{}, looked{}
		return true, m.s.ClearCodes(tx, m.id)
	}},
}

const (
	byApp      = "the owner signs in by the app"
	byRecovery = "the owner signs in by a recovery code, and gives the app another secret"
)
