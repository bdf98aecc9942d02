// Package console is the door for administrators: /admin, where they see how the
// service fares, find people, and help them. Every page works without script; each
// change is first a page that says what it touches (docs/authorization.md has who may
// do what).
package console

import (
	"context"
	"embed"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

//go:embed templates/*.html
var files embed.FS

// Console is its pages.
type Console struct {
	Kit          *ui.Kit
	Cookies      *web.Cookies
	Authenticate *application.Authenticate
	Administrate *operate.Administrate
	People       *operate.People
	Audit        *operate.Audit
	Operations   *operate.Operations
	Blocks       *operate.Blocks
	Alerts       *alert.Admin
	Incidents    *respond.Desk
	Profile      *flow.Profile
	// Host is its own, where it has one (ADMIN_URL); nil for none.
	Host *Host
	// Installation is the second line of the brand: the environment.
	Installation string
	// Doctor judges the deployment.
	Doctor func(ctx context.Context) doctor.Report
	// Retention is what deletes what is kept long enough.
	Retention *retention.Keeper
	// Exporter writes copies of all data of an account.
	Exporter *privacy.Exporter
	// Rules are the rules over the event log, with what is set for each.
	Rules []Rule
	Now   func() time.Time
	// Stopping is closed when the server takes no more work.
	Stopping <-chan struct{}

	pages *ui.Set
}

// Rule is a rule over the event log.
type Rule struct{ Name, About string }

// New reads its templates.
func New(c *Console) (*Console, error) {
	var err error
	c.pages, err = c.Kit.Parse(files, nil)
	return c, err
}

// Routes are its pages.
func (c *Console) Routes() web.Routes {
	all := c.routes()
	maps.Copy(all, c.incidentRoutes())
	maps.Copy(all, c.scopeRoutes())
	return all
}

func (c *Console) routes() web.Routes {
	return web.Routes{
		"GET /admin":                       c.page(operate.Reads, c.overview),
		"GET /admin/find":                  c.page(operate.Reads, c.find),
		"GET /admin/help":                  c.page(operate.Reads, c.help),
		"GET /admin/people":                c.page(operate.Reads, c.people),
		"GET /admin/people/new":            c.page(operate.Reads, c.invite),
		"POST /admin/people/new":           c.page(operate.Changes, c.doInvite),
		"GET /admin/people/{id}":           c.page(operate.Reads, c.person),
		"GET /admin/people/{id}/{action}":  c.page(operate.Reads, c.ask),
		"POST /admin/people/{id}/{action}": c.page(operate.Reads, c.doAct),
		"GET /admin/sessions/end":          c.page(operate.Reads, c.askEnd),
		"POST /admin/sessions/end":         c.page(operate.Changes, c.doEnd),
		"GET /admin/events":                c.page(operate.Reads, c.events),
		"GET /admin/events/live":           c.page(operate.Reads, c.live),
		"GET /admin/events/{id}":           c.page(operate.Reads, c.event),
		"GET /admin/alerts":                c.page(operate.Reads, c.alerts),
		"GET /admin/alerts/silence":        c.page(operate.Reads, c.askSilence),
		"POST /admin/alerts/silence":       c.page(operate.Changes, c.doSilence),
		"GET /admin/blocks":                c.page(operate.Reads, c.blocks),
		"GET /admin/blocks/new":            c.page(operate.Reads, c.askBlock),
		"POST /admin/blocks/new":           c.page(operate.Changes, c.doBlock),
		"GET /admin/blocks/{id}/end":       c.page(operate.Reads, c.askUnblock),
		"POST /admin/blocks/{id}/end":      c.page(operate.Changes, c.doUnblock),
		"GET /admin/keys":                  c.page(operate.Reads, c.keys),
		"GET /admin/keys/rotate":           c.page(operate.Reads, c.askRotate),
		"POST /admin/keys/rotate":          c.page(operate.Changes, c.doRotate),
		"GET /admin/clients/new":           c.page(operate.Reads, c.askClient),
		"POST /admin/clients/new":          c.page(operate.Changes, c.doClient),
		"GET /admin/clients/{id}":          c.page(operate.Reads, c.client),
		"POST /admin/clients/{id}":         c.page(operate.Changes, c.doSettings),
		"GET /admin/clients/{id}/disable":  c.page(operate.Reads, c.askDisable),
		"POST /admin/clients/{id}/disable": c.page(operate.Changes, c.doDisable),
		"GET /admin/clients/{id}/enable":   c.page(operate.Reads, c.askEnable),
		"POST /admin/clients/{id}/enable":  c.page(operate.Changes, c.doEnable),
		"GET /admin/clients/{id}/secret":   c.page(operate.Reads, c.askSecret),
		"POST /admin/clients/{id}/secret":  c.page(operate.Changes, c.doSecret),
		"GET /admin/clients/{id}/delete":   c.page(operate.Reads, c.askDelete),
		"POST /admin/clients/{id}/delete":  c.page(operate.Changes, c.doDelete),
		"GET /admin/resources/new":         c.page(operate.Reads, c.askResource),
		"POST /admin/resources/new":        c.page(operate.Changes, c.doResource),
		"GET /admin/resource":              c.page(operate.Reads, c.resource),
		"POST /admin/resource":             c.page(operate.Changes, c.doSetResource),
		"GET /admin/resource/delete":       c.page(operate.Reads, c.askNoResource),
		"POST /admin/resource/delete":      c.page(operate.Changes, c.doNoResource),
		"GET /admin/mail":                  c.page(operate.Reads, c.mail),
		"POST /admin/mail":                 c.page(operate.Changes, c.doRetry),
		"GET /admin/settings":              c.page(operate.Reads, c.settings),
		"GET /admin/doctor":                c.page(operate.Reads, c.doctor),
		"GET /admin/retention":             c.page(operate.Reads, c.retention),
		"GET /admin/retention/pause":       c.page(operate.Reads, c.askPause),
		"POST /admin/retention/pause":      c.page(operate.Changes, c.doPause),
		"GET /admin/retention/resume":      c.page(operate.Reads, c.askResume),
		"POST /admin/retention/resume":     c.page(operate.Changes, c.doResume),
	}
}

// desk is a request of somebody who may see the page.
type desk struct {
	*Console
	w   http.ResponseWriter
	r   *http.Request
	who flow.Identity
	v   *ui.View
	me  account.Account
	in  map[string]string // the form's fields
}

// fields are those of all forms of the console.
var fields = []string{
	"csrf_token", "reason", "number", "email", "locale", "roles", "network", "for", "confirm", "rule", "name", "keep", "before", "id", "dead",
	"title", "text", "lessons", "step", "action", "users", "since", "minutes", "all", "doors", "back", "alert",
	"type", "redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri",
	"backchannel_logout_session_required", "first_party", "require_roles", "require_acr", "require_par", "pkce_optional", "lean_id_token", "id_token_alg",
	"response_modes", "jwks", "jwks_uri", "shown", "resources", "default_resource", "scopes", "serves", "uri", "open",
}

// page lets those through who may see it, and for a change those whose form it is.
// Others are led to the sign-in, and back.
func (c *Console) page(need operate.Need, show func(*desk) error) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		from := web.Origin(r)
		if err := c.Administrate.Network(from); err != nil {
			return err
		}
		who, err := c.caller(r)
		if fault.KindOf(err) == fault.Unauthenticated {
			return c.signIn(w, r, false, "")
		}
		if err != nil {
			return err
		}
		web.SetAccount(r, who.Account)
		d := &desk{Console: c, w: w, r: r, who: who}
		if r.Method == http.MethodPost {
			if d.in, err = web.Form(w, r, fields...); err != nil {
				return err
			}
			if err := c.Cookies.CheckCSRF(r, who.Session, d.in["csrf_token"]); err != nil {
				return err
			}
		}
		if err := c.Administrate.Do(who, need, from); err != nil {
			if f := fault.As(err); f != nil && f.Code == "sign_in_again" {
				return c.signIn(w, r, true, d.in["back"])
			}
			return err
		}
		if d.me, err = c.Profile.Me(r.Context(), who); err != nil {
			return err
		}
		d.v = c.Kit.View(r, d.me.Locale)
		d.v.CSRF = c.Cookies.CSRF(who.Session)
		if c.Host != nil {
			d.v.FormTo = c.Host.Public // a form leads there whose sign-in is not of late
		}
		w.Header().Set("Cache-Control", "no-store")
		return show(d)
	}
}

