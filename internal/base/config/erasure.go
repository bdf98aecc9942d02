package config

import "time"

// erasureSettings are the rows about accounts that are deleted.
var erasureSettings = []setting{
	{
		name: "ERASURE_GRACE_DAYS", initial: "14",
		meaning: "How long an account stays that its owner has deleted, or an administrator: any sign-in keeps it meanwhile. 0 to 30 days; 0 deletes at " +
			"once: see [guides/privacy.md](guides/privacy.md).",
		production: "0 is warned about",
		field:      span(0, 30, 24*time.Hour, func(c *Config) *time.Duration { return &c.ErasureGrace }),
		safe: func(r *reading) {
			if r.c.ErasureGrace == 0 {
				r.warn("Whoever comes to a signed-in session deletes the account, and nothing brings it back.")
			}
		},
	},
}
