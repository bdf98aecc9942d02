package flow

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// Notices queues the mails of the flows: each in the transaction of what it
// tells of.
type Notices struct {
	Outbox *notice.Outbox
	// NotMe makes the link of "this wasn't me" for an account, in the transaction.
	// While it is nil mails go without one, and say what else to do.
	NotMe func(tx *db.Tx, account string, now time.Time) (link string, err error)
	Now   func() time.Time
}

// Send queues the mail, with when and from where, and with "this wasn't me"
// where its kind has that and the flow has made none itself. That of a change of address goes to the address before, and
// would only send the new one a mail: that flow makes its own, or none.
func (n *Notices) Send(tx *db.Tx, m notice.Mail, from event.Origin) error {
	if m.At.IsZero() {
		m.At = n.Now()
	}
	m.Address, m.UserAgent = from.Address, from.UserAgent
	if m.NotMe == "" && m.Account != "" && m.Kind != notice.AddressChanged && n.NotMe != nil && m.Kind.Takes(notice.NotMe) {
		link, err := n.NotMe(tx, m.Account, m.At)
		if err != nil {
			return err
		}
		m.NotMe = link
	}
	return n.Outbox.Queue(tx, m)
}

// ByOperator queues a mail about what those who run the server did to an account.
// Where they sit is not its owner's business.
func (n *Notices) ByOperator(tx *db.Tx, kind notice.Kind, a account.Account) error {
	m := notice.Mail{Kind: kind, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, ByOperator: true}
	if kind.Takes(notice.Roles) {
		m.Roles = a.Roles
	}
	return n.Send(tx, m, event.Origin{})
}
