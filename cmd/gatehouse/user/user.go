// Package user is gatehouse user: the commands of accounts, one file a command.
package user

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// Command is gatehouse user.
type Command struct {
	Create   createCommand   `cmd:"" help:"Create an account."`
	List     listCommand     `cmd:"" help:"List accounts, oldest first."`
	Show     showCommand     `cmd:"" help:"Show an account and its sessions."`
	Disable  disableCommand  `cmd:"" help:"Disable an account and end its sessions."`
	Enable   enableCommand   `cmd:"" help:"Let a disabled account sign in again."`
	Verify   verifyCommand   `cmd:"" help:"Mark an account's email address as verified."`
	Repepper repepperCommand `cmd:"" help:"Seal all password hashes with the current pepper."`
	Unlock   unlockCommand   `cmd:"" help:"Lift the lockout that wrong passwords caused."`
	Factor   factorCommand   `cmd:"" help:"Remove second factors that somebody has lost."`
	Canary   canaryCommand   `cmd:"" help:"Turn an account into a canary: any use of it raises an alert."`
	Reset    resetCommand    `cmd:"" help:"Require an account's owner to set a new password, and end all sessions."`
	Roles    rolesCommand    `cmd:"" help:"Show or set an account's roles."`
	Export   exportCommand   `cmd:"" help:"Write a copy of all that is kept about somebody."`
	Erase    eraseCommand    `cmd:"" help:"Delete an account and all its data, after a wait."`
	Import   importCommand   `cmd:"" help:"Bring the accounts of another system here, with their passwords."`
	Release  releaseCommand  `cmd:"" help:"Keep an account that was to be deleted."`
}

// Help implements kong.HelpProvider.
func (Command) Help() string {
	return `These commands work while the server is running, which applies them within a second. An account is identified by its id or email address.

Example:
  gatehouse user create --admin ada@example.org`
}

// accountJSON is an account for programs.
type accountJSON struct {
	ID         string     `json:"id"`
	Email      string     `json:"email"`
	Name       string     `json:"name"`
	Locale     string     `json:"locale"`
	Roles      []string   `json:"roles"`
	CreatedAt  time.Time  `json:"created_at"`
	VerifiedAt *time.Time `json:"verified_at"`
	DisabledAt *time.Time `json:"disabled_at"`
	SignedInAt *time.Time `json:"signed_in_at"`
}

func newAccountJSON(a account.Account) accountJSON {
	return accountJSON{
		ID: a.ID, Email: a.Email, Name: a.Name, Locale: a.Locale, Roles: a.Roles, CreatedAt: a.CreatedAt,
		VerifiedAt: terminal.JSONTime(a.VerifiedAt), DisabledAt: terminal.JSONTime(a.DisabledAt), SignedInAt: terminal.JSONTime(a.SignedInAt),
	}
}

func state(a account.Account) string {
	switch {
	case !a.DisabledAt.IsZero():
		return "disabled"
	case a.VerifiedAt.IsZero():
		return "unverified"
	}
	return "active"
}
