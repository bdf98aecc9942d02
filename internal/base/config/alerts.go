package config

import (
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// Alerts says from how many on an alert is raised, 0 for never, and where it is
// told.
type Alerts struct {
	WebhookURL, WebhookSecret Secret
	MailTo                    []string

	FailedLogins, UnusualLogins, Sprayed, Stuffed, Registrations, Reuses,
	Tampered, Introspections, DatabaseErrors, RateLimits int
}

// thresholdMost is below what the rules keep in mind.
const thresholdMost = 4000

func threshold(name, initial, meaning string, at func(*Alerts) *int) setting {
	return setting{
		name: name, initial: initial, meaning: "The threshold for an alert: " + meaning + "; 0 is never.",
		field: number(0, thresholdMost, "", func(c *Config) *int { return at(&c.Alerts) }),
	}
}

// webhook is a field for the URL of a webhook, which may hold a token.
func webhook(at func(*Config) *Secret) field {
	return field{
		read: func(r *reading) {
			if !r.printable() {
				return
			}
			u, err := outbound.Parse(r.value)
			if err != nil || !strings.HasPrefix(u.Scheme, "http") || u.User != nil || u.Fragment != "" {
				r.refuse("It is not an https URL of a host and a path, without a user name.", "Write https://HOST/PATH.")
				return
			}
			*at(r.c) = Secret(r.value)
		},
		show: func(c *Config) string { return at(c).Reveal() },
	}
}

func webhookSecret(at func(*Config) *Secret) field {
	return field{
		read: func(r *reading) {
			if _, err := outbound.ParseWebhookSecret(r.value); err != nil {
				r.refuse("It is not whsec_ and 24 to 64 bytes in base64.", "Generate one with: echo whsec_$(openssl rand -base64 32)")
				return
			}
			*at(r.c) = Secret(r.value)
		},
		show: func(c *Config) string { return at(c).Reveal() },
	}
}

// mailToMost is how many addresses alerts may be mailed to.
const mailToMost = 10

func readMailTo(r *reading) {
	const mend = "Write addresses separated by commas, such as ops@acme.com, oncall@acme.com."
	var list []string
	for word := range strings.SplitSeq(r.value, ",") {
		a, err := mail.ParseFrom(strings.TrimSpace(word))
		if err != nil || a.Name != "" {
			r.refuse("It contains something that is not an address.", mend)
			return
		}
		if !slices.Contains(list, a.Address) {
			list = append(list, a.Address)
		}
	}
	if len(list) > mailToMost {
		r.refuse("It has more than 10 addresses.", "Name a mailing list instead.")
		return
	}
	r.c.Alerts.MailTo = list
}

func checkMailTo(r *reading) {
	if len(r.c.Alerts.MailTo) > 0 && r.c.SMTPURL == "" && r.c.Production() {
		r.warn("Nobody is mailed: SMTP_URL is not set.")
	}
}

func checkWebhook(r *reading) {
	switch a := r.c.Alerts; {
	case a.WebhookURL != "" && a.WebhookSecret == "":
		r.refuse("It is not set, and ALERT_WEBHOOK_URL is: nobody could tell an alert from a forged one.", "Generate one with: echo whsec_$(openssl rand "+
			"-base64 32)")
	case a.WebhookURL == "" && a.WebhookSecret != "":
		r.warn("It is not used, since ALERT_WEBHOOK_URL is not set.")
	}
}

// alertSettings are the rows of the table about alerts and the log of events.
var alertSettings = []setting{
	{
		name: "ALERT_WEBHOOK_URL", cover: covered, unset: "none",
		meaning: "Where alerts are posted, signed as Standard Webhooks: `https://HOST/PATH`. See [guides/alerts.md](guides/alerts.md).",
		field:   webhook(func(c *Config) *Secret { return &c.Alerts.WebhookURL }),
	},
	{
		name: "ALERT_WEBHOOK_SECRET", cover: covered, unset: "none",
		meaning: "The secret that signs them: `whsec_` and 24 to 64 random bytes in base64, as in `echo whsec_$(openssl rand -base64 32)`.",
		field:   webhookSecret(func(c *Config) *Secret { return &c.Alerts.WebhookSecret }),
		check:   checkWebhook,
	},
	threshold("ALERT_FAILED_LOGINS", "200", "how many failed sign-ins within 15 minutes", func(a *Alerts) *int { return &a.FailedLogins }),
	threshold("ALERT_FAILED_LOGINS_UNUSUAL", "40", "how many failed sign-ins within an hour, if that is 4 times as many as at the worst same hour of "+
		"the last 7 days", func(a *Alerts) *int { return &a.UnusualLogins }),
	threshold("ALERT_SPRAYED_ACCOUNTS", "20", "how many addresses that one network fails at within an hour", func(a *Alerts) *int { return &a.Sprayed }),
	threshold("ALERT_STUFFED_ACCOUNTS", "100", "how many addresses that 20 networks or more fail at within an hour, two tries failing for each that "+
		"succeeds", func(a *Alerts) *int { return &a.Stuffed }),
	threshold("ALERT_REGISTRATIONS", "50", "how many accounts opened within an hour", func(a *Alerts) *int { return &a.Registrations }),
	threshold("ALERT_TOKEN_REUSES", "3", "how many replaced refresh tokens used within an hour", func(a *Alerts) *int { return &a.Reuses }),
	threshold("ALERT_TAMPERED_TOKENS", "100", "how many tokens that are not ours within 15 minutes", func(a *Alerts) *int { return &a.Tampered }),
	threshold("ALERT_INTROSPECTION_FAILURES", "20", "how many wrong credentials of clients within 15 minutes", func(a *Alerts) *int { return &a.Introspections }),
	threshold("ALERT_DATABASE_ERRORS", "10", "how many requests that failed on the database within 15 minutes", func(a *Alerts) *int { return &a.DatabaseErrors }),
	threshold("ALERT_RATE_LIMITS", "500", "how many requests that met a limit within 15 minutes", func(a *Alerts) *int { return &a.RateLimits }),
	{
		name: "ALERT_MAIL_TO", unset: "none",
		meaning: "Who is mailed about alerts: addresses, comma-separated, 10 at most. See [guides/alerts.md](guides/alerts.md).",
		field:   field{read: readMailTo, show: func(c *Config) string { return strings.Join(c.Alerts.MailTo, ", ") }},
		check:   checkMailTo,
	},
	{
		name: "EVENT_KEY", cover: covered, unset: "generated at the first start, and stored next to the database",
		meaning: "The secret that signs the checkpoints of the event log: 32 random characters or more, the same on every replica. " +
			"`gatehouse secret` prints one. See " +
			"[guides/events.md](guides/events.md).",
		field: pepper(func(c *Config) *Secret { return &c.EventKey }),
	},
	{
		name: "EVENT_ANCHOR", cover: covered, unset: "none",
		meaning: "Where each checkpoint of the event log is sent, so that nobody can rewrite the log unnoticed: `file:PATH`, `https://…`, or " +
			"`syslog+tls://HOST:PORT`; `?ca=PATH` names an authority of your own.",
		field: place(func(c *Config) *Secret { return &c.EventAnchor }),
	},
	{
		name: "EVENT_FORWARD", cover: covered, unset: "none",
		meaning: "Where each event is sent, at least once, as a line of JSON, in the form of EVENT_ANCHOR.",
		field:   place(func(c *Config) *Secret { return &c.EventForward }),
	},
}
