package consent

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Library holds the versions in force in memory.
type Library struct {
	db   *db.DB
	held atomic.Pointer[shelf]
}

type shelf struct {
	rows      int64
	documents map[string]Document
}

// NewLibrary returns one that holds nothing yet.
func NewLibrary(d *db.DB) *Library {
	l := &Library{db: d}
	l.held.Store(&shelf{})
	return l
}

// Load reads them.
func (l *Library) Load(ctx context.Context) error { return l.db.Read(ctx, l.Poll) }

// Poll reads them if there are more than it knows: rows of documents are neither changed nor deleted.
func (l *Library) Poll(tx *db.Tx) error {
	var n int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM document`).Scan(&n); err != nil || n == l.held.Load().rows {
		return err
	}
	rows, err := tx.Query(`SELECT name, version, hash, texts, made_at FROM document d
		WHERE version = (SELECT MAX(version) FROM document n WHERE n.name = d.name)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	s := &shelf{n, map[string]Document{}}
	for rows.Next() {
		d, err := scan(rows)
		if err != nil {
			return err
		}
		s.documents[d.Name] = d
	}
	if err := rows.Err(); err != nil {
		return err
	}
	l.held.Store(s)
	return nil
}

// Find returns the version of a document that is in force, as far as this replica knows.
func (l *Library) Find(name string) (Document, bool) {
	d, ok := l.held.Load().documents[name]
	return d, ok
}

// List returns the versions in force: the terms and the privacy policy first, the others by their names.
func (l *Library) List() []Document {
	return slices.SortedFunc(maps.Values(l.held.Load().documents), func(a, b Document) int { return Compare(a.Name, b.Name) })
}

// Compare orders names of documents as [Library.List] does.
func Compare(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) }

func rank(name string) int {
	switch name {
	case Terms:
		return 0
	case Privacy:
		return 1
	}
	return 2
}
