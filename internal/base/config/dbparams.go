package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// QueryModes are the values of default_query_exec_mode that all of Gatehouse is
// tested with; a test of internal/app signs in, refreshes and signs out in each.
// simple_protocol is not among them: without the server's types of parameters,
// some statements fail and others do not.
var QueryModes = []string{"cache_statement", "cache_describe", "describe_exec", "exec"}

// protocolVersions are those of PostgreSQL's protocol, not of TLS.
var protocolVersions = []string{"3.0", "3.2", "latest"}

// postgresParam says what a parameter of DATABASE_URL may be.
type postgresParam struct {
	// words are its values, if there are few; valid judges others; neither for any text.
	words []string
	valid func(string) bool
	// mend refuses the parameter: what to write instead.
	mend string
}

var (
	anyText    = postgresParam{}
	onOff      = postgresParam{words: []string{"on", "off", "true", "false", "1", "0", "yes", "no"}}
	wholeCount = postgresParam{valid: regexp.MustCompile(`^[0-9]{1,9}$`).MatchString}
	// guc is a length of time as PostgreSQL's own settings take it.
	guc = postgresParam{valid: regexp.MustCompile(`^[0-9]{1,9} ?(us|ms|s|min|h|d)?$`).MatchString}
)

// leaveOut refuses a parameter that would do nothing, or break the start.
func leaveOut(mend string) postgresParam {
	return postgresParam{mend: mend}
}

// postgresParams are the parameters that DATABASE_URL may have: those of the
// driver, and those settings of a session that make sense for a server. Any other
// would be sent to PostgreSQL at the start, and refused there in its words; some
// would be taken and break Gatehouse later.
var postgresParams = map[string]postgresParam{
	"host": anyText, "port": anyText, "database": anyText, "user": anyText, "password": anyText, "passfile": anyText,
	"connect_timeout": wholeCount,
	"sslmode":         {words: []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}, mend: "Write sslmode=verify-full, or leave it out."},
	"sslkey":          anyText, "sslcert": anyText, "sslrootcert": anyText, "sslpassword": anyText,
	"sslcertmode":          {words: []string{"disable", "allow", "require"}},
	"sslnegotiation":       {words: []string{"postgres", "direct"}},
	"sslsni":               {words: []string{"0", "1"}},
	"channel_binding":      {words: []string{"disable", "prefer", "require"}},
	"require_auth":         anyText,
	"krbspn":               anyText,
	"krbsrvname":           anyText,
	"target_session_attrs": {words: []string{"any", "read-write", "primary"}, mend: "Write target_session_attrs=read-write: Gatehouse writes."},
	"min_protocol_version": {words: protocolVersions}, "max_protocol_version": {words: protocolVersions},

	"default_query_exec_mode": {words: QueryModes,
		mend: "Write default_query_exec_mode=cache_describe for a pooler such as pgbouncer; without a pooler leave it out."},
	"pool_max_conn_lifetime": {valid: isDuration}, "pool_max_conn_lifetime_jitter": {valid: isDuration},

	"application_name": anyText, "search_path": anyText, "role": anyText, "options": anyText, "timezone": anyText, "datestyle": anyText,
	"statement_timeout": guc, "lock_timeout": guc, "idle_in_transaction_session_timeout": guc, "idle_session_timeout": guc, "transaction_timeout": guc,
	"tcp_keepalives_idle": guc, "tcp_keepalives_interval": guc, "tcp_keepalives_count": wholeCount,
	"tcp_user_timeout": guc, "client_connection_check_interval": guc,
	"work_mem": anyText, "jit": onOff,
	"client_encoding": {words: []string{"utf8", "utf-8", "UTF8", "UTF-8"}, mend: "Leave it out: Gatehouse speaks UTF-8."},
	"synchronous_commit": {words: []string{"on", "remote_apply", "remote_write", "local", "off"},
		mend: "Write synchronous_commit=on, or leave it out."},
	"default_transaction_isolation": {words: []string{"read committed", "repeatable read", "serializable"}},

	// Refused, since another word is the right one.
	"service": leaveOut("Leave it out, and write the host into the URL."), "servicefile": leaveOut("Leave it out, and write the host into the URL."),
	"hostaddr":                      leaveOut("Leave it out, and write the host into the URL."),
	"ssl":                           leaveOut("Write sslmode=verify-full in its place."),
	"pgbouncer":                     leaveOut(mendPooler),
	"prefer_simple_protocol":        leaveOut(mendPooler),
	"statement_cache_mode":          leaveOut(mendPooler),
	"statement_cache_capacity":      leaveOut(mendPooler),
	"description_cache_capacity":    leaveOut(mendPooler),
	"statement_cache_size":          leaveOut(mendPooler),
	"prepared_statements":           leaveOut(mendPooler),
	"schema":                        leaveOut("Write search_path in its place."),
	"pool_max_conns":                leaveOut(mendConns),
	"pool_min_conns":                leaveOut(mendConns),
	"pool_min_idle_conns":           leaveOut(mendConns),
	"connection_limit":              leaveOut(mendConns),
	"pool_timeout":                  leaveOut(mendConns),
	"pool_max_conn_idle_time":       leaveOut(mendNotOurs),
	"pool_health_check_period":      leaveOut(mendNotOurs),
	"pool_ping_timeout":             leaveOut(mendNotOurs),
	"default_transaction_read_only": leaveOut("Leave it out: Gatehouse writes."),
	"fallback_application_name":     leaveOut("Write application_name in its place."),
	"keepalives":                    leaveOut(mendKeepalive), "keepalives_idle": leaveOut(mendKeepalive),
	"keepalives_interval": leaveOut(mendKeepalive), "keepalives_count": leaveOut(mendKeepalive),
	"gssencmode": leaveOut(mendNotOurs), "gsslib": leaveOut(mendNotOurs), "requirepeer": leaveOut(mendNotOurs),
	"sslcrl": leaveOut(mendNotOurs), "sslcrldir": leaveOut(mendNotOurs),
	"sslcompression": leaveOut(mendNotOurs), "load_balance_hosts": leaveOut(mendNotOurs), "replication": leaveOut(mendNotOurs),
	"ssl_min_protocol_version": leaveOut("Leave it out: Gatehouse speaks TLS 1.2 and 1.3 alone."),
	"ssl_max_protocol_version": leaveOut("Leave it out: Gatehouse speaks TLS 1.2 and 1.3 alone."),
}

