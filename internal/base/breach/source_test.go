package breach

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// known is in the corpora of these tests, and not among the common ones.
const known = "a secret that leaked, number 17"

// corpusOf is a text of the passwords.
func corpusOf(passwords ...string) string {
	var list []Hash
	for _, p := range passwords {
		list = append(list, HashOf(p))
	}
	slices.SortFunc(list, func(a, b Hash) int { return compare(a, b) })
	return text(list)
}

func buildFile(t *testing.T, path string, passwords ...string) {
	t.Helper()
	if _, err := Build(t.Context(), Plan{Corpus: Corpus{In: strings.NewReader(corpusOf(passwords...))}, Path: path, Bits: 32}); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, s interface {
	Breached(context.Context, string) (bool, error)
}, password string) bool {
	t.Helper()
	found, err := s.Breached(t.Context(), password)
	if err != nil {
		t.Error(err)
	}
	return found
}

// tick is a clock that a test moves.
type tick struct{ at atomic.Int64 }

func (c *tick) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *tick) pass(d time.Duration) { c.at.Add(int64(d)) }

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// A file is read again when it is replaced, while it is in use; a damaged one is
// reported and not used.
func TestPW3_AFileThatIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "filter")
	buildFile(t, path, known)
	var (
		clock    tick
		reported atomic.Int64
	)
	f, err := OpenFile(path, clock.now, func(err error) {
		if !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		reported.Add(1)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !has(t, f, known) || !has(t, f, "password123") || has(t, f, "another that leaked") {
		t.Error("the file's and the common ones")
	}
	stop := make(chan struct{})
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if !has(t, f, "password123") {
						t.Error("lost")
					}
				}
			}
		})
	}
	buildFile(t, path, known, "another that leaked")
	eventually(t, "the new file is not taken", func() bool { clock.pass(lookEvery); return has(t, f, "another that leaked") })
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged[len(damaged)/2] ^= 1
	write(t, path+".new", string(damaged))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the damage is not reported", func() bool { clock.pass(lookEvery); has(t, f, known); return reported.Load() == 1 })
	for range 10 {
		clock.pass(lookEvery)
		if !has(t, f, "another that leaked") {
			t.Error("the file before is lost")
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	clock.pass(lookEvery)
	if !has(t, f, known) {
		t.Error("without a file on the disk, the one in memory is lost")
	}
	buildFile(t, path, "a third one that leaked")
	eventually(t, "the third file is not taken", func() bool { clock.pass(lookEvery); return has(t, f, "a third one that leaked") })
	close(stop)
	users.Wait()
	if reported.Load() != 1 {
		t.Errorf("reported %d times", reported.Load())
	}
}

// Whoever cuts a file off that is in use makes an error, and no crash.
func TestAFileThatIsCutOffInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "filter")
	var many []string
	for i := range 20_000 {
		many = append(many, fmt.Sprint("leaked ", i))
	}
	buildFile(t, path, many...)
	var clock tick
	f, err := OpenFile(path, clock.now, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, p := range many {
		if _, err := f.Breached(t.Context(), p); err != nil {
			if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			failed++
		}
	}
	if failed == 0 {
		t.Error("nothing was missed: is the file mapped?")
	}
}

