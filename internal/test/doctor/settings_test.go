package doctor

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// good are settings with which every check of the settings passes, but for the one that asks for production: that would
// refuse what the others look for.
var good = map[string]string{
	"DATABASE_URL": "sqlite:./data/gatehouse.db", "JWT_SECRET_KEY": harness.SecretKey, "EVENT_KEY": harness.EventKey,
	"PUBLIC_URL": "https://auth.example.org", "TRUSTED_PROXIES": "10.0.0.1", "ADMIN_NETWORKS": "10.8.0.0/16", "CORS_ORIGINS": "https://app.example.org",
	"SESSION_COOKIE_SECURE": "true", "SESSION_COOKIE_SAMESITE": "strict", "BCRYPT_COST": "12", "EMAIL_VERIFICATION": "required",
	"SMTP_URL": "smtps://user:password@127.0.0.1:1", "MAIL_FROM": "auth@example.org", "EVENT_ANCHOR": "file:/var/lib/anchor",
	"ALERT_MAIL_TO": "ops@example.org", "SECOND_FACTOR": "admin,support", "CONNECTIONS_PER_ADDRESS": "256", "BACKUP_DIR": "/srv/one,/srv/two",
	"BACKUP_RECIPIENTS": recipient,
	"PRIVACY_FILE":      "/etc/gatehouse/privacy.txt", "TERMS_FILE": "/etc/gatehouse/terms.txt",
}

// recipient is a public key whose other half nobody has.
const recipient = "age1rns4tv29n9jpqm7nz5rrvlxhg2wueeaynj87cs8xqq56nwfhp9zq56cw7r"

func load(t *testing.T, changes map[string]string) *config.Config {
	t.Helper()
	all := maps.Clone(good)
	maps.Copy(all, changes)
	var environ []string
	for name, value := range all {
		if value != "-" {
			environ = append(environ, name+"="+value)
		}
	}
	c, err := config.Load(config.Source{Environ: environ, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }})
	if err != nil {
		t.Fatalf("%v: %v", changes, err)
	}
	return c
}

// checksOf are the checks of a deployment that has no DNS.
func checksOf(c *config.Config, d *db.DB, why error, now func() time.Time, outside ...*app.Outside) []doctor.Check {
	e := app.Deployment{Config: c, DB: d, Why: why, Now: now, Version: "test", Names: &net.Resolver{
		PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no DNS here") },
	}}
	if len(outside) > 0 {
		e.Outside = outside[0]
	}
	return e.Checks()
}

// live are checks of other servers, which are not there for tests of settings.
var live = []string{"MAIL-2/dialogue", "RATE-4/redis-counts"}

// failed are the checks of the settings that fail.
func failed(t *testing.T, c *config.Config) []string {
	t.Helper()
	var out []string
	for _, f := range doctor.Run(t.Context(), checksOf(c, nil, fs.ErrNotExist, time.Now), time.Now()).Findings {
		if f.State == doctor.Failed && !slices.Contains(live, f.Rule) {
			out = append(out, f.Rule)
		}
	}
	slices.Sort(out)
	return out
}

// also are checks of other lines that ask for the same.
var also = map[string][]string{"MAIL-2/server": {"GDPR-4/mail", "RET-3/mail"}}

