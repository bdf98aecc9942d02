package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// refusals are settings that must not start, and why. What the operator then
// reads stands in testdata/refusals.txt, under the name.
var refusals = []struct {
	name     string
	environ  []string
	envFile  string
	files    files
	settings string // those at fault, in order
}{
	{name: "ENV-1 words that are none", environ: []string{"ENVIRONMENT=prod", "LOG_LEVEL=verbose", "MIGRATE=yes", "PUBLIC_URL=https://auth.acme.org",
		"JWT_SECRET_KEY=" + goodKey, "EMAIL_VERIFICATION=on", "REGISTRATION=no", "ADMIN_PPROF=2", "JWT_ALGORITHM=none", "PASSWORD_HASH=md5"},
		settings: "ENVIRONMENT LOG_LEVEL ADMIN_PPROF MIGRATE JWT_ALGORITHM PASSWORD_HASH EMAIL_VERIFICATION REGISTRATION"},
	{name: "PW-3 breaches", environ: []string{"PASSWORD_BREACH=file", "PASSWORD_BREACH_API_URL=https://u:p@x.example", "PASSWORD_BREACH_AWAY=wait",
		"PASSWORD_BREACH_AT_SIGN_IN=maybe"},
		settings: "PASSWORD_BREACH_FILE PASSWORD_BREACH_API_URL PASSWORD_BREACH_AWAY PASSWORD_BREACH_AT_SIGN_IN"},
	{name: "PW-3 breaches in production", environ: production("PASSWORD_BREACH=api", "PASSWORD_BREACH_API_URL=http://pwned.acme.org"),
		settings: "PASSWORD_BREACH_API_URL"},
	{name: "PW-2 a pepper", environ: []string{"PASSWORD_PEPPER=short", "PASSWORD_PEPPER_PREVIOUS=" + strings.Repeat("password", 6)},
		settings: "PASSWORD_PEPPER PASSWORD_PEPPER_PREVIOUS"},
	{name: "a misspelt ENVIRONMENT is judged as production", environ: []string{"ENVIRONMENT=live", "BCRYPT_COST=4"},
		settings: "ENVIRONMENT PUBLIC_URL JWT_SECRET_KEY BCRYPT_COST"},
	{name: "a previous secret that is the secret",
		environ:  []string{"JWT_SECRET_KEY=" + goodKey, "JWT_SECRET_KEY_PREVIOUS=" + goodKey, "JWT_KEY_ROTATION_DAYS=366"},
		settings: "JWT_SECRET_KEY_PREVIOUS JWT_KEY_ROTATION_DAYS"},
	{name: "numbers", environ: []string{"DATABASE_MAX_CONNS=0", "ACCESS_TOKEN_EXPIRE_MINUTES=15m", "REFRESH_TOKEN_EXPIRE_DAYS=366",
		"REFRESH_REUSE_GRACE_SECONDS=61", "REFRESH_RETRY_HOURS=73", "PASSWORD_MIN_LENGTH=7", "BCRYPT_COST=17", "SESSION_MAX_DAYS=-1"},
		settings: "DATABASE_MAX_CONNS ACCESS_TOKEN_EXPIRE_MINUTES REFRESH_TOKEN_EXPIRE_DAYS SESSION_MAX_DAYS REFRESH_REUSE_GRACE_SECONDS REFRESH_RETRY_HOURS PASSWORD_MIN_LENGTH BCRYPT_COST"},
	{name: "a session shorter than its refresh token", environ: []string{"REFRESH_TOKEN_EXPIRE_DAYS=60"}, settings: "SESSION_MAX_DAYS"},
	{name: "listeners", environ: []string{"LISTEN_ADDR=8000", "ADMIN_LISTEN_ADDR=db.acme.org:9000"}, settings: "LISTEN_ADDR ADMIN_LISTEN_ADDR"},
	{name: "one address for both listeners", environ: []string{"ADMIN_LISTEN_ADDR=127.0.0.1:8000"}, settings: "ADMIN_LISTEN_ADDR"},
	{name: "C5 names and addresses for people",
		environ:  []string{"SERVICE_NAME=<b>Acme</b>", "BRAND_COLOR=teal", "HOME_URL=//evil.example", "SECURITY_CONTACT=security@acme.org"},
		settings: "SERVICE_NAME BRAND_COLOR HOME_URL SECURITY_CONTACT"},
	{name: "C5 a root that leads to itself", environ: []string{"HOME_URL=/", "SECURITY_CONTACT=https://a:b@acme.org"}, settings: "HOME_URL SECURITY_CONTACT"},
	{name: "C5 a root that leads to plain http", environ: production("HOME_URL=http://acme.org"), settings: "HOME_URL"},
	{name: "V3.5.4 a console on a host that is not its own", environ: production("ADMIN_URL=https://auth.acme.org:8443"), settings: "ADMIN_URL"},
	{name: "V3.5.4 a console on an application's host", environ: production("CORS_ORIGINS=https://app.acme.org", "ADMIN_URL=https://APP.acme.org:1"),
		settings: "ADMIN_URL"},
	{name: "NET-1 a console in the clear", environ: production("ADMIN_URL=http://admin.acme.org"), settings: "ADMIN_URL"},
	{name: "a console with a path", environ: []string{"ADMIN_URL=https://admin.acme.org/admin"}, settings: "ADMIN_URL"},
	{name: "NET-1 a console without a certificate", environ: production("LISTEN_ADDR=:443", "TLS_ACME_DOMAINS=auth.acme.org", "ADMIN_URL=https://admin.acme.org"),
		settings: "ADMIN_URL"},
	{name: "issuer and audience", environ: []string{"JWT_ISSUER=Acme Inc", "JWT_AUDIENCE=a,b"}, settings: "JWT_ISSUER JWT_AUDIENCE"},
	{name: "a long issuer", environ: []string{"JWT_ISSUER=https://" + strings.Repeat("a", 250)}, settings: "JWT_ISSUER"},
	{name: "control characters", environ: []string{"LOG_LEVEL=INFO\x1b[2J", "JWT_SECRET_KEY=" + goodKey + "\t", "DATABASE_URL=sqlite:./a\xff.db"},
		settings: "LOG_LEVEL DATABASE_URL JWT_SECRET_KEY"},

	{name: "JWT-1 too short", environ: []string{"JWT_SECRET_KEY=" + goodKey[:31]}, settings: "JWT_SECRET_KEY"},
	{name: "JWT-1 easy to guess", environ: []string{"JWT_SECRET_KEY=" + strings.Repeat("abc", 20)}, settings: "JWT_SECRET_KEY"},
	{name: "JWT-1 a placeholder, in development too", environ: []string{"JWT_SECRET_KEY=your-256-bit-signing-key-goes-here-please-change-me"},
		settings: "JWT_SECRET_KEY"},
	{name: "JWT-1 a space at its end", environ: []string{"JWT_SECRET_KEY=" + goodKey + " "}, settings: "JWT_SECRET_KEY"},

	{name: "production with nothing set", environ: []string{"ENVIRONMENT=production"}, settings: "PUBLIC_URL JWT_SECRET_KEY"},
	{name: "NET-1 listeners in production", environ: production("LISTEN_ADDR=0.0.0.0:8000", "ADMIN_LISTEN_ADDR=:9000"), settings: "LISTEN_ADDR ADMIN_LISTEN_ADDR"},
	{name: "NET-1 plain http in production", environ: production("PUBLIC_URL=http://auth.acme.org"), settings: "PUBLIC_URL"},
	{name: "NET-3 origins that are none", environ: []string{"CORS_ORIGINS=*,null,https://*.acme.org,https://acme.org/,https://acme.org/app,acme.org,https://app.acme.org,https://APP.acme.org:443,https://a@acme.org,,https://acme.org:99999,https://a_b.acme.org"},
		settings: strings.TrimSpace(strings.Repeat("CORS_ORIGINS ", 11))},
	{name: "NET-3 every origin", environ: []string{"CORS_ORIGINS=*"}, settings: "CORS_ORIGINS"},
	{name: "NET-3 no origin", environ: []string{"CORS_ORIGINS=Null"}, settings: "CORS_ORIGINS"},
	{name: "NET-3 plain http origins in production",
		environ:  []string{"ENVIRONMENT=production", "JWT_SECRET_KEY=" + goodKey, "CORS_ORIGINS=http://acme.org,https://acme.org,http://localhost:3000"},
		settings: "CORS_ORIGINS CORS_ORIGINS"},
	{name: "JWT-2 PW-2 MAIL-1 weaker than the guide", environ: production("ACCESS_TOKEN_EXPIRE_MINUTES=31", "BCRYPT_COST=11", "EMAIL_VERIFICATION=optional"),
		settings: "ACCESS_TOKEN_EXPIRE_MINUTES BCRYPT_COST EMAIL_VERIFICATION"},
	{name: "NET-2 cookies weaker than the guide's",
		environ:  production("SESSION_COOKIE_SECURE=false", "SESSION_COOKIE_HTTPONLY=false", "SESSION_COOKIE_SAMESITE=none"),
		settings: "SESSION_COOKIE_SECURE SESSION_COOKIE_HTTPONLY SESSION_COOKIE_SAMESITE"},
	{name: "NET-2 cookies for every site, in development too", environ: []string{"SESSION_COOKIE_SAMESITE=None"}, settings: "SESSION_COOKIE_SAMESITE"},
	{name: "placeholders", environ: production("PUBLIC_URL=https://auth.yourdomain.com", "JWT_ISSUER=https://<your domain>", "JWT_AUDIENCE=${AUDIENCE}"),
		settings: "PUBLIC_URL JWT_ISSUER JWT_AUDIENCE"},

	{name: "DB-1 plaintext to another machine",
		environ: production("DATABASE_URL=postgres://gate:"+goodPassword+"@10.0.0.5/gate?sslmode=disable",
			"MIGRATE_DATABASE_URL=postgres://owner:"+goodPassword+"@db.acme.org/gate?sslmode=prefer"),
		settings: "DATABASE_URL MIGRATE_DATABASE_URL"},
	{name: "DB-3 no password", environ: production("DATABASE_URL=postgres://gate@db.acme.org/gate"), settings: "DATABASE_URL"},
	{name: "DB-3 short password", environ: production("DATABASE_URL=postgres://gate:h8Kz3pWq9Tn@db.acme.org/gate"), settings: "DATABASE_URL"},
	{name: "DB-3 password easy to guess", environ: production("DATABASE_URL=postgres://gate:Passw0rd12345@127.0.0.1/gate"), settings: "DATABASE_URL"},
	{name: "DB-3 the name as password", environ: production("DATABASE_URL=postgres://gatehouse_serving:Gatehouse_Serving@127.0.0.1/gate"),
		settings: "DATABASE_URL"},
	{name: "DB-1 DB-3 placeholder and plaintext", environ: production("DATABASE_URL=postgres://gate:changeme@db.acme.org/gate?sslmode=allow"),
		settings: "DATABASE_URL DATABASE_URL"},
	{name: "two kinds of database", environ: []string{"DATABASE_URL=postgres://gate@localhost/gate", "MIGRATE_DATABASE_URL=sqlite:./data/gatehouse.db"},
		settings: "MIGRATE_DATABASE_URL"},
	{name: "two SQLite files", environ: []string{"MIGRATE_DATABASE_URL=sqlite:./other.db"}, settings: "MIGRATE_DATABASE_URL"},

	{name: "NET-1 a certificate without its key", environ: production("LISTEN_ADDR=0.0.0.0:443", "TLS_CERT_FILE=/etc/tls/cert.pem"), settings: "TLS_KEY_FILE"},
	{name: "NET-1 a key without its certificate", environ: []string{"TLS_KEY_FILE=/etc/tls/key.pem"}, settings: "TLS_KEY_FILE"},
	{name: "NET-1 a listener for redirects without TLS", environ: []string{"TLS_REDIRECT_ADDR=:80"}, settings: "TLS_REDIRECT_ADDR"},
	{name: "NET-1 a redirect on the port of TLS",
		environ:  production("LISTEN_ADDR=:443", "ADMIN_LISTEN_ADDR=:9000", "TLS_CERT_FILE=/c", "TLS_KEY_FILE=/k", "TLS_REDIRECT_ADDR=:443"),
		settings: "TLS_REDIRECT_ADDR"},
	{name: "F9 networks that are not private", environ: production("LISTEN_ADDR=0.0.0.0:8000", "PRIVATE_NETWORKS=172.18.0.0/16, 0.0.0.0/0"),
		settings: "PRIVATE_NETWORKS LISTEN_ADDR"},
	{name: "F9 a private network wider than it is", environ: []string{"PRIVATE_NETWORKS=172.0.0.0/8"}, settings: "PRIVATE_NETWORKS"},
	{name: "F9 a private network that is none", environ: []string{"PRIVATE_NETWORKS=docker"}, settings: "PRIVATE_NETWORKS"},
	{name: "F13 secrets with their quotation marks",
		environ:  []string{"JWT_SECRET_KEY=\"" + goodKey + "\"", "PASSWORD_PEPPER='" + goodPepper + "'", "EVENT_KEY=\"" + goodPepper + "2\""},
		settings: "JWT_SECRET_KEY PASSWORD_PEPPER EVENT_KEY"},
	{name: "F13 a secret's file with a byte order mark", environ: []string{"JWT_SECRET_KEY_FILE=/run/key"}, files: files{"/run/key": "\ufeff" + goodKey + "\n"},
		settings: "JWT_SECRET_KEY"},
	{name: "F13 other settings with their quotation marks",
		environ: []string{"LISTEN_ADDR=\"127.0.0.1:8000\"", "PUBLIC_URL='https://auth.acme.org'", "DATABASE_URL=\"sqlite:./data/gatehouse.db\"",
			"BCRYPT_COST=\ufeff12"},
		settings: "LISTEN_ADDR PUBLIC_URL DATABASE_URL BCRYPT_COST"},
	{name: "V12.3.1 traces to another machine in the clear", environ: production("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://otel.acme.org:4318/v1/traces"),
		settings: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
	{name: "V11.2.3 a secret of words", environ: []string{"JWT_SECRET_KEY=the quick brown fox jumps over the lazy dog and runs away"}, settings: "JWT_SECRET_KEY"},
	{name: "V11.2.3 a secret of digits", environ: []string{"JWT_SECRET_KEY=73920485716203948571620394857120"}, settings: "JWT_SECRET_KEY"},
	{name: "NET-1 names that no authority certifies",
		environ:  production("LISTEN_ADDR=:443", "TLS_ACME_DOMAINS=auth.acme.org,*.acme.org,192.0.2.1,localhost,AUTH.acme.org,a_b.acme.org,,[::1]"),
		settings: strings.TrimSpace(strings.Repeat("TLS_ACME_DOMAINS ", 7))},
	{name: "NET-1 a certificate in files and by ACME", environ: production("TLS_ACME_DOMAINS=auth.acme.org", "TLS_CERT_FILE=/c", "TLS_KEY_FILE=/k"),
		settings: "TLS_ACME_DOMAINS"},
	{name: "NET-1 a certificate for another name than people use", environ: production("TLS_ACME_DOMAINS=login.acme.org"), settings: "PUBLIC_URL"},
	{name: "NET-1 a certificate, and no name that people use", environ: []string{"TLS_ACME_DOMAINS=login.acme.org"}, settings: "PUBLIC_URL"},
	{name: "NET-1 an authority and nothing to order", environ: []string{"TLS_ACME_DIRECTORY=https://ca.acme.org/directory?ca=/etc/ca.pem"},
		settings: "TLS_ACME_DIRECTORY"},
	{name: "NET-1 an authority in the clear", environ: production("TLS_ACME_DOMAINS=auth.acme.org", "TLS_ACME_DIRECTORY=http://ca.acme.org/directory"),
		settings: "TLS_ACME_DIRECTORY"},
	{name: "NET-1 an authority with a password",
		environ: production("TLS_ACME_DOMAINS=auth.acme.org", "TLS_ACME_DIRECTORY=https://a:"+goodPassword+"@ca.acme.org/directory"), settings: "TLS_ACME_DIRECTORY"},
	{name: "proxies that are no network", environ: []string{"TRUSTED_PROXIES=10.0.0.0/8, my proxy"}, settings: "TRUSTED_PROXIES"},
	{name: "proxies with bits too many", environ: []string{"TRUSTED_PROXIES=10.0.0.0/33"}, settings: "TRUSTED_PROXIES"},
	{name: "everybody a proxy", environ: []string{"TRUSTED_PROXIES=0.0.0.0/0"}, settings: "TRUSTED_PROXIES"},
	{name: "half of IPv6 a proxy", environ: []string{"TRUSTED_PROXIES=8000::/1"}, settings: "TRUSTED_PROXIES"},
	{name: "no proxy and one", environ: []string{"TRUSTED_PROXIES=none, 10.0.0.1"}, settings: "TRUSTED_PROXIES"},
	{name: "name and file at once", environ: []string{"JWT_SECRET_KEY=" + goodKey, "JWT_SECRET_KEY_FILE=/run/key"}, files: files{"/run/key": goodKey},
		settings: "JWT_SECRET_KEY"},
	{name: "name and file at once in .env", envFile: "DATABASE_URL=sqlite:a.db\nDATABASE_URL_FILE=/run/db\n", settings: "DATABASE_URL"},
	{name: "a secret's file that is missing", environ: production("JWT_SECRET_KEY_FILE=/run/key", "JWT_SECRET_KEY="), settings: "JWT_SECRET_KEY_FILE"},
	{name: "secrets' files that are empty or closed", envFile: "JWT_SECRET_KEY_FILE=/run/key\nDATABASE_URL_FILE=/run/db\nMIGRATE_DATABASE_URL_FILE=/run/dir",
		files:    files{"/run/key": "\n", "/run/db": "forbidden", "/run/dir": "directory"},
		settings: "DATABASE_URL_FILE MIGRATE_DATABASE_URL_FILE JWT_SECRET_KEY_FILE"},
	{name: "an .env that is no .env", environ: []string{"BCRYPT_COST=99", "ENVIRONMENT=production"},
		envFile:  "JWT_SECRET_KEY=abc\nLOG_LEVEL=\"INFO\nhello there\n",
		settings: ".env BCRYPT_COST"},
	{name: "an .env that may not be read", envFile: "forbidden", settings: ".env"},
	{name: "an .env that is too large", envFile: strings.Repeat("# comment\n", 7000), settings: ".env"},

	{name: "no mail server", environ: []string{"SMTP_URL=mail.acme.org:587", "MAIL_FROM=nobody"}, settings: "SMTP_URL MAIL_FROM"},
	{name: "a mail server with half a password", environ: []string{"SMTP_URL=smtp://gate@mail.acme.org"}, settings: "SMTP_URL"},
	{name: "a mail server and a stray /", environ: []string{"SMTP_URL=smtp://gate:a/b@mail.acme.org"}, settings: "SMTP_URL"},
	{name: "a mail server with another parameter", environ: []string{"SMTP_URL=smtp://mail.acme.org?starttls=no"}, settings: "SMTP_URL"},
	{name: "mails in the clear", environ: production("SMTP_URL=smtp://10.0.0.5:25?tls=off", "MAIL_FROM=no-reply@acme.org"), settings: "SMTP_URL"},
	{name: "a mail server and no sender", environ: production("SMTP_URL=smtps://gate:" + goodPassword + "@mail.acme.org"), settings: "MAIL_FROM"},

	{name: "a key for the collector of traces, in the clear",
		environ:  production("OTEL_EXPORTER_OTLP_ENDPOINT=http://otel.acme.org:4318", "OTEL_EXPORTER_OTLP_HEADERS=api-key=x"),
		settings: "OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_HEADERS"},

	{name: "no Redis", environ: []string{"REDIS_URL=http://redis.acme.org"}, settings: "REDIS_URL"},
	{name: "a Redis and a stray @", environ: []string{"REDIS_URL=redis://:a@b@redis.acme.org"}, settings: "REDIS_URL"},
	{name: "a Redis and half a password", environ: []string{"REDIS_URL=redis://gate@redis.acme.org"}, settings: "REDIS_URL"},
	{name: "a Redis and a name for a number", environ: []string{"REDIS_URL=redis://redis.acme.org/gatehouse"}, settings: "REDIS_URL"},
	{name: "a Redis and no host", environ: []string{"REDIS_URL=redis:///0"}, settings: "REDIS_URL"},
	{name: "a Redis with another parameter", environ: []string{"REDIS_URL=rediss://redis.acme.org?skip_verify=true"}, settings: "REDIS_URL"},
	{name: "two Redis and no word of what they are", environ: []string{"REDIS_URL=redis://r1?addr=r2"}, settings: "REDIS_URL"},
	{name: "a Cluster behind Sentinels", environ: []string{"REDIS_URL=redis://r1?cluster=true&master_name=m"}, settings: "REDIS_URL"},
	{name: "a certificate for no TLS", environ: []string{"REDIS_URL=redis://r1?ca=/etc/ca.pem"}, settings: "REDIS_URL"},
	{name: "half a client's certificate", environ: []string{"REDIS_URL=rediss://r1?cert=/etc/c.pem"}, settings: "REDIS_URL"},

	{name: "alerts to a name", environ: []string{"ALERT_MAIL_TO=Ops <ops@acme.org>"}, settings: "ALERT_MAIL_TO"},
	{name: "alerts to nobody in particular", environ: []string{"ALERT_MAIL_TO=ops@acme.org, oncall"}, settings: "ALERT_MAIL_TO"},
	{name: "alerts to a crowd", environ: []string{"ALERT_MAIL_TO=a@b.org,c@b.org,d@b.org,e@b.org,f@b.org,g@b.org,h@b.org,i@b.org,j@b.org,k@b.org,l@b.org"},
		settings: "ALERT_MAIL_TO"},

	{name: "a bucket that can't be", environ: []string{"BACKUP_DIR=s3://acme?endpoint=http://s3.acme.org"}, settings: "BACKUP_DIR"},
	{name: "a place of another kind", environ: []string{"BACKUP_DIR=/mnt/a,ftp://acme.org"}, settings: "BACKUP_DIR"},
	{name: "a standby of a file", environ: []string{"BACKUP_DATABASE_URL=postgres://gate:x@db2.acme.org/gate"}, settings: "BACKUP_DATABASE_URL"},
	{name: "a bucket without a key", environ: []string{"BACKUP_DIR=s3://acme"}, settings: "BACKUP_S3_ACCESS_KEY_ID BACKUP_S3_SECRET_ACCESS_KEY"},
	{name: "as many keys as there are buckets", environ: []string{"BACKUP_DIR=s3://acme,/mnt/a,s3://acme.b?path_style=1", "BACKUP_S3_ACCESS_KEY_ID=a,b,c",
		"BACKUP_S3_SECRET_ACCESS_KEY=a,"}, settings: "BACKUP_S3_ACCESS_KEY_ID BACKUP_S3_SECRET_ACCESS_KEY"},
	{name: "a log that is kept too briefly", environ: []string{"RETENTION_LOGIN_LOGS=29d"}, settings: "RETENTION_LOGIN_LOGS"},
	{name: "lengths that are none", environ: []string{"RETENTION_EXPIRED_TOKENS=0d", "RETENTION_SESSION_DATA=30", "RETENTION_INACTIVE_ACCOUNTS=99999y"},
		settings: "RETENTION_EXPIRED_TOKENS RETENTION_INACTIVE_ACCOUNTS RETENTION_SESSION_DATA"},
	{name: "a log shorter than its profile", environ: []string{"RETENTION_PROFILE=pci", "RETENTION_LOGIN_LOGS=90d"}, settings: "RETENTION_LOGIN_LOGS"},
	{name: "an account that goes before its mails", environ: []string{"RETENTION_INACTIVE_ACCOUNTS=2m"}, settings: "RETENTION_INACTIVE_ACCOUNTS"},
	{name: "a misspelt name beside what is missing for it", environ: []string{"ENVIRONMENT=production", "PUBLIC_URL=https://auth.acme.org"},
		envFile: "JWT_SECRET=" + goodKey, settings: "JWT_SECRET_KEY"},
}

func TestRefusals(t *testing.T) {
	const path = "testdata/refusals.txt"
	var got strings.Builder
	got.WriteString("What an operator reads, for each refusal in refusal_test.go. Rewrite with: go test ./internal/base/config -run TestRefusals -update\n")
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			all := files{}
			for name, text := range tt.files {
				all[name] = text
			}
			if tt.envFile != "" {
				all[".env"] = tt.envFile
			}
			c, err := Load(Source{Environ: tt.environ, ReadFile: all.read})
			if c != nil {
				t.Errorf("a refused configuration was handed out")
			}
			f := faultsOf(t, err)
			var names []string
			for _, one := range f.List {
				names = append(names, one.Setting)
			}
			if diff := cmp.Diff(tt.settings, strings.Join(names, " ")); diff != "" {
				t.Errorf("settings at fault, -want +got:\n%s", diff)
			}
			for _, line := range strings.Split(f.Error(), "\n") {
				if len(line) > 80 && strings.Contains(strings.TrimSpace(line), " ") {
					t.Errorf("line over 80 columns: %s", line)
				}
			}
			got.WriteString("\n=== " + tt.name + "\n" + f.Error() + "\n")
		})
	}
	golden(t, path, got.String())
}

