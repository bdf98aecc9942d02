// Package capacity says what a deployment needs for the people it will have:
// cores, connections, disk and Redis, from what each operation was measured to
// cost. `make bench BENCH=costs` measures, on one machine; `make bench
// BENCH=plan` holds the arithmetic against a run of everything together.
package capacity

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

// ForwardAuth is an operation that proxies ask for, besides the acts of people.
const ForwardAuth bench.Act = "forward-auth"

// Costs are what was measured, on PostgreSQL with Redis.
type Costs struct {
	Measured string `json:"measured"` // the day
	Commit   string `json:"commit"`
	Machine  string `json:"machine"`
	// HashMS is what one password hash takes of a core, at BcryptCost; no other cost has it in it.
	HashMS     float64 `json:"hash_ms"`
	BcryptCost int     `json:"bcrypt_cost"`
	// Idle is what a second takes in which nobody comes: of one replica, and of the database and Redis for it.
	Idle Cost               `json:"idle"`
	Acts map[bench.Act]Cost `json:"acts"`
	// AccountBytes and SessionBytes are what one takes in the database, with its indexes.
	AccountBytes float64 `json:"account_bytes"`
	SessionBytes float64 `json:"session_bytes"`
	// RedisKeyBytes is what a network or account takes in Redis while it is counted.
	RedisKeyBytes float64 `json:"redis_key_bytes"`
}

// Cost is what one operation takes: milliseconds of a core, commands, bytes.
type Cost struct {
	ServerMS      float64 `json:"server_ms"`
	DatabaseMS    float64 `json:"database_ms"`
	RedisMS       float64 `json:"redis_ms"`
	RedisCommands float64 `json:"redis_commands"`
	// WALBytes are written to the database's log; EventBytes stay in the tables of events for as long as these are kept.
	WALBytes   float64 `json:"wal_bytes"`
	EventBytes float64 `json:"event_bytes"`
}

func (c Cost) plus(o Cost, times float64) Cost {
	return Cost{
		c.ServerMS + o.ServerMS*times, c.DatabaseMS + o.DatabaseMS*times, c.RedisMS + o.RedisMS*times,
		c.RedisCommands + o.RedisCommands*times, c.WALBytes + o.WALBytes*times, c.EventBytes + o.EventBytes*times,
	}
}

//go:embed costs.json
var measured []byte

// Measured returns the costs of the last `make bench BENCH=costs`.
func Measured() (Costs, error) { return Read(measured) }

// Read reads costs, and refuses what could not have been measured.
func Read(b []byte) (c Costs, err error) {
	if err := json.Unmarshal(b, &c); err != nil {
		return c, err
	}
	for _, act := range append(bench.Acts(), ForwardAuth) {
		if one, ok := c.Acts[act]; !ok || !(one.ServerMS > 0) {
			return c, fmt.Errorf("the costs have nothing for %s", act)
		}
	}
	if !(c.HashMS > 0) || !(c.AccountBytes > 0) || !(c.SessionBytes > 0) {
		return c, errors.New("the costs have nothing for a hash, an account or a session")
	}
	return c, nil
}

// Use is what so many operations take, in so many seconds, of one replica, its database and Redis.
func (c Costs) Use(calls map[bench.Act]float64, seconds float64) Cost {
	sum := Cost{}.plus(c.Idle, seconds)
	for act, n := range calls {
		sum = sum.plus(c.Acts[act], n)
	}
	sum.ServerMS += c.HashMS * hashes(calls)
	return sum
}

// hashes is how many passwords are hashed by so many operations.
func hashes(calls map[bench.Act]float64) float64 {
	return calls[bench.ActSignIn] + calls[bench.ActRegister]
}

// Need is what a deployment will have, in its busiest hour.
type Need struct {
	People        float64 `json:"people"`
	SessionsEach  float64 `json:"sessions_each"` // that live at once
	SignIns       float64 `json:"sign_ins_an_hour"`
	Registrations float64 `json:"registrations_an_hour"`
	Refreshes     float64 `json:"refreshes_an_hour"`
	Checks        float64 `json:"checks_a_second"`
	ForwardAuth   float64 `json:"forward_auth_a_second"`
	// BusyHours is how many such hours a day is worth; EventDays is how long events are kept.
	BusyHours float64 `json:"busy_hours_a_day"`
	EventDays float64 `json:"event_days"`
	// Utilisation is how busy the processors may be; ReplicaCores is how many each replica has.
	Utilisation  float64 `json:"utilisation"`
	ReplicaCores float64 `json:"replica_cores"`
	// DatabaseConns is DATABASE_MAX_CONNS, of each replica.
	DatabaseConns float64 `json:"database_conns"`
}

