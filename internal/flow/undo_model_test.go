package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/test/mutant"
)

// The model of the way back after a break-in (cases A1 to A3). An owner has one
// mailbox, a thief has three, and learns the owner's password now and then. They,
// and strangers, do whatever the flows let them, in any order. However it went:
//
//   - the owner, by the latest undo in the mailbox and any password of theirs that
//     their own mailbox has not set aside, gets the account back;
//   - afterwards nothing that the thief has ever been mailed, with any password,
//     takes it away again;
//   - and no mail goes to the thief's mailboxes any more.

// world is the flows on one database.
type world struct {
	*EmailLinks
	register *Register
	outbox   []byte
}

func newWorld(t *testing.T, d *db.DB) *world {
	random, now := secret.Random{}, time.Now
	key := random.Bytes(secret.KeySize)
	outbox := random.Bytes(secret.KeySize)
	events := event.NewLog(slog.New(slog.DiscardHandler), random, now, func(event.Kind, event.Outcome) {})
	tally := event.NewTally(d, events)
	hasher := password.New(password.Config{Cost: 4, Workers: 4})
	t.Cleanup(hasher.Close)
	tell := &Notices{Outbox: notice.NewOutbox(outbox, random, now), Now: now}
	core := Core{DB: d, Events: events, Tally: tally, Now: now}
	guard := &Guard{
		Core: core, Lockout: lockout.NewStore(lockout.Config{After: 1 << 20, Delay: time.Microsecond}, key, random),
		Spray: &lockout.Spray{}, Notices: tell, Pseudonym: key,
		UnlockLink: func(*db.Tx, string, string, time.Time) (string, time.Duration) {
			return "https://id.example.org/unlock#x", time.Hour
		},
	}
	rule := func(name string) limit.Rule { return limit.Rule{Name: name, Limit: 1 << 20, Window: time.Hour} }
	limits := &Limits{
		Counter: limit.NewMemory(), API: rule("api"), Login: rule("login"), Registration: rule("registration"), Reset: rule("reset"),
		Key: func() []byte { return key }, Tally: tally, Count: func(string, bool) {},
	}
	l := &EmailLinks{
		Core: core, Tickets: ticket.NewStore(func() []byte { return key }, random), Guard: guard, Limits: limits, Hasher: hasher,
		Revoked: token.NewRevocations(d, time.Hour, time.Hour, now), Base: "https://id.example.org", Key: func() []byte { return key },
	}
	tell.NotMe = (&NotMe{l}).Link
	accounts := &NewAccounts{Hasher: hasher, Random: random, Now: now}
	w := &world{EmailLinks: l, outbox: outbox, register: &Register{Core: core, Accounts: accounts, Notices: tell, Limits: limits, EmailLinks: l, Open: true}}
	w.write(t, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE INDEX outbox_sent_to ON outbox (sent_to)`)
		return err
	})
	return w
}

func (w *world) write(t *testing.T, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := w.DB.Write(context.Background(), fn); err != nil {
		t.Error(err)
	}
}

// history is one account, and what owner and thief have.
type history struct {
	*world
	*testing.T
	steps []string
	n     int
	id    string
	owner string
	// boxes are the thief's mailboxes.
	boxes []string
	// own are the passwords of the owner's that their mailbox has not set aside;
	// known are all that the thief knows.
	own, known []string
	made       int
	// claimed says that somebody has registered the address in the moment of a change.
	claimed bool
}

var (
	originOfModel = event.Origin{UserAgent: "model"}
	modelHistory  struct {
		sync.Mutex
		n int
	}
)

func (w *world) history(t *testing.T, steps []string) *history {
	modelHistory.Lock()
	modelHistory.n++
	n := modelHistory.n
	modelHistory.Unlock()
	h := &history{world: w, T: t, steps: steps, n: n, owner: fmt.Sprintf("owner%d@example.org", n)}
	for _, b := range "bcd" {
		h.boxes = append(h.boxes, fmt.Sprintf("thief%d-%c@example.net", n, b))
	}
	h.own = []string{h.fresh("owner")}
	h.known = slices.Clone(h.own)
	h.id = h.account(h.owner, h.own[0])
	h.account(fmt.Sprintf("other%d@example.com", n), h.known[0])
	return h
}

func (h *history) account(email, pass string) string { return h.create(email, pass, true) }

func (h *history) create(email, pass string, verified bool) string {
	id := secret.Random{}.ID(h.Now())
	hash, err := h.Hasher.Hash(context.Background(), id, pass)
	if err != nil {
		h.Error(err)
	}
	a, err := account.ParseAddress("email", email)
	if err != nil {
		h.Error(err)
	}
	h.write(h.T, func(tx *db.Tx) error {
		_, _, err := account.Create(tx, account.New{ID: id, Address: a, Hash: hash, Verified: verified}, h.Now())
		return err
	})
	return id
}

func (h *history) fresh(who string) string {
	h.made++
	return fmt.Sprintf("wobbly lantern %s %d of history %d", who, h.made, h.n)
}

// mails are those that an address got, in order.
func (h *history) mails(to string) (list []notice.Mail) {
	h.write(h.T, func(tx *db.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT id, sealed FROM outbox WHERE sent_to = $1 ORDER BY created_at, id`, to)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				id     string
				sealed []byte
				m      notice.Mail
			)
			if err := rows.Scan(&id, &sealed); err != nil {
				return err
			}
			text, err := secret.Open(h.outbox, sealed, "gatehouse/outbox/1 "+id)
			if err == nil {
				err = json.Unmarshal(text, &m)
			}
			if err != nil {
				return err
			}
			list = append(list, m)
		}
		return rows.Err()
	})
	return list
}

