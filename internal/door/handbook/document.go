package handbook

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
)

// repository is where links lead that leave docs/.
const repository = "https://github.com/gatehouse-auth/gatehouse/blob/main/"

// markdown reads what the pages use, and takes no HTML but comments: there is none in them.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table, extension.Strikethrough),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
	goldmark.WithRendererOptions(html.WithXHTML()),
)

// document is a page of docs/.
type document struct {
	name     string // such as guides/tls
	title    string
	source   []byte
	tree     ast.Node
	headings []heading
}

// heading is a section of a page.
type heading struct {
	Title, ID string
	Level     int
}

// anchors makes the ids of headings as forges do, since links are written for these.
type anchors map[string]int

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)

// Generate implements parser.IDs.
func (a anchors) Generate(value []byte, _ ast.NodeKind) []byte {
	id := strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(string(value)), ""), " ", "-")
	n := a[id]
	a[id]++
	if n > 0 {
		return []byte(id + "-" + string(rune('0'+n%10)))
	}
	return []byte(id)
}

// Put implements parser.IDs.
func (a anchors) Put(value []byte) { a[string(value)]++ }

func read(name string, source []byte) *document {
	d := &document{name: name, source: source}
	d.tree = markdown.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(anchors{}))))
	_ = ast.Walk(d.tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			id, _ := n.AttributeString("id")
			bytes, _ := id.([]byte)
			title := plain(n, source)
			d.headings = append(d.headings, heading{title, string(bytes), n.Level})
			if d.title == "" {
				d.title = title
			}
		case *ast.Link:
			n.Destination = []byte(d.link(string(n.Destination)))
		}
		return ast.WalkContinue, nil
	})
	return d
}

// path is where the page is on the site.
func (d *document) path() string {
	if d.name == "README" || strings.HasSuffix(d.name, "/README") {
		return strings.TrimSuffix(d.name, "README") + "index.html"
	}
	return d.name + ".html"
}

// link leads to the page that a link to Markdown means, and to the repository for what is not of the site.
func (d *document) link(to string) string {
	target, anchor, has := strings.Cut(to, "#")
	if target == "" || strings.Contains(target, ":") {
		return to
	}
	if has {
		anchor = "#" + anchor
	}
	full := path.Join("docs", path.Dir(d.name), target)
	inside, ours := strings.CutPrefix(full, "docs/")
	if !ours || !slices.ContainsFunc(contents, func(c part) bool { return slices.Contains(c.pages, strings.TrimSuffix(inside, ".md")) }) {
		if ours && strings.HasPrefix(inside, "images/") {
			return to
		}
		return repository + strings.TrimPrefix(full, "/") + anchor
	}
	other := (&document{name: strings.TrimSuffix(inside, ".md")}).path()
	return strings.Repeat("../", strings.Count(d.path(), "/")) + other + anchor
}

// render makes the page's HTML, by a renderer that passes none of the source's on.
func (d *document) render() ([]byte, error) {
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, d.source, d.tree); err != nil {
		return nil, err
	}
	out := strings.ReplaceAll(b.String(), "<!-- raw HTML omitted -->", "")
	// What scrolls by itself can be reached by the keyboard.
	out = strings.ReplaceAll(out, "<pre>", `<pre tabindex="0">`)
	out = strings.ReplaceAll(out, "<table>", `<div class="wide" tabindex="0"><table>`)
	return []byte(strings.ReplaceAll(out, "</table>", "</table></div>")), nil
}

// sections are what the search finds: the page's text, under each of its headings.
func (d *document) sections() (list []found) {
	for n := d.tree.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			at := d.headings[len(list)]
			list = append(list, found{Page: d.title, Section: plain(h, d.source), Path: d.path() + "#" + at.ID})
			continue
		}
		if len(list) > 0 {
			last := &list[len(list)-1]
			last.Text = strings.TrimSpace(last.Text + " " + plain(n, d.source))
		}
	}
	return list
}

// plain is a node's text alone.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function returns no error
		if !entering {
			if n.Type() == ast.TypeBlock {
				b.WriteByte(' ')
			}
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Segment.Value(source))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				b.Write(line.Value(source))
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.Join(strings.Fields(b.String()), " ")
}