func (n Need) check() error {
	for _, v := range []float64{n.People, n.SessionsEach, n.SignIns, n.Registrations, n.Refreshes, n.Checks, n.ForwardAuth} {
		if !(v >= 0 && v <= 1e12) {
			return errors.New("people and what they do are numbers of 0 or more")
		}
	}
	switch {
	case !(n.BusyHours >= 1 && n.BusyHours <= 24):
		return errors.New("a day has 1 to 24 busy hours")
	case !(n.EventDays >= 1 && n.EventDays <= 36500):
		return errors.New("events are kept for 1 to 36500 days")
	case !(n.Utilisation > 0 && n.Utilisation <= 1):
		return errors.New("the utilisation is above 0 and at most 1")
	case !(n.ReplicaCores >= 1 && n.ReplicaCores <= 1024):
		return errors.New("a replica has 1 to 1024 cores")
	case !(n.DatabaseConns >= 1 && n.DatabaseConns <= 10000):
		return errors.New("a replica has 1 to 10000 connections")
	}
	return nil
}

// Plan is what the deployment needs.
type Plan struct {
	Need Need `json:"need"`
	// HashCores are kept busy by passwords alone, OtherCores by everything else; with Utilisation they are ServerCores.
	HashCores     float64 `json:"hash_cores"`
	OtherCores    float64 `json:"other_cores"`
	ServerCores   float64 `json:"server_cores"`
	Replicas      float64 `json:"replicas"`
	DatabaseCores float64 `json:"database_cores"`
	RedisCores    float64 `json:"redis_cores"`
	Connections   float64 `json:"database_connections"`
	// DiskBytes is what the tables take once events are as old as they get; WALBytes is written in a day.
	DiskBytes  float64 `json:"disk_bytes"`
	EventBytes float64 `json:"of_which_events"`
	WALBytes   float64 `json:"wal_bytes_a_day"`
	// RedisCommands is how many there are in a second; RedisBytes is its memory for what is counted.
	RedisCommands float64 `json:"redis_commands_a_second"`
	RedisBytes    float64 `json:"redis_bytes"`
}

const (
	// leastReplicas is what a deployment needs to be upgraded without a pause.
	leastReplicas = 2
	// limitWindow is for how much of an hour an account is counted in Redis: LOGIN_RATE_LIMIT_WINDOW_MINUTES.
	limitWindow = 0.25
	// spare is how much larger the tables are than their rows, for what autovacuum has not yet freed.
	spare = 1.3
)

// For says what is needed.
func (c Costs) For(n Need) (Plan, error) {
	if err := n.check(); err != nil {
		return Plan{}, err
	}
	hour := map[bench.Act]float64{
		bench.ActSignIn: n.SignIns, bench.ActRegister: n.Registrations, bench.ActRefresh: n.Refreshes,
		// Who signs in in the busiest hour signs out at last, in a session that ends.
		bench.ActSignOut: n.SignIns, bench.ActCheck: n.Checks * 3600, ForwardAuth: n.ForwardAuth * 3600,
	}
	var used Cost
	for act, calls := range hour {
		used = used.plus(c.Acts[act], calls)
	}
	const hourMS = 3600 * 1000
	p := Plan{Need: n, HashCores: c.HashMS * hashes(hour) / hourMS}
	// Each replica takes something of its own, and how many there are depends on what all of them take.
	for p.Replicas = leastReplicas; ; p.Replicas++ {
		p.OtherCores = used.ServerMS/hourMS + p.Replicas*c.Idle.ServerMS/1000
		p.ServerCores = (p.HashCores + p.OtherCores) / n.Utilisation
		// A replica hashes on all its cores but one, and on one if it has no other.
		carried := max(n.ReplicaCores-1, 1) * n.Utilisation
		if p.Replicas*n.ReplicaCores >= p.ServerCores && p.Replicas*carried >= p.HashCores || p.Replicas >= 1e6 {
			break
		}
	}
	p.DatabaseCores = (used.DatabaseMS/hourMS + p.Replicas*c.Idle.DatabaseMS/1000) / n.Utilisation
	p.RedisCores = (used.RedisMS/hourMS + p.Replicas*c.Idle.RedisMS/1000) / n.Utilisation
	p.Connections = p.Replicas * n.DatabaseConns
	p.EventBytes = (used.EventBytes*n.BusyHours + p.Replicas*c.Idle.EventBytes*86400) * n.EventDays * spare
	p.DiskBytes = p.EventBytes + n.People*(c.AccountBytes+n.SessionsEach*c.SessionBytes)*spare
	p.WALBytes = used.WALBytes*n.BusyHours + p.Replicas*c.Idle.WALBytes*86400
	p.RedisCommands = used.RedisCommands/3600 + p.Replicas*c.Idle.RedisCommands
	counted := (n.SignIns + n.Registrations + n.Refreshes) * limitWindow
	p.RedisBytes = counted * 2 * c.RedisKeyBytes // by its network and by its account
	return p, nil
}

// Ceil rounds up to whole cores or replicas, one at least.
func Ceil(v float64) int { return max(1, int(math.Ceil(v-1e-9))) }
