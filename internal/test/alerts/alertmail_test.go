package alerts_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// about returns the mails whose subject holds the words, once some have come to
// all of the addresses.
func about(h *harness.Server, s *mailtest.Server, words string, to ...string) (list []mailtest.Mail) {
	h.Helper()
	h.Eventually("mails about "+words, func() (string, bool) {
		list = nil
		var reached []string
		for _, m := range s.Mails() {
			if head, _ := m.Parse(h.T); strings.Contains(head.Get("Subject"), words) {
				list = append(list, m)
				reached = append(reached, m.To)
			}
		}
		return fmt.Sprint(reached), !slices.ContainsFunc(to, func(a string) bool { return !slices.Contains(reached, a) })
	})
	return list
}

// Three replicas mail one alert once to each address, in the language of whoever
// has an account there; one that comes back within the hour is not mailed again.
func TestLOG5_AnAlertIsMailedOnce(t *testing.T) {
	s := mailtest.New(t, mailtest.Options{})
	dbURL := dbtest.Postgres(t)
	var replicas []*harness.Server
	for range 3 {
		replicas = append(replicas, harness.Open(t, dbURL, harness.SharedURL, "SMTP_URL="+s.URL, "MAIL_FROM=no-reply@acme.org",
			"ALERT_MAIL_TO=ops@acme.org, ada@example.org"))
	}
	h := replicas[0]
	h.Register("ada@example.org")
	ada := h.Login("ada@example.org").Str("access_token")
	h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: ada, Body: map[string]any{"locale": "de", "name": "Ada"}})
	log := event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, time.Now, nil)
	raise := func() {
		t.Helper()
		if err := h.Database().Write(t.Context(), func(tx *db.Tx) error {
			log.Append(tx, event.Event{Kind: event.SuspiciousActivity, Outcome: event.Failure, Detail: event.Detail{Reason: "refresh_token_ahead"}})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	h.Eventually("the rules begin to watch", func() (string, bool) {
		var n int64
		err := h.Database().Read(t.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM alert_state WHERE state <> ''`).Scan(&n)
		})
		return fmt.Sprint(n, err), n == 1
	})
	raise()
	list := about(h, s, "session_ahead", "ops@acme.org", "ada@example.org")
	for _, m := range list {
		_, parts := m.Parse(t)
		want := "Look closer with:\ngatehouse events list --since "
		if m.To == "ada@example.org" {
			want = "Hallo Ada,\n"
		}
		if !strings.Contains(strings.ReplaceAll(parts["text/plain"], "\r\n", "\n"), want) {
			t.Errorf("to %s:\n%s", m.To, parts["text/plain"])
		}
	}
	// It is over, and comes back.
	if err := h.Database().Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE alert SET resolved_at = raised_at WHERE resolved_at IS NULL`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	raise()
	h.Eventually("a second alert", func() (string, bool) {
		var n int64
		err := h.Database().Read(t.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM alert WHERE rule = 'session_ahead'`).Scan(&n)
		})
		return fmt.Sprint(n, err), n == 2
	})
	var queued int64
	if err := h.Database().Read(t.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM outbox WHERE kind = 'alert_raised'`).Scan(&queued)
	}); err != nil || queued != 2 {
		t.Errorf("%d mails were queued, %v", queued, err)
	}
}

// An anchor that can't be reached raises an alert of its own, which is over when it
// can be; one that contradicts the log raises that of the sealing.
func TestLOG6_AFailingAnchorRaisesAnAlert(t *testing.T) {
	var (
		broken atomic.Bool
		ahead  atomic.Int64
	)
	broken.Store(true)
	anchor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer anchor.Close()
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	h := harness.OpenAt(t, dbtest.SQLite(t), now, "EVENT_ANCHOR="+anchor.URL)
	h.Register("ada@example.org")
	h.Eventually("the anchor fails", func() (string, bool) {
		_, text := h.Admin("/metrics")
		return "gatehouse_event_anchor_failing", strings.Contains(text, "gatehouse_event_anchor_failing 1\n")
	})
	if is := alertOf(h, alert.AnchorTroubled); is != "none" {
		t.Errorf("at once: %s", is)
	}
	ahead.Store(int64(2 * time.Minute))
	alertBecomes(h, alert.AnchorTroubled, "open")
	broken.Store(false)
	alertBecomes(h, alert.AnchorTroubled, "over") // and nothing has happened meanwhile
}

// A database that was put back to before what the anchor has is sealed no further,
// and raises an alert.
func TestLOG6_AContradictedAnchorRaisesAnAlert(t *testing.T) {
	anchor := filepath.Join(t.TempDir(), "checkpoints")
	dbURL := dbtest.SQLite(t)
	file := strings.TrimPrefix(dbURL, "sqlite:")
	run := func(email string) {
		t.Helper()
		h := harness.Open(t, dbURL, "EVENT_ANCHOR=file:"+anchor)
		had, _ := os.ReadFile(anchor)
		h.Register(email)
		h.Eventually("a checkpoint", func() (string, bool) {
			has, err := os.ReadFile(anchor)
			return fmt.Sprint(err), len(has) > len(had)
		})
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	run("ada@example.org")
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	run("bob@example.org")
	for _, name := range []string{file + "-wal", file + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	h := harness.Open(t, dbURL, "EVENT_ANCHOR=file:"+anchor)
	h.Register("eve@example.org")
	alertBecomes(h, alert.SealingTroubled, "open")
}

// alertOf returns the state of a rule's newest alert: none, open or over.
func alertOf(h *harness.Server, rule string) string {
	h.Helper()
	is := "none"
	err := h.Database().Read(h.Context(), func(tx *db.Tx) error {
		list, err := alert.List(tx, "", false, 100)
		if i := slices.IndexFunc(list, func(a alert.Alert) bool { return a.Rule == rule }); i >= 0 {
			if is = "open"; !list[i].ResolvedAt.IsZero() {
				is = "over"
			}
		}
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return is
}

func alertBecomes(h *harness.Server, rule, want string) {
	h.Helper()
	h.Eventually(rule+" is "+want, func() (string, bool) { is := alertOf(h, rule); return is, is == want })
}

// Every rule has its sentence in every language.
func TestLOG5_EveryRuleIsToldInEveryLanguage(t *testing.T) {
	texts, err := notice.NewTexts("https://auth.acme.org", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range alert.Rules {
		m, err := texts.Render(notice.Mail{Kind: notice.AlertRaised, To: "a@acme.org", Locale: "de", At: time.Now(),
			Alert: notice.Alert{Rule: r.Name, N: 1, Bound: 1, What: "w", Look: "l"}})
		if err != nil || strings.Contains(m.Text, "Alarm gegeben: \n") || strings.Contains(m.Text, "Alarm gegeben:\n") {
			t.Errorf("%s: %v\n%s", r.Name, err, m.Text)
		}
	}
}
