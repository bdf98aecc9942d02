package page

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

var errForm = fault.New(fault.Invalid, "invalid_form", "This form can't be read. Go back, reload the page, and send it again.")

// Forms reads what was sent from pages of ours, and keeps cookies.
type Forms struct {
	*Pages
	Cookies *web.Cookies
}

// asked has the browser keep that it asked for a mail, unless that failed: the code in the mail is good
// for who asked.
func (p *Forms) asked(w http.ResponseWriter, r *http.Request, request string, err error) error {
	if err == nil {
		p.Cookies.PutRequest(w, r, request, flow.RequestLife)
	}
	return err
}

// signingIn is the browser that somebody signs in with.
func (p *Forms) signingIn(r *http.Request) *flow.Browser {
	return &flow.Browser{Devices: p.Cookies.Devices(r), Session: p.Cookies.Refresh(r)}
}

// form reads the fields of a form that was sent from one of our own pages.
func (p *Forms) form(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	if err := p.Cookies.CheckOrigin(r); err != nil {
		return nil, foreignForm(err)
	}
	out, err := web.Form(w, r, names...)
	switch f := fault.As(err); {
	case err == nil:
		return out, nil
	case f != nil && (f.Code == "body_too_large" || f.Code == "request_timeout"): // these say themselves what to do
		return nil, err
	}
	return nil, errForm.Because(err)
}

// foreignForm says of a form that was refused which of the browser's headers said so, so that
// whoever runs a proxy that overwrites ours finds it.
func foreignForm(err error) error {
	f := *fault.As(err)
	f.Message = strings.TrimSpace(strings.TrimPrefix(f.Message, web.ErrCrossOrigin.Message))
	return &f
}
