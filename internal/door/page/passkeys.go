package page

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// passkeyView is a passkey as its owner sees it.
type passkeyView struct {
	ID, Name               string
	Added, Used            ui.Markup
	Synced, Suspect, Rests bool
}

// passkeysView is what the section shows.
type passkeysView struct {
	List []passkeyView
	// First says that a passkey would be the first second factor, which takes a mailed code; Asked that the code
	// was asked for.
	First, Asked bool
	// Signal is what the browser is told.
	Signal passkeySignal
}

// passkeySignal is what a page tells the browser about passkeys: the owner's address as it is now, and one that is gone.
type passkeySignal struct {
	RPID, Gone string
	User       factor.User
}

// passkeySignal is what there is to tell whoever is signed in, on the page of an ending.
func (p *Visitor) passkeySignal(r *http.Request, factors *flow.Factors, who flow.Identity) (s passkeySignal, err error) {
	u, ok, err := factors.SignalUser(r.Context(), who)
	if ok {
		s.RPID, s.User = factors.Keys.RPID(), u
	}
	e, n, ended := p.ended(r)
	if err != nil || !ended || e.path != home || n.Step != stepKeyGone {
		return s, err
	}
	gone, err := factors.SignalGone(r.Context(), n.Passkey)
	if gone {
		s.RPID, s.Gone = factors.Keys.RPID(), n.Passkey
	}
	return s, err
}

// PasskeysSection has the passkeys.
func (p *Account) PasskeysSection(factors *flow.Factors) Section {
	return Section{
		ID: "passkeys", Icon: "passkey", Title: "passkeys.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			own, err := factors.List(r.Context(), s.Identity)
			if err != nil {
				return nil, err
			}
			v := passkeysView{First: own.App == nil && len(own.Keys) == 0, Asked: r.URL.Query().Get("step") == stepCoded || s.View.Opens("passkey-add")}
			for _, k := range own.Keys {
				one := passkeyView{
					ID: k.ID, Name: k.Name, Added: s.View.Time(k.MadeAt), Synced: k.Eligible, Suspect: !k.SuspectAt.IsZero(), Rests: k.RPID != factors.Keys.RPID(),
				}
				if !k.UsedAt.IsZero() {
					one.Used = s.View.Time(k.UsedAt)
				}
				v.List = append(v.List, one)
			}
			v.Signal, err = p.passkeySignal(r, factors, s.Identity)
			return v, err
		},
		Actions: map[string]Action{
			"passkey-code": {nil, func(w http.ResponseWriter, r *http.Request, s Signed, _ map[string]string) (string, error) {
				request, err := factors.MailCode(r.Context(), flow.Enroller{Identity: s.Identity}, web.Origin(r))
				return stepCoded, p.asked(w, r, request, err)
			}},
			"passkey-add": {[]string{"passkey", "mail_code"}, p.addPasskey(factors)},
			"passkey-rename": {[]string{"id", "passkey_name"}, func(_ http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				return stepSaved, factors.RenameKey(r.Context(), s.Identity, in["id"], in["passkey_name"])
			}},
			"passkey-remove": {[]string{"id"}, func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				credential, err := factors.RemoveKey(r.Context(), s.Identity, in["id"], false, web.Origin(r))
				if err != nil {
					return "", err
				}
				return "", p.endWith(w, web.Note{Step: stepKeyGone, Passkey: credential})
			}},
			"passkey-reinstate": {[]string{"id"}, func(_ http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				return stepSaved, factors.ReinstateKey(r.Context(), s.Identity, in["id"], web.Origin(r))
			}},
		},
	}
}

// addPasskey adds one. The first factor is a whole sign-in: the browser gets a new session, and its owner the recovery
// codes.
func (p *Account) addPasskey(factors *flow.Factors) func(http.ResponseWriter, *http.Request, Signed, map[string]string) (string, error) {
	return func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
		browser := p.browser(r)
		added, err := factors.AddKey(r.Context(), flow.Enroller{Identity: s.Identity}, flow.AddingKey{
			Credential: []byte(in["passkey"]), MailCode: strings.TrimSpace(in["mail_code"]), Requests: p.Cookies.Requests(r), Browser: browser, Cookies: true,
		}, web.Origin(r))
		if err != nil || !added.SignedIn && added.Waits == nil {
			return stepKeyAdded, err
		}
		if added.Waits != nil {
			p.Cookies.PutPending(w, added.Waits.Token, added.Waits.Life)
			return "", p.show(w, http.StatusOK, s.View, "codes", codesPage{Codes: added.RecoveryCodes, To: agreePath})
		}
		p.Cookies.PutDevice(w, r, browser.Known.Name, browser.Known.Value, browser.Known.Life)
		p.Cookies.Put(w, web.SessionTokens(added.Tokens))
		return "", p.show(w, http.StatusOK, s.View, "codes", codesPage{Codes: added.RecoveryCodes, To: home})
	}
}
