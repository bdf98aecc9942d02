package config

import (
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
)

// DatabaseKind is the kind of a database.
type DatabaseKind string

// The two kinds.
const (
	SQLite     DatabaseKind = "sqlite"
	PostgreSQL DatabaseKind = "postgres"
)

// Database says which database to open.
type Database struct {
	Kind DatabaseKind
	// Path is SQLite's file; empty with PostgreSQL.
	Path string
	// URL is what to hand to the database: sqlite:PATH, or postgres://… with
	// its sslmode filled in. It may hold a password.
	URL Secret
}

// Weakness returns why production refuses the password in the URL, as the end of a sentence about it, or nothing (DB-3).
func (d Database) Weakness() string {
	if d.Kind == SQLite {
		return ""
	}
	p, problem := splitPostgres(d.URL.Reveal())
	if problem == "" {
		problem = p.decode()
	}
	switch {
	case problem != "":
		return "can't be read"
	case p.password == "" && p.remote() && !p.clientCertificate():
		return "is missing, and the server is another machine"
	case p.password == "":
		return ""
	}
	return WeakDatabasePassword(p.password, p.user, p.name)
}

// database is a field that holds a database's URL.
func database(at func(*Config) *Database) field {
	return field{
		read: func(r *reading) {
			if file, ok := strings.CutPrefix(r.value, "sqlite:"); ok {
				readSQLite(r, file, at(r.c))
				return
			}
			p, ok := parsePostgres(r)
			if !ok {
				return
			}
			*at(r.c) = Database{Kind: PostgreSQL, URL: Secret(p.complete())}
		},
		show: func(c *Config) string { return at(c).URL.Reveal() },
	}
}

func readSQLite(r *reading, file string, into *Database) {
	const mend = "Write sqlite: and a file's path, such as sqlite:./data/gatehouse.db."
	switch {
	case strings.HasPrefix(file, "//"):
		r.refuse("What follows sqlite: is a path, without //.", "Write sqlite:/var/lib/gatehouse.db for an absolute path, "+
			"sqlite:./data/gatehouse.db for one in the working directory.")
	case strings.Contains(file, ":memory:"):
		r.refuse("A database in memory would lose every account at the next stop.", mend)
	case strings.ContainsAny(file, "?#"):
		r.refuse("SQLite takes no parameters, and a file name must not contain ? or #.", mend)
	case strings.HasPrefix(file, "~"):
		r.refuse("Only a shell expands ~.", "Write the whole path.")
	case strings.TrimSpace(file) != file || file == "" || strings.HasSuffix(file, "/") || path.Base(file) == "." || path.Base(file) == "..":
		r.refuse("It names no file.", mend)
	default:
		*into = Database{Kind: SQLite, Path: file, URL: Secret("sqlite:" + file)}
	}
}

// postgresURL is a connection URL in its parts. The raw parts make it up again
// letter by letter; the others are decoded.
type postgresURL struct {
	scheme, rawUser, rawPassword, rawHosts, rawPath string
	hasUserinfo, hasPassword                        bool
	params                                          []param

	user, password, name string
	hosts                []string
}

// param is one parameter of the URL, decoded, with its raw text.
type param struct{ key, value, raw string }

func (p *postgresURL) param(key string) (string, bool) {
	for _, q := range p.params {
		if q.key == key {
			return q.value, true
		}
	}
	return "", false
}

const mendPostgres = "Write sqlite:PATH, or postgres://USER:PASSWORD@HOST:PORT/NAME with each of % / ? # @ [ ] and the space in a password " +
	"percent-encoded (%25 %2F %3F %23 %40 %5B %5D %20)."

// parsePostgres takes the URL apart, or refuses it. What a URL means differs
// from parser to parser as soon as a delimiter stands where it should have been
// encoded, and the one that connects must not see another host than the one
// that judged: so anything that could be read in two ways is refused. No part
// is repeated, for a password may lie anywhere in a broken URL.
func parsePostgres(r *reading) (*postgresURL, bool) {
	p, problem := splitPostgres(r.value)
	if problem == "" {
		problem = p.decode()
	}
	mend := mendPostgres
	if problem == "" {
		problem, mend = p.judgeParams()
	}
	if problem != "" {
		r.refuse(problem, mend)
		return nil, false
	}
	return p, true
}

const problemURL = "It is not an unambiguous URL."

