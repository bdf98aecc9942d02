package capacity

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

// simple costs, which can be reckoned with by hand.
func simple() Costs {
	acts := map[bench.Act]Cost{}
	for _, act := range append(bench.Acts(), ForwardAuth) {
		acts[act] = Cost{ServerMS: 1, DatabaseMS: 2, RedisMS: .5, RedisCommands: 3, WALBytes: 1000, EventBytes: 100}
	}
	acts[bench.ActCheck] = Cost{ServerMS: 1}
	acts[ForwardAuth] = Cost{ServerMS: .5}
	return Costs{HashMS: 250, BcryptCost: 12, Acts: acts, AccountBytes: 1000, SessionBytes: 500, RedisKeyBytes: 100}
}

func need() Need {
	return Need{
		People: 1e6, SessionsEach: 2, SignIns: 7200, Registrations: 0, Refreshes: 36000, Checks: 100, ForwardAuth: 200,
		BusyHours: 10, EventDays: 100, Utilisation: .5, ReplicaCores: 4, DatabaseConns: 8,
	}
}

func TestThePlanIsArithmetic(t *testing.T) {
	p, err := simple().For(need())
	if err != nil {
		t.Fatal(err)
	}
	events := 50400.0 * 100 * 10 * 100 * spare // sign-ins, sign-outs and refreshes; 100 bytes; ten hours; 100 days
	for what, pair := range map[string][2]float64{
		"hashing": {p.HashCores, .5}, // two sign-ins a second, a quarter of a second each
		"others":  {p.OtherCores, (14400+36000)/3600.0/1000 + .1 + .1},
		"server":  {p.ServerCores, (p.HashCores + p.OtherCores) / .5},
		"db":      {p.DatabaseCores, (14400 + 36000) * 2 / 3600.0 / 1000 / .5},
		"redis":   {p.RedisCores, (14400 + 36000) * .5 / 3600.0 / 1000 / .5},
		"events":  {p.EventBytes, events},
		"disk":    {p.DiskBytes, events + 1e6*2000*spare},
		"wal":     {p.WALBytes, 50400 * 1000 * 10},
		"connect": {p.Connections, 16}, "replicas": {p.Replicas, 2},
		"commands": {p.RedisCommands, 50400 * 3 / 3600.0},
		"memory":   {p.RedisBytes, 43200 * .25 * 2 * 100},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-6*max(pair[1], 1) {
			t.Errorf("%s: %v, by hand %v", what, pair[0], pair[1])
		}
	}
}

// A replica's hashing has all its cores but one.
func TestReplicasHaveRoomForHashes(t *testing.T) {
	n := need()
	n.SignIns = 3600 * 24 // six cores
	p, err := simple().For(n)
	if err != nil {
		t.Fatal(err)
	}
	if p.HashCores != 6 || p.Replicas != 4 {
		t.Errorf("%v cores of hashes on %v replicas", p.HashCores, p.Replicas)
	}
}

// Whatever there is more of, nothing gets less.
func TestMoreNeedsNoLess(t *testing.T) {
	c, err := Measured()
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := need()
		fields := []*float64{&n.People, &n.SignIns, &n.Registrations, &n.Refreshes, &n.Checks, &n.ForwardAuth, &n.SessionsEach, &n.EventDays}
		for _, f := range fields {
			*f = 1 + r.Float64()*1e4
		}
		before, err := c.For(n)
		if err != nil {
			t.Fatal(err)
		}
		*fields[r.IntN(len(fields))] *= 1 + r.Float64()
		after, err := c.For(n)
		if err != nil {
			t.Fatal(err)
		}
		for i, pair := range [][2]float64{
			{before.ServerCores, after.ServerCores}, {before.DatabaseCores, after.DatabaseCores}, {before.RedisCores, after.RedisCores},
			{before.Replicas, after.Replicas}, {before.DiskBytes, after.DiskBytes}, {before.WALBytes, after.WALBytes},
		} {
			if pair[1] < pair[0]*(1-1e-9) {
				t.Errorf("seed %d, figure %d: %v became %v", seed, i, pair[0], pair[1])
			}
		}
	}
}

func TestNeedsThatAreRefused(t *testing.T) {
	for what, spoil := range map[string]func(*Need){
		"people": func(n *Need) { n.People = -1 }, "NaN": func(n *Need) { n.Checks = math.NaN() }, "endless": func(n *Need) { n.SignIns = math.Inf(1) },
		"hours": func(n *Need) { n.BusyHours = 25 }, "days": func(n *Need) { n.EventDays = 0 }, "busier than busy": func(n *Need) { n.Utilisation = 1.1 },
		"idle": func(n *Need) { n.Utilisation = 0 }, "cores": func(n *Need) { n.ReplicaCores = .5 }, "connections": func(n *Need) { n.DatabaseConns = 0 },
	} {
		n := need()
		spoil(&n)
		if _, err := simple().For(n); err == nil {
			t.Errorf("%s: it was taken", what)
		}
	}
}

func TestCostsThatAreRefused(t *testing.T) {
	if _, err := Read(measured); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{
		``, `{}`, strings.Replace(string(measured), `"sign-in"`, `"sign-on"`, 1), strings.Replace(string(measured), `"hash_ms"`, `"hash"`, 1),
	} {
		if _, err := Read([]byte(wrong)); err == nil {
			t.Errorf("%.60s was taken", wrong)
		}
	}
}
