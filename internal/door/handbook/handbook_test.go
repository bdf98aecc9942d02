package handbook

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/gatehouse-auth/gatehouse/docs"
)

func made(t *testing.T) Site {
	t.Helper()
	site, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	return site
}

// Every page of docs/ is in the table of contents once, and what is in it is there.
func TestEveryPageIsInTheContents(t *testing.T) {
	listed := map[string]int{}
	for _, c := range contents {
		for _, name := range c.pages {
			listed[name+".md"]++
		}
	}
	err := fs.WalkDir(docs.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && path.Ext(name) == ".md" && listed[name] != 1 {
			t.Errorf("%s is in the contents %d times", name, listed[name])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every link and picture of every page leads to a file of the site, and to a heading that it has, or to the repository and the few
// other places that are meant; no page has a script, a style or a picture from elsewhere, and none has any within it.
func TestEveryLinkOfTheSiteLeadsSomewhere(t *testing.T) {
	site := made(t)
	trees := map[string]*html.Node{}
	for name, body := range site {
		if path.Ext(name) != ".html" {
			continue
		}
		tree, err := html.Parse(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		trees[name] = tree
	}
	ids := map[string][]string{}
	for name, tree := range trees {
		for n := range tree.Descendants() {
			if id := attribute(n, "id"); id != "" {
				if slices.Contains(ids[name], id) {
					t.Errorf("%s has the id %s twice", name, id)
				}
				ids[name] = append(ids[name], id)
			}
		}
	}
	checked := 0
	for name, tree := range trees {
		for n := range tree.Descendants() {
			inline := n.Data == "style" || n.Data == "script" && attribute(n, "src") == "" || attribute(n, "style") != "" || attribute(n, "onclick") != ""
			if n.Type == html.ElementNode && inline {
				t.Errorf("%s has a <%s> that its policy stops", name, n.Data)
			}
			for _, link := range []string{attribute(n, "href"), attribute(n, "src"), attribute(n, "action")} {
				if link != "" {
					checked++
					checkLink(t, site, ids, name, n.Data, link)
				}
			}
		}
	}
	if checked < 3000 {
		t.Errorf("only %d links were found", checked)
	}
}

func checkLink(t *testing.T, site Site, ids map[string][]string, name, element, link string) {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Errorf("%s: %s is no address", name, link)
		return
	}
	if u.Host != "" {
		if element != "a" {
			t.Errorf("%s: a <%s> from elsewhere: %s", name, element, link)
		}
		if inside, ours := strings.CutPrefix(link, repository); ours {
			inside, _, _ = strings.Cut(inside, "#")
			if _, err := os.Stat(filepath.Join("../../..", filepath.FromSlash(inside))); err != nil {
				t.Errorf("%s: %s is not in the repository", name, inside)
			}
		}
		return
	}
	target := path.Join(path.Dir(name), u.Path)
	if u.Path == "" {
		target = name
	}
	if _, ok := site[target]; !ok {
		t.Errorf("%s: the link to %s leads nowhere", name, link)
	} else if u.Fragment != "" && !slices.Contains(ids[target], u.Fragment) {
		t.Errorf("%s: %s has no heading #%s", name, target, u.Fragment)
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// The search has every section, with its text, and leads to it.
func TestTheSearchHasEverySection(t *testing.T) {
	text, ok := bytes.CutPrefix(made(t)["index.js"], []byte("const sections="))
	var index []found
	if err := json.Unmarshal(text, &index); !ok || err != nil || len(index) < 300 {
		t.Fatalf("%d sections, %v", len(index), err)
	}
	for _, want := range []struct{ path, words string }{
		{"guides/tls.html", "certificate"}, {"configuration.html", "JWT_SECRET_KEY"},
		{"guides/load-testing.html", "--yes-i-run-this-server"}, {"index.html", "five minutes"},
	} {
		if !slices.ContainsFunc(index, func(f found) bool {
			page, _, _ := strings.Cut(f.Path, "#")
			return page == want.path && strings.Contains(f.Section+f.Text, want.words)
		}) {
			t.Errorf("nothing is found of %q in %s", want.words, want.path)
		}
	}
}

// What a page says is said as text: no markup of an example becomes any.
func TestExamplesStayText(t *testing.T) {
	d := read("x", []byte("# A <b>title</b>\n\n`<script>alert(1)</script>` <script>alert(2)</script>\n\n"+
		"```html\n<img src=x onerror=y>\n```\n[z](javascript:alert(3))\n"))
	body, err := d.render()
	if err != nil || strings.Contains(string(body), "<script") || strings.Contains(string(body), "<img") || strings.Contains(string(body), "javascript:") {
		t.Errorf("%v: %s", err, body)
	}
}

func TestItIsServedOnThisMachineAlone(t *testing.T) {
	site := made(t)
	for _, c := range []struct {
		method, host, path string
		want               int
	}{
		{"GET", "127.0.0.1:8008", "/", 200}, {"GET", "localhost:8008", "/guides/tls.html", 200}, {"GET", "[::1]:8008", "/runbooks/", 200},
		{"HEAD", "localhost", "/handbook.css", 200}, {"GET", "localhost", "/images/account.png", 200}, {"GET", "localhost", "/search.html?q=tls", 200},
		{"GET", "docs.example.net", "/", 421}, {"GET", "192.0.2.1:8008", "/", 421}, {"GET", "127.0.0.1.example.net", "/", 421},
		{"GET", "localhost", "/../go.mod", 404}, {"GET", "localhost", "/nothing", 404}, {"POST", "localhost", "/", 405},
	} {
		r := httptest.NewRequest(c.method, "http://localhost"+c.path, nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		if w.Code != c.want || w.Code == 200 && (w.Header().Get("Content-Type") == "" || w.Header().Get("Content-Security-Policy") != policy) {
			t.Errorf("%s %s at %s: %d, wanted %d, %v", c.method, c.path, c.host, w.Code, c.want, w.Header())
		}
	}
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.net:80", "127.0.0.1"} {
		if err := site.Serve(context.Background(), address, func(string) { t.Errorf("it listens at %s", address) }); err == nil {
			t.Errorf("%s was taken", address)
		}
	}
}

func TestItIsServedUntilItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	at := make(chan string, 1)
	site := made(t)
	go func() { ended <- site.Serve(ctx, "127.0.0.1:0", func(url string) { at <- url }) }()
	res, err := http.Get(<-at + "index.html")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(err)
	}
	res.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	folder := filepath.Join(t.TempDir(), "site")
	if err := site.Write(folder); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(folder, "guides", "tls.html")); err != nil || !bytes.Equal(b, site["guides/tls.html"]) {
		t.Errorf("%v: %d bytes", err, len(b))
	}
}
