package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// canary is a secret whose pieces are found wherever they turn up.
const canary = "Zq7Kx9Wv3Tn5Rb8Yp2Lm4Hc6Jd1Fg0Sx"

// leaks fails if four letters of the canary in a row are in the text.
func leaks(t *testing.T, where, text string) {
	t.Helper()
	for i := range len(canary) - 3 {
		if piece := canary[i : i+4]; strings.Contains(text, piece) {
			t.Errorf("%s shows %q of a secret:\n%s", where, piece, text)
			return
		}
	}
}

// all returns everything that a load gives to be seen.
func all(t *testing.T, c *Config, err error) string {
	t.Helper()
	var b strings.Builder
	if err != nil {
		f := faultsOf(t, err)
		text, jsonErr := json.Marshal(f)
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		fmt.Fprintf(&b, "%v\n%s\n%+v\n", err, text, *f)
		return b.String()
	}
	text, jsonErr := json.Marshal(c)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	fmt.Fprintf(&b, "%v\n%+v\n%#v\n%s\n%q\n%q\n", c, *c, *c, text, c.Report(), c.Warnings)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("settings", "config", c, "database", c.Database, "key", c.JWTSecretKey)
	return b.String()
}

// DB-3 and the promise of this package: no character of a secret is shown, be
// it accepted, refused, broken, or put where it does not belong.
func TestDB3_NothingLeaks(t *testing.T) {
	half := canary[:16]
	values := []string{
		canary, canary + canary, canary + " ", "\"" + canary, canary + "\x01", half, "<" + canary + ">", canary + "CHANGE_THIS", "https://" + canary,
		"https://user:" + canary + "@acme.org", "postgres://g:" + canary + "@db.acme.org/g", "postgres://g:" + canary + "@db.acme.org/g?sslmode=require",
		"postgres://g:" + canary + "@db.acme.org/g?sslmode=disable",
		"postgres://g:" + canary + "@db.acme.org/g?service=x", "postgres://g@db.acme.org/g?password=" + canary, "postgres://g@localhost/g?sslpassword=" + canary,
		"postgres://g:" + canary + "changeme@db.acme.org/g?sslmode=" + canary, "postgres://g:" + half + "@" + half + "@db.acme.org/g",
		"postgres://g:" + half + "/" + canary + "@db.acme.org/g", "postgres://g:12/" + canary + "@db.acme.org/g", "postgres://g:12?" + canary + "@db.acme.org/g",
		"postgres://g:12#" + canary + "@db.acme.org/g", "postgres://" + canary, "postgres://g:" + canary, "postgres://g:" + canary + "%@db.acme.org/g",
		"postgres://g@db.acme.org/g?" + canary + "=1",
		"rediss://:" + canary + "@redis.acme.org", "redis://:" + canary + "@redis.acme.org/0?cluster=true", "redis://:" + half + "@" + half + "@r1",
		"redis://:" + half + "/" + canary + "@r1",
		"redis://g:" + canary + "@r1?master_name=m&sentinel_password=" + canary, "redis://g:" + canary + "@r1?%73entinel_password=" + canary,
		"redis://" + canary + "@r1", "redis://r1?" + canary + "=1", "sqlite://" + canary, canary + ":8000", "12" + canary, "-" + canary,
	}
	var names []string
	for _, s := range table {
		names = append(names, s.name)
		names = append(names, s.name+"_FILE")
	}
	for _, name := range append(names, "JWT_SECRET", "JWT_SECRET_KEY_OLD", "PASSWORD") {
		tries := values
		if !slices.ContainsFunc(table, func(s setting) bool { return s.owns(name) }) {
			// Whatever it is set to, only its name counts.
			tries = values[:2]
		}
		for _, value := range tries {
			sources := map[string]Source{
				"the environment": {Environ: []string{name + "=" + value}, ReadFile: files{}.read},
				"production":      {Environ: production(name + "=" + value), ReadFile: files{}.read},
				".env":            {ReadFile: files{".env": name + "=" + value}.read},
				".env quoted":     {Environ: production(), ReadFile: files{".env": "A='" + value + "'\n" + name + "='" + value + "'"}.read},
				"a file":          {Environ: production("JWT_SECRET_KEY=", name+"=/run/x"), ReadFile: files{"/run/x": value}.read},
			}
			for where, source := range sources {
				c, err := Load(source)
				if err == nil && shown(name) {
					// An accepted value that is no secret may be seen.
					continue
				}
				leaks(t, name+" in "+where, all(t, c, err))
			}
		}
	}
}

