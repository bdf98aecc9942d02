package limit

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// RedisConfig says which Redis holds the counts.
type RedisConfig struct {
	// Addrs is one server, or some of a Cluster's, or the Sentinels that know where
	// Master is: host:port each.
	Addrs   []string
	Cluster bool
	Master  string
	// Username and Password may be empty; so may the Sentinels' own.
	Username, Password                 string
	SentinelUsername, SentinelPassword string
	DB                                 int
	// TLS is nil for none. It holds for Sentinels too.
	TLS *tls.Config
}

// Redis counts in a Redis: what one replica counts, all know. A count that reached Redis
// stays, even if its reply was lost.
type Redis struct {
	client redis.UniversalClient
	now    func() int64  // nil for Redis's own clock
	keep   time.Duration // for how long a key outlives its debt
}

//go:embed gcra.lua
var gcraScript string

var gcra = redis.NewScript(gcraScript)

const (
	// keyPrefix is what an ACL gives the user.
	keyPrefix = "gatehouse:limit:"
	// redisIO is how long a connection may take to open, and an answer to come, to
	// callers without a deadline of their own.
	redisIO = 5 * time.Second
	// redisConns is how many connections there are to a server.
	redisConns = 8
	// outlive covers what rounding and a clock that is corrected make of a moment.
	outlive = time.Second
)

// NewRedis returns one that connects when it is first asked.
func NewRedis(c RedisConfig) *Redis {
	logging.Disable() // it writes to standard error; what matters is in our errors
	return &Redis{keep: outlive, client: redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: c.Addrs, IsClusterMode: c.Cluster, MasterName: c.Master, DB: c.DB,
		Username: c.Username, Password: c.Password, SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		TLSConfig: c.TLS, Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		// A caller has 50 ms, and must not count twice.
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: redisIO, ReadTimeout: redisIO, WriteTimeout: redisIO,
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
		// All connections there may be are open before they are needed: one that is
		// still to be opened, by TLS, takes a good part of the 50 ms.
		PoolSize: redisConns, MinIdleConns: redisConns, ConnMaxIdleTime: 4 * time.Minute,
	})}
}

// Close ends its connections. That one of them was broken is no matter then.
func (r *Redis) Close() { _ = r.client.Close() }

// Take implements [Counter]. One claim is taken after the other, each by itself,
// since the keys of a Cluster lie on different servers; what was taken is given back
// when one is refused, so for that moment others may find less room than there is,
// and never more. A claim behind one that is refused is only looked at.
func (r *Redis) Take(ctx context.Context, claims ...Claim) (states []State, err error) {
	ctx, step := trace.Begin(ctx, "redis.limit")
	defer func() { step.End(err) }()
	states = make([]State, len(claims))
	refused := -1
	for i, c := range claims {
		what := scriptTake
		if refused >= 0 {
			what = scriptLook
		}
		if states[i], err = r.run(ctx, what, c); err != nil {
			return nil, err
		}
		if !states[i].OK && refused < 0 {
			refused = i
		}
	}
	for i := range max(refused, 0) {
		if states[i], err = r.run(ctx, scriptGiveBack, claims[i]); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// GiveBack implements [Counter].
func (r *Redis) GiveBack(ctx context.Context, claim Claim) (err error) {
	ctx, step := trace.Begin(ctx, "redis.limit")
	defer func() { step.End(err) }()
	_, err = r.run(ctx, scriptGiveBack, claim)
	return err
}

// What the script does with a key.
const (
	scriptTake = iota
	scriptGiveBack
	scriptLook
)

// run runs the script on a claim's key.
func (r *Redis) run(ctx context.Context, what int, c Claim) (State, error) {
	command := gcra.EvalSha(ctx, r.client, keyOfClaim(c), r.args(c, what)...)
	if redis.HasErrorPrefix(command.Err(), "NOSCRIPT") {
		command = gcra.Eval(ctx, r.client, keyOfClaim(c), r.args(c, what)...)
	}
	said, err := command.Int64Slice()
	if err != nil {
		return State{}, err
	}
	if len(said) != 2 {
		return State{}, fmt.Errorf("the script answered %d numbers", len(said))
	}
	return c.Rule.state(said[0] == 1, said[1]), nil
}

func (r *Redis) args(c Claim, what int) []any {
	now := any("")
	if r.now != nil {
		now = r.now()
	}
	return []any{c.Rule.interval(), c.Rule.capacity(), what, r.keep.Milliseconds(), now}
}

func keyOfClaim(c Claim) []string {
	return []string{keyPrefix + base64.RawURLEncoding.EncodeToString(c.Key[:])}
}

// probe is what shows that Redis counts: it writes, as requests do.
func (r *Redis) probe(ctx context.Context) error {
	_, err := r.Take(ctx, Claim{Rule: Rule{Name: "probe", Limit: 1, Window: time.Second}, Key: Key{}})
	return err
}

// Trouble is a word for what is wrong with a Redis.
type Trouble string

// What it may be. A Redis that refuses the login, or gives too few rights, or is of
// another kind than was said, will do so until somebody changes something.
const (
	TroubleUnreachable Trouble = "unreachable"
	TroubleTimeout     Trouble = "timeout"
	TroubleLogin       Trouble = "login"
	TroubleRights      Trouble = "rights"
	TroubleCertificate Trouble = "certificate"
	TroubleKind        Trouble = "kind"
	TroubleReadOnly    Trouble = "read_only"
	TroubleFull        Trouble = "full"
	TroubleScripts     Trouble = "scripts"
	TroubleFailing     Trouble = "failing"
)

// Lasting reports whether it is the settings that are wrong, and not the Redis.
func (t Trouble) Lasting() bool {
	return t == TroubleScripts || t == TroubleLogin || t == TroubleRights || t == TroubleCertificate || t == TroubleKind
}

// troubles are the beginnings of what Redis answers.
var troubles = []struct {
	prefix  string
	trouble Trouble
}{
	{"WRONGPASS", TroubleLogin}, {"NOAUTH", TroubleLogin}, {"ERR AUTH", TroubleLogin}, {"ERR invalid password", TroubleLogin},
	{"NOPERM", TroubleRights}, {"ERR The user executing the script", TroubleRights},
	{"ERR This instance has cluster support disabled", TroubleKind}, {"MOVED", TroubleKind}, {"ERR No such master", TroubleKind},
	{"ERR unknown command", TroubleKind}, {"ERR SELECT is not allowed in cluster mode", TroubleKind}, {"ERR DB index is out of range", TroubleKind},
	{"READONLY", TroubleReadOnly}, {"OOM", TroubleFull}, {"MISCONF", TroubleFull},
	{"LOADING", TroubleUnreachable}, {"MASTERDOWN", TroubleUnreachable}, {"CLUSTERDOWN", TroubleUnreachable}, {"ERR max number of clients", TroubleUnreachable},
}

// TroubleOf says what an error of a Redis means.
func TroubleOf(err error) Trouble {
	text := err.Error()
	if strings.Contains(text, "unknown command") && strings.Contains(strings.ToUpper(text), "EVAL") {
		return TroubleScripts
	}
	for _, t := range troubles {
		// A Sentinel's reply follows the client's own words.
		if strings.HasPrefix(text, t.prefix) || strings.Contains(text, ": "+t.prefix) {
			return t.trouble
		}
	}
	var (
		answered    redis.Error
		certificate *tls.CertificateVerificationError
		network     interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &certificate):
		return TroubleCertificate
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout), errors.As(err, &network) && network.Timeout():
		return TroubleTimeout
	case errors.As(err, &answered):
		return TroubleFailing
	}
	return TroubleUnreachable
}