// newest is the fragment of the newest link of a kind of mail, or empty.
func (h *history) newest(to string, kind notice.Kind, link func(notice.Mail) string) string {
	for _, m := range slices.Backward(h.mails(to)) {
		if m.Kind == kind && link(m) != "" {
			_, fragment, _ := strings.Cut(link(m), "#")
			return fragment
		}
	}
	return ""
}

func linkOf(m notice.Mail) string { return m.Link }
func undoOf(m notice.Mail) string { return m.Undo }

// address is the account's.
func (h *history) address() (a account.Holder) {
	h.write(h.T, func(tx *db.Tx) (err error) {
		a, err = account.HolderByID(tx, h.id)
		return err
	})
	return a
}

// signIn signs in at an address with the first password that works, and returns that.
func (h *history) signIn(email string, passwords []string) (id, pass string) {
	a, _ := account.ParseAddress("email", email)
	var c account.Credentials
	err := h.DB.Read(context.Background(), func(tx *db.Tx) (err error) {
		c, err = account.ByAddress(tx, a)
		return err
	})
	if err != nil || c.MustReset || !c.Verified || c.Disabled {
		return "", ""
	}
	for _, p := range slices.Backward(passwords) {
		if m, err := h.Hasher.Verify(context.Background(), c.ID, c.Hash, p); err == nil && m.OK {
			return c.ID, p
		}
	}
	return "", ""
}

// broken reports an error that no rule explains.
func (h *history) broken(err error) {
	if err != nil && fault.As(err) == nil {
		h.Errorf("%v: %v", h.steps, err)
	}
}

func (h *history) change(pass string, who string) string {
	next := h.fresh(who)
	err := (&Passwords{h.EmailLinks}).Change(context.Background(), Identity{Account: h.id}, pass, next, nil, originOfModel)
	h.broken(err)
	if err != nil {
		return ""
	}
	return next
}

// move changes the address of whoever is signed in, and confirms it where mails are read.
func (h *history) move(id, pass, to string, reads bool) {
	ctx, who := context.Background(), Identity{Account: id}
	_, err := (&Addresses{h.EmailLinks}).Change(ctx, who, to, pass, nil, originOfModel)
	h.broken(err)
	if link := h.newest(to, notice.ConfirmAddress, linkOf); link != "" && reads {
		h.broken(verified((&Verify{EmailLinks: h.EmailLinks}).Do(ctx, LinkOrCode{Token: link}, "", who, nil, originOfModel)))
	}
}

// reset asks for a mail and sets a new password by it, if one came.
func (h *history) reset(at, who string) string {
	p := &Passwords{h.EmailLinks}
	before := len(h.mails(at))
	_, err := p.Forgot(context.Background(), at, originOfModel)
	h.broken(err)
	if len(h.mails(at)) == before {
		return ""
	}
	link := h.newest(at, notice.ResetPassword, linkOf)
	if link == "" {
		return ""
	}
	next := h.fresh(who)
	err = p.Reset(context.Background(), LinkOrCode{Token: link}, next, originOfModel)
	h.broken(err)
	if err != nil {
		return ""
	}
	return next
}

func (h *history) undo(link, pass string) bool {
	_, err := (&Addresses{h.EmailLinks}).Undo(context.Background(), link, pass, nil, originOfModel)
	h.broken(err)
	return err == nil
}

