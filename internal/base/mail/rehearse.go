package mail

import "context"

// Rehearsal is how far the mail server went with a mail that was not sent.
type Rehearsal struct {
	// TLS is which version of it the connection had; 0 is none.
	TLS uint16
	// SignedIn is set if the server took a password.
	SignedIn bool
}

// Rehearse has the dialogue of a mail to an address as far as RCPT, and says goodbye: nothing is sent. The error is a
// [*Failure]; what came before it is in the rehearsal.
func (s *Sender) Rehearse(ctx context.Context, to string) (r Rehearsal, err error) {
	c, err := s.Open(ctx)
	if err != nil {
		return r, err
	}
	defer c.Close()
	if state, secure := c.smtp.TLSConnectionState(); secure {
		r.TLS = state.Version
	}
	r.SignedIn = s.server.User != ""
	if err := c.smtp.UpdateDeadline(s.within(commandTime)); err != nil {
		return r, away(err)
	}
	if err := c.smtp.Mail(s.from.Address); err != nil {
		return r, c.judge(atMail, err, to)
	}
	if err := c.smtp.Rcpt(to); err != nil {
		return r, c.judge(atRcpt, err, to)
	}
	if err := c.smtp.Reset(); err != nil {
		c.broken = true
	}
	return r, nil
}
