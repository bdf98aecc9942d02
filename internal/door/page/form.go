package page

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

var errForm = fault.New(fault.Invalid, "invalid_form", "This form can't be read. Please go back, reload the page and send it again.")

// Forms reads what was sent from pages of ours, and keeps cookies.
type Forms struct {
	Cookies *web.Cookies
}

// form reads the fields of a form that was sent from one of our own pages.
func (p *Forms) form(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	if err := p.Cookies.CheckOrigin(r); err != nil {
		return nil, foreignForm(err)
	}
	out, err := web.Form(w, r, names...)
	if err != nil {
		return nil, errForm.Because(err)
	}
	return out, nil
}

// foreignForm says of a form that was refused which header of the browser's told, so that
// whoever runs a proxy that overwrites ours finds it.
func foreignForm(err error) error {
	f := *fault.As(err)
	f.Message = "This form was sent from another site. Please open the page here and send it again." + strings.TrimPrefix(f.Message, web.ErrCrossOrigin.Message)
	return &f
}
