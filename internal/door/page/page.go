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
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

var templates = parse()

// Pages is the door and the flows that it opens on.
type Pages struct {
	Setup        *flow.Setup
	SignIn       *flow.SignIn
	Refresh      *flow.Refresh
	SignOut      *flow.SignOut
	Unlock       *flow.Unlock
	Register     *flow.Register
	Verify       *flow.Verify
	Passwords    *flow.Passwords
	Addresses    *flow.Addresses
	NotMe        *flow.NotMe
	Authenticate *flow.Authenticate
	Profile      *flow.Profile
	Cookies      *web.Cookies
	// Mails is what development shows at /dev/mail; nil where there is no such page.
	Mails *flow.Mails
	Root  Root
}

// Routes registers the pages.
func (p *Pages) Routes(s *web.Stack, mux *http.ServeMux) {
	p.Root.routes(s, mux)
	s.Handle(mux, "GET /login", p.login)
	s.Handle(mux, "POST /login", p.doLogin)
	s.Handle(mux, "GET /logout", p.logout)
	s.Handle(mux, "POST /logout", p.doLogout)
	s.Handle(mux, "GET /account", p.account)
	s.Handle(mux, "POST /account", p.endSession)
	s.Handle(mux, "GET /setup", p.setup)
	s.Handle(mux, "POST /setup", p.doSetup)
	s.Handle(mux, "GET /unlock", p.unlock)
	s.Handle(mux, "POST /unlock", p.doUnlock)
	for _, l := range linkPages {
		s.Handle(mux, "GET "+l.path, p.open(l))
		s.Handle(mux, "POST "+l.path, p.press(l))
	}
	s.Handle(mux, "GET /.well-known/change-password", p.changePassword)
	s.Handle(mux, "GET /assets/{file}", asset)
	if p.Mails != nil {
		s.Handle(mux, "GET /dev/mail", p.mails)
	}
}

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
