package page

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Unlock is where the link of a lockout's mail leads.
type Unlock struct {
	Forms
	Unlock *flow.Unlock
}

// Routes are its pages.
func (p *Unlock) Routes() web.Routes {
	return web.Routes{
		"GET /unlock":  p.unlock,
		"POST /unlock": p.doUnlock,
	}
}

// unlock shows one button: nothing happens by opening the link, which scanners of
// mails do. Its token is in the fragment, which no proxy and no log sees.
func (p *Unlock) unlock(w http.ResponseWriter, r *http.Request) error {
	if e, n, ok := p.ended(r); ok {
		return p.showDone(w, r, e, n, passkeySignal{})
	}
	return p.show(w, http.StatusOK, p.view(r), "unlock", linkView{})
}

// doUnlock makes this browser a known device of the account.
func (p *Unlock) doUnlock(w http.ResponseWriter, r *http.Request) error {
	v, shown := p.view(r), linkView{}
	in, err := p.form(w, r, "token")
	if err != nil {
		return p.fail(w, v, "unlock", shown, p.blame(v, r, err), err)
	}
	shown.Given = strings.TrimSpace(in["token"])
	known, err := p.Unlock.Do(r.Context(), shown.Given, web.Origin(r))
	if err != nil {
		return p.fail(w, v, "unlock", shown, p.blame(v, r, err), err)
	}
	p.Cookies.PutDevice(w, r, known.Name, known.Value, known.Life)
	return p.end(w, stepKnown, "")
}
