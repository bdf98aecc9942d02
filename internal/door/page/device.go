package page

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// Device is where people let in a device that has no keyboard to speak of.
type Device struct {
	Entrance
	Device  *openid.Device
	Profile *flow.Profile
	// On is whether people can sign in to applications here.
	On bool
}

const devicePath = "/device"

// Routes are its pages.
func (p *Device) Routes() web.Routes {
	return web.Routes{"GET " + devicePath: p.open, "POST " + devicePath: p.answer}
}

// deviceScreen asks for the code that a device shows, then whether it may in, and then says what was answered.
type deviceScreen struct {
	// Email is whose account is signed in, Code what they typed, and Shown the same as the device shows it.
	Email, Code, Shown string
	// Title is the application of the device, from where it began by Network and Program; empty until there is a code.
	Title, Network, Program string
	Scopes                  []askedScope
	Resources               []askedResource
	Days                    int
	// Done is what was answered: yes or no.
	Done string
}

// fresh finds out who is signed in, and was so of late: others sign in, and come back. done is whether the answer is written.
func (p *Device) fresh(w http.ResponseWriter, r *http.Request) (who flow.Identity, done bool, err error) {
	if !p.On {
		return who, false, errProviderOff
	}
	if r.Method == http.MethodGet {
		if !web.Navigates(r) {
			return who, false, errNoPage
		}
		who, err = p.entrance(w, r)
	} else {
		who, err = p.who(w, r)
	}
	if err == nil {
		err = p.Device.Fresh(r.Context(), who)
	}
	f := fault.As(err)
	switch {
	case err == nil:
		return who, false, nil
	case errors.Is(err, errBounced):
		return who, true, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return who, true, seeOther(w, "/login?return_to=%2Fdevice")
	case f != nil && (f.Code == "sign_in_again" || f.Code == "step_up_required"):
		return who, true, seeOther(w, "/login?again=1&return_to=%2Fdevice")
	}
	return who, false, err
}

// open asks for the code. One in the address is passed over: who follows a link would let somebody else's device in.
func (p *Device) open(w http.ResponseWriter, r *http.Request) error {
	if done := web.Parameter(r, "done"); p.On && (done == "yes" || done == "no") {
		return p.show(w, http.StatusOK, p.view(r), "device", deviceScreen{Done: done})
	}
	who, done, err := p.fresh(w, r)
	if done || err != nil {
		return err
	}
	v, shown, err := p.screen(r, who)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, v, "device", shown)
}

func (p *Device) screen(r *http.Request, who flow.Identity) (*ui.View, deviceScreen, error) {
	a, err := p.Profile.Me(r.Context(), who)
	v := p.view(r, a.Locale)
	v.CSRF = p.Cookies.CSRF(who.Session)
	return v, deviceScreen{Email: a.Email}, err
}

// answer takes the code, and then what the person says of the device. Only our own page's form counts.
func (p *Device) answer(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "csrf_token", "user_code", "say")
	if err != nil {
		return err
	}
	who, done, err := p.fresh(w, r)
	if done || err != nil {
		return err
	}
	if err := p.Cookies.CheckCSRF(r, who.Session, in["csrf_token"]); err != nil {
		return seeOther(w, devicePath) // somebody else is signed in by now: they are asked anew
	}
	v, shown, err := p.screen(r, who)
	if err != nil {
		return err
	}
	shown.Code = in["user_code"]
	if say := in["say"]; say != "" {
		err = p.Device.Answer(r.Context(), who, in["user_code"], say == "yes", web.Origin(r))
		if err == nil && say == "yes" {
			return seeOther(w, devicePath+"?done=yes")
		} else if err == nil {
			return seeOther(w, devicePath+"?done=no")
		}
		return p.fail(w, v, "device", shown, p.blame(v, r, err), err)
	}
	waiting, err := p.Device.Look(r.Context(), who, in["user_code"], web.Origin(r))
	if err != nil {
		return p.fail(w, v, "device", shown, p.blame(v, r, err), err)
	}
	shown.waits(waiting, int(p.Device.Exchange.Grants.OfflineMax().Hours()/24))
	return p.show(w, http.StatusOK, v, "device", shown)
}

// waits fills in what is known of the device.
func (s *deviceScreen) waits(w openid.Waiting, offlineDays int) {
	s.Title, s.Network, s.Program = w.Application.Shown(), cmp.Or(w.Address, "–"), cmp.Or(w.UserAgent, "–")
	s.Shown = strings.ToUpper(s.Code)
	for _, scope := range w.Scopes {
		if scope != grant.Offline {
			s.Scopes = append(s.Scopes, askedScope{Key: scopeWords[scope]})
		}
	}
	if slices.Contains(w.Scopes, grant.Offline) {
		s.Days = offlineDays
	}
	s.Resources = resourcesShown(openid.Step{Resources: w.Resources})
}
