package doctor

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
)

// fault is a deployment that is broken in one way.
type fault struct {
	// rule is the check that it turns.
	rule string
	// settings are changed, and nginx's block: pairs of what stands there and what is to.
	settings map[string]string
	nginx    []string
	// plant and mend break and mend a part.
	plant, mend func(r *rig)
	// ahead is how much time has passed, and outside changes the look from there.
	ahead   time.Duration
	outside func(o *app.Outside)
	// deployed changes what else is looked at.
	deployed func(e *app.Deployment)
	// also are checks that ask for the same, and blinds those that can't be made meanwhile.
	also, blinds []string
	// perhaps are checks that turn too once the server has noticed.
	perhaps []string
	// touches are parts that no other fault may touch at the same time, beside its settings and what it replaces in nginx's block.
	touches []string
}

// sql is a fault in the database.
func sql(rule, breaks, mends string) fault {
	return fault{rule: rule, plant: func(r *rig) { r.do(breaks) }, mend: func(r *rig) { r.do(mends) }, touches: []string{"sql " + rule}}
}

// unlessSet is a fault that another setting of that name would hide.
func (f fault) unlessSet(name string) fault {
	f.touches = append(f.touches, name)
	return f
}

// sqlSeen is one that the server itself warns of, sooner or later.
func sqlSeen(rule, breaks, mends string) fault {
	f := sql(rule, breaks, mends)
	f.perhaps = []string{"ENV-1/ready"}
	return f
}

// redisDoes is a fault of Redis's.
func redisDoes(rule string, breaks, mends []string) fault {
	return fault{rule: rule, plant: func(r *rig) { r.redis.Do(breaks...) }, mend: func(r *rig) { r.redis.Do(mends...) }, touches: []string{"redis"}}
}

// dns is a record that is another, or none.
func dns(rule, name, now string) fault {
	var before []string
	return fault{rule: rule, touches: []string{"dns " + name}, plant: func(r *rig) {
		before = r.zone.records[name]
		if now == "" {
			r.zone.set(name)
			return
		}
		r.zone.set(name, now)
	}, mend: func(r *rig) { r.zone.set(name, before...) }}
}

// nginx is a fault of its block.
func nginx(rule string, changes ...string) fault {
	return fault{rule: rule, nginx: changes, touches: []string{"nginx " + changes[0]}}
}

// probed is a fault that is found with --probe.
func probed(f fault) fault {
	f.outside, f.touches = func(o *app.Outside) { o.Probe = &app.Probe{SignIns: 5} }, append(f.touches, "probe")
	if f.rule != "MAIL-2/outside-told" { // looking again and again uses up the resets
		f.blinds = []string{"MAIL-2/outside-told"}
	}
	return f
}

// with is a fault that turns other checks as well, which ask for the same.
func (f fault) with(rules ...string) fault {
	f.also = rules
	return f
}

// refuses is a mail server that refuses at a step.
func refuses(rule string, at mailtest.Step) fault {
	return fault{rule: rule, touches: []string{"mail"},
		plant: func(r *rig) {
			r.mail.Misbehave(func(now mailtest.Step, _ string) *smtp.SMTPError {
				if now == at {
					return mailtest.Refuse(550, "not from you")
				}
				return nil
			})
		},
		mend: func(r *rig) { r.mail.Misbehave(nil) },
	}
}

// shadows puts a function before PostgreSQL's own: the server says what it does not mean.
func shadows(rule, signature, body string) fault {
	return fault{rule: rule, touches: []string{"search_path"},
		plant: func(r *rig) {
			r.do(`CREATE FUNCTION public.`+signature+` LANGUAGE SQL AS '`+body+`'`, `ALTER ROLE `+r.role+` IN DATABASE gatehouse SET search_path = public, pg_catalog`)
		},
		mend: func(r *rig) {
			name, _, _ := strings.Cut(signature, " RETURNS")
			r.do(`ALTER ROLE `+r.role+` IN DATABASE gatehouse SET search_path = public`, `DROP FUNCTION public.`+name)
		},
	}
}

