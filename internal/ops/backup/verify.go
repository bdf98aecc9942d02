package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Finding is one thing that is wrong with a backup.
type Finding struct {
	// What is a word: changed, missing, unknown, unsigned, not_ours, newer or no_identity.
	What string `json:"what"`
	// Part is the file, if it is about one.
	Part string `json:"part,omitempty"`
	Text string `json:"text"`
}

// Report is what verifying a backup found.
type Report struct {
	Backup   string    `json:"backup"`
	Install  string    `json:"install"`
	Store    string    `json:"store"`
	Snapshot time.Time `json:"snapshot"`
	Parts    int       `json:"parts"`
	Rows     int64     `json:"rows"`
	Size     int64     `json:"size"`
	// Opened is whether the parts were decrypted as well.
	Opened bool `json:"opened"`
	// Findings are empty if all is well.
	Findings []Finding `json:"findings"`
}

// mostFindings bounds a report.
const mostFindings = 20

func (r *Report) find(what, part, format string, args ...any) {
	if len(r.Findings) < mostFindings {
		r.Findings = append(r.Findings, Finding{what, part, fmt.Sprintf(format, args...)})
	}
}

// found are the words for faults of a manifest.
var found = map[string]string{
	"backup_changed": "changed", "backup_unsigned": "unsigned", "backup_not_ours": "not_ours", "backup_newer": "newer", "backup_incomplete": "missing",
}

// Verify reads a backup in a store and holds it against its manifest. With identities it
// opens the parts as well. It needs no database. The error is of the store.
func Verify(ctx context.Context, s Store, trust Trust, install, id string, identities []age.Identity, progress func(Progress)) (Report, error) {
	r := Report{Backup: id, Install: install, Store: s.Name(), Findings: []Finding{}}
	m, err := readManifest(ctx, s, trust, install, id)
	if f := fault.As(err); f != nil && found[f.Code] != "" {
		r.find(found[f.Code], "", "%s", f.Message)
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.Snapshot, r.Parts, r.Rows, r.Size, r.Opened = m.Snapshot, len(m.Parts), m.Rows(), m.Size(), len(identities) > 0
	done := int64(0)
	for _, p := range m.Parts {
		what, err := inspect(ctx, s, m, p, identities)
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case errors.Is(err, errNoIdentity):
			r.Opened = false
			r.find("no_identity", "", "%s", needIdentity(m).Error())
			return r, nil
		case what != "":
			r.find(what, p.Name, "%s: %v", p.Name, err)
		case err != nil:
			return r, err
		}
		done += p.Size
		progress(Progress{"verifying", done, r.Size})
	}
	return r, r.neighbours(ctx, s, m)
}

// inspect says in a word what is wrong with a part, and in the error how. Without the
// word the error is the store's.
func inspect(ctx context.Context, s Store, m *Manifest, p Part, identities []age.Identity) (what string, err error) {
	data, err := s.Get(ctx, folderOf(m.Install, m.ID)+p.Name, p.Size)
	switch {
	case errors.Is(err, ErrMissing):
		return "missing", err
	case errors.Is(err, errTooLong):
		return "changed", err
	case err != nil:
		return "", err
	}
	if err := p.intact(data); err != nil {
		return "changed", err
	}
	if len(identities) == 0 {
		return "", nil
	}
	if err := p.readThrough(data, identities); err != nil {
		return "changed", err
	}
	return "", nil
}

// neighbours looks at what else lies with a backup, and at those that it says are kept.
func (r *Report) neighbours(ctx context.Context, s Store, m *Manifest) error {
	all, err := stored(ctx, s, m.Install)
	if err != nil {
		return err
	}
	for _, o := range all[m.ID] {
		known := o.Name == manifest || slices.ContainsFunc(m.Parts, func(p Part) bool { return p.Name == o.Name })
		if !known && !temporary(o.Name) {
			r.find("unknown", o.Name, "%s: the manifest does not name it", o.Name)
		}
	}
	for _, k := range m.Kept {
		raw, err := s.Get(ctx, folderOf(m.Install, k.ID)+manifest, mostManifest)
		if errors.Is(err, ErrMissing) {
			continue // it was deleted since, as the keep rules want
		}
		if err != nil && !errors.Is(err, errTooLong) {
			return err
		}
		if hexHash(raw) != k.SHA256 {
			r.find("changed", manifest, "the manifest of the older backup %s is another than when this one was made", k.ID)
		}
	}
	return nil
}

