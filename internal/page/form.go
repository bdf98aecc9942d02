package page

import (
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/fault"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

var errForm = fault.New(fault.Invalid, "invalid_form", "This form can't be read. Please go back, reload the page and send it again.")

var errForeignForm = fault.New(fault.Denied, "cross_origin", "This form was sent from another site. Please open the page here and send it again.")

// form reads the fields of a form that was sent from one of our own pages. It
// is as strict as web.Decode: each field at most once, text only.
func (p *Pages) form(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	if err := p.Cookies.CheckOrigin(r); err != nil {
		return nil, errForeignForm
	}
	if !urlEncoded(r.Header["Content-Type"]) {
		return nil, errForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, web.MaxBody)
	if err := r.ParseForm(); err != nil {
		return nil, errForm.Because(err)
	}
	out := map[string]string{}
	for _, name := range names {
		switch values := r.PostForm[name]; {
		case len(values) > 1:
			return nil, errForm.Because(fmt.Errorf("field %s comes twice", name))
		case len(values) == 1:
			if !utf8.ValidString(values[0]) || strings.ContainsAny(values[0], "\x00\uFFFD") {
				return nil, errForm.Because(fmt.Errorf("field %s is not text", name))
			}
			out[name] = values[0]
		}
	}
	return out, nil
}

// urlEncoded reports whether a body is what our pages' forms send: in UTF-8, if
// a character set is named.
func urlEncoded(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(contentType[0])
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}
