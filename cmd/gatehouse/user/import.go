package user

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
	"github.com/gatehouse-auth/gatehouse/internal/feature/intake"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/importing"
)

type importCommand struct {
	File          string `arg:"" help:"What the other system has exported, or a CSV file."`
	Source        string `name:"from" required:"" enum:"${import_systems}" placeholder:"SYSTEM" help:"Where they come from: ${enum}."`
	TrustVerified bool   `help:"Believe the file which addresses are verified. Without it, none is."`
	AllVerified   bool   `help:"Take all addresses as verified: you vouch for them. Not names to sign in with that are used as one."`
	Roles         bool   `help:"Give people the roles in the file, but for admin and support."`
	StaffRoles    bool   `help:"With --roles: also admin and support. They open the administration here, whatever they meant there."`
	Report        string `placeholder:"PATH" help:"Where to write what became of each: FILE.report.jsonl, if you don't say."`
	Fast          bool   `help:"Don't rest between batches: for a database that serves nobody yet."`
	Yes           bool   `help:"Do it. Without it, the command only says what it would do."`
	JSON          bool   `name:"json" help:"Print JSON."`

	Identity string `placeholder:"PATH" help:"Gatehouse: the file with the secret key that opens the export."`

	SignerKeyFile string `placeholder:"PATH" help:"Firebase: the file with base64_signer_key."`
	SaltSeparator string `default:"Bw==" placeholder:"BASE64" help:"Firebase: base64_salt_separator (${default})."`
	Rounds        int    `default:"8" placeholder:"N" help:"Firebase: rounds (${default})."`
	MemCost       int    `default:"14" placeholder:"N" help:"Firebase: mem_cost (${default})."`
}

func (importCommand) Help() string {
	return `People sign in with the passwords that they have; the first time, the hash becomes one of ours. Existing accounts are never changed. The server
may run meanwhile. If it is broken off, run the same command again: it goes on where it stopped.

A CSV file has the columns email, email_verified, name, locale, password_hash, id, roles, disabled, in any order; only email must be there.
docs/guides/moving-here.md says how to export from each system, and which hashes are taken.

Examples:
  gatehouse user import --from keycloak --trust-verified realm.json
  gatehouse user import --from gatehouse --identity new-server.key --trust-verified --roles people.age
  gatehouse user import --from csv --all-verified --yes users.csv`
}

// Run imports the file, or says what that would do.
func (u importCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if u.StaffRoles && !u.Roles {
		return terminal.UsageError("--staff-roles goes with --roles")
	}
	key, err := u.firebase()
	if err != nil {
		return err
	}
	ids, err := u.identities()
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		bar := t.NewProgress(u.JSON)
		i := &importing.Import{
			Operator: o, From: t.Origin(), Target: 20 * time.Millisecond, Progress: bar.Show,
			Identities: ids,
			Options: importing.Options{
				System: u.Source, TrustVerified: u.TrustVerified, AllVerified: u.AllVerified, Roles: u.Roles, StaffRoles: u.StaffRoles,
				Firebase: key,
			},
		}
		if o.DB.Dialect() == db.SQLite { // it has one writer, which others wait for
			i.Target = 5 * time.Millisecond
		}
		if !u.Fast {
			i.Rest = func(took time.Duration) time.Duration { return 3 * took }
		}
		if err := i.Open(u.File); err != nil {
			return err
		}
		defer i.Close()
		if u.Yes {
			return u.run(ctx, t, i, bar)
		}
		p, err := i.Preview(ctx)
		bar.End()
		if err != nil {
			return err
		}
		return u.preview(t, p)
	})
}

// identities reads the keys that open an export of ours.
func (u importCommand) identities() ([]age.Identity, error) {
	switch {
	case u.Source != importing.FromGatehouse && u.Identity != "":
		return nil, terminal.UsageError("--identity goes with --from gatehouse")
	case u.Source != importing.FromGatehouse:
		return nil, nil
	case u.Identity == "":
		return nil, terminal.UsageError("--from gatehouse needs --identity: the file with the secret key that the export was encrypted to.")
	}
	b, err := os.ReadFile(u.Identity)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	return backup.ParseIdentities(b)
}

// firebase reads what a project's hashes are made with.
func (u importCommand) firebase() (key foreign.FirebaseKey, err error) {
	if u.Source != "firebase" {
		return key, nil
	}
	if u.SignerKeyFile == "" {
		return key, terminal.UsageError("--from firebase needs --signer-key-file: the Firebase console shows base64_signer_key under Authentication, Users, ⋮, " +
			"Password hash parameters")
	}
	text, err := os.ReadFile(u.SignerKeyFile)
	return foreign.FirebaseKey{
		SignerKey: strings.TrimSpace(string(text)), SaltSeparator: u.SaltSeparator, Rounds: u.Rounds, MemCost: u.MemCost,
	}, err
}

// importJSON is what an import did, or would do.
type importJSON struct {
	Entries      int64            `json:"entries"`
	Made         int64            `json:"made"`
	Passwordless int64            `json:"passwordless"`
	Existing     int64            `json:"existing"`
	Duplicates   int64            `json:"duplicates"`
	Refused      int64            `json:"refused"`
	Hashes       map[string]int64 `json:"hashes,omitempty"`
	Weak         int64            `json:"weak_hashes,omitempty"`
	Unverified   int64            `json:"existing_unverified,omitempty"`
	Staff        int64            `json:"staff,omitempty"`
	Factors      int64            `json:"factors,omitempty"`
	AppsLeftOut  int64            `json:"apps_left_out,omitempty"`
	Report       string           `json:"report,omitempty"`
}

