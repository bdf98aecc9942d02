package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// A restore takes everything back to the snapshot, decisions included. So what took something away from somebody since is
// written beside the backups as it happens, and a restore does it again: the ledger. It follows the sealed event log, in
// segments of leaves that join without a gap, so that one that is missing shows. Each history has its own: the leaves of two
// that left the same backup have the same numbers.

// The names of the ledger: ledger/INSTALL/EPOCH-TIMELINE/FROM-UNTIL.age, and ledger/INSTALL/erased/HMAC-DAY.age.
const ledgers = "ledger/"

const erasedFolder = "erased"

var (
	historyName = regexp.MustCompile(`^([0-9]{1,19})-([0-9a-f]{32})$`)
	segmentName = regexp.MustCompile(`^([0-9]{12})-([0-9]{12})\.age$`)
	erasedName  = regexp.MustCompile(`^([0-9a-f]{64})-([0-9]{5})\.age$`)
)

const (
	// ledgerQuiet is how long the ledger waits, while the log grows and holds nothing for it.
	ledgerQuiet = time.Minute
	// LedgerLate is from when on a ledger that does not reach the log's end is told of.
	LedgerLate = 5 * time.Minute
	// mostEntries bounds a segment as it is written, mostSegment one as it is read: those of a day are merged.
	mostEntries = 5000
	mostMerged  = 100_000
	mostSegment = 48 << 20
)

// segment is a part of the ledger: which leaves it covers, and what among them a restore must not undo.
type segment struct {
	Format   int       `json:"format"`
	Install  string    `json:"install"`
	Timeline string    `json:"timeline"`
	Epoch    int64     `json:"epoch"`
	From     int64     `json:"from"`
	Until    int64     `json:"until"`
	At       time.Time `json:"at"`
	Entries  []entry   `json:"entries"`
}

// erased says that an account was erased, without naming it to anyone who does not have the installation's row.
type erased struct {
	Format  int       `json:"format"`
	Install string    `json:"install"`
	Account string    `json:"account"` // HMAC-SHA-256 under install.ledger_key, in hex
	At      time.Time `json:"at"`
}

// Ledger writes the ledger.
type Ledger struct {
	DB         *db.DB
	Events     *event.Log
	Stores     []Store
	Recipients Recipients
	EventKey   string
	// Seal seals the event log as far as it is committed.
	Seal func(ctx context.Context) error
	Now  func() time.Time
}

// history is the history that the database is of, and how far its ledger reaches.
type history struct {
	install, timeline string
	epoch             int64
	key               []byte
	head              int64
	leaf              int64 // -1: not known here
	putAt             time.Time
}

func (h history) folder() string { return historyFolder(h.install, h.epoch, h.timeline) }

func historyFolder(install string, epoch int64, timeline string) string {
	return fmt.Sprintf("%s%s/%d-%s/", ledgers, install, epoch, timeline)
}

func readHistory(tx *db.Tx) (h history, err error) {
	err = tx.QueryRow(`SELECT id, timeline, epoch, ledger_key, (SELECT size FROM event_head WHERE one = 1) FROM install WHERE one = 1`).
		Scan(&h.install, &h.timeline, &h.epoch, &h.key, &h.head)
	if err != nil {
		return h, err
	}
	var at int64
	err = tx.QueryRow(`SELECT leaf, put_at FROM ledger_reach WHERE timeline = $1`, h.timeline).Scan(&h.leaf, &at)
	if errors.Is(err, db.ErrNoRows) {
		h.leaf, err = -1, nil
	} else {
		h.putAt = db.Time(at)
	}
	return h, err
}

// Behind is for how long the ledger has not reached the end of the log, by this database's own record; zero if it does, or
// has not begun.
func Behind(tx *db.Tx, now time.Time) (time.Duration, error) {
	h, err := readHistory(tx)
	if err != nil || h.leaf < 0 || h.leaf >= h.head {
		return 0, err
	}
	// Since the first event that it lacks: the log may have been quiet for hours before.
	var at int64
	err = tx.QueryRow(`SELECT event.time FROM event_leaf JOIN event ON event.id = event_leaf.event_id WHERE event_leaf.n >= $1 ORDER BY event_leaf.n LIMIT 1`,
		h.leaf).Scan(&at)
	if errors.Is(err, db.ErrNoRows) {
		return 0, nil
	}
	return max(0, now.Sub(db.Time(at))), err
}

// Step writes what is new in the log: at once if a restore must not undo it, else each minute.
func (l *Ledger) Step(ctx context.Context) error {
	_, err := l.follow(ctx, -1, false)
	return err
}

