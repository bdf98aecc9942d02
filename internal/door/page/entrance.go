package page

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
)

// errBounced is for a browser whose cookies may come with its next request: the answer is written.
var errBounced = errors.New("the browser was asked to come again with its cookies")

// Visitor tells a form who sends it, as far as that is of use there.
type Visitor struct {
	Forms
	Authenticate *application.Authenticate
}

// Entrance tells who a browser is, for all pages that look different to whoever is
// signed in.
type Entrance struct {
	Visitor
	Refresh *flow.Refresh
}

// entrance tells who this browser is: for every page that looks different to who is signed in. It is
// a fault of kind Unauthenticated for nobody, and errBounced once it has asked the browser to come
// again: what answers to a link on another site gets no strict cookies, but its next request from there does.
func (p *Entrance) entrance(w http.ResponseWriter, r *http.Request) (flow.Identity, error) {
	if p.Cookies.Access(r)+p.Cookies.Refresh(r) != "" {
		return p.who(w, r)
	}
	if cameFromElsewhere(r) {
		w.Header().Set("Refresh", "0")
		if err := p.show(w, http.StatusOK, p.view(r), "bounce", r.URL.RequestURI()); err != nil {
			return flow.Identity{}, err
		}
		return flow.Identity{}, errBounced
	}
	return flow.Identity{}, flow.ErrInvalidRefresh
}

// cameFromElsewhere reports whether another site led here, as far as the browser tells. Where it does
// not say so by Sec-Fetch-Site, which old ones do not, nor any over plain HTTP, the Referer tells:
// after a Refresh that is our own page, so nobody goes round in circles.
func cameFromElsewhere(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "cross-site"
	}
	from, err := url.Parse(r.Header.Get("Referer"))
	return err == nil && from.Host != "" && from.Host != r.Host
}

// who is the person of the request's cookies. If the access token has expired
// and the session lives on, the cookies get new tokens.
func (p *Entrance) who(w http.ResponseWriter, r *http.Request) (flow.Identity, error) {
	access := p.Cookies.Access(r)
	if access != "" {
		who, err := p.Authenticate.Do(r.Context(), access, web.Origin(r))
		if fault.KindOf(err) != fault.Unauthenticated || err == nil {
			web.SetAccount(r, who.Account)
			return who, err
		}
	}
	t, err := p.Refresh.Cookie(r.Context(), p.Cookies.Refresh(r), web.Origin(r))
	if err != nil {
		if f := fault.As(err); f != nil && f.Kind == fault.Invalid { // no token at all
			err = flow.ErrInvalidRefresh
		}
		return flow.Identity{}, err
	}
	p.Cookies.Put(w, web.SessionTokens(t))
	who, err := p.Authenticate.Do(r.Context(), t.Access, web.Origin(r))
	web.SetAccount(r, who.Account)
	return who, err
}

// whoMay is who the request's cookies tell, for a form that asks less of who is signed in; nobody
// if they tell nobody. They are not replaced.
func (p *Visitor) whoMay(r *http.Request) flow.Identity {
	with := flow.Tokens{Access: p.Cookies.Access(r), Refresh: p.Cookies.Refresh(r)}
	if with.Access+with.Refresh == "" {
		return flow.Identity{}
	}
	who, err := p.Authenticate.Browser(r.Context(), with, web.Origin(r))
	if err != nil {
		return flow.Identity{}
	}
	return who
}

const (
	// onCookie counts how often a browser was sent on that was signed in: an application that
	// sends it back each time would have it go round in circles.
	onCookie = "gatehouse_on"
	// onMost is how often in onWithin: faster than any person, slower than any loop.
	onMost   = 5
	onWithin = 10 * time.Second
)

var errLoop = fault.New(fault.Conflict, "redirect_loop",
	"You are signed in, but the application sent you back here each time: it is not given your session. Its operator finds more in the guide on proxies: "+
		"the application and Gatehouse have to be on one host, and the proxy must pass cookies on to Gatehouse.")

// sendOn sends whoever is signed in on to where they wanted to go.
func (p *Entrance) sendOn(w http.ResponseWriter, r *http.Request, to string) error {
	now := p.Authenticate.Now()
	n, began := 1, now
	if count, at, ok := strings.Cut(p.Cookies.Short(r, onCookie), "."); ok {
		seconds, _ := strconv.ParseInt(at, 10, 64)
		if before, err := strconv.Atoi(count); err == nil && now.Sub(time.Unix(seconds, 0)).Abs() < onWithin {
			n, began = before+1, time.Unix(seconds, 0)
		}
	}
	p.Cookies.ClearReturnTo(w, r)
	if n > onMost {
		p.Cookies.PutShort(w, onCookie, "", 0)
		v := p.view(r)
		return p.fail(w, v, "bounce", "/account", p.blame(v, r, errLoop), errLoop)
	}
	p.Cookies.PutShort(w, onCookie, strconv.Itoa(n)+"."+strconv.FormatInt(began.Unix(), 10), onWithin)
	return seeOther(w, to)
}
