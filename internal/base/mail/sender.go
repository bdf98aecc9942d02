package mail

import (
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Message is one mail.
type Message struct {
	// ID is unique and the same at every try: anyone who gets a mail twice can tell by
	// the Message-ID that is made of it.
	ID      string
	To      string
	Subject string
	// Text is the plain part, HTML the other; the latter may be empty.
	Text, HTML string
	Date       time.Time
	// Language is the texts' (BCP 47).
	Language string
}

// Close says goodbye.
func (c *Conn) Close() {
	c.stop()
	if !c.broken {
		_ = c.client.CloseWithSMTPClient(c.smtp) // what was sent was acknowledged before
	}
	_ = c.smtp.Close()
}

// Broken reports whether the connection is of no use any more.
func (c *Conn) Broken() bool { return c.broken }

// Answer is what the server said to the last mail that it took.
func (c *Conn) Answer() string { return c.answer }

// Send hands a mail over. Without an error the server has answered for it. The
// error is a [*Failure].
func (c *Conn) Send(m Message) error {
	to, wide, err := split(m.To)
	if err != nil {
		return &Failure{Never: true, text: err.Error()}
	}
	if ok, _ := c.smtp.Extension("SMTPUTF8"); wide && !ok {
		return &Failure{Never: true, text: "the address is not ASCII, and the mail server does not know SMTPUTF8"}
	}
	c.smtp.SkipSMTPUTF8(!wide)
	msg, err := c.s.compose(m, to)
	if err != nil {
		return &Failure{Never: true, text: plain(err.Error())}
	}
	at, err := c.hand(msg)
	if err == nil {
		return nil
	}
	return c.judge(at, err, to)
}

// step is how far a mail has come (RFC 5321 section 3.3).
type step int

const (
	atMail step = iota
	atRcpt
	atData
	inContent
	atEnd // the dot was sent: the server has all of it
)

// hand says the commands of one mail, each phase within its time.
func (c *Conn) hand(msg *gomail.Msg) (step, error) {
	from, err := msg.GetSender(false)
	if err != nil {
		return atMail, err
	}
	list, err := msg.GetRecipients()
	if err != nil {
		return atMail, err
	}
	if err := c.smtp.UpdateDeadline(c.s.within(commandTime)); err != nil {
		return atMail, err
	}
	if err := c.smtp.Mail(from); err != nil {
		return atMail, err
	}
	for _, to := range list {
		if err := c.smtp.Rcpt(to); err != nil {
			return atRcpt, err
		}
	}
	w, err := c.smtp.Data()
	if err != nil {
		return atData, err
	}
	if _, err := msg.WriteTo(w); err != nil {
		return inContent, err
	}
	if err := c.smtp.UpdateDeadline(c.s.within(endTime)); err != nil {
		return inContent, err
	}
	if err := w.Close(); err != nil {
		return atEnd, err
	}
	if d, ok := w.(*smtp.DataCloser); ok {
		c.answer = plain(d.ServerResponse())
	}
	return atEnd, nil
}

// compose makes the mail. All that comes from people was cleaned by their own
// readers; the library encodes what is left in headers.
func (s *Sender) compose(m Message, to string) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(s.from.Name, s.from.Address); err != nil {
		return nil, err
	}
	if err := msg.To(to); err != nil {
		return nil, err
	}
	msg.Subject(plain(m.Subject))
	msg.SetDateWithValue(m.Date)
	msg.SetMessageIDWithValue(m.ID + "@" + s.from.Domain())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")  // Exchange asks for it
	msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// plain is text on one line, of no great length, as it may stand in a header, a
// log or a row.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}