// withHeader is nginx that sends a header of its own with each answer of Gatehouse's.
func withHeader(rule, line string) fault {
	return nginx(rule, "    server_tokens off;\n\n    ssl_certificate ", "    server_tokens off;\n    "+line+"\n\n    ssl_certificate ")
}

// without is nginx that takes a header away.
func without(rule, header string) fault { return withHeader(rule, "proxy_hide_header "+header+";") }

// rigsOwn are settings that lead to what the rig is made of: their faults are tried without it.
var rigsOwn = []string{"DATABASE_URL", "JWT_SECRET_KEY", "EVENT_KEY", "PUBLIC_URL", "SMTP_URL", "REDIS_URL", "TRUSTED_PROXIES", "BACKUP_DIR"}

// faults are all that are known, for a rig.
func faults(r *rig) (list []fault) {
	for rule, changes := range settingFaults {
		if slices.ContainsFunc(rigsOwn, func(name string) bool { _, has := changes[name]; return has }) {
			continue
		}
		list = append(list, fault{rule: rule, settings: changes, also: also[rule]})
	}
	list = append(append(append(append(list, postgresFaults(r)...), databaseFaults(r)...), neighbourFaults(r)...), outsideFaults(r)...)
	slices.SortStableFunc(list, func(a, b fault) int { return cmpRules(a, b) })
	return list
}

func cmpRules(a, b fault) int {
	switch {
	case a.rule < b.rule:
		return -1
	case a.rule > b.rule:
		return 1
	}
	return 0
}

const day = 24 * time.Hour

// postgresFaults are of the database's server, its roles and the way to it.
func postgresFaults(r *rig) []fault {
	at := r.settings["DATABASE_URL"]
	clear := at[:strings.Index(at, "sslmode=")] + "sslmode=disable"
	secured := at[strings.Index(at, "@"):]
	owner, admin := r.install.Owner, r.install.Admin
	tls := shadows("DB-1/tls", "inet_client_addr() RETURNS inet", "SELECT ''192.0.2.7''::inet")
	tls.settings = map[string]string{"DATABASE_URL": clear}
	role := r.install.Roles.Serving
	return []fault{
		tls,
		{rule: "DB-2/superuser", settings: map[string]string{"DATABASE_URL": admin[:strings.Index(admin, "@")] + secured}, touches: []string{"search_path"}},
		{rule: "DB-2/owner", settings: map[string]string{"DATABASE_URL": owner[:strings.Index(owner, "@")] + secured}, touches: []string{"search_path"}},
		{rule: "DB-3/password", settings: map[string]string{"DATABASE_URL": "postgres://" + role + ":gatehouse" + secured}},
		sql("DB-2/durability", `ALTER ROLE `+role+` IN DATABASE gatehouse SET synchronous_commit = off`,
			`ALTER ROLE `+role+` IN DATABASE gatehouse RESET synchronous_commit`),
		sql("DB-2/rights", `GRANT DELETE ON event TO `+role, `REVOKE DELETE ON event FROM `+role),
		sql("DB-2/rights", `GRANT CREATE ON SCHEMA public TO `+role, `REVOKE CREATE ON SCHEMA public FROM `+role),
		{rule: "DB-2/usable", plant: func(r *rig) { r.do(`REVOKE DELETE ON hold FROM ` + role) }, mend: func(r *rig) { r.do(`GRANT DELETE ON hold TO ` + role) },
			blinds: []string{"*"}, perhaps: []string{"ENV-1/ready"}},
		shadows("ENV-1/postgresql", "current_setting(text) RETURNS text",
			"SELECT CASE $1 WHEN ''server_version'' THEN ''11.22'' ELSE pg_catalog.current_setting($1) END"),
	}
}

