package respond

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/notary"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Freezing is what evidence is frozen with.
type Freezing struct {
	// Recipients are who can open the bundle.
	Recipients []age.Recipient
	// EventKey signs it, as it does the event log.
	EventKey string
	// Since is from when on the log is in it; zero is from a week before the attack began, or before it was known.
	Since time.Time
	// Settings are those in force, with secrets covered; Version is the program's, and Binary the SHA-256 of its file.
	Settings        []operate.Setting
	Version, Binary string
}

// Custody is a link of the chain of custody: who had the evidence, where and when.
type Custody struct {
	At   time.Time `json:"at"`
	Who  string    `json:"who"`
	What string    `json:"what"`
}

// Sum is a file of a bundle.
type Sum struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Manifest is the signed statement in a bundle.
type Manifest struct {
	Format    int       `json:"format"`
	Install   string    `json:"install"`
	Incident  string    `json:"incident"`
	Title     string    `json:"title"`
	FrozenAt  time.Time `json:"frozen_at"`
	FirstLeaf int64     `json:"first_leaf"`
	LogKey    string    `json:"log_key"`
	Version   string    `json:"version"`
	Binary    string    `json:"binary_sha256"`
	Files     []Sum     `json:"files"`
	Custody   []Custody `json:"custody"`
}

const (
	bundleFormat = 1
	manifestFile = "manifest.note"
)

// signerName is the name in the signature of an installation's evidence.
func signerName(install string) string { return "gatehouse/" + install + "/evidence" }

func evidenceSigner(key, install string) (*notary.Signer, error) {
	return notary.New(key, signerName(install), "gatehouse/evidence/1")
}

// EvidenceKey is the public key that checks an installation's bundles.
func EvidenceKey(key, install string) (string, error) {
	s, err := evidenceSigner(key, install)
	if err != nil {
		return "", err
	}
	return s.Verifier, nil
}

// bundle is one that is being written.
type bundle struct {
	zip *zip.Writer
	m   Manifest
}

// file adds a file, whose hash the manifest will have.
func (b *bundle) file(name string, write func(w io.Writer) error) error {
	f, err := b.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: b.m.FrozenAt})
	if err != nil {
		return err
	}
	sum := sha256.New()
	n := &counted{w: io.MultiWriter(f, sum)}
	if err := write(n); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.m.Files = append(b.m.Files, Sum{name, hex.EncodeToString(sum.Sum(nil)), n.n})
	return nil
}