func TestOpenFileRefuses(t *testing.T) {
	folder := t.TempDir()
	for name, path := range map[string]string{
		"nothing": filepath.Join(folder, "none"), "a folder": folder, "empty": write(t, filepath.Join(folder, "e"), ""),
		"words": write(t, filepath.Join(folder, "w"), strings.Repeat("password\n", 100)),
	} {
		if _, err := OpenFile(path, time.Now, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// server speaks the range protocol, as api.pwnedpasswords.com does.
type server struct {
	*httptest.Server
	hashes []Hash
	asked  []string
	fail   atomic.Bool
	body   atomic.Pointer[string]
}

func newServer(t *testing.T, passwords ...string) *server {
	s := &server{}
	for _, p := range passwords {
		s.hashes = append(s.hashes, HashOf(p))
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefix := strings.TrimPrefix(r.URL.Path, "/range/")
		s.asked = append(s.asked, prefix)
		if r.Header.Get("Add-Padding") != "true" || len(prefix) != 5 || strings.ToUpper(prefix) != prefix {
			t.Errorf("asked for %q with %v", prefix, r.Header)
		}
		if s.fail.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		if b := s.body.Load(); b != nil {
			_, _ = w.Write([]byte(*b))
			return
		}
		for _, h := range s.hashes {
			if digits := fmt.Sprintf("%X", h); digits[:5] == prefix {
				fmt.Fprintf(w, "%s:3\r\n", digits[5:])
			}
		}
		// Padding: hashes that nobody has seen, in no order.
		for i := range 800 {
			fmt.Fprintf(w, "%s:0\r\n", fmt.Sprintf("%X", HashOf(fmt.Sprint(prefix, i)))[5:])
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) api(t *testing.T, refuse bool, clock *tick) *API {
	t.Helper()
	site, err := outbound.NewSite(outbound.Config{URL: s.URL, Timeout: 500 * time.Millisecond, MostBytes: 1 << 20,
		Header: map[string]string{"Add-Padding": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	return &API{Refuse: refuse, Now: clock.now, Fetch: func(ctx context.Context, prefix string) ([]byte, error) { return site.Get(ctx, "range", prefix) }}
}

// PW-3: the server learns five digits of a hash, its padding counts for
// nothing, and it is asked once a day for a range.
func TestPW3_API(t *testing.T) {
	s := newServer(t, known, "one more that leaked")
	var clock tick
	a := s.api(t, true, &clock)
	for range 3 {
		if !has(t, a, known) || !has(t, a, "one more that leaked") || has(t, a, "one that did not leak") {
			t.Error("wrong")
		}
	}
	if len(s.asked) != 3 {
		t.Errorf("asked %d times", len(s.asked))
	}
	if has(t, a, "password123"); len(s.asked) != 3 {
		t.Error("asked for a common one")
	}
	clock.pass(rangeLife)
	if has(t, a, known); len(s.asked) != 4 {
		t.Error("an answer is kept for ever")
	}
	padding := fmt.Sprintf("%X", HashOf(known))[:5]
	if found, err := a.Breached(t.Context(), padding+"0"); found || err != nil {
		t.Errorf("padding counts: %v, %v", found, err)
	}
}

// A server that is away is not asked again for a while, and what then becomes of
// passwords is the operator's choice.
func TestPW3_TheAPIIsAway(t *testing.T) {
	for _, refuse := range []bool{true, false} {
		s := newServer(t, known)
		var clock tick
		a := s.api(t, refuse, &clock)
		reported := 0
		a.Away = func(error) { reported++ }
		away := func(what string) {
			t.Helper()
			for i := range 5 {
				found, err := a.Breached(t.Context(), fmt.Sprint(known, i))
				f := fault.As(err)
				if found || refuse != (f != nil && f.Kind == fault.Unavailable && f.Code == "breach_check_unavailable" && f.RetryAfter > 0) {
					t.Errorf("%s: %v, %v", what, found, err)
				}
			}
		}
		s.fail.Store(true)
		away("an error")
		if len(s.asked) != 1 || reported != 1 {
			t.Errorf("asked %d times, reported %d", len(s.asked), reported)
		}
		if !has(t, a, "password123") {
			t.Error("the common ones are known without it")
		}
		s.fail.Store(false)
		clock.pass(awayFor)
		if !has(t, a, known) {
			t.Error("it is back, and not asked")
		}
		for _, nonsense := range []string{"<html>Sign in to the hotel's network</html>", strings.Repeat("A", 2<<20), "0018A45C4D1DEF81644B54AB7F969B88D65:many"} {
			clock.pass(2 * rangeLife)
			s.body.Store(&nonsense)
			away(nonsense[:10])
		}
		clock.pass(2 * rangeLife)
		s.Close()
		away("nobody listens")
	}
}

// A caller who leaves says nothing about the server.
func TestTheAPIAndACallerWhoLeaves(t *testing.T) {
	s := newServer(t, known)
	var clock tick
	a := s.api(t, true, &clock)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Breached(gone, known); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !has(t, a, known) {
		t.Error("the server counts as away")
	}
}

// What is kept is bounded.
func TestTheAPIKeepsFew(t *testing.T) {
	var clock tick
	a := &API{Now: clock.now, Fetch: func(context.Context, string) ([]byte, error) { return nil, nil }}
	for i := range rangesKept + 500 {
		if has(t, a, fmt.Sprint("some password ", i)) {
			t.Error("found")
		}
	}
	if len(a.ranges) > rangesKept {
		t.Errorf("%d ranges are kept", len(a.ranges))
	}
}
