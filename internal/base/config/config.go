// Package config holds the settings of a Gatehouse installation.
//
// One table (table.go) has a row for each setting: its name, default and
// meaning, how it is read into a typed field, and what production requires of it.
// Everything else follows from the rows: loading, the masked report, the page
// docs/configuration.md, and the refusal to start with a setting that is wrong
// or unsafe.
//
// It guarantees that a Config that Load returns is safe for the environment it
// names; that a refusal lists every fault at once, each with its fix; and that no
// fault, warning or report repeats what an operator wrote, unless it is a number or a
// word that Gatehouse itself knows, or a value that the report shows because it
// is not secret. A password pasted into the wrong setting does not reach a log
// through a fault.
package config

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
)

// Environment says how strictly the settings are judged.
type Environment string

// The two environments.
const (
	Development Environment = "development"
	Production  Environment = "production"
)

// Migration says who brings the schema up to date.
type Migration string

// Serve migrates with MigrateAuto, and refuses a schema that is behind with
// MigrateOff.
const (
	MigrateAuto Migration = "auto"
	MigrateOff  Migration = "off"
)

// Verification says whether an account must have shown that its address is its
// own before it may sign in.
type Verification string

// The two ways.
const (
	VerificationOptional Verification = "optional"
	VerificationRequired Verification = "required"
)

// Registration says who may open an account.
type Registration string

// With RegistrationOpen anyone may; with RegistrationInvite whoever an administrator
// has invited; with RegistrationClosed only the command line opens accounts.
const (
	RegistrationOpen   Registration = "open"
	RegistrationInvite Registration = "invite"
	RegistrationClosed Registration = "closed"
)

// ClientRegistration is which applications may register themselves (RFC 7591).
type ClientRegistration string

// The choices: none, those that show a token, and all.
const (
	ClientRegistrationOff   ClientRegistration = "off"
	ClientRegistrationToken ClientRegistration = "token"
	ClientRegistrationOpen  ClientRegistration = "open"
)

// Breach says which passwords are refused as known to attackers.
type Breach string

// The list in the binary, with it a filter file, with it a server, or
// nothing at all.
const (
	BreachEmbedded Breach = "embedded"
	BreachFile     Breach = "file"
	BreachAPI      Breach = "api"
	BreachOff      Breach = "off"
)

// BreachAway says what becomes of passwords while that server is away.
type BreachAway string

// The two ways.
const (
	BreachAwayAllow  BreachAway = "allow"
	BreachAwayRefuse BreachAway = "refuse"
)

// SameSite is what requests from other sites bring cookies.
type SameSite string

// With SameSiteStrict none does; with SameSiteLax links do.
const (
	SameSiteStrict SameSite = "strict"
	SameSiteLax    SameSite = "lax"
)

// Limit is how often something may be done.
type Limit struct {
	Count  int
	Window time.Duration
}

// mostLimit is the highest of them, for tests and for servers behind others that
// count.
const mostLimit = 1_000_000