type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (b *bundle) json(name string, v any) error {
	return b.file(name, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// Freeze writes an evidence bundle of an incident: a ZIP, encrypted by age, with the sealed log and its proofs, the incident,
// the people it names with their sessions, the settings with secrets covered, and a signed manifest. It returns the
// SHA-256 of what it wrote, which stands in the timeline from then on.
func (d *Desk) Freeze(ctx context.Context, n int64, f Freezing, out io.Writer, by By) (hash string, err error) {
	ctx, run := d.Count.Begin(ctx, "incident")
	hash, err = d.freeze(ctx, n, f, out, by)
	return hash, run.End(err)
}

func (d *Desk) freeze(ctx context.Context, n int64, f Freezing, out io.Writer, by By) (string, error) {
	if len(f.Recipients) == 0 {
		return "", fault.Field("recipient", "required", "Say who can open the bundle: --recipient age1…, or BACKUP_RECIPIENTS. See gatehouse backup keygen.")
	}
	s, err := d.Show(ctx, n)
	if err != nil {
		return "", err
	}
	if d.Operator.Seal != nil { // what has just happened belongs to it
		if err := d.Operator.Seal(ctx); err != nil {
			return "", err
		}
	}
	sum := sha256.New()
	size := &counted{w: io.MultiWriter(out, sum)}
	sealed, err := age.Encrypt(size, f.Recipients...)
	if err != nil {
		return "", err
	}
	b := &bundle{zip: zip.NewWriter(sealed), m: Manifest{
		Format: bundleFormat, Incident: s.Name(), Title: s.Title, FrozenAt: d.Now().UTC(), Version: f.Version, Binary: f.Binary, Files: []Sum{},
		Custody: []Custody{{d.Now().UTC(), by.actor(), "frozen from the running installation"}},
	}}
	if err := d.fill(ctx, b, s, f); err != nil {
		return "", err
	}
	if err := errors.Join(b.zip.Close(), sealed.Close()); err != nil {
		return "", err
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	return hash, d.on(ctx, n, func(tx *db.Tx, i incident.Incident) error {
		if _, err := incident.Tick(tx, i.ID, "freeze", by.actor(), d.Now()); err != nil {
			return err
		}
		d.record(tx, event.IncidentAction, operate.ActContain, event.Detail{Incident: i.Name(), Action: "freeze", Hash: hash}, by)
		text := fmt.Sprintf("Evidence frozen: sha256 %s, %d bytes, signed by the key of %s.", hash, size.n, signerName(b.m.Install))
		return d.write(tx, i, incident.Entry{Kind: incident.Frozen, Text: text}, by)
	})
}

// fill writes the files, and the manifest last.
func (d *Desk) fill(ctx context.Context, b *bundle, s Standing, f Freezing) error {
	since := f.Since
	if since.IsZero() {
		since = s.AwareAt.Add(-weekBefore)
		if !s.BeganAt.IsZero() {
			since = s.BeganAt.Add(-weekBefore)
		}
	}
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if b.m.Install, err = keyring.InstallID(tx); err == nil {
			b.m.FirstLeaf, err = event.LeafSince(tx, since)
		}
		if err != nil {
			return err
		}
		origins, err := event.LogOrigins(tx)
		if err != nil || len(origins) == 0 {
			return err
		}
		// From EVENT_KEY, and not as the database has it: whoever could write there could put another one in its place.
		logSigner, err := event.NewSigner(f.EventKey, origins[len(origins)-1].Name)
		if err == nil {
			b.m.LogKey = logSigner.Verifier()
		}
		return err
	})
	if err != nil {
		return err
	}
	signer, err := evidenceSigner(f.EventKey, b.m.Install)
	if err != nil {
		return err
	}
	for _, file := range []func() error{
		func() error { return b.json("incident.json", s) },
		func() error {
			return b.file("events.jsonl", func(w io.Writer) error { _, err := event.ExportSealed(ctx, d.DB, b.m.FirstLeaf, w); return err })
		},
		func() error {
			return b.file("people.jsonl", func(w io.Writer) error { return d.writePeople(ctx, s.ID, json.NewEncoder(w)) })
		},
		func() error { return b.json("settings.json", f.Settings) },
	} {
		if err := file(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(b.m)
	if err != nil {
		return err
	}
	note, err := signer.Sign(string(text) + "\n")
	if err != nil {
		return err
	}
	return b.file(manifestFile, func(w io.Writer) error { _, err := w.Write(note); return err })
}

// weekBefore is how long before an attack began the log is evidence too.
const weekBefore = 7 * 24 * time.Hour

// frozenPerson is somebody whom an incident names, as a bundle has them: no hash, no secret.
type frozenPerson struct {
	Account   string         `json:"account"`
	Email     string         `json:"email"`
	Roles     []string       `json:"roles"`
	State     account.State  `json:"state"`
	CreatedAt time.Time      `json:"created_at"`
	Sessions  []session.Past `json:"sessions"`
}

// frozenSessions is how many sessions of each person a bundle has.
const frozenSessions = 1000

func (d *Desk) writePeople(ctx context.Context, incidentID string, e *json.Encoder) error {
	for after := ""; ; {
		var list []frozenPerson
		err := d.DB.Read(ctx, func(tx *db.Tx) error {
			ids, err := incident.AllPeople(tx, incidentID, after, lookBatch)
			for _, id := range ids {
				after = id
				p, err := d.frozenOne(tx, id)
				if fault.KindOf(err) == fault.NotFound {
					continue // erased meanwhile
				}
				if err != nil {
					return err
				}
				list = append(list, p)
			}
			if len(ids) == 0 {
				after = ""
			}
			return err
		})
		if err != nil || after == "" {
			return err
		}
		for _, p := range list {
			if err := e.Encode(p); err != nil {
				return err
			}
		}
	}
}

func (d *Desk) frozenOne(tx *db.Tx, id string) (p frozenPerson, err error) {
	a, err := account.DetailByID(tx, id)
	if err != nil {
		return p, err
	}
	p = frozenPerson{Account: a.ID, Email: a.Email, Roles: append([]string{}, a.Roles...), State: a.State(), CreatedAt: a.CreatedAt}
	p.Sessions, err = session.Ever(tx, id, frozenSessions) // those that were ended to contain it are the evidence
	return p, err
}