// shown reports whether the setting is one whose accepted value is public.
func shown(name string) bool {
	switch name {
	case "PUBLIC_URL", "JWT_ISSUER", "JWT_AUDIENCE", "DATABASE_URL", "MIGRATE_DATABASE_URL", "PASSWORD_BREACH_FILE", "PASSWORD_BREACH_API_URL", "MAIL_TEMPLATES",
		"MAIL_FROM", "JWT_CLIENT_ID", "PASSWORD_CONTEXT_WORDS", "MAIL_DKIM_SELECTOR", "NTP_SERVER", "DOCTOR_BASELINE_FILE",
		"BACKUP_DIR", "BACKUP_SCRATCH_DIR", "BACKUP_SPOOL_DIR", "ADMIN_URL", "SERVICE_NAME", "TOTP_ISSUER", "BRAND_LOGO", "PAGE_TEMPLATES", "PRIVACY_FILE",
		"TERMS_FILE", "CLIENTS_FILE", "UPSTREAMS_FILE", "DOCUMENT_FILES", "DOCUMENTS_REQUIRED", "HOME_URL", "SECURITY_CONTACT",
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES":
		// The databases' hosts and users are shown; TestReport and
		// FuzzDatabaseURL see to their passwords.
		return true
	}
	return false
}

// TestDB3_AcceptedPasswordsStayHidden: an accepted URL shows all but its password.
func TestDB3_AcceptedPasswordsStayHidden(t *testing.T) {
	for _, url := range []string{
		"postgres://g:" + canary + "@db.acme.org/g", "postgres://g:" + canary + "@a,b/g?sslmode=require", "postgres://:" + canary + "@localhost",
		"postgres://g@db.acme.org/g?password=" + canary, "postgres://g:" + canary + "@h/g?%70assword=" + canary, "postgres://g@/g?host=/run&sslpassword=" + canary,
	} {
		c, err := load(production("DATABASE_URL="+url, "JWT_SECRET_KEY="+canary)...)
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, url, all(t, c, nil))
	}
	for _, url := range []string{"smtp://g:" + canary + "@mail.acme.org", "smtps://g:" + canary + "@mail.acme.org:465/?ca=/etc/ca.pem"} {
		c, err := load(production("SMTP_URL="+url, "MAIL_FROM=no-reply@acme.org")...)
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, url, all(t, c, nil))
	}
}

// TestDB3_AcceptedRedisPasswordsStayHidden: the same for a Redis and its Sentinels.
func TestDB3_AcceptedRedisPasswordsStayHidden(t *testing.T) {
	for _, url := range []string{
		"rediss://:" + canary + "@r1", "redis://g:" + canary + "@r1:1?cluster=true",
		"redis://r1?master_name=m&%73entinel_password=" + canary, "redis://r1?sentinel_password=" + canary + "&master_name=m",
	} {
		c, err := load(production("REDIS_URL=" + url)...)
		if err != nil {
			t.Fatal(err)
		}
		leaks(t, url, all(t, c, nil))
	}
}

// TestEnvFileLeaks: a broken .env file is not quoted.
func TestEnvFileLeaks(t *testing.T) {
	for _, text := range []string{
		"JWT_SECRET_KEY=\"" + canary, "JWT_SECRET_KEY='" + canary + "\nA=b", canary, canary + "\nA=b", "JWT_SECRET_KEY=\n" + canary + "=",
		"JWT_SECRET_KEY=\n" + canary + ":x",
		"JWT_SECRET_KEY='x'" + canary, strings.ToUpper(canary) + "=x", "postgres://g:" + canary + "@h/g", "=" + canary, "\x00" + canary, canary + "!",
	} {
		for _, environ := range [][]string{nil, production()} {
			c, err := Load(Source{Environ: environ, ReadFile: files{".env": text}.read})
			seen := all(t, c, err)
			leaks(t, text, seen)
			leaks(t, text, strings.NewReplacer(strings.ToUpper(canary[:8]), canary[:8]).Replace(seen))
		}
	}
}

func TestSecret(t *testing.T) {
	s := Secret(canary)
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d", "%t", "%c"} {
		leaks(t, verb, fmt.Sprintf(verb, s))
		leaks(t, verb+" in a struct", fmt.Sprintf(verb, struct{ S Secret }{s}))
		if got := fmt.Sprintf(verb, s); got != mask {
			t.Errorf("%s: %s", verb, got)
		}
	}
	if s.Reveal() != canary || Secret("").String() != "" {
		t.Error("Reveal gives the secret, and an empty one is shown as such")
	}
}