// Flush writes all that the log has, from a leaf on at the latest and up to another at least, and returns the one that the ledger
// reaches.
func (l *Ledger) Flush(ctx context.Context, from, least int64) (int64, error) {
	for end := time.Now().Add(flushWithin); ; {
		if err := l.Seal(ctx); err != nil {
			return 0, fmt.Errorf("sealing the event log: %w", err)
		}
		h, err := l.follow(ctx, from, true)
		if err != nil || h.leaf >= least {
			return h.leaf, err
		}
		if time.Now().After(end) {
			return 0, errUnsealed
		}
		if err := Sleep(ctx, 250*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// flushWithin is for how long a backup waits until what it has is sealed.
const flushWithin = time.Minute

var errUnsealed = errors.New("the event log could not be sealed up to the backup, so the ledger does not reach it: some transaction is open for long")

// follow writes segments until the end of the log. A ledger that is new begins at the leaf, if there is one.
func (l *Ledger) follow(ctx context.Context, from int64, all bool) (h history, err error) {
	for {
		if err := l.DB.Read(ctx, func(tx *db.Tx) (err error) { h, err = readHistory(tx); return err }); err != nil {
			return h, err
		}
		if h.leaf < 0 {
			if err := l.begin(ctx, h, from); err != nil {
				return h, err
			}
			continue
		}
		s, err := l.read(ctx, h, h.leaf, h.head, mostEntries)
		if err != nil || s.Until == h.leaf || !all && len(s.Entries) == 0 && l.Now().Before(h.putAt.Add(ledgerQuiet)) {
			return h, err
		}
		if err := l.put(ctx, h, s); err != nil {
			return h, err
		}
		// Another process may have written as far: then there are two segments of the same leaves, which is no harm.
		err = l.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE ledger_reach SET leaf = $2, put_at = $3 WHERE timeline = $1 AND leaf < $2`, h.timeline, s.Until, db.Micros(s.At))
			return err
		})
		if h.leaf = s.Until; err != nil || h.leaf >= h.head {
			return h, err
		}
	}
}

// begin finds out how far the ledger of a history reaches that this database does not know of, as after a restore: there is
// none, and it begins at the end of the log, or at the leaf.
func (l *Ledger) begin(ctx context.Context, h history, from int64) error {
	h.leaf = h.head
	if from >= 0 {
		h.leaf = min(from, h.head)
	}
	reached := int64(-1)
	for _, s := range l.Stores {
		list, err := s.List(ctx, h.folder())
		if err != nil {
			return fmt.Errorf("looking through %s: %w", s.Name(), err)
		}
		for _, o := range list {
			if _, until, ok := parseSegment(o.Name[len(h.folder()):]); ok {
				reached = max(reached, until)
			}
		}
	}
	if reached >= 0 {
		h.leaf = min(reached, h.head)
	}
	return l.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO ledger_reach (timeline, leaf, put_at) VALUES ($1, $2, $3) ON CONFLICT (timeline) DO NOTHING`,
			h.timeline, h.leaf, db.Micros(l.Now()))
		return err
	})
}

// read makes the segment from one leaf to another, or to where it is full.
func (l *Ledger) read(ctx context.Context, h history, from, until int64, most int) (segment, error) {
	s := segment{
		Format: Format, Install: h.install, Timeline: h.timeline, Epoch: h.epoch, From: from, Until: from, At: l.Now().UTC().Truncate(time.Microsecond),
		Entries: []entry{},
	}
	for s.Until < until && len(s.Entries) < most {
		var page []event.Sealed
		next := s.Until
		err := l.DB.Read(ctx, func(tx *db.Tx) (err error) {
			page, next, err = l.Events.After(tx, s.Until, int(min(1000, until-s.Until)))
			return err
		})
		if err != nil {
			return s, err
		}
		for _, e := range page {
			if what, ok := reduces(e); ok {
				s.Entries = append(s.Entries, what)
			}
		}
		if next == s.Until { // leaves whose event is gone are no pages of their own
			break
		}
		s.Until = next
	}
	return s, nil
}

func segmentFile(from, until int64) string { return fmt.Sprintf("%012d-%012d.age", from, until) }

func parseSegment(name string) (from, until int64, ok bool) {
	m := segmentName.FindStringSubmatch(name)
	if m == nil {
		return 0, 0, false
	}
	_, err := fmt.Sscanf(m[1]+" "+m[2], "%d %d", &from, &until)
	return from, until, err == nil && from < until
}

// put puts a segment into every store, once: who calls comes again.
func (l *Ledger) put(ctx context.Context, h history, s segment) error {
	return l.putSigned(ctx, h.folder()+segmentFile(s.From, s.Until), h.install, s)
}

func (l *Ledger) putSigned(ctx context.Context, name, install string, v any) error {
	signer, err := NewSigner(l.EventKey, install)
	if err != nil {
		return err
	}
	text, err := signer.sign(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, l.Recipients.Keys()...)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	for _, s := range l.Stores {
		// What is there already was encrypted anew then, and says the same.
		if err := s.Put(ctx, name, out.Bytes()); err != nil && !errors.Is(err, errExists) {
			return fmt.Errorf("writing %s to %s: %w", name, s.Name(), err)
		}
	}
	return nil
}

// Erased notes in every store that an account is being erased. It comes before the first row is deleted, and may be done
// again.
func (l *Ledger) Erased(ctx context.Context, account string) error {
	var h history
	if err := l.DB.Read(ctx, func(tx *db.Tx) (err error) { h, err = readHistory(tx); return err }); err != nil {
		return err
	}
	now := l.Now().UTC().Truncate(time.Microsecond)
	who := nameless(h.key, account)
	name := fmt.Sprintf("%s%s/%s/%s-%05d.age", ledgers, h.install, erasedFolder, who, now.Unix()/86400)
	return l.putSigned(ctx, name, h.install, erased{Format, h.install, who, now})
}

// nameless is what the ledger calls somebody who was erased.
func nameless(key []byte, account string) string {
	return hex.EncodeToString(secret.MAC(key, []byte("gatehouse/ledger/1"), []byte(account)))
}

// Tidy deletes what no kept backup needs, and merges the segments of days that are over.
func (l *Ledger) Tidy(ctx context.Context, oldest *Manifest) error {
	var h history
	if err := l.DB.Read(ctx, func(tx *db.Tx) (err error) { h, err = readHistory(tx); return err }); err != nil {
		return err
	}
	for _, s := range l.Stores {
		list, err := s.List(ctx, ledgers+h.install+"/")
		if err != nil {
			return fmt.Errorf("looking through %s: %w", s.Name(), err)
		}
		for _, o := range list {
			if !outlived(o, h.install, oldest) {
				continue
			}
			if err := s.Delete(ctx, o.Name); err != nil && !Keeps(err) {
				return fmt.Errorf("deleting from %s: %w", s.Name(), err)
			}
		}
	}
	return l.merge(ctx, h)
}

// outlived says whether a file of the ledger is older than the oldest backup, so that no restore needs it.
func outlived(o Object, install string, oldest *Manifest) bool {
	epoch, timeline, file, ok := parseLedger(o.Name, install)
	switch {
	case !ok:
		return false
	case timeline == "":
		return o.Time.Before(oldest.Snapshot.Add(-time.Hour))
	case timeline != oldest.Timeline:
		return epoch < oldest.Epoch
	}
	_, until, _ := parseSegment(file)
	return until <= oldest.Log.Size
}

// parseLedger takes the name of a file of the ledger apart; the timeline is empty for one that names the erased.
func parseLedger(name, install string) (epoch int64, timeline, file string, ok bool) {
	rest, ours := strings.CutPrefix(name, ledgers+install+"/")
	folder, file, two := strings.Cut(rest, "/")
	if !ours || !two {
		return 0, "", "", false
	}
	if folder == erasedFolder {
		return 0, "", file, erasedName.MatchString(file)
	}
	m := historyName.FindStringSubmatch(folder)
	if m == nil {
		return 0, "", "", false
	}
	_, _, ok = parseSegment(file)
	epoch, err := strconv.ParseInt(m[1], 10, 64)
	return epoch, m[2], file, ok && err == nil
}

// merge puts one segment in the place of those of each day that is over. They can't be read here, so the log is read again.
func (l *Ledger) merge(ctx context.Context, h history) error {
	list, err := l.Stores[0].List(ctx, h.folder())
	if err != nil {
		return err
	}
	days := map[string][]Object{}
	today := l.Now().UTC().Format(time.DateOnly)
	for _, o := range list {
		if day := o.Time.UTC().Format(time.DateOnly); day < today {
			days[day] = append(days[day], o)
		}
	}
	for _, group := range days {
		if err := l.mergeDay(ctx, h, group); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) mergeDay(ctx context.Context, h history, group []Object) error {
	slices.SortFunc(group, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	from, until, n := int64(-1), int64(-1), 0
	for _, o := range group {
		f, u, ok := parseSegment(o.Name[len(h.folder()):])
		if !ok {
			continue
		}
		if from < 0 {
			from, until = f, u
		}
		if f > until {
			return nil // a gap, which must go on to show
		}
		until, n = max(until, u), n+1
	}
	if n < 2 {
		return nil
	}
	s, err := l.read(ctx, h, from, until, mostMerged)
	if err != nil || s.Until < until {
		return err
	}
	if err := l.put(ctx, h, s); err != nil {
		return err
	}
	for _, o := range group {
		f, u, ok := parseSegment(o.Name[len(h.folder()):])
		if !ok || f == from && u == until {
			continue
		}
		for _, store := range l.Stores {
			if err := store.Delete(ctx, o.Name); err != nil && !Keeps(err) {
				return fmt.Errorf("deleting from %s: %w", store.Name(), err)
			}
		}
	}
	return nil
}
