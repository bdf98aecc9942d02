package api

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// People are accounts as administrators see them, and their sessions.
type People struct {
	Administrators
	People *operate.People
	Audit  *operate.Audit
}

// Routes are its operations.
func (a *People) Routes() web.Routes {
	return web.Routes{
		"GET /v1/admin/users":                           a.administrator(operate.Reads, a.users),
		"POST /v1/admin/users":                          a.administrator(operate.Changes, a.invite),
		"GET /v1/admin/users/{id}":                      a.administrator(operate.Reads, a.user),
		"POST /v1/admin/users/{id}/disable":             a.act(operate.ActDisable),
		"POST /v1/admin/users/{id}/enable":              a.act(operate.ActEnable),
		"POST /v1/admin/users/{id}/end-sessions":        a.act(operate.ActEndSessions),
		"POST /v1/admin/users/{id}/reset":               a.act(operate.ActReset),
		"POST /v1/admin/users/{id}/unlock":              a.act(operate.ActUnlock),
		"POST /v1/admin/users/{id}/verify":              a.act(operate.ActVerify),
		"POST /v1/admin/users/{id}/resend-verification": a.act(operate.ActResend),
		"PUT /v1/admin/users/{id}/roles":                a.act(operate.ActRoles),
		"POST /v1/admin/users/{id}/factor-reset":        a.act(operate.ActFactorReset),
		"DELETE /v1/admin/users/{id}/factor-reset":      a.administrator(operate.Needs(operate.ActFactorKeep), a.keepFactors),
		"GET /v1/admin/sessions":                        a.administrator(operate.Reads, a.sessions),
		"POST /v1/admin/sessions/end":                   a.administrator(operate.Changes, a.endSessions),
		"POST /v1/admin/sessions/{id}/end":              a.administrator(operate.Helps, a.endSession),
	}
}

// userAnswer is an account in a list.
type userAnswer struct {
	ID         string        `json:"id"`
	Email      string        `json:"email"`
	Name       string        `json:"name"`
	Locale     string        `json:"locale"`
	Roles      []string      `json:"roles"`
	State      account.State `json:"state"`
	CreatedAt  string        `json:"created_at"`
	VerifiedAt *string       `json:"verified_at"`
	DisabledAt *string       `json:"disabled_at"`
	SignedInAt *string       `json:"signed_in_at"`
	ResetDue   bool          `json:"reset_due"`
}

func answerUser(r account.Row) userAnswer {
	return userAnswer{
		ID: r.ID, Email: r.Email, Name: r.Name, Locale: r.Locale, Roles: append([]string{}, r.Roles...), State: r.State(), CreatedAt: stamp(r.CreatedAt),
		VerifiedAt: stampOrNull(r.VerifiedAt), DisabledAt: stampOrNull(r.DisabledAt), SignedInAt: stampOrNull(r.SignedInAt), ResetDue: r.ResetDue,
	}
}

// mostText is the longest text that is searched for, in bytes.
const mostText = 200

