package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/notary"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// Format is the format's number; a manifest with another is refused.
const Format = 1

// mostManifest bounds a manifest.
const mostManifest = 8 << 20

// Manifest says what a backup consists of. It is put last: a backup exists when it does.
type Manifest struct {
	Format    int       `json:"format"`
	ID        string    `json:"id"`
	Install   string    `json:"install"`
	Timeline  string    `json:"timeline"`
	Epoch     int64     `json:"epoch"`
	Began     time.Time `json:"began"`
	Snapshot  time.Time `json:"snapshot"`
	Dialect   string    `json:"dialect"`
	Schema    int64     `json:"schema"`
	Gatehouse string    `json:"gatehouse"`
	// SQLiteOnly is set where a text can't stand in PostgreSQL: it is not UTF-8, or has a
	// NUL.
	SQLiteOnly bool             `json:"sqlite_only"`
	Log        Log              `json:"log"`
	Ledger     Reach            `json:"ledger"`
	Kept       []Kept           `json:"kept"`
	Tables     map[string]Table `json:"tables"`
	Parts      []Part           `json:"parts"`
	// Recipients are who can open it.
	Recipients []string `json:"recipients"`
	Needs      Needs    `json:"needs"`
}

// Log is the event log at the snapshot.
type Log struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"`
	// Checkpoint is the newest that was signed, as a note; empty if there is none.
	Checkpoint string `json:"checkpoint"`
}

// Reach is how far the ledger reached when the backup was made: everything that the backup has, and took away from somebody,
// stands in the ledger of its history.
type Reach struct {
	Until int64 `json:"until"`
}

// Kept is another backup that was there when this one was made.
type Kept struct {
	ID     string `json:"id"`
	SHA256 string `json:"sha256"`
}

// Table is one table of a backup.
type Table struct {
	Columns []string      `json:"columns"`
	Types   []schema.Type `json:"types"`
	Rows    int64         `json:"rows"`
}

// Needs are fingerprints of the secrets that what is in it needs. None of the secrets is in
// a backup.
type Needs struct {
	// JWT are those of JWT_SECRET_KEY, and of the one before if that is in use.
	JWT []string `json:"jwt"`
	// Pepper are those of the peppers in use.
	Pepper []string `json:"pepper"`
	// Verifier is the public key that signs the event log.
	Verifier string `json:"verifier"`
}

// columns returns a table's columns with their types.
func (t Table) columns() []schema.Column {
	out := make([]schema.Column, len(t.Columns))
	for i, name := range t.Columns {
		out[i] = schema.Column{Name: name, Type: t.Types[i]}
	}
	return out
}

// Size is what the backup takes in a store.
func (m *Manifest) Size() int64 {
	n := int64(0)
	for _, p := range m.Parts {
		n += p.Size
	}
	return n
}

