package privacy

import (
	"archive/zip"
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// SchemaVersion is the version of what a copy looks like; schema.json describes it.
const SchemaVersion = 1

//go:embed schema.json
var schemaJSON []byte

// FileName is what a copy is called.
const FileName = "gatehouse-export.zip"

// Exporter writes copies of all data of an account.
type Exporter struct {
	DB     *db.DB
	Events *event.Log
	Now    func() time.Time
}

// pageSize is how many rows are read at once: what is written meanwhile waits for no transaction.
const pageSize = 500

// Write writes the copy of an account's data as a ZIP, as it is read: export.json, events.jsonl, and schema.json, which describes
// both. No hash, salt, or token is in it, nor anybody else: an administrator's id, or a network's or address's keyed hash. If it
// fails in the middle the ZIP has no directory, and no program takes it for whole.
func (x *Exporter) Write(ctx context.Context, accountID string, w io.Writer) error {
	z := zip.NewWriter(w)
	for _, file := range []struct {
		name  string
		write func(ctx context.Context, accountID string, w *bufio.Writer) error
	}{
		{"export.json", x.account}, {"events.jsonl", x.events},
		{"schema.json", func(_ context.Context, _ string, w *bufio.Writer) error { _, err := w.Write(schemaJSON); return err }},
	} {
		f, err := z.CreateHeader(&zip.FileHeader{Name: file.name, Method: zip.Deflate, Modified: x.Now().UTC()})
		if err != nil {
			return err
		}
		out := bufio.NewWriter(f)
		if err := file.write(ctx, accountID, out); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return z.Close()
}

// Of is [Exporter.Write] for one account.
func (x *Exporter) Of(accountID string) func(ctx context.Context, w io.Writer) error {
	return func(ctx context.Context, w io.Writer) error { return x.Write(ctx, accountID, w) }
}

// document writes one JSON object, member by member.
type document struct {
	w   *bufio.Writer
	n   int
	err error
}

func (d *document) put(s string) {
	if d.err == nil {
		_, d.err = d.w.WriteString(s)
	}
}

// value writes one value on lines of its own, indented by as much.
func (d *document) value(indent string, v any) {
	b, err := json.MarshalIndent(v, indent, "  ")
	if d.err == nil {
		d.err = err
	}
	d.put(string(b))
}

// name begins a member.
func (d *document) name(name string) {
	if d.n++; d.n > 1 {
		d.put(",\n")
	}
	d.put(`  "` + name + `": `)
}

func (d *document) member(name string, v any) {
	d.name(name)
	d.value("  ", v)
}

// list writes an array, a page at a time: more returns the values of the next page, and none at the end.
func list[T any](d *document, name string, more func() ([]T, error)) {
	d.name(name)
	d.put("[")
	for n := 0; d.err == nil; {
		page, err := more()
		if err != nil {
			d.err = err
			return
		}
		for _, v := range page {
			if n++; n > 1 {
				d.put(",")
			}
			d.put("\n    ")
			d.value("    ", v)
		}
		if len(page) == 0 {
			break
		}
	}
	d.put("]")
}

// account writes export.json.
func (x *Exporter) account(ctx context.Context, id string, w *bufio.Writer) error {
	var (
		detail  account.Detail
		due     account.Erasure
		own     factor.Owned
		devices []lockout.Device
		links   []ticket.Listed
		agreed  []consent.Consent
		allowed []grant.Agreement
		where   []grant.Where
		linked  []upstream.Identity
	)
	err := x.DB.Read(ctx, func(tx *db.Tx) (err error) {
		for _, read := range []func() error{
			func() error { detail, err = account.DetailByID(tx, id); return err },
			func() error { due, err = account.ErasureOf(tx, id); return err },
			func() error { own, err = factor.Own(tx, id); return err },
			func() error { linked, err = upstream.Of(tx, id); return err },
			func() error { devices, err = lockout.Devices(tx, id); return err },
			func() error { agreed, err = consent.Of(tx, id); return err },
			func() error { allowed, err = grant.Agreements(tx, id); return err },
			func() error { where, err = grant.SignedInTo(tx, id, pageSize); return err },
			func() error { links, err = ticket.OfAccount(tx, id, pageSize); return err },
		} {
			if err := read(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d := &document{w: w}
	d.put("{\n")
	d.member("schema_version", SchemaVersion)
	d.member("generated_at", stamp(x.Now()))
	d.member("account", newAccount(detail, due))
	d.member("second_factors", newFactors(own))
	d.member("identities", newIdentities(linked))
	list(d, "sessions", x.sessions(ctx, id))
	d.member("known_devices", newDevices(devices))
	d.member("consents", newConsents(agreed))
	d.member("application_consents", newAgreements(allowed))
	list(d, "applications", x.applications(ctx, id))
	d.member("signed_in_applications", newWhere(where))
	d.member("links", newLinks(links))
	list(d, "mails", x.mails(ctx, id))
	d.put("\n}\n")
	return d.err
}

// sessions returns the pages of the account's sessions.
func (x *Exporter) sessions(ctx context.Context, id string) func() ([]sessionOut, error) {
	after := ""
	return func() (out []sessionOut, err error) {
		var page []session.Kept
		err = x.DB.Read(ctx, func(tx *db.Tx) (err error) { page, err = session.OfAccount(tx, id, after, pageSize); return err })
		for _, s := range page {
			after = s.ID
			out = append(out, newSession(s))
		}
		return out, err
	}
}

// applications returns the pages of the account's sign-ins to applications.
func (x *Exporter) applications(ctx context.Context, id string) func() ([]grantOut, error) {
	after := ""
	return func() (out []grantOut, err error) {
		var page []grant.Kept
		err = x.DB.Read(ctx, func(tx *db.Tx) (err error) { page, err = grant.OfAccount(tx, id, after, pageSize); return err })
		for _, g := range page {
			after = g.ID
			out = append(out, newGrant(g))
		}
		return out, err
	}
}

// mails returns the pages of the mails about the account.
func (x *Exporter) mails(ctx context.Context, id string) func() ([]mailOut, error) {
	after := ""
	return func() (out []mailOut, err error) {
		var page []notice.Entry
		err = x.DB.Read(ctx, func(tx *db.Tx) (err error) { page, err = notice.OfAccount(tx, id, after, pageSize); return err })
		for _, m := range page {
			after = m.ID
			out = append(out, mailOut{m.Kind, stamp(m.QueuedAt), stampOrNone(m.SentAt)})
		}
		return out, err
	}
}

// events writes events.jsonl: what happened to the account, the newest first, a line each.
func (x *Exporter) events(ctx context.Context, id string, w *bufio.Writer) error {
	lines := json.NewEncoder(w)
	for before := ""; ; {
		var page []event.Entry
		if err := x.DB.Read(ctx, func(tx *db.Tx) (err error) { page, err = x.Events.OfPerson(tx, id, before, pageSize); return err }); err != nil {
			return err
		}
		for _, e := range page {
			before = e.ID
			if err := lines.Encode(newEvent(e)); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
	}
}
