package config

import (
	"net"
	"strings"
)

// Doctor says what the doctor can't know by itself.
type Doctor struct {
	// DKIMSelector is under which name the mail server's key for signatures stands in DNS; empty is not known.
	DKIMSelector string
	// TimeServer is a host, or host:port, that is asked for the time; empty for none.
	TimeServer string
	// Baseline is the file of the risks that are accepted; empty for none.
	Baseline string
}

// readSelector reads a name in DNS, or several with dots between them.
func readSelector(r *reading) {
	if !isHostName(r.value) {
		r.refuse("It is no DKIM selector.", "Write what s= says in the DKIM-Signature of a mail from your mail server.")
		return
	}
	r.c.Doctor.DKIMSelector = r.value
}

func readTimeServer(r *reading) {
	host := r.value
	if h, _, err := net.SplitHostPort(r.value); err == nil {
		host = h
	}
	if net.ParseIP(host) == nil && !isHostName(host) {
		r.refuse("It is no host, or host and port.", "Write a time server's name, such as the one that your machines follow.")
		return
	}
	r.c.Doctor.TimeServer = r.value
}

// isHostName reports whether it is letters, digits, hyphens and underscores, with dots between them.
func isHostName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return len(s) <= 253
}

// doctorSettings are the rows of what the doctor is told.
var doctorSettings = []setting{
	{
		name: "DOCTOR_BASELINE_FILE", unset: "none",
		meaning: "The file of the risks that you accept: what it names fails nothing until its day is over, at `gatehouse doctor`, in the console, by API, in the " +
			"metric and the alert. It is read at each look. See [the doctor](guides/doctor.md#risks-that-you-accept).",
		field: pathField(func(c *Config) *string { return &c.Doctor.Baseline }),
	},
	{
		name: "MAIL_DKIM_SELECTOR", unset: "none",
		meaning: "Under which name your mail server's DKIM key stands in DNS (`s=` in the DKIM-Signature of a mail), for [the doctor](guides/doctor.md) to look " +
			"at it. Without it the usual names are tried.",
		field: field{read: readSelector, show: func(c *Config) string { return c.Doctor.DKIMSelector }},
	},
	{
		name: "NTP_SERVER", unset: "none",
		meaning: "The time server that [the doctor](guides/doctor.md) compares this machine's clock with, by one question an hour: a host, or `host:port`. " +
			"Nothing is set by it.",
		field: field{read: readTimeServer, show: func(c *Config) string { return c.Doctor.TimeServer }},
	},
}
