package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Restore loads a backup into an empty database.
type Restore struct {
	Store      Store
	Trust      Trust
	Identities []age.Identity
	// Database is where it goes: on PostgreSQL with the owner's URL.
	Database db.Config
	// EventKey begins a new origin of the event log; without one no origin begins.
	EventKey string
	// Secret opens the keys of the installation: JWT_SECRET_KEY. Lost says that there is
	// none any more which does, so that all keys are made anew, as Fresh says.
	Secret string
	Lost   bool
	Fresh  func() (keyring.Config, error)
	// Ledgers are the stores whose ledger counts; Store's alone, if there are none. Decided is what it says; nil: nothing is
	// done again.
	Ledgers []Store
	Decided *Decisions
	// Anchored is what EVENT_ANCHOR has, against which the ledger is held.
	Anchored Anchored
	// AcceptLost takes a ledger that lacks something.
	AcceptLost bool
	// Abandoned takes a backup of a history that an earlier restore has left.
	Abandoned bool
	// Clone makes it another installation. Its keys are made anew, as where the secret is lost.
	Clone bool
	// Opens says whether the pepper opens a stored hash, where one that passwords are sealed under is lost: the others have to be set anew.
	// nil: none is lost.
	Opens func(stored string) bool
	// After does in the last transaction what others keep beside the database's own.
	After    []func(tx *db.Tx, now time.Time) error
	By       By
	Events   *event.Log
	Random   secret.Random
	Now      func() time.Time
	Progress func(Progress)
	// Drill leaves no trace outside the database: no timeline is begun in the store.
	Drill bool
}

// Restored is how a restore went.
type Restored struct {
	Manifest *Manifest
	Epoch    int64
	Timeline string
	// Log is what verifying the event log found; it has findings where the log was
	// tampered with before the backup was made.
	Log event.Report
	// Again is how many decisions of since the backup were done again.
	Again int
	// Passwords is how many can't be opened any more.
	Passwords int
	// Mails is how many mails that waited were given up.
	Mails int64
	// Factors are the second factors that were taken as they are, since the key that sealed them is lost.
	Factors operate.Resealed
}

// Read reads the manifest, and refuses what can't be restored by this program before
// anything is touched.
func (r *Restore) Read(ctx context.Context, install, id string) (*Manifest, error) {
	m, err := readManifest(ctx, r.Store, r.Trust, install, id)
	if err != nil {
		return nil, err
	}
	if newest := db.Newest(); m.Schema > newest {
		return nil, fault.New(fault.Invalid, "backup_newer", fmt.Sprintf(
			"The backup was made by gatehouse %s, with version %d of the schema, and this gatehouse knows %d at most. Use that version or a newer one. "+
				"Nothing was touched.", clip(m.Gatehouse), m.Schema, newest))
	}
	if m.SQLiteOnly && !strings.HasPrefix(r.Database.URL, "sqlite:") {
		return nil, fault.New(fault.Invalid, "backup_sqlite_only",
			"The backup has text that is not UTF-8 or has a NUL, which PostgreSQL refuses. Restore it into SQLite, mend the text, and make another.")
	}
	if err := r.strange(m); err != nil {
		return nil, err
	}
	if len(r.Identities) == 0 {
		return nil, needIdentity(m)
	}
	if len(m.Parts) > 0 { // before anything is made
		if what, err := inspect(ctx, r.Store, m, m.Parts[0], r.Identities); err != nil {
			if errors.Is(err, errNoIdentity) {
				return nil, needIdentity(m)
			}
			return nil, broken(m.Parts[0], what, err)
		}
	}
	if !r.Abandoned && !r.Drill {
		if err := r.abandoned(ctx, m); err != nil {
			return nil, err
		}
	}
	return m, r.decided(ctx, m)
}

// decided reads the ledger. A drill that has no key for it, since that is in a safe, goes on without.
func (r *Restore) decided(ctx context.Context, m *Manifest) (err error) {
	r.Decided, err = r.Decisions(ctx, m)
	if f := fault.As(err); r.Drill && f != nil && f.Code == "no_identity" {
		return nil
	}
	if err == nil && r.Decided.Gap != "" && !r.AcceptLost {
		err = errGap(r.Decided)
	}
	return err
}

// broken is the refusal of a part that is not what it was.
func broken(p Part, what string, err error) error {
	if what == "" {
		return err
	}
	return fault.New(fault.Invalid, "backup_"+what, fmt.Sprintf("The part %s of the backup is not as it was made: %v.", p.Name, err))
}

// Run restores a backup whose manifest [Restore.Read] has returned. What is killed on the way
// is run again, and ends the same.
func (r *Restore) Run(ctx context.Context, m *Manifest) (*Restored, error) {
	l, err := db.Load(ctx, r.Database, m.ID, m.Schema, m.Tables["event"].Rows)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := r.load(ctx, l, m); err != nil {
		return nil, err
	}
	d, err := l.Open(ctx)
	if err != nil {
		return nil, err
	}
	out, err := r.settle(ctx, l, d, m)
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	return out, l.Complete(ctx)
}

// undos are the tickets that are loaded: they take back what somebody else did.
var undos = []string{"undo", "undo_factor"}