// ENV-1, JWT-1, DB-3: the guide's own template is refused with every fault
// named, until its placeholders are gone.
func TestENV1_GuideTemplate(t *testing.T) {
	template, err := os.ReadFile("testdata/guide.env")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load(Source{ReadFile: files{".env": string(template)}.read})
	f := faultsOf(t, err)
	golden(t, "testdata/guide.txt", f.Error()+"\n")
	if len(f.Warnings) > 0 {
		t.Errorf("every name in the template is known: %q", f.Warnings)
	}

	// With real values it is taken as it stands.
	real := strings.NewReplacer(
		"CHANGE_THIS_TO_A_SECURE_RANDOM_STRING_AT_LEAST_32_CHARS", goodKey,
		"db_user:STRONG_PASSWORD@db_host:5432/production_db", "gate:"+goodPassword+"@db.acme.org:5432/gate", "yourdomain.com", "acme.org",
		"redis://redis_host:6379/0", "rediss://gate:"+goodPassword+"@redis.acme.org:6379/0",
	).Replace(string(template))
	c, err := Load(Source{Environ: []string{"PUBLIC_URL=https://auth.acme.org"}, ReadFile: files{".env": real}.read})
	if err != nil || len(c.Warnings) > 0 {
		t.Fatalf("%v, %+v", err, c)
	}
	if c.Redis.Addrs[0] != "redis.acme.org:6379" || c.LoginLimit.Count != 3 || c.RegistrationLimit.Window != 2*time.Hour {
		t.Errorf("%+v", c)
	}
}

// TestENV1_RedisInTheClear: production warns about a Redis elsewhere without TLS, or
// without a password.
func TestENV1_RedisInTheClear(t *testing.T) {
	for url, want := range map[string]int{
		"redis://redis.acme.org": 2, "redis://:pw@redis.acme.org": 1, "rediss://redis.acme.org": 1, "rediss://:pw@redis.acme.org": 0,
		"rediss://redis.acme.org?cert=/etc/c.pem&key=/etc/k.pem": 0,
		"redis://127.0.0.1": 0, "redis://localhost:7": 0, "redis://[::1]": 0, "redis://127.0.0.1?cluster=true&addr=10.0.0.5": 2,
	} {
		if c := mustLoad(t, production("REDIS_URL="+url)...); len(c.Warnings) != want {
			t.Errorf("%s: %q, want %d", url, c.Warnings, want)
		}
	}
}

// golden compares with a file under testdata.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, -want +got (rewrite it with -update):\n%s", path, diff)
	}
}
