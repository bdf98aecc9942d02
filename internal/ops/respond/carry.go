package respond

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
)

// Carried is an incident that a bundle has, for a database that is restored from a backup of before it.
type Carried struct {
	whole incident.Whole
	// FrozenAt is when its evidence was frozen, Hash the SHA-256 of the bundle.
	FrozenAt time.Time
	Hash     string
}

// mostCarried is how large the files are that are read of a bundle: an incident of months has less.
const mostCarried = 64 << 20

// errNotCarried is for a bundle of which something was changed.
var errNotCarried = fault.New(fault.Invalid, "bundle_changed", "The bundle is not as it was frozen: gatehouse incident verify-bundle says what is wrong.")

// errOtherInstall is for the incident of another installation.
var errOtherInstall = fault.New(fault.Invalid, "bundle_of_another", "The bundle is of another installation than the backup.")

// Carry reads an incident from a bundle of the installation. Nothing is taken from one that EVENT_KEY has not signed, that is of another
// installation, or of which anything was changed.
func Carry(in io.Reader, identities []age.Identity, eventKey, install string, scratch *os.File) (c Carried, err error) {
	key, err := EvidenceKey(eventKey, install)
	if err != nil {
		return c, err
	}
	r, err := VerifyBundle(in, identities, key, "", nil, scratch)
	switch {
	case err != nil:
		return c, err
	case r.Install != install:
		return c, errOtherInstall
	case len(r.Findings) > 0:
		return c, errNotCarried.Because(errors.New(strings.Join(r.Findings, "; ")))
	}
	c.FrozenAt, c.Hash = r.FrozenAt, r.Hash
	info, err := scratch.Stat()
	if err != nil {
		return c, err
	}
	z, err := zip.NewReader(scratch, info.Size())
	if err != nil {
		return c, errNoBundle.Because(err)
	}
	var s Standing
	if err := decoded(z, "incident.json", func(d *json.Decoder) error { return d.Decode(&s) }); err != nil {
		return c, err
	}
	c.whole = incident.Whole{Incident: s.Incident, Timeline: s.Timeline, Actions: s.Actions, Done: s.Done}
	err = decoded(z, "people.jsonl", func(d *json.Decoder) error {
		for {
			var p frozenPerson
			err := d.Decode(&p)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			c.whole.Accounts = append(c.whole.Accounts, p.Account)
		}
	})
	return c, err
}

func decoded(z *zip.Reader, name string, read func(d *json.Decoder) error) error {
	f, err := z.Open(name)
	if err != nil {
		return errNoBundle.Because(err)
	}
	defer f.Close()
	if err := read(json.NewDecoder(io.LimitReader(f, mostCarried))); err != nil {
		return errNoBundle.Because(fmt.Errorf("%s: %w", name, err))
	}
	return nil
}

// Name is what it was called.
func (c Carried) Name() string { return c.whole.Name() }

// Into brings it into a restored database, in the transaction that ends the restore, and says so in its timeline and in the log.
func (c Carried) Into(tx *db.Tx, events *event.Log, random secret.Random, by event.Origin, now time.Time) error {
	whole := c.whole
	whole.Accounts = nil
	for _, id := range c.whole.Accounts {
		_, err := account.ByID(tx, id)
		switch {
		case err == nil:
			whole.Accounts = append(whole.Accounts, id)
		case fault.KindOf(err) != fault.NotFound: // else it was made since the backup, or erased
			return err
		}
	}
	n, err := incident.Bring(tx, whole, now)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("Brought over to the restored database, as it was frozen at %s: sha256 %s.", c.FrozenAt.UTC().Format(time.RFC3339), c.Hash)
	if n != c.whole.N {
		text += fmt.Sprintf(" It was called %s, which is another incident here.", c.Name())
	}
	i, err := incident.ByNumber(tx, n)
	if err != nil {
		return err
	}
	if _, err := incident.Tick(tx, i.ID, "freeze", by.Actor, c.FrozenAt); err != nil { // by which we have it
		return err
	}
	events.Append(tx, event.Event{
		Kind: event.IncidentAction, Outcome: event.Success, Origin: by,
		Detail: event.Detail{Incident: i.Name(), Action: "restore", Reason: "brought_over", Hash: c.Hash, By: "operator"},
	})
	return incident.Write(tx, random, i.ID, incident.Entry{Time: now, Kind: incident.Recovering, Actor: by.Actor, Text: text})
}
