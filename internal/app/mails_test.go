package app_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// outboxKey opens the server's ring and returns the key that its mails wait under.
func (h *house) outboxKey() []byte {
	h.Helper()
	ring, err := keyring.Open(h.Context(), h.database(), secret.Random{}, time.Now(), keyring.Config{Secret: secretKey})
	if err != nil {
		h.Fatal(err)
	}
	return ring.Key(keyring.Outbox)
}

// mailbox reads what was queued for an address.
type mailbox struct {
	h   *house
	db  *db.DB
	key []byte
}

func (h *house) mailbox() *mailbox {
	h.Helper()
	return &mailbox{h, dbtest.Open(h.T, dbtest.Superusers(h.T, h.dbURL)), h.outboxKey()}
}

// all returns the mails to an address, in order.
func (m *mailbox) all(to string) (list []notice.Mail) {
	m.h.Helper()
	err := m.db.Read(m.h.Context(), func(tx *db.Tx) error {
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
		m.h.Fatal(err)
	}
	return list
}

// last returns the latest mail of a kind to an address.
func (m *mailbox) last(to string, kind notice.Kind) notice.Mail {
	m.h.Helper()
	all := m.all(to)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == kind {
			return all[i]
		}
	}
	m.h.Fatalf("%s got no mail of kind %s, but %d others", to, kind, len(all))
	return notice.Mail{}
}

// tokenOf is what a link carries in its fragment.
func tokenOf(t testing.TB, link string) string {
	t.Helper()
	_, token, ok := strings.Cut(link, "#")
	if !ok || !strings.HasPrefix(token, "gatehouse_mt_") {
		t.Fatalf("the link %q has no token", link)
	}
	return token
}