func databaseFaults(r *rig) []fault {
	forged := filepath.Join(r.dir, "forged")
	return []fault{
		{rule: "ENV-1/version", deployed: func(e *app.Deployment) { e.Built = time.Now().Add(-200 * day) }},
		sql("LOG-1/verified", `UPDATE event_checkpoint SET note = REPLACE(note, 'gatehouse', 'gatehause') WHERE size = (SELECT MIN(size) FROM event_checkpoint)`,
			`UPDATE event_checkpoint SET note = REPLACE(note, 'gatehause', 'gatehouse')`),
		{rule: "LOG-1/anchored", settings: map[string]string{"EVENT_ANCHOR": "file:" + filepath.Join(r.dir, "nowhere")}},
		{rule: "LOG-1/anchored", settings: map[string]string{"EVENT_ANCHOR": "file:" + forged}, touches: []string{"anchor"}, plant: func(r *rig) {
			text := string(read(r, strings.TrimPrefix(r.settings["EVENT_ANCHOR"], "file:")))
			if err := os.WriteFile(forged, []byte(strings.ReplaceAll(text, "/", "+")), 0o600); err != nil {
				r.Fatal(err)
			}
		}},
		{rule: "GDPR-2/consents", settings: map[string]string{"DOCUMENT_FILES": "newsletter=" + r.write("newsletter.txt", "# News"),
			"DOCUMENTS_REQUIRED": "newsletter"}},
		sqlSeen("RET-1/runs", `INSERT INTO retention (one, began_at, deleting, ran_at, deleted, looked_at, wait_until, failures, error)
			VALUES (1, 0, '', 0, '', 0, 0, 5, 'no room') ON CONFLICT (one) DO UPDATE SET failures = 5`, `UPDATE retention SET failures = 0`),
		{rule: "JWT-1/key-age", settings: map[string]string{"JWT_KEY_ROTATION_DAYS": "0"}},
		{rule: "ENV-1/environment"},
		sql("LOG-1/jobs", `UPDATE job SET error = 'no room' WHERE name = 'forget-replicas'`, `UPDATE job SET error = ''`),
		sql("GDPR-1/inventory", `CREATE TABLE newsletter (address TEXT)`, `DROP TABLE newsletter`),
		sql("MAIL-4/queue", `INSERT INTO outbox (id, kind, account_id, sent_to, sealed, created_at, tries, error, dead_at)
			SELECT 'dead', 'x', '', '', decode('00', 'hex'), at, 1, 'no', at FROM (SELECT CAST(EXTRACT(EPOCH FROM now()) * 1000000 AS BIGINT) AS at) AS t`,
			`DELETE FROM outbox WHERE id = 'dead'`),
		sql("JWT-3/stored", `UPDATE session SET prev = cur, cur = SUBSTR(cur, 1, 16)`, `UPDATE session SET cur = prev, prev = NULL`),
		{rule: "COMP-1/approvals", settings: map[string]string{"APPROVALS": "two"}}, // and there is one administrator
		sql("COMP-1/administrators", `UPDATE account SET signed_in_at = 1 WHERE email = 'admin@example.org'`,
			`UPDATE account SET signed_in_at = NULL WHERE email = 'admin@example.org'`),
		sql("PW-2/stored", `UPDATE account SET hash = 'h1:$2a$04$' || SUBSTR(hash, 11) WHERE email = 'admin@example.org'`,
			`UPDATE account SET hash = 'h1:$2a$12$' || SUBSTR(hash, 11) WHERE email = 'admin@example.org'`),
		sql("COMP-1/factors", `UPDATE account SET roles = '["admin"]' WHERE email = 'other@example.org'`,
			`UPDATE account SET roles = '[]' WHERE email = 'other@example.org'`),
		sql("COMP-1/factor-counts", `UPDATE account SET factors = CASE email WHEN 'admin@example.org' THEN 2 ELSE -1 END`,
			`UPDATE account SET factors = CASE email WHEN 'admin@example.org' THEN 1 ELSE 0 END`),
		sql("COMP-1/factor-rows", `UPDATE totp SET sealed = sealed || '\x00'`, `UPDATE totp SET sealed = SUBSTR(sealed, 1, LENGTH(sealed) - 1)`),
		sql("COMP-1/self-registered", `UPDATE client SET source = 'self'`, `UPDATE client SET source = ''`).unlessSet("CLIENT_REGISTRATION"),
		sql("COMP-1/resources", `INSERT INTO resource (uri, name, scopes, open, created_at) VALUES ('https://old.tidewater.net/', 'Old', '[]', 0, 1)`,
			`DELETE FROM resource`),
		sql("COMP-1/console-host", `UPDATE client SET settings = '{"redirect_uris":["https://admin.tidewater.net:8443/in"]}'`,
			`UPDATE client SET settings = '{}'`),
		sql("COMP-1/pkce", `UPDATE client SET settings = '{"pkce_optional":true}'`, `UPDATE client SET settings = '{}'`),
		sql("COMP-1/factor-resets", `INSERT INTO factor_reset (account_id, asked_at, due_at, asked_by, reason) VALUES ('x', 1, 1, 'operator', '')`,
			`DELETE FROM factor_reset`),
		sqlSeen("DB-4/newest", `UPDATE backup_run SET ended_at = ended_at - 777600000000, snapshot_at = snapshot_at - 777600000000 WHERE kind = 'create'`,
			`UPDATE backup_run SET ended_at = ended_at + 777600000000, snapshot_at = snapshot_at + 777600000000 WHERE kind = 'create'`),
		sqlSeen("DB-4/drilled", `UPDATE backup_run SET ended_at = ended_at - 2592000000000, began_at = began_at - 2592000000000 WHERE kind = 'drill'`,
			`UPDATE backup_run SET ended_at = ended_at + 2592000000000, began_at = began_at + 2592000000000 WHERE kind = 'drill'`),
		sqlSeen("DB-4/key", `UPDATE backup_run SET kind = 'other' WHERE kind = 'prove'`, `UPDATE backup_run SET kind = 'prove' WHERE kind = 'other'`),
		shadows("LOG-1/clock", `clock_timestamp() RETURNS timestamptz`, `SELECT pg_catalog.clock_timestamp() + interval ''1 hour''`),
	}
}

