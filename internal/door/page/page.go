// Package page is the door for people: pages of the kit (package ui) that work without script.
package page

import (
	"embed"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

//go:embed templates/*.html
var templateFiles embed.FS

// Pages are the templates of this door, and what all of them need to know.
type Pages struct {
	kit    *ui.Kit
	set    *ui.Set
	policy password.Policy
	// Asks knows what applications ask for on whose behalf people come; nil for none.
	Asks *Asking
	// Console is the origin that the console has to itself (ADMIN_URL), where /admin leads; empty for none.
	Console string
	// Buttons are the other providers by which people sign in.
	Buttons []providerButton
}

// SignInBy has the pages show buttons for other providers.
func (p *Pages) SignInBy(list []*upstream.Remote) {
	for _, r := range list {
		p.Buttons = append(p.Buttons, providerButton{r.ID, r.Name})
	}
}

// New reads the templates. policy is the one that new passwords must keep.
func New(kit *ui.Kit, policy password.Policy) (*Pages, error) {
	set, err := kit.Parse(templateFiles, samples())
	if err != nil {
		return nil, err
	}
	return &Pages{kit: kit, set: set, policy: policy}, nil
}

// Check tells what is wrong with a folder of templates: names that no page has, of this door or the others.
func (p *Pages) Check(others ...*ui.Set) error { return p.kit.Check(append(others, p.set)...) }

// Assets are what the pages load: style sheets and scripts; and where browsers send reports.
func Assets(k *ui.Kit) web.Routes {
	return web.Routes{"GET /assets/{file}": k.Asset, "POST " + ui.ReportPath: k.Report}
}

// view begins a page for a request. own is the person's language, as far as it is known.
func (p *Pages) view(r *http.Request, own ...string) *ui.View { return p.kit.View(r, own...) }

// asksForPasskeys are the pages whose scripts may.
var asksForPasskeys = map[string]bool{"login": true, "second": true, "enrol": true, "account": true}

// show writes a page.
func (p *Pages) show(w http.ResponseWriter, status int, v *ui.View, name string, data any) error {
	if asksForPasskeys[name] {
		web.AllowPasskeys(w.Header())
	}
	return p.set.Render(w, status, v, name, data)
}

// rules are those that a new password must keep.
func (p *Pages) rules(l *locale.Language) []ui.Rule {
	rules := []ui.Rule{
		{Text: l.Text("rule.length", "n", p.least()), Codes: "password_too_short"},
		{Text: l.Text("rule.known"), Codes: "password_breached"},
		{Text: l.Text("rule.personal"), Codes: "password_personal"},
	}
	q := p.policy.Require
	for _, more := range []struct {
		wanted    bool
		key, code string
	}{
		{q.Uppercase, "rule.uppercase", "password_needs_uppercase"}, {q.Lowercase, "rule.lowercase", "password_needs_lowercase"},
		{q.Digit, "rule.digit", "password_needs_digit"}, {q.Symbol, "rule.symbol", "password_needs_symbol"},
	} {
		if more.wanted {
			rules = append(rules, ui.Rule{Text: l.Text(more.key), Codes: more.code})
		}
	}
	return rules
}

// least is how many characters a new password has at the least.
func (p *Pages) least() int {
	if p.policy.MinLength == 0 {
		return password.DefaultMinLength
	}
	return p.policy.MinLength
}
