package page

import (
	"bytes"
	"html/template"
	"io/fs"
	"net/http"
	"regexp"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// A page loads only what carries the nonce of its answer: its style sheet and
// its scripts. So what somebody manages to smuggle into a page is text, even if
// it names a file of ours (HDR-1, ASVS 3.4.3). Inline scripts and styles would
// work with the nonce as well; the pages have none.
const policy = "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// loads is the start of the elements that need the nonce.
var loads = regexp.MustCompile(`<(script|style|link)\b`)

// stencil stands in the parsed templates where each answer has its nonce. It is
// random as well, and never leaves the process: nothing that comes in from
// outside can hold it.
var stencil = secret.Random{}.Text(16)

// parse reads the templates, and gives their scripts and style sheets the nonce:
// a template can't forget it.
func parse() *template.Template {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err) // a pattern of ours
	}
	all := template.New("")
	for _, name := range files {
		b, err := fs.ReadFile(templateFiles, name)
		if err != nil {
			panic(err) // it came with the program
		}
		text := loads.ReplaceAllString(string(b), `<$1 nonce="`+stencil+`"`)
		template.Must(all.New(strings.TrimPrefix(name, "templates/")).Parse(text))
	}
	return all
}

// originOf returns the origin that an address leads to, or nothing if that is ours.
func originOf(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// render writes a page. It writes nothing if the template fails.
func render(w http.ResponseWriter, status int, name string, data any) error {
	return renderForm(w, status, name, data, "")
}

// renderForm is render for a page whose form leads to another origin, which is one of CORS_ORIGINS.
func renderForm(w http.ResponseWriter, status int, name string, data any, leadsTo string) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	nonce := secret.Random{}.Text(16)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", strings.NewReplacer("{nonce}", nonce, "form-action 'self'", strings.TrimSpace("form-action 'self' "+leadsTo)).Replace(policy))
	// Under no-referrer browsers would send "Origin: null" with forms, which the
	// check for requests from other sites could not tell from an attack.
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write(bytes.ReplaceAll(b.Bytes(), []byte(stencil), []byte(nonce)))
	return nil
}