// notMe presses the newest "this wasn't me" of a mailbox that is for that.
func (h *history) notMe(at string) {
	for _, m := range slices.Backward(h.mails(at)) {
		if _, link, ok := strings.Cut(m.NotMe, "/not-me#"); ok {
			_, err := (&NotMe{h.EmailLinks}).Do(context.Background(), link, originOfModel)
			h.broken(err)
			return
		}
	}
}

// modelSteps is what anybody may do.
var modelSteps = map[string]func(h *history){
	"thief changes the password": func(h *history) {
		if _, p := h.signIn(h.address().Email, h.known); p != "" {
			h.known = append(h.known, h.change(p, "thief"))
		}
	},
	"thief moves to b":    func(h *history) { h.thiefMoves(h.boxes[0], true) },
	"thief moves to c":    func(h *history) { h.thiefMoves(h.boxes[1], true) },
	"thief moves to d":    func(h *history) { h.thiefMoves(h.boxes[2], true) },
	"thief asks for back": func(h *history) { h.thiefMoves(h.owner, false) },
	"thief resets": func(h *history) {
		if at := h.address().Email; at != h.owner {
			if p := h.reset(at, "thief"); p != "" {
				h.known = append(h.known, p)
			}
		}
	},
	"thief undoes": func(h *history) { h.thiefUndoes() },
	"thief says not me": func(h *history) {
		for _, b := range h.boxes {
			h.notMe(b)
		}
	},
	"thief registers the address": func(h *history) {
		_, err := h.register.Do(context.Background(), Credentials{Email: h.owner, Password: h.known[0]}, originOfModel)
		h.broken(err)
	},
	"a claim slips in": func(h *history) {
		if h.address().Email != h.owner && !h.claimed {
			h.claimed = true
			h.create(h.owner, h.known[0], false)
		}
	},
	"thief leaves links behind": func(h *history) {
		_, err := (&Passwords{h.EmailLinks}).Forgot(context.Background(), h.address().Email, originOfModel)
		h.broken(err)
		h.thiefMoves(h.boxes[2], false)
	},
	"stranger asks for the address": func(h *history) {
		if id, p := h.signIn(fmt.Sprintf("other%d@example.com", h.n), h.known[:1]); id != "" {
			h.move(id, p, h.owner, false)
		}
	},
	"thief learns the password": func(h *history) { h.known = append(h.known, h.own...) },
	"owner changes the password": func(h *history) {
		if _, p := h.signIn(h.address().Email, h.own); p != "" {
			if p = h.change(p, "owner"); p != "" {
				h.own = append(h.own, p)
			}
		}
	},
	"owner says not me": func(h *history) { h.notMe(h.owner) },
	"owner undoes":      func(h *history) { h.ownerUndoes(0) },
	"owner resets": func(h *history) {
		if p := h.reset(h.owner, "owner"); p != "" && h.address().Email == h.owner {
			h.own = []string{p}
		}
	},
	"owner registers again": func(h *history) {
		_, err := h.register.Do(context.Background(), Credentials{Email: h.owner, Password: h.fresh("owner")}, originOfModel)
		h.broken(err)
	},
}

func (h *history) thiefMoves(to string, reads bool) {
	if id, p := h.signIn(h.address().Email, h.known); id == h.id {
		h.move(id, p, to, reads)
	}
}

// thiefUndoes presses every undo that was mailed to the thief, with every password.
func (h *history) thiefUndoes() {
	for _, b := range h.boxes {
		for _, m := range h.mails(b) {
			if _, link, ok := strings.Cut(m.Undo, "#"); ok {
				for _, p := range h.known {
					if h.undo(link, p) {
						break
					}
				}
			}
		}
	}
}

// ownerUndoes uses the newest undo with one of the owner's passwords.
func (h *history) ownerUndoes(password int) {
	if link := h.newest(h.owner, notice.AddressChanged, undoOf); link != "" && h.address().Email != h.owner {
		h.undo(link, h.own[password%len(h.own)])
	}
}