// load loads the parts of the tables that a restore loads.
func (r *Restore) load(ctx context.Context, l *db.Loading, m *Manifest) error {
	for name := range m.Tables {
		if t, ok := schema.Find(name); !ok || t.Restore == schema.Absent {
			return malformed("it has the table " + clip(name) + ", which is in no backup of ours")
		}
	}
	done, of := int64(0), int64(0)
	wanted := map[string]schema.Table{}
	for _, t := range schema.Tables {
		described, ok := m.Tables[t.Name]
		if !ok || t.Restore == schema.Nothing || t.Restore == schema.Absent {
			continue
		}
		t.Columns = described.columns()
		if err := l.Fits(ctx, t); err != nil {
			return err
		}
		wanted[t.Name] = t
		for _, p := range m.Parts {
			if p.Table == t.Name {
				of += p.Plain
			}
		}
	}
	for _, listed := range schema.Tables {
		t, ok := wanted[listed.Name]
		if !ok {
			continue
		}
		for _, p := range m.Parts {
			if p.Table != t.Name {
				continue
			}
			if err := r.part(ctx, l, m, p, t); err != nil {
				return err
			}
			done += p.Plain
			r.Progress(Progress{"loading " + t.Name, done, of})
		}
	}
	return nil
}

func (r *Restore) part(ctx context.Context, l *db.Loading, m *Manifest, p Part, t schema.Table) error {
	what, err := inspect(ctx, r.Store, m, p, nil)
	if err != nil {
		return broken(p, what, err)
	}
	data, err := r.Store.Get(ctx, folderOf(m.Install, m.ID)+p.Name, p.Size)
	if err != nil {
		return err
	}
	if err := p.intact(data); err != nil { // it is another than a moment ago
		return broken(p, "changed", err)
	}
	text, err := p.open(data, r.Identities)
	if errors.Is(err, errNoIdentity) {
		return needIdentity(m)
	}
	if err != nil {
		return broken(p, "changed", err)
	}
	defer text.Close()
	load := db.LoadPart{Name: p.Name, Table: t, Rows: p.Rows, Text: text}
	if t.Restore == schema.Part {
		purpose := slices.IndexFunc(t.Columns, func(c schema.Column) bool { return c.Name == "purpose" })
		if purpose < 0 {
			return malformed("the table " + t.Name + " has no purposes")
		}
		load.Keep = func(row []any) bool {
			word, _ := row[purpose].(string)
			return slices.Contains(undos, word)
		}
	}
	return l.Part(ctx, load)
}

// branch is where a history began: it is put, signed, beside the backups before the
// restored database serves, so that later restores know of it.
type branch struct {
	Format   int       `json:"format"`
	Install  string    `json:"install"`
	Timeline string    `json:"timeline"`
	Parent   string    `json:"parent"`
	Epoch    int64     `json:"epoch"`
	Backup   string    `json:"backup"`
	Size     int64     `json:"size"` // of the event log, where it left the parent
	At       time.Time `json:"at"`
}

// mostBranch bounds such a file.
const mostBranch = 64 << 10

// abandoned refuses a backup of a history that an earlier restore has left, from after the point where it was left: it may be of the
// poisoned days that the restore was to undo. A history that began in one that was left is left with it, whichever it was.
func (r *Restore) abandoned(ctx context.Context, m *Manifest) error {
	all, err := r.branches(ctx, m.Install)
	if err != nil || len(all) == 0 {
		return err
	}
	newest := all[0]
	began := map[string]branch{}
	for _, b := range all {
		if began[b.Timeline] = b; b.Epoch > newest.Epoch {
			newest = b
		}
		if b.Parent == m.Timeline && m.Log.Size > b.Size {
			return errAbandoned(b)
		}
	}
	// From the newest history back to the first: what is not on that way was left.
	at, size := newest.Timeline, m.Log.Size
	for range all {
		b, ok := began[at]
		if at == m.Timeline || !ok {
			break
		}
		at, size = b.Parent, b.Size
	}
	if at != m.Timeline || m.Log.Size > size {
		return errAbandoned(newest)
	}
	return nil
}

// branches reads where the histories of an installation began.
func (r *Restore) branches(ctx context.Context, install string) (out []branch, err error) {
	list, err := r.Store.List(ctx, timelines+install+"/")
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		raw, err := r.Store.Get(ctx, o.Name, mostBranch)
		if err != nil {
			return nil, err
		}
		text, err := r.Trust.signed(raw, install)
		if err != nil {
			return nil, err
		}
		var b branch
		if err := strictly(text, &b); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func errAbandoned(b branch) error {
	return fault.New(fault.Conflict, "backup_abandoned", fmt.Sprintf(
		"This backup is of a history that a restore at %s has left, by going back to the backup %s, and from after that: it has what that restore was to undo. "+
			"Choose another, or say --abandoned.", b.At.UTC().Format(time.RFC3339), b.Backup))
}

// begin puts a new history's file.
func (r *Restore) begin(ctx context.Context, m *Manifest, timeline string, epoch int64) error {
	if r.Drill || r.Clone || r.EventKey == "" {
		return nil
	}
	s, err := NewSigner(r.EventKey, m.Install)
	if err != nil {
		return err
	}
	raw, err := s.sign(branch{Format, m.Install, timeline, m.Timeline, epoch, m.ID, m.Log.Size, r.Now().UTC()})
	if err != nil {
		return err
	}
	return putAll(ctx, []Store{r.Store}, fmt.Sprintf("%s%s/%d-%s.json", timelines, m.Install, epoch, timeline), raw, Sleep)
}

// epoch returns one that no history of the installation has used: refresh tokens of all
// others are refused by it.
func (r *Restore) epoch(ctx context.Context, m *Manifest, now time.Time) (int64, error) {
	epoch := max(m.Epoch+1, now.Unix())
	prefix := timelines + m.Install + "/"
	all, err := r.Store.List(ctx, prefix)
	for _, o := range all {
		var used int64
		if _, err := fmt.Sscanf(strings.TrimPrefix(o.Name, prefix), "%d-", &used); err == nil && used < now.Add(24*time.Hour).Unix() {
			epoch = max(epoch, used+1)
		}
	}
	return epoch, err
}

// newTimeline names a history.
func newTimeline(r secret.Random) string { return hex.EncodeToString(r.Bytes(16)) }
