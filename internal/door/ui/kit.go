package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// Config is what an installation's pages look like.
type Config struct {
	// Service is what people know it as (SERVICE_NAME).
	Service string
	// Color is the brand's, as #rrggbb; empty for the design's own (BRAND_COLOR).
	Color string
	// Logo is the path of an SVG or a PNG; empty for the design's own (BRAND_LOGO).
	Logo string
	// Folder has templates in the place of the program's own; empty for none (PAGE_TEMPLATES).
	Folder string
	// Secure is for cookies: false only for development over plain HTTP.
	Secure bool
}

// Kit is what all pages share: the layouts and parts, the style sheet, the scripts and the brand. It is made
// once, and is safe for concurrent use.
type Kit struct {
	Config
	base   *template.Template
	folder fs.FS // nil for none
	assets map[string]file
	// urls are where the assets are, by what they are called here: style, gatehouse.js, logo.
	urls     map[string]string
	logoSize [2]int // width and height in pixels, at a height of 28
	reports  [len(directives) + 1]atomic.Int64
	allowed  reportBucket
}

// file is an asset as it is served.
type file struct {
	kind   string
	body   []byte
	hashed bool // its name has the hash of its content, so it never changes
}

// New makes the kit. The error tells what is wrong with the logo, the colour or the folder.
func New(c Config) (*Kit, error) {
	k := &Kit{Config: c, assets: map[string]file{}, urls: map[string]string{}}
	if c.Folder != "" {
		k.folder = os.DirFS(c.Folder)
		if _, err := fs.ReadDir(k.folder, "."); err != nil {
			return nil, err
		}
	}
	rule, err := brandRule(c.Color)
	if err != nil {
		return nil, err
	}
	k.add("style", "gatehouse.css", slurp("assets/tokens.css")+slurp("assets/gatehouse.css")+rule)
	for _, name := range []string{"gatehouse.js", "desk.js", "link.js", "live.js", "passkey.js", "send.js", "signal.js", "strength.js"} {
		k.add(name, name, slurp("assets/"+name))
	}
	k.assets["icon.svg"] = file{kind: kinds[".svg"], body: []byte(slurp("assets/icon.svg"))}
	if err := k.addLogo(); err != nil {
		return nil, err
	}
	k.base, err = k.parseBase()
	return k, err
}

func slurp(name string) string {
	b, err := fs.ReadFile(assetFiles, name)
	if err != nil {
		panic(err) // it came with the program
	}
	return string(b)
}

// kinds are the types of the assets that there are.
var kinds = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png",
}

// add serves an asset under a name that has its hash.
func (k *Kit) add(called, name, body string) {
	sum := sha256.Sum256([]byte(body))
	base, ext, _ := strings.Cut(name, ".")
	name = base + "." + base64.RawURLEncoding.EncodeToString(sum[:9]) + "." + ext
	k.assets[name] = file{kind: kinds["."+ext], body: []byte(body), hashed: true}
	k.urls[called] = "/assets/" + name
}

var errNoAsset = fault.New(fault.NotFound, "not_found", "There is no such file.")

// Asset serves what pages load, at GET /assets/{file}. What has a hash in its name may be kept for ever:
// another content has another name.
func (k *Kit) Asset(w http.ResponseWriter, r *http.Request) error {
	f, ok := k.assets[path.Base(r.PathValue("file"))]
	if !ok {
		return errNoAsset
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	if f.hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "public, max-age=86400")
	}
	_, _ = w.Write(f.body)
	return nil
}

// parseBase reads the layouts and parts.
func (k *Kit) parseBase() (*template.Template, error) {
	base := template.New("").Funcs(template.FuncMap{"part": part})
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := k.text(templateFiles, name)
		if err != nil {
			return nil, err
		}
		if _, err := base.Parse(text); err != nil {
			return nil, fmt.Errorf("%s: %w", path.Base(name), err)
		}
	}
	return base, nil
}

// mostTemplate is the longest template of a folder, so that a mistaken one is told and not read.
const mostTemplate = 64 << 10

// text returns a template: the folder's own, or the program's.
func (k *Kit) text(files fs.FS, name string) (string, error) {
	if k.folder != nil {
		b, err := fs.ReadFile(k.folder, path.Base(name))
		switch {
		case err == nil && len(b) > mostTemplate:
			return "", fmt.Errorf("%s: it is over %d bytes", path.Base(name), mostTemplate)
		case err == nil:
			return string(b), nil
		case !os.IsNotExist(err):
			return "", err
		}
	}
	b, err := fs.ReadFile(files, name)
	return string(b), err
}

// Tokens returns the design's colours, sizes and typefaces as custom properties, light and dark, for pages
// that are made outside the server: reports and the documentation.
func Tokens() string { return slurp("assets/tokens.css") }
