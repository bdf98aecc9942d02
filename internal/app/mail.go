package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// keepSeen is how long mails are kept in development, where nothing is sent. Retention deletes the
// others'.
const keepSeen = 24 * time.Hour

// mailing is what a server does about mails.
type mailing struct {
	*base
	outbox   *notice.Outbox
	texts    *notice.Texts
	delivery *notice.Delivery // nil: there is no mail server
}

func newMailing(b *base, traces *trace.Tracer) (*mailing, capability, error) {
	m := &mailing{base: b, outbox: notice.NewOutbox(b.ring.Key(keyring.Outbox), b.random, b.now)}
	var err error
	if m.texts, err = notice.NewTexts(b.config.PublicURL, b.config.MailTemplates); err != nil {
		return nil, capability{}, fmt.Errorf("MAIL_TEMPLATES: %w", err)
	}
	m.texts.Named(b.config.ServiceName)
	if b.config.BrandColor != "" {
		p, err := ui.PaletteOf(b.config.BrandColor)
		if err != nil {
			return nil, capability{}, fmt.Errorf("BRAND_COLOR: %w", err)
		}
		m.texts.Colored(p.Brand, p.On)
	}
	sender, err := MailSender(b.config, 0)
	if err != nil {
		return nil, capability{}, err
	}
	if sender != nil {
		m.delivery = &notice.Delivery{DB: b.db, Outbox: m.outbox, Texts: m.texts, Sender: sender, Log: b.log, Now: b.now, Traces: traces}
	} else if b.config.Production() {
		b.log.Warn("SMTP_URL is not set: mails wait in the outbox until it is.")
	}
	var jobs []job.Job
	if m.shown() {
		jobs = append(jobs, m.forget())
	}
	return m, capability{
		name: "mail", jobs: jobs, loops: []func(context.Context){m.run, m.learn},
		metrics: []prometheus.Collector{mailMetrics{m, b.now}}, warnings: []check{warning("mail", m.waiting)},
	}, nil
}

// MailSender returns what hands mails to the server of SMTP_URL, or nil. Each phase of
// the conversation takes at most so long; zero is for what RFC 5321 asks.
func MailSender(c *config.Config, most time.Duration) (*mail.Sender, error) {
	if c.SMTPURL == "" {
		return nil, nil
	}
	server, err := mail.Parse(c.SMTPURL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("SMTP_URL: %w", err)
	}
	sender, err := mail.NewSender(server, c.MailFrom, most)
	if err != nil {
		return nil, fmt.Errorf("SMTP_URL: %w", err)
	}
	return sender, nil
}

// run delivers until the context ends.
func (m *mailing) run(ctx context.Context) {
	if m.delivery != nil {
		m.delivery.Run(ctx)
	}
}

// learn asks the mail server once what it takes, so that the first to register an address
// that it does not take is told. A server that is away tells with the first mail.
func (m *mailing) learn(ctx context.Context) {
	if m.delivery == nil {
		return
	}
	if conn, err := m.delivery.Sender.Open(ctx); err == nil {
		conn.Close()
	}
}

// shown reports whether mails are read at /dev/mail rather than sent.
func (m *mailing) shown() bool { return m.delivery == nil && !m.config.Production() }

// newMailPage shows the mails that are sent nowhere.
func newMailPage(b *base, pages *page.Pages, who api.Caller, m *mailing) (capability, error) {
	add := capability{name: "mail page"}
	if m.shown() {
		p := page.Mails{Forms: forms(pages, who), Mails: &operate.Mails{DB: b.db, Outbox: m.outbox, Texts: m.texts}}
		add.routes = []web.Routes{p.Routes()}
	}
	return add, nil
}

// forget deletes mails that were to be seen, in development.
func (m *mailing) forget() job.Job {
	return inBatches(m.db, "forget-mails", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		return notice.ForgetAll(tx, m.now().Add(-keepSeen), limit)
	})
}

// waiting says why mails wait, or nothing.
func (m *mailing) waiting(ctx context.Context) string {
	why := ""
	switch {
	case m.delivery == nil && m.config.Production():
		why = "SMTP_URL is not set"
	case m.delivery != nil && m.delivery.Refused():
		why = "the mail server refuses mails, perhaps because of who sends them: see MAIL_FROM, and the server's quotas"
	case m.delivery != nil && m.delivery.Trouble() != nil:
		why = "the mail server takes none"
	default:
		return ""
	}
	state, err := m.state(ctx)
	if err != nil {
		return why
	}
	return fmt.Sprintf("%s; %d wait", why, state.Queued)
}