func (a *People) users(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	q, limit, err := limited(r, "cursor", "q", "role", "state")
	if err != nil {
		return err
	}
	wanted := account.Wanted{Text: q.Get("q"), Role: q.Get("role"), State: account.State(q.Get("state")), After: q.Get("cursor")}
	if len(wanted.Text) > mostText {
		return fault.Field("q", "text_too_long", "The text has at most %d bytes.", mostText)
	}
	if wanted.State != "" && !slices.Contains(account.States(), wanted.State) {
		return fault.Field("state", "invalid_state", "The state is active, unverified, reset_due or disabled.")
	}
	if wanted.Role != "" {
		if _, err := account.ParseRoles([]string{wanted.Role}); err != nil {
			return fault.Field("role", "invalid_role", "No role is called so.")
		}
	}
	found, err := a.People.Search(r.Context(), wanted, limit)
	if err != nil {
		return err
	}
	out := struct {
		Users []userAnswer `json:"users"`
		Count int          `json:"count"`
		Exact bool         `json:"count_is_exact"`
		Next  string       `json:"next_cursor,omitempty"`
	}{Users: make([]userAnswer, 0, len(found.List)), Count: found.Count, Exact: found.Exact, Next: found.Next}
	for _, one := range found.List {
		out.Users = append(out.Users, answerUser(one))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// livingAnswer is a session as administrators see it.
type livingAnswer struct {
	ID        string `json:"id"`
	Account   string `json:"account"`
	UserAgent string `json:"user_agent"`
	Address   string `json:"address"`
	BeganAt   string `json:"began_at"`
	UsedAt    string `json:"used_at"`
	EndsAt    string `json:"ends_at"`
}

func answerLiving(list []session.Info) []livingAnswer {
	out := make([]livingAnswer, 0, len(list))
	for _, i := range list {
		out = append(out, livingAnswer{
			ID: i.ID, Account: i.Account, UserAgent: i.UserAgent, Address: i.Address, BeganAt: stamp(i.BeganAt), UsedAt: stamp(i.UsedAt), EndsAt: stamp(i.EndsAt),
		})
	}
	return out
}

// timelineSize is how many events an account is shown with; the list of events has
// the others.
const timelineSize = 20

func (a *People) user(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	p, err := a.People.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	events, _, err := a.Audit.Search(r.Context(), event.Filter{Account: p.ID}, timelineSize)
	if err != nil {
		return err
	}
	out := struct {
		userAnswer
		PasswordSetAt string           `json:"password_set_at"`
		LockedOut     bool             `json:"locked_out"`
		Tries         int              `json:"wrong_tries"`
		KnownTries    int              `json:"wrong_tries_known_devices"`
		Devices       int64            `json:"known_devices"`
		Links         int64            `json:"open_links"`
		Factors       []factor.Kind    `json:"second_factors"`
		Codes         int              `json:"recovery_codes_left"`
		FactorsDue    *string          `json:"factor_reset_due_at"`
		EraseAt       *string          `json:"erase_at"`
		Consents      []consentAnswer  `json:"consents"`
		Identities    []identityAnswer `json:"identities"`
		Sessions      []livingAnswer   `json:"sessions"`
		Events        []auditAnswer    `json:"events"`
	}{
		userAnswer: answerUser(p.Row), PasswordSetAt: stamp(p.PasswordAt), LockedOut: p.LockedOut(), Tries: p.Tries.Unknown, KnownTries: p.Tries.Known,
		Factors: p.Factors.Factors(), Codes: p.Factors.CodesLeft, FactorsDue: stampOrNull(p.Factors.ResetDue), EraseAt: stampOrNull(p.Erasure.At),
		Devices: p.Devices, Links: p.Links, Consents: answerConsents(p.Consents), Identities: answerIdentities(p.Identities), Sessions: answerLiving(p.Sessions),
		Events: make([]auditAnswer, 0, len(events)),
	}
	for _, e := range events {
		out.Events = append(out.Events, answerEvent(e))
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

func (a *People) invite(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Email  string   `json:"email"`
		Locale string   `json:"locale"`
		Roles  []string `json:"roles"`
		Reason string   `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	made, err := a.People.Invite(r.Context(), operate.Invitation{Email: in.Email, Locale: in.Locale, Roles: in.Roles}, in.Reason, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, answerUser(account.Row{Account: made}))
}

// touchesAnswer is what a change touches: counted before it, and all that was done if it
// is no dry run.
type touchesAnswer struct {
	DryRun  bool  `json:"dry_run"`
	Touches count `json:"touches"`
	Sample  struct {
		People   []personAnswer `json:"people"`
		Sessions []livingAnswer `json:"sessions"`
	} `json:"sample"`
}

type count struct {
	People   int64 `json:"people"`
	Sessions int64 `json:"sessions"`
	Devices  int64 `json:"known_devices"`
	Links    int64 `json:"links"`
	Exact    bool  `json:"exact"`
}

// personAnswer is somebody in a few words.
type personAnswer struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

func answerTouches(t operate.Touches, dry bool) touchesAnswer {
	out := touchesAnswer{DryRun: dry, Touches: count{t.People, t.Sessions, t.Devices, t.Links, t.Exact}}
	out.Sample.People, out.Sample.Sessions = []personAnswer{}, answerLiving(t.Sample)
	for _, p := range t.Examples {
		out.Sample.People = append(out.Sample.People, personAnswer{p.ID, p.Email, p.Name})
	}
	return out
}

// dryRun reports whether only a count is asked for.
func dryRun(r *http.Request) (bool, error) {
	q, err := web.Query(r, "dry_run")
	if err != nil {
		return false, err
	}
	switch q.Get("dry_run") {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, fault.Field("dry_run", "malformed_parameter", "It is true or false.")
}

// act is the operation that does an action to an account.
func (a *People) act(action string) web.Handler {
	return a.administrator(operate.Needs(action), func(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
		dry, err := dryRun(r)
		if err != nil {
			return err
		}
		act := operate.Act{Action: action, Account: r.PathValue("id"), DryRun: dry}
		if action == operate.ActRoles {
			var in struct {
				Roles  []string `json:"roles"`
				Reason string   `json:"reason"`
			}
			if err := web.Decode(w, r, &in); err != nil {
				return err
			}
			if in.Roles == nil {
				return fault.Field("roles", "required", "Name all the roles that it is to have, in a list that may be empty.")
			}
			act.Why, act.Roles = in.Reason, in.Roles
		} else {
			var in struct {
				Reason string `json:"reason"`
			}
			if err := web.Decode(w, r, &in); err != nil {
				return err
			}
			act.Why = in.Reason
		}
		t, err := a.People.Do(r.Context(), act, who, web.Origin(r))
		if err != nil {
			return err
		}
		return web.WriteJSON(w, http.StatusOK, answerTouches(t, dry))
	})
}

// keepFactors takes a reset back that waits.
func (a *People) keepFactors(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	q, err := web.Query(r, "reason")
	if err != nil {
		return err
	}
	act := operate.Act{Action: operate.ActFactorKeep, Account: r.PathValue("id"), Why: q.Get("reason")}
	if _, err := a.People.Do(r.Context(), act, who, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// which reads which sessions are meant from a query or a body.
func which(accountID, network, before string) (w operate.Which, err error) {
	if accountID != "" {
		if id, err := uuid.Parse(accountID); err != nil || id.String() != accountID {
			return w, fault.Field("account", "invalid_account", "The account is the id of one.")
		}
		w.Account = accountID
	}
	if network != "" {
		if w.Network, err = parseNetwork(network); err != nil {
			return w, err
		}
	}
	if before != "" {
		w.Before, err = instant("before", "invalid_time", before)
	}
	return w, err
}

func (a *People) sessions(w http.ResponseWriter, r *http.Request, _ flow.Identity) error {
	q, cursor, limit, err := filtered(r, "account", "network", "before")
	if err != nil {
		return err
	}
	wanted, err := which(q.Get("account"), q.Get("network"), q.Get("before"))
	if err != nil {
		return err
	}
	list, next, err := a.People.Sessions(r.Context(), wanted, cursor, limit)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		Sessions []livingAnswer `json:"sessions"`
		Next     string         `json:"next_cursor,omitempty"`
	}{answerLiving(list), next})
}

func (a *People) endSession(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if err := a.People.EndSession(r.Context(), r.PathValue("id"), in.Reason, who, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *People) endSessions(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	var in struct {
		Account  string `json:"account"`
		Network  string `json:"network"`
		Before   string `json:"before"`
		Reason   string `json:"reason"`
		Expected int64  `json:"expected_sessions"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	wanted, err := which(in.Account, in.Network, in.Before)
	if err != nil {
		return err
	}
	if wanted.Before.After(time.Now()) {
		return fault.Field("before", "invalid_time", "The time lies ahead.")
	}
	t, err := a.People.End(r.Context(), operate.EndMany{Which: wanted, Why: in.Reason, DryRun: dry, Expected: in.Expected}, who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, answerTouches(t, dry))
}

// parseNetwork reads an address or a network in CIDR form.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return n, fault.Field("network", "invalid_network", "This is no address and no network. Write it like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48.")
	}
	return n.Masked(), nil
}
