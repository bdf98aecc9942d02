package config

import (
	"strconv"
	"strings"
	"time"
)

// table has every setting, in the order of the docs, the report and the faults.
// A default or a check may look at the rows above its own.
var table = append([]setting{
	{
		name: "ENVIRONMENT", initial: "development",
		meaning:    "`development` or `production`. Production starts only if every setting is safe.",
		production: "",
		field:      choice(func(c *Config) *Environment { return &c.Environment }, nil, Development, Production),
	},
	{
		name: "LOG_LEVEL", initial: "INFO",
		meaning:    "The least level that is logged: `DEBUG`, `INFO`, `WARNING` or `ERROR`.",
		production: "`DEBUG` is told at the start",
		field:      level(),
		safe: func(r *reading) {
			if r.c.LogLevel < 0 {
				r.tell("DEBUG logs more than production should keep. INFO is right there.")
			}
		},
	},
	{
		name: "TLS_CERT_FILE", initial: "none", derive: func(*Config) string { return "" },
		meaning: "The certificate that LISTEN_ADDR speaks TLS with, and its chain, in PEM: see [tls.md](guides/tls.md). It is read again when the file changes.",
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
		meaning: "The names for which Gatehouse orders its certificate itself, by ACME, and renews it: see [tls.md](guides/tls.md). With commas between them. To set it is to accept the authority's terms.",
		field:   field{read: readDomains, show: func(c *Config) string { return strings.Join(c.ACMEDomains, ",") }},
		check:   checkDomains,
	},
	{
		name: "TLS_ACME_DIRECTORY", initial: "Let's Encrypt", derive: func(*Config) string { return letsEncrypt },
		meaning: "The directory of the authority to order from. With `?ca=PATH` its own certificate must come from the authority in that file.",
		field:   field{read: readDirectory, show: func(c *Config) string { return c.ACMEDirectory }},
		check:   checkDirectory,
	},
	{
		name: "LISTEN_ADDR", initial: "127.0.0.1:8000",
		meaning:    "Where the API and the pages are served: address and port. Port 0 lets the system choose.",
		production: "an address that is not loopback is refused, unless TLS_CERT_FILE or TLS_ACME_DOMAINS is set",
		field:      listener(func(c *Config) *string { return &c.ListenAddr }),
		check:      tellExposed, safe: refuseExposed,
	},
	{
		name: "ADMIN_LISTEN_ADDR", initial: "127.0.0.1:9000",
		meaning:    "Where `/healthz`, `/readyz` and `/metrics` are served: see [operations.md](operations.md). Not for the public.",
		production: "an address that is not loopback is refused",
		field:      listener(func(c *Config) *string { return &c.AdminListenAddr }),
		check: func(r *reading) {
			if r.c.AdminListenAddr == r.c.ListenAddr && !strings.HasSuffix(r.c.ListenAddr, ":0") {
				r.refuse("It is the same as LISTEN_ADDR.", "Give it another port, such as 127.0.0.1:9000.")
			}
			tellExposed(r)
		},
		safe: refuseExposed,
	},
	{
		name: "TLS_REDIRECT_ADDR", initial: "none", derive: func(*Config) string { return "" },
		meaning: "Where plain HTTP is answered beside TLS: pages are sent to PUBLIC_URL, everything else is refused. `:80` for most.",
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
		meaning: "How many connections one address (an IPv6 network of /64) may hold at once, 0 for any number: 0 to 100000. Those of TRUSTED_PROXIES are not counted. In development the default is 0.",
		field:   number(0, 100_000, " connections", func(c *Config) *int { return &c.ConnectionsPerAddress }),
	},
	{
		name: "ADMIN_PPROF", initial: "false",
		meaning:    "`true` serves Go's profiles under `/debug/pprof/` on the admin listener.",
		production: "`true` is told: a profile of the memory holds what the server does",
		field:      yesNo(func(c *Config) *bool { return &c.AdminPprof }),
		safe: func(r *reading) {
			if r.c.AdminPprof {
				r.tell("Whoever reaches ADMIN_LISTEN_ADDR can read from profiles what the server does, and slow it down. Switch it off again when you have what you need.")
			}
		},
	},
	{
		name: "CORS_ORIGINS", unset: "none",
		meaning: "The origins of web applications whose scripts may call the API and read its answers, with cookies; separated by commas, each in full: " +
			"`https://app.example.com`. `*`, `null`, wildcards, paths and duplicates are refused everywhere.",
		production: "https only",
		field:      field{read: readOrigins, show: func(c *Config) string { return strings.Join(c.CORSOrigins, ",") }},
		safe:       safeOrigins,
	},
	{
		name: "PUBLIC_URL", initial: "http://LISTEN_ADDR", derive: publicURL, followsListener: true,
		meaning:    "The address that people use: scheme, host and perhaps port, nothing behind it. Requests to another host are refused. With a certificate the default is https.",
		production: "the first of CORS_ORIGINS if that is set, else required; https only",
		field:      field{read: readPublicURL, show: func(c *Config) string { return c.PublicURL }},
		check:      checkCertified, safe: safePublicURL,
	},
	{
		name: "TRUSTED_PROXIES", initial: "none",
		derive:     defaultProxies,
		meaning:    "The proxies that are believed when they say who is calling (`X-Forwarded-For`, `Forwarded`, `X-Forwarded-Proto`): addresses and networks, with commas between them, `cloudflare` for Cloudflare's, or `none`.",
		production: "`127.0.0.0/8, ::1` if LISTEN_ADDR is loopback, else `none`",
		field:      field{read: readProxies, show: showProxies},
	},
	{
		name: "DATABASE_URL", initial: "sqlite:./data/gatehouse.db", cover: passwordCovered,
		meaning: "`sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/NAME`. Without `sslmode` it is `verify-full` for any host but loopback.",
		production: "`sslmode` `disable`, `allow` and `prefer` are refused for any host but loopback, `require` and `verify-ca` are told; " +
			"a password that is under 12 characters or easy to guess is refused",
		field: database(func(c *Config) *Database { return &c.Database }),
		safe:  safeDatabase,
	},
	{
		name: "DATABASE_MAX_CONNS", initial: "8",
		meaning: "The most connections to the database: 1 to 1000.",
		field:   number(1, 1000, " connections", func(c *Config) *int { return &c.DatabaseMaxConns }),
	},
	{
		name: "MIGRATE", initial: "auto",
		meaning: "`auto` brings the schema up to date at the start; `off` refuses to start on one that is behind.",
		field:   choice(func(c *Config) *Migration { return &c.Migrate }, nil, MigrateAuto, MigrateOff),
	},
	{
		name: "MIGRATE_DATABASE_URL", initial: "DATABASE_URL", cover: passwordCovered,
		derive:     func(c *Config) string { return c.Database.URL.Reveal() },
		meaning:    "The same PostgreSQL database with a role that may change the schema, so that the serving role need not.",
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
		meaning:    "For so long access tokens are taken as not revoked when the database can't be asked: 0 (never: 503) to 900 seconds.",
		production: "over 0 is told",
		field:      span(0, 900, time.Second, func(c *Config) *time.Duration { return &c.RevocationStale }),
		safe: func(r *reading) {
			if r.c.RevocationStale > 0 {
				r.tell("While the database is away, a revoked access token may be taken for as long as this.")
			}
		},
	},
	{
		name: "REDIS_URL", cover: passwordCovered, unset: "none: the limits are counted in memory",
		meaning: "The Redis in which all replicas count for the rate limits: `rediss://USER:PASSWORD@HOST:PORT/NUMBER`, or `redis://` without TLS. " +
			"Cluster, Sentinel and certificates: see [redis.md](guides/redis.md).",
		production: "`redis://` to any host but loopback is told, and so is one without a password",
		field:      field{read: readRedis, show: func(c *Config) string { return c.Redis.URL.Reveal() }},
		safe:       tellRedis,
	},
	{
		name: "JWT_SECRET_KEY", cover: covered, unset: "made at the first start, and kept beside the database",
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
		meaning: "The JWT_SECRET_KEY before, while it is being changed: see [keys.md](guides/keys.md).",
		field:   field{read: readSecretKeyPrevious, show: func(c *Config) string { return c.JWTSecretKeyPrevious.Reveal() }},
	},
	{
		name: "JWT_ALGORITHM", initial: "ES256",
		meaning:    "How access tokens are signed: `ES256`, `EdDSA` (Ed25519), `RS256` (3072 bits) or `HS256`. A change is a rotation: see [keys.md](guides/keys.md).",
		production: "`HS256` is told",
		field:      choice(func(c *Config) *string { return &c.JWTAlgorithm }, nil, "ES256", "EdDSA", "RS256", "HS256"),
		safe: func(r *reading) {
			if r.c.JWTAlgorithm == "HS256" {
				r.tell("Applications can't check tokens by the published keys: whoever can check one with HS256 can make one. They have to ask Gatehouse.")
			}
		},
	},
	{
		name: "JWT_KEY_ROTATION_DAYS", initial: "90",
		meaning:    "How long a key signs access tokens until the next one does: 1 to 365 days, or 0 (without end).",
		production: "0 is told",
		field:      span(0, 365, day, func(c *Config) *time.Duration { return &c.JWTKeyRotation }),
		safe: func(r *reading) {
			if r.c.JWTKeyRotation == 0 {
				r.tell("The key that signs access tokens is never replaced, unless by `gatehouse key rotate`.")
			}
		},
	},
	{
		name: "JWT_ISSUER", initial: "PUBLIC_URL", followsListener: true,
		derive:     func(c *Config) string { return c.PublicURL },
		meaning:    "The claim `iss` of access tokens.",
		production: "what is not an https URL is told",
		field:      claim(func(c *Config) *string { return &c.JWTIssuer }),
		safe: func(r *reading) {
			if r.source != FromDefault && !strings.HasPrefix(r.c.JWTIssuer, "https://") {
				r.tell("It is not an https URL, so applications can't find the keys by it (RFC 8414 section 2).")
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
		name: "ACCESS_TOKEN_EXPIRE_MINUTES", initial: "15",
		meaning:    "How long an access token is good: 1 to 1440 minutes.",
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
		meaning: "A session dies when it is unused for so long: 1 to 365 days.",
		field:   span(1, 365, day, func(c *Config) *time.Duration { return &c.RefreshTokenLife }),
	},
	{
		name: "SESSION_MAX_DAYS", initial: "30",
		meaning: "A session dies after so long, used or not: 1 to 365 days, and no fewer than REFRESH_TOKEN_EXPIRE_DAYS.",
		field:   span(1, 365, day, func(c *Config) *time.Duration { return &c.SessionMaxLife }),
		check: func(r *reading) {
			if r.c.SessionMaxLife < r.c.RefreshTokenLife {
				r.refuse("It is shorter than REFRESH_TOKEN_EXPIRE_DAYS, so no refresh token could live as long as that says.", "Raise SESSION_MAX_DAYS, or lower REFRESH_TOKEN_EXPIRE_DAYS.")
			}
		},
	},
	{
		name: "SESSIONS_PER_ACCOUNT", initial: "50",
		meaning: "How many sessions an account may have; one more ends the one that was unused for longest: 1 to 1000.",
		field:   number(1, 1000, " sessions", func(c *Config) *int { return &c.SessionsPerAccount }),
	},
	{
		name: "REFRESH_REUSE_GRACE_SECONDS", initial: "10",
		meaning: "For so long after a rotation the old refresh token gets the same new one again, so that racing tabs are harmless: 0 (never) to 60 seconds.",
		field:   span(0, 60, time.Second, func(c *Config) *time.Duration { return &c.RefreshReuseGrace }),
	},
	{
		name: "REFRESH_RETRY_HOURS", initial: "24",
		meaning: "For so long the old refresh token gets a fresh one if the new one was never used, so that a lost answer is harmless: 0 (never) to 72 hours.",
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
		meaning:    "Whether scripts are kept from reading the tokens in the cookies.",
		production: "`false` is refused",
		field:      yesNo(func(c *Config) *bool { return &c.CookieHTTPOnly }),
		safe:       mustBeTrue(func(c *Config) bool { return c.CookieHTTPOnly }, "A script that was smuggled into a page could take the tokens away."),
	},
	{
		name: "SESSION_COOKIE_SAMESITE", initial: "strict",
		meaning:    "`strict`: the cookies never come with requests from other sites; `lax`: they come with links from there.",
		production: "`lax` is told; `none` is refused everywhere",
		field:      choice(func(c *Config) *SameSite { return &c.CookieSameSite }, nil, SameSiteStrict, SameSiteLax),
		safe: func(r *reading) {
			if r.c.CookieSameSite == SameSiteLax {
				r.tell("lax is weaker than the guide's strict: a link on another site opens pages here signed in.")
			}
		},
	},
	{
		name: "LOGIN_RATE_LIMIT_ATTEMPTS", initial: "5",
		meaning: "How many failed sign-ins a network has, at any accounts, in LOGIN_RATE_LIMIT_WINDOW_MINUTES: 1 to 1000000. A known device has its own count. See [guides/rate-limits.md](guides/rate-limits.md).",
		field:   number(1, mostLimit, " tries", func(c *Config) *int { return &c.LoginLimit.Count }),
	},
	{
		name: "LOGIN_RATE_LIMIT_WINDOW_MINUTES", initial: "15",
		meaning: "1 to 1440 minutes.",
		field:   span(1, 1440, time.Minute, func(c *Config) *time.Duration { return &c.LoginLimit.Window }),
	},
	{
		name: "REGISTRATION_RATE_LIMIT_ATTEMPTS", initial: "5",
		meaning: "How many registrations a network has in REGISTRATION_RATE_LIMIT_WINDOW_MINUTES: 1 to 1000000.",
		field:   number(1, mostLimit, " registrations", func(c *Config) *int { return &c.RegistrationLimit.Count }),
	},
	{
		name: "REGISTRATION_RATE_LIMIT_WINDOW_MINUTES", initial: "60",
		meaning: "1 to 1440 minutes.",
		field:   span(1, 1440, time.Minute, func(c *Config) *time.Duration { return &c.RegistrationLimit.Window }),
	},
	{
		name: "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS", initial: "3",
		meaning: "How many mails with a link an address may be sent in PASSWORD_RESET_RATE_LIMIT_WINDOW_MINUTES, whoever asks; a network may ask for ten times as many: 1 to 100000.",
		field:   number(1, mostLimit/10, " mails", func(c *Config) *int { return &c.ResetLimit.Count }),
	},
	{
		name: "PASSWORD_RESET_RATE_LIMIT_WINDOW_MINUTES", initial: "60",
		meaning: "1 to 1440 minutes.",
		field:   span(1, 1440, time.Minute, func(c *Config) *time.Duration { return &c.ResetLimit.Window }),
	},
	{
		name: "API_RATE_LIMIT_REQUESTS", initial: "600",
		meaning: "How many requests a network, or an account that is signed in, has in API_RATE_LIMIT_WINDOW_SECONDS: 1 to 1000000.",
		field:   number(1, mostLimit, " requests", func(c *Config) *int { return &c.APILimit.Count }),
	},
	{
		name: "API_RATE_LIMIT_WINDOW_SECONDS", initial: "60",
		meaning: "1 to 3600 seconds.",
		field:   span(1, 3600, time.Second, func(c *Config) *time.Duration { return &c.APILimit.Window }),
	},
	{
		name: "LOCKOUT_AFTER", initial: "5",
		meaning: "After so many wrong passwords in a row at one account a network, or a known device, has to wait: 1 to 10. See [guides/passwords.md](guides/passwords.md).",
		field:   number(1, 10, " tries", func(c *Config) *int { return &c.LockoutAfter }),
	},
	{
		name: "LOCKOUT_DELAY_SECONDS", initial: "30",
		meaning: "The first wait; each further wrong password doubles it, up to 15 minutes: 1 to 900 seconds.",
		field:   span(1, 900, time.Second, func(c *Config) *time.Duration { return &c.LockoutDelay }),
	},
	{
		name: "PASSWORD_MIN_LENGTH", initial: "15",
		meaning: "The shortest password, in characters: 8 to 64. 15 is NIST's where the password is all there is (SP 800-63B-4).",
		field:   number(8, 64, " characters", func(c *Config) *int { return &c.PasswordMinLength }),
	},
	{
		name: "PASSWORD_EXPIRE_DAYS", initial: "0",
		meaning: "After so many days a password is good for nothing but setting a new one: 0 (never) to 3650. NIST advises against it; some auditors ask for it.",
		field:   span(0, 3650, day, func(c *Config) *time.Duration { return &c.PasswordLife }),
	},
	{
		name: "PASSWORD_REQUIRE_UPPERCASE", initial: "false",
		meaning: "`true` refuses new passwords without a capital letter. NIST advises against such rules; some auditors ask for them.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordRequireUppercase }),
	},
	{
		name: "PASSWORD_REQUIRE_LOWERCASE", initial: "false",
		meaning: "`true` refuses new passwords without a small letter. NIST advises against such rules; some auditors ask for them.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordRequireLowercase }),
	},
	{
		name: "PASSWORD_REQUIRE_DIGIT", initial: "false",
		meaning: "`true` refuses new passwords without a digit. NIST advises against such rules; some auditors ask for them.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordRequireDigit }),
	},
	{
		name: "PASSWORD_REQUIRE_SYMBOL", initial: "false",
		meaning: "`true` refuses new passwords without a character that is no letter, digit or space. NIST advises against such rules; some auditors ask for them.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordRequireSymbol }),
	},
	{
		name: "PASSWORD_HASH", initial: "bcrypt",
		meaning: "How passwords are kept: `bcrypt` or `argon2id`. Those kept otherwise are changed over, each at its owner's next sign-in.",
		field:   choice(func(c *Config) *string { return &c.PasswordHash }, nil, "bcrypt", "argon2id"),
	},
	{
		name: "BCRYPT_COST", initial: "12",
		meaning:    "bcrypt's cost: 4 to 16. One more doubles the work of a sign-in, and of a guess.",
		production: "under 12 is refused",
		field:      number(4, 16, "", func(c *Config) *int { return &c.BcryptCost }),
		safe: func(r *reading) {
			if r.c.BcryptCost < 12 {
				r.refuse("It is under 12, the least that is safe in production.", "Write 12, or a number up to 16.")
			}
		},
	},
	{
		name: "ARGON2_MEMORY_MIB", initial: "19",
		meaning: "The memory of one argon2id hash: 19 to 1024 MiB. As many are made at once as there are cores, less one. `gatehouse config calibrate` measures what fits.",
		field:   number(19, 1024, " MiB", func(c *Config) *int { return &c.Argon2MemoryMiB }),
	},
	{
		name: "ARGON2_PASSES", initial: "2",
		meaning: "How often argon2id goes over its memory: 2 to 64.",
		field:   number(2, 64, " passes", func(c *Config) *int { return &c.Argon2Passes }),
	},
	{
		name: "PASSWORD_PEPPER", cover: covered, unset: "none",
		meaning: "Seals the stored password hashes under a key that is not in the database: 32 random characters or more. Whoever loses it loses every password. See [guides/passwords.md](guides/passwords.md).",
		field:   pepper(func(c *Config) *Secret { return &c.PasswordPepper }),
	},
	{
		name: "PASSWORD_PEPPER_PREVIOUS", cover: covered, unset: "none",
		meaning: "The pepper before, until `gatehouse user repepper` has sealed all hashes under the new one.",
		field:   pepper(func(c *Config) *Secret { return &c.PasswordPepperPrevious }),
	},
	{
		name: "PASSWORD_BREACH", initial: "embedded",
		meaning: "Which passwords are refused because attackers try them first: `embedded`, the common ones in the program; `file`, those and the ones in PASSWORD_BREACH_FILE; " +
			"`api`, those and the ones that PASSWORD_BREACH_API_URL knows; or `off`. See [guides/passwords.md](guides/passwords.md).",
		production: "`off` is told",
		field:      choice(func(c *Config) *Breach { return &c.PasswordBreach }, nil, BreachEmbedded, BreachFile, BreachAPI, BreachOff),
		safe: func(r *reading) {
			if r.c.PasswordBreach == BreachOff {
				r.tell("Passwords that attackers try first are taken.")
			}
		},
	},
	{
		name: "PASSWORD_BREACH_FILE", initial: "none", derive: func(*Config) string { return "" },
		meaning: "The filter that `gatehouse breach build` made of the Pwned Passwords. It is read again when it is replaced.",
		field:   field{read: func(r *reading) { r.c.PasswordBreachFile = r.value }, show: func(c *Config) string { return c.PasswordBreachFile }},
		check: func(r *reading) {
			switch {
			case r.c.PasswordBreach == BreachFile && r.c.PasswordBreachFile == "":
				r.refuse("It is not set, and PASSWORD_BREACH is file.", "Write the path of a file that `gatehouse breach build` made.")
			case r.c.PasswordBreach != BreachFile && r.c.PasswordBreachFile != "":
				r.tell("It is not read, since PASSWORD_BREACH is not file.")
			}
		},
	},
	{
		name: "PASSWORD_BREACH_API_URL", initial: "https://api.pwnedpasswords.com",
		meaning:    "The server that PASSWORD_BREACH=api asks, by the range protocol: it is told five of the 40 digits of a hash.",
		production: "https only",
		field:      field{read: readBreachURL, show: func(c *Config) string { return c.PasswordBreachAPIURL }},
		safe: func(r *reading) {
			if !strings.HasPrefix(r.c.PasswordBreachAPIURL, "https://") {
				r.refuse("It is not https: others could read along, and say that a password is fine.", "Write an https URL, or remove it.")
			}
		},
	},
	{
		name: "PASSWORD_BREACH_AWAY", initial: "allow",
		meaning: "What becomes of a new password while that server can't be reached: `allow` takes it if it is not common, `refuse` answers 503.",
		field:   choice(func(c *Config) *BreachAway { return &c.PasswordBreachAway }, nil, BreachAwayAllow, BreachAwayRefuse),
	},
	{
		name: "PASSWORD_BREACH_AT_SIGN_IN", initial: "true",
		meaning: "Whether a sign-in with the right password is refused if that has been breached since: its owner sets a new one.",
		field:   yesNo(func(c *Config) *bool { return &c.PasswordBreachAtSignIn }),
	},
	{
		name: "EMAIL_VERIFICATION", initial: "optional",
		derive: func(c *Config) string {
			if c.Production() {
				return string(VerificationRequired)
			}
			return string(VerificationOptional)
		},
		meaning:    "`required`: an account signs in only once its address is verified; or `optional`.",
		production: "`required`, and `optional` is refused",
		field:      choice(func(c *Config) *Verification { return &c.EmailVerification }, nil, VerificationOptional, VerificationRequired),
		safe: func(r *reading) {
			if r.c.EmailVerification == VerificationOptional {
				r.refuse("Anyone could sign in under an address that is not theirs.", "Write required, or remove it.")
			}
		},
	},
	{
		name: "REGISTRATION", initial: "open",
		meaning: "`open`: anyone may register; `closed`: administrators open accounts. invite is not built yet.",
		field:   choice(func(c *Config) *Registration { return &c.Registration }, []Registration{"invite"}, RegistrationOpen, RegistrationClosed),
	},
	{
		name: "SMTP_URL", cover: passwordCovered, unset: "none",
		meaning: "The server that mails are handed to: `smtp://USER:PASSWORD@HOST:587` with STARTTLS, or `smtps://…:465`. `?ca=PATH` names an authority of your own. " +
			"`?tls=off` behind `smtp://` does without TLS, as on this machine. See [guides/mail.md](guides/mail.md).",
		production: "`tls=off` for any host but loopback is refused. Unset, mails wait, and `/readyz` says so; in development they are at `/dev/mail`",
		field:      field{read: readSMTP, show: func(c *Config) string { return c.SMTPURL.Reveal() }},
		check:      tellClearMail, safe: refuseClearMail,
	},
	{
		name: "MAIL_FROM", initial: "no-reply@ and PUBLIC_URL's host", derive: mailFrom,
		meaning:    "Who mails are from: an address, or `Acme <no-reply@acme.com>`.",
		production: "required with SMTP_URL",
		field:      field{read: readMailFrom, show: func(c *Config) string { return c.MailFrom.String() }},
		safe: func(r *reading) {
			if r.source == FromDefault && r.c.SMTPURL != "" {
				r.refuse("It is required in production where SMTP_URL is set: mail servers take only senders that they know.",
					"Write the address that your mail server lets you send from.")
			}
		},
	},
	{
		name: "MAIL_TEMPLATES", unset: "none",
		meaning: "A folder with texts of mails that take the place of those in the program: see [guides/mail.md](guides/mail.md). All faults in it are told at the start.",
		field:   field{read: func(r *reading) { r.c.MailTemplates = r.value }, show: func(c *Config) string { return c.MailTemplates }},
	},
	{
		name: "ALERT_WEBHOOK_URL", cover: covered, unset: "none",
		meaning: "Where alerts are posted, signed as Standard Webhooks are: `https://HOST/PATH`. See [guides/alerts.md](guides/alerts.md).",
		field:   webhook(func(c *Config) *Secret { return &c.Alerts.WebhookURL }),
	},
	{
		name: "ALERT_WEBHOOK_SECRET", cover: covered, unset: "none",
		meaning: "What signs them: `whsec_` and 24 to 64 random bytes in base64, as in `echo whsec_$(openssl rand -base64 32)`.",
		field:   webhookSecret(func(c *Config) *Secret { return &c.Alerts.WebhookSecret }),
		check:   checkWebhook,
	},
	threshold("ALERT_FAILED_LOGINS", "200", "how many failed sign-ins within 15 minutes", func(a *Alerts) *int { return &a.FailedLogins }),
	threshold("ALERT_FAILED_LOGINS_UNUSUAL", "40", "how many failed sign-ins within an hour, if that is 4 times as many as at the worst same hour of the last 7 days", func(a *Alerts) *int { return &a.UnusualLogins }),
	threshold("ALERT_SPRAYED_ACCOUNTS", "20", "how many addresses that one network fails at within an hour", func(a *Alerts) *int { return &a.Sprayed }),
	threshold("ALERT_STUFFED_ACCOUNTS", "100", "how many addresses that 20 networks or more fail at within an hour, two tries failing for each that succeeds", func(a *Alerts) *int { return &a.Stuffed }),
	threshold("ALERT_REGISTRATIONS", "50", "how many accounts opened within an hour", func(a *Alerts) *int { return &a.Registrations }),
	threshold("ALERT_TOKEN_REUSES", "3", "how many replaced refresh tokens used within an hour", func(a *Alerts) *int { return &a.Reuses }),
	threshold("ALERT_TAMPERED_TOKENS", "100", "how many tokens that are not ours within 15 minutes", func(a *Alerts) *int { return &a.Tampered }),
	threshold("ALERT_INTROSPECTION_FAILURES", "20", "how many wrong credentials of clients within 15 minutes", func(a *Alerts) *int { return &a.Introspections }),
	threshold("ALERT_DATABASE_ERRORS", "10", "how many requests that failed on the database within 15 minutes", func(a *Alerts) *int { return &a.DatabaseErrors }),
	threshold("ALERT_RATE_LIMITS", "500", "how many requests that met a limit within 15 minutes", func(a *Alerts) *int { return &a.RateLimits }),
	{
		name: "ALERT_MAIL_TO", unset: "none",
		meaning: "Who is mailed about alerts: addresses with commas between them, 10 at most. See [guides/alerts.md](guides/alerts.md).",
		field:   field{read: readMailTo, show: func(c *Config) string { return strings.Join(c.Alerts.MailTo, ", ") }},
		check:   checkMailTo,
	},
	{
		name: "EVENT_KEY", cover: covered, unset: "made at the first start, and kept beside the database",
		meaning: "What signs the checkpoints of the event log: 32 random characters or more, the same on every replica. `gatehouse secret` prints one. See [guides/events.md](guides/events.md).",
		field:   pepper(func(c *Config) *Secret { return &c.EventKey }),
	},
	{
		name: "EVENT_ANCHOR", cover: covered, unset: "none",
		meaning: "Where each checkpoint of the event log is sent, so that nobody can rewrite the log unseen: `file:PATH`, `https://…`, or `syslog+tls://HOST:PORT`; `?ca=PATH` names an authority of your own.",
		field:   place(func(c *Config) *Secret { return &c.EventAnchor }),
	},
	{
		name: "EVENT_FORWARD", cover: covered, unset: "none",
		meaning: "Where each event is sent, at least once, as a line of JSON: as EVENT_ANCHOR.",
		field:   place(func(c *Config) *Secret { return &c.EventForward }),
	},
	{name: "BACKUP_DIR"},
	{name: "BACKUP_RECIPIENTS"},
	{name: "BACKUP_EVERY_HOURS"},
	{name: "RETENTION_*"},
}, traceSettings...)