// Rows is how many rows of all tables there are.
func (m *Manifest) Rows() int64 {
	n := int64(0)
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// Signer signs manifests. Its key is derived from EVENT_KEY: whoever can write to the store
// can encrypt to the recipients, and must not be able to make up a backup.
type Signer struct {
	signer *notary.Signer
	// Verifier is the public key, as text.
	Verifier string
}

// signerName is the name in the signature of an installation's manifests.
func signerName(install string) string { return "gatehouse/" + install + "/backup" }

// NewSigner derives the signer of an installation from EVENT_KEY.
func NewSigner(key, install string) (*Signer, error) {
	s, err := notary.New(key, signerName(install), "gatehouse/backup/1")
	if err != nil {
		return nil, fmt.Errorf("the key that signs backups: %w", err)
	}
	return &Signer{signer: s, Verifier: s.Verifier}, nil
}

// sign returns a JSON text as a signed note.
func (s *Signer) sign(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.signer.Sign(string(text) + "\n")
}

// Trust says whose signature on a manifest counts.
type Trust struct {
	// EventKey is EVENT_KEY; Verifier a public key as text. One of them is enough.
	EventKey, Verifier string
	// Unsigned takes any manifest, for somebody who has lost the keys and knows where the
	// backup comes from.
	Unsigned bool
}

// verifiers returns the public keys that count for an installation.
func (t Trust) verifiers(install string) (list []note.Verifier, texts []string, err error) {
	if t.EventKey != "" {
		s, err := NewSigner(t.EventKey, install)
		if err != nil {
			return nil, nil, err
		}
		texts = append(texts, s.Verifier)
	}
	if t.Verifier != "" {
		texts = append(texts, t.Verifier)
	}
	for _, text := range texts {
		v, err := note.NewVerifier(text)
		if err != nil {
			return nil, nil, fault.New(fault.Invalid, "key_malformed", "That is not the public key of a backup, which looks like NAME+HEX+BASE64.").Because(err)
		}
		list = append(list, v)
	}
	return list, texts, nil
}

// signed opens a signed note of an installation.
func (t Trust) signed(raw []byte, install string) (text []byte, err error) {
	list, texts, err := t.verifiers(install)
	if err != nil {
		return nil, err
	}
	n, err := note.Open(raw, note.VerifierList(list...))
	if err == nil {
		return []byte(n.Text), nil
	}
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		if t.Unsigned {
			if i := bytes.Index(raw, []byte("\n\n")); i >= 0 {
				return raw[:i+1], nil
			}
			return raw, nil
		}
		return nil, fault.New(fault.Invalid, "backup_unsigned", "The manifest is not signed, or was changed: its signature does not fit.").Because(err)
	}
	if t.Unsigned {
		return []byte(unverified.Note.Text), nil
	}
	found := make([]string, 0, 1)
	for _, s := range unverified.Note.UnverifiedSigs {
		found = append(found, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
	}
	expected := "none: set EVENT_KEY to that of the installation, or name its public key"
	if len(texts) > 0 {
		expected = strings.Join(texts, " or ")
	}
	return nil, fault.New(fault.Invalid, "backup_not_ours", fmt.Sprintf(
		"The manifest is signed by another key than expected. Found %s; expected %s.", strings.Join(found, ", "), expected))
}

// Read reads a manifest of an installation's backup. What is wrong is a fault.Invalid.
func (t Trust) Read(raw []byte, install, id string) (*Manifest, error) {
	if len(raw) > mostManifest {
		return nil, malformed("it is over 8 MiB")
	}
	text, err := t.signed(raw, install)
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := strictly(text, m); err != nil {
		return nil, err
	}
	if m.Install != install || m.ID != id {
		return nil, fault.New(fault.Invalid, "backup_not_ours", fmt.Sprintf(
			"The manifest is of the backup %s of the installation %s, and lies where %s of %s should.", clip(m.ID), clip(m.Install), id, install))
	}
	return m, m.check()
}

// clip shortens and quotes what a store says, for a message.
func clip(s string) string { return fmt.Sprintf("%.60q", s) }

func malformed(why string) error {
	return fault.New(fault.Invalid, "backup_changed", "The manifest is malformed: "+why+".")
}

// strictly decodes JSON: no unknown field, no duplicate, nothing behind it.
func strictly(text []byte, into any) error {
	var number struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(text, &number) == nil && number.Format > Format {
		return fault.New(fault.Invalid, "backup_newer", fmt.Sprintf(
			"The backup has the format %d, and this gatehouse reads %d: use the version that made it, or a newer one.", number.Format, Format))
	}
	if err := noDuplicates(text); err != nil {
		return malformed(err.Error())
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return malformed(err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return malformed("something follows it")
	}
	return nil
}

// noDuplicates refuses an object that has a name twice, in any spelling that
// encoding/json takes for the same.
func noDuplicates(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	var value func() error
	value = func() error {
		t, err := d.Token()
		if err != nil {
			return err
		}
		names := map[string]bool{}
		for delim, open := t.(json.Delim); open && d.More(); {
			if delim == '{' {
				name, err := d.Token()
				if err != nil {
					return err
				}
				folded := strings.ToLower(name.(string))
				if names[folded] {
					return fmt.Errorf("the field %s stands twice", clip(name.(string)))
				}
				names[folded] = true
			}
			if err := value(); err != nil {
				return err
			}
		}
		if _, open := t.(json.Delim); open {
			_, err = d.Token()
		}
		return err
	}
	return value()
}

var (
	idForm     = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	hashForm   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	columnForm = regexp.MustCompile(`^[a-z_]{1,40}$`)
)

// check holds a manifest against itself: names as we make them, totals that add up.
func (m *Manifest) check() error {
	if m.Format != Format || !idForm.MatchString(m.ID) || !idForm.MatchString(m.Install) {
		return malformed("its format or an id is none of ours")
	}
	if m.Dialect != "sqlite" && m.Dialect != "postgres" || m.Schema < 1 || m.Epoch < 1 || m.Log.Size < 0 || m.Ledger.Until < 0 {
		return malformed("a number or the kind of the database can't be")
	}
	for _, k := range m.Kept {
		if !idForm.MatchString(k.ID) || !hashForm.MatchString(k.SHA256) {
			return malformed("it names a kept backup that can't be")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tables)) {
		if err := m.Tables[name].check(); err != nil {
			return malformed("the table " + clip(name) + " " + err.Error())
		}
	}
	return m.checkParts()
}

func (t Table) check() error {
	if len(t.Columns) == 0 || len(t.Columns) != len(t.Types) || t.Rows < 0 {
		return errors.New("has columns or rows that can't be")
	}
	for i, c := range t.Columns {
		known := t.Types[i] == schema.Integer || t.Types[i] == schema.Text || t.Types[i] == schema.Bytes
		if !columnForm.MatchString(c) || !known || i > 0 && t.Columns[i-1] >= c {
			return errors.New("has a column that can't be")
		}
	}
	return nil
}

func (m *Manifest) checkParts() error {
	rows, numbers := map[string]int64{}, map[string]int{}
	for _, p := range m.Parts {
		if _, ok := m.Tables[p.Table]; !ok {
			return malformed("a part is of no table that it has")
		}
		numbers[p.Table]++
		if !partName.MatchString(p.Name) || p.Name != nameOf(p.Table, numbers[p.Table]) {
			return malformed("the part " + clip(p.Name) + " should have the name " + nameOf(p.Table, numbers[p.Table]))
		}
		if p.Rows < 1 || p.Plain < p.Rows || p.Plain > partSize+mostRow || p.Size < 1 || p.Size > mostPart ||
			!hashForm.MatchString(p.SHA256) || !hashForm.MatchString(p.PlainSHA256) {
			return malformed("the part " + p.Name + " has a size or a hash that can't be")
		}
		rows[p.Table] += p.Rows
	}
	for name, t := range m.Tables {
		if rows[name] != t.Rows {
			return fault.New(fault.Invalid, "backup_incomplete", fmt.Sprintf(
				"A part is missing: those of the table %s have %d rows together, and the manifest says %d.", name, rows[name], t.Rows))
		}
	}
	return nil
}
