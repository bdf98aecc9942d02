// Package handbook makes the documentation into pages: the Markdown of docs/ with
// a table of contents, a search and the product's looks, light and dark. They need
// nothing from elsewhere. `gatehouse docs` serves them, and `make site` writes
// them as files for any web server.
package handbook

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"

	"github.com/gatehouse-auth/gatehouse/docs"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
)

//go:embed page.html assets
var files embed.FS

var layout = template.Must(template.ParseFS(files, "page.html"))

// Site is all files of the site, by their paths from its root.
type Site map[string][]byte

// chapter is a part of the table of contents.
type chapter struct {
	Title string
	Pages []entry
}

// entry is a page in it.
type entry struct{ Title, Path string }

// view is what a page is drawn from.
type view struct {
	Title    string
	Root     string // the way to the site's root, such as ../
	Here     string
	Chapters []chapter
	Headings []heading
	Body     []byte  // is HTML already, and no value of a template
	Found    []found // of the search page: every section of every page, for who has no script
}

// found is what the search looks through: a section of a page.
type found struct {
	Page    string `json:"p"`
	Section string `json:"s"`
	Path    string `json:"u"`
	Text    string `json:"t"`
}

// Make makes the site.
func Make() (Site, error) {
	site := Site{}
	pages := map[string]*document{}
	var chapters []chapter
	for _, c := range contents {
		next := chapter{Title: c.title}
		for _, name := range c.pages {
			text, err := fs.ReadFile(docs.Files, name+".md")
			if err != nil {
				return nil, err
			}
			d := read(name, text)
			pages[name] = d
			next.Pages = append(next.Pages, entry{d.title, d.path()})
		}
		chapters = append(chapters, next)
	}
	var index []found
	for _, c := range contents {
		for _, name := range c.pages {
			d := pages[name]
			body, err := d.render()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if err := site.draw(view{Title: d.title, Here: d.path(), Chapters: chapters, Headings: d.headings, Body: body}); err != nil {
				return nil, err
			}
			index = append(index, d.sections()...)
		}
	}
	if err := site.draw(view{Title: "Search", Here: "search.html", Chapters: chapters, Found: index}); err != nil {
		return nil, err
	}
	return site, site.assets(index)
}

// draw lays a page out.
func (s Site) draw(v view) error {
	v.Root = strings.Repeat("../", strings.Count(v.Here, "/"))
	var b bytes.Buffer
	if err := layout.ExecuteTemplate(&b, "above", v); err != nil {
		return fmt.Errorf("%s: %w", v.Here, err)
	}
	b.Write(v.Body)
	if err := layout.ExecuteTemplate(&b, "below", v); err != nil {
		return fmt.Errorf("%s: %w", v.Here, err)
	}
	s[v.Here] = b.Bytes()
	return nil
}

// assets adds what pages refer to.
func (s Site) assets(index []found) error {
	pictures, err := fs.Glob(docs.Files, "images/*.png")
	if err != nil {
		return err
	}
	for _, name := range pictures {
		if s[name], err = fs.ReadFile(docs.Files, name); err != nil {
			return err
		}
	}
	style, err := fs.ReadFile(files, "assets/handbook.css")
	if err != nil {
		return err
	}
	s["handbook.css"] = append([]byte(ui.Tokens()), style...)
	if s["search.js"], err = fs.ReadFile(files, "assets/search.js"); err != nil {
		return err
	}
	b, err := json.Marshal(index)
	s["index.js"] = append([]byte("const sections="), b...)
	return err
}

// kindOf is a file's media type.
func kindOf(name string) string {
	return map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".png": "image/png",
	}[path.Ext(name)]
}
