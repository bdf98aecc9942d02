package config

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// everybody is what SECOND_FACTOR says for all accounts.
const everybody = "*"

var roleName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,31}$`)

// readSecondFactor takes none, or roles.
func readSecondFactor(r *reading) {
	if strings.EqualFold(r.value, "none") {
		return
	}
	var roles []string
	for item := range strings.SplitSeq(r.value, ",") {
		item = strings.TrimSpace(item)
		if role := strings.TrimSuffix(item, ByPasskey); role != everybody && !roleName.MatchString(role) {
			r.refuse("It is neither none nor a list of roles.",
				"Write none, * for everybody, or roles with commas between them, each with :passkey if it must be one: admin:passkey,support.")
			return
		}
		if !slices.Contains(roles, item) {
			roles = append(roles, item)
		}
	}
	r.c.SecondFactor = roles
}

func showSecondFactor(c *Config) string {
	if len(c.SecondFactor) == 0 {
		return "none"
	}
	return strings.Join(c.SecondFactor, ",")
}

// ByPasskey follows a role whose second factor must be a passkey.
const ByPasskey = ":passkey"

// SecondFactorRoles are the roles that must have a second factor, and whether everybody must; with
// keys, those for whom it must be a passkey.
func (c *Config) SecondFactorRoles(keys bool) (roles []string, all bool) {
	for _, item := range c.SecondFactor {
		role, key := strings.CutSuffix(item, ByPasskey)
		switch {
		case keys && !key:
		case role == everybody:
			all = true
		default:
			roles = append(roles, role)
		}
	}
	return roles, all
}

// factorSettings are the rows about second factors.
var factorSettings = []setting{
	{
		name: "SECOND_FACTOR", initial: "none",
		derive: func(c *Config) string {
			if c.Production() {
				return "admin,support"
			}
			return "none"
		},
		meaning: "Which roles must have a second factor: `none`, `*` for everybody, or roles with commas between them, such as `admin,support`; " +
			"`:passkey` behind one says that it must be a passkey. Who signs in with one of them and has none is led to adding one, and gets no session " +
			"before: see [guides/factors.md](guides/factors.md).",
		production: "`admin,support`; `none` is warned about",
		field:      field{read: readSecondFactor, show: showSecondFactor},
		safe: func(r *reading) {
			if len(r.c.SecondFactor) == 0 {
				r.warn("Administrators sign in with a password alone. Write admin,support.")
			}
		},
	},
	{
		name: "SECOND_FACTOR_GRACE_DAYS", initial: "0",
		meaning: "For how many days people can put off adding the second factor that SECOND_FACTOR asks of them: from their first sign-in under the rule on, at " +
			"most 90. Whoever has the role admin can't.",
		field: span(0, 90, day, func(c *Config) *time.Duration { return &c.FactorGrace }),
	},
	{
		name: "PASSKEY_RP_ID", initial: "PUBLIC_URL's host", derive: rpID, unset: "none: PUBLIC_URL is an IP address",
		meaning: "The host that passkeys are made for (the WebAuthn RP ID); where PUBLIC_URL is a loopback address, `localhost`. Passkeys of another host still " +
			"count as second factors, and open nothing: see [guides/passkeys.md](guides/passkeys.md).",
		production: "a parent domain of PUBLIC_URL's host is warned about, and a public suffix refused",
		field:      field{read: readRPID, show: func(c *Config) string { return c.PasskeyRPID }},
		safe:       safeRPID,
	},
	{
		name: "PASSKEY_ORIGINS", unset: "none",
		meaning: "Origins beside PUBLIC_URL that may use its passkeys, with commas between them: `https://app.example.com`, or `android:apk-key-hash:` and " +
			"the hash of an app's key. `/.well-known/webauthn` names the former to browsers.",
		field: field{read: readPasskeyOrigins, show: func(c *Config) string { return strings.Join(c.PasskeyOrigins, ",") }},
	},
	{
		name: "PASSKEYS", initial: "on",
		meaning:    "Whether people can sign in with passkeys: `on`, `second` for behind a password only, or `off`.",
		production: "none where PUBLIC_URL is an IP address, which is warned about",
		field:      choice(func(c *Config) *Passkeys { return &c.Passkeys }, nil, PasskeysOn, PasskeysSecond, PasskeysOff),
		check:      checkPasskeys,
		safe: func(r *reading) {
			if r.c.PasskeyRPID == "" && r.c.Passkeys != PasskeysOff {
				r.warn("There are no passkeys, since PUBLIC_URL is an IP address.")
			}
		},
	},
	{
		name: "PASSWORDLESS", initial: "off",
		meaning: "Whether an account may have no password: `on` lets people register with their address and a passkey, and remove their password. See " +
			"[guides/passkeys.md](guides/passkeys.md).",
		field: field{read: readPasswordless, show: showPasswordless},
		check: checkPasswordless,
	},
	{
		name: "FACTOR_RESET_WAIT_HOURS", initial: "24",
		meaning:    "How long an operator's reset of somebody's second factors waits, in which the owner can stop it: 1 to 168 hours.",
		production: "under 24 is warned about",
		field:      span(1, 168, time.Hour, func(c *Config) *time.Duration { return &c.FactorResetWait }),
		safe: func(r *reading) {
			if r.c.FactorResetWait < 24*time.Hour {
				r.warn("Its owner may not read the mail in time that lets them stop a reset.")
			}
		},
	},
	{
		name: "TOTP_ISSUER", initial: "SERVICE_NAME", derive: func(c *Config) string { return strings.ReplaceAll(c.ServiceName, ":", "") },
		meaning: "What an app that shows codes calls this service: see [guides/factors.md](guides/factors.md). At most 60 characters, without a colon.",
		field:   field{read: readIssuer, show: func(c *Config) string { return c.TOTPIssuer }},
	},
}
