package backup_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound/buckettest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// inBucket has a fixture's backups go into a bucket.
func (f *fixture) inBucket(t *testing.T, lock bool) *buckettest.Server {
	t.Helper()
	s := buckettest.Start(t, lock)
	f.keeper.Maker.Stores = []backup.Store{backup.NewImpatientBucket("s3://backups/here", s.Open(t))}
	return s
}

// A backup into a bucket, from either database, is read back, verified, restored and deleted as one in a folder.
func TestDB4_ABackupInABucket(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		f.inBucket(t, false)
		store := f.keeper.Maker.Stores[0]
		made := f.create(t)
		second := f.create(t)
		if k := second.Manifest.Kept; len(k) != 1 || k[0].ID != made.Manifest.ID {
			t.Errorf("kept: %+v", k)
		}
		r, err := backup.Verify(t.Context(), store, f.keeper.Trust, f.install, made.Manifest.ID, []age.Identity{f.id}, func(backup.Progress) {})
		if err != nil || len(r.Findings) > 0 || !r.Opened {
			t.Errorf("%+v %v", r, err)
		}
		if list, err := backup.Installs(t.Context(), store); err != nil || len(list) != 1 || list[0] != f.install {
			t.Errorf("%v %v", list, err)
		}
		target := targets["into sqlite"](t)
		if _, err := restore(t.Context(), f.restoring(target), f.install, made.Manifest.ID); err != nil {
			t.Fatal(err)
		}
		if n := one[int](t, dbtest.Open(t, target), `SELECT COUNT(*) FROM account`); n != 1 {
			t.Errorf("%d accounts", n)
		}
		f.keeper.Keep = backup.Keep{}
		f.create(t)
		gone, err := f.keeper.Prune(t.Context(), f.install, backup.By{})
		if err != nil || len(gone) != 1 || gone[0].ID != made.Manifest.ID {
			t.Errorf("%+v %v", gone, err)
		}
		if all, err := store.List(t.Context(), "backup/"+f.install+"/"+made.Manifest.ID+"/"); err != nil || len(all) > 0 {
			t.Errorf("left: %v %v", all, err)
		}
	})
}

// What the operator has to mend is said at the first try, and no backup is there.
func TestDB4_ABucketThatRefuses(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	s := f.inBucket(t, false)
	for code, c := range map[string]struct {
		status int
		says   string
	}{
		"AccessDenied": {403, "must be allowed"}, "NoSuchBucket": {404, "no such bucket"}, "SignatureDoesNotMatch": {403, "BACKUP_S3_SECRET_ACCESS_KEY"},
		"QuotaExceeded": {403, "no room"}, "NotImplemented": {501, "If-None-Match"}, "RequestTimeTooSkewed": {403, "clock"},
	} {
		tries := int64(0)
		s.Fail(func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
			if r.Method != http.MethodPut {
				return false
			}
			atomic.AddInt64(&tries, 1)
			w.WriteHeader(c.status)
			_ = xml.NewEncoder(w).Encode(struct {
				XMLName xml.Name `xml:"Error"`
				Code    string
			}{Code: code})
			return true
		})
		_, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil)
		if err == nil || !strings.Contains(err.Error(), c.says) || atomic.LoadInt64(&tries) != 1 {
			t.Errorf("%s: %v after %d tries", code, err, atomic.LoadInt64(&tries))
		}
	}
	s.Fail(nil)
	if list, err := backup.List(t.Context(), f.keeper.Maker.Stores, f.keeper.Trust, f.install); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

// once has one request in n fail, in each of the ways that a network has.
func once(n int64, how func(w http.ResponseWriter, forward func() *httptest.ResponseRecorder)) buckettest.Fault {
	var calls atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request, forward func() *httptest.ResponseRecorder) bool {
		if calls.Add(1)%n != 0 {
			return false
		}
		how(w, forward)
		return true
	}
}

