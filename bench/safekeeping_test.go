package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// What retention has to delete is there: sessions that are over and events that are old, and the log is sealed.
func TestTheStockHasWhatIsDue(t *testing.T) {
	for name, dbURL := range map[string]string{"SQLite": dbtest.EmptySQLite(t), "PostgreSQL": dbtest.EmptyPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			if _, err := fill(ctx, dbURL, master, 50, 10); err != nil {
				t.Fatal(err)
			}
			s := &stock{run: &run{}, name: name, url: dbURL}
			if err := s.addEvents(ctx, 10_001); err != nil {
				t.Fatal(err)
			}
			if err := s.addOver(ctx, 30); err != nil {
				t.Fatal(err)
			}
			var over, old, events, sealed int64
			ago := db.Micros(time.Now().Add(-100 * 24 * time.Hour))
			if err := dbtest.Open(t, dbURL).Read(ctx, func(tx *db.Tx) error {
				return tx.QueryRow(`SELECT (SELECT COUNT(*) FROM session WHERE max_at < $1), (SELECT COUNT(*) FROM event WHERE time < $1),
					(SELECT COUNT(*) FROM event), (SELECT size FROM event_head)`, ago).Scan(&over, &old, &events, &sealed)
			}); err != nil {
				t.Fatal(err)
			}
			if over != 30 || old < 10_000 || events < 10_001 || sealed < 10_001 {
				t.Errorf("%d sessions over, %d old events of %d, %d sealed", over, old, events, sealed)
			}
		})
	}
}

// The other side encrypts as age does, and reads what it has written.
func TestTheOtherSideEncrypts(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(file, []byte(key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("row\n"), 100_000)
	var sealed, back bytes.Buffer
	if err := crypt(bytes.NewReader(text), &sealed, key.Recipient().String(), ""); err != nil {
		t.Fatal(err)
	}
	if r, err := age.Decrypt(bytes.NewReader(sealed.Bytes()), key); err != nil {
		t.Error(err)
	} else if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := crypt(&sealed, &back, "", file); err != nil || !bytes.Equal(back.Bytes(), text) {
		t.Errorf("%d bytes, %v", back.Len(), err)
	}
}
