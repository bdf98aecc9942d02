package app

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// setting is a check of the settings in force: bad is what is wrong with them, and mend what to set instead.
func setting(id, name, title string, s doctor.Severity, bad bool, mend, format string, args ...any) doctor.Check {
	return doctor.Check{ID: id, Name: name, Title: title, Severity: s, Ask: func(context.Context) doctor.Answer {
		if bad {
			return doctor.Fail(mend, format, args...)
		}
		return doctor.Pass(format, args...)
	}}
}

// settingsChecks judge the settings in force, as an auditor would who asks for the guide's values.
func settingsChecks(c *config.Config) []doctor.Check {
	return slices.Concat(tokenChecks(c), networkChecks(c), passwordChecks(c), limitChecks(c), watchChecks(c))
}

// longestAccess is the longest life of an access token that the guide allows.
const longestAccess = 30 * time.Minute

func tokenChecks(c *config.Config) []doctor.Check {
	made := "JWT_SECRET_KEY is set"
	if c.JWTSecretKey == "" {
		made = "JWT_SECRET_KEY is not set: the first start made one, beside the data, where a copy of the data takes it along"
	}
	symmetric := c.JWTAlgorithm == "HS256"
	return []doctor.Check{
		setting("JWT-1", "secret", "The root of all keys is not kept with the data", doctor.High, c.JWTSecretKey == "",
			"Set JWT_SECRET_KEY to what `gatehouse secret` prints, or to the one in the file jwt_secret_key so that nobody is signed out.", "%s", made),
		setting("JWT-1", "algorithm", "Applications verify tokens with a public key", doctor.Medium, symmetric,
			"Set JWT_ALGORITHM=ES256.", "JWT_ALGORITHM=%s", c.JWTAlgorithm),
		setting("JWT-2", "lifetime", "Access tokens live 30 minutes at most", doctor.High, c.AccessTokenLife > longestAccess,
			"Set ACCESS_TOKEN_EXPIRE_MINUTES=15.", "they live %s", c.AccessTokenLife),
		setting("JWT-4", "grace", "A replaced refresh token is taken for seconds only", doctor.Medium, c.RefreshReuseGrace > 30*time.Second,
			"Set REFRESH_REUSE_GRACE_SECONDS=10.", "its successor is handed out again for %s", c.RefreshReuseGrace),
	}
}

