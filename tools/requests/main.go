// Command requests writes the requests that a scanner tries: requests URL OPENAPI FOLDER writes one file for each operation of
// openapi.yaml, with every parameter and field filled in, and one for each form of the pages that strangers and a signed-in person
// see. The account is the one whose address and password are in SCAN_EMAIL and SCAN_PASSWORD; it should be an administrator, or
// most operations answer 403 before they look at anything. Each file is an HTTP request as sqlmap -r reads it.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"golang.org/x/net/html"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: requests URL OPENAPI FOLDER")
		os.Exit(64)
	}
	n, err := write(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, "requests:", err)
		os.Exit(1)
	}
	fmt.Printf("%d requests\n", n)
}

// writer writes the files.
type writer struct {
	target *url.URL
	folder string
	bearer string
	jar    http.CookieJar
	client *http.Client
	n      int
}

func write(address, document, folder string) (int, error) {
	target, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return 0, err
	}
	w := &writer{target: target, folder: folder, jar: jar, client: &http.Client{Jar: jar}}
	if err := w.signIn(os.Getenv("SCAN_EMAIL"), os.Getenv("SCAN_PASSWORD")); err != nil {
		return 0, err
	}
	if err := w.operations(document); err != nil {
		return 0, err
	}
	if err := w.forms(); err != nil {
		return 0, err
	}
	return w.n, nil
}

