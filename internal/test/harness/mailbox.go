package harness

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// OutboxKey opens the server's ring and returns the key that its mails wait under.
func (h *Server) OutboxKey() []byte {
	h.Helper()
	ring, err := keyring.Open(h.Context(), h.Database(), secret.Random{}, time.Now(), keyring.Config{Secret: SecretKey})
	if err != nil {
		h.Fatal(err)
	}
	return ring.Key(keyring.Outbox)
}

// Mailbox reads what was queued for an address.
type Mailbox struct {
	H *Server
	// DB is the server's database, opened as its owner.
	DB  *db.DB
	key []byte
}

// Mailbox reads the mails that the server has queued.
func (h *Server) Mailbox() *Mailbox {
	h.Helper()
	return &Mailbox{h, h.owned(), h.OutboxKey()}
}

// All returns the mails to an address, in order.
func (m *Mailbox) All(to string) (list []notice.Mail) {
	m.H.Helper()
	err := m.DB.Read(m.H.Context(), func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT id, sealed FROM outbox WHERE sent_to = $1 ORDER BY created_at, id`, to)
		if err != nil {
			return err
		}
		defer rows.Close()
		list = nil
		for rows.Next() {
			var (
				id     string
				sealed []byte
				mail   notice.Mail
			)
			if err := rows.Scan(&id, &sealed); err != nil {
				return err
			}
			text, err := secret.Open(m.key, sealed, "gatehouse/outbox/1 "+id)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(text, &mail); err != nil {
				return err
			}
			list = append(list, mail)
		}
		return rows.Err()
	})
	if err != nil {
		m.H.Fatal(err)
	}
	return list
}

// Last returns the latest mail of a kind to an address.
func (m *Mailbox) Last(to string, kind notice.Kind) notice.Mail {
	m.H.Helper()
	all := m.All(to)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == kind {
			return all[i]
		}
	}
	m.H.Fatalf("%s got no mail of kind %s, but %d others", to, kind, len(all))
	return notice.Mail{}
}

// TokenOf is what a link carries in its fragment.
func TokenOf(t testing.TB, link string) string {
	t.Helper()
	_, token, ok := strings.Cut(link, "#")
	if !ok || !strings.HasPrefix(token, "gatehouse_mt_") {
		t.Fatalf("the link %q has no token", link)
	}
	return token
}

// LockedMails counts the mails about lockouts.
func LockedMails(h *Server) (n int) {
	h.Helper()
	if err := h.Database().Read(h.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM outbox WHERE kind = 'locked_out'`).Scan(&n)
	}); err != nil {
		h.Fatal(err)
	}
	return n
}