func networkChecks(c *config.Config) []doctor.Check {
	secure := strings.HasPrefix(c.PublicURL, "https://")
	proxied := len(c.TrustedProxies) > 0 || c.CloudflareProxies
	var plain, broad []string
	for _, o := range c.CORSOrigins {
		if !strings.HasPrefix(o, "https://") {
			plain = append(plain, o)
		}
	}
	for _, n := range c.TrustedProxies {
		if broadNetwork(n) {
			broad = append(broad, n.String())
		}
	}
	return []doctor.Check{
		setting("NET-1", "https", "People reach the service by HTTPS", doctor.Critical, !secure,
			"Set PUBLIC_URL to the https address, and TLS_CERT_FILE and TLS_KEY_FILE or TLS_ACME_DOMAINS, unless a proxy ends TLS.", "PUBLIC_URL is %s", c.PublicURL),
		setting("NET-1", "ends-tls", "Something ends TLS", doctor.High, secure && !c.OwnTLS() && !proxied,
			"Set TLS_CERT_FILE and TLS_KEY_FILE or TLS_ACME_DOMAINS; or TRUSTED_PROXIES, if a proxy ends TLS.",
			"own TLS: %t; trusted proxies: %t", c.OwnTLS(), proxied),
		setting("NET-2", "secure", "Cookies are Secure", doctor.High, !c.CookieSecure, "Set SESSION_COOKIE_SECURE=true.",
			"SESSION_COOKIE_SECURE=%t", c.CookieSecure),
		setting("NET-2", "http-only", "Scripts can't read cookies", doctor.High, !c.CookieHTTPOnly, "Set SESSION_COOKIE_HTTPONLY=true.",
			"SESSION_COOKIE_HTTPONLY=%t", c.CookieHTTPOnly),
		setting("NET-2", "same-site", "Cookies are not sent from other sites", doctor.Low, c.CookieSameSite != config.SameSiteStrict,
			"Set SESSION_COOKIE_SAMESITE=strict.", "SESSION_COOKIE_SAMESITE=%s", c.CookieSameSite),
		setting("NET-3", "origins", "CORS names https origins only", doctor.High, len(plain) > 0, "Name https origins in CORS_ORIGINS.",
			"%d origins, %d of them without TLS %s", len(c.CORSOrigins), len(plain), strings.Join(plain, ", ")),
		setting("NET-5", "proxies", "Only proxies are believed about addresses", doctor.High, len(broad) > 0,
			"Name the proxies' own addresses in TRUSTED_PROXIES.", "%d networks are trusted, %d of them as large as a provider's %s",
			len(c.TrustedProxies), len(broad), strings.Join(broad, ", ")),
		setting("ENV-1", "environment", "The rules of production hold", doctor.Critical, !c.Production(),
			"Set ENVIRONMENT=production: the start then refuses what is unsafe.", "ENVIRONMENT=%s", c.Environment),
		setting("ENV-1", "profiles", "Profiles are off", doctor.Low, c.AdminPprof, "Set ADMIN_PPROF=false once you have what you were looking for.",
			"ADMIN_PPROF=%t", c.AdminPprof),
		setting("COMP-1", "admin-networks", "Administration is open to known networks only", doctor.Medium, len(c.AdminNetworks) == 0,
			"Set ADMIN_NETWORKS to the networks that administrators work from.", "ADMIN_NETWORKS has %d networks", len(c.AdminNetworks)),
	}
}

// broadNetwork reports whether a network is larger than anybody's proxies are; private ones are not.
func broadNetwork(n netip.Prefix) bool {
	if n.Addr().IsPrivate() || n.Addr().IsLoopback() {
		return false
	}
	return n.Addr().Is4() && n.Bits() < 16 || n.Addr().Is6() && n.Bits() < 29
}

func passwordChecks(c *config.Config) []doctor.Check {
	const leastLength, leastCost, mostWrong = 8, 12, 5
	cheap := c.PasswordHash != "argon2id" && c.BcryptCost < leastCost
	how := fmt.Sprintf("%s, cost %d", c.PasswordHash, c.BcryptCost)
	if c.PasswordHash == "argon2id" {
		how = fmt.Sprintf("argon2id, %d MiB, %d passes", c.Argon2MemoryMiB, c.Argon2Passes)
	}
	return []doctor.Check{
		setting("PW-1", "length", "Passwords are long enough", doctor.High, c.PasswordMinLength < leastLength,
			"Set PASSWORD_MIN_LENGTH=15, or 8 where a second factor is used.", "PASSWORD_MIN_LENGTH=%d", c.PasswordMinLength),
		setting("PW-1", "expiry", "Passwords are not changed by the calendar", doctor.Low, c.PasswordLife > 0,
			"Unset PASSWORD_EXPIRE_DAYS: NIST SP 800-63B-4 3.1.1.2 advises against it.", "PASSWORD_EXPIRE_DAYS=%d", days(c.PasswordLife)),
		setting("PW-2", "cost", "Guessing stolen hashes is slow", doctor.High, cheap,
			"Set BCRYPT_COST=12 or more; `gatehouse config calibrate` measures.", "%s", how),
		setting("PW-3", "breach", "Passwords known to attackers are refused", doctor.High, c.PasswordBreach == config.BreachOff,
			"Set PASSWORD_BREACH=embedded.", "PASSWORD_BREACH=%s", c.PasswordBreach),
		setting("PW-4", "lockout", "Guessing slows down soon", doctor.Medium, c.LockoutAfter > mostWrong, "Set LOCKOUT_AFTER=5.",
			"a network waits after %d wrong passwords", c.LockoutAfter),
		setting("MAIL-1", "verification", "Nobody signs in with an address that is not theirs", doctor.High, c.EmailVerification != config.VerificationRequired,
			"Set EMAIL_VERIFICATION=required.", "EMAIL_VERIFICATION=%s", c.EmailVerification),
		setting("MAIL-2", "server", "Mails can be sent", doctor.High, c.SMTPURL == "", "Set SMTP_URL and MAIL_FROM; `gatehouse mail test ADDRESS` tries them.",
			"SMTP_URL is set: %t", c.SMTPURL != ""),
	}
}

