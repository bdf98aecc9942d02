package app

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

// DrillStep is a step of a drill.
type DrillStep struct {
	// Text says what is to be done, Commands how, without the word gatehouse.
	Text     string
	Commands []string
	done     func(ctx context.Context, d *Drill, s respond.Standing) (bool, error)
	do       func(ctx context.Context) error
	// Took is how long it took.
	Took time.Duration
}

// drillNumber is the number of the incident in a drill: the first of its installation.
const drillNumber = 1

// ticked is a step that is done once a step of the checklist is.
func ticked(step incident.Step) func(context.Context, *Drill, respond.Standing) (bool, error) {
	return func(_ context.Context, _ *Drill, s respond.Standing) (bool, error) {
		_, done := s.Done[step]
		return done, nil
	}
}

// drillBy is on whose behalf the drill does what it shows.
var drillBy = respond.By{Origin: drillOrigin}

// Steps are what a drill leads through, from a page at night to a written report.
func (d *Drill) Steps() []*DrillStep {
	evidence := filepath.Join(d.Dir, "INC-1.evidence")
	return []*DrillStep{
		{
			Text:     "Alerts say that refresh tokens were used twice, and that passwords are tried across accounts. Open an incident.",
			Commands: []string{`incident open "Tokens used twice, passwords tried" --began 1h`},
			done:     func(_ context.Context, _ *Drill, s respond.Standing) (bool, error) { return s.N > 0, nil }, do: d.open,
		},
		{
			Text:     "Find out who was touched, from the two networks: whom somebody got in to, and what was done there. Have it noted.",
			Commands: []string{"incident scope INC-1 --network " + drillNetworks + " --since 1h --save"}, done: ticked("scope"), do: d.scope,
		},
		{
			Text:     "Keep the evidence before anything is gone.",
			Commands: []string{"incident freeze INC-1 --out " + evidence}, done: ticked("freeze"),
			do: func(ctx context.Context) error { return d.freeze(ctx, evidence) },
		},
		{
			Text: "Lock out who got in: block the networks, end the sessions from there, demand new passwords.",
			Commands: []string{
				"incident contain INC-1 block --network " + drillNetworks + ` --for 7d --yes --reason "The attack came from there"`,
				"incident contain INC-1 end-sessions --network " + drillNetworks + ` --yes --reason "Sessions of the attack"`,
				"incident contain INC-1 reset-passwords --network " + drillNetworks + ` --since 1h --yes --reason "Their passwords are known"`,
			}, done: contained, do: d.contain,
		},
		{
			Text: "Take back what was done in the administrator's session: a role that was given, and an application that was registered.",
			Commands: []string{
				"events list --since 1h --event admin_action", "user roles --none --yes " + drillPerson(drillPeople-1), "client delete " + drillRogue + " --yes",
			}, done: mended, do: d.mend,
		},
		{Text: "Verify the log, and see what is left.", Commands: []string{"incident recover INC-1"}, done: ticked("verify"), do: d.verify},
		{
			Text:     "Write the report, and close the incident with what is to be different next time.",
			Commands: []string{"incident report INC-1", `incident close INC-1 --lessons "Administrators need a second factor."`},
			done:     func(_ context.Context, _ *Drill, s respond.Standing) (bool, error) { return !s.ClosedAt.IsZero(), nil }, do: d.report,
		},
	}
}

// Lead waits until a step is done, by whoever does it, or does it by itself.
func (d *Drill) Lead(ctx context.Context, s *DrillStep, byItself bool) error {
	began := time.Now()
	if byItself {
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	for {
		st, err := d.Desk.Show(ctx, drillNumber)
		if err != nil && !errors.Is(err, incident.ErrUnknown) {
			return err
		}
		done, err := s.done(ctx, d, st)
		if err != nil {
			return err
		}
		if s.Took = time.Since(began); done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(drillPoll):
		}
	}
}

func (d *Drill) open(ctx context.Context) error {
	_, err := d.Desk.Open(ctx, respond.Opening{Title: "Tokens used twice, passwords tried", Began: d.Desk.Now().Add(-time.Hour)}, drillBy)
	return err
}

func (d *Drill) networks() (list []netip.Prefix) {
	for s := range strings.SplitSeq(drillNetworks, ",") {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// errMissed is for a scope that does not find what was planted.
var errMissed = errors.New("the scope does not find all that was planted")

func (d *Drill) scope(ctx context.Context) error {
	q := respond.Question{Networks: d.networks(), Since: d.Desk.Now().Add(-time.Hour)}
	s, err := d.Desk.Scope(ctx, q)
	if err != nil {
		return err
	}
	if _, in, _, reused := s.Counts(); in < 3 || reused != int64(len(drillAddresses)) || s.Done[event.AdminAction] < 2 {
		return errMissed
	}
	_, err = d.Desk.SaveScope(ctx, drillNumber, s, q.Command("INC-1", false), true, drillBy)
	return err
}

func (d *Drill) freeze(ctx context.Context, path string) error {
	f, err := Freezing(d.Config, "", "drill")
	if err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = d.Desk.Freeze(ctx, drillNumber, f, out, drillBy)
	return errors.Join(err, out.Close())
}

func (d *Drill) contain(ctx context.Context) error {
	for _, o := range []respond.Order{
		{Does: respond.BlockNetworks, For: 7 * 24 * time.Hour}, {Does: respond.EndSessions}, {Does: respond.ResetPasswords, Since: d.Desk.Now().Add(-time.Hour)},
	} {
		o.Networks, o.Why = d.networks(), "The attack came from there"
		if _, err := d.Desk.Contain(ctx, drillNumber, o, drillBy); err != nil {
			return err
		}
	}
	return nil
}

// contained reports whether the attack was stopped: by actions that were done to their end.
func contained(_ context.Context, _ *Drill, s respond.Standing) (bool, error) {
	for _, does := range []string{respond.BlockNetworks, respond.EndSessions, respond.ResetPasswords} {
		if !slices.ContainsFunc(s.Actions, func(a incident.Action) bool { return a.Does == does && a.State == incident.Finished }) {
			return false, nil
		}
	}
	return true, nil
}

func (d *Drill) mend(ctx context.Context) error {
	_, err := d.Desk.Operator.SetRoles(ctx, drillPerson(drillPeople-1), nil, drillOrigin)
	if err == nil {
		_, err = d.Desk.Operator.DeleteClient(ctx, drillRogue, drillOrigin)
	}
	return err
}

// mended reports whether the role and the application are gone, or at least of no use.
func mended(ctx context.Context, d *Drill, _ respond.Standing) (bool, error) {
	mule, err := d.Desk.Operator.User(ctx, drillPerson(drillPeople-1))
	if err != nil || slices.Contains(mule.Roles, account.Admin) && mule.DisabledAt.IsZero() {
		return false, err
	}
	c, err := d.Desk.Operator.Client(ctx, drillRogue)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return true, nil
	}
	return disabled(c), err
}

func disabled(c client.Client) bool { return !c.DisabledAt.IsZero() }

func (d *Drill) verify(ctx context.Context) error {
	_, err := d.Desk.Recover(ctx, drillNumber, event.VerifyOptions{}, nil, drillBy)
	return err
}

func (d *Drill) report(ctx context.Context) error {
	if err := d.Desk.Close(ctx, drillNumber, "Administrators need a second factor.", drillBy); err != nil {
		return err
	}
	s, err := d.Desk.Show(ctx, drillNumber)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(d.Dir, "INC-1.md"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(d.Desk.Report(s, d.Config.ServiceName).Markdown(out), out.Close())
}
