package backup_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// A ledger whose end was taken away joins without a gap, but EVENT_ANCHOR knows better: told in numbers, and refused from ten minutes on.
// What another log or another key signed says nothing.
func TestDB4_TheLedgerIsHeldAgainstTheAnchor(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	l := f.withLedger(t)
	made := f.create(t).Manifest
	f.happens(t, event.Event{Kind: event.PasswordChange, Account: "a1"})
	step(t, f, l)
	f.happens(t, event.Event{Kind: event.AccountDisabled, Account: "a2"})
	step(t, f, l)
	segments, err := filepath.Glob(filepath.Join(f.dir, "ledger", f.install, "*", "*.age"))
	if err != nil || len(segments) < 2 {
		t.Fatalf("%v %v", segments, err)
	}
	note := one[string](t, f.d, `SELECT note FROM event_checkpoint ORDER BY size DESC LIMIT 1`)
	read := func(a backup.Anchored, change func(*backup.Restore)) (*backup.Restore, error) {
		r := f.restoring(targets["into sqlite"](t))
		r.Anchored = a
		change(r)
		_, err := r.Read(t.Context(), f.install, made.ID)
		return r, err
	}
	as := func(*backup.Restore) {}
	late := backup.Anchored{Note: note, At: time.Now().Add(time.Hour)}
	if r, err := read(late, as); err != nil || r.Decided.Beyond != 0 {
		t.Errorf("the whole ledger: %v", err)
	}
	if err := os.Remove(segments[len(segments)-1]); err != nil {
		t.Fatal(err)
	}
	if r, err := read(backup.Anchored{Note: note, At: time.Now().Add(time.Minute)}, as); err != nil || r.Decided.Beyond != 1 {
		t.Errorf("a minute: %+v %v", r.Decided, err)
	}
	if _, err := read(late, as); codeOf(err) != "ledger_gap" {
		t.Errorf("an hour: %v", err)
	}
	if r, err := read(late, func(r *backup.Restore) { r.AcceptLost = true }); err != nil || r.Decided.Beyond != 1 {
		t.Errorf("accepted: %v", err)
	}
	// Without EVENT_KEY the backup's own verifier reads it.
	verifier, err := backup.NewSigner(eventKey, f.install)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(late, func(r *backup.Restore) {
		r.EventKey, r.Trust = "", backup.Trust{Verifier: verifier.Verifier}
	}); made.Needs.Verifier != "" && codeOf(err) != "ledger_gap" {
		t.Errorf("by the verifier alone: %v", err)
	}
	forged, err := event.NewSigner("another key, which is 32 characters long", "gatehouse/"+f.install)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"none": "", "no checkpoint": "hello\n", "cut": note[:len(note)-5], "another's": forged.Verifier()} {
		if r, err := read(backup.Anchored{Note: text, At: late.At}, as); err != nil || r.Decided.Beyond != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
