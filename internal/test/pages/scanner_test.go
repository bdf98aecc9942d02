package pages_test

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
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

var anyLink = regexp.MustCompile(`https?://[^\s"'<>]+`)

// linksOf are all links of the mails that came to an address, those of the HTML too,
// by the page they lead to.
func linksOf(h *harness.Server, s *mailtest.Server, to string) (all []string, byPage map[string]string) {
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
				link = strings.Replace(link, u.Scheme+"://"+u.Host, h.App.URL(), 1)
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
func state(h *harness.Server) string {
	h.Helper()
	var out strings.Builder
	d := h.Database()
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
	h := harness.Open(t, dbtest.SQLite(t), "SMTP_URL="+s.URL, "MAIL_FROM=no-reply@acme.org", harness.BehindProxy)
	const ada, bob, eve, moved, third = "ada@example.org", "bob@example.org", "eve@example.org", "moved@example.org", "third@example.org"
	for _, who := range []string{ada, bob, eve} {
		h.Register(who)
	}
	access := h.Login(ada).Str("access_token")
	// Mails of nearly every kind.
	h.Expect(200, "", harness.From("203.0.113.7", harness.OnIPhone, harness.SignInAs(ada, harness.Passphrase)))
	h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": moved, "current_password": harness.Passphrase}, access))
	arrived := func() {
		t.Helper()
		h.Eventually("all mails arrive", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM outbox WHERE sent_at IS NULL`)
			return fmt.Sprint(n, " wait"), n == 0
		})
	}
	arrived()
	_, pages := linksOf(h, s, moved)
	confirm := harness.TokenOf(t, pages["/verify"])
	h.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": confirm}, access))
	h.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": third, "current_password": harness.Passphrase}, access))
	h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": moved}))
	h.Register(bob) // again: its owner is notified
	for i := range 80 {
		h.Expect(401, "invalid_credentials", harness.WrongPassword(eve, i))
	}
	if _, _, err := h.Operator().ResetUser(h.Context(), bob, harness.OriginOfTests); err != nil {
		t.Fatal(err)
	}
	arrived()

	before := state(h)
	c := newChromium(h)
	led, last := map[string]int{}, ""
	for _, to := range []string{ada, bob, eve, moved, third} {
		all, _ := linksOf(h, s, to)
		for _, link := range all {
			u, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			led[u.Path]++
			for _, method := range []string{"GET", "HEAD"} {
				h.Expect(200, "", harness.Request{Method: method, Path: u.RequestURI()})
			}
			if u.Path == last {
				c.run(link, chromedp.Navigate(h.App.URL()+"/login")) // or the page would not be loaded anew
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
	if after := state(h); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	// People press the buttons, of the mails that there were until now. The button is
	// pressed by script: the library's own click waits for ever on a page whose form
	// the browser has filled in.
	latest := map[string]map[string]string{}
	for _, to := range []string{ada, bob, eve} {
		_, latest[to] = linksOf(h, s, to)
	}
	press := func(to, path, done string, fill ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		c.run(path, append([]chromedp.Action[chromedp.Void]{chromedp.Navigate(h.App.URL() + "/login"), chromedp.Navigate(latest[to][path])}, fill...)...)
		c.eval(`document.querySelector(".btn.main").click()`)
		c.run(path, chromedp.WaitVisible(done))
	}
	press(eve, "/unlock", `main a[href="/login"]`)
	press(bob, "/reset", "#done", chromedp.SendKeys("#new_password", harness.AnotherPassphrase))
	press(bob, "/not-me", "#problem")  // void, since the password was set
	press(eve, "/verify", "#password") // another browser than the one that registered
	c.run("/verify", chromedp.SendKeys("#password", harness.Passphrase))
	c.eval(`document.querySelector(".btn.main").click()`)
	c.run("/verify", chromedp.WaitVisible("#done"))
	press(ada, "/undo", "#done", chromedp.SendKeys("#password", harness.Passphrase))
	h.Expect(200, "", harness.SignInAs(bob, harness.AnotherPassphrase))
	h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.Passphrase))
}
