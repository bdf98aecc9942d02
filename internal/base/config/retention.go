package config

import (
	"regexp"
	"strconv"
	"time"
)

// Retention says for how long what is over is kept.
type Retention struct {
	// Profile is what else the lengths have to satisfy.
	Profile RetentionProfile
	// Tokens is for links and codes after their end, Sessions for sessions, Logs for
	// events after they happened.
	Tokens, Sessions, Logs time.Duration
	// Inactive is after how long without a sign-in an account goes; zero for never.
	Inactive time.Duration
}

// RetentionProfile is a standard that says how long a log is kept.
type RetentionProfile string

// The profiles.
const (
	ProfileNone RetentionProfile = "none"
	ProfilePCI  RetentionProfile = "pci"
)

// What the lengths can be at least. The database itself keeps the log for 30 days; the three
// mails to an inactive person begin 60 days before the end, and twelve months are PCI DSS 10.5.1's.
const (
	leastLogs     = 30 * day
	leastInactive = 180 * day
	leastPCI      = 366 * day
	mostKept      = 10 * 365 * day
)

var spanForm = regexp.MustCompile(`^([0-9]{1,5})([dwmy])$`)

// spanUnits are the units of a length like 90d; a month has 30 days, a year 365.
var spanUnits = map[string]time.Duration{"d": day, "w": 7 * day, "m": 30 * day, "y": 365 * day}

// kept is a field that holds how long something is kept, like 90d.
func kept(least time.Duration, never bool, at func(*Config) *time.Duration) field {
	return field{
		read: func(r *reading) {
			mend := "Write it like 90d, 12w, 6m or 2y."
			if never {
				mend = "Write it like 90d, 12w, 6m or 2y, or never."
				if r.value == neverWord {
					*at(r.c) = 0
					return
				}
			}
			m := spanForm.FindStringSubmatch(r.value)
			if m == nil {
				r.refuse("It is not a number with d, w, m or y behind it.", mend)
				return
			}
			n, _ := strconv.Atoi(m[1]) // five digits at most
			switch d := time.Duration(n) * spanUnits[m[2]]; {
			case n > int(mostKept/spanUnits[m[2]]):
				r.refuse("It is more than ten years.", mend)
			case d < least:
				r.refuse("It is less than "+showKept(least)+".", "Write "+showKept(least)+" or more.")
			default:
				*at(r.c) = d
			}
		},
		show: func(c *Config) string { return showKept(*at(c)) },
	}
}

// neverWord is for what is kept for good.
const neverWord = "never"

func showKept(d time.Duration) string {
	switch {
	case d == 0:
		return neverWord
	case d%spanUnits["y"] == 0:
		return strconv.FormatInt(int64(d/spanUnits["y"]), 10) + "y"
	}
	return strconv.FormatInt(int64(d/day), 10) + "d"
}

// retentionSettings are the rows of the table about how long things are kept.
var retentionSettings = []setting{
	{
		name: "RETENTION_PROFILE", initial: "none",
		meaning: "`pci` keeps the event log for twelve months at least, as PCI DSS 10.5.1 asks, and changes the default of RETENTION_LOGIN_LOGS to that.",
		field:   choice(func(c *Config) *RetentionProfile { return &c.Retention.Profile }, nil, ProfileNone, ProfilePCI),
	},
	{
		name: "RETENTION_EXPIRED_TOKENS", initial: "7d",
		meaning: "For how long links and codes in mails, and counts of tries at codes, stay after their end: like `7d`, `2w`, `6m` or `2y`. See " +
			"[guides/retention.md](guides/retention.md).",
		field: kept(day, false, func(c *Config) *time.Duration { return &c.Retention.Tokens }),
	},
	{
		name: "RETENTION_LOGIN_LOGS", initial: "90d", derive: func(c *Config) string {
			if c.Retention.Profile == ProfilePCI {
				return showKept(leastPCI)
			}
			return "90d"
		},
		meaning: "For how long events stay in the log: 30 days at least, which the database itself holds to. Their hashes stay.",
		field:   kept(leastLogs, false, func(c *Config) *time.Duration { return &c.Retention.Logs }),
		check: func(r *reading) {
			if r.c.Retention.Profile == ProfilePCI && r.c.Retention.Logs > 0 && r.c.Retention.Logs < leastPCI {
				r.refuse("RETENTION_PROFILE=pci asks for twelve months.", "Remove it, or write "+showKept(leastPCI)+" or more.")
			}
		},
	},
	{
		name: "RETENTION_INACTIVE_ACCOUNTS", initial: "2y",
		meaning: "After how long without a sign-in an account is deleted, once three mails have announced it: 180 days at least, or `never`. Accounts " +
			"with a role, and disabled ones, stay.",
		field: kept(leastInactive, true, func(c *Config) *time.Duration { return &c.Retention.Inactive }),
	},
	{
		name: "RETENTION_SESSION_DATA", initial: "30d",
		meaning: "For how long a session's row, with its device and network, stays after the session has ended.",
		field:   kept(day, false, func(c *Config) *time.Duration { return &c.Retention.Sessions }),
	},
}
