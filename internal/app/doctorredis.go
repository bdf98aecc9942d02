package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// redisPatience is how long Redis has for all that it is asked.
const redisPatience = 5 * time.Second

// redisChecks ask the Redis of REDIS_URL what it says of itself, once for all of them.
func (e Deployment) redisChecks() []doctor.Check {
	look := sync.OnceValues(e.lookAtRedis)
	check := func(name, title string, s doctor.Severity, judge func(limit.Posture) doctor.Answer) doctor.Check {
		return e.ofRedis(name, title, s, func() doctor.Answer {
			p, err := look()
			if err != nil {
				return doctor.Skip("See RATE-4/redis-counts.", errors.New("Redis does not answer")) //nolint:staticcheck // a name
			}
			return judge(p)
		})
	}
	return []doctor.Check{
		e.ofRedis("redis-tls", "Redis is reached by TLS", doctor.High, e.redisTLS),
		e.ofRedis("redis-counts", "Redis counts", doctor.High, func() doctor.Answer { return redisCounts(look()) }),
		check("redis-login", "Redis asks everybody for a password or a certificate", doctor.High, func(p limit.Posture) doctor.Answer {
			if p.Open {
				return doctor.Fail("Set requirepass, or better `user default off` and the ACL in docs/guides/redis.md.",
					"it answers whoever reaches it, without a password: the counts of the limits can be changed")
			}
			return doctor.Pass("without a password it answers nobody")
		}),
		check("redis-rights", "Gatehouse's user of Redis may count and no more", doctor.Medium, redisRights),
		check("redis-eviction", "A Redis that is full says so, and forgets no counts", doctor.Medium, redisEviction),
		check("redis-persistence", "Redis writes no counts to its disk", doctor.Low, redisPersistence),
		check("redis-clock", "Redis's clock agrees with this machine's", doctor.Low, func(p limit.Posture) doctor.Answer {
			off := max(p.Asked.Sub(p.Clock), p.Clock.Sub(p.Answered), 0)
			if off > clockMost {
				return doctor.Fail("Have both machines follow the same time servers: timedatectl set-ntp true",
					"Redis's clock and this machine's are %s apart", off.Round(time.Second))
			}
			return doctor.Pass("within %s", clockMost)
		}),
	}
}

// ofRedis is a check that means nothing where there is none.
func (e Deployment) ofRedis(name, title string, s doctor.Severity, ask func() doctor.Answer) doctor.Check {
	return doctor.Check{ID: "RATE-4", Name: name, Title: title, Severity: s, Ask: func(context.Context) doctor.Answer {
		if e.Config.Redis.URL == "" {
			return doctor.Excuse("REDIS_URL is not set: each server counts by itself")
		}
		return ask()
	}}
}

func (e Deployment) lookAtRedis() (limit.Posture, error) {
	c := &e.Config.Redis
	secured, err := redisTLS(c)
	if err != nil {
		return limit.Posture{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), redisPatience) // shared by checks: no one's context
	defer cancel()
	return limit.PostureOf(ctx, redisConfig(c, secured), e.Now)
}

// redisTLS judges what is said in the clear.
func (e Deployment) redisTLS() doctor.Answer {
	c := &e.Config.Redis
	local := !slices.ContainsFunc(c.Addrs, func(a string) bool { return !isLoopback(a) })
	if !c.TLS && !local {
		return doctor.Fail("Write rediss:// in REDIS_URL.", "REDIS_URL names another machine without TLS")
	}
	return doctor.Pass("TLS: %t; on this machine: %t", c.TLS, local)
}

func isLoopback(hostPort string) bool {
	a, err := netip.ParseAddrPort(hostPort)
	return err == nil && a.Addr().IsLoopback() || strings.HasPrefix(hostPort, "localhost:") || strings.HasPrefix(hostPort, "/")
}

func redisCounts(p limit.Posture, err error) doctor.Answer {
	if err == nil {
		return doctor.Pass("Redis %s, %s", p.Version, plural(p.Servers, "server"))
	}
	says, known := redisSays[limit.TroubleOf(err)]
	if !known || says.mend == "" {
		says.mend = "See that it runs, and is reached from this machine. Until it counts each server does so by itself, its share of each limit."
	}
	said, _, _ := strings.Cut(err.Error(), ", with args beginning")
	return doctor.Fail(says.mend, "%s (%s)", says.wrong, said)
}

func redisRights(p limit.Posture) doctor.Answer {
	if len(p.Excess) > 0 {
		return doctor.Fail("Give it the ACL in docs/guides/redis.md: whoever gets hold of the URL could read, change or stop the whole Redis.",
			"it may %s", strings.Join(p.Excess, ", and "))
	}
	return doctor.Pass("it may neither read its configuration nor keys that are not Gatehouse's")
}

// errNoInfo is for a Redis that does not tell us how it is set up.
var errNoInfo = errors.New("its user may not ask (INFO)")

const mendInfo = "Let it, which tells it nothing of what is stored: ACL SETUSER gatehouse +info"

func redisEviction(p limit.Posture) doctor.Answer {
	switch p.Policy {
	case "":
		return doctor.Skip(mendInfo, errNoInfo)
	case "noeviction":
		return doctor.Pass("maxmemory-policy noeviction")
	}
	return doctor.Fail("Set maxmemory-policy noeviction: a Redis that is full is then reported, and servers count by themselves.",
		"maxmemory-policy %s: under memory pressure counts are lost, and limits begin anew", p.Policy)
}

func redisPersistence(p limit.Posture) doctor.Answer {
	const mend = `Set appendonly no, and save "": counts are worth nothing after an hour, and a disk that is full would stop them.`
	switch {
	case p.Policy == "":
		return doctor.Skip(mendInfo, errNoInfo)
	case p.Stuck != "":
		return doctor.Fail(mend, "its last write to the disk failed (%s)", p.Stuck)
	case p.AppendOnly || p.Saves > 0:
		return doctor.Fail(mend, "appendonly: %t; it has saved %d times since it began", p.AppendOnly, p.Saves)
	}
	return doctor.Pass("nothing was written since it began")
}

// plural is a number of things.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
