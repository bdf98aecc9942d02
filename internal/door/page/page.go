// Package page is the door for people: plain HTML that works without script.
package page

import (
	"embed"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

var templates = parse()

// Assets are what the pages load: style sheets and scripts.
func Assets() web.Routes { return web.Routes{"GET /assets/{file}": asset} }

// asset serves a style sheet or a script that came with the program.
func asset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	b, err := fs.ReadFile(assetFiles, path.Join("assets", path.Base(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "not_found", "There is no such file.")
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(b) //nolint:gosec // a file that came with the program
	return nil
}
