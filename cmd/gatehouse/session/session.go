// Package session is gatehouse session: the commands of sessions, one file a command.
package session

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// Command is gatehouse session.
type Command struct {
	List listCommand `cmd:"" help:"List an account's active sessions, most recently used first."`
	End  endCommand  `cmd:"" help:"End one session, or all sessions of an account."`

	Revoke revokeCommand `cmd:"" help:"End all sessions that began before a time, came from a network, or exist at all."`
}

// Help implements kong.HelpProvider.
func (Command) Help() string {
	return `Running servers refuse all tokens of an ended session within a second.

Example:
  gatehouse session list ada@example.org`
}

// JSON is a session for programs.
type JSON struct {
	ID        string    `json:"id"`
	Account   string    `json:"account_id"`
	Device    string    `json:"device"`
	Network   string    `json:"network"`
	First     string    `json:"first_network"`
	FirstUsed time.Time `json:"first_used_at"`
	LastUsed  time.Time `json:"last_used_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// NewJSON returns sessions for programs.
func NewJSON(list []session.Info) []JSON {
	out := make([]JSON, 0, len(list))
	for _, s := range list {
		out = append(out, JSON{
			ID: s.ID, Account: s.Account, Device: s.UserAgent, Network: s.Address, First: s.FirstAddress,
			FirstUsed: s.BeganAt, LastUsed: s.UsedAt, ExpiresAt: s.EndsAt,
		})
	}
	return out
}
