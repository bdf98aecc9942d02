package limit

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Posture is what a Redis says of itself to the user who counts in it; of several servers that share the keys, the
// worst of each.
type Posture struct {
	Version string
	Servers int
	// Open is set if it answers commands of those who do not log in.
	Open bool
	// Excess is what the user may do beside counting.
	Excess []string
	// Policy is maxmemory-policy; empty if the user may not ask.
	Policy string
	// AppendOnly and Saves are what it writes to its disk, Saves since it began; Stuck is which kind of it failed last.
	AppendOnly bool
	Saves      int
	Stuck      string
	// Clock is Redis's, between Asked and Answered of ours.
	Asked, Clock, Answered time.Time
}

// PostureOf asks a Redis, over connections of its own, and changes nothing in it. An error is of one that does not count, as
// [TroubleOf] understands it.
func PostureOf(ctx context.Context, c RedisConfig, now func() time.Time) (Posture, error) {
	r := NewRedis(c)
	defer r.Close()
	var p Posture
	if _, err := r.run(ctx, scriptLook, Claim{Rule: Rule{Name: "doctor", Limit: 1, Window: time.Second}, Key: Key{}}); err != nil {
		return p, err
	}
	err := r.each(ctx, func(ctx context.Context, one *redis.Client) error {
		p.Servers++
		return p.ask(ctx, one, now)
	})
	if err == nil {
		p.Open, err = answersStrangers(ctx, c)
	}
	return p, err
}

// each asks every server that has keys, one after the other.
func (r *Redis) each(ctx context.Context, ask func(context.Context, *redis.Client) error) error {
	switch c := r.client.(type) {
	case *redis.ClusterClient:
		var masters []*redis.Client
		err := c.ForEachMaster(ctx, func(_ context.Context, one *redis.Client) error { masters = append(masters, one); return nil })
		for _, one := range masters {
			err = errors.Join(err, ask(ctx, one))
		}
		return err
	case *redis.Client:
		return ask(ctx, c)
	}
	return errors.New("a Redis of a kind that is not known")
}

// ask asks one server.
func (p *Posture) ask(ctx context.Context, one *redis.Client, now func() time.Time) (err error) {
	asked := now()
	clock, err := one.Time(ctx).Result()
	if err != nil {
		return err
	}
	if p.Clock.IsZero() || apart(asked, clock) > apart(p.Asked, p.Clock) {
		p.Asked, p.Clock, p.Answered = asked, clock, now()
	}
	// What it should not be let do, and harms nothing if it is.
	for what, try := range map[string]redis.Cmder{
		"read and change the configuration": one.ConfigGet(ctx, "maxmemory-policy"),
		"read others' keys":                 one.Get(ctx, "gatehouse:doctor"),
	} {
		switch err := try.Err(); {
		case err == nil || errors.Is(err, redis.Nil):
			p.exceeds(what)
		case !redis.HasErrorPrefix(err, "NOPERM") && !redis.HasErrorPrefix(err, "ERR") && !redis.HasErrorPrefix(err, "MOVED"):
			return err
		}
	}
	info, err := one.Info(ctx).Result()
	if redis.HasErrorPrefix(err, "NOPERM") {
		return nil
	}
	if err != nil {
		return err
	}
	p.read(info)
	return nil
}

func apart(a, b time.Time) time.Duration { return max(a.Sub(b), b.Sub(a)) }

func (p *Posture) exceeds(what string) {
	for _, known := range p.Excess {
		if known == what {
			return
		}
	}
	p.Excess = append(p.Excess, what)
}

// read takes what matters out of INFO.
func (p *Posture) read(info string) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			p.Version = value
		case "maxmemory_policy":
			if p.Policy == "" || p.Policy == "noeviction" {
				p.Policy = value
			}
		case "aof_enabled":
			p.AppendOnly = p.AppendOnly || value == "1"
		case "rdb_saves":
			if n, err := strconv.Atoi(value); err == nil {
				p.Saves += n
			}
		case "rdb_last_bgsave_status", "aof_last_write_status":
			if value != "ok" {
				p.Stuck = name + ": " + value
			}
		}
	}
}

// answersStrangers reports whether a Redis answers somebody who knows no password, and has no certificate.
func answersStrangers(ctx context.Context, c RedisConfig) (bool, error) {
	if c.Master != "" { // the Sentinels' own passwords are what leads to it: they are part of the URL, and not of the Redis
		c.Username, c.Password = "", ""
	} else {
		c = RedisConfig{Addrs: c.Addrs, Cluster: c.Cluster, TLS: c.TLS}
	}
	if c.TLS != nil && len(c.TLS.Certificates) > 0 {
		c.TLS = c.TLS.Clone()
		c.TLS.Certificates = nil
	}
	r := NewRedis(c)
	defer r.Close()
	err := r.client.Get(ctx, keyPrefix+"doctor").Err()
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	return false, nil // it refuses the login, the command or the connection
}
