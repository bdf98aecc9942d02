package page

import (
	"maps"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// samples are what each page may be asked to show, with much and with little: a page of an operator's own is
// drawn with them at the start.
func samples() map[string][]any {
	rules := []ui.Rule{{Text: "x", Codes: "password_too_short"}}
	asked := []askedDocument{{"agree-terms", "x", "/terms", 2, true}}
	full := linkView{
		Invited: true, Passwordless: true, Documents: asked, Email: "ada@example.org", Given: "x", Sent: "x", Rules: rules, Stuck: true, Password: true,
		Buttons: providerSamples, Then: home,
	}
	byCode := linkView{Email: "ada@example.org", ByCode: true, Title: "verify.check", Said: "verify.registered", Rules: rules, Closed: true}
	link := []any{linkView{}, full, byCode}
	var done []any
	for _, e := range endings {
		if e.title != "" && !e.asks {
			done = append(done, donePage{ending: e, Email: "ada@example.org", More: "not-me.next", Next: e.next})
		}
	}
	blocks := []notice.Block{{URL: "/x", Label: "x"}, {Code: "x"}, {Lines: []string{"x", "y"}}}
	mail := notice.Shown{Rendered: notice.Rendered{Subject: "x", Language: "en", Blocks: blocks}}
	mails := []notice.Shown{mail}
	all := map[string][]any{
		"login": {loginPage{ReturnTo: home}, loginPage{
			Passkeys: true, ReturnTo: home, Email: "ada@example.org", Closed: true, ACR: "2fa", MaxAge: "60", Again: true, Buttons: providerSamples,
		}},
		"logout": {nil}, "bounce": {"/x"}, "closed": {nil}, "done": done,
		"register": link, "verify": link, "forgot": link, "reset": link, "not-me": link, "undo": link, "unlock": link,
		"undo-factor": link, "stop-reset": link,
		"second": {
			secondPage{With: factor.Key, Ways: []factor.Kind{factor.Key, factor.App, factor.Recovery}}, secondPage{With: factor.App}, secondPage{With: factor.Recovery},
			secondPage{Over: true},
		},
		"enrol":   enrolSamples,
		"agree":   {agreePage{}, agreePage{Over: true}, agreePage{Documents: asked}},
		"codes":   {codesPage{Codes: []string{"x"}, To: home}, codesPage{Codes: []string{"x"}, To: home, Bare: true}},
		"setup":   {setupPage{}, setupPage{Given: "x", Email: "ada@example.org", Rules: rules}},
		"refused": {refusedPage{RequestID: "x", At: "/x"}, refusedPage{Ours: true, Again: true}}, "maintenance": {refusedPage{}},
		"account":  {accountPage{}, accountPage{Email: "ada@example.org", Said: "x", Sections: []shownSection{{"profile", "user", "profile.title", "x"}}}},
		"root":     {rootPage{}, rootPage{Development{Version: "x", Admin: "x", Mails: true, Closed: true}, "x"}},
		"mails":    {mailsPage{}, mailsPage{List: mails, Mail: &mail, As: "text"}, mailsPage{List: mails, Mail: &mail, As: "phone"}},
		"document": {documentPage{}, documentPage{Title: "x", Parts: []part{{"x", "x", nil}, {"", "", nil}}, Said: "x", Newest: "/x"}},
	}
	maps.Copy(all, sectionSamples(rules))
	all["not-me-done"] = []any{storyPage{}, storyPage{
		Story:    flow.Story{More: true, Failed: 2, Sessions: 3, Identities: 1, Kept: true},
		Happened: []happening{{Icon: "key", Text: "x", Warn: true, When: "x", With: "x", From: "x"}},
		Todo:     []string{"not-me.todo-look"}, Next: []next{nextForgot},
	}}
	all["join"] = []any{joinPage{}, joinPage{Provider: "x", Address: "ada@example.org", Sent: "x"}, joinPage{Address: "x", Email: "x"}}
	maps.Copy(all, applicationSamples())
	return all
}

// sectionSamples are those of the account's page.
func sectionSamples(rules []ui.Rule) map[string][]any {
	return map[string][]any{
		"section-profile": {profileView{}, profileView{
			Name: "Ada", Email: "ada@example.org", Language: "English", Confirmed: time.Unix(1, 0), Languages: []ui.Option{{Value: "en", Text: "English"}},
		}},
		"section-signing-in": {signingInView{}, signingInView{Email: "ada@example.org", Rules: rules}},
		"section-factors": {factorsView{}, factorsView{
			Owned: factor.Owned{App: &factor.OwnedApp{MadeAt: time.Unix(1, 0)}, Keys: []factor.Passkey{{}}, CodesLeft: 2}, Used: "x", Low: true,
		}},
		"section-passkeys": {passkeysView{}, passkeysView{
			List: []passkeyView{{ID: "x", Name: "x", Added: "x", Used: "x", Synced: true, Suspect: true, Rests: true}}, First: true, Asked: true,
			Signal: passkeySignal{RPID: "x", Gone: "x", User: factor.User{ID: "x", Name: "x", DisplayName: "x"}},
		}},
		"section-devices": {devicesView{}, devicesView{List: []deviceView{{ID: "x", Device: "x", Icon: "laptop", Network: "x", Used: "x"}}, Others: true}},
		"section-activity": {activityView{}, activityView{
			List: []happening{{Icon: "key", Text: "x", Warn: true, When: "x", With: "x", From: "x"}}, Older: "x", Email: "x", Password: true,
		}},
		"section-own-data": {ownDataView{}, ownDataView{Email: "ada@example.org", Password: true, Days: 14}},
		"section-consents": {consentsView{}, consentsView{
			List: []consentView{
				{Name: "x", Title: "x", Path: "/x", Version: 2, Required: true}, {Name: "x", Title: "x", Path: "/x", Version: 2, Given: "x", Newer: true},
				{Name: "x", Title: "x", Path: "/x", Version: 2, Given: "x", Required: true},
			},
			History: []pastConsent{{Title: "x", Path: "/x", Version: 1, Given: "x", Withdrawn: "x"}},
		}},
		"section-identities": {identitiesView{}, identitiesView{
			List: []identityView{{Handle: "x", Name: "x", Email: "x", Linked: "x", Used: "x"}, {Name: "x"}}, More: providerSamples,
		}},
	}
}

// applicationSamples are those of the pages on the way to an application, and of the section about them.
func applicationSamples() map[string][]any {
	return map[string][]any{
		"section-applications": {applicationsView{}, applicationsView{
			List: []applicationView{{ID: "x", Title: "x", Since: "x", Used: "x", Offline: true}, {ID: "x", Title: "x", Consented: "x"}},
		}},
		"consent": {
			consentScreen{Title: "x", To: "x", Email: "x", Scopes: []askedScope{{"scope.openid", true}}, Days: 180,
				Resources: []askedResource{{"x", "x", true, []askedScope{{"x", true}}}}}, consentScreen{Other: true, Title: "x"},
			consentScreen{Title: "x"},
		},
		"self": {selfScreen{"x", "x", "https://app.example.org/cb", "https://app.example.org"}},
		"device": {
			deviceScreen{}, deviceScreen{Done: "yes"}, deviceScreen{Done: "no"},
			deviceScreen{
				Title: "x", Network: "x", Program: "x", Code: "x", Shown: "x", Scopes: []askedScope{{Key: "scope.openid"}}, Days: 180,
				Resources: []askedResource{{Name: "x", URI: "x", Scopes: []askedScope{{Key: "x"}}}},
			},
		},
		"form-post":   {formPost{To: "https://app.example.org/cb", Fields: []formField{{"code", "x"}}}},
		"end-session": {endPage{Title: "x", Fields: []formField{{"state", "x"}}}, endPage{Out: true}, endPage{}},
	}
}

var providerSamples = []providerButton{{"x", "x"}}

var enrolSamples = []any{
	enrolPage{}, enrolPage{Over: true}, enrolPage{Secret: "x", Mails: true}, enrolPage{Own: true, Action: factorsPath}, enrolPage{Keys: true},
	enrolPage{Key: true, KeyOnly: true, Mails: true}, enrolPage{Key: true},
	enrolPage{Key: true, KeyOnly: true, Begins: true}, enrolPage{Over: true, Begins: true},
}
