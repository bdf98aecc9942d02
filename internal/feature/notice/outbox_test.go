package notice_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

var (
	ctx   = context.Background()
	key   = bytes.Repeat([]byte{7}, secret.KeySize)
	start = time.Date(2026, 11, 24, 9, 5, 0, 0, time.UTC)
)

// full is a mail of the kind with every fact that it can contain.
func full(k notice.Kind) notice.Mail {
	m := notice.Mail{
		Kind: k, Account: "0192f0c1-0000-7000-8000-000000000001", To: "ada@example.org", Name: "Ada Lovelace", Locale: "en", At: start,
		Address: netip.MustParseAddr("203.0.113.7"), UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
	}
	if k.Takes(notice.Link) {
		m.Link, m.LinkLife = "https://login.example.org/verify#gatehouse_mt_"+strings.Repeat("L", 43), 30*time.Minute
		if k == notice.VerifyAddress {
			m.LinkLife = 24 * time.Hour
		}
	}
	if k.Takes(notice.Code) {
		m.Code, m.CodeLife = "K7QM2XWP", 10*time.Minute
	}
	if k.Takes(notice.NotMe) {
		m.NotMe = "https://login.example.org/not-me#gatehouse_mt_" + strings.Repeat("N", 43)
	}
	if k.Takes(notice.Undo) {
		m.Undo, m.UndoLife = "https://login.example.org/undo#gatehouse_mt_"+strings.Repeat("U", 43), 7*24*time.Hour
	}
	if k.Takes(notice.NewAddress) {
		m.NewAddress = "mallory@bücher.example"
	}
	if k.Takes(notice.Roles) {
		m.Roles, m.ByOperator = []string{"admin", "editor"}, true
	}
	if k == notice.FactorResetAsked || k == notice.AccountInactive {
		m.Due = start.Add(24 * time.Hour)
	}
	if k.Takes(notice.Finding) {
		m.Alert = notice.Alert{Rule: "spraying", N: 31, Bound: 20, What: "31 addresses were tried from one network.",
			Look: "gatehouse events list --network 192.0.2.7/32"}
	}
	if k.Takes(notice.Words) {
		m.Message = "Somebody tried passwords from lists."
	}
	return m
}

func newOutbox(now func() time.Time) *notice.Outbox {
	return notice.NewOutbox(key, secret.Random{}, now)
}

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func queue(t *testing.T, d *db.DB, o *notice.Outbox, mails ...notice.Mail) {
	t.Helper()
	err := d.Write(ctx, func(tx *db.Tx) error {
		for _, m := range mails {
			if err := o.Queue(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// JWT-3 in its wider sense: a stolen database holds no link and no code.
func TestJWT3_NoSecretOfAMailStandsInTheDatabase(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var secrets []string
		for _, k := range notice.Kinds() {
			m := full(k)
			queue(t, d, newOutbox(at(start)), m)
			for _, s := range []string{m.Link, m.Code, m.NotMe, m.Undo} {
				if s != "" {
					s = s[strings.LastIndexByte(s, '#')+1:]
					secrets = append(secrets, s, hex.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString([]byte(s)))
				}
			}
		}
		rows := 0
		err := d.Read(ctx, func(tx *db.Tx) error {
			list, err := tx.Query(`SELECT id, kind, account_id, sent_to, sealed, error FROM outbox`)
			if err != nil {
				return err
			}
			defer list.Close()
			for list.Next() {
				var id, kind, account, to, failure string
				var sealed []byte
				if err := list.Scan(&id, &kind, &account, &to, &sealed, &failure); err != nil {
					return err
				}
				rows++
				all := strings.Join([]string{id, kind, account, to, failure, string(sealed)}, "\n")
				for _, s := range secrets {
					if strings.Contains(all, s) {
						t.Errorf("a mail of kind %s: its row holds %s", kind, s)
					}
				}
			}
			return list.Err()
		})
		if err != nil || rows != len(notice.Kinds()) {
			t.Errorf("%d rows, %v", rows, err)
		}
	})
}

func TestAMailIsThereOnlyIfItsChangeIs(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		failure := errors.New("the flow fails after it has queued")
		err := d.Write(ctx, func(tx *db.Tx) error {
			if err := newOutbox(at(start)).Queue(tx, full(notice.ResetPassword)); err != nil {
				return err
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Fatal(err)
		}
		var n int
		if err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM outbox`).Scan(&n) }); err != nil || n != 0 {
			t.Errorf("%d mails of a change that did not happen, %v", n, err)
		}
	})
}

func TestAMailThatItsKindCannotBeMadeOfIsRefused(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	wrong := map[string]func(*notice.Mail){
		"no link":           func(m *notice.Mail) { m.Link = "" },
		"no code":           func(m *notice.Mail) { m.Code = "" },
		"an endless link":   func(m *notice.Mail) { m.LinkLife = 0 },
		"an endless code":   func(m *notice.Mail) { m.CodeLife = 0 },
		"an undo":           func(m *notice.Mail) { m.Undo, m.UndoLife = "https://x.example/#u", time.Hour },
		"roles":             func(m *notice.Mail) { m.Roles = []string{"admin"} },
		"a new address":     func(m *notice.Mail) { m.NewAddress = "b@example.org" },
		"no address":        func(m *notice.Mail) { m.To = "" },
		"a line in address": func(m *notice.Mail) { m.To = "ada@example.org\r\nBcc: eve@example.org" },
		"no kind":           func(m *notice.Mail) { m.Kind = "" },
		"an unknown kind":   func(m *notice.Mail) { m.Kind = "lottery" },
	}
	for name, spoil := range wrong {
		m := full(notice.ResetPassword)
		spoil(&m)
		if err := d.Write(ctx, func(tx *db.Tx) error { return newOutbox(at(start)).Queue(tx, m) }); err == nil {
			t.Errorf("%s: it was queued", name)
		}
	}
	for _, k := range notice.Kinds() {
		if err := d.Write(ctx, func(tx *db.Tx) error { return newOutbox(at(start)).Queue(tx, full(k)) }); err != nil {
			t.Error(fmt.Errorf("%s: %w", k, err))
		}
	}
}
