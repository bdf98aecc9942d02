package config

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
)

var update = flag.Bool("update", false, "rewrite the golden files and docs/configuration.md")

// Secrets for tests. They are as good as what `gatehouse secret` prints, and
// known to all.
const (
	goodKey      = "Vq3-8rTzLk0WnYb5HsXe7JcUoPmD2gAf1iNtR9yQwKE"
	goodPepper   = "kZ7xw2-HnQ0cVb9LrTd4YmGs6PeJu1oFa8iXqB3tNyR"
	goodPassword = "h8Kz3pWq9TnXv2Ld"
)

// files is a file system for tests.
type files map[string]string

func (f files) read(path string) ([]byte, error) {
	text, ok := f[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if text == "forbidden" {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
	}
	if text == "directory" {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("is a directory")}
	}
	return []byte(text), nil
}

// load reads settings from these and no file.
func load(environ ...string) (*Config, error) {
	return Load(Source{Environ: environ, ReadFile: files{}.read})
}

// production returns an environment that production accepts, with changes. An
// empty change takes a setting away.
func production(changes ...string) []string {
	return append(slices.Clone(changes),
		"ENVIRONMENT=production",
		"PUBLIC_URL=https://auth.acme.org",
		"JWT_SECRET_KEY="+goodKey,
	)
}

func mustLoad(t *testing.T, environ ...string) *Config {
	t.Helper()
	c, err := load(environ...)
	if err != nil {
		t.Fatalf("%q is refused:\n%v", environ, err)
	}
	return c
}

// sameConfig compares settings by what they say.
var sameConfig = cmp.Options{cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateComparable(netip.Prefix{})}

func networks(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func faultsOf(t *testing.T, err error) *Faults {
	t.Helper()
	var f *Faults
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want *Faults", err)
	}
	return f
}

// goodWebhookSecret is the bytes of no webhook.
const goodWebhookSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

func TestDefaults(t *testing.T) {
	want := &Config{
		Backups: Backups{Every: 24 * time.Hour, Keep: Keep{7, 4, 3}, Most: time.Hour,
			Database: Database{SQLite, "./data/gatehouse.db", "sqlite:./data/gatehouse.db"}},
		Retention:   Retention{Profile: ProfileNone, Tokens: 7 * day, Logs: 90 * day, Inactive: 730 * day, Sessions: 30 * day},
		Environment: Development, LogLevel: slog.LevelInfo, Approvals: ApprovalsOne, ClientRegistration: ClientRegistrationOff,
		ListenAddr: "127.0.0.1:8000", AdminListenAddr: "127.0.0.1:9000", PublicURL: "http://127.0.0.1:8000",
		Database:        Database{SQLite, "./data/gatehouse.db", "sqlite:./data/gatehouse.db"},
		MigrateDatabase: Database{SQLite, "./data/gatehouse.db", "sqlite:./data/gatehouse.db"},

		DatabaseMaxConns: 8, Migrate: MigrateAuto,
		JWTAlgorithm: "ES256", JWTKeyRotation: 90 * day, ACMEDirectory: letsEncrypt, JWTIssuer: "http://127.0.0.1:8000", JWTAudience: "http://127.0.0.1:8000",
		JWTClientID:     "http://127.0.0.1:8000",
		AccessTokenLife: 15 * time.Minute, RefreshTokenLife: 7 * 24 * time.Hour, SessionMaxLife: 30 * 24 * time.Hour,
		OfflineIdle: 30 * day, OfflineMax: 180 * day,
		RefreshReuseGrace: 10 * time.Second, RefreshRetry: 24 * time.Hour,
		SessionsPerAccount: 50, CookieHTTPOnly: true, CookieSameSite: SameSiteStrict,
		LoginLimit: Limit{5, 15 * time.Minute}, RegistrationLimit: Limit{5, time.Hour}, ResetLimit: Limit{3, time.Hour}, APILimit: Limit{600, time.Minute},
		LockoutAfter: 5, LockoutDelay: 30 * time.Second,
		PasswordBreach: BreachEmbedded, PasswordBreachAPIURL: "https://api.pwnedpasswords.com", PasswordBreachAway: BreachAwayAllow, PasswordBreachAtSignIn: true,
		PasswordMinLength: 15, PasswordHash: "bcrypt", BcryptCost: 12, Argon2MemoryMiB: 19, Argon2Passes: 2,
		EmailVerification: VerificationOptional, Registration: RegistrationOpen, ServiceName: "127.0.0.1", TOTPIssuer: "127.0.0.1", FactorResetWait: day,
		ErasureGrace: 14 * day,
		Passkeys:     PasskeysOn, PasskeyRPID: "localhost",
		MailFrom: mail.From{Address: "no-reply@localhost"},
		Traces:   Traces{Timeout: 10 * time.Second, Service: "gatehouse", Sampler: "parentbased_always_on", Ratio: 1},
		Alerts: Alerts{
			FailedLogins: 200, UnusualLogins: 40, Sprayed: 20, Stuffed: 100, Registrations: 50, Reuses: 3,
			Tampered: 100, Introspections: 20, DatabaseErrors: 10, RateLimits: 500,
		},
	}
	got := mustLoad(t)
	if diff := cmp.Diff(want, got, sameConfig); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.DataDir() != "data" {
		t.Errorf("data folder %q", got.DataDir())
	}

	c := mustLoad(t, production()...)
	if !c.Production() || c.EmailVerification != VerificationRequired || c.JWTIssuer != "https://auth.acme.org" || len(c.Warnings) > 0 {
		t.Errorf("production: %+v", c)
	}
}

