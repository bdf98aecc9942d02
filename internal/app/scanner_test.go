package app_test

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
)

var anyLink = regexp.MustCompile(`https?://[^\s"'<>]+`)

// linksOf are all links of the mails that came to an address, those of the HTML too,
// by the page they lead to.
func (h *house) linksOf(s *mailtest.Server, to string) (all []string, byPage map[string]string) {
	h.Helper()
	byPage = map[string]string{}
	for _, m := range s.Mails() {
		if m.To != to {
			continue
		}
		_, parts := m.Parse(h.T)
		for _, part := range parts {
			for _, link := range anyLink.FindAllString(html.UnescapeString(part), -1) {
				u, err := url.Parse(link)
				if err != nil {
					h.Fatal(err)
				}
				// An operator's command knows the port that is set, and not the one that the
				// system has chosen.
				link = strings.Replace(link, u.Scheme+"://"+u.Host, h.server.URL(), 1)
				if u.Fragment != "" || byPage[u.Path] == "" {
					byPage[u.Path] = link // the latest
				}
				if !slices.Contains(all, link) {
					all = append(all, link)
				}
			}
		}
	}
	return all, byPage
}

// state is all that a link could change, in words.
func (h *house) state() string {
	h.Helper()
	var out strings.Builder
	d := h.database()
	for _, query := range []string{
		`SELECT id || purpose || tries || (code IS NULL) FROM ticket ORDER BY id`,
		`SELECT id || email || password_n || hash || (verified_at IS NULL) || (reset_at IS NULL) FROM account ORDER BY id`,
		`SELECT id || gen || (ended_at IS NULL) FROM session ORDER BY id`,
		`SELECT id || seen_at FROM known_device ORDER BY id`, `SELECT k || n FROM guess ORDER BY k`, `SELECT k || n FROM code_try ORDER BY k`,
		`SELECT 'unlock' || COUNT(*) FROM unlock_link`, `SELECT id FROM outbox ORDER BY id`,
		`SELECT id || kind FROM event ORDER BY id`,
	} {
		err := d.Read(h.Context(), func(tx *db.Tx) error {
			rows, err := tx.Query(query)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var text string
				if err := rows.Scan(&text); err != nil {
					return err
				}
				out.WriteString(text + "\n")
			}
			return rows.Err()
		})
		if err != nil {
			h.Fatal(err)
		}
	}
	return out.String()
}

// Issue 5: a scanner that opens every link of every mail in a browser, with script
// on, changes nothing; and then the links work for whoever presses the buttons.
func TestRecovery_AScannerChangesNothing(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{})
	h := open(t, dbtest.SQLite(t), "SMTP_URL="+s.URL, "MAIL_FROM=no-reply@acme.org", behindProxy)
	const ada, bob, eve, moved, third = "ada@example.org", "bob@example.org", "eve@example.org", "moved@example.org", "third@example.org"
	for _, who := range []string{ada, bob, eve} {
		h.register(who)
	}
	access := h.login(ada).str("access_token")
	// Mails of nearly every kind.
	h.expect(200, "", from("203.0.113.7", onIPhone, signInAs(ada, passphrase)))
	h.expect(202, "", post("/v1/email/change", body{"email": moved, "current_password": passphrase}, access))
	arrived := func() {
		t.Helper()
		h.eventually("all mails arrive", func() (string, bool) {
			n := h.count(`SELECT COUNT(*) FROM outbox WHERE sent_at IS NULL`)
			return fmt.Sprint(n, " wait"), n == 0
		})
	}
	arrived()
	_, pages := h.linksOf(s, moved)
	confirm := tokenOf(t, pages["/verify"])
	h.expect(204, "", post("/v1/email/verify", body{"token": confirm}, access))
	h.expect(202, "", post("/v1/email/change", body{"email": third, "current_password": passphrase}, access))
	h.expect(202, "", post("/v1/password/forgot", body{"email": moved}))
	h.register(bob) // again: its owner is told
	for i := range 80 {
		h.expect(401, "invalid_credentials", wrong(eve, i))
	}
	if _, _, err := h.operator().ResetUser(h.Context(), bob, originOfTests); err != nil {
		t.Fatal(err)
	}
	arrived()

	before := h.state()
	c := h.chromium()
	led, last := map[string]int{}, ""
	for _, to := range []string{ada, bob, eve, moved, third} {
		all, _ := h.linksOf(s, to)
		for _, link := range all {
			u, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			led[u.Path]++
			for _, method := range []string{"GET", "HEAD"} {
				h.expect(200, "", request{method: method, path: u.RequestURI()})
			}
			if u.Path == last {
				c.run(link, chromedp.Navigate(h.server.URL()+"/login")) // or the page would not be loaded anew
			}
			last = u.Path
			c.run(link, chromedp.Navigate(link))
			if u.Fragment != "" {
				if got := c.eval(`document.querySelector("#token").value + " " + location.hash`); got != u.Fragment+" " {
					t.Errorf("the script of %s did not run: it holds %q", u.Path, got)
				}
			}
			c.quiet(link, "/favicon.ico")
		}
	}
	for _, path := range []string{"/verify", "/reset", "/not-me", "/undo", "/unlock"} {
		if led[path] == 0 {
			t.Errorf("no mail led to %s: %v", path, led)
		}
	}
	if after := h.state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	// People press the buttons, of the mails that there were until now. The button is
	// pressed by script: the library's own click waits for ever on a page whose form
	// the browser has filled in.
	latest := map[string]map[string]string{}
	for _, to := range []string{ada, bob, eve} {
		_, latest[to] = h.linksOf(s, to)
	}
	press := func(to, path, done string, fill ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		c.run(path, append([]chromedp.Action[chromedp.Void]{chromedp.Navigate(h.server.URL() + "/login"), chromedp.Navigate(latest[to][path])}, fill...)...)
		c.eval(`document.querySelector("button").click()`)
		c.run(path, chromedp.WaitVisible(done))
	}
	press(eve, "/unlock", `main a[href="/login"]`)
	press(bob, "/reset", "#done", chromedp.SendKeys("#new_password", another))
	press(bob, "/not-me", "#problem")  // void, since the password was set
	press(eve, "/verify", "#password") // another browser than the one that registered
	c.run("/verify", chromedp.SendKeys("#password", passphrase))
	c.eval(`document.querySelector("button").click()`)
	c.run("/verify", chromedp.WaitVisible("#done"))
	press(ada, "/undo", "#done", chromedp.SendKeys("#password", passphrase))
	h.expect(200, "", signInAs(bob, another))
	h.expect(403, "password_reset_required", signInAs(ada, passphrase))
}
