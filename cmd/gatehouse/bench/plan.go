package bench

import (
	"fmt"
	"os"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/bench/capacity"
)

type planCommand struct {
	People        float64 `required:"" help:"How many people have an account."`
	SignIns       float64 `default:"-1" help:"Sign-ins in the busiest hour (of 100 people, 2)."`
	Registrations float64 `default:"-1" help:"Registrations in the busiest hour (of 1000 people, 1)."`
	Refreshes     float64 `default:"-1" help:"Refreshes in the busiest hour (of 100 people 10 are active, each with four)."`
	Checks        float64 `help:"Requests for /v1/me, introspection or the like a second, in the busiest hour."`
	ForwardAuth   float64 `help:"Requests that a proxy has checked by /v1/forward-auth a second, in the busiest hour."`
	Sessions      float64 `default:"3" help:"Sessions of a person that live at once (${default})."`
	BusyHours     float64 `default:"8" help:"How many such hours a day is worth (${default})."`
	EventDays     float64 `default:"90" help:"How long events are kept, in days (${default})."`
	Utilisation   float64 `default:"0.6" help:"How busy the processors may be in that hour, of 1 (${default})."`
	ReplicaCores  float64 `default:"4" help:"How many cores a replica has (${default})."`
	DatabaseConns float64 `default:"8" help:"DATABASE_MAX_CONNS (${default})."`
	HashMS        float64 `name:"hash-ms" help:"What a password hash takes of a core of yours, in milliseconds; gatehouse config calibrate measures it."`
	Costs         string  `placeholder:"PATH" help:"Reckon with the costs of this file, which make bench BENCH=costs wrote on your machine."`
	JSON          bool    `name:"json" help:"Print JSON."`
}

func (planCommand) Help() string {
	return `It reckons with what each operation was measured to cost on one machine, on PostgreSQL with Redis; docs/scale.md says how well that
agrees with measurements, and what was not measured. It connects to nothing.

Example:
  gatehouse bench plan --people 1000000 --sign-ins 20000 --forward-auth 500`
}

// Run reckons.
func (p planCommand) Run(t *terminal.Terminal) error {
	costs, err := p.costs()
	if err != nil {
		return err
	}
	if p.HashMS < 0 {
		return terminal.UsageError("--hash-ms is more than 0.")
	}
	if p.HashMS > 0 {
		costs.HashMS = p.HashMS
	}
	need, assumed := p.need()
	plan, err := costs.For(need)
	if err != nil {
		return terminal.UsageError(err.Error() + ".")
	}
	if p.JSON {
		return t.JSON(plan)
	}
	return write(t, costs, plan, assumed)
}

func (p planCommand) costs() (capacity.Costs, error) {
	if p.Costs == "" {
		return capacity.Measured()
	}
	b, err := os.ReadFile(p.Costs)
	if err != nil {
		return capacity.Costs{}, terminal.UsageError("--costs: " + err.Error())
	}
	costs, err := capacity.Read(b)
	if err != nil {
		return costs, terminal.UsageError("--costs: " + err.Error())
	}
	return costs, nil
}

// need is what was asked for, and which of it was assumed.
func (p planCommand) need() (n capacity.Need, assumed []string) {
	n = capacity.Need{
		People: p.People, SessionsEach: p.Sessions, SignIns: p.SignIns, Registrations: p.Registrations, Refreshes: p.Refreshes,
		Checks: p.Checks, ForwardAuth: p.ForwardAuth, BusyHours: p.BusyHours, EventDays: p.EventDays, Utilisation: p.Utilisation,
		ReplicaCores: p.ReplicaCores, DatabaseConns: p.DatabaseConns,
	}
	for _, one := range []struct {
		what  *float64
		of    float64
		noun  string
		given float64
	}{
		{&n.SignIns, .02, "sign-ins", p.SignIns}, {&n.Registrations, .001, "registrations", p.Registrations}, {&n.Refreshes, .4, "refreshes", p.Refreshes},
	} {
		if one.given == -1 {
			*one.what = p.People * one.of
			assumed = append(assumed, fmt.Sprintf("%.0f %s", *one.what, one.noun))
		}
	}
	return n, assumed
}

func write(t *terminal.Terminal, c capacity.Costs, p capacity.Plan, assumed []string) error {
	if len(assumed) > 0 {
		fmt.Fprintf(t.Out, "Assumed of the busiest hour: %s.\n\n", strings.Join(assumed, ", "))
	}
	n := p.Need
	err := t.Table([][]string{
		{"what", "how much", "of which"},
		{"replicas", fmt.Sprintf("%.0f of %.0f cores", p.Replicas, n.ReplicaCores),
			fmt.Sprintf("passwords %.2f cores, everything else %.2f", p.HashCores, p.OtherCores)},
		{"cores of the replicas", fmt.Sprintf("%.2f", p.ServerCores), fmt.Sprintf("%.0f%% busy", n.Utilisation*100)},
		{"cores of PostgreSQL", fmt.Sprintf("%.2f", p.DatabaseCores), ""},
		{"connections to PostgreSQL", fmt.Sprintf("%.0f", p.Connections), "max_connections must be above that"},
		{"disk of PostgreSQL", terminal.Bytes(int64(p.DiskBytes)), fmt.Sprintf("%s events of %.0f days", terminal.Bytes(int64(p.EventBytes)), n.EventDays)},
		{"its log (WAL) a day", terminal.Bytes(int64(p.WALBytes)), ""},
		{"cores of Redis", fmt.Sprintf("%.2f", p.RedisCores), fmt.Sprintf("%.0f commands a second", p.RedisCommands)},
		{"memory of Redis", terminal.Bytes(int64(p.RedisBytes)), "besides its own few megabytes"},
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.Out, "\nReckoned with costs measured %s at %s (%s; a hash of cost %d takes %.0f ms of a core).\n",
		c.Measured, c.Commit, c.Machine, c.BcryptCost, c.HashMS)
	return err
}