// A network that is cut now and then, before the server has heard of it, behind it, or in the middle of an answer, makes a
// backup later and not other.
func TestDB4_ANetworkThatIsCut(t *testing.T) {
	cut := func(http.ResponseWriter, func() *httptest.ResponseRecorder) { panic(http.ErrAbortHandler) }
	for name, how := range map[string]func(http.ResponseWriter, func() *httptest.ResponseRecorder){
		"the request is lost": cut,
		"the answer is lost":  func(w http.ResponseWriter, forward func() *httptest.ResponseRecorder) { forward(); cut(w, forward) },
		"the answer is cut": func(w http.ResponseWriter, forward func() *httptest.ResponseRecorder) {
			a := forward()
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(a.Body.Bytes()[:a.Body.Len()/2])
			cut(w, forward)
		},
		"the server is busy": func(w http.ResponseWriter, _ func() *httptest.ResponseRecorder) {
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, dbtest.SQLite(t))
			f.keeper.Maker.Wait = func(context.Context, time.Duration) error { return nil }
			s := f.inBucket(t, false)
			s.Fail(once(3, how))
			made := f.create(t)
			r, err := backup.Verify(t.Context(), f.keeper.Maker.Stores[0], f.keeper.Trust, f.install, made.Manifest.ID, []age.Identity{f.id},
				func(backup.Progress) {})
			if err != nil || len(r.Findings) > 0 {
				t.Errorf("%+v %v", r, err)
			}
			if _, err := restore(t.Context(), f.restoring(targets["into sqlite"](t)), f.install, made.Manifest.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// A store that lies: it says that it has what it has cut, forgotten or exchanged. Nothing of that becomes a backup.
func TestDB4_AStoreThatLiesMakesNoBackup(t *testing.T) {
	parts := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".zst.age") }
	for name, lie := range map[string]func(a []byte) []byte{
		"cuts":      func(b []byte) []byte { return b[:len(b)/2] },
		"flips":     func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"lengthens": func(b []byte) []byte { return append(b, 0) },
		"exchanges": func([]byte) []byte { return []byte("age-encryption.org/v1\n") },
	} {
		f := newFixture(t, dbtest.SQLite(t))
		s := f.inBucket(t, false)
		s.Fail(func(w http.ResponseWriter, r *http.Request, forward func() *httptest.ResponseRecorder) bool {
			if r.Method != http.MethodGet || !parts(r) {
				return false
			}
			a := forward()
			w.Header().Set("Last-Modified", a.Header().Get("Last-Modified"))
			_, _ = w.Write(lie(bytes.Clone(a.Body.Bytes())))
			return true
		})
		if _, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil); err == nil {
			t.Errorf("%s: it became a backup", name)
		}
		s.Fail(func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
			if r.Method == http.MethodPut { // it says yes, and keeps nothing
				w.WriteHeader(http.StatusOK)
			}
			return r.Method == http.MethodPut
		})
		if _, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil); !errors.Is(err, backup.ErrMissing) {
			t.Errorf("what keeps nothing: %v", err)
		}
	}
}

// An old manifest is signed as well; it is not the backup that was asked for.
func TestDB4_AStoreThatAnswersWithAnOldManifest(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	s := f.inBucket(t, false)
	old, made := f.create(t).Manifest.ID, f.create(t).Manifest.ID
	b, err := os.ReadFile(filepath.Join(s.Dir, "here", "backup", f.install, old, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.Fail(func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
		if !strings.HasSuffix(r.URL.Path, made+"/manifest.json") {
			return false
		}
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		_, _ = w.Write(b)
		return true
	})
	store := f.keeper.Maker.Stores[0]
	r, err := backup.Verify(t.Context(), store, f.keeper.Trust, f.install, made, nil, func(backup.Progress) {})
	if err != nil || len(r.Findings) != 1 || r.Findings[0].What != "not_ours" {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := f.restoring(targets["into sqlite"](t)).Read(t.Context(), f.install, made); codeOf(err) != "backup_not_ours" {
		t.Error(err)
	}
	if text, err := f.keeper.Astray(t.Context(), f.install); err != nil || text == "" {
		t.Errorf("%q %v", text, err)
	}
}

// A bucket that locks what it holds takes backups, and what it does not delete is told as that.
func TestDB4_ABucketThatLocksWhatItHolds(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	s := f.inBucket(t, true)
	first := f.create(t).Manifest.ID
	f.create(t)
	f.create(t)
	f.keeper.Keep = backup.Keep{}
	s.Fail(func(w http.ResponseWriter, r *http.Request, _ func() *httptest.ResponseRecorder) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`<Error><Code>AccessDenied</Code></Error>`))
		return true
	})
	gone, err := f.keeper.Prune(t.Context(), f.install, backup.By{})
	if len(gone) != 0 || !backup.Keeps(err) {
		t.Errorf("%v %v", gone, err)
	}
	// Here it hides what is deleted, and keeps it.
	s.Fail(nil)
	gone, err = f.keeper.Prune(t.Context(), f.install, backup.By{})
	if err != nil || len(gone) != 1 || gone[0].ID != first {
		t.Errorf("%v %v", gone, err)
	}
}