func (m *mailing) state(ctx context.Context) (state notice.State, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		state, err = notice.StateOf(tx)
		return err
	})
	return state, err
}

// mailMetrics tells how the outbox stands. What is read from the database is left
// out while that is away.
type mailMetrics struct {
	m   *mailing
	now func() time.Time
}

var (
	mailQueued = prometheus.NewDesc("gatehouse_mail_queued", "Mails that wait to be sent, by any replica.", nil, nil)
	mailOldest = prometheus.NewDesc("gatehouse_mail_oldest_seconds", "How long the oldest of the mails that wait has waited.", nil, nil)
	mailDead   = prometheus.NewDesc("gatehouse_mail_dead", "Mails that were given up and can be sent again: gatehouse mail retry --dead.", nil, nil)
	mailSent   = prometheus.NewDesc("gatehouse_mail_sent_total", "Mails that the mail server took from this replica.", nil, nil)
	mailFailed = prometheus.NewDesc("gatehouse_mail_failed_total", "Tries of this replica to hand a mail over that failed.", nil, nil)
	mailGiven  = prometheus.NewDesc("gatehouse_mail_given_up_total", "Mails that this replica gave up: the mail server refuses them for good, or they "+
		"were tried too often.", nil, nil)
)

// Describe implements prometheus.Collector.
func (mailMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{mailQueued, mailOldest, mailDead, mailSent, mailFailed, mailGiven} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c mailMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyCheck)
	defer cancel()
	if state, err := c.m.state(ctx); err == nil {
		age := 0.0
		if state.Queued > 0 {
			age = max(0, c.now().Sub(state.Oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(mailQueued, prometheus.GaugeValue, float64(state.Queued))
		ch <- prometheus.MustNewConstMetric(mailOldest, prometheus.GaugeValue, age)
		ch <- prometheus.MustNewConstMetric(mailDead, prometheus.GaugeValue, float64(state.Dead))
	}
	var sent, failed, dead int64
	if c.m.delivery != nil {
		sent, failed, dead = c.m.delivery.Counts()
	}
	ch <- prometheus.MustNewConstMetric(mailSent, prometheus.CounterValue, float64(sent))
	ch <- prometheus.MustNewConstMetric(mailFailed, prometheus.CounterValue, float64(failed))
	ch <- prometheus.MustNewConstMetric(mailGiven, prometheus.CounterValue, float64(dead))
}

// notices is what every flow that tells somebody something is given.
func notices(outbox *notice.Outbox, now func() time.Time) *flow.Notices {
	return &flow.Notices{Outbox: outbox, Now: now}
}

// operatorNotices is notices for an operator's command.
func operatorNotices(ctx context.Context, c *config.Config, d *db.DB) (*flow.Notices, error) {
	l, err := operatorEmailLinks(ctx, c, d)
	if err != nil {
		return nil, err
	}
	return l.Guard.Notices, nil
}

// operatorEmailLinks is what an operator's command needs to send mails with links.
func operatorEmailLinks(ctx context.Context, c *config.Config, d *db.DB) (*flow.EmailLinks, error) {
	ring, err := operatorRing(ctx, c, d)
	if err != nil {
		return nil, err
	}
	n := notices(notice.NewOutbox(ring.Key(keyring.Outbox), secret.Random{}, time.Now), time.Now)
	l := &flow.EmailLinks{
		Core: flow.Core{Now: time.Now}, Tickets: ticket.NewStore(func() []byte { return ring.Key(keyring.Ticket) }, secret.Random{}),
		Guard: &flow.Guard{Notices: n}, Base: c.PublicURL,
	}
	n.NotMe = (&flow.NotMe{EmailLinks: l}).Link
	return l, nil
}

// operatorRing opens the keys as well, which few of an operator's commands need.
func operatorRing(ctx context.Context, c *config.Config, d *db.DB) (*keyring.Ring, error) {
	return openRing(ctx, c, d, 0, time.Now())
}