func TestEverySettingIsRead(t *testing.T) {
	got := mustLoad(t,
		"ENVIRONMENT=Production", "LOG_LEVEL=warning", "TLS_CERT_FILE=/etc/tls/cert.pem", "TLS_KEY_FILE=/etc/tls/key.pem", "TLS_REDIRECT_ADDR=:080",
		"CONNECTIONS_PER_ADDRESS=9", "SHUTDOWN_DELAY_SECONDS=15",
		"PRIVATE_NETWORKS=172.18.0.9/16,fd00::/64", "LISTEN_ADDR=[::1]:08000", "ADMIN_LISTEN_ADDR=localhost:0", "ADMIN_PPROF=True",
		"PUBLIC_URL=HTTPS://Auth.ACME.org:443/", "CORS_ORIGINS= https://App.acme.org:443 ,https://acme.org:8443",
		"TRUSTED_PROXIES=10.0.0.5 , 192.168.7.9/24,Cloudflare,::ffff:10.0.0.5,fd00::/8", "DATABASE_URL=postgresql://gate:"+goodPassword+"@db.acme.org/gate",
		"DATABASE_MAX_CONNS=20", "MIGRATE=OFF", "MIGRATE_DATABASE_URL=postgres://owner:"+goodPassword+"@db.acme.org/gate?sslmode=verify-full",
		"REVOCATION_STALE_SECONDS=900", "ADMIN_NETWORKS=10.8.0.0/16 2001:db8::1",
		"ADMIN_URL=https://Admin.acme.org:443/", "APPROVALS=two",
		"REDIS_URL=rediss://gate:p%40ss@[fd00::7]:26380/3?master_name=mymaster&addr=s2&addr=10.0.0.9:7&sentinel_username=s&sentinel_password=p%2Fw&ca=/etc/ca.pem&cert=/etc/c.pem&key=/etc/k.pem",
		"JWT_SECRET_KEY="+goodKey, "JWT_SECRET_KEY_PREVIOUS=the one before", "JWT_ALGORITHM=eddsa", "JWT_KEY_ROTATION_DAYS=365", "JWT_ISSUER=https://iss.acme.org",
		"JWT_AUDIENCE=urn:acme:api", "JWT_CLIENT_ID=acme-web",
		"ACCESS_TOKEN_EXPIRE_MINUTES=30", "REFRESH_TOKEN_EXPIRE_DAYS=90", "SESSION_MAX_DAYS=90", "OFFLINE_IDLE_DAYS=20", "OFFLINE_MAX_DAYS=100",
		"REFRESH_REUSE_GRACE_SECONDS=0", "REFRESH_RETRY_HOURS=72",
		"SESSIONS_PER_ACCOUNT=1000", "SESSION_COOKIE_SECURE=true", "SESSION_COOKIE_HTTPONLY=TRUE", "SESSION_COOKIE_SAMESITE=Lax", "PASSWORD_MIN_LENGTH=8",
		"PASSWORD_HASH=Argon2id",
		"PASSWORD_EXPIRE_DAYS=3650", "PASSWORD_REQUIRE_UPPERCASE=true", "PASSWORD_REQUIRE_LOWERCASE=true", "PASSWORD_REQUIRE_DIGIT=true",
		"PASSWORD_REQUIRE_SYMBOL=true", "PASSWORD_CONTEXT_WORDS=acme, rocket skates",
		"PASSWORD_BREACH=File", "PASSWORD_BREACH_FILE=/var/lib/pwned", "PASSWORD_BREACH_API_URL=https://pwned.acme.org/v3/", "PASSWORD_BREACH_AWAY=REFUSE",
		"PASSWORD_BREACH_AT_SIGN_IN=false",
		"LOGIN_RATE_LIMIT_ATTEMPTS=3", "LOGIN_RATE_LIMIT_WINDOW_MINUTES=30", "REGISTRATION_RATE_LIMIT_ATTEMPTS=2", "REGISTRATION_RATE_LIMIT_WINDOW_MINUTES=120",
		"PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=100000", "PASSWORD_RESET_RATE_LIMIT_WINDOW_MINUTES=1440", "API_RATE_LIMIT_REQUESTS=1000000",
		"API_RATE_LIMIT_WINDOW_SECONDS=3600",
		"LOCKOUT_AFTER=10", "LOCKOUT_DELAY_SECONDS=900", "ARGON2_MEMORY_MIB=1024", "ARGON2_PASSES=64", "PASSWORD_PEPPER="+goodPepper,
		"PASSWORD_PEPPER_PREVIOUS="+goodPepper+"1",
		"CLIENT_REGISTRATION=token", "CLIENT_REGISTRATION_TOKEN="+goodPepper+"3",
		"EVENT_KEY="+goodPepper+"2", "EVENT_ANCHOR=file:/mnt/anchor", "EVENT_FORWARD=syslog+tls://logs.acme.org:6514?ca=/etc/ca.pem",
		"ALERT_MAIL_TO=ops@acme.org, Ada@acme.org", "ALERT_WEBHOOK_URL=https://hooks.acme.org/x?k=v", "ALERT_WEBHOOK_SECRET="+goodWebhookSecret,
		"ALERT_FAILED_LOGINS=1", "ALERT_FAILED_LOGINS_UNUSUAL=2",
		"ALERT_SPRAYED_ACCOUNTS=3", "ALERT_STUFFED_ACCOUNTS=4", "ALERT_REGISTRATIONS=5", "ALERT_TOKEN_REUSES=6", "ALERT_TAMPERED_TOKENS=7",
		"ALERT_INTROSPECTION_FAILURES=8", "ALERT_DATABASE_ERRORS=9", "ALERT_RATE_LIMITS=0",
		"OTEL_SDK_DISABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=https://otel.acme.org", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://otel.acme.org/t?ca=/etc/ca.pem",
		"OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20b", "OTEL_EXPORTER_OTLP_TIMEOUT=500", "OTEL_SERVICE_NAME=auth",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=production",
		"OTEL_TRACES_SAMPLER=TraceIDRatio", "OTEL_TRACES_SAMPLER_ARG=0.25",
		"BACKUP_DIR=/mnt/a, s3://acme/b?endpoint=https://s3.acme.org",
		"BACKUP_S3_ACCESS_KEY_ID=gatehouse", "BACKUP_S3_SECRET_ACCESS_KEY=word",
		"BACKUP_RECIPIENTS=age1x,ssh-ed25519 AAAA ada", "BACKUP_EVERY_HOURS=6", "BACKUP_KEEP=1d,2w,3m", "BACKUP_MAX_MINUTES=7",
		"BACKUP_SCRATCH_DIR=/var/tmp", "BACKUP_SPOOL_DIR=/var/spool", "BACKUP_DATABASE_URL=postgresql://gate:"+goodPassword+"@db2.acme.org/gate?sslmode=verify-full",
		"RETENTION_PROFILE=PCI", "RETENTION_EXPIRED_TOKENS=2w", "RETENTION_LOGIN_LOGS=2y", "RETENTION_INACTIVE_ACCOUNTS=never", "RETENTION_SESSION_DATA=6m",
		"BCRYPT_COST=16", "EMAIL_VERIFICATION=required", "REGISTRATION=closed",
		"SECOND_FACTOR=editor, *,editor", "SECOND_FACTOR_GRACE_DAYS=90", "FACTOR_RESET_WAIT_HOURS=168", "TOTP_ISSUER=Acme Ltd", "ERASURE_GRACE_DAYS=30",
		"PASSKEYS=second", "PASSWORDLESS=off", "PASSKEY_RP_ID=Acme.org", "PASSKEY_ORIGINS=https://app.acme.org",
		"BRAND_COLOR=#ffC400", "BRAND_LOGO=/etc/logo.svg", "PAGE_TEMPLATES=/etc/pages", "PRIVACY_FILE=/etc/privacy.txt", "TERMS_FILE=/etc/terms.txt",
		"CLIENTS_FILE=/etc/clients.yaml", "UPSTREAMS_FILE=/etc/upstreams.yaml",
		"DOCUMENT_FILES=offers=/etc/offers.txt, news=/etc/news.txt", "DOCUMENTS_REQUIRED=terms, news,terms",
		"SERVICE_NAME=Acme & Söhne", "HOME_URL=https://acme.org/", "SECURITY_CONTACT=mailto:security@acme.org, https://acme.org/security",
		"SMTP_URL=smtp://gate:p%40ss@mail.acme.org:2525?ca=/etc/ca.pem", "MAIL_FROM=Acme <no-reply@Bücher.example>", "MAIL_TEMPLATES=/etc/gatehouse/mail",
		"MAIL_DKIM_SELECTOR=s2030", "NTP_SERVER=time.acme.org:123", "DOCTOR_BASELINE_FILE=/etc/accepted.json",
	)
	want := &Config{
		Backups: Backups{Dirs: []string{"/mnt/a", "s3://acme/b?endpoint=https://s3.acme.org"}, Keys: "gatehouse", Secrets: "word",
			Recipients: "age1x,ssh-ed25519 AAAA ada", Every: 6 * time.Hour, Keep: Keep{1, 2, 3},
			Most: 7 * time.Minute, Scratch: "/var/tmp", Spool: "/var/spool",
			Database: Database{Kind: PostgreSQL, URL: "postgresql://gate:" + goodPassword + "@db2.acme.org/gate?sslmode=verify-full"}},
		Retention:   Retention{Profile: ProfilePCI, Tokens: 14 * day, Logs: 730 * day, Sessions: 180 * day},
		Environment: Production, LogLevel: slog.LevelWarn, ListenAddr: "[::1]:8000", AdminListenAddr: "localhost:0", AdminPprof: true,
		TLSCertFile: "/etc/tls/cert.pem", TLSKeyFile: "/etc/tls/key.pem", ACMEDirectory: letsEncrypt, TLSRedirectAddr: ":80", ConnectionsPerAddress: 9,
		ShutdownDelay: 15 * time.Second,
		PublicURL:     "https://auth.acme.org", CORSOrigins: []string{"https://app.acme.org", "https://acme.org:8443"},
		PrivateNetworks: networks("172.18.0.0/16", "fd00::/64"), AdminNetworks: networks("10.8.0.0/16", "2001:db8::1/128"),
		AdminURL: "https://admin.acme.org", Approvals: ApprovalsTwo,
		TrustedProxies: networks("10.0.0.5/32", "192.168.7.0/24", "fd00::/8"), CloudflareProxies: true,
		Database:         Database{Kind: PostgreSQL, URL: "postgresql://gate:" + goodPassword + "@db.acme.org/gate?sslmode=verify-full"},
		MigrateDatabase:  Database{Kind: PostgreSQL, URL: "postgres://owner:" + goodPassword + "@db.acme.org/gate?sslmode=verify-full"},
		DatabaseMaxConns: 20, Migrate: MigrateOff, RevocationStale: 15 * time.Minute,
		Redis: Redis{
			URL:   "rediss://gate:p%40ss@[fd00::7]:26380/3?master_name=mymaster&addr=s2&addr=10.0.0.9:7&sentinel_username=s&sentinel_password=p%2Fw&ca=/etc/ca.pem&cert=/etc/c.pem&key=/etc/k.pem",
			Addrs: []string{"[fd00::7]:26380", "s2:26379", "10.0.0.9:7"}, Master: "mymaster", Username: "gate", Password: "p@ss", SentinelUsername: "s",
			SentinelPassword: "p/w",
			Number:           3, TLS: true, CAFile: "/etc/ca.pem", ClientCert: "/etc/c.pem", ClientKey: "/etc/k.pem",
		},
		JWTSecretKey: goodKey, JWTSecretKeyPrevious: "the one before", JWTAlgorithm: "EdDSA", JWTKeyRotation: 365 * day, JWTIssuer: "https://iss.acme.org",
		JWTAudience: "urn:acme:api", JWTClientID: "acme-web",
		AccessTokenLife: 30 * time.Minute, RefreshTokenLife: 90 * day, SessionMaxLife: 90 * day,
		OfflineIdle: 20 * day, OfflineMax: 100 * day,
		RefreshRetry: 72 * time.Hour, SessionsPerAccount: 1000, CookieSecure: true, CookieHTTPOnly: true, CookieSameSite: SameSiteLax, PasswordMinLength: 8,
		PasswordHash: "argon2id", BcryptCost: 16,
		PasswordLife: 3650 * day, PasswordRequireUppercase: true, PasswordRequireLowercase: true, PasswordRequireDigit: true, PasswordRequireSymbol: true,
		PasswordContextWords: []string{"acme", "rocket skates"},
		PasswordBreach:       BreachFile, PasswordBreachFile: "/var/lib/pwned", PasswordBreachAPIURL: "https://pwned.acme.org/v3",
		PasswordBreachAway: BreachAwayRefuse,
		LoginLimit:         Limit{3, 30 * time.Minute}, RegistrationLimit: Limit{2, 2 * time.Hour}, ResetLimit: Limit{100_000, 24 * time.Hour},
		APILimit:     Limit{1_000_000, time.Hour},
		LockoutAfter: 10, LockoutDelay: 15 * time.Minute, Argon2MemoryMiB: 1024, Argon2Passes: 64, PasswordPepper: goodPepper,
		PasswordPepperPrevious: goodPepper + "1",
		EventKey:               goodPepper + "2", EventAnchor: "file:/mnt/anchor", EventForward: "syslog+tls://logs.acme.org:6514?ca=/etc/ca.pem",
		EmailVerification: VerificationRequired, Registration: RegistrationClosed,
		SecondFactor: []string{"editor", "*"}, FactorGrace: 90 * day, FactorResetWait: 168 * time.Hour, TOTPIssuer: "Acme Ltd", ErasureGrace: 30 * day,
		BrandColor: "#ffC400", BrandLogo: "/etc/logo.svg", PageTemplates: "/etc/pages", PrivacyFile: "/etc/privacy.txt", TermsFile: "/etc/terms.txt",
		ClientsFile:        "/etc/clients.yaml",
		UpstreamsFile:      "/etc/upstreams.yaml",
		ClientRegistration: ClientRegistrationToken, ClientRegistrationToken: goodPepper + "3",
		DocumentFiles:     map[string]string{"news": "/etc/news.txt", "offers": "/etc/offers.txt"},
		DocumentsRequired: []string{"terms", "news"},
		Passkeys:          PasskeysSecond, PasskeyRPID: "acme.org", PasskeyOrigins: []string{"https://app.acme.org"},
		ServiceName: "Acme & Söhne", HomeURL: "https://acme.org/", SecurityContact: []string{"mailto:security@acme.org", "https://acme.org/security"},
		Traces: Traces{
			Disabled: true, Endpoint: "https://otel.acme.org", TracesEndpoint: "https://otel.acme.org/t?ca=/etc/ca.pem", Headers: "api-key=a%20b",
			Timeout: 500 * time.Millisecond,
			Service: "auth", Attributes: "deployment.environment.name=production", Sampler: "traceidratio", Ratio: 0.25,
		},
		Alerts: Alerts{
			MailTo:     []string{"ops@acme.org", "Ada@acme.org"},
			WebhookURL: "https://hooks.acme.org/x?k=v", WebhookSecret: goodWebhookSecret,
			FailedLogins: 1, UnusualLogins: 2, Sprayed: 3, Stuffed: 4, Registrations: 5, Reuses: 6, Tampered: 7, Introspections: 8, DatabaseErrors: 9,
		},
		SMTPURL: "smtp://gate:p%40ss@mail.acme.org:2525?ca=/etc/ca.pem", MailFrom: mail.From{Name: "Acme", Address: "no-reply@xn--bcher-kva.example"},
		MailTemplates: "/etc/gatehouse/mail", Doctor: Doctor{DKIMSelector: "s2030", TimeServer: "time.acme.org:123", Baseline: "/etc/accepted.json"},
	}
	if diff := cmp.Diff(want, got, sameConfig, cmpopts.IgnoreFields(Config{}, "Warnings")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.DataDir() != "data" {
		t.Errorf("data folder with PostgreSQL: %q", got.DataDir())
	}
	for _, row := range got.Report() {
		if row.Source != FromEnvironment && !strings.HasPrefix(row.Name, "TLS_ACME_") { // which exclude TLS_CERT_FILE
			t.Errorf("%s: source %q", row.Name, row.Source)
		}
	}
}

// NET-1: what orders the certificate is one of two ways, so it is read by itself.
func TestNET1_ACMEIsRead(t *testing.T) {
	const directory = "https://ca.acme.org:9000/acme/directory?ca=/etc/ca.pem"
	c := mustLoad(t, production("TLS_ACME_DOMAINS= Auth.ACME.org ,www.acme.org", "TLS_ACME_DIRECTORY="+directory, "LISTEN_ADDR=:443", "TLS_REDIRECT_ADDR=:80")...)
	if !slices.Equal(c.ACMEDomains, []string{"auth.acme.org", "www.acme.org"}) || c.ACMEDirectory != directory || !c.OwnTLS() {
		t.Errorf("%q from %q", c.ACMEDomains, c.ACMEDirectory)
	}
}

// ASVS 5.0 V1.4.2: numbers are checked against their ranges.
func TestRanges(t *testing.T) {
	for name, bounds := range map[string][2]string{
		"ACCESS_TOKEN_EXPIRE_MINUTES": {"1", "1440"}, "REFRESH_REUSE_GRACE_SECONDS": {"0", "60"},
		"REFRESH_RETRY_HOURS": {"0", "72"}, "REVOCATION_STALE_SECONDS": {"0", "900"}, "PASSWORD_MIN_LENGTH": {"8", "64"}, "BCRYPT_COST": {"4", "16"},
		"DATABASE_MAX_CONNS": {"1", "1000"}, "SESSION_MAX_DAYS": {"7", "365"}, "REFRESH_TOKEN_EXPIRE_DAYS": {"1", "30"},
		"LOGIN_RATE_LIMIT_WINDOW_MINUTES": {"1", "1440"}, "API_RATE_LIMIT_WINDOW_SECONDS": {"1", "3600"}, "SHUTDOWN_DELAY_SECONDS": {"0", "60"},
	} {
		least, most := bounds[0], bounds[1]
		for _, good := range []string{least, most, " " + most + " ", "00" + most} {
			mustLoad(t, name+"="+good)
		}
		for _, bad := range []string{
			"-1", "-0x1", "9999", "9223372036854775808", "18446744073709551617", "-9223372036854775809", "99999999999999999999999",
			"1.5", "1e1", "0x10", "1_0", "+10", "10m", "ten", "１０", "1 0", "true", "NaN",
		} {
			f := faultsOf(t, second(load(name+"="+bad)))
			if len(f.List) != 1 || f.List[0].Setting != name {
				t.Errorf("%s=%s: %v", name, bad, f)
			}
		}
	}
}

func second(_ *Config, err error) error { return err }

func TestListening(t *testing.T) {
	c := mustLoad(t, "LISTEN_ADDR=127.0.0.1:0", "JWT_AUDIENCE=urn:api")
	got := c.Listening("127.0.0.1:40123")
	if got.ListenAddr != "127.0.0.1:40123" || got.PublicURL != "http://127.0.0.1:40123" || got.JWTIssuer != got.PublicURL || got.JWTAudience != "urn:api" {
		t.Errorf("%+v", got)
	}
	if c.PublicURL != "http://127.0.0.1:0" {
		t.Errorf("the original changed: %q", c.PublicURL)
	}
	c = mustLoad(t, "LISTEN_ADDR=127.0.0.1:0", "PUBLIC_URL=http://auth.test")
	if got := c.Listening("127.0.0.1:40123"); got.PublicURL != "http://auth.test" || got.JWTIssuer != "http://auth.test" || got.JWTAudience != "http://auth.test" {
		t.Errorf("what was set is kept: %+v", got)
	}
	c = mustLoad(t)
	if got := c.Listening("127.0.0.1:8000"); got.PublicURL != c.PublicURL {
		t.Errorf("%+v", got)
	}
}

// TestPublicURLDefault: what people at the machine can type.
func TestPublicURLDefault(t *testing.T) {
	for addr, want := range map[string]string{
		":8000": "http://localhost:8000", "0.0.0.0:8000": "http://localhost:8000", "[::]:8000": "http://localhost:8000",
		"[::1]:8000": "http://[::1]:8000", "localhost:80": "http://localhost", "192.0.2.7:443": "http://192.0.2.7:443",
		"[fe80::1%eth0]:8000": "http://[fe80::1]:8000",
	} {
		if c := mustLoad(t, "LISTEN_ADDR="+addr); c.PublicURL != want {
			t.Errorf("%s: %q, want %q", addr, c.PublicURL, want)
		}
	}
}

// ENV-1: in production PUBLIC_URL is the first of CORS_ORIGINS, as the guide's
// template has no other name for it.
func TestENV1_PublicURLFromOrigins(t *testing.T) {
	origins := "CORS_ORIGINS=https://auth.acme.org,https://app.acme.org"
	if c := mustLoad(t, "ENVIRONMENT=production", "JWT_SECRET_KEY="+goodKey, origins); c.PublicURL != "https://auth.acme.org" || c.JWTIssuer != c.PublicURL {
		t.Errorf("%q, issuer %q", c.PublicURL, c.JWTIssuer)
	}
	if c := mustLoad(t, production("PUBLIC_URL=https://login.acme.org", origins)...); c.PublicURL != "https://login.acme.org" {
		t.Errorf("PUBLIC_URL counts for less than CORS_ORIGINS: %q", c.PublicURL)
	}
	if c := mustLoad(t, origins); c.PublicURL != "http://127.0.0.1:8000" {
		t.Errorf("in development: %q", c.PublicURL)
	}
}

// ENV-1: from the environment, .env and *_FILE, in this order.
func TestENV1_Precedence(t *testing.T) {
	other := strings.ToUpper(goodKey)
	secrets := files{"/run/key": goodKey + "\r\n", "/run/other": other + "\n", "/run/db": "sqlite:/srv/file.db \n"}
	for _, tt := range []struct {
		name    string
		environ []string
		envFile string
		key     string
		source  string
	}{
		{"nothing", nil, "", "", FromDefault},
		{"environment", []string{"JWT_SECRET_KEY=" + goodKey}, "JWT_SECRET_KEY=" + other, goodKey, FromEnvironment},
		{"first of two", []string{"JWT_SECRET_KEY=" + goodKey, "JWT_SECRET_KEY=" + other}, "", goodKey, FromEnvironment},
		{"empty is unset", []string{"JWT_SECRET_KEY=", "JWT_SECRET_KEY_FILE="}, "JWT_SECRET_KEY=" + other, other, FromEnvFile},
		{"file by environment", []string{"JWT_SECRET_KEY_FILE=/run/key"}, "JWT_SECRET_KEY=" + other, goodKey, FromFile},
		{"file by .env", nil, "JWT_SECRET_KEY_FILE=/run/other", other, FromFile},
		{"environment over file by .env", []string{"JWT_SECRET_KEY=" + goodKey}, "JWT_SECRET_KEY_FILE=/run/other", goodKey, FromEnvironment},
	} {
		t.Run(tt.name, func(t *testing.T) {
			secrets[".env"] = tt.envFile
			c, err := Load(Source{Environ: tt.environ, ReadFile: secrets.read})
			if err != nil {
				t.Fatal(err)
			}
			if c.JWTSecretKey.Reveal() != tt.key || c.sources["JWT_SECRET_KEY"] != tt.source {
				t.Errorf("%q from %q", c.JWTSecretKey.Reveal(), c.sources["JWT_SECRET_KEY"])
			}
		})
	}
	c, err := Load(Source{Environ: []string{"DATABASE_URL_FILE=/run/db"}, ReadFile: secrets.read})
	if err != nil || c.Database.Path != "/srv/file.db" || c.DataDir() != "/srv" {
		t.Errorf("DATABASE_URL_FILE: %v, %v", c, err)
	}
}

// TestRealFiles: without ReadFile, files are the system's.
func TestRealFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(Source{}); err != nil {
		t.Fatalf("without .env: %v", err)
	}
	write("key", goodKey+"\n")
	write(".env", "JWT_SECRET_KEY_FILE=key\nPASSWORD_MIN_LENGTH=20\n")
	write("other.env", "PASSWORD_MIN_LENGTH=30\n")
	c, err := Load(Source{})
	if err != nil || c.JWTSecretKey != goodKey || c.PasswordMinLength != 20 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = Load(Source{EnvFile: "other.env"}); err != nil || c.PasswordMinLength != 30 || c.JWTSecretKey != "" {
		t.Errorf("%+v, %v", c, err)
	}
	write("key", strings.Repeat("a", maxFile+1))
	f := faultsOf(t, second(Load(Source{})))
	if f.List[0].Setting != "JWT_SECRET_KEY_FILE" || !strings.Contains(f.List[0].Problem, "too large") {
		t.Errorf("%v", f)
	}
	if _, err = Load(Source{EnvFile: filepath.Join("no", "such.env")}); err == nil {
		t.Error("a named .env file must exist")
	}
}