const (
	mendPooler    = "Leave it out, and write default_query_exec_mode=cache_describe if there is a pooler such as pgbouncer in between."
	mendConns     = "Leave it out, and set DATABASE_MAX_CONNS."
	mendNotOurs   = "Leave it out: Gatehouse has no such parameter."
	mendKeepalive = "Leave it out: on Gatehouse's side the system's keepalives apply; tcp_keepalives_idle and the like set the server's."
)

func isDuration(s string) bool {
	d, err := time.ParseDuration(s)
	return err == nil && d >= 0
}

// judgeParams refuses parameters by which the URL would mean something else than
// it says, and those that are not known: only what is tested is let through. The
// names it repeats are its own.
func (p *postgresURL) judgeParams() (problem, mend string) {
	for _, q := range p.params {
		// A setting of an extension's, or one's own, is the server's matter.
		if strings.Contains(q.key, ".") {
			continue
		}
		known, ok := postgresParams[q.key]
		switch {
		case !ok:
			return unknownParam(q.key)
		case known.mend != "" && known.words == nil:
			return "The parameter " + q.key + " is not one that Gatehouse accepts.", known.mend
		case known.words != nil && !slices.Contains(known.words, q.value), known.valid != nil && !known.valid(q.value):
			return badParam(q.key, known)
		}
	}
	return "", ""
}

func badParam(key string, p postgresParam) (problem, mend string) {
	mend = p.mend
	switch {
	case mend != "":
	case p.words != nil:
		mend = "Write one of " + strings.Join(p.words, ", ") + "; or leave it out."
	case key == "connect_timeout":
		mend = "Write a number of seconds, or leave it out."
	default:
		mend = "Write a number with its unit, such as 30s; or leave it out."
	}
	return fmt.Sprintf("Its parameter %s has a value that is not known, or not one that Gatehouse is tested with.", key), mend
}

// unknownParam names the nearest parameter that is known, never the one in the
// URL: it may be a piece of a password.
func unknownParam(key string) (problem, mend string) {
	best, least := "", 4
	for name, p := range postgresParams {
		if d := distance(key, name); p.mend != mendNotOurs && (d < least || d == least && name < best) {
			best, least = name, d
		}
	}
	mend = "Leave it out. docs/guides/postgresql.md lists those that Gatehouse accepts."
	if best != "" {
		mend = "Did you mean " + best + "? " + mend
	}
	return "It has a parameter that neither Gatehouse nor its driver knows.", mend
}

// judgeDurability refuses a commit that does not wait for the disk: the README promises that an
// answer means that the change is on disk.
func (p *postgresURL) judgeDurability(r *reading) {
	switch value, _ := p.param("synchronous_commit"); value {
	case "off", "local":
		r.refuse("With synchronous_commit="+value+" a change may be lost in a crash after it was acknowledged: accounts, revocations and refresh tokens included.",
			"Leave synchronous_commit out, or write synchronous_commit=on.")
	}
}
