package web

import (
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// errNoForm is for a body of another type.
var errNoForm = fault.New(fault.Invalid, "unsupported_media_type",
	"The body must be a form. Send it with the header Content-Type: application/x-www-form-urlencoded.")

// errBadForm is for a body that does not match its type.
var errBadForm = fault.New(fault.Invalid, "invalid_form",
	"The form can't be read. Write it as name=value pairs separated by &, and percent-encode special characters.")

// Form reads the named fields of a form. It is as strict as [Decode]: each at most
// once, and text only. Others are ignored, as OAuth requires (RFC 6749
// section 3.2), and what is in the URL does not count.
func Form(w http.ResponseWriter, r *http.Request, names ...string) (map[string]string, error) {
	return FormRepeated(w, r, "", names...)
}

// FormRepeated is [Form] with one field beside the others that may come several times, a list of URIs (RFC 8707): they are between
// spaces then, which are in no URI.
func FormRepeated(w http.ResponseWriter, r *http.Request, repeated string, names ...string) (map[string]string, error) {
	if !urlEncoded(r.Header) {
		return nil, errNoForm
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	all, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errBadForm.Because(err)
	}
	out := map[string]string{}
	if repeated != "" {
		for _, value := range all[repeated] {
			if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
				return nil, fault.Field(repeated, "invalid_target", "The field %s is no URI.", repeated)
			}
			out[repeated] = strings.TrimPrefix(out[repeated]+" "+value, " ")
		}
	}
	for _, name := range names {
		switch values := all[name]; {
		case len(values) > 1:
			return nil, fault.Field(name, "duplicate_field", "The field %s comes more than once. Send it once.", name)
		case len(values) == 0:
		case !utf8.ValidString(values[0]) || strings.Contains(values[0], "\uFFFD"):
			return nil, invalidUTF8(name)
		case strings.Contains(values[0], "\x00"):
			return nil, nulCharacter(name)
		default:
			out[name] = values[0]
		}
	}
	return out, nil
}

// urlEncoded reports whether a body is a form: in UTF-8, if a character set is
// named, and not compressed.
func urlEncoded(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) != 1 || len(h["Content-Encoding"]) > 0 {
		return false
	}
	kind, params, err := mime.ParseMediaType(values[0])
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
