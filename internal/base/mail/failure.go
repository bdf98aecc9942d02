package mail

import (
	"errors"
	"net/textproto"
	"regexp"
	"strings"
)

// Failure is why a mail was not taken.
type Failure struct {
	// Away is set if the server is not to be had at all, or refuses us and not this
	// mail: the others need not be tried.
	Away bool
	// Never is set if it will not take this mail at any later time either.
	Never bool
	// Doubted is a refusal for good that may mean us and not this mail: that the
	// sender may not send, or that a quota is used up. Whether the server accepts other
	// mails decides it.
	Doubted bool
	// Lost is set if the server got all of the mail and its answer did not come: it
	// may have taken it.
	Lost bool
	text string
}

func (f *Failure) Error() string { return f.text }

func away(err error) *Failure { return &Failure{Away: true, text: plain(err.Error())} }

// judge returns what a failure means for the mail and for the connection.
func (c *Conn) judge(at step, err error, to string) *Failure {
	f := &Failure{text: plain(strings.ReplaceAll(err.Error(), to, "the address"))}
	var answer *textproto.Error
	if !errors.As(err, &answer) {
		// The connection broke, or its time was over. In the middle of a mail, that may
		// be the cause.
		c.broken = true
		f.Away, f.Lost = at == atMail, at == atEnd
		return f
	}
	switch {
	case answer.Code == 421:
		f.Away, c.broken = true, true
	case at == atMail && answer.Code >= 400:
		f.Away = true // it refuses the sender: us
	case answer.Code >= 500 && refusesUs(at, answer):
		f.Doubted = true
	case answer.Code >= 500:
		f.Never = true
	}
	if !c.broken && c.smtp.Reset() != nil {
		c.broken = true
	}
	return f
}

// enhanced is a code of RFC 3463 at the beginning of an answer's text.
var enhanced = regexp.MustCompile(`^5\.(\d{1,3})\.(\d{1,3})\b`)

// refusesUs reports whether a refusal for good may mean who sends and not whom it is
// for. By RFC 3463 the subjects 5.1 and 5.2 are about addresses and mailboxes (but for
// 5.1.7 and 5.1.8, the sender's, and 5.2.252 and its like, Exchange's SendAs), 5.7 is
// about policy, and 5.4.5, a congestion, is what some use for a daily quota. Without
// such a code 554 is "transaction failed", which relays say of those who may not send,
// and at the end of a mail everything but "too large" is said of the sender as well.
func refusesUs(at step, answer *textproto.Error) bool {
	m := enhanced.FindStringSubmatch(answer.Msg)
	if m == nil {
		return answer.Code == 554 || at >= atData && answer.Code != 552
	}
	subject, detail := m[1], m[2]
	switch subject {
	case "1":
		return detail == "7" || detail == "8"
	case "2":
		return len(detail) == 3
	case "4":
		return detail == "5"
	case "3", "6":
		return false // the mail system, and the content of this mail
	}
	return true
}
