package client

import (
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// ResourceEntry is a resource as a file of the operator's describes it. Each scope is its name, and behind a space what people are told of
// it.
type ResourceEntry struct {
	URI    string   `json:"uri"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes,omitempty"`
	Open   bool     `json:"open,omitempty"`
}

// Resource is what the entry says.
func (e ResourceEntry) Resource() Resource {
	return Resource{URI: e.URI, Name: e.Name, Scopes: ParseScopes(e.Scopes), Open: e.Open}
}

var (
	// ErrResourceManaged is ErrManaged for a resource.
	ErrResourceManaged = fault.New(fault.Conflict, "managed_by_file",
		"This resource is described by a file (CLIENTS_FILE, or gatehouse client apply). Change it there, and apply the file again.")
	errResourceByHand = errors.New("a resource of this URI was registered by hand: take it out of the file, or delete that one first")
)

// Apply has a resource be what its entry says, and returns what that took.
func (e ResourceEntry) Apply(tx *db.Tx, now time.Time) (did string, err error) {
	want := e.Resource()
	had, err := HoldResource(tx, e.URI)
	if errors.Is(err, ErrNoResource) {
		n, err := tx.Exec(`INSERT INTO resource (uri, name, scopes, open, created_at, source) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (uri) DO NOTHING`,
			want.URI, want.Name, scopesText(want.Scopes), number(want.Open), db.Micros(now), fromFile)
		if err != nil || n > 0 {
			return Created, err
		}
		had, err = HoldResource(tx, e.URI) // another has done so at the same moment
		if err != nil {
			return "", err
		}
		return e.change(tx, had, want)
	}
	if err != nil {
		return "", err
	}
	return e.change(tx, had, want)
}

func (e ResourceEntry) change(tx *db.Tx, had, want Resource) (did string, err error) {
	if !had.FromFile {
		return "", fileFault(e.URI, errResourceByHand)
	}
	if had.Name == want.Name && had.Open == want.Open && !had.Disabled && slices.Equal(had.Scopes, want.Scopes) {
		return Unchanged, nil
	}
	_, err = tx.Exec(`UPDATE resource SET name = $2, scopes = $3, open = $4, disabled_at = NULL WHERE uri = $1`,
		want.URI, want.Name, scopesText(want.Scopes), number(want.Open))
	return Changed, err
}

// DisableResource has no tokens be made for a resource any more, until its file has it again.
func DisableResource(tx *db.Tx, uri string, now time.Time) error {
	_, err := tx.Exec(`UPDATE resource SET disabled_at = $2 WHERE uri = $1 AND disabled_at IS NULL`, uri, db.Micros(now))
	return err
}