// Config is the settings, read and checked. Each field is named after its
// setting.
type Config struct {
	// Backups says where backups lie and how they are made.
	Backups Backups
	// Retention says for how long what is over is kept.
	Retention Retention
	// Doctor says what the doctor can't know by itself.
	Doctor Doctor

	// Environment is development unless set.
	Environment Environment
	// LogLevel is the least level that is logged: debug, info, warn or error.
	LogLevel slog.Level

	// TLSCertFile and TLSKeyFile are the certificate of the public listener: both
	// or none.
	TLSCertFile, TLSKeyFile string
	// ACMEDomains are the names of the certificate that is ordered by ACME, in lower
	// case, none for no such; ACMEDirectory is the authority's.
	ACMEDomains   []string
	ACMEDirectory string
	// TLSRedirectAddr is where plain HTTP is answered in addition to TLS; empty for nowhere.
	TLSRedirectAddr string
	// ShutdownDelay is for how long the server still serves once it is to stop, and readyz says so.
	ShutdownDelay time.Duration
	// ConnectionsPerAddress is how many one address may hold; 0 for any number.
	ConnectionsPerAddress int

	// ListenAddr is where the API and the pages are served: host:port, where
	// port 0 lets the system choose (see [Config.Listening]).
	ListenAddr string
	// AdminListenAddr is where healthz, readyz and metrics are served.
	AdminListenAddr string
	// PrivateNetworks are those in which plain HTTP may travel: with any, listeners
	// without TLS need not be loopback, and take connections from there and from this
	// machine alone.
	PrivateNetworks []netip.Prefix
	// AdminPprof serves Go's profiles on the admin listener.
	AdminPprof bool
	// CORSOrigins are the origins whose scripts may read answers of the API: each
	// as browsers write it.
	CORSOrigins []string
	// PublicURL is the address that people use: scheme, host and perhaps port,
	// in lower case, with no slash at its end.
	PublicURL string

	// AdminNetworks are where administration is done from; none is anywhere.
	AdminNetworks []netip.Prefix
	// AdminURL is the origin that the console has to itself; empty where it is on PublicURL.
	AdminURL string
	// Approvals is how many people the gravest actions take.
	Approvals Approvals
	// TrustedProxies are the networks of the proxies whose word about who is
	// calling is believed; CloudflareProxies adds Cloudflare's.
	TrustedProxies    []netip.Prefix
	CloudflareProxies bool

	// Database serves; MigrateDatabase is the same place with a role that may
	// change the schema, and equals Database unless set.
	Database        Database
	MigrateDatabase Database
	// DatabaseMaxConns is the most connections to the database: 1 to 1000.
	DatabaseMaxConns int
	// Migrate says whether serve migrates by itself.
	Migrate Migration

	// RevocationStale is for how long tokens are taken as not revoked when the
	// database can't be asked: 0 to 900 seconds.
	RevocationStale time.Duration

	// Redis holds the counts of the rate limits; without a URL they are in memory.
	Redis Redis

	// JWTSecretKey is the root of every derived key. It is empty only in
	// development: then one is made at the first start and kept in
	// [Config.DataDir].
	JWTSecretKey Secret
	// JWTSecretKeyPrevious is the one before, while it is being changed.
	JWTSecretKeyPrevious Secret
	// JWTAlgorithm signs access tokens: ES256, EdDSA, RS256 or HS256.
	JWTAlgorithm string
	// JWTKeyRotation is how long a key signs access tokens: 1 to 365 days, or 0:
	// without end.
	JWTKeyRotation time.Duration
	// JWTIssuer and JWTAudience are the claims iss and aud of access tokens
	// (RFC 7519 section 4.1).
	JWTIssuer   string
	JWTAudience string
	// JWTClientID is the claim client_id: the one application of one's own.
	JWTClientID string

	// AccessTokenLife is how long an access token is good: 1 minute to a day.
	AccessTokenLife time.Duration
	// RefreshTokenLife is how long a session may lie unused: 1 to 365 days.
	RefreshTokenLife time.Duration
	// SessionMaxLife is how long a session lives at most, used or not: 1 to
	// 365 days, and never less than RefreshTokenLife.
	SessionMaxLife time.Duration
	// OfflineIdle is how long an application may lie unused that outlives its session, and OfflineMax how long it lives at most.
	OfflineIdle, OfflineMax time.Duration
	// SessionsPerAccount is how many sessions an account may have: 1 to 1000.
	SessionsPerAccount int
	// RefreshReuseGrace is how long the token before the current one still
	// gets its very successor: 0 (never) to 60 seconds.
	RefreshReuseGrace time.Duration
	// RefreshRetry is how long after a rotation the token before the current
	// one gets a fresh successor if the other was never used: 0 (never) to 72
	// hours.
	RefreshRetry time.Duration

	// CookieSecure, CookieHTTPOnly and CookieSameSite are the attributes of the
	// cookies that keep sessions in browsers.
	CookieSecure   bool
	CookieHTTPOnly bool
	CookieSameSite SameSite

	// LoginLimit, RegistrationLimit, ResetLimit and APILimit are how often a caller
	// may do that.
	LoginLimit, RegistrationLimit, ResetLimit, APILimit Limit

	// LockoutAfter is how many wrong passwords in a row a network has at one
	// account before it waits for LockoutDelay, then twice that, and so on.
	LockoutAfter int
	LockoutDelay time.Duration

	// PasswordMinLength is the shortest password, in code points: 8 to 64.
	PasswordMinLength int
	// PasswordLife is after how long a new password must be set: 0 (never) to ten
	// years.
	PasswordLife time.Duration
	// PasswordRequire… demand kinds of characters in new passwords.
	PasswordRequireUppercase, PasswordRequireLowercase, PasswordRequireDigit, PasswordRequireSymbol bool
	// PasswordContextWords are words of the operator's own that make no password.
	PasswordContextWords []string
	// PasswordHash is how passwords are kept: bcrypt or argon2id.
	PasswordHash string
	// BcryptCost is the base-2 logarithm of bcrypt's rounds: 4 to 16.
	BcryptCost int
	// Argon2MemoryMiB and Argon2Passes are argon2id's parameters (RFC 9106): 19 to
	// 1024, and 2 to 64.
	Argon2MemoryMiB, Argon2Passes int
	// PasswordBreach says which passwords are refused as known to attackers;
	// PasswordBreachFile is a path and PasswordBreachAPIURL a URL for two of its
	// ways, and PasswordBreachAtSignIn asks it about passwords in use as well.
	PasswordBreach         Breach
	PasswordBreachFile     string
	PasswordBreachAPIURL   string
	PasswordBreachAway     BreachAway
	PasswordBreachAtSignIn bool
	// PasswordPepper seals the stored hashes; it may be empty. What
	// PasswordPepperPrevious sealed can be opened.
	PasswordPepper, PasswordPepperPrevious Secret

	// EventKey signs the event log's checkpoints; if empty, one is made and kept in
	// [Config.DataDir]. EventAnchor is where they are sent and EventForward where
	// the events are: what outbound.Open takes, or empty.
	EventKey     Secret
	EventAnchor  Secret
	EventForward Secret

	// Traces says where traces go, and which are taken.
	Traces Traces
	// Alerts says what is watched for in the event log, and who is notified.
	Alerts Alerts

	// EmailVerification is required in production.
	EmailVerification Verification
	// Registration says who may open an account.
	Registration Registration

	// SecondFactor are the roles that must have a second factor; "*" is everybody, none nobody: see SecondFactorRoles.
	// TOTPIssuer is what apps call the service that show codes.
	// FactorGrace is for how long adding one can be put off.
	// FactorResetWait is how long an operator's reset of factors waits.
	// PasskeyRPID is the host that passkeys are made for; empty if there is none that can be. PasskeyOrigins are
	// origins beside PublicURL that may use them.
	Passkeys       Passkeys
	PasskeyRPID    string
	PasskeyOrigins []string
	// Passwordless is whether an account may have no password.
	Passwordless bool

	SecondFactor    []string
	FactorGrace     time.Duration
	TOTPIssuer      string
	FactorResetWait time.Duration

	// ErasureGrace is how long an account stays that is to be deleted.
	ErasureGrace time.Duration

	// ServiceName is what people know the service as. HomeURL is where its root
	// leads. SecurityContact is whom to contact about a security problem: URLs, none for nobody.
	// BrandColor is #rrggbb, or empty; BrandLogo, PageTemplates, PrivacyFile and TermsFile are paths, or empty.
	ServiceName   string
	BrandColor    string
	BrandLogo     string
	PageTemplates string
	PrivacyFile   string
	TermsFile     string
	// ClientsFile describes applications, or is empty.
	ClientsFile string
	// UpstreamsFile describes other providers by which people sign in, or is empty.
	UpstreamsFile string
	// ClientRegistration is whether applications may register themselves, and ClientRegistrationToken what they show for it.
	ClientRegistration      ClientRegistration
	ClientRegistrationToken Secret
	// DocumentFiles are the files of further documents by name; DocumentsRequired are the names of those that everybody
	// must agree to: see Documents.
	DocumentFiles     map[string]string
	DocumentsRequired []string

	HomeURL         string
	SecurityContact []string

	// SMTPURL is the mail server, as mail.Parse takes it; empty for none. MailFrom is
	// who sends, and MailTemplates a folder with texts of one's own, or empty.
	SMTPURL       Secret
	MailFrom      mail.From
	MailTemplates string

	// Warnings are for the operator to read at each start: what is allowed,
	// and yet not as it should be. One sentence or two each, no secret in them.
	Warnings []string

	// sources says for each setting where its value came from.
	sources map[string]string
}