func neighbourFaults(r *rig) []fault {
	skewedURL := "redis://default:" + url.PathEscape(redistest.Password) + "@" + skewed(r.T, r.redis.Addr(), 100)
	const everything = "RATE-4/redis-rights"
	blind := []string{"RATE-4/redis-login", "RATE-4/redis-rights", "RATE-4/redis-eviction", "RATE-4/redis-persistence", "RATE-4/redis-clock"}
	return []fault{
		redisDoes("RATE-4/redis-login", []string{"ACL", "SETUSER", "default", "nopass"},
			[]string{"ACL", "SETUSER", "default", "resetpass", ">" + redistest.Password}),
		redisDoes("RATE-4/redis-rights", []string{"ACL", "SETUSER", "gatehouse", "+config|get"}, []string{"ACL", "SETUSER", "gatehouse", "-config|get"}),
		redisDoes("RATE-4/redis-rights", []string{"ACL", "SETUSER", "gatehouse", "allkeys"},
			[]string{"ACL", "SETUSER", "gatehouse", "resetkeys", "~gatehouse:limit:*"}),
		redisDoes("RATE-4/redis-eviction", []string{"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"}, []string{"CONFIG", "SET", "maxmemory-policy", "noeviction"}),
		redisDoes("RATE-4/redis-persistence", []string{"CONFIG", "SET", "appendonly", "yes"}, []string{"CONFIG", "SET", "appendonly", "no"}),
		{rule: "RATE-4/redis-counts", touches: []string{"redis", "REDIS_URL"}, blinds: blind,
			plant:   func(r *rig) { r.redis.Do("ACL", "SETUSER", "gatehouse", "-eval", "-evalsha") },
			mend:    func(r *rig) { r.redis.Do("ACL", "SETUSER", "gatehouse", "+eval", "+evalsha") },
			perhaps: []string{"ENV-1/ready"}},
		{rule: "RATE-4/redis-clock", settings: map[string]string{"REDIS_URL": skewedURL}, touches: []string{"redis"}, also: []string{everything}},
		refuses("MAIL-2/dialogue", mailtest.AtMail),
		refuses("MAIL-2/dialogue", mailtest.AtRcpt),
		{rule: "MAIL-2/dialogue", touches: []string{"mail"}, blinds: []string{"MAIL-2/tls"},
			settings: map[string]string{"SMTP_URL": "smtps://gate:wrong@" + r.mail.URL[len("smtps://gate:p4ssw0rdOfTheTests@"):]}},
		dns("MAIL-2/spf", "tidewater.net", ""),
		dns("MAIL-2/spf", "tidewater.net", "v=spf1 include:mail.example.net ?all"),
		dns("MAIL-2/dkim", "s2030._domainkey.tidewater.net", ""),
		dns("MAIL-2/dkim", "s2030._domainkey.tidewater.net", "v=DKIM1; p="),
		dns("MAIL-2/dmarc", "_dmarc.tidewater.net", ""),
		dns("MAIL-2/dmarc", "_dmarc.tidewater.net", "v=DMARC1; p=none; rua=mailto:d@tidewater.net"),
		{rule: "LOG-1/time-server", touches: []string{"time"}, plant: func(r *rig) { r.time.ahead.Store(int64(time.Minute)) },
			mend: func(r *rig) { r.time.ahead.Store(0) }},
	}
}

