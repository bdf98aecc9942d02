package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Approvals is how many people the gravest actions take.
type Approvals string

// What APPROVALS may be.
const (
	ApprovalsOne Approvals = "one"
	ApprovalsTwo Approvals = "two"
)

// SecondApproves reports whether the gravest actions wait for a second person.
func (c *Config) SecondApproves() bool { return c.Approvals == ApprovalsTwo }

func readAdminNetworks(r *reading) {
	var networks []netip.Prefix
	for word := range strings.FieldsFuncSeq(r.value, func(c rune) bool { return c == ',' || c == ' ' }) {
		n, ok := readNetwork(word)
		if !ok {
			r.refuse("It contains something that is neither an address nor a network.",
				"Write addresses and networks separated by commas, such as 10.8.0.0/16, 2001:db8::/48.")
			return
		}
		if !slices.Contains(networks, n) {
			networks = append(networks, n)
		}
	}
	r.c.AdminNetworks = networks
}

// readAdminURL takes an origin.
func readAdminURL(r *reading) {
	origin, problem, mend := anOrigin(r.value)
	if problem != "" {
		r.refuse("It "+problem+".", mend)
		return
	}
	r.c.AdminURL = origin
}

// checkAdminURL holds the console's own host against the others: what it is for is that nothing else is there.
func checkAdminURL(r *reading) {
	c := r.c
	if c.AdminURL == "" {
		return
	}
	secure, host := strings.HasPrefix(c.AdminURL, "https://"), hostOf(c.AdminURL)
	switch {
	case host == hostOf(c.PublicURL):
		r.refuse("Its host is PUBLIC_URL's: browsers send the cookies of one to the other, whatever the port is.",
			"Give the console a name of its own, such as https://admin.example.com, or remove ADMIN_URL.")
	case slices.ContainsFunc(c.CORSOrigins, func(origin string) bool { return hostOf(origin) == host }):
		r.refuse("Its host is an application's, by CORS_ORIGINS.", "Give the console a name of its own, such as https://admin.example.com.")
	case secure != strings.HasPrefix(c.PublicURL, "https://"):
		r.refuse("One of it and PUBLIC_URL is https, and the other is not.", "Have people reach both by https.")
	case len(c.ACMEDomains) > 0 && !slices.Contains(c.ACMEDomains, host):
		r.refuse("Its host is none of TLS_ACME_DOMAINS, so the certificate would not be for it.", "Name its host there too.")
	}
	if c.JWTIssuer != c.PublicURL {
		r.warn("Nobody can come in to the console: the sign-in to it is one of OpenID Connect, which is off where JWT_ISSUER is not PUBLIC_URL. " +
			"Remove JWT_ISSUER or ADMIN_URL.")
	}
}

// hostOf returns the host of an origin, without its port.
func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// tokenCharacters are those of a bearer token (RFC 6750 section 2.1).
const tokenCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/-="

func readClientRegistrationToken(r *reading) {
	if len(r.value) < 32 || strings.ContainsFunc(r.value, func(c rune) bool { return !strings.ContainsRune(tokenCharacters, c) }) {
		r.refuse("It is shorter than 32 characters, or has some that are no letters, digits and . _ ~ + / -.", "Generate one with: gatehouse secret")
		return
	}
	r.c.ClientRegistrationToken = Secret(r.value)
}

// adminSettings are the rows about administration.
var adminSettings = []setting{
	{
		name: "ADMIN_NETWORKS", unset: "any",
		meaning: "Where administration is allowed from: addresses and networks, comma-separated, such as those of your VPN. `/admin` and `/v1/admin` " +
			"are refused from anywhere else, with 403 `admin_network`. Behind a proxy the client's address counts, so TRUSTED_PROXIES must name it.",
		field: field{read: readAdminNetworks, show: func(c *Config) string {
			var words []string
			for _, n := range c.AdminNetworks {
				words = append(words, n.String())
			}
			return strings.Join(words, ", ")
		}},
	},
	{
		name: "ADMIN_URL", unset: "none: the console is on PUBLIC_URL",
		meaning: "A host that the console has to itself: scheme, host and optionally a port. `/admin` answers there and nowhere else, people sign in on PUBLIC_URL " +
			"all the same, and the two share no cookie; `/v1/admin` then takes access tokens in the Authorization header alone: see " +
			"[guides/administration.md](guides/administration.md#a-host-of-its-own). A host of PUBLIC_URL's or of CORS_ORIGINS is refused.",
		production: "https only",
		field:      field{read: readAdminURL, show: func(c *Config) string { return c.AdminURL }},
		check:      checkAdminURL,
	},
	{
		name: "APPROVALS", initial: "one",
		meaning: "How many people the gravest actions take. With `two`, what ends everybody's sessions, revokes keys, replaces secrets, closes signing in or " +
			"disables many accounts waits until somebody else approves it: see [guides/incidents.md](guides/incidents.md#two-people). It holds for the commands " +
			"too, so every machine needs it that they are run on.",
		field: choice(func(c *Config) *Approvals { return &c.Approvals }, nil, ApprovalsOne, ApprovalsTwo),
	},
	{
		name: "CLIENTS_FILE", unset: "none",
		meaning: "A file that describes applications, which are registered and changed at every start: see [guides/openid-connect.md](guides/openid-connect.md). " +
			"What it described before and does not any more is disabled. A file that can't be used is refused at the start.",
		field: pathField(func(c *Config) *string { return &c.ClientsFile }),
	},
	{
		name: "UPSTREAMS_FILE", unset: "none",
		meaning: "A file that describes other providers by which people sign in here, such as Google or the one of your organisation: see " +
			"[guides/other-providers.md](guides/other-providers.md). A file that can't be used is refused at the start.",
		field: pathField(func(c *Config) *string { return &c.UpstreamsFile }),
	},
	{
		name: "CLIENT_REGISTRATION", initial: "off",
		meaning: "Whether applications register themselves (RFC 7591), as MCP clients do: `off`; `token`: those that show CLIENT_REGISTRATION_TOKEN; `open`: " +
			"any. They keep no secret, people are asked each time, and they may have tokens for open resources alone: see " +
			"[guides/mcp-server.md](guides/mcp-server.md).",
		field: choice(func(c *Config) *ClientRegistration { return &c.ClientRegistration }, nil, ClientRegistrationOff, ClientRegistrationToken,
			ClientRegistrationOpen),
	},
	{
		name: "CLIENT_REGISTRATION_TOKEN", cover: covered, unset: "none",
		meaning: "What an application shows to register itself where CLIENT_REGISTRATION is `token`: at least 32 characters, as `gatehouse secret` makes them.",
		field:   field{read: readClientRegistrationToken, show: func(c *Config) string { return c.ClientRegistrationToken.Reveal() }},
		check: func(r *reading) {
			if r.c.ClientRegistration == ClientRegistrationToken && r.c.ClientRegistrationToken == "" {
				r.refuse("CLIENT_REGISTRATION is token, and there is none.", "Generate one with: gatehouse secret")
			}
		},
	},
}
