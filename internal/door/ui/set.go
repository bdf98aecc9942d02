package ui

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Set is the pages of a door: templates over the kit's layouts and parts.
type Set struct {
	kit   *Kit
	pages map[string]*template.Template
	plain plainPages
}

// Parse reads a door's pages: templates/*.html of its files. Each page is a template of its own, so two may
// define the same names. samples has what each page may be asked to show, by the page's name: a page that an
// operator has put in the place of ours is rendered with each of them, and the error tells what fails.
func (k *Kit) Parse(files fs.FS, samples map[string][]any) (*Set, error) {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	s := &Set{kit: k, pages: map[string]*template.Template{}, plain: plainPages{mark: secret.Random{}.Text(32), pages: map[plainKey][]string{}}}
	var faults []error
	for _, name := range names {
		text, err := k.text(files, name)
		if err != nil {
			return nil, err
		}
		name = strings.TrimSuffix(path.Base(name), ".html")
		page, err := template.Must(k.base.Clone()).New(name).Parse(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s.html: %w", name, err))
			continue
		}
		s.pages[name] = page
	}
	if k.folder != nil && len(faults) == 0 {
		for name := range s.pages {
			for _, data := range samples[name] {
				v := k.view(nil)
				v.D = data
				if _, err := s.draw(v, name); err != nil {
					faults = append(faults, fmt.Errorf("%s.html: %w", name, err))
				}
			}
		}
	}
	return s, errors.Join(faults...)
}

// Names returns the names of the pages.
func (s *Set) Names() []string {
	var out []string
	for name := range s.pages {
		out = append(out, name)
	}
	return out
}

// Check tells every file of the folder that is no template of the kit's or of these sets': one whose
// name is misspelt would have no effect, and nobody would notice.
func (k *Kit) Check(sets ...*Set) error {
	if k.folder == nil {
		return nil
	}
	known := map[string]bool{}
	names, _ := fs.Glob(templateFiles, "templates/*.html")
	for _, name := range names {
		known[path.Base(name)] = true
	}
	for _, s := range sets {
		for name := range s.pages {
			known[name+".html"] = true
		}
	}
	entries, err := fs.ReadDir(k.folder, ".")
	if err != nil {
		return err
	}
	var faults []error
	for _, e := range entries {
		if !known[e.Name()] && !strings.HasPrefix(e.Name(), ".") {
			faults = append(faults, fmt.Errorf("%s: there is no page of this name", e.Name()))
		}
	}
	return errors.Join(faults...)
}

// Marks stand in a page until it is known what it uses. NUL can't come from outside: html/template
// replaces it in all that is text.
const (
	markModules = "\x00modules\x00"
	markSprite  = "\x00sprite\x00"
)

// draw executes a page, and adds the modules and icons that it came to use.
func (s *Set) draw(v *View, name string) ([]byte, error) {
	page := s.pages[name]
	if page == nil {
		return nil, fmt.Errorf("there is no page %q", name)
	}
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, name, v); err != nil {
		return nil, err
	}
	out := bytes.Replace(b.Bytes(), []byte(markModules), []byte(v.moduleTags()), 1)
	return bytes.Replace(out, []byte(markSprite), []byte(v.sprite()), 1), nil
}

// Piece draws one of the templates that the pages of a door define, without a page around it: for a script that
// puts it into one.
func (s *Set) Piece(v *View, name string, data any) ([]byte, error) {
	v.D = data
	for _, page := range s.pages {
		if t := page.Lookup(name); t != nil {
			var b bytes.Buffer
			err := t.Execute(&b, v)
			return b.Bytes(), err
		}
	}
	return nil, fmt.Errorf("there is no template %q", name)
}

// policy lets a page load what carries the nonce of its answer: its style sheet and its scripts, all files of
// ours. So what somebody manages to smuggle into a page is text, even if it names such a file (HDR-1, ASVS
// 3.4.3, whose third level asks for a nonce an answer). No page has inline scripts or styles.
const policy = "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'{form}; base-uri 'none'; frame-ancestors 'none'; report-to csp"

// Render writes a page. It writes nothing if the template fails.
func (s *Set) Render(w http.ResponseWriter, status int, v *View, name string, data any) error {
	v.D = data
	body, err := s.drawPlain(v, name)
	if err != nil {
		return err
	}
	v.keepLanguage(w)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", v.L.Tag)
	h.Add("Vary", "Accept-Language, Cookie")
	form := ""
	if v.FormTo != "" {
		form = " " + v.FormTo
	}
	csp := strings.NewReplacer("{nonce}", v.Nonce, "{form}", form).Replace(policy)
	if v.FrameSelf {
		csp += "; frame-src 'self'"
	}
	h.Set("Content-Security-Policy", csp)
	h.Set("Reporting-Endpoints", `csp="`+ReportPath+`"`)
	// Under no-referrer browsers would send "Origin: null" with forms, which the
	// check for requests from other sites could not tell from an attack.
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

// Fragment draws a template of the set that is a part of a page: it adds to the page the icons and modules
// that it uses.
func (s *Set) Fragment(v *View, name string, data any) (Markup, error) {
	page := s.pages[name]
	if page == nil {
		return "", fmt.Errorf("there is no template %q", name)
	}
	var b bytes.Buffer
	was := v.D
	v.D = data
	err := page.ExecuteTemplate(&b, name, v)
	v.D = was
	return Markup(b.String()), err //nolint:gosec // html/template has made it
}
