package config

import (
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/internal/outbound"
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
		name: name, initial: initial, meaning: "An alert from here on: " + meaning + "; 0 is never.",
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
				r.refuse("It is no https URL of a host and a path, without a name in it.", "Write https://HOST/PATH.")
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
				r.refuse("It is not whsec_ and 24 to 64 bytes in base64.", "Make one with: echo whsec_$(openssl rand -base64 32)")
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
	const mend = "Write addresses with commas between them, such as ops@acme.com, oncall@acme.com."
	var list []string
	for word := range strings.SplitSeq(r.value, ",") {
		a, err := mail.ParseFrom(strings.TrimSpace(word))
		if err != nil || a.Name != "" {
			r.refuse("It holds something that is no address.", mend)
			return
		}
		if !slices.Contains(list, a.Address) {
			list = append(list, a.Address)
		}
	}
	if len(list) > mailToMost {
		r.refuse("It holds more than 10 addresses.", "Name a mailing list instead.")
		return
	}
	r.c.Alerts.MailTo = list
}

func checkMailTo(r *reading) {
	if len(r.c.Alerts.MailTo) > 0 && r.c.SMTPURL == "" && r.c.Production() {
		r.tell("Nobody is mailed: SMTP_URL is not set.")
	}
}

func checkWebhook(r *reading) {
	switch a := r.c.Alerts; {
	case a.WebhookURL != "" && a.WebhookSecret == "":
		r.refuse("It is not set, and ALERT_WEBHOOK_URL is: nobody could tell an alert from a stranger's words.", "Make one with: echo whsec_$(openssl rand -base64 32)")
	case a.WebhookURL == "" && a.WebhookSecret != "":
		r.tell("It is not used, since ALERT_WEBHOOK_URL is not set.")
	}
}