// settingFaults are what turns each check of the settings.
var settingFaults = map[string]map[string]string{
	"JWT-1/secret":          {"JWT_SECRET_KEY": "-"},
	"JWT-1/algorithm":       {"JWT_ALGORITHM": "HS256"},
	"JWT-1/issuer":          {"JWT_ISSUER": "https://tokens.example.org"},
	"JWT-2/lifetime":        {"ACCESS_TOKEN_EXPIRE_MINUTES": "60"},
	"JWT-4/grace":           {"REFRESH_REUSE_GRACE_SECONDS": "60"},
	"NET-1/https":           {"PUBLIC_URL": "http://auth.example.org", "SESSION_COOKIE_SECURE": "true"},
	"NET-1/ends-tls":        {"TRUSTED_PROXIES": "-"},
	"NET-2/secure":          {"SESSION_COOKIE_SECURE": "false"},
	"NET-2/http-only":       {"SESSION_COOKIE_HTTPONLY": "false"},
	"NET-2/same-site":       {"SESSION_COOKIE_SAMESITE": "lax"},
	"NET-3/origins":         {"CORS_ORIGINS": "http://app.example.org"},
	"NET-5/proxies":         {"TRUSTED_PROXIES": "203.0.0.0/9"},
	"ENV-1/profiles":        {"ADMIN_PPROF": "true"},
	"COMP-1/admin-networks": {"ADMIN_NETWORKS": "-"},
	"COMP-1/registration":   {"CLIENT_REGISTRATION": "open"},
	"COMP-1/factor-rule":    {"SECOND_FACTOR": "support"},
	"COMP-1/accepted-risks": {"DOCTOR_BASELINE_FILE": "/nowhere/accepted.json"},
	"COMP-1/providers":      {"UPSTREAMS_FILE": "/nowhere/upstreams.yaml"},
	"PW-1/expiry":           {"PASSWORD_EXPIRE_DAYS": "90"},
	"PW-2/cost":             {"BCRYPT_COST": "10"},
	"PW-3/breach":           {"PASSWORD_BREACH": "off"},
	"PW-4/lockout":          {"LOCKOUT_AFTER": "10"},
	"MAIL-1/verification":   {"EMAIL_VERIFICATION": "optional"},
	"MAIL-2/server":         {"SMTP_URL": "-", "EMAIL_VERIFICATION": "required"},
	"RATE-1/sign-in":        {"LOGIN_RATE_LIMIT_ATTEMPTS": "5000"},
	"RATE-1/registration":   {"REGISTRATION_RATE_LIMIT_ATTEMPTS": "5000"},
	"MAIL-3/resets":         {"PASSWORD_RESET_RATE_LIMIT_ATTEMPTS": "5000"},
	"RATE-2/api":            {"API_RATE_LIMIT_REQUESTS": "1000000"},
	"MAIL-2/tls":            {"SMTP_URL": "smtp://user:password@0.0.0.0:1?tls=off"},
	"RATE-4/redis-tls":      {"REDIS_URL": "redis://:password@0.0.0.0:1/0"},
	"JWT-5/at-once":         {"REVOCATION_STALE_SECONDS": "60"},
	"NET-4/address":         {"CONNECTIONS_PER_ADDRESS": "0"},
	"DB-3/password":         {"DATABASE_URL": "postgres://gatehouse:gatehouse@127.0.0.1/gatehouse?sslmode=disable"},
	"DB-4/schedule":         {"BACKUP_DIR": "-", "BACKUP_RECIPIENTS": "-"},
	"DB-4/encrypted":        {"BACKUP_RECIPIENTS": "-"},
	"DB-4/places":           {"BACKUP_DIR": "/srv/one"},
	"LOG-1/event-key":       {"EVENT_KEY": "-"},
	"LOG-1/anchor":          {"EVENT_ANCHOR": "-"},
	"LOG-2/notified":        {"ALERT_MAIL_TO": "-"},
	"LOG-2/failed-sign-ins": {"ALERT_FAILED_LOGINS": "0"},
	"LOG-3/registrations":   {"ALERT_REGISTRATIONS": "0"},
	"LOG-4/token-reuse":     {"ALERT_TOKEN_REUSES": "0"},
	"LOG-5/database-errors": {"ALERT_DATABASE_ERRORS": "0"},
	"LOG-6/rate-limits":     {"ALERT_RATE_LIMITS": "0"},
	"RET-1/length":          {"RETENTION_EXPIRED_TOKENS": "60d"},
	"RET-2/length":          {"RETENTION_LOGIN_LOGS": "3y"},
	"RET-3/length":          {"RETENTION_INACTIVE_ACCOUNTS": "never"},
	"RET-4/length":          {"RETENTION_SESSION_DATA": "180d"},
	"GDPR-3/grace":          {"ERASURE_GRACE_DAYS": "0"},
	"GDPR-5/privacy-policy": {"PRIVACY_FILE": "-"},
	"GDPR-5/terms":          {"TERMS_FILE": "-"},
}

