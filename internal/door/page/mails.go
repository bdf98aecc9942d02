package page

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Mails is what development shows at /dev/mail.
type Mails struct {
	Forms
	Mails *flow.Mails
}

// Routes are its pages.
func (p *Mails) Routes() web.Routes { return web.Routes{"GET /dev/mail": p.mails} }

// mails shows the mails that development sends nowhere. Whoever comes under a name
// that is no name of this machine's gets nothing: it could be another site's page,
// whose name was made to point here.
func (p *Mails) mails(w http.ResponseWriter, r *http.Request) error {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && "http://"+r.Host != p.Cookies.Origin && "https://"+r.Host != p.Cookies.Origin {
		return fault.New(fault.Denied, "forbidden", "Open this page under the address of this machine, or under PUBLIC_URL.")
	}
	list, err := p.Mails.Do(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return render(w, http.StatusOK, "mails.html", list)
}
