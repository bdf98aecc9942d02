package notice_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// deadIn counts the mails that were given up.
func deadIn(t *testing.T, d *db.DB) (dead int64) {
	t.Helper()
	if err := d.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM outbox WHERE dead_at IS NOT NULL`).Scan(&dead)
	}); err != nil {
		t.Fatal(err)
	}
	return dead
}

// F6: a provider that refuses the sender, wherever it says so, kills no mail. The log
// says it once, Trouble until the server takes one again; then all arrive.
func TestCaseF6_ARefusedSenderKillsNoMail(t *testing.T) {
	for name, c := range map[string]struct {
		at   mailtest.Step
		code int
		text string
	}{
		"not verified, at the dot":    {mailtest.AtData, 554, "Message rejected: Email address is not verified"},
		"may not send as, at the dot": {mailtest.AtData, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender"},
		"a daily quota":               {mailtest.AtData, 550, "5.4.5 Daily user sending quota exceeded"},
		"relay denied":                {mailtest.AtRcpt, 554, "Relay access denied"},
		"relay denied, 5.7.1":         {mailtest.AtRcpt, 550, "5.7.1 Relaying denied"},
		"the sender's domain":         {mailtest.AtRcpt, 550, "5.1.8 Sender address rejected: Domain not found"},
		"SendAs":                      {mailtest.AtData, 554, "5.2.252 SendAsDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			d, s, clock := dbtest.Open(t, dbtest.SQLite(t)), mailtest.New(t, mailtest.Options{}), newClock()
			var log strings.Builder
			r := newDelivery(t, d, s.URL, clock.now)
			r.Log = slog.New(slog.NewTextHandler(&log, nil))
			s.Misbehave(func(at mailtest.Step, to string) *smtp.SMTPError {
				return when(at, c.at, mailtest.Refuse(c.code, c.text))
			})
			const mails = 5
			for i := range mails {
				queue(t, d, r.Outbox, one(notice.NewSignIn, fmt.Sprintf("%d@example.org", i)))
			}
			for range 40 {
				_ = round(t, r)
				clock.advance(5 * time.Minute)
			}
			if dead := deadIn(t, d); dead != 0 || r.Trouble() == nil || !r.Refused() {
				t.Fatalf("%d mails are dead; %v", dead, r.Trouble())
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "@example.org") {
				t.Errorf("%d warnings:\n%s", n, log.String())
			}
			s.Misbehave(nil)
			for range 10 {
				_ = round(t, r)
				clock.advance(5 * time.Minute)
			}
			if len(s.Mails()) != mails || r.Trouble() != nil {
				t.Errorf("after the mend %d of %d arrive; %v", len(s.Mails()), mails, r.Trouble())
			}
		})
	}
}

// F6's other side: one mail that is refused for a reason of its own holds up nobody, and
// is a dead letter once the server has taken another; the log says so.
func TestCaseF6_OneMailThatIsRefusedHoldsUpNobody(t *testing.T) {
	d, s, clock := dbtest.Open(t, dbtest.SQLite(t)), mailtest.New(t, mailtest.Options{}), newClock()
	var log strings.Builder
	r := newDelivery(t, d, s.URL, clock.now)
	r.Log = slog.New(slog.NewTextHandler(&log, nil))
	s.Misbehave(func(at mailtest.Step, to string) *smtp.SMTPError {
		if strings.HasPrefix(to, "bad") {
			return when(at, mailtest.AtData, mailtest.Refuse(550, "5.7.1 Our filters refuse this"))
		}
		return nil
	})
	for _, who := range []string{"bad@example.org", "ada@example.org", "bad2@example.org", "eve@example.org"} {
		queue(t, d, r.Outbox, one(notice.NewSignIn, who))
	}
	for i := range 12 {
		_ = round(t, r)
		clock.advance(5 * time.Minute)
		if i == 4 { // whom the filters let through again
			queue(t, d, r.Outbox, one(notice.NewSignIn, "kay@example.org"))
		}
	}
	if got := s.Mails(); len(got) != 3 || deadIn(t, d) != 2 || r.Trouble() != nil {
		t.Errorf("%d arrive, %d are dead; %v", len(got), deadIn(t, d), r.Trouble())
	}
	if n := strings.Count(log.String(), "A mail was given up"); n != 2 || strings.Contains(log.String(), "@example.org") {
		t.Errorf("%d lines for dead letters:\n%s", n, log.String())
	}
}

// F7: a server that takes the mail and whose answer is lost each time gets it four
// times, not twenty, and not before half an hour.
func TestCaseF7_LostAnswersAreFew(t *testing.T) {
	d, s, clock := dbtest.Open(t, dbtest.SQLite(t)), mailtest.New(t, mailtest.Options{}), newClock()
	s.Misbehave(func(at mailtest.Step, _ string) *smtp.SMTPError { return when(at, mailtest.AtData, mailtest.Die) })
	r := newDelivery(t, d, s.URL, clock.now)
	queue(t, d, r.Outbox, full(notice.PasswordChanged))
	_ = round(t, r)
	for range 14 {
		clock.advance(2 * time.Minute)
		_ = round(t, r)
	}
	if n := len(s.Mails()); n != 1 {
		t.Errorf("within half an hour it came %d times", n)
	}
	for range 48 {
		clock.advance(31 * time.Minute)
		_ = round(t, r)
	}
	if got := rowOf(t, d); len(s.Mails()) != notice.MostLost+1 || !got.dead {
		t.Errorf("it came %d times; %+v", len(s.Mails()), got)
	}
}

// F7: while a server takes its time the replica keeps the mail, so that no other sends
// it too, however long that is.
func TestCaseF7_ASlowServerGetsOneCopy(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, clock := mailtest.New(t, mailtest.Options{}), newClock()
		started, answer := make(chan bool, 10), make(chan bool)
		var n atomic.Int64
		s.Misbehave(func(at mailtest.Step, _ string) *smtp.SMTPError {
			if at == mailtest.AtData && n.Add(1) == 1 {
				started <- true
				<-answer
			}
			return nil
		})
		slow, other := newDelivery(t, d, s.URL, clock.now), newDelivery(t, d, s.URL, clock.now)
		slow.Renew = time.Millisecond
		slow.Sender = patient(t, s.URL)
		queue(t, d, slow.Outbox, full(notice.PasswordChanged))
		done := make(chan error)
		go func() { _, err := slow.Round(ctx); done <- err }()
		<-started
		for range 20 {
			clock.advance(time.Minute)
			renewed(t, d, clock.now())
			_ = round(t, other)
		}
		close(answer)
		if err := <-done; err != nil {
			t.Error(err)
		}
		for range 5 {
			clock.advance(time.Hour)
			_ = round(t, other)
		}
		if got := rowOf(t, d); len(s.Mails()) != 1 || !got.sent {
			t.Errorf("it came %d times; %+v", len(s.Mails()), got)
		}
	})
}

// renewed waits until the lease of the one mail has been renewed since the given time, as it is within a moment on
// a machine that is not busy: the mail is due a whole lease (three minutes) later.
func renewed(t *testing.T, d *db.DB, since time.Time) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		var due int64
		if err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT due_at FROM outbox`).Scan(&due) }); err != nil {
			t.Fatal(err)
		}
		if db.Time(due).After(since.Add(2*time.Minute + time.Second)) {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal("the lease is not renewed")
		}
	}
}

// patient is a sender with the time of RFC 5321.
func patient(t *testing.T, url string) *mail.Sender {
	t.Helper()
	server, err := mail.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := mail.NewSender(server, mail.From{Name: "Acme", Address: "no-reply@example.org"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}