func splitPostgres(value string) (*postgresURL, string) {
	p := &postgresURL{}
	var ok bool
	var rest string
	if p.scheme, rest, ok = strings.Cut(value, "://"); !ok || p.scheme != "postgres" && p.scheme != "postgresql" {
		return nil, "It begins with neither sqlite: nor postgres://."
	}
	if strings.ContainsFunc(value, unicode.IsSpace) || strings.Contains(value, "#") {
		return nil, problemURL
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := rest[:end], rest[end:]
	if strings.Contains(rest, "@") {
		return nil, problemURL
	}
	p.rawHosts = authority
	var userinfo string
	if userinfo, p.rawHosts, p.hasUserinfo = strings.Cut(authority, "@"); !p.hasUserinfo {
		userinfo, p.rawHosts = "", authority
	}
	if strings.ContainsAny(userinfo, "[]") {
		return nil, problemURL
	}
	p.rawUser, p.rawPassword, p.hasPassword = strings.Cut(userinfo, ":")
	var query string
	var hasQuery bool
	if p.rawPath, query, hasQuery = strings.Cut(rest, "?"); hasQuery && query != "" {
		for raw := range strings.SplitSeq(query, "&") {
			p.params = append(p.params, param{raw: raw})
		}
	}
	if strings.Contains(strings.TrimPrefix(p.rawPath, "/"), "/") {
		return nil, problemURL
	}
	return p, ""
}

var paramName = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)?$`)

// decode fills in the decoded parts, or says what is wrong.
func (p *postgresURL) decode() string {
	bad := false
	plain := func(raw string) string {
		s, err := url.PathUnescape(raw)
		if err != nil || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			bad = true
		}
		return s
	}
	p.user, p.password, p.name = plain(p.rawUser), plain(p.rawPassword), plain(strings.TrimPrefix(p.rawPath, "/"))
	seen := map[string]bool{}
	for i := range p.params {
		key, value, ok := strings.Cut(p.params[i].raw, "=")
		// libpq and pgx know the database's name under both.
		if key = plain(key); key == "dbname" {
			key = "database"
		}
		if !ok || strings.Contains(value, "=") || !paramName.MatchString(key) || seen[key] {
			return "Its parameters can't be read: each is name=value, named once, in small letters, joined by &."
		}
		seen[key] = true
		p.params[i].key, p.params[i].value = key, plain(value)
	}
	if bad {
		return problemURL
	}
	for key, into := range map[string]*string{"user": &p.user, "password": &p.password, "database": &p.name} {
		if value, ok := p.param(key); ok {
			*into = value
		}
	}
	return p.decodeHosts(plain)
}

// decodeHosts fills in the hosts, of which there may be several (libpq section
// 32.1.1.3); the parameter host takes the place of those before the path.
func (p *postgresURL) decodeHosts(plain func(string) string) string {
	const problem = "It names no host, or one that can't be read."
	for raw := range strings.SplitSeq(p.rawHosts, ",") {
		var host, port string
		if inside, ok := strings.CutPrefix(raw, "["); ok {
			if host, port, ok = strings.Cut(inside, "]"); !ok || port != "" && port[0] != ':' {
				return problem
			}
			port = strings.TrimPrefix(port, ":")
		} else {
			host, port, _ = strings.Cut(raw, ":")
		}
		if _, err := strconv.ParseUint(port, 10, 16); port != "" && err != nil {
			return "Its port is not a number up to 65535. If that is part of the password, percent-encode what comes before it."
		}
		p.hosts = append(p.hosts, plain(host))
	}
	if value, ok := p.param("host"); ok {
		p.hosts = strings.Split(value, ",")
	}
	for _, host := range p.hosts {
		if host == "" || strings.ContainsAny(host, ",@[]%") || strings.ContainsFunc(host, unicode.IsSpace) || strings.ContainsFunc(host, unicode.IsControl) {
			return problem
		}
	}
	return ""
}

// remote reports whether a host may be another machine.
func (p *postgresURL) remote() bool {
	for _, host := range p.hosts {
		if !strings.HasPrefix(host, "/") && !loopback(host) {
			return true
		}
	}
	return false
}

// complete returns the URL with its sslmode: verify-full for another machine
// unless it says so itself (DB-1).
func (p *postgresURL) complete() string {
	params := p.params
	if _, ok := p.param("sslmode"); !ok && p.remote() {
		params = append(params[:len(params):len(params)], param{raw: "sslmode=verify-full"})
	}
	return p.assemble(p.rawPassword, params)
}

func (p *postgresURL) assemble(password string, params []param) string {
	var b strings.Builder
	b.WriteString(p.scheme + "://" + p.rawUser)
	if p.hasPassword {
		b.WriteString(":" + password)
	}
	if p.hasUserinfo {
		b.WriteByte('@')
	}
	b.WriteString(p.rawHosts + p.rawPath)
	for i, q := range params {
		if i == 0 {
			b.WriteByte('?')
		} else {
			b.WriteByte('&')
		}
		b.WriteString(q.raw)
	}
	return b.String()
}

// maskPassword returns the URL of a database, a Redis or a mail server as it may be shown. It is one that has
// been read before.
func maskPassword(value string) string {
	if value == "" || strings.HasPrefix(value, "sqlite:") {
		return value
	}
	if strings.HasPrefix(value, "smtp") {
		return mail.Masked(value)
	}
	if strings.HasPrefix(value, "redis") {
		return maskRedis(value)
	}
	p, problem := splitPostgres(value)
	if problem != "" || p.decode() != "" {
		return mask
	}
	var params []param
	for _, q := range p.params {
		if strings.HasSuffix(q.key, "password") {
			q.raw = q.key + "=" + mask
		}
		params = append(params, q)
	}
	password := ""
	if p.rawPassword != "" {
		password = mask
	}
	return p.assemble(password, params)
}

// safeDatabase is what production asks of a database: DB-1 and DB-3.
func safeDatabase(r *reading) {
	if strings.HasPrefix(r.value, "sqlite:") {
		return
	}
	// It was read before, so there is nothing more to refuse here.
	p, _ := parsePostgres(r)
	mode, _ := p.param("sslmode")
	p.judgeDurability(r)
	if p.remote() {
		switch mode {
		case "disable", "allow", "prefer":
			r.refuse("Its host is not this machine, and with sslmode="+mode+" what is sent there, including passwords and tokens, may be unencrypted.",
				"Write sslmode=verify-full, or leave sslmode out; give the server's certificate authority in sslrootcert.")
		case "require", "verify-ca":
			r.warn("With sslmode=%s another server could impersonate the database. Use verify-full.", mode)
		}
	}
	const mend = "Give the database user a long random password (`gatehouse secret` prints one), and write it into the URL."
	if p.password == "" {
		if p.remote() && !p.clientCertificate() {
			r.refuse("It has no password, and its host is not this machine.", mend)
		}
		return
	}
	if !r.placeholder { // named already: who replaces the placeholders gets to the rest
		if problem := WeakDatabasePassword(p.password, p.user, p.name); problem != "" {
			r.refuse("Its password "+problem+".", mend)
		}
	}
}

// WeakDatabasePassword returns why production refuses the password of a database's
// user, as the end of a sentence about it, or nothing (DB-3).
func WeakDatabasePassword(password, user, database string) string {
	switch same := strings.EqualFold; {
	case same(password, user) || same(password, database):
		return "is the name of the user or the database"
	case utf8.RuneCountInString(password) < passwordLength:
		return "is shorter than 12 characters"
	case guessBits(password) < passwordBits:
		return "is easy to guess: much of it is words, sequences, or the same over again"
	}
	return ""
}

func (p *postgresURL) clientCertificate() bool {
	cert, _ := p.param("sslcert")
	key, _ := p.param("sslkey")
	return cert != "" && key != ""
}

// checkMigrateDatabase refuses two databases of different kinds, and two files.
func checkMigrateDatabase(r *reading) {
	serve, migrate := r.c.Database, r.c.MigrateDatabase
	switch {
	case r.source == FromDefault || serve.Kind == "":
		// It follows DATABASE_URL, or that is at fault and named.
	case serve.Kind != migrate.Kind:
		r.refuse("DATABASE_URL names another kind of database.", "Name the same database in both, or remove MIGRATE_DATABASE_URL.")
	case serve.Kind == SQLite && path.Clean(serve.Path) != path.Clean(migrate.Path):
		r.refuse("DATABASE_URL names another file.", "Remove MIGRATE_DATABASE_URL: SQLite has no roles to keep apart.")
	}
}
