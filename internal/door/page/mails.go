package page

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Mails is what development shows at /dev/mail.
type Mails struct {
	Forms
	Mails *operate.Mails
}

// Routes are its pages.
func (p *Mails) Routes() web.Routes {
	return web.Routes{"GET /dev/mail": p.mails, "GET /dev/mail/{id}": p.mail}
}

// mailsPage is what development shows at /dev/mail: the list, and one of it.
type mailsPage struct {
	List []notice.Shown
	Mail *notice.Shown
	// As is how it is shown: html, text or phone.
	As string
}

// mails shows the mails that development sends nowhere.
func (p *Mails) mails(w http.ResponseWriter, r *http.Request) error {
	list, err := p.list(r)
	if err != nil {
		return err
	}
	v := p.view(r)
	page := mailsPage{List: list, As: web.Parameter(r, "as")}
	if page.As != "text" && page.As != "phone" {
		page.As = "html"
	}
	id := web.Parameter(r, "id")
	for i := range list {
		if list[i].Entry.ID == id || id == "" && i == 0 {
			page.Mail = &list[i]
		}
	}
	v.FrameSelf = true
	return p.show(w, http.StatusOK, v, "mails", page)
}

// list returns the mails. Whoever comes under a name that is no name of this machine's gets nothing: it could
// be another site's page, whose name was made to point here.
func (p *Mails) list(r *http.Request) ([]notice.Shown, error) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" && "http://"+r.Host != p.Cookies.Origin && "https://"+r.Host != p.Cookies.Origin {
		return nil, fault.New(fault.Denied, "forbidden", "Open this page under the address of this machine, or under PUBLIC_URL.")
	}
	return p.Mails.Do(r.Context())
}

// mailPolicy is for the HTML of a mail, which has its styles in its elements: nothing runs in it, and it loads
// nothing. Only development serves it, in a frame of the page above.
const mailPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'"

// mail is the HTML of one mail, as it is sent.
func (p *Mails) mail(w http.ResponseWriter, r *http.Request) error {
	list, err := p.list(r)
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.Entry.ID != r.PathValue("id") {
			continue
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", mailPolicy)
		h.Set("X-Frame-Options", "SAMEORIGIN")
		_, _ = w.Write([]byte(m.HTML))
		return nil
	}
	return fault.New(fault.NotFound, "not_found", "There is no such mail.")
}
