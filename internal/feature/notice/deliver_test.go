package notice_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
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

// clock is a time that a test moves on.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(start.UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

func texts(t *testing.T) *notice.Texts {
	t.Helper()
	x, err := notice.NewTexts("https://login.example.org", "")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// newDelivery is one replica that delivers to the URL.
func newDelivery(t *testing.T, d *db.DB, url string, now func() time.Time) *notice.Delivery {
	t.Helper()
	server, err := mail.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := mail.NewSender(server, mail.From{Name: "Acme", Address: "no-reply@example.org"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return &notice.Delivery{DB: d, Outbox: newOutbox(now), Texts: texts(t), Sender: sender, Log: slog.New(slog.DiscardHandler), Now: now,
		Look: 20 * time.Millisecond, Pause: 10 * time.Millisecond}
}

// round is one round, whose failure may be the server's.
func round(t *testing.T, d *notice.Delivery) error {
	t.Helper()
	_, err := d.Round(ctx)
	return err
}

// row is what became of the one mail in the outbox.
type row struct {
	sealed, dead, sent bool
	to, failure        string
	tries              int
}

func rowOf(t *testing.T, d *db.DB) (r row) {
	t.Helper()
	err := d.Read(ctx, func(tx *db.Tx) error {
		var sealed []byte
		var sent, dead *int64
		err := tx.QueryRow(`SELECT sealed, sent_at, dead_at, sent_to, error, tries FROM outbox`).Scan(&sealed, &sent, &dead, &r.to, &r.failure, &r.tries)
		r.sealed, r.sent, r.dead = sealed != nil, sent != nil, dead != nil
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func one(k notice.Kind, to string) notice.Mail {
	m := full(k)
	m.To = to
	return m
}

func TestMailIsSentOnceAndItsRowForgets(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, c := mailtest.New(t, mailtest.Options{}), newClock()
		r := newDelivery(t, d, s.URL, c.now)
		queue(t, d, r.Outbox, full(notice.ResetPassword))
		for range 3 {
			if err := round(t, r); err != nil {
				t.Fatal(err)
			}
			c.advance(time.Hour)
		}
		if got := s.Mails(); len(got) != 1 || got[0].To != "ada@example.org" || got[0].From != "no-reply@example.org" {
			t.Fatalf("%+v", got)
		}
		if r := rowOf(t, d); r != (row{sent: true, tries: 1}) {
			t.Errorf("the row keeps %+v", r)
		}
	})
}

// Every way in which a server fails that is worth another try: the mail arrives,
// once.
func TestMailArrivesWhateverTheServerDoes(t *testing.T) {
	fails := map[string]func(n int, at mailtest.Step) *smtp.SMTPError{
		"greylists":          func(_ int, at mailtest.Step) *smtp.SMTPError { return at451(at, mailtest.AtRcpt) },
		"is full at the end": func(_ int, at mailtest.Step) *smtp.SMTPError { return at451(at, mailtest.AtData) },
		"refuses the sender": func(_ int, at mailtest.Step) *smtp.SMTPError {
			return when(at, mailtest.AtMail, mailtest.Refuse(550, "not you"))
		},
		"goes down": func(_ int, at mailtest.Step) *smtp.SMTPError {
			return when(at, mailtest.AtRcpt, mailtest.Refuse(421, "bye"))
		},
		"dies at RCPT":               func(_ int, at mailtest.Step) *smtp.SMTPError { return when(at, mailtest.AtRcpt, mailtest.Die) },
		"dies in the middle of DATA": func(_ int, at mailtest.Step) *smtp.SMTPError { return when(at, mailtest.InData, mailtest.Die) },
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, fail := range fails {
			c, s := newClock(), mailtest.New(t, mailtest.Options{})
			var n atomic.Int64
			s.Misbehave(func(at mailtest.Step, _ string) *smtp.SMTPError {
				if n.Load() >= 3 {
					return nil
				}
				e := fail(int(n.Load()), at)
				if e != nil {
					n.Add(1)
				}
				return e
			})
			r := newDelivery(t, d, s.URL, c.now)
			queue(t, d, r.Outbox, full(notice.PasswordChanged))
			for range 8 {
				_ = round(t, r)
				c.advance(time.Hour + time.Minute)
			}
			if got := s.Mails(); len(got) != 1 || n.Load() != 3 {
				t.Errorf("%s: it arrived %d times after %d failures", name, len(got), n.Load())
			}
			if r := rowOf(t, d); !r.sent || r.to != "" || r.sealed {
				t.Errorf("%s: the row keeps %+v", name, r)
			}
			empty(t, d)
		}
	})
}

// empty forgets all mails.
func empty(t *testing.T, d *db.DB) {
	t.Helper()
	if err := d.Write(ctx, func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM outbox`); return err }); err != nil {
		t.Fatal(err)
	}
}

func when(at, step mailtest.Step, e *smtp.SMTPError) *smtp.SMTPError {
	if at == step {
		return e
	}
	return nil
}

func at451(at, step mailtest.Step) *smtp.SMTPError {
	return when(at, step, mailtest.Refuse(451, "later, please"))
}

// The window in which a mail comes twice: the server took it, and its answer was
// lost. Both are the same mail to whoever looks at the Message-ID.
func TestMailWhoseAnswerIsLostComesAgainUnderTheSameMessageID(t *testing.T) {
	dbtest.Each(t, comesAgain)
}

func comesAgain(t *testing.T, d *db.DB) {
	s, c := mailtest.New(t, mailtest.Options{}), newClock()
	var n atomic.Int64
	s.Misbehave(func(at mailtest.Step, _ string) *smtp.SMTPError {
		if at == mailtest.AtData && n.Add(1) == 1 {
			return mailtest.Die
		}
		return nil
	})
	r := newDelivery(t, d, s.URL, c.now)
	queue(t, d, r.Outbox, full(notice.PasswordChanged))
	for range 4 {
		_ = round(t, r)
		c.advance(time.Hour)
	}
	got := s.Mails()
	if len(got) != 2 {
		t.Fatalf("it came %d times", len(got))
	}
	a, _ := got[0].Parse(t)
	b, _ := got[1].Parse(t)
	if id := a.Get("Message-Id"); id == "" || id != b.Get("Message-Id") || a.Get("Date") != b.Get("Date") || !strings.HasSuffix(id, "@example.org>") {
		t.Errorf("%s and %s", id, b.Get("Message-Id"))
	}
}

// A server that hangs or is not there costs no mail a try, and keeps nobody.
func TestMailWaitsForAServerThatIsAway(t *testing.T) {
	dbtest.Each(t, waitsForAServer)
}

func waitsForAServer(t *testing.T, d *db.DB) {
	c := newClock()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it takes connections, and never says a word
	queue(t, d, newOutbox(c.now), full(notice.PasswordChanged))
	for name, url := range map[string]string{"hangs": "smtp://" + l.Addr().String(), "refuses": "smtp://127.0.0.1:1"} {
		r := newDelivery(t, d, url, c.now)
		for range 2 {
			if err := round(t, r); err == nil {
				t.Errorf("%s: no word of it", name)
			}
			if r := rowOf(t, d); !r.sealed || r.tries != 0 || r.dead {
				t.Errorf("%s: %+v", name, r)
			}
			c.advance(time.Hour)
		}
	}
	s := mailtest.New(t, mailtest.Options{})
	if err := round(t, newDelivery(t, d, s.URL, c.now)); err != nil || len(s.Mails()) != 1 {
		t.Errorf("%v, %d mails", err, len(s.Mails()))
	}
}

func TestMailThatIsRefusedForGoodIsADeadLetter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, c := mailtest.New(t, mailtest.Options{}), newClock()
		s.Misbehave(func(at mailtest.Step, to string) *smtp.SMTPError {
			return when(at, mailtest.AtRcpt, mailtest.Refuse(550, "no such user: "+to))
		})
		r := newDelivery(t, d, s.URL, c.now)
		queue(t, d, r.Outbox, full(notice.PasswordChanged))
		for range 3 {
			if err := round(t, r); err != nil {
				t.Fatal(err)
			}
			c.advance(time.Hour)
		}
		got := rowOf(t, d)
		if !got.dead || got.tries != 1 || !got.sealed || !strings.Contains(got.failure, "550") || strings.Contains(got.failure, "ada@") {
			t.Errorf("%+v", got)
		}
	})
}

func TestMailIsGivenUpAfterManyTriesAndWhenItsLinkIsOver(t *testing.T) {
	d, s, c := dbtest.Open(t, dbtest.SQLite(t)), mailtest.New(t, mailtest.Options{}), newClock()
	s.Misbehave(func(at mailtest.Step, _ string) *smtp.SMTPError { return at451(at, mailtest.AtRcpt) })
	r := newDelivery(t, d, s.URL, c.now)
	queue(t, d, r.Outbox, full(notice.PasswordChanged))
	for range notice.MostTries + 3 {
		if err := round(t, r); err != nil {
			t.Fatal(err)
		}
		c.advance(time.Hour)
	}
	if got := rowOf(t, d); !got.dead || got.tries != notice.MostTries || !got.sealed {
		t.Errorf("%+v", got)
	}
	empty(t, d)
	m := full(notice.ResetPassword)
	m.At = time.Time{}
	queue(t, d, r.Outbox, m)
	for range 3 {
		if err := round(t, r); err != nil {
			t.Fatal(err)
		}
		c.advance(20 * time.Minute)
	}
	if got := rowOf(t, d); !got.dead || got.tries >= 3 || got.sealed || got.to != "" {
		t.Errorf("a link that is over: %+v", got)
	}
	if len(s.Mails()) > 0 {
		t.Error("something was sent")
	}
}

// Three replicas at once deliver each mail once, while half of the first tries are
// put off.
func TestMailsAreDeliveredOnceByReplicasAtOnce(t *testing.T) {
	const mails = 60
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := mailtest.New(t, mailtest.Options{})
		now := newClock()
		var seen sync.Map
		s.Misbehave(func(at mailtest.Step, to string) *smtp.SMTPError {
			if _, again := seen.LoadOrStore(string(at)+to, true); at == mailtest.AtRcpt && !again && strings.HasPrefix(to, "1") {
				return mailtest.Refuse(451, "later")
			}
			return nil
		})
		run, stop := context.WithCancel(ctx)
		defer stop()
		var replicas sync.WaitGroup
		for range 3 {
			r := newDelivery(t, d, s.URL, now.now)
			replicas.Go(func() { r.Run(run) })
		}
		o := newOutbox(now.now)
		for i := range mails {
			queue(t, d, o, one(notice.NewSignIn, fmt.Sprintf("%d@example.org", i)))
		}
		for deadline := time.Now().Add(20 * time.Second); len(s.Mails()) < mails && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			now.advance(100 * time.Millisecond) // the second tries come due
		}
		stop()
		replicas.Wait()
		count := map[string]int{}
		for _, m := range s.Mails() {
			count[m.To]++
		}
		if len(count) != mails || len(s.Mails()) != mails {
			t.Errorf("%d mails to %d of %d addresses", len(s.Mails()), len(count), mails)
		}
	})
}