// readManifest reads and checks a manifest; the fault is backup_incomplete if there is none.
func readManifest(ctx context.Context, s Store, trust Trust, install, id string) (*Manifest, error) {
	raw, err := s.Get(ctx, folderOf(install, id)+manifest, mostManifest)
	switch {
	case errors.Is(err, ErrMissing):
		return nil, fault.New(fault.Invalid, "backup_incomplete", fmt.Sprintf(
			"There is no backup %s in %s, or it has no manifest. `gatehouse backup list` lists them.", id, s.Name()))
	case errors.Is(err, errTooLong):
		return nil, malformed("it is over 8 MiB")
	case err != nil:
		return nil, err
	}
	return trust.Read(raw, install, id)
}

// Entry is a backup in a list.
type Entry struct {
	ID       string    `json:"id"`
	Install  string    `json:"install"`
	Snapshot time.Time `json:"snapshot"`
	Dialect  string    `json:"dialect"`
	Rows     int64     `json:"rows"`
	Size     int64     `json:"size"`
	// Stores have it.
	Stores []string `json:"stores"`
	// Problem is what is wrong, in a sentence; empty if nothing is.
	Problem string `json:"problem,omitempty"`
	// hash is the manifest's.
	hash string
}

// List returns the backups of an installation in all stores, the newest first. It looks at
// manifests and at the sizes of the parts, and opens nothing.
func List(ctx context.Context, stores []Store, trust Trust, install string) ([]Entry, error) {
	byID := map[string]*Entry{}
	for _, s := range stores {
		all, err := stored(ctx, s, install)
		if err != nil {
			return nil, fmt.Errorf("looking through %s: %w", s.Name(), err)
		}
		for _, id := range complete(all) {
			e := byID[id]
			if e == nil {
				e = &Entry{ID: id, Install: install}
				byID[id] = e
			}
			e.Stores = append(e.Stores, s.Name())
			if err := e.look(ctx, s, trust, all[id]); err != nil {
				return nil, err
			}
		}
	}
	out := make([]Entry, 0, len(byID))
	for _, e := range byID {
		for _, s := range stores {
			if e.Problem == "" && !slices.Contains(e.Stores, s.Name()) {
				e.Problem = s.Name() + " does not have it."
			}
		}
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b Entry) int {
		if a.ID > b.ID {
			return -1
		}
		return 1
	})
	return out, nil
}

// look fills an entry from one store.
func (e *Entry) look(ctx context.Context, s Store, trust Trust, objects []Object) error {
	raw, err := s.Get(ctx, folderOf(e.Install, e.ID)+manifest, mostManifest)
	if err != nil && !errors.Is(err, errTooLong) {
		return err
	}
	m, err := trust.Read(raw, e.Install, e.ID)
	if err != nil {
		e.Problem = fault.As(err).Message
		return nil
	}
	e.Snapshot, e.Dialect, e.Rows, e.Size = m.Snapshot, m.Dialect, m.Rows(), m.Size()
	if hash := hexHash(raw); e.hash != "" && e.hash != hash {
		e.Problem = "Its manifest is not the same in all stores."
	} else {
		e.hash = hash
	}
	for _, p := range m.Parts {
		i := slices.IndexFunc(objects, func(o Object) bool { return o.Name == p.Name })
		if i < 0 {
			e.Problem = s.Name() + ": " + p.Name + " is missing."
		} else if objects[i].Size != p.Size {
			e.Problem = s.Name() + ": " + p.Name + " has another size."
		}
	}
	return nil
}