func TestReport(t *testing.T) {
	c := mustLoad(t, "DATABASE_URL=postgres://gate:"+goodPassword+"@db.acme.org:5433/gate?sslpassword=abc&application_name=x", "JWT_SECRET_KEY="+goodKey,
		"SESSION_MAX_DAYS=20")
	values := map[string]Row{}
	for _, row := range c.Report() {
		values[row.Name] = row
	}
	const masked = "postgres://gate:*****@db.acme.org:5433/gate?sslpassword=*****&application_name=x&sslmode=verify-full"
	for _, want := range []Row{
		{"DATABASE_URL", masked, FromEnvironment, nil},
		{"MIGRATE_DATABASE_URL", masked, FromDefault, nil},
		{"JWT_SECRET_KEY", "*****", FromEnvironment, nil},
		{"SESSION_MAX_DAYS", "20", FromEnvironment, nil},
		{"LOG_LEVEL", "INFO", FromDefault, nil},
	} {
		if diff := cmp.Diff(want, values[want.Name]); diff != "" {
			t.Error(diff)
		}
	}
	b, err := json.Marshal(values["SESSION_MAX_DAYS"])
	if err != nil || string(b) != `{"name":"SESSION_MAX_DAYS","value":"20","source":"environment"}` {
		t.Errorf("%s, %v", b, err)
	}
}

