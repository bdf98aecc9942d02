package main

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
)

type configCalibrate struct {
	Most time.Duration `default:"300ms" help:"How long one hash may take. Every sign-in takes at least this long, and every guess costs as much."`
	JSON bool          `name:"json" help:"Print JSON."`
}

func (configCalibrate) Help() string {
	return `Run it on the machine that will serve, while nothing else is running there. An asterisk marks the strongest bcrypt and the strongest
argon2id setting within the limit. If even the weakest takes longer, that one is marked: nothing below it is safe.

Example:
  gatehouse config calibrate --most 250ms`
}

// measureJSON is a measure for programs.
type measureJSON struct {
	Settings     map[string]string `json:"settings"`
	Milliseconds float64           `json:"milliseconds"`
	PerSecond    float64           `json:"hashes_per_second"`
	Fits         bool              `json:"fits"`
}

// Run measures and prints.
func (c configCalibrate) Run(t *terminal.Terminal) error {
	if c.Most < 10*time.Millisecond || c.Most > 10*time.Second {
		return terminal.UsageError("--most must be between 10ms and 10s.")
	}
	var (
		rows  []measureJSON
		lines = [][]string{{"", "SETTINGS", "ONE HASH", "HASHES A SECOND"}}
	)
	for _, m := range password.Calibrate(c.Most) {
		settings, mark := map[string]string{"PASSWORD_HASH": "bcrypt", "BCRYPT_COST": fmt.Sprint(m.Cost)}, " "
		line := fmt.Sprintf("PASSWORD_HASH=bcrypt BCRYPT_COST=%d", m.Cost)
		if m.Cost == 0 {
			memory, passes := fmt.Sprint(m.Argon2.MemoryKiB>>10), fmt.Sprint(m.Argon2.Passes)
			settings = map[string]string{"PASSWORD_HASH": "argon2id", "ARGON2_MEMORY_MIB": memory, "ARGON2_PASSES": passes}
			line = "PASSWORD_HASH=argon2id ARGON2_MEMORY_MIB=" + memory + " ARGON2_PASSES=" + passes
		}
		if m.Fits {
			mark = "*"
		}
		rows = append(rows, measureJSON{settings, m.Took.Seconds() * 1000, m.PerSecond, m.Fits})
		lines = append(lines, []string{mark, line, m.Took.Round(time.Millisecond).String(), fmt.Sprintf("%.1f", m.PerSecond)})
	}
	if c.JSON {
		return terminal.JSONLines(t, rows)
	}
	return t.Table(lines)
}
