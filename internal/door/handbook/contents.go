package handbook

// part is a part of the table of contents, and its pages by their names in docs/.
type part struct {
	title string
	pages []string
}

// contents are all pages, in the order in which somebody needs them.
var contents = []part{
	{"Start", []string{"README", "guides/deploying", "production-checklist", "configuration"}},
	{"In front of applications", []string{
		"guides/applications", "guides/openid-connect", "guides/grafana", "guides/gitea", "guides/single-page-application", "guides/native-application",
		"guides/oauth2-proxy", "guides/mod-auth-openidc", "guides/mcp-server", "guides/other-providers", "guides/own-hosts",
		"guides/nginx", "guides/traefik", "guides/caddy", "guides/tls", "headers",
	}},
	{"People", []string{
		"guides/accounts", "guides/passwords", "guides/factors", "guides/passkeys", "guides/sessions", "guides/pages", "guides/mail", "guides/documents",
		"guides/privacy", "guides/administration", "guides/moving-here", "authorization",
	}},
	{"Operation", []string{
		"operations", "outages", "guides/replicas", "guides/postgresql", "guides/redis", "guides/moving-to-postgresql", "guides/backups", "guides/keys",
		"guides/retention",
		"guides/rate-limits", "guides/blocks", "guides/monitoring", "guides/alerts", "guides/events", "guides/tracing", "metrics", "events",
		"guides/load-testing", "performance", "scale",
	}},
	{"The bad day", []string{
		"guides/incidents", "runbooks/README", "runbooks/credential-stuffing", "runbooks/leaked-database", "runbooks/leaked-jwt-secret-key",
		"runbooks/lost-mail-domain", "runbooks/rogue-administrator", "runbooks/stolen-laptop", "runbooks/stolen-signing-key",
	}},
	{"Proof", []string{
		"guides/doctor", "checks", "compliance", "threat-model", "penetration-test", "scans", "host-hardening", "privacy", "asvs", "cryptography",
		"dependencies", "decisions",
	}},
}
