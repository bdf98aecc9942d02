package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
)

// Documents are the privacy policy, the terms of use, and what else people may agree to: the operator's own, or else
// what Gatehouse itself has to say of the first two.
type Documents struct {
	Forms
	// Version finds a version of a document, that in force for 0.
	Version func(ctx context.Context, name string, version int64) (consent.Document, error)
}

// part is a heading and what stands below it. The first part of a document may have no heading.
type part struct {
	ID, Title  string
	Paragraphs []ui.Markup
}

// partsOf reads a text: an empty line ends a paragraph, and a line that begins with # is a heading. Nothing in it is
// markup.
func partsOf(text string) []part {
	var parts []part
	for block := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		block = strings.TrimSpace(block)
		if title, rest, _ := strings.Cut(block, "\n"); strings.HasPrefix(block, "#") {
			parts = append(parts, part{ID: fmt.Sprintf("part-%d", len(parts)+1), Title: strings.TrimSpace(strings.TrimLeft(title, "#"))})
			block = strings.TrimSpace(rest)
		}
		if block == "" {
			continue
		}
		if len(parts) == 0 {
			parts = append(parts, part{})
		}
		last := &parts[len(parts)-1]
		last.Paragraphs = append(last.Paragraphs, locale.Default().Escape(block))
	}
	return parts
}

// Routes are its pages.
func (p *Documents) Routes() web.Routes {
	return web.Routes{
		"GET /privacy": p.named(consent.Privacy, func(l *locale.Language) []part {
			return []part{
				{"what", l.Text("document.keep"), []ui.Markup{l.HTML("document.keep-text")}},
				{"why", l.Text("document.why"), []ui.Markup{l.HTML("document.why-text")}},
				{"you", l.Text("document.you"), []ui.Markup{l.HTML("document.you-text", "href", "/account")}},
			}
		}),
		"GET /terms": p.named(consent.Terms, func(l *locale.Language) []part {
			return []part{{Paragraphs: []ui.Markup{l.HTML("document.terms-text"), l.HTML("document.terms-more")}}}
		}),
		"GET /terms/{document}": func(w http.ResponseWriter, r *http.Request) error {
			return p.document(w, r, r.PathValue("document"), nil)
		},
	}
}

// documentPage is what it shows.
type documentPage struct {
	Title string
	Parts []part
	// Said is which version it is, and Newest where the one in force is, if this is an older one.
	Said   ui.Markup
	Newest string
}

// titleOf is what a document is called in a person's language.
func titleOf(v *ui.View, d consent.Document) string {
	switch d.Name {
	case consent.Privacy:
		return v.T("document.privacy")
	case consent.Terms:
		return v.T("document.terms")
	}
	text, _ := d.In(v.L.Tag)
	if title := consent.Title(text); title != "" {
		return title
	}
	return d.Name
}

func (p *Documents) named(name string, plain func(*locale.Language) []part) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error { return p.document(w, r, name, plain) }
}

// document shows the version that the address names, or that in force; without any, what Gatehouse has to say.
func (p *Documents) document(w http.ResponseWriter, r *http.Request, name string, plain func(*locale.Language) []part) error {
	version, err := consent.ParseVersion(web.Parameter(r, "version"))
	if err != nil {
		return consent.ErrNoDocument
	}
	v := p.view(r)
	d, err := p.Version(r.Context(), name, version)
	switch {
	case errors.Is(err, consent.ErrNoDocument) && plain != nil && version == 0:
		return p.show(w, http.StatusOK, v, "document", documentPage{Title: titleOf(v, consent.Document{Name: name}), Parts: plain(v.L)})
	case err != nil:
		return err
	}
	text, _ := d.In(v.L.Tag)
	shown := documentPage{Title: titleOf(v, d), Parts: partsOf(text), Said: v.H("document.version", "version", int(d.Version), "date", v.Time(d.MadeAt))}
	if len(shown.Parts) > 0 && shown.Parts[0].Title == shown.Title {
		shown.Parts[0].Title = ""
	}
	if newest, err := p.Version(r.Context(), name, 0); err == nil && newest.Version != d.Version {
		shown.Newest = newest.Path()
	}
	return p.show(w, http.StatusOK, v, "document", shown)
}
