package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// Host is the host that the console has to itself (ADMIN_URL). People sign in on PUBLIC_URL, as to any application that is guarded: the way
// there and back gives the browser a cookie of this host alone, which names a grant under the session and ends with it. Whatever runs on
// PUBLIC_URL's host reaches nothing of the console, and the console's cookie is good nowhere else.
type Host struct {
	// URL is its origin, and Public that of PUBLIC_URL.
	URL, Public string
	Guard       *openid.Guard
	SignOut     *flow.SignOut
}

const beginPath = "/.gatehouse/begin"

// freshEnough is the age of a sign-in that a change begins with: the way back, and a look at the preview, are to be within flow.FreshSignIn.
const freshEnough = flow.FreshSignIn - time.Minute

var errNoPage = fault.New(fault.Denied, "not_a_navigation",
	"This address is for a person's browser that goes there: no script may load it, and no browser ahead of time.")

// HostRoutes are those of the console's own host beside its pages.
func (c *Console) HostRoutes() web.Routes {
	elsewhere := func(w http.ResponseWriter, r *http.Request) error { return seeOther(w, c.Host.Public+r.URL.Path) }
	return web.Routes{
		"GET " + beginPath:        c.begin,
		"GET " + client.EnterPath: c.enter,
		"POST /logout":            c.leave,
		"GET /{$}":                func(w http.ResponseWriter, _ *http.Request) error { return seeOther(w, "/admin") },
		// What pages of errors lead to.
		"GET /login": elsewhere, "GET /account": elsewhere, "GET /privacy": elsewhere, "GET /terms": elsewhere,
	}
}

// ElsewhereRoutes are those of PUBLIC_URL's host where the console has its own: links and bookmarks lead there, and nothing else is here.
func (c *Console) ElsewhereRoutes() web.Routes {
	move := func(w http.ResponseWriter, r *http.Request) error {
		if err := c.Administrate.Network(web.Origin(r)); err != nil {
			return err
		}
		return seeOther(w, c.Host.URL+r.URL.RequestURI())
	}
	return web.Routes{"GET /admin": move, "GET /admin/{page...}": move}
}

// beginAt is where a sign-in begins that leads back to a page of the console.
func beginAt(to string, again bool) string {
	q := url.Values{"to": {to}}
	if again {
		q.Set("again", "1")
	}
	return beginPath + "?" + q.Encode()
}

// beginFresh is beginAt for a sign-in of late: who has signed in again on PUBLIC_URL need not do it once more.
func beginFresh(to string) string {
	return beginPath + "?" + url.Values{"to": {to}, "max_age": {strconv.Itoa(int(freshEnough / time.Second))}}.Encode()
}

// begin leads to the sign-in on PUBLIC_URL.
func (c *Console) begin(w http.ResponseWriter, r *http.Request) error {
	if err := c.Administrate.Network(web.Origin(r)); err != nil {
		return err
	}
	asked, err := flow.ParseAsked("", web.Parameter(r, "max_age"))
	if err != nil {
		return err
	}
	b, err := c.Host.Guard.BeginConsole(c.Host.URL, web.Parameter(r, "to"), asked, web.Parameter(r, "again") != "")
	if err != nil {
		return err
	}
	c.Cookies.PutEntering(w, r, b.State, b.Cookie, openid.GuardLife)
	return seeOther(w, b.Location)
}

// enter takes what the browser comes back with, and leads to the page that was asked for.
func (c *Console) enter(w http.ResponseWriter, r *http.Request) error {
	if err := c.Administrate.Network(web.Origin(r)); err != nil {
		return err
	}
	if !web.Navigates(r) {
		return errNoPage
	}
	a := openid.Answer{
		Code: web.Parameter(r, "code"), State: web.Parameter(r, "state"), Issuer: web.Parameter(r, "iss"), Error: web.Parameter(r, "error"),
	}
	in, err := c.Host.Guard.EnterConsole(r.Context(), c.Host.URL, a, c.Cookies.Entering(r, a.State), web.Origin(r))
	if err != nil {
		return err
	}
	c.Cookies.EndEntering(w, a.State)
	c.Cookies.PutEntered(w, in.Cookie, in.Life)
	return seeOther(w, in.To)
}

// leave ends the session that the console's cookie stands under: one sign-in, one sign-out. Who has none has left already. As on PUBLIC_URL
// a form of the console is enough, by its origin: that of a tab from before a sign-in has another token. A client that tells no origin needs it.
func (c *Console) leave(w http.ResponseWriter, r *http.Request) error {
	in, err := web.Form(w, r, "csrf_token")
	if err == nil {
		err = c.Cookies.CheckOrigin(r)
	}
	if err != nil {
		return err
	}
	switch who, err := c.caller(r); {
	case fault.KindOf(err) == fault.Unauthenticated:
	case err != nil:
		return err
	default:
		if r.Header["Origin"] == nil && r.Header["Sec-Fetch-Site"] == nil {
			if err := c.Cookies.CheckCSRF(r, who.Session, in["csrf_token"]); err != nil {
				return err
			}
		}
		if err := c.Host.SignOut.Under(r.Context(), who.Session, web.Origin(r)); err != nil {
			return err
		}
	}
	w.Header().Set("Clear-Site-Data", `"cache"`)
	c.Cookies.PutEntered(w, "", 0)
	return seeOther(w, c.Host.Public+"/login")
}
