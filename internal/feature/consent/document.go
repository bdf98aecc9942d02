package consent

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// The names of the documents that every service has. Others have names of the operator's.
const (
	Privacy = "privacy"
	Terms   = "terms"
)

// Document is one version of a document.
type Document struct {
	Name    string
	Version int64
	// Texts are the text by language, and by "" for all others.
	Texts map[string]string
	// Hash is the SHA-256 of the texts as they are stored.
	Hash   []byte
	MadeAt time.Time
}

// ErrNoDocument is for a document, or a version of one, that is not there.
var ErrNoDocument = fault.New(fault.NotFound, "document_not_found", "There is no such document, or no such version of it.")

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// IsName reports whether a document may be called so: it stands in addresses.
func IsName(s string) bool { return validName.MatchString(s) }

// Title is the heading that a text begins with, or nothing.
func Title(text string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if !strings.HasPrefix(first, "#") {
		return ""
	}
	return strings.TrimSpace(strings.TrimLeft(first, "#"))
}

// ErrVersion is for what is no number of a version.
var ErrVersion = fault.Field("version", "invalid_version", "Write the number of a version, from 1.")

// MostVersion is more than any document gets to.
const MostVersion = 1_000_000_000

// ParseVersion reads the number of a version; nothing is 0.
func ParseVersion(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	version, err := strconv.ParseInt(s, 10, 64)
	if err != nil || version < 1 || version > MostVersion || strconv.FormatInt(version, 10) != s {
		return 0, ErrVersion
	}
	return version, nil
}

// Path is where this version is shown to people.
func (d Document) Path() string {
	path := "/terms/" + d.Name
	if d.Name == Privacy || d.Name == Terms {
		path = "/" + d.Name
	}
	return path + "?version=" + strconv.FormatInt(d.Version, 10)
}

// In returns the text for a language, and the language that it is in: empty where it is that of all others.
func (d Document) In(language string) (text, in string) {
	if t, ok := d.Texts[language]; ok {
		return t, language
	}
	return d.Texts[""], ""
}

// encode writes texts in the one form that is stored and hashed: a JSON object with sorted names.
func encode(texts map[string]string) (string, []byte, error) {
	plain := make(map[string]string, len(texts))
	for language, text := range texts {
		plain[language] = strings.ReplaceAll(text, "\r\n", "\n")
	}
	b, err := json.Marshal(plain)
	sum := sha256.Sum256(b)
	return string(b), sum[:], err
}

// Publish makes the texts the next version of a document, unless they were a version of it before: then it returns
// that, and reports false. Whoever publishes takes the row of install, so versions are made one after another.
func Publish(tx *db.Tx, name string, texts map[string]string, now time.Time) (d Document, made bool, err error) {
	stored, hash, err := encode(texts)
	if err != nil {
		return d, false, err
	}
	if _, err := tx.Exec(`UPDATE install SET block_n = block_n`); err != nil {
		return d, false, err
	}
	d, err = scan(tx.QueryRow(`SELECT name, version, hash, texts, made_at FROM document WHERE name = $1 AND hash = $2`, name, hash))
	if !errors.Is(err, ErrNoDocument) {
		return d, false, err
	}
	d = Document{Name: name, Texts: texts, Hash: hash, MadeAt: now}
	if err := tx.QueryRow(`SELECT COALESCE(MAX(version), 0) + 1 FROM document WHERE name = $1`, name).Scan(&d.Version); err != nil {
		return d, false, err
	}
	_, err = tx.Exec(`INSERT INTO document (name, version, hash, texts, made_at) VALUES ($1, $2, $3, $4, $5)`,
		name, d.Version, hash, stored, db.Micros(now))
	return d, err == nil, err
}

// Find returns a version of a document, the newest for version 0, or ErrNoDocument.
func Find(tx *db.Tx, name string, version int64) (Document, error) {
	return scan(tx.QueryRow(`SELECT name, version, hash, texts, made_at FROM document WHERE name = $1 AND (version = $2 OR $2 = 0)
		ORDER BY version DESC LIMIT 1`, name, version))
}

// Newest returns the version in force of each document.
func Newest(tx *db.Tx) (map[string]int64, error) {
	rows, err := tx.Query(`SELECT name, MAX(version) FROM document GROUP BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return versions(rows)
}

// Counted is a version of a document, and how many accounts have agreed to it and not taken it back.
type Counted struct {
	Document
	Given int64
}

// All returns every version of every document, by name and the newest first, and how many have agreed to each.
func All(tx *db.Tx) (list []Counted, err error) {
	rows, err := tx.Query(`SELECT name, version, hash, texts, made_at,
			(SELECT COUNT(*) FROM consent c WHERE c.document = d.name AND c.version = d.version AND c.withdrawn_at IS NULL)
		FROM document d ORDER BY name, version DESC`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c Counted
		if c.Document, err = scan(counting{rows, &c.Given}); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// counting scans one column more.
type counting struct {
	rows *db.Rows
	n    *int64
}

func (c counting) Scan(into ...any) error { return c.rows.Scan(append(into, c.n)...) }

func scan(row interface{ Scan(into ...any) error }) (d Document, err error) {
	var (
		texts string
		made  int64
	)
	err = row.Scan(&d.Name, &d.Version, &d.Hash, &texts, &made)
	if errors.Is(err, db.ErrNoRows) {
		return Document{}, ErrNoDocument
	}
	if err != nil {
		return Document{}, err
	}
	d.MadeAt = db.Time(made)
	return d, json.Unmarshal([]byte(texts), &d.Texts)
}