// caller tells who makes a request; a fault of kind Unauthenticated is for nobody.
func (c *Console) caller(r *http.Request) (flow.Identity, error) {
	if c.Host != nil {
		return c.Authenticate.Console(r.Context(), c.Cookies.Entered(r), web.Origin(r))
	}
	with := flow.Tokens{Access: c.Cookies.Access(r), Refresh: c.Cookies.Refresh(r)}
	if with.Access+with.Refresh == "" {
		return flow.Identity{}, flow.ErrInvalidRefresh
	}
	return c.Authenticate.Browser(r.Context(), with, web.Origin(r))
}

// signIn leads to the sign-in page, and back to this one, which for a change is its
// preview: at back, which the form names if that has a query; else without one, where script may put in what was typed. again is for who is
// signed in, but not of late.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request, again bool, back string) error {
	to := r.URL.RequestURI()
	if r.Method == http.MethodPost {
		if to = r.URL.Path + "?kept"; backTo(back, r.URL.Path) {
			to = back
		}
	}
	if again && c.Host != nil {
		return seeOther(w, beginFresh(to))
	}
	return seeOther(w, c.signInAt(to, again))
}

func (c *Console) signInAt(to string, again bool) string {
	if c.Host != nil {
		return beginAt(to, again)
	}
	q := url.Values{"return_to": {to}}
	if again {
		q.Set("again", "1")
	}
	return "/login?" + q.Encode()
}

