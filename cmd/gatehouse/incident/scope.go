package incident

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type scopeCommand struct {
	Incident string   `arg:"" help:"Its name: INC-1."`
	User     []string `sep:"none" placeholder:"USER" help:"Begin with this account: an id or email address; can be repeated."`
	Network  []string `placeholder:"CIDR" help:"Begin with these networks; several with commas."`
	Device   string   `placeholder:"NAME" help:"Begin with this browser and system, such as 'Firefox on Linux'."`
	Session  string   `placeholder:"ID" help:"Begin with this session."`
	Role     []string `placeholder:"ROLE" help:"Begin with the accounts that have this role now; several with commas."`
	Client   []string `sep:"none" placeholder:"APP" help:"Begin with what this application was given: its id or name; can be repeated."`
	Key      string   `placeholder:"ID" help:"Begin with the time in which this key of the installation was good: gatehouse key list."`
	Shared   bool     `help:"Also look for those who used the same networks."`
	Since    string   `placeholder:"TIME" help:"Only from this time on: 2026-11-28T06:00:00Z, or 3h."`
	Until    string   `placeholder:"TIME" help:"Only before this time."`
	Most     int      `default:"1000000" help:"How many events to read at most."`
	SVG      string   `name:"svg" placeholder:"FILE" help:"Write the graph to this file."`
	CSV      bool     `name:"csv" help:"Print CSV, one person a line."`
	JSON     bool     `name:"json" help:"Print JSON, one person a line."`
	Save     bool     `help:"Note in the incident those whom somebody got in to: notify writes to them."`
	Tried    bool     `help:"With --save: also those who were tried in vain."`
}

func (scopeCommand) Help() string {
	return `It reads the event log: who was tried, to whom somebody got in, in which sessions, and what was done there. It takes no more events
than --most, the newest first, and says so if there are more: a time or a person narrows it. What people who are named with --user did to others as
administrators is looked for since --since; without it since the incident began; without that in the last 30 days.

Examples:
  gatehouse incident scope INC-1 --network 203.0.113.0/24,198.51.100.0/24 --since 3h --svg scope.svg
  gatehouse incident scope INC-1 --user ada@example.org --csv
  gatehouse incident scope INC-1 --role admin --since 30d
  gatehouse incident scope INC-1 --client newsletter --shared
  gatehouse incident scope INC-1 --network 203.0.113.0/24 --since 3h --save`
}

func (c scopeCommand) question(now time.Time) (q respond.Question, err error) {
	q = respond.Question{
		Users: c.User, Device: c.Device, Session: c.Session, Clients: c.Client, Roles: c.Role, Key: c.Key, Shared: c.Shared, Most: c.Most,
	}
	for _, s := range c.Network {
		n, err := terminal.Network(s)
		if err != nil {
			return q, err
		}
		q.Networks = append(q.Networks, n)
	}
	if q.Since, err = terminal.Moment(c.Since, now); err != nil {
		return q, err
	}
	q.Until, err = terminal.Moment(c.Until, now)
	return q, err
}

// Run finds out who was touched.
func (c scopeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	q, err := c.question(time.Now())
	if err != nil {
		return err
	}
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		i, err := d.Show(ctx, n)
		if err != nil {
			return err
		}
		q.Began = i.BeganAt
		s, err := d.Scope(ctx, q)
		if err != nil {
			return err
		}
		if c.SVG != "" {
			if err := c.draw(s); err != nil {
				return err
			}
		}
		if err := c.print(t, s); err != nil {
			return err
		}
		if !s.Stopped.IsZero() {
			fmt.Fprintf(t.Err, "It stopped after %d events, at %s: there are older ones. Narrow it, or raise --most.\n", s.Read, terminal.Time(s.Stopped))
		}
		if c.Save {
			added, err := d.SaveScope(ctx, n, s, q.Command(i.Name(), false), c.Tried, operator(t))
			if err != nil {
				return err
			}
			fmt.Fprintf(t.Err, "Noted %s not noted before.\n", terminal.Plural(added, "person who was", "people who were"))
		}
		fmt.Fprintf(t.Err, "To repeat it: %s\n", q.Command(i.Name(), true))
		return nil
	})
}

// ownersFile is for files that name people: their owner alone reads them.
const ownersFile = 0o600

