package client

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Entry is an application as a file of the operator's describes it. Its name is its client id.
type Entry struct {
	Name string `json:"id"`
	Type Type   `json:"type"`
	// SecretSHA256 is the SHA-256 of its secret, in hexadecimal: no secret stands in the file.
	SecretSHA256 string `json:"secret_sha256,omitempty"`
	Disabled     bool   `json:"disabled,omitempty"`
	Settings
}

// Described is what a file of the operator's describes.
type Described struct {
	Clients   []Entry         `json:"clients"`
	Resources []ResourceEntry `json:"resources"`
}

// mostFile is the longest file that is read, in bytes, and mostEntries how many applications it has.
const (
	mostFile    = 4 << 20
	mostEntries = 1000
)

// ErrManaged is for an application that a file describes: the file would take the change back.
var ErrManaged = fault.New(fault.Conflict, "managed_by_file",
	"This application is described by a file (CLIENTS_FILE, or gatehouse client apply). Change it there, and apply the file again.")

// ReadFile reads a file of applications and resources. What is wrong with it is a fault that names the application, or the resource.
func ReadFile(path string, development bool) (Described, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's
	if err != nil {
		return Described{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	if err != nil {
		return Described{}, err
	}
	return ParseFile(b, development)
}

// ParseFile reads what is in such a file: YAML, or JSON.
func ParseFile(text []byte, development bool) (Described, error) {
	var in Described
	if len(text) > mostFile {
		return in, fileFault("", errors.New("it is longer than 4 MiB"))
	}
	if err := yaml.UnmarshalStrict(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &in); err != nil {
		return Described{}, fileFault("", err)
	}
	if len(in.Clients) > mostEntries || len(in.Resources) > mostEntries {
		return Described{}, fileFault("", fmt.Errorf("it has more than %d applications or resources", mostEntries))
	}
	if err := in.check(development); err != nil {
		return Described{}, err
	}
	return in, nil
}

func (in Described) check(development bool) error {
	seen := map[string]bool{}
	for i, e := range in.Clients {
		if e.Name == "" {
			return fileFault("", fmt.Errorf("the application at place %d has no id", i+1))
		}
		err := e.check(development)
		if err == nil && seen[e.Name] {
			err = errTwice
		}
		if err != nil {
			return fileFault(e.Name, err)
		}
		seen[e.Name] = true
	}
	clear(seen)
	for i, e := range in.Resources {
		if e.URI == "" {
			return fileFault("", fmt.Errorf("the resource at place %d has no uri", i+1))
		}
		err := e.Resource().Check(nil, development)
		if err == nil && seen[e.URI] {
			err = errTwice
		}
		if err != nil {
			return fileFault(e.URI, err)
		}
		seen[e.URI] = true
	}
	return nil
}

var errTwice = errors.New("it is there twice")

// fileFault says what is wrong with a file, and where.
func fileFault(name string, err error) error {
	where := ""
	if name != "" {
		where = name + ": "
	}
	return fault.New(fault.Invalid, "invalid_clients_file", fmt.Sprintf("The file of applications can't be used: %s%v.", where, err))
}

func (e Entry) check(development bool) error {
	if _, err := ParseName(e.Name); err != nil {
		return err
	}
	if _, err := ParseType(string(e.Type)); err != nil || e.Type == "" {
		return errType
	}
	secret, err := hex.DecodeString(e.SecretSHA256)
	keeps := !e.Type.Secretless() && !e.Keyed()
	switch {
	case !keeps && e.SecretSHA256 != "":
		return errors.New("it has a secret_sha256 although it has no secret: it is public, or has keys (jwks, jwks_uri)")
	case keeps && (err != nil || len(secret) != sha256.Size):
		return errors.New("it needs secret_sha256, the SHA-256 of its secret in hexadecimal, or keys (jwks, jwks_uri); " +
			"a secret: gatehouse secret; its hash: printf %s \"$SECRET\" | sha256sum")
	}
	return e.Settings.Check(e.Type, development)
}

// How an application came to be what its file says.
const (
	Created   = "created"
	Changed   = "changed"
	Unchanged = ""
)

// oldSecret is how long the secret from before a change of the file goes on.
const oldSecret = 24 * time.Hour

// errTypeStays and errByHand are for what a file can't take over.
var (
	errTypeStays = errors.New("its type can't be changed: give it another id, or delete it first")
	errByHand    = errors.New("an application of this name was registered by hand: give this one another id, or delete that one first")
)

// Apply has an application be what its entry says, and returns what that took.
func (e Entry) Apply(tx *db.Tx, random secret.Random, now time.Time) (c Client, did string, err error) {
	k, found, err := e.hold(tx)
	if err != nil {
		return c, "", err
	}
	if !found {
		if k, found, err = e.insert(tx, random, now); err != nil || !found {
			return k.client(now), Created, err
		}
	}
	switch {
	case !k.fromFile:
		return c, "", fileFault(e.Name, errByHand)
	case k.kind != e.Type:
		return c, "", fileFault(e.Name, errTypeStays)
	}
	did, err = e.update(tx, k, random, now)
	if err == nil && did == Changed {
		k, _, err = e.hold(tx)
	}
	return k.client(now), did, err
}

// hold reads the row of that name and keeps others from it.
func (e Entry) hold(tx *db.Tx) (k known, found bool, err error) {
	k, err = scan(tx.QueryRow(`UPDATE client SET name = name WHERE id = $1 OR name = $1
		RETURNING id, name, hash, old_hash, old_until, created_at, rotated_at, disabled_at, type, settings, source, sid`, e.Name))
	if errors.Is(err, db.ErrNoRows) {
		return k, false, nil
	}
	return k, err == nil, err
}

// insert writes the row; found is true if another has done so at the same moment.
func (e Entry) insert(tx *db.Tx, random secret.Random, now time.Time) (k known, found bool, err error) {
	text, err := e.text()
	if err != nil {
		return k, false, err
	}
	n, err := tx.Exec(`INSERT INTO client (id, name, hash, old_until, created_at, rotated_at, disabled_at, type, settings, source)
		VALUES ($1, $1, $2, 0, $3, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		e.Name, e.hash(random), db.Micros(now), e.disabledAt(now), string(e.Type), text, fromFile)
	if err != nil {
		return k, false, err
	}
	k, _, err = e.hold(tx)
	return k, n == 0, err
}

func (e Entry) update(tx *db.Tx, k known, random secret.Random, now time.Time) (did string, err error) {
	text, err := e.text()
	if err != nil {
		return "", err
	}
	had, err := k.settings.text()
	if err != nil {
		return "", err
	}
	hash := k.hash
	if e.SecretSHA256 != "" {
		hash = e.hash(random)
	} else if !k.settings.Keyed() && e.Keyed() { // its secret ends
		_, hash = newSecret(random)
	}
	replaced := !secret.Equal(hash, k.hash)
	if had == text && !k.newer && !replaced && (k.disabledAt != nil) == e.Disabled {
		return Unchanged, nil
	}
	off := k.disabledAt
	if (off != nil) != e.Disabled {
		off = e.disabledAt(now)
	}
	old, until, at := k.oldHash, k.oldUntil, k.rotatedAt
	if replaced {
		old, until, at = k.hash, db.Micros(now.Add(oldSecret)), db.Micros(now)
	}
	if e.Keyed() || e.Type.Secretless() {
		old, until = nil, 0
	}
	_, err = tx.Exec(`UPDATE client SET settings = $2, hash = $3, old_hash = $4, old_until = $5, rotated_at = $6, disabled_at = $7 WHERE id = $1`,
		k.id, text, hash, old, until, at, off)
	return Changed, err
}

// hash is that of its secret; of one that nobody knows where it has none.
func (e Entry) hash(random secret.Random) []byte {
	if sum, err := hex.DecodeString(e.SecretSHA256); err == nil && len(sum) == sha256.Size {
		return sum
	}
	_, hash := newSecret(random)
	return hash
}

func (e Entry) disabledAt(now time.Time) *int64 {
	if !e.Disabled {
		return nil
	}
	at := db.Micros(now)
	return &at
}
