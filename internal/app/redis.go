package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// counting is what holds the counts of the rate limits: Redis, or this process.
type counting struct {
	counter  limit.Counter
	shared   *limit.Shared // nil without Redis
	replicas *job.Replicas // nil without Redis
}

// newCounting begins to count.
func newCounting(ctx context.Context, b *base) (*counting, capability, error) {
	c, err := openCounting(ctx, b)
	if err != nil {
		return nil, capability{}, err
	}
	return c, capability{
		name: "redis", jobs: []job.Job{forgetReplicas(b)}, loops: c.loops(b), metrics: c.metrics(),
		warnings: []check{warning("redis", func(context.Context) string { return c.trouble() })},
		close:    func() error { c.close(); return nil },
	}, nil
}

func openCounting(ctx context.Context, b *base) (*counting, error) {
	c := &b.config.Redis
	if c.URL == "" {
		return &counting{counter: limit.NewMemory()}, nil
	}
	secured, err := redisTLS(c)
	if err != nil {
		return nil, fault.New(fault.Denied, "redis_refused", fmt.Sprintf("REDIS_URL: a file that it names can't be used: %v.", err)).Because(err)
	}
	replicas := job.NewReplicas(b.db, b.random.ID(b.now()), b.now)
	if err := replicas.Beat(ctx); err != nil {
		return nil, err
	}
	shared := limit.NewShared(limit.NewRedis(redisConfig(c, secured)), replicas.Alive, b.log)
	if trouble, err := shared.Begin(ctx); err != nil {
		says := redisSays[trouble]
		// What Redis says of an unknown command quotes the whole script.
		said, _, _ := strings.Cut(err.Error(), ", with args beginning")
		refused := fault.New(fault.Denied, "redis_refused", fmt.Sprintf("REDIS_URL: %s (%s). %s", says.wrong, said, says.mend)).Because(errors.New(said))
		shared.Close()
		return nil, refused
	}
	return &counting{counter: shared, shared: shared, replicas: replicas}, nil
}

func redisConfig(c *config.Redis, secured *tls.Config) limit.RedisConfig {
	return limit.RedisConfig{
		Addrs: c.Addrs, Cluster: c.Cluster, Master: c.Master, DB: c.Number, TLS: secured,
		Username: c.Username, Password: c.Password.Reveal(), SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword.Reveal(),
	}
}

// redisSays is what an operator reads about a Redis that will not count until
// somebody changes a setting, at the start; and in readyz.
var redisSays = map[limit.Trouble]struct{ wrong, mend string }{
	limit.TroubleLogin:       {"Redis refuses the login", "Write its user and password into the URL."},
	limit.TroubleRights:      {"Redis gives its user too few rights", "docs/guides/redis.md has the ACL."},
	limit.TroubleCertificate: {"Redis's certificate is not good", "Name its authority in the parameter ca, and the host by the name that the certificate has."},
	limit.TroubleKind: {"that Redis is of another kind than the URL says", "Write cluster=true for a Cluster, master_name for Sentinels, and " +
		"neither for one server; a database's number must be one that it has."},
	limit.TroubleScripts: {"Redis does not know EVAL or EVALSHA, by which Gatehouse counts", "Take rename-command for them out of redis.conf, and " +
		"bound what Gatehouse's user may do by the ACL in docs/guides/redis.md. Some services that are like Redis have no scripts: they can't be used."},
	limit.TroubleUnreachable: {wrong: "Redis is unreachable"},
	limit.TroubleTimeout:     {wrong: "Redis does not answer in time"},
	limit.TroubleReadOnly:    {wrong: "that Redis is a replica, which takes no counts"},
	limit.TroubleFull:        {wrong: "Redis has no memory left"},
	limit.TroubleFailing:     {wrong: "Redis answers with errors: see the log"},
}

// redisTLS is how Redis's certificate is checked, or nil without TLS.
func redisTLS(c *config.Redis) (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("the file of ca holds no certificate in PEM")
		}
	}
	if c.ClientCert != "" {
		own, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{own}
	}
	return t, nil
}

// loops keep looking, until the context ends.
func (c *counting) loops(b *base) []func(context.Context) {
	if c.shared == nil {
		return nil
	}
	return []func(context.Context){c.shared.Run, func(ctx context.Context) {
		c.replicas.Run(ctx, func(err error) {
			b.log.Warn("How many replicas there are can't be read; those of before are taken to be there.", "error", err.Error())
		})
	}}
}

func (c *counting) close() {
	if c.shared != nil {
		c.shared.Close()
	}
}

// trouble says for readyz why Redis does not count, or nothing.
func (c *counting) trouble() string {
	if c.shared == nil {
		return ""
	}
	t := c.shared.Away()
	if t == "" {
		return ""
	}
	return fmt.Sprintf("%s; until it counts this replica does so by itself, for one of %d", redisSays[t].wrong, c.replicas.Alive())
}

// metrics are what is measured of it.
func (c *counting) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		gauge("gatehouse_rate_limit_redis_away", "1 while REDIS_URL is set and that Redis does not count, so that this replica counts by itself; else 0.",
			func() float64 {
				if c.shared != nil && c.shared.Away() != "" {
					return 1
				}
				return 0
			}),
		gauge("gatehouse_rate_limit_replicas", "Replicas that shared the limits in the last minute, as far as this one knows; 1 without REDIS_URL.",
			func() float64 {
				if c.replicas == nil {
					return 1
				}
				return float64(c.replicas.Alive())
			}),
		counter("gatehouse_rate_limit_without_redis_total", "What this replica counted by itself because Redis did not count.", func() float64 {
			if c.shared == nil {
				return 0
			}
			return float64(c.shared.Local())
		}),
	}
}

// forgetReplicas deletes the rows of replicas that ended without a goodbye.
func forgetReplicas(b *base) job.Job {
	return inBatches(b.db, "forget-replicas", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		return job.ForgetReplicas(tx, b.now().Add(-time.Hour), limit)
	})
}