func limitChecks(c *config.Config) []doctor.Check {
	// most is ten times the default: more than that is no limit to a guesser.
	limit := func(id, name, title, set string, l config.Limit, most int) doctor.Check {
		return setting(id, name, title, doctor.High, l.Count > most, fmt.Sprintf("Set %s to %d or less.", set, most), "%d in %s", l.Count, l.Window)
	}
	return []doctor.Check{
		limit("RATE-1", "sign-in", "Sign-ins are limited", "LOGIN_RATE_LIMIT_ATTEMPTS", c.LoginLimit, 50),
		limit("RATE-1", "registration", "Registrations are limited", "REGISTRATION_RATE_LIMIT_ATTEMPTS", c.RegistrationLimit, 50),
		limit("MAIL-3", "resets", "Reset mails are limited", "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS", c.ResetLimit, 30),
		setting("NET-4", "address", "One address holds no more than its share of connections", doctor.Medium, c.ConnectionsPerAddress == 0,
			"Unset CONNECTIONS_PER_ADDRESS.", "an address may hold %d at a time; 0 is any number", c.ConnectionsPerAddress),
		limit("RATE-2", "api", "Requests are limited", "API_RATE_LIMIT_REQUESTS", c.APILimit, 10_000),
	}
}

func watchChecks(c *config.Config) []doctor.Check {
	a := c.Alerts
	rule := func(id, name, title, set string, n int) doctor.Check {
		return setting(id, name, title, doctor.Medium, n == 0, "Unset "+set+", whose default raises an alert.", "%s=%d", set, n)
	}
	return []doctor.Check{
		setting("LOG-1", "event-key", "The key of the event log is not kept with the data", doctor.High, c.EventKey == "",
			"Set EVENT_KEY to what `gatehouse secret` prints, or to the one in the file event_key.", "EVENT_KEY is set: %t", c.EventKey != ""),
		setting("LOG-1", "anchor", "Checkpoints of the event log are kept somewhere else", doctor.Medium, c.EventAnchor == "",
			"Set EVENT_ANCHOR: whoever owns the database and EVENT_KEY could write another history.", "EVENT_ANCHOR is set: %t", c.EventAnchor != ""),
		setting("LOG-2", "notified", "Somebody is notified of alerts", doctor.High, a.WebhookURL == "" && len(a.MailTo) == 0,
			"Set ALERT_MAIL_TO or ALERT_WEBHOOK_URL; `gatehouse alert test` tries them.", "webhook: %t; addresses: %d", a.WebhookURL != "", len(a.MailTo)),
		rule("LOG-2", "failed-sign-ins", "Failed sign-ins raise an alert", "ALERT_FAILED_LOGINS", a.FailedLogins),
		rule("LOG-3", "registrations", "Registration spam raises an alert", "ALERT_REGISTRATIONS", a.Registrations),
		rule("LOG-4", "token-reuse", "Reused refresh tokens raise an alert", "ALERT_TOKEN_REUSES", a.Reuses),
		rule("LOG-5", "database-errors", "Database errors raise an alert", "ALERT_DATABASE_ERRORS", a.DatabaseErrors),
		rule("LOG-6", "rate-limits", "Exceeded limits raise an alert", "ALERT_RATE_LIMITS", a.RateLimits),
	}
}
