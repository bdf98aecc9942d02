package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

var errForm = fault.New(fault.Invalid, "invalid_form", "This form can't be read. Please go back, reload the page and send it again.")

var errForeignForm = fault.New(fault.Denied, "cross_origin", "This form was sent from another site. Please open the page here and send it again.")

// Forms reads what was sent from pages of ours, and keeps cookies.
type Forms struct {
	Cookies *web.Cookies
}

// form reads the fields of a form that was sent from one of our own pages.
func (p *Forms) form(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	if err := p.Cookies.CheckOrigin(r); err != nil {
		return nil, errForeignForm
	}
	out, err := web.Form(w, r, names...)
	if err != nil {
		return nil, errForm.Because(err)
	}
	return out, nil
}