func (w *writer) signIn(email, password string) error {
	b, err := json.Marshal(map[string]string{"email": email, "password": password})
	if err != nil {
		return err
	}
	res, err := http.Post(w.target.String()+"/v1/login", "application/json", bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var got struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Access == "" {
		return errors.Join(err, fmt.Errorf("the sign-in answered %d", res.StatusCode))
	}
	w.bearer = got.Access
	return nil
}

// ends are operations that would end the session that all the others need, or the account.
var ends = regexp.MustCompile(`^/v1/(logout|me/delete|me/erasure|sessions/end|token/refresh)`)

func (w *writer) operations(document string) error {
	doc, err := openapi3.NewLoader().LoadFromFile(document)
	if err != nil {
		return err
	}
	for _, path := range doc.Paths.InMatchingOrder() {
		item := doc.Paths.Value(path)
		for method, op := range item.Operations() {
			bearer := w.bearer
			if ends.MatchString(path) || method == http.MethodDelete && strings.HasPrefix(path, "/v1/me") {
				bearer = "none"
			}
			if err := w.operation(method, path, op, slices.Concat(item.Parameters, op.Parameters), bearer); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) operation(method, path string, op *openapi3.Operation, parameters openapi3.Parameters, bearer string) error {
	query := url.Values{}
	headers := [][2]string{{"Authorization", "Bearer " + bearer}}
	for _, p := range parameters {
		value := fmt.Sprint(example(p.Value.Schema, p.Value.Example, 0))
		switch p.Value.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", url.PathEscape(value)+"*") // sqlmap tries what a star follows
		case "query":
			query.Set(p.Value.Name, value)
		case "header":
			headers = append(headers, [2]string{p.Value.Name, value})
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var body string
	if op.RequestBody != nil {
		for kind, media := range op.RequestBody.Value.Content {
			switch {
			case strings.Contains(kind, "json"):
				b, err := json.Marshal(example(media.Schema, media.Example, 0))
				if err != nil {
					return err
				}
				body = string(b)
			case kind == "application/x-www-form-urlencoded":
				form := url.Values{}
				if fields, ok := example(media.Schema, media.Example, 0).(map[string]any); ok {
					for name, v := range fields {
						form.Set(name, fmt.Sprint(v))
					}
				}
				body = form.Encode()
			default:
				continue
			}
			headers = append(headers, [2]string{"Content-Type", kind})
		}
	}
	return w.file(method+" "+path, method, path, headers, body)
}

// example makes a value of a schema: its own example where it has one, and else the plainest that fits.
func example(ref *openapi3.SchemaRef, given any, depth int) any {
	if given != nil {
		return given
	}
	if ref == nil || ref.Value == nil || depth > 6 {
		return "x"
	}
	s := ref.Value
	switch {
	case s.Example != nil:
		return s.Example
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AllOf) > 0, len(s.OneOf) > 0, len(s.AnyOf) > 0:
		all := map[string]any{}
		parts := s.AllOf
		if len(parts) == 0 {
			parts = append(slices.Clone(s.OneOf), s.AnyOf...)[:1]
		}
		for _, part := range parts {
			fields, ok := example(part, nil, depth+1).(map[string]any)
			if !ok {
				return example(part, nil, depth+1)
			}
			for name, v := range fields {
				all[name] = v
			}
		}
		return all
	case s.Type.Is("object"):
		fields := map[string]any{}
		for name, p := range s.Properties {
			fields[name] = example(p, nil, depth+1)
		}
		return fields
	case s.Type.Is("array"):
		return []any{example(s.Items, nil, depth+1)}
	case s.Type.Is("integer"), s.Type.Is("number"):
		return 1
	case s.Type.Is("boolean"):
		return true
	case s.Format == "email":
		return "somebody@example.org"
	case s.Format == "date-time":
		return "2026-11-30T12:00:00Z"
	case s.Format == "uuid":
		return "01a22cf7-248f-7091-873e-12b61ae18ef1"
	}
	return "x"
}

// starts are where the search for forms begins: pages of strangers, then, signed in, those of a person and of an administrator.
// It follows the links that it finds, to mostPages pages.
var starts = []string{"/login", "/register", "/forgot", "/verify", "/unlock", "/reset",
	"/account", "/account/factors", "/admin", "/admin/people", "/admin/blocks",
	"/admin/events", "/admin/alerts", "/admin/keys", "/admin/mail", "/admin/incidents"}

const mostPages = 120

// forms writes each form once, as a browser sends it: with its cookies, its token and the headers by which our own pages are told.
func (w *writer) forms() error {
	seen, queued := map[string]bool{}, map[string]bool{}
	queue := slices.Clone(starts)
	for _, page := range queue {
		queued[page] = true
	}
	for i := 0; i < len(queue) && i < mostPages; i++ {
		tree, at, err := w.page(queue[i])
		if err != nil {
			return err
		}
		if err := w.formsIn(tree, at, seen); err != nil {
			return err
		}
		for n := range tree.Descendants() {
			to, err := at.Parse(attribute(n, "href"))
			if n.Type != html.ElementNode || n.Data != "a" || err != nil || to.Host != w.target.Host || strings.Contains(to.Path, "logout") {
				continue
			}
			// Of the many pages of one kind, one is enough.
			if kind := ids.ReplaceAllString(to.Path, "…"); !queued[kind] {
				queued[kind] = true
				queue = append(queue, to.RequestURI())
			}
		}
		if queue[i] == "/reset" { // the last that is for strangers
			if err := w.signInToPages(); err != nil {
				return err
			}
		}
	}
	return nil
}

// ids are what paths differ by.
var ids = regexp.MustCompile(`[0-9a-f-]{30,}|\d+`)

func (w *writer) page(path string) (*html.Node, *url.URL, error) {
	res, err := w.client.Get(w.target.String() + path)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	tree, err := html.Parse(res.Body)
	return tree, res.Request.URL, err
}

// signInToPages sends the form of the page for signing in.
func (w *writer) signInToPages() error {
	tree, _, err := w.page("/login")
	if err != nil {
		return err
	}
	for n := range tree.Descendants() {
		if n.Data != "form" || !strings.HasPrefix(attribute(n, "action"), "/login") {
			continue
		}
		fields := fieldsOf(n)
		if _, ok := fields["password"]; !ok {
			continue
		}
		fields.Set("email", os.Getenv("SCAN_EMAIL"))
		fields.Set("password", os.Getenv("SCAN_PASSWORD"))
		r, err := http.NewRequest(http.MethodPost, w.target.String()+attribute(n, "action"), strings.NewReader(fields.Encode()))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", w.target.String())
		res, err := w.client.Do(r)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	return errors.New("the page for signing in has no form with a password")
}

func (w *writer) formsIn(tree *html.Node, at *url.URL, seen map[string]bool) error {
	for n := range tree.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		to, err := at.Parse(attribute(n, "action"))
		if err != nil || to.Host != w.target.Host || strings.Contains(to.Path, "logout") {
			continue
		}
		fields := fieldsOf(n)
		method := strings.ToUpper(attribute(n, "method"))
		names := slices.Sorted(func(yield func(string) bool) {
			for name := range fields {
				if !yield(name) {
					return
				}
			}
		})
		key := method + to.Path + strings.Join(names, ",")
		if seen[key] {
			continue
		}
		seen[key] = true
		headers := [][2]string{{"Origin", w.target.String()}, {"Sec-Fetch-Site", "same-origin"}}
		var cookies []string
		for _, c := range w.jar.Cookies(to) {
			cookies = append(cookies, c.Name+"="+c.Value)
		}
		if len(cookies) > 0 {
			headers = append(headers, [2]string{"Cookie", strings.Join(cookies, "; ")})
		}
		body := fields.Encode()
		if method != http.MethodPost {
			method = http.MethodGet
			to.RawQuery, body = body, ""
		} else {
			headers = append(headers, [2]string{"Content-Type", "application/x-www-form-urlencoded"})
		}
		if err := w.file("form "+to.Path, method, to.RequestURI(), headers, body); err != nil {
			return err
		}
	}
	return nil
}

func fieldsOf(form *html.Node) url.Values {
	fields := url.Values{}
	for n := range form.Descendants() {
		if n.Type == html.ElementNode && slices.Contains([]string{"input", "select", "textarea", "button"}, n.Data) && attribute(n, "name") != "" {
			value := attribute(n, "value")
			if value == "" {
				value = "1"
			}
			fields.Set(attribute(n, "name"), value)
		}
	}
	return fields
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// file writes one request.
func (w *writer) file(name, method, path string, headers [][2]string, body string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, w.target.Host)
	sort.SliceStable(headers, func(i, j int) bool { return headers[i][0] < headers[j][0] })
	for _, h := range headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	fmt.Fprintf(&b, "\r\n%s", body)
	w.n++
	name = regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(name, "-")
	return os.WriteFile(filepath.Join(w.folder, fmt.Sprintf("%03d-%.80s.txt", w.n, name)), []byte(b.String()), 0o600) // with a token
}
