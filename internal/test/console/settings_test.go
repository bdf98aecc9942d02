package console_test

import (
	"fmt"
	"html"
	"regexp"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// fieldsOfForms finds what a form would send: inputs and texts with their values, and choices.
var fieldsOfForms = regexp.MustCompile(`(?s)<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"|<textarea[^>]*name="([^"]+)"[^>]*>([^<]*)|` +
	`<select[^>]*name="([^"]+)".*?</select>`)

// TestWhatAFormLacksStaysAsItIs: each type of application has a form of its own. To save it changes nothing that it does not show, however
// that was set.
func TestWhatAFormLacksStaysAsItIs(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), settings...)
	b := administrator(h, "admin@example.org", "admin")
	at := []string{"https://shop.example.com/cb"}
	for kind, was := range map[client.Type]client.Settings{
		client.Device:  {LeanIDToken: true, RequireRoles: []string{"staff"}},
		client.SPA:     {RedirectURIs: at, FirstParty: true},
		client.Native:  {RedirectURIs: at, RequirePAR: true, LeanIDToken: true},
		client.Web:     {RedirectURIs: at, RequirePAR: true, LeanIDToken: true, PostLogoutURIs: []string{"https://shop.example.com/"}},
		client.Guarded: {RedirectURIs: []string{"https://shop.example.com" + client.EnterPath}, RequireACR: "2fa"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			c, _, err := h.Operator().RegisterClient(h.Context(), string(kind)+"-app", kind, was, harness.OriginOfTests)
			if err != nil {
				t.Fatal(err)
			}
			page := open(b, "/admin/clients/"+c.ID)
			in := harness.Body{"reason": "a test", "title": "Renamed"}
			form := regexp.MustCompile(`(?s)<form[^>]*action="/admin/clients/` + c.ID + `".*?</form>`).FindString(page.Text)
			for _, f := range fieldsOfForms.FindAllStringSubmatch(form, -1) {
				name, value := f[1]+f[3]+f[5], f[2]+f[4]
				if f[5] != "" {
					if chosen := regexp.MustCompile(`<option value="([^"]*)" selected`).FindStringSubmatch(f[0]); chosen != nil {
						value = chosen[1]
					}
				}
				if _, ours := in[name]; !ours {
					in[name] = html.UnescapeString(value)
				}
			}
			if sent, shown := pressWith(b, "/admin/clients/"+c.ID, in, page); sent.Status != 303 || shown.Status != 200 {
				t.Fatalf("saved with %v: %d %s", in, sent.Status, sent.Text)
			}
			now, err := h.Operator().Client(h.Context(), c.ID)
			if err != nil {
				t.Fatal(err)
			}
			want := c.Settings
			want.Title = "Renamed"
			if got := fmt.Sprintf("%+v", now.Settings); got != fmt.Sprintf("%+v", want) {
				t.Errorf("it is\n%s, want\n%+v", got, want)
			}
		})
	}
}