// Each fault turns just its check.
func TestEachSettingTurnsItsCheckAlone(t *testing.T) {
	if got := failed(t, load(t, nil)); !slices.Equal(got, []string{"ENV-1/environment"}) {
		t.Fatalf("with good settings: %v", got)
	}
	for rule, changes := range settingFaults {
		want := append([]string{"ENV-1/environment", rule}, also[rule]...)
		slices.Sort(want)
		if got := failed(t, load(t, changes)); !slices.Equal(got, want) {
			t.Errorf("%v turns %v, want %v", changes, got, want)
		}
	}
}

var named = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)

// What mends a finding names settings that there are.
func TestAdviceNamesSettingsThatThereAre(t *testing.T) {
	known := map[string]bool{}
	for _, r := range load(t, nil).Report() {
		known[r.Name] = true
	}
	bad := map[string]string{
		"JWT_SECRET_KEY": "-", "PUBLIC_URL": "http://auth.example.org", "TRUSTED_PROXIES": "-", "SMTP_URL": "-", "EVENT_KEY": "-", "BCRYPT_COST": "4",
		"ALERT_MAIL_TO": "-", "ADMIN_NETWORKS": "-", "PASSWORD_BREACH": "off", "ACCESS_TOKEN_EXPIRE_MINUTES": "90", "ALERT_FAILED_LOGINS": "0",
		"SESSION_COOKIE_SECURE": "false", "EVENT_ANCHOR": "-", "PASSWORD_EXPIRE_DAYS": "9", "LOCKOUT_AFTER": "10", "API_RATE_LIMIT_REQUESTS": "1000000",
	}
	for _, f := range doctor.Run(t.Context(), checksOf(load(t, bad), nil, fs.ErrNotExist, time.Now), time.Now()).Findings {
		for _, name := range named.FindAllString(f.Mend, -1) {
			if !known[name] {
				t.Errorf("%s says to set %s, which there is not", f.Rule, name)
			}
		}
		if (f.State == doctor.Failed || f.State == doctor.Unknown) && f.Mend == "" {
			t.Errorf("%s has no advice", f.Rule)
		}
		for _, secret := range []string{harness.SecretKey, harness.EventKey, "user:password"} {
			if strings.Contains(f.Evidence+f.Mend, secret) {
				t.Errorf("%s shows a secret: %s", f.Rule, f.Evidence)
			}
		}
	}
}

// Each check stands under a line of the guide, and each line has a check; none has another's name.
func TestChecksAndTheGuideAreOfOneMind(t *testing.T) {
	seen, lines := map[string]bool{}, map[string]bool{}
	for _, l := range doctor.Guide {
		lines[l.ID] = false
	}
	for _, c := range checksOf(load(t, nil), nil, fs.ErrNotExist, time.Now) {
		if _, known := lines[c.ID]; !known || seen[c.Rule()] {
			t.Errorf("%s: known line %v, twice %v", c.Rule(), known, seen[c.Rule()])
		}
		seen[c.Rule()], lines[c.ID] = true, true
	}
	for id, has := range lines {
		if !has {
			t.Errorf("no check stands under %s", id)
		}
	}
}

var update = flag.Bool("update", false, "write docs/checks.md")

// docs/checks.md has every check, as it is made from them.
func TestChecksAreDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Checks of the doctor\n\nMade from the table in code: `go test ./internal/test/doctor -run TestChecksAreDocumented -update`.\n" +
		"How to use them: [guide](guides/doctor.md). A check speaks to controls of the standards; it is evidence for them, and no certificate.\n")
	all := checksOf(load(t, nil), nil, fs.ErrNotExist, time.Now)
	for _, l := range doctor.Guide {
		b.WriteString("\n## " + l.ID + ": " + l.Title + "\n\n" + l.Controls.String() + "\n\n| check | severity | what is so where all is well |\n|---|---|---|\n")
		for _, c := range all {
			if c.ID == l.ID {
				b.WriteString("| `" + c.Rule() + "` | " + string(c.Severity) + " | " + c.Title + " |\n")
			}
		}
	}
	const path = "../../../docs/checks.md"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != b.String() {
		t.Errorf("docs/checks.md is not what the checks say (%v): run this test with -update", err)
	}
}
