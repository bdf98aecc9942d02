package terminal

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// The exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1  // it did not work, or found something
	ExitUsage  = 2  // the words of the command are wrong
	ExitConfig = 78 // the settings are unsafe or broken (EX_CONFIG of sysexits.h)
)

// Report prints an error, with how to mend it, and returns the exit code.
func (t *Terminal) Report(err error) int {
	var (
		faults *config.Faults
		wrong  UsageError
	)
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &faults):
		fmt.Fprintf(t.Err, "%v\n", faults)
		return ExitConfig
	case errors.As(err, &wrong):
		fmt.Fprintf(t.Err, "gatehouse: %v\nSee: %s --help\n", err, t.Command)
		return ExitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(t.Err, "gatehouse: interrupted")
		return ExitFailed
	}
	f := fault.As(err)
	if f == nil {
		fmt.Fprintf(t.Err, "gatehouse: %v\n", err)
		return ExitFailed
	}
	code := ExitFailed
	if configCodes[f.Code] {
		code = ExitConfig
	}
	said := f.Because(nil).Error()
	if f.Code == "database_unavailable" {
		// The fault's own words are for those who sign in.
		if text, lasting := db.Explain(f.Err); text != "" {
			said = text
			if lasting {
				code = ExitConfig
			}
		}
	}
	fmt.Fprintf(t.Err, "gatehouse: %v\n", said)
	if f.Err != nil {
		fmt.Fprintf(t.Err, "cause: %v\n", f.Err)
	}
	return code
}

// configCodes are the faults that a change of the settings alone mends, or one of
// what they name: no later try will do better.
var configCodes = map[string]bool{
	"wrong_secret": true, "wrong_pepper": true, "database_url": true, "database_unsafe": true,
	"secret_exposed": true, "weak_certificate": true, "encrypted_key": true,
	"wrong_encoding": true, "database_read_only": true, "another_database": true, "not_a_database": true, "moved": true,
}

// UsageError is a command whose words can't be taken.
type UsageError string

func (e UsageError) Error() string { return string(e) }