func (c scopeCommand) draw(s respond.Scope) error {
	f, err := os.OpenFile(c.SVG, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, ownersFile)
	if err != nil {
		return err
	}
	if err := s.Graph().WriteSVG(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// personJSON is somebody who was touched, for programs.
type personJSON struct {
	Account  string           `json:"account"`
	Email    string           `json:"email"`
	GotIn    bool             `json:"got_in"`
	Tries    int64            `json:"tries"`
	SignIns  int64            `json:"sign_ins"`
	Reused   int64            `json:"tokens_reused"`
	Sessions []string         `json:"sessions"`
	Births   []birthJSON      `json:"born_of"`
	Given    map[string]int64 `json:"given_to"`
	Did      map[string]int64 `json:"did"`
	First    time.Time        `json:"first"`
	Last     time.Time        `json:"last"`
}

// birthJSON is the sign-in that a session was born of.
type birthJSON struct {
	Session string    `json:"session"`
	At      time.Time `json:"at"`
	Address string    `json:"address"`
	Device  string    `json:"device"`
}

func newPersonJSON(p respond.Touch) personJSON {
	out := personJSON{
		p.Account, p.Email, p.In(), p.Tries, p.Ins, p.Reused, append([]string{}, p.Sessions...), []birthJSON{}, p.Given, map[string]int64{}, p.First, p.Last,
	}
	for _, b := range p.Births {
		out.Births = append(out.Births, birthJSON(b))
	}
	for k, n := range p.Did {
		out.Did[string(k)] = n
	}
	return out
}

func (c scopeCommand) print(t *terminal.Terminal, s respond.Scope) error {
	switch {
	case c.JSON:
		for _, p := range s.People {
			if err := t.JSONLine(newPersonJSON(p)); err != nil {
				return err
			}
		}
		return nil
	case c.CSV:
		return s.WriteCSV(t.Out)
	}
	vain, in, sessions, reused := s.Counts()
	fmt.Fprintf(t.Out, "Somebody got in to %s; %s in vain. %s begun or used, %s seen twice. %s of theirs from elsewhere.\n",
		terminal.Count(int(in), "account"), terminal.Plural(vain, "person tried", "people tried"), terminal.Count(int(sessions), "session"),
		terminal.Count(int(reused), "refresh token"), terminal.Count(int(s.Living), "session"))
	if s.Unknown > 0 {
		fmt.Fprintf(t.Out, "%s without an account tried.\n", terminal.Plural(s.Unknown, "address", "addresses"))
	}
	for _, from := range s.Sources {
		fmt.Fprintf(t.Out, "  from %s: %s, %s, %s\n", from.Network, terminal.Plural(from.Tries, "try", "tries"), terminal.Count(int(from.Ins), "sign-in"),
			terminal.Plural(from.Addresses, "address", "addresses"))
	}
	for _, k := range s.Kinds() {
		fmt.Fprintf(t.Out, "  %d × %s\n", s.Done[k], k)
	}
	printFollowed(t, s)
	lines := [][]string{respond.ScopeHeads}
	for i, p := range s.People {
		if i == shown {
			fmt.Fprintf(t.Err, "%d more: --csv prints all.\n", len(s.People)-shown)
			break
		}
		lines = append(lines, p.Cells())
	}
	if len(lines) == 1 {
		return nil
	}
	return t.Table(lines)
}

// printFollowed prints what applications were given, and who else used the same networks.
func printFollowed(t *terminal.Terminal, s respond.Scope) {
	for _, g := range s.Given {
		fmt.Fprintf(t.Out, "  given to %s (%s): %s of %s; %d not ended, %d of them offline; %s\n", g.Name, g.Client, terminal.Count(int(g.Grants), "grant"),
			terminal.Plural(g.People, "person", "people"), g.Living, g.Offline, strings.Join(g.Scopes, " "))
	}
	for i, o := range s.Others {
		if i == shown {
			fmt.Fprintf(t.Out, "  %d more who used the same networks\n", len(s.Others)-shown)
			break
		}
		same := "another device"
		if o.Same {
			same = "a device of the same name"
		}
		fmt.Fprintf(t.Out, "  also from %s: %s, %s, %s\n", o.Network, o.Email, terminal.Count(int(o.Sessions), "session"), same)
	}
	if s.Asked.Shared && !s.OthersWhole {
		fmt.Fprintln(t.Err, "Not all sessions were looked at for others: there may be more.")
	}
}

// shown is how many people the table has.
const shown = 50
