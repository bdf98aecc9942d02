package privacy

import (
	"encoding/hex"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// What a copy has, as schema.json describes it. What is not here does not get in.

type accountOut struct {
	ID         string   `json:"id"`
	Email      string   `json:"email"`
	Name       string   `json:"name"`
	Locale     string   `json:"locale"`
	Roles      []string `json:"roles"`
	CreatedAt  string   `json:"created_at"`
	VerifiedAt string   `json:"verified_at,omitempty"`
	DisabledAt string   `json:"disabled_at,omitempty"`
	SignedInAt string   `json:"signed_in_at,omitempty"`
	PasswordAt string   `json:"password_set_at"`
	ResetDue   bool     `json:"new_password_due"`
	EraseAt    string   `json:"to_be_deleted_at,omitempty"`
	EraseWhy   string   `json:"to_be_deleted_why,omitempty"`
}

func newAccount(d account.Detail, due account.Erasure) accountOut {
	return accountOut{
		ID: d.ID, Email: d.Email, Name: d.Name, Locale: d.Locale, Roles: d.Roles, CreatedAt: stamp(d.CreatedAt), VerifiedAt: stampOrNone(d.VerifiedAt),
		DisabledAt: stampOrNone(d.DisabledAt), SignedInAt: stampOrNone(d.SignedInAt), PasswordAt: stamp(d.PasswordAt), ResetDue: d.ResetDue,
		EraseAt: stampOrNone(due.At), EraseWhy: string(due.Why),
	}
}

type factorsOut struct {
	App       *appOut      `json:"app,omitempty"`
	Passkeys  []passkeyOut `json:"passkeys"`
	CodesLeft int          `json:"recovery_codes_left"`
}

type appOut struct {
	AddedAt string `json:"added_at"`
	UsedAt  string `json:"used_at,omitempty"`
}

type passkeyOut struct {
	Name       string   `json:"name"`
	Host       string   `json:"host"`
	Maker      string   `json:"aaguid"`
	Transports []string `json:"transports"`
	MayCopy    bool     `json:"may_be_copied"`
	Copied     bool     `json:"copied"`
	AddedAt    string   `json:"added_at"`
	UsedAt     string   `json:"used_at,omitempty"`
	SuspectAt  string   `json:"suspended_at,omitempty"`
}

func newFactors(o factor.Owned) factorsOut {
	out := factorsOut{Passkeys: []passkeyOut{}, CodesLeft: o.CodesLeft}
	if o.App != nil {
		out.App = &appOut{stamp(o.App.MadeAt), stampOrNone(o.App.UsedAt)}
	}
	for _, k := range o.Keys {
		out.Passkeys = append(out.Passkeys, passkeyOut{
			Name: k.Name, Host: k.RPID, Maker: k.AAGUID, Transports: append([]string{}, k.Transports...), MayCopy: k.Eligible, Copied: k.BackedUp,
			AddedAt: stamp(k.MadeAt), UsedAt: stampOrNone(k.UsedAt), SuspectAt: stampOrNone(k.SuspectAt),
		})
	}
	return out
}

type identityOut struct {
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
	Email    string `json:"email"`
	LinkedAt string `json:"linked_at"`
	UsedAt   string `json:"used_at"`
}

func newIdentities(list []upstream.Identity) []identityOut {
	out := make([]identityOut, 0, len(list))
	for _, i := range list {
		out = append(out, identityOut{i.Issuer, i.Subject, i.Email, stamp(i.LinkedAt), stamp(i.UsedAt)})
	}
	return out
}

type sessionOut struct {
	ID          string   `json:"id"`
	UserAgent   string   `json:"user_agent"`
	Device      string   `json:"device"`
	Address     string   `json:"address"`
	LastAddress string   `json:"last_address,omitempty"`
	Network     string   `json:"network"`
	Roles       []string `json:"roles"`
	AMR         []string `json:"amr"`
	BeganAt     string   `json:"began_at"`
	UsedAt      string   `json:"used_at"`
	EndedAt     string   `json:"ended_at,omitempty"`
	EndedWhy    string   `json:"ended_why,omitempty"`
}

func newSession(s session.Kept) sessionOut {
	return sessionOut{
		ID: s.ID, UserAgent: s.UserAgent, Device: session.DeviceName(s.UserAgent), Address: s.FirstAddress, LastAddress: s.LastAddress, Network: s.Network,
		Roles: s.Roles, AMR: s.AMR, BeganAt: stamp(s.BeganAt), UsedAt: stamp(s.UsedAt), EndedAt: stampOrNone(s.EndedAt), EndedWhy: s.EndedWhy,
	}
}

type deviceOut struct {
	KnownSince string `json:"known_since"`
	SeenAt     string `json:"seen_at"`
}

func newDevices(list []lockout.Device) []deviceOut {
	out := make([]deviceOut, 0, len(list))
	for _, d := range list {
		out = append(out, deviceOut{stamp(d.KnownSince), stamp(d.SeenAt)})
	}
	return out
}

type consentOut struct {
	Document    string `json:"document"`
	Version     int64  `json:"version"`
	Hash        string `json:"sha256"`
	Language    string `json:"language,omitempty"`
	How         string `json:"how"`
	GivenAt     string `json:"given_at"`
	WithdrawnAt string `json:"withdrawn_at,omitempty"`
}

func newConsents(list []consent.Consent) []consentOut {
	out := make([]consentOut, 0, len(list))
	for _, c := range list {
		out = append(out, consentOut{c.Document, c.Version, hex.EncodeToString(c.Hash), c.Language, string(c.How), stamp(c.GivenAt), stampOrNone(c.WithdrawnAt)})
	}
	return out
}

type grantOut struct {
	ID        string   `json:"id"`
	Client    string   `json:"client_id"`
	Scope     string   `json:"scope"`
	Resource  string   `json:"resource,omitempty"`
	Roles     []string `json:"roles"`
	AMR       []string `json:"amr"`
	Offline   bool     `json:"offline"`
	AuthAt    string   `json:"signed_in_at"`
	GivenAt   string   `json:"given_at"`
	StartedAt string   `json:"started_at,omitempty"`
	UsedAt    string   `json:"used_at,omitempty"`
	EndedAt   string   `json:"ended_at,omitempty"`
	EndedWhy  string   `json:"ended_why,omitempty"`
}

func newGrant(g grant.Kept) grantOut {
	return grantOut{
		g.ID, g.Client, g.Scope, g.Resource, g.Roles, g.AMR, g.Offline, stamp(g.AuthAt), stamp(g.GivenAt), stampOrNone(g.StartedAt), stampOrNone(g.UsedAt),
		stampOrNone(g.Ended), g.EndedWhy,
	}
}

type agreementOut struct {
	Client    string              `json:"client_id"`
	Scope     string              `json:"scope"`
	Resources map[string][]string `json:"resources,omitempty"`
	GivenAt   string              `json:"given_at"`
}

func newAgreements(list []grant.Agreement) []agreementOut {
	out := make([]agreementOut, 0, len(list))
	for _, a := range list {
		out = append(out, agreementOut{a.Client, a.Scope, a.Resources, stamp(a.GivenAt)})
	}
	return out
}

type whereOut struct {
	Client string `json:"client_id"`
	Since  string `json:"since"`
}

func newWhere(list []grant.Where) []whereOut {
	out := make([]whereOut, 0, len(list))
	for _, w := range list {
		out = append(out, whereOut{w.Client, stamp(w.Since)})
	}
	return out
}

type linkOut struct {
	Purpose   string `json:"purpose"`
	Address   string `json:"address,omitempty"`
	ExpiresAt string `json:"expires_at"`
	UsedAt    string `json:"used_at,omitempty"`
}

func newLinks(list []ticket.Listed) []linkOut {
	out := make([]linkOut, 0, len(list))
	for _, t := range list {
		out = append(out, linkOut{string(t.Purpose), t.Address, stamp(t.ExpiresAt), stampOrNone(t.UsedAt)})
	}
	return out
}

type mailOut struct {
	Kind     string `json:"kind"`
	QueuedAt string `json:"queued_at"`
	SentAt   string `json:"sent_at,omitempty"`
}

// eventOut is an event without who else had to do with it: who acted on the account is told by their office.
type eventOut struct {
	ID        string   `json:"id"`
	Time      string   `json:"time"`
	Event     string   `json:"event"`
	Outcome   string   `json:"outcome"`
	Session   string   `json:"session_id,omitempty"`
	Address   string   `json:"address,omitempty"`
	UserAgent string   `json:"user_agent,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	By        string   `json:"by,omitempty"`
	Action    string   `json:"action,omitempty"`
	Why       string   `json:"why,omitempty"`
	Fields    []string `json:"fields,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	Factor    string   `json:"factor,omitempty"`
	Count     int64    `json:"count,omitempty"`
}

func newEvent(e event.Entry) eventOut {
	d := e.Detail
	out := eventOut{
		ID: e.ID, Time: stamp(e.Time), Event: string(e.Kind), Outcome: string(e.Outcome), Session: e.Session, Address: e.Address, UserAgent: e.UserAgent,
		Reason: d.Reason, By: d.By, Action: d.Action, Why: d.Why, Fields: d.Fields, Roles: d.Roles, AMR: d.AMR, Factor: d.Factor, Count: d.Count,
	}
	if d.By != "" { // it came from where that person sits
		out.Address, out.UserAgent = "", ""
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func stampOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}