func newImportJSON(n intake.Counts) importJSON {
	return importJSON{Entries: n.Done, Made: n.Made, Passwordless: n.Passwordless, Existing: n.Had, Duplicates: n.Twice, Refused: n.Refused}
}

// preview says what the import would do.
func (u importCommand) preview(t *terminal.Terminal, p *importing.Preview) error {
	if u.JSON {
		out := newImportJSON(p.Counts)
		out.Hashes, out.Weak, out.Unverified, out.Staff = p.Kinds, p.Weak, p.Unverified, p.Staff
		out.Factors, out.AppsLeftOut = p.Factors, p.AppsLeftOut
		return t.JSON(out)
	}
	fmt.Fprintf(t.Out, "This would make %s of %s.\n", accounts(p.Made), entries(p.Done))
	u.counts(t, p.Counts, "would get")
	if p.Unverified > 0 {
		fmt.Fprintf(t.Out, "  %d of those who have an account never verified their address, and may be others: the report does not say which it is\n",
			p.Unverified)
	}
	if p.Staff > 0 && u.StaffRoles {
		fmt.Fprintf(t.Out, "  %d would get the role admin or support, which open the administration\n", p.Staff)
	} else if p.Staff > 0 {
		fmt.Fprintf(t.Out, "  %s the role admin or support in the file, which open the administration here: only --staff-roles gives them\n",
			terminal.Plural(p.Staff, "has", "have"))
	}
	if p.Factors > 0 {
		fmt.Fprintf(t.Out, "  %s would come along, and count at once\n", terminal.Count(int(p.Factors), "second factor"))
	}
	if p.AppsLeftOut > 0 {
		fmt.Fprintf(t.Out, "  %s not come along: only codes of six digits, by SHA-1, every 30 seconds are taken\n",
			terminal.Plural(p.AppsLeftOut, "app would", "apps would"))
	}
	for _, kind := range slices.Sorted(maps.Keys(p.Kinds)) {
		fmt.Fprintf(t.Out, "  %d with a hash of %s\n", p.Kinds[kind], kind)
	}
	if p.Weak > 0 {
		fmt.Fprintf(t.Out, "%s weak. Weak ones are put under bcrypt as they come in, which takes this machine about %s.\n",
			hashesAre(int(p.Weak)), max(p.Wrapping.Round(time.Second), time.Second))
	}
	for _, r := range p.Refusals {
		fmt.Fprintf(t.Out, "  entry %d (id %s) is refused: %s\n", r.Record, orNone(r.ID), r.Code)
	}
	if more := p.Refused + p.Twice - int64(len(p.Refusals)); more > 0 {
		fmt.Fprintf(t.Out, "  and %d more\n", more)
	}
	if !u.TrustVerified && !u.AllVerified {
		fmt.Fprintln(t.Out, "All addresses would have to be verified by mail before anybody signs in, where EMAIL_VERIFICATION=required: see --trust-verified.")
	}
	fmt.Fprintln(t.Out, "Add --yes to do it.")
	return nil
}

// counts says what becomes of those who get no account, or no password.
func (u importCommand) counts(t *terminal.Terminal, n intake.Counts, get string) {
	for _, c := range []struct {
		n         int64
		one, many string
		text      string
	}{
		{n.Passwordless, get, get, "no password: \"Forgot password\" sets one"},
		{n.Had, "has", "have", "an account already, which stays as it is"},
		{n.Twice, "has", "have", "an address that stands in the file more than once, which gets no account: nobody knows whose it is"},
		{n.Refused, "is", "are", "refused"},
	} {
		if c.n > 0 {
			fmt.Fprintf(t.Out, "  %s %s\n", terminal.Plural(c.n, c.one, c.many), c.text)
		}
	}
}

// run imports the file.
func (u importCommand) run(ctx context.Context, t *terminal.Terminal, i *importing.Import, bar *terminal.Progress) error {
	report := u.Report
	if report == "" {
		report = u.File + ".report.jsonl"
	}
	run, resumed, err := i.Run(ctx, report)
	bar.End()
	if err != nil {
		if run.Done > 0 {
			err = errors.Join(fmt.Errorf("%s of %s made before this went wrong; run the same command again, and it goes on there",
				accounts(run.Made), entries(run.Done)), err)
		}
		return err
	}
	if u.JSON {
		out := newImportJSON(run.Counts)
		out.Report = report
		return t.JSON(out)
	}
	if resumed {
		fmt.Fprintln(t.Out, "An import of this file had been broken off, and went on.")
	}
	fmt.Fprintf(t.Out, "Made %s of %s.\n", accounts(run.Made), entries(run.Done))
	u.counts(t, run.Counts, "got")
	fmt.Fprintf(t.Out, "%s says what became of each, and which id they have here.\n", report)
	return nil
}

func accounts(n int64) string { return terminal.Count(int(n), "account") }

func entries(n int64) string { return terminal.Plural(n, "entry", "entries") }

func orNone(id string) string {
	if id == "" {
		return "-"
	}
	return id
}
