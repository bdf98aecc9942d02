package doctor

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// DB-4: what is missing, late, failing or forgotten of the backups turns its check; in the order in which an installation gets there.
func TestDB4_TheBackupsAreJudgedByWhatWasDone(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		d := dbtest.Open(t, dbURL)
		c := load(t, map[string]string{"DATABASE_URL": dbURL, "MIGRATE": "off"})
		began := time.Now()
		now := began
		turned := func() (out []string) {
			for _, f := range doctor.Run(t.Context(), checksOf(c, d, nil, func() time.Time { return now }), now).Findings {
				if f.ID == "DB-4" && f.Rule != "DB-4/disk" && f.State == doctor.Failed {
					out = append(out, strings.TrimPrefix(f.Rule, "DB-4/"))
				}
			}
			slices.Sort(out)
			return out
		}
		note := func(kind backup.Kind, why error) {
			r := backup.Run{ID: secret.Random{}.ID(now), Kind: kind, Began: now, Ended: now, Snapshot: now, Backup: "01", Manifest: "00"}
			if why != nil {
				r.Error = why.Error()
			}
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return backup.Note(tx, r) }); err != nil {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			what string
			do   func()
			want []string
		}{
			{"nothing was done yet", func() {}, []string{"drilled", "key", "newest"}},
			{"one could not be made", func() { note(backup.Create, errors.New("no room")) }, []string{"drilled", "key", "newest"}},
			{"one was made", func() { note(backup.Create, nil) }, []string{"drilled", "key"}},
			{"and drilled", func() { note(backup.Drill, nil) }, []string{"key"}},
			{"and opened with somebody's key", func() { note(backup.Prove, nil) }, nil},
			{"three days pass", func() { now = began.Add(72 * time.Hour) }, []string{"newest"}},
			{"one is made, and two drills fail", func() {
				note(backup.Create, nil)
				for range 2 {
					now = now.Add(time.Minute)
					note(backup.Drill, errors.New("a part is missing"))
				}
			}, []string{"drilled"}},
			{"a hundred days pass", func() { now = began.Add(100 * 24 * time.Hour) }, []string{"drilled", "key", "newest"}},
		} {
			step.do()
			if got := turned(); !slices.Equal(got, step.want) {
				t.Errorf("%s: %v, want %v", step.what, got, step.want)
			}
		}
	})
}

// RATE-3: everybody from one private address is a proxy that nobody trusts.
func TestRATE3_AProxyThatIsNotTrustedIsNoticed(t *testing.T) {
	for what, c := range map[string]struct {
		addresses map[string]int
		failed    bool
	}{
		"a proxy":                {map[string]int{"10.0.0.7": 40}, true},
		"this machine":           {map[string]int{"127.0.0.1": 20}, true},
		"an office":              {map[string]int{"10.0.0.7": 20, "10.0.0.8": 20}, false},
		"one person, everywhere": {map[string]int{"203.0.113.7": 40}, false},
		"too few":                {map[string]int{"10.0.0.7": 19}, false},
		"none":                   {nil, false},
	} {
		s := session.Sample{Addresses: c.addresses}
		for _, n := range c.addresses {
			s.Sessions += n
		}
		if got := app.OnePlace(s).State == doctor.Failed; got != c.failed {
			t.Errorf("%s: failed %v, want %v", what, got, c.failed)
		}
	}
}

// DB-4: a disk that breaks takes the database and its backups with it, where both lie on it.
func TestDB4_BackupsOnTheDatabasesDiskAreFound(t *testing.T) {
	dbURL := dbtest.SQLite(t)
	beside := filepath.Dir(strings.TrimPrefix(dbURL, "sqlite:"))
	for dir, want := range map[string]doctor.State{beside: doctor.Failed, filepath.Join(beside, "nowhere"): doctor.Unknown, "/proc": doctor.Passed} {
		c := load(t, map[string]string{"DATABASE_URL": dbURL, "BACKUP_DIR": dir})
		for _, f := range doctor.Run(t.Context(), checksOf(c, nil, fs.ErrNotExist, time.Now), time.Now()).Findings {
			if f.Rule == "DB-4/disk" && f.State != want {
				t.Errorf("%s: %s (%s), want %s", dir, f.State, f.Evidence, want)
			}
		}
	}
}