// Production reports whether the rules of production hold.
func (c *Config) Production() bool { return c.Environment == Production }

// DataDir returns the folder in which Gatehouse keeps what it makes by itself:
// the one of the SQLite database, or data with PostgreSQL. It may not exist
// yet: this package writes nothing.
func (c *Config) DataDir() string {
	if c.Database.Kind == SQLite {
		return filepath.Dir(c.Database.Path)
	}
	return "data"
}

// Listening returns the settings as they are once the server listens on addr
// (host:port). They differ from c only if LISTEN_ADDR left the port to the
// system: then the defaults that name the listener name its real port.
func (c *Config) Listening(addr string) *Config {
	out := *c
	if !strings.HasSuffix(c.ListenAddr, ":0") {
		return &out
	}
	out.ListenAddr = addr
	for _, s := range table {
		if c.sources[s.name] == FromDefault && s.followsListener {
			s.field.read(&reading{c: &out, setting: &s, value: s.derive(&out)})
		}
	}
	return &out
}

// Load reads and checks the settings. Its error is a [*Faults], which lists
// everything that is wrong in the order of the table.
func Load(from Source) (*Config, error) {
	in := gather(from)
	// Until ENVIRONMENT is understood, the strict rules hold: one that is
	// misspelt was hardly meant to be development.
	c := &Config{Environment: Production, sources: map[string]string{}}
	var faults []Fault
	for i := range table {
		faults = append(faults, c.take(&table[i], in)...)
	}
	if len(faults) > 0 && faults[0].Setting == table[0].name {
		c.Warnings = append(c.Warnings, "As long as "+table[0].name+" is not understood, the rules of production are applied.")
	}
	c.Warnings = append(c.Warnings, in.unknown()...)
	if in.broken != nil {
		// What the unreadable file may hold is not missed here.
		kept := []Fault{*in.broken}
		for _, f := range faults {
			if f.Source != FromDefault {
				kept = append(kept, f)
			}
		}
		faults = kept
	}
	if f := c.judgeEnvFile(in); f != nil {
		faults = append(faults, *f)
	}
	if len(faults) > 0 {
		return nil, &Faults{List: faults, Warnings: c.Warnings, partial: c}
	}
	return c, nil
}