func outsideFaults(r *rig) []fault {
	soon, soonKey := certify(r.T, r.dir, rigHost, time.Now().Add(5*day), rigConsole)
	cert := "    ssl_certificate " + r.name + ";\n"
	key := "    ssl_certificate_key " + r.name[:len(r.name)-len("pem")] + "key;\n"
	_ = soon
	return []fault{
		{rule: "NET-1/outside-certificate", nginx: []string{cert + key, "    ssl_certificate " + soon + ";\n    ssl_certificate_key " + soonKey + ";\n"},
			touches: []string{"certificate"}, outside: func(o *app.Outside) { o.Believe(read(r, soon)) }},
		nginx("NET-1/outside-redirect", "return 308 https://"+rigHost+"$request_uri;", "return 200 welcome;"),
		nginx("NET-1/outside-redirect", "return 308 https://"+rigHost+"$request_uri;", "return 302 http://www.example.org/;"),
		without("NET-1/outside-hsts", "Strict-Transport-Security"),
		withHeader("NET-1/outside-preload", `proxy_hide_header Strict-Transport-Security; add_header Strict-Transport-Security "max-age=31536000; preload" always;`),
		nginx("HDR-2/outside-versions", "ssl_protocols TLSv1.2 TLSv1.3;\n    ssl_ciphers ",
			"ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;\n    ssl_ciphers ALL:@SECLEVEL=0;#").with("HDR-2/outside-ciphers"),
		nginx("HDR-2/outside-ciphers", "ssl_ciphers ECDHE", "ssl_ciphers ECDHE-ECDSA-AES128-SHA:ECDHE"),
		nginx("HDR-2/outside-server", "    server_tokens off;\n\n    ssl_certificate ", "\n    ssl_certificate "),
		without("HDR-1/outside-headers", "Permissions-Policy"),
		withHeader("HDR-1/outside-headers", "add_header X-Frame-Options SAMEORIGIN always;"),
		withHeader("HDR-1/outside-cache", `proxy_hide_header Cache-Control; add_header Cache-Control "public, max-age=60" always;`),
		without("RATE-2/outside-limits", "RateLimit-Policy"),
		withHeader("NET-3/outside-origin", "add_header Access-Control-Allow-Origin * always;"),
		withHeader("NET-3/outside-origin", "add_header Access-Control-Allow-Origin $http_origin always;"),
		withHeader("NET-2/outside-cookies", `add_header Set-Cookie "gatehouse_x=1; Secure; HttpOnly; SameSite=Lax; Domain=tidewater.net" always;`),
		withHeader("NET-2/outside-cookies", `add_header Set-Cookie "gatehouse_x=1; Secure; SameSite=Lax; Path=/" always;`),
		nginx("NET-5/outside-reach", "    location = /v1/forward-auth",
			"    location = /metrics { proxy_pass "+r.h.App.AdminURL()+"; }\n    location = /v1/forward-auth"),
		nginx("NET-5/outside-reach", "    location = /v1/forward-auth", "    location = /.env { return 200 SECRET; }\n    location = /v1/forward-auth"),
		nginx("NET-5/outside-guarded", "    location = /v1/forward-auth", "    location = /app { return 200 private; }\n    location = /v1/forward-auth"),
		nginx("NET-5/outside-console", "    server_name "+rigConsole+";\n    server_tokens off;\n\n    ssl_certificate ",
			"    server_name "+rigConsole+";\n    location = /v1/me { proxy_pass http://gatehouse; proxy_set_header Host "+rigHost+"; }\n"+
				"    server_tokens off;\n\n    ssl_certificate "),
		nginx("NET-5/outside-identity", "        proxy_set_header X-Auth-Roles $auth_roles;\n", ""),
		probed(nginx("RATE-1/outside-tried", "proxy_set_header X-Forwarded-For $remote_addr;", "proxy_set_header X-Forwarded-For $http_x_forwarded_for;")),
		probed(nginx("MAIL-2/outside-told", "    location = /v1/forward-auth",
			"    location = /v1/password/forgot { return 404; }\n    location = /v1/forward-auth")),
		nginx("NET-5/outside-tokens", "        proxy_set_header Cookie $auth_cookie;\n", ""),
	}
}