// TestDocs keeps docs/configuration.md true (ASVS 5.0 V6.1.1, V7.1.1).
func TestDocs(t *testing.T) {
	const path = "../../../docs/configuration.md"
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(Markdown()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), Markdown()); diff != "" {
		t.Errorf("docs/configuration.md is not what the table says. Rewrite it with: go test ./internal/base/config -run TestDocs -update\n-file +table:\n%s", diff)
	}
}

// TestTable: what the rest of the package takes for granted.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range table {
		if seen[s.name] || seen[s.name+"_FILE"] && s.cover != open {
			t.Errorf("%s stands there twice", s.name)
		}
		seen[s.name] = true
		if s.meaning == "" || s.field.show == nil || s.initial == "" && s.unset == "" {
			t.Errorf("%s lacks a part", s.name)
		}
		if s.derive != nil || s.initial == "" {
			continue
		}
		r := &reading{c: &Config{}, setting: &s, value: s.initial}
		if s.field.read(r); len(r.faults) > 0 || s.field.show(r.c) != s.initial {
			t.Errorf("%s: default %q is read as %q, %v", s.name, s.initial, s.field.show(r.c), r.faults)
		}
	}
}

// RET-2: the profile changes the log's default and bounds it; the lengths are shown as they can be written.
func TestRET2_TheProfileKeepsTheLogForTwelveMonths(t *testing.T) {
	if c := mustLoad(t, "RETENTION_PROFILE=pci"); c.Retention.Logs != 366*day {
		t.Errorf("the log is kept for %s", c.Retention.Logs)
	}
	for _, value := range []string{"366d", "53w", "13m", "10y"} {
		c := mustLoad(t, "RETENTION_PROFILE=pci", "RETENTION_LOGIN_LOGS="+value)
		again := mustLoad(t, "RETENTION_LOGIN_LOGS="+showKept(c.Retention.Logs))
		if c.Retention.Logs != again.Retention.Logs {
			t.Errorf("%s is shown as %s", value, showKept(c.Retention.Logs))
		}
	}
	for _, value := range []string{"", "d", "-1d", "1h", "1.5y", "99999y", "30", "30 d", "3652d", "٣d", "never"} {
		if _, err := load("RETENTION_LOGIN_LOGS=" + value); err == nil && value != "" {
			t.Errorf("%q is taken", value)
		}
	}
}