func seeOther(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// rules reports whether who is signed in may change things.
func (d *desk) rules() bool { return d.who.By() == "administrator" }

// may reports whether who is signed in may do what needs this, once they have signed in
// of late.
func (d *desk) may(need operate.Need) bool { return need != operate.Changes || d.rules() }

// show renders a page at the desk; where is the link of the side bar that is current.
func (d *desk) show(name, where string, data any) error {
	return d.showStatus(http.StatusOK, name, where, data)
}

func (d *desk) showStatus(status int, name, where string, data any) error {
	d.v.Side = d.side(where)
	return d.pages.Render(d.w, status, d.v, name, data)
}

// side is the side bar.
func (d *desk) side(where string) *ui.Side {
	v := d.v
	name := d.me.Name
	if name == "" {
		name = d.me.Email
	}
	s := &ui.Side{
		Find: "/admin/find", Name: name, Initials: initials(name), Role: d.who.By(), Installation: d.Installation,
		SignIn: d.signInAt(d.r.URL.RequestURI(), true),
	}
	if d.r.Method == http.MethodPost {
		s.SignIn = d.signInAt(d.r.URL.Path, true)
	}
	if left := d.who.AuthAt.Add(flow.FreshSignIn).Sub(d.Now()); left > 0 {
		s.Unlocked = left
	}
	alerts := ui.SideLink{Href: "/admin/alerts", Text: v.T("desk.alerts"), Icon: "bell"}
	if list, _, _, err := d.Alerts.List(d.r.Context(), "", true, 50); err == nil && len(list) > 0 {
		alerts.Tag, alerts.TagLevel, alerts.TagText = v.L.Number(int64(len(list))), "bad", v.T("desk.open")
	}
	s.Groups = []ui.SideGroup{
		{Links: []ui.SideLink{
			{Href: "/admin", Text: v.T("desk.overview"), Icon: "view"},
			{Href: "/admin/people", Text: v.T("desk.people"), Icon: "users"},
			{Href: "/admin/events", Text: v.T("desk.events"), Icon: "log"},
			alerts,
			{Href: "/admin/blocks", Text: v.T("desk.blocks"), Icon: "ban"},
		}},
		{ID: "run", Title: v.T("desk.run"), Links: []ui.SideLink{
			{Href: "/admin/incidents", Text: v.T("desk.incidents"), Icon: "flag"},
			{Href: "/admin/doctor", Text: v.T("desk.doctor"), Icon: "doctor"},
			{Href: "/admin/keys", Text: v.T("desk.keys"), Icon: "key"},
			{Href: "/admin/mail", Text: v.T("desk.mail"), Icon: "mail"},
			{Href: "/admin/retention", Text: v.T("desk.retention"), Icon: "clock"},
			{Href: "/admin/settings", Text: v.T("desk.settings"), Icon: "sliders"},
			{Href: "/admin/help", Text: v.T("desk.help"), Icon: "info"},
		}},
	}
	for _, g := range s.Groups {
		for i := range g.Links {
			g.Links[i].Current = g.Links[i].Href == where
		}
	}
	return s
}

// initials are at most two letters of a name.
func initials(name string) string {
	var out string
	for word := range strings.FieldsSeq(name) {
		for _, r := range word {
			out += strings.ToUpper(string(r))
			break
		}
		if len([]rune(out)) == 2 {
			break
		}
	}
	return out
}

// query returns the query's parameters that a page knows. What a page does not know is
// passed over: links get old.
func (d *desk) query() url.Values { return d.r.URL.Query() }

// done leads on after a change, to a page that says what was done.
func (d *desk) done(to, what string) error {
	sign := "?"
	if strings.Contains(to, "?") {
		sign = "&"
	}
	return seeOther(d.w, to+sign+"done="+url.QueryEscape(what))
}

// said is what was done, by the word in the address.
func (d *desk) said() string {
	v := d.v
	switch d.query().Get("done") {
	case operate.ActDisable:
		return v.T("done.disabled")
	case operate.ActEnable:
		return v.T("done.enabled")
	case operate.ActEndSessions:
		return v.T("done.ended")
	case operate.ActReset:
		return v.T("done.reset")
	case operate.ActUnlock:
		return v.T("done.unlocked")
	case operate.ActVerify:
		return v.T("done.verified")
	case operate.ActResend:
		return v.T("done.resent")
	case operate.ActRoles:
		return v.T("done.roles")
	case operate.ActFactorReset:
		return v.T("done.factors")
	case operate.ActFactorKeep:
		return v.T("done.factors-kept")
	case operate.ActErase:
		return v.T("done.erased")
	case operate.ActKeep:
		return v.T("done.kept")
	case operate.ActInvite:
		return v.T("done.invited")
	case operate.ActBlock:
		return v.T("done.blocked")
	case operate.ActUnblock:
		return v.T("done.unblocked")
	case operate.ActSilence:
		return v.T("done.silenced")
	case operate.ActRetryMail:
		return v.T("done.retried")
	case operate.ActRotateKey:
		return v.T("done.rotated")
	case operate.ActPause:
		return v.T("done.paused")
	case operate.ActResume:
		return v.T("done.resumed")
	case operate.ActNewClient:
		return v.T("done.client-registered")
	case operate.ActSetClient:
		return v.T("done.client-changed")
	case operate.ActNoClient:
		return v.T("done.deleted")
	case operate.ActNewResource:
		return v.T("done.resource-registered")
	case operate.ActSetResource:
		return v.T("done.resource-changed")
	case operate.ActNoResource:
		return v.T("done.resource-deleted")
	}
	return ""
}

// find leads to what somebody looks for: a person, an event's network, or a request.
func (c *Console) find(d *desk) error {
	q := strings.TrimSpace(d.query().Get("q"))
	to := "/admin/people?" + url.Values{"q": {q}}.Encode()
	if n, err := parseNetwork(q); err == nil {
		to = "/admin/events?" + url.Values{"network": {n.String()}}.Encode()
	} else if isID(q) {
		if _, err := c.People.Show(d.r.Context(), q); err == nil {
			to = "/admin/people/" + q
		} else if _, err := c.Audit.Show(d.r.Context(), q); err == nil {
			to = "/admin/events/" + q
		}
	}
	return seeOther(d.w, to)
}

func (c *Console) help(d *desk) error { return d.show("help", "/admin/help", nil) }