// take reads one setting from the input into c, and returns its faults.
func (c *Config) take(s *setting, in *input) []Fault {
	r := &reading{c: c, setting: s, exposed: in.exposed}
	var fault *Fault
	if r.value, r.source, fault = in.find(s); fault != nil {
		return []Fault{*fault}
	}
	c.sources[s.name] = r.source
	if r.source == FromDefault {
		r.value = s.initial
		if s.derive != nil {
			r.value = s.derive(c)
		}
		if r.value != "" {
			s.field.read(r)
		}
		// A default can be wrong only because it follows a setting that is at
		// fault itself, and has been named for it.
		r.unread = len(r.faults) > 0
		r.faults = nil
	} else if r.unread = !r.printable() || !r.refuseMarks(); !r.unread {
		r.refusePlaceholders()
		before := len(r.faults)
		s.field.read(r)
		r.unread = len(r.faults) > before
		r.nameMarks(before)
		if r.source == FromFile {
			r.judgeSecretFile(in.secretFiles[s.name])
		}
		if r.placeholder {
			// It has to be replaced, whatever else is wrong with it.
			r.faults = r.faults[:before]
		}
	}
	if !r.unread && s.check != nil {
		s.check(r)
	}
	if !r.unread && s.safe != nil && c.Production() {
		s.safe(r)
	}
	c.Warnings = append(c.Warnings, r.warnings...)
	return r.faults
}