// play plays the steps, and then holds what must hold however they went.
func (h *history) play() {
	for _, s := range h.steps {
		modelSteps[s](h)
	}
	if h.address().Email != h.owner && !h.claimed {
		a, _ := account.ParseAddress("email", h.owner)
		err := h.DB.Read(context.Background(), func(tx *db.Tx) error {
			_, err := account.HolderByAddress(tx, a)
			return err
		})
		if !errors.Is(err, account.ErrNotFound) {
			h.Errorf("%v: an address that an undo leads to was taken: %v", h.steps, err)
		}
	}
	lost := h.address().Email != h.owner
	h.ownerUndoes(h.n) // with any password of theirs
	if id, _ := h.signIn(h.owner, slices.Concat(h.known, h.own)); lost && id != "" {
		h.Errorf("%v: somebody signs in after the undo, before the reset", h.steps)
	}
	if got := h.address().Email; got != h.owner {
		h.Errorf("%v: the owner does not get the account back: it is at %s", h.steps, got)
		return
	}
	var left int
	h.write(h.T, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM ticket WHERE account_id = $1 AND address <> '' AND address <> $2 AND used_at IS NULL`, h.id, h.owner).Scan(&left)
	})
	if lost && left != 0 {
		h.Errorf("%v: %d links live for addresses of the thief", h.steps, left)
	}
	mailed := h.thiefsMails()
	p := h.reset(h.owner, "owner")
	if id, _ := h.signIn(h.owner, []string{p}); id != h.id {
		h.Errorf("%v: the owner can't sign in after the undo and a reset", h.steps)
	}
	h.attackAll()
	if id, _ := h.signIn(h.owner, []string{p}); id != h.id {
		h.Errorf("%v: the thief took it away again", h.steps)
	}
	if n := h.thiefsMails(); n != mailed {
		h.Errorf("%v: %d mails went to the thief after the undo", h.steps, n-mailed)
	}
}

func (h *history) thiefsMails() (n int) {
	for _, b := range h.boxes {
		n += len(h.mails(b))
	}
	return n
}

// attackAll uses all that the thief was ever mailed.
func (h *history) attackAll() {
	ctx, l := context.Background(), h.EmailLinks
	h.thiefUndoes()
	for _, b := range h.boxes {
		for _, m := range h.mails(b) {
			_, link, _ := strings.Cut(m.Link, "#")
			_, notMe, _ := strings.Cut(m.NotMe, "#")
			for _, p := range h.known[max(0, len(h.known)-2):] {
				h.broken(verified((&Verify{EmailLinks: l}).Do(ctx, LinkOrCode{Token: link}, p, Identity{Account: h.id}, nil, originOfModel)))
			}
			h.broken((&Passwords{l}).Reset(ctx, LinkOrCode{Token: link}, h.fresh("thief"), originOfModel))
			if notMe != "" {
				_, err := (&NotMe{l}).Do(ctx, notMe, originOfModel)
				h.broken(err)
			}
		}
	}
}

// histories are all of up to two steps, the reported ones, and random ones.
func histories(random, deep int) (list [][]string) {
	names := slices.Sorted(maps.Keys(modelSteps))
	list = append(list, nil,
		[]string{"thief moves to b", "thief moves to c", "owner undoes", "owner resets", "thief undoes"},
		[]string{"thief moves to b", "thief registers the address"},
		[]string{"thief moves to b", "a claim slips in"},
		[]string{"thief moves to b", "thief leaves links behind"},
		[]string{"thief changes the password", "thief moves to b", "owner says not me", "thief resets"},
		[]string{"thief moves to b", "thief resets", "thief moves to c", "thief resets"},
	)
	short := [][]string{nil}
	for range deep {
		var next [][]string
		for _, s := range short {
			for _, name := range names {
				next = append(next, append(slices.Clone(s), name))
			}
		}
		list, short = append(list, next...), next
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range random {
		var s []string
		for range 3 + r.IntN(7) {
			s = append(s, names[r.IntN(len(names))])
		}
		list = append(list, s)
	}
	return list
}

func playAll(t *testing.T, w *world, list [][]string) {
	turns := make(chan []string)
	var wg sync.WaitGroup
	for range 48 { // most of a step's time is waiting: see takeMinimumTime
		wg.Go(func() {
			for steps := range turns {
				if !t.Failed() {
					w.history(t, steps).play()
				}
			}
		})
	}
	for _, s := range list {
		turns <- s
	}
	close(turns)
	wg.Wait()
}

func TestCaseA_ModelOfOwnerThiefAndMailbox(t *testing.T) {
	random, deep, few := 200, 2, 40
	switch {
	case os.Getenv("GATEHOUSE_SOAK") == "1":
		random, deep, few = 5000, 3, 2000
	case os.Getenv(mutant.Variable) != "":
		random = 500 // until one fails
	}
	t.Run("sqlite", func(t *testing.T) {
		playAll(t, newWorld(t, dbtest.Open(t, dbtest.SQLite(t))), histories(random, deep))
	})
	if os.Getenv(mutant.Variable) == "" {
		t.Run("postgres", func(t *testing.T) {
			playAll(t, newWorld(t, dbtest.Open(t, dbtest.Postgres(t))), histories(few, 1))
		})
	}
}

// verified leaves out what goes on after a verification.
func verified(_ Begun, err error) error { return err }
