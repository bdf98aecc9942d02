package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// table has every setting, in the order of the docs, the report and the faults.
// A default or a check may look at the rows above its own.
var table = slices.Concat(serverSettings, passwordSettings, peopleSettings, documentSettings, factorSettings, erasureSettings, adminSettings,
	mailSettings, alertSettings, backupSettings, retentionSettings, doctorSettings, traceSettings)

// serverSettings are the rows of the server itself, its databases, tokens, sessions
// and limits.
var serverSettings = []setting{
	{
		name: "ENVIRONMENT", initial: "development",
		meaning:    "`development` or `production`. Production starts only if every setting is safe.",
		production: "",
		field:      choice(func(c *Config) *Environment { return &c.Environment }, nil, Development, Production),
	},
	{
		name: "LOG_LEVEL", initial: "INFO",
		meaning:    "The lowest level that is logged: `DEBUG`, `INFO`, `WARNING` (or `WARN`) or `ERROR`, in any case.",
		production: "`DEBUG` is warned about",
		field:      level(),
		safe: func(r *reading) {
			if r.c.LogLevel < 0 {
				r.warn("DEBUG logs more than production should keep. Use INFO there.")
			}
		},
	},
	{
		name: "TLS_CERT_FILE", initial: "none", derive: func(*Config) string { return "" },
		meaning: "The certificate for TLS on LISTEN_ADDR, with its chain, in PEM: see [tls.md](guides/tls.md). It is read again when the file changes.",
		field:   pathField(func(c *Config) *string { return &c.TLSCertFile }),
	},
	{
		name: "TLS_KEY_FILE", initial: "none", derive: func(*Config) string { return "" },
		meaning: "The certificate's private key, in PEM.",
		field:   pathField(func(c *Config) *string { return &c.TLSKeyFile }),
		check:   checkKeyFile,
	},
	{
		name: "TLS_ACME_DOMAINS", unset: "none",
		meaning: "The names for which Gatehouse orders and renews a certificate itself, by ACME: see [tls.md](guides/tls.md). Comma-separated. " +
			"Setting it accepts the authority's terms of service.",
		field: field{read: readDomains, show: func(c *Config) string { return strings.Join(c.ACMEDomains, ",") }},
		check: checkDomains,
	},
	{
		name: "TLS_ACME_DIRECTORY", initial: "Let's Encrypt", derive: func(*Config) string { return letsEncrypt },
		meaning: "The ACME directory of the certificate authority. With `?ca=PATH` the directory's own certificate must be issued by the authority in that file.",
		field:   field{read: readDirectory, show: func(c *Config) string { return c.ACMEDirectory }},
		check:   checkDirectory,
	},
	{
		name: "PRIVATE_NETWORKS", unset: "none",
		meaning: "Private networks on which plain HTTP is allowed, such as that of your containers: `172.18.0.0/16`, " +
			"comma-separated. With it LISTEN_ADDR and ADMIN_LISTEN_ADDR need be neither loopback nor TLS; " +
			"connections to a listener without TLS from anywhere else, except this machine, are closed.",
		production: "setting it is a promise that nobody else can listen in on these networks",
		field:      field{read: readPrivateNetworks, show: showPrivateNetworks},
	},
	{
		name: "LISTEN_ADDR", initial: "127.0.0.1:8000",
		meaning:    "Where the API and the pages are served: IP address and port. Port 0 lets the system choose.",
		production: "an address that is not loopback is refused, unless TLS_CERT_FILE, TLS_ACME_DOMAINS or PRIVATE_NETWORKS is set",
		field:      listener(func(c *Config) *string { return &c.ListenAddr }),
		check:      warnExposed, safe: refuseExposed,
	},
	{
		name: "ADMIN_LISTEN_ADDR", initial: "127.0.0.1:9000",
		meaning: "Where `/healthz`, `/readyz` and `/metrics` are served: see [operations.md](operations.md). Not for the public. " +
			"Beyond loopback it serves TLS with the certificate of LISTEN_ADDR, unless PRIVATE_NETWORKS is set.",
		production: "an address that is not loopback is refused, unless TLS_CERT_FILE, TLS_ACME_DOMAINS or PRIVATE_NETWORKS is set",
		field:      listener(func(c *Config) *string { return &c.AdminListenAddr }),
		check: func(r *reading) {
			if r.c.AdminListenAddr == r.c.ListenAddr && !strings.HasSuffix(r.c.ListenAddr, ":0") {
				r.refuse("It is the same as LISTEN_ADDR.", "Give it another port, such as 127.0.0.1:9000.")
			}
			warnExposed(r)
		},
		safe: refuseExposed,
	},
	{
		name: "TLS_REDIRECT_ADDR", initial: "none", derive: func(*Config) string { return "" },
		meaning: "Where plain HTTP is answered in addition to TLS: pages redirect to PUBLIC_URL, everything else is refused. Usually `:80`.",
		field:   redirectListener(),
		check:   checkRedirect,
	},
	{
		name: "CONNECTIONS_PER_ADDRESS", initial: "256", derive: func(c *Config) string {
			if c.Production() {
				return "256"
			}
			return "0"
		},
		meaning: "How many connections one address (an IPv6 /64; a whole /48 ten times as many) may have open at once, 0 for any number: " +
			"0 to 100000. Those of TRUSTED_PROXIES are not counted. In development the default is 0.",
		field: number(0, 100_000, " connections", func(c *Config) *int { return &c.ConnectionsPerAddress }),
	},
	{
		name: "SHUTDOWN_DELAY_SECONDS", initial: "0",
		meaning: "How long the server goes on serving after SIGTERM while `/readyz` says that it stops, so that a load balancer sends requests elsewhere before " +
			"the port closes: 0 to 60 seconds. See [replicas.md](guides/replicas.md).",
		field: span(0, 60, time.Second, func(c *Config) *time.Duration { return &c.ShutdownDelay }),
	},
	{
		name: "ADMIN_PPROF", initial: "false",
		meaning:    "`true` serves Go's profiles under `/debug/pprof/` on the admin listener.",
		production: "`true` is warned about, and switched off an hour after startup: a memory profile contains what the server is working on",
		field:      yesNo(func(c *Config) *bool { return &c.AdminPprof }),
		safe: func(r *reading) {
			if r.c.AdminPprof {
				r.warn("Anyone who can reach ADMIN_LISTEN_ADDR can see from profiles what the server does, and slow it down. They are switched off an hour after startup.")
			}
		},
	},
	{
		name: "CORS_ORIGINS", unset: "none",
		meaning: "The origins of web applications whose scripts may call the API and read its responses, with cookies; comma-separated, each in full: " +
			"`https://app.example.com`. `*`, `null`, wildcards, paths and duplicates are refused everywhere.",
		production: "https only",
		field:      field{read: readOrigins, show: func(c *Config) string { return strings.Join(c.CORSOrigins, ",") }},
		safe:       safeOrigins,
	},
	{
		name: "PUBLIC_URL", initial: "http://LISTEN_ADDR", derive: publicURL, followsListener: true,
		meaning: "The URL that people use: scheme, host and optionally a port, nothing more. Requests to another host are refused. With a " +
			"certificate the default is https.",
		production: "the first of CORS_ORIGINS if that is set, else required; https only",
		field:      field{read: readPublicURL, show: func(c *Config) string { return c.PublicURL }},
		check:      checkCertified, safe: safePublicURL,
	},
	{
		name: "TRUSTED_PROXIES", initial: "none",
		derive: defaultProxies,
		meaning: "The proxies that are trusted to say who is calling (`X-Forwarded-For`, `Forwarded`, `X-Forwarded-Proto`): addresses and " +
			"networks, comma-separated, `cloudflare` for Cloudflare's, or `none`.",
		production: "`127.0.0.0/8, ::1` if LISTEN_ADDR is loopback, else `none`",
		field:      field{read: readProxies, show: showProxies},
	},
	{
		name: "DATABASE_URL", initial: "sqlite:./data/gatehouse.db", cover: passwordCovered,
		meaning: "`sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/NAME`. Without `sslmode` it is `verify-full` for any host but loopback.",
		production: "`sslmode` `disable`, `allow` and `prefer` are refused for any host but loopback, `require` and `verify-ca` are warned about; " +
			"a password that is under 12 characters or easy to guess is refused",
		field: database(func(c *Config) *Database { return &c.Database }),
		safe:  safeDatabase,
	},
	{
		name: "DATABASE_MAX_CONNS", initial: "8",
		meaning: "The maximum number of database connections: 1 to 1000.",
		field:   number(1, 1000, " connections", func(c *Config) *int { return &c.DatabaseMaxConns }),
	},
	{
		name: "MIGRATE", initial: "auto",
		meaning: "`auto` migrates the schema at startup; `off` refuses to start on one that is out of date.",
		field:   choice(func(c *Config) *Migration { return &c.Migrate }, nil, MigrateAuto, MigrateOff),
	},
	{
		name: "MIGRATE_DATABASE_URL", initial: "DATABASE_URL", cover: passwordCovered,
		derive:     func(c *Config) string { return c.Database.URL.Reveal() },
		meaning:    "The same PostgreSQL database with a role that may change the schema, so that the serving role need not be able to.",
		production: "as DATABASE_URL",
		field:      database(func(c *Config) *Database { return &c.MigrateDatabase }),
		check:      checkMigrateDatabase,
		safe: func(r *reading) {
			if r.source != FromDefault {
				safeDatabase(r)
			}
		},
	},
	{
		name: "REVOCATION_STALE_SECONDS", initial: "0",
		meaning:    "How long access tokens are taken as not revoked while the database can't be reached: 0 (never: 503) to 900 seconds.",
		production: "over 0 is warned about",
		field:      span(0, 900, time.Second, func(c *Config) *time.Duration { return &c.RevocationStale }),
		safe: func(r *reading) {
			if r.c.RevocationStale > 0 {
				r.warn("While the database is unavailable, a revoked access token may be accepted for this long.")
			}
		},
	},
	{
		name: "REDIS_URL", cover: passwordCovered, unset: "none: the limits are counted in memory",
		meaning: "The Redis in which all replicas count requests for the rate limits: `rediss://USER:PASSWORD@HOST:PORT/NUMBER`, or `redis://` without TLS. " +
			"Cluster, Sentinel and certificates: see [redis.md](guides/redis.md).",
		production: "`redis://` to any host but loopback is warned about, and so is one without a password",
		field:      field{read: readRedis, show: func(c *Config) string { return c.Redis.URL.Reveal() }},
		safe:       warnRedis,
	},
	{
		name: "JWT_SECRET_KEY", cover: covered, unset: "generated at the first start, and stored next to the database",
		meaning:    "The root of every derived key: 32 random characters or more. `gatehouse secret` prints one.",
		production: "required",
		field:      field{read: readSecretKey, show: func(c *Config) string { return c.JWTSecretKey.Reveal() }},
		safe: func(r *reading) {
			if r.value == "" {
				r.refuse("It is required in production.", mendSecretKey)
			}
		},
	},
	{
		name: "JWT_SECRET_KEY_PREVIOUS", cover: covered, unset: "none",
		meaning: "The previous JWT_SECRET_KEY, while it is being replaced: see [keys.md](guides/keys.md).",
		field:   field{read: readSecretKeyPrevious, show: func(c *Config) string { return c.JWTSecretKeyPrevious.Reveal() }},
	},
	{
		name: "JWT_ALGORITHM", initial: "ES256",
		meaning: "How access tokens are signed: `ES256`, `EdDSA` (Ed25519), `RS256` (3072 bits) or `HS256`. Changing it is a rotation: see " +
			"[keys.md](guides/keys.md).",
		production: "`HS256` is warned about",
		field:      choice(func(c *Config) *string { return &c.JWTAlgorithm }, nil, "ES256", "EdDSA", "RS256", "HS256"),
		safe: func(r *reading) {
			if r.c.JWTAlgorithm == "HS256" {
				r.warn("Applications can't verify tokens with published keys: anyone who can verify one with HS256 can also issue one. They have to ask Gatehouse.")
			}
		},
	},
	{
		name: "JWT_KEY_ROTATION_DAYS", initial: "90",
		meaning:    "How long a key signs access tokens before the next one takes over: 1 to 365 days, or 0 (forever).",
		production: "0 is warned about",
		field:      span(0, 365, day, func(c *Config) *time.Duration { return &c.JWTKeyRotation }),
		safe: func(r *reading) {
			if r.c.JWTKeyRotation == 0 {
				r.warn("The key that signs access tokens is never replaced, except by `gatehouse key rotate`.")
			}
		},
	},
	{
		name: "JWT_ISSUER", initial: "PUBLIC_URL", followsListener: true,
		derive:     func(c *Config) string { return c.PublicURL },
		meaning:    "The claim `iss` of access tokens. One that is not PUBLIC_URL is warned about.",
		production: "anything but an https URL is warned about",
		field:      claim(func(c *Config) *string { return &c.JWTIssuer }),
		check: func(r *reading) {
			if r.source != FromDefault && r.c.JWTIssuer != r.c.PublicURL {
				r.warn("It is not PUBLIC_URL, where the metadata is served. Applications that find the keys by the issuer must refuse that (RFC 8414 section " +
					"3.3): give them PUBLIC_URL beside it, or remove JWT_ISSUER.")
			}
		},
		safe: func(r *reading) {
			if r.source != FromDefault && !strings.HasPrefix(r.c.JWTIssuer, "https://") {
				r.warn("It is not an https URL, so applications can't find the keys by it (RFC 8414 section 2).")
			}
		},
	},
	{
		name: "JWT_AUDIENCE", initial: "JWT_ISSUER", followsListener: true,
		derive:  func(c *Config) string { return c.JWTIssuer },
		meaning: "The claim `aud` of access tokens: one audience.",
		field:   claim(func(c *Config) *string { return &c.JWTAudience }),
	},
	{
		name: "JWT_CLIENT_ID", initial: "JWT_AUDIENCE", followsListener: true,
		derive:  func(c *Config) string { return c.JWTAudience },
		meaning: "The claim `client_id` of access tokens (RFC 9068 section 2.2): the name of the application that people sign in with, which is your own.",
		field:   claim(func(c *Config) *string { return &c.JWTClientID }),
	},
	{
		name: "ACCESS_TOKEN_EXPIRE_MINUTES", initial: "15",
		meaning:    "How long an access token is valid: 1 to 1440 minutes.",
		production: "over 30 is refused",
		field:      span(1, 1440, time.Minute, func(c *Config) *time.Duration { return &c.AccessTokenLife }),
		safe: func(r *reading) {
			if r.c.AccessTokenLife > 30*time.Minute {
				r.refuse("It is over 30 minutes, the longest that is safe in production.", "Write a number from 1 to 30; 15 is right for most.")
			}
		},
	},
	{
		name: "REFRESH_TOKEN_EXPIRE_DAYS", initial: "7",
		meaning: "A session expires when it is unused for this long: 1 to 365 days.",
		field:   span(1, 365, day, func(c *Config) *time.Duration { return &c.RefreshTokenLife }),
	},
	{
		name: "SESSION_MAX_DAYS", initial: "30",
		meaning: "A session expires after this long, used or not: 1 to 365 days, and no fewer than REFRESH_TOKEN_EXPIRE_DAYS.",
		field:   span(1, 365, day, func(c *Config) *time.Duration { return &c.SessionMaxLife }),
		check: func(r *reading) {
			if r.c.SessionMaxLife < r.c.RefreshTokenLife {
				r.refuse("It is shorter than REFRESH_TOKEN_EXPIRE_DAYS, so no refresh token could live as long as that says.", "Raise SESSION_MAX_DAYS, or lower "+
					"REFRESH_TOKEN_EXPIRE_DAYS.")
			}
		},
	},
	{
		name: "SESSIONS_PER_ACCOUNT", initial: "50",
		meaning: "How many sessions an account may have; one more ends the one unused for longest: 1 to 1000.",
		field:   number(1, 1000, " sessions", func(c *Config) *int { return &c.SessionsPerAccount }),
	},
	{
		name: "OFFLINE_IDLE_DAYS", initial: "30",
		meaning: "An application that people let stay signed in without them (scope offline_access) is signed out when it is unused for this long: 1 to 365 days.",
		field:   span(1, 365, day, func(c *Config) *time.Duration { return &c.OfflineIdle }),
	},
	{
		name: "OFFLINE_MAX_DAYS", initial: "180",
		meaning: "Such an application is signed out after this long, used or not: 1 to 730 days, and no fewer than OFFLINE_IDLE_DAYS.",
		field:   span(1, 730, day, func(c *Config) *time.Duration { return &c.OfflineMax }),
		check: func(r *reading) {
			if r.c.OfflineMax < r.c.OfflineIdle {
				r.refuse("It is shorter than OFFLINE_IDLE_DAYS.", "Raise OFFLINE_MAX_DAYS, or lower OFFLINE_IDLE_DAYS.")
			}
		},
	},
	{
		name: "REFRESH_REUSE_GRACE_SECONDS", initial: "10",
		meaning: "How long after a rotation the old refresh token gets the same new one again, so that racing tabs are harmless: 0 (never) to 60 seconds.",
		field:   span(0, 60, time.Second, func(c *Config) *time.Duration { return &c.RefreshReuseGrace }),
	},
	{
		name: "REFRESH_RETRY_HOURS", initial: "24",
		meaning: "How long the old refresh token gets a fresh one if the new one was never used, so that a lost response is harmless: 0 (never) to 72 hours.",
		field:   span(0, 72, time.Hour, func(c *Config) *time.Duration { return &c.RefreshRetry }),
	},
	{
		name: "SESSION_COOKIE_SECURE", initial: "true",
		derive: func(c *Config) string {
			return strconv.FormatBool(c.Production() || strings.HasPrefix(c.PublicURL, "https://"))
		},
		meaning:    "Whether the cookies are sent over TLS only; false by default where PUBLIC_URL is plain http in development.",
		production: "`false` is refused",
		field:      yesNo(func(c *Config) *bool { return &c.CookieSecure }),
		safe:       mustBeTrue(func(c *Config) bool { return c.CookieSecure }, "The cookies would travel over plain connections, where others can read them."),
	},
	{
		name: "SESSION_COOKIE_HTTPONLY", initial: "true",
		meaning:    "Whether the cookies' tokens are hidden from scripts.",
		production: "`false` is refused",
		field:      yesNo(func(c *Config) *bool { return &c.CookieHTTPOnly }),
		safe:       mustBeTrue(func(c *Config) bool { return c.CookieHTTPOnly }, "A script that was smuggled into a page could take the tokens away."),
	},
	{
		name: "SESSION_COOKIE_SAMESITE", initial: "strict",
		meaning:    "`strict`: the cookies are never sent with requests from other sites; `lax`: they are sent when a link there is followed.",
		production: "`lax` is warned about; `none` is refused everywhere",
		field:      choice(func(c *Config) *SameSite { return &c.CookieSameSite }, nil, SameSiteStrict, SameSiteLax),
		safe: func(r *reading) {
			if r.c.CookieSameSite == SameSiteLax {
				r.warn("lax is weaker than the guide's strict: a link on another site opens pages here signed in.")
			}
		},
	},
	{
		name: "LOGIN_RATE_LIMIT_ATTEMPTS", initial: "5",
		meaning: "How many failed sign-ins a network may have, on any accounts, in LOGIN_RATE_LIMIT_WINDOW_MINUTES: 1 to 1000000. A known device has its own " +
			"count. See [guides/rate-limits.md](guides/rate-limits.md).",
		field: number(1, mostLimit, " tries", func(c *Config) *int { return &c.LoginLimit.Count }),
	},
	{
		name: "LOGIN_RATE_LIMIT_WINDOW_MINUTES", initial: "15",
		meaning: "1 to 1440 minutes.",
		field:   span(1, 1440, time.Minute, func(c *Config) *time.Duration { return &c.LoginLimit.Window }),
	},
	{
		name: "REGISTRATION_RATE_LIMIT_ATTEMPTS", initial: "5",
		meaning: "How many registrations a network may make in REGISTRATION_RATE_LIMIT_WINDOW_MINUTES: 1 to 1000000.",
		field:   number(1, mostLimit, " registrations", func(c *Config) *int { return &c.RegistrationLimit.Count }),
	},
	{
		name: "REGISTRATION_RATE_LIMIT_WINDOW_MINUTES", initial: "60",
		meaning: "1 to 1440 minutes.",
		field:   span(1, 1440, time.Minute, func(c *Config) *time.Duration { return &c.RegistrationLimit.Window }),
	},
	{
		name: "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS", initial: "3",
		meaning: "How many password reset mails a mailbox is sent in PASSWORD_RESET_RATE_LIMIT_WINDOW_MINUTES, whoever requests them; as many to verify an " +
			"address, and as many others that a stranger can cause. A network may request ten times as many: 1 to 100000.",
		field: number(1, mostLimit/10, " mails", func(c *Config) *int { return &c.ResetLimit.Count }),
	},
	{
		name: "PASSWORD_RESET_RATE_LIMIT_WINDOW_MINUTES", initial: "60",
		meaning: "1 to 1440 minutes.",
		field:   span(1, 1440, time.Minute, func(c *Config) *time.Duration { return &c.ResetLimit.Window }),
	},
	{
		name: "API_RATE_LIMIT_REQUESTS", initial: "600",
		meaning: "How many requests a network, or an account that is signed in, may make in API_RATE_LIMIT_WINDOW_SECONDS: 1 to 1000000.",
		field:   number(1, mostLimit, " requests", func(c *Config) *int { return &c.APILimit.Count }),
	},
	{
		name: "API_RATE_LIMIT_WINDOW_SECONDS", initial: "60",
		meaning: "1 to 3600 seconds.",
		field:   span(1, 3600, time.Second, func(c *Config) *time.Duration { return &c.APILimit.Window }),
	},
}