func read(r *rig, path string) []byte {
	r.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		r.Fatal(err)
	}
	return b
}

// A deployment as production has it, with TLS to PostgreSQL, to Redis and to the mail server, behind nginx, is clean; broken in one
// way, it turns just the check for that, which says how to mend it. Forty faults that a seed chooses, several at a time, are each found.
func TestTheDoctorFindsWhatIsBroken(t *testing.T) {
	r := newRig(t)
	r.finds()
	all := faults(r)
	t.Run("alone", func(t *testing.T) {
		r.in(t)
		for _, f := range all {
			began := time.Now()
			r.with(f)
			t.Logf("%s %s", f.rule, time.Since(began).Round(time.Millisecond))
		}
	})
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("GATEHOUSE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Run(fmt.Sprintf("forty/%d", seed), func(t *testing.T) {
		r.in(t)
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for left := all[:40]; len(left) > 0; {
			var group, later []fault
			most := 1 + random.IntN(5)
			for _, f := range left {
				if len(group) < most && compatible(group, f) {
					group = append(group, f)
				} else {
					later = append(later, f)
				}
			}
			left = later
			r.with(group...)
		}
	})
	r.in(t)
	r.finds()
	r.finds(probed(fault{rule: "ENV-1/environment"}))
	r.h.T = t
	r.h.Eventually("the server's own look, a minute after its start", func() (string, bool) {
		n := r.h.Count(`SELECT COUNT(*) FROM doctor_check WHERE state = 'passed'`)
		return fmt.Sprintf("%d checks passed", n), n > 50
	})
}

// with plants faults, has them found, and mends them.
func (r *rig) with(planted ...fault) {
	r.Helper()
	for _, f := range planted {
		if f.plant != nil {
			f.plant(r)
		}
	}
	r.finds(planted...)
	for _, f := range planted {
		if f.mend != nil {
			f.mend(r)
		}
	}
}

// compatible reports whether a fault can be planted beside others: it touches what none of them does.
func compatible(group []fault, f fault) bool {
	for _, other := range group {
		for _, mine := range append(slices.Collect(maps.Keys(f.settings)), append(slices.Clone(f.touches), f.rule)...) {
			if mine == other.rule || slices.Contains(other.touches, mine) || other.settings[mine] != "" {
				return false
			}
		}
		if len(f.blinds) > 0 || len(other.blinds) > 0 || slices.Contains(other.also, f.rule) || slices.Contains(f.also, other.rule) {
			return false
		}
	}
	return true
}
