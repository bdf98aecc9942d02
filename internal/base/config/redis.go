package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Redis says which Redis holds the counts of the rate limits.
type Redis struct {
	// URL is the setting; empty for none.
	URL Secret
	// Addrs are host:port each: one server, some servers of a Cluster, or the
	// Sentinels that know where Master is.
	Addrs                         []string
	Cluster                       bool
	Master                        string
	Username, SentinelUsername    string
	Password, SentinelPassword    Secret
	Number                        int // of the database
	TLS                           bool
	CAFile, ClientCert, ClientKey string
}

const mendRedis = "Write rediss://USER:PASSWORD@HOST:PORT/NUMBER, with each of % / ? # @ : in a password percent-encoded; redis:// is without TLS."

const mendRedisParams = "It may have addr=HOST:PORT several times, and once each: cluster=true, master_name, sentinel_username, sentinel_password, " +
	"and behind rediss:// ca, cert and key, which are paths."

// redisHost is a name as networks of containers have them too, which the DNS would
// not take.
var redisHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

// The ports of Redis and of Sentinel.
const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

func readRedis(r *reading) {
	got, problem, mend := parseRedis(r.value)
	if problem != "" {
		r.refuse(problem, mend)
		return
	}
	got.URL = Secret(r.value)
	r.c.Redis = got
}

// parseRedis takes the URL apart; no part is repeated in a problem.
func parseRedis(value string) (got Redis, problem, mend string) {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok || scheme != "redis" && scheme != "rediss" {
		return got, "It begins with neither redis:// nor rediss://.", mendRedis
	}
	u, err := url.Parse(value)
	if err != nil || strings.ContainsAny(value, "# \\") || strings.Count(rest, "@") > 1 || strings.Contains(rest, "@") && u.User == nil {
		return got, "It is not an unambiguous URL.", mendRedis
	}
	got.TLS = scheme == "rediss"
	if u.User != nil {
		password, has := u.User.Password()
		if got.Username, got.Password = u.User.Username(), Secret(password); !has || password == "" {
			return got, "It has a user and no password.", mendRedis
		}
	}
	if number := strings.TrimPrefix(u.Path, "/"); number != "" {
		if got.Number, err = strconv.Atoi(number); err != nil || got.Number < 0 || got.Number > 1_000_000 || strconv.Itoa(got.Number) != number {
			return got, "What follows its host is not the number of a database.", mendRedis
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return got, "Its parameters can't be read.", mendRedisParams
	}
	if problem := got.readParams(query); problem != "" {
		return got, problem, mendRedisParams
	}
	for _, addr := range append([]string{u.Host}, query["addr"]...) {
		addr, ok := got.address(addr)
		if !ok {
			return got, "One of its addresses is not a host, or a host and a port.", mendRedis
		}
		if !slices.Contains(got.Addrs, addr) {
			got.Addrs = append(got.Addrs, addr)
		}
	}
	return got, got.contradiction(), mendRedisParams
}

func (c *Redis) readParams(query url.Values) (problem string) {
	text := map[string]*string{
		"master_name": &c.Master, "sentinel_username": &c.SentinelUsername, "sentinel_password": (*string)(&c.SentinelPassword),
		"ca": &c.CAFile, "cert": &c.ClientCert, "key": &c.ClientKey,
	}
	for name, values := range query {
		into, known := text[name]
		switch {
		case name == "addr":
		case len(values) != 1 || values[0] == "":
			return "One of its parameters is empty, or there twice."
		case name == "cluster" && values[0] == "true":
			c.Cluster = true
		case known:
			*into = values[0]
		default:
			return "It has a parameter that is not known here."
		}
	}
	return ""
}

// contradiction says which of its parts don't go together.
func (c *Redis) contradiction() string {
	switch {
	case c.Cluster && c.Master != "":
		return "It is either a Cluster or behind Sentinels."
	case len(c.Addrs) > 1 && !c.Cluster && c.Master == "":
		return "Several addresses are a Cluster's (cluster=true), or those of Sentinels (master_name)."
	case c.Cluster && c.Number != 0:
		return "A Cluster has no database but number 0."
	case c.Master == "" && (c.SentinelUsername != "" || c.SentinelPassword != ""):
		return "Without master_name there are no Sentinels to log in to."
	case c.SentinelUsername != "" && c.SentinelPassword == "":
		return "It has a user for the Sentinels and no password."
	case !c.TLS && (c.CAFile != "" || c.ClientCert != "" || c.ClientKey != ""):
		return "Behind redis:// there is no TLS that certificates would be for."
	case (c.ClientCert == "") != (c.ClientKey == ""):
		return "A client's certificate and its key go together."
	}
	for _, path := range []string{c.CAFile, c.ClientCert, c.ClientKey} {
		if path != "" && !filepath.IsAbs(path) {
			return "Its files are to be named by their whole paths."
		}
	}
	return ""
}

// address completes a host with its port.
func (c *Redis) address(text string) (string, bool) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if host, port = text, redisPort; c.Master != "" {
			port = sentinelPort
		}
		if inside, ok := strings.CutPrefix(host, "["); ok {
			host, _ = strings.CutSuffix(inside, "]")
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", false
	}
	if _, err := netip.ParseAddr(host); err != nil && !redisHost.MatchString(host) {
		return "", false
	}
	return net.JoinHostPort(host, port), true
}

// remote reports whether one of its addresses may be another machine.
func (c *Redis) remote() bool {
	return slices.ContainsFunc(c.Addrs, exposed)
}

// warnRedis is what production warns about in a Redis URL.
func warnRedis(r *reading) {
	c := &r.c.Redis
	if !c.remote() || r.placeholder { // who replaces the placeholder gets to the rest
		return
	}
	if !c.TLS {
		r.warn("What is sent to Redis, including its password, goes to another machine unencrypted. Use rediss://.")
	}
	if c.Password == "" && c.ClientCert == "" {
		r.warn("Anyone who can reach that Redis can change the counts of the rate limits: it requires no password.")
	}
}

// maskRedis returns a URL that was read before as it may be shown.
func maskRedis(value string) string {
	head, query, hasQuery := strings.Cut(value, "?")
	scheme, rest, _ := strings.Cut(head, "://")
	if userinfo, host, ok := strings.Cut(rest, "@"); ok {
		user, _, _ := strings.Cut(userinfo, ":")
		rest = user + ":" + mask + "@" + host
	}
	shown := scheme + "://" + rest
	if !hasQuery {
		return shown
	}
	params := strings.Split(query, "&")
	for i, p := range params {
		name, _, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err != nil || plain == "sentinel_password" {
			params[i] = name + "=" + mask
		}
	}
	return shown + "?" + strings.Join(params, "&")
}
