package breach

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// None knows no password.
type None struct{}

// Breached reports false.
func (None) Breached(context.Context, string) (bool, error) { return false, nil }

// List knows the list in the binary alone: see [Common].
type List struct{}

// Breached reports whether the password is in the list.
func (List) Breached(_ context.Context, password string) (bool, error) { return Common(password), nil }

// File knows the list in the binary and what is in a filter file, which it reads
// again when the file is replaced.
type File struct {
	path string
	now  func() time.Time
	// trouble is called with a new file that can't be used; the one before is kept.
	trouble func(error)

	mu     sync.RWMutex // held while the filter is in use: it can't be unmapped then
	filter *Filter

	look    sync.Mutex
	seen    os.FileInfo
	looked  time.Time
	reading sync.WaitGroup
}

// lookEvery is how often a file is looked at for a replacement.
const lookEvery = 5 * time.Second

// OpenFile opens the file, which must be whole. trouble is called with one that
// replaces it and is not.
func OpenFile(path string, now func() time.Time, trouble func(error)) (*File, error) {
	f := &File{path: path, now: now, trouble: trouble, looked: now()}
	var err error
	if f.seen, err = os.Stat(path); err != nil {
		return nil, err
	}
	f.filter, err = Open(path)
	return f, err
}

// Breached reports whether the password is common, or in the file.
func (f *File) Breached(_ context.Context, password string) (bool, error) {
	if Common(password) {
		return true, nil
	}
	f.refresh()
	h := HashOf(password)
	f.mu.RLock()
	defer f.mu.RUnlock()
	found, err := guarded(func() (bool, error) { return f.filter.Contains(h), nil })
	if err != nil {
		return false, unavailable(err)
	}
	return found, nil
}

// Entries is how many hashes the file has.
func (f *File) Entries() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.filter.Entries()
}

// refresh reads the file in the background if it was replaced.
func (f *File) refresh() {
	if !f.look.TryLock() {
		return
	}
	defer f.look.Unlock()
	now := f.now()
	if age := now.Sub(f.looked); age >= 0 && age < lookEvery {
		return
	}
	f.looked = now
	info, err := os.Stat(f.path)
	if err != nil || same(info, f.seen) {
		return // gone for the moment: it is being replaced, or the one in memory must do
	}
	f.seen = info
	f.reading.Go(func() {
		next, err := Open(f.path)
		if err != nil {
			f.trouble(err)
			return
		}
		f.mu.Lock()
		old := f.filter
		f.filter = next
		f.mu.Unlock()
		if err := old.Close(); err != nil {
			f.trouble(err)
		}
	})
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// Close gives the memory back. Stop what asks first.
func (f *File) Close() error {
	f.reading.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.filter.Close()
}

// unavailable is the fault of a source that can't be asked, where that refuses
// the password.
func unavailable(err error) error {
	f := fault.New(fault.Unavailable, "breach_check_unavailable",
		"We can't check at the moment whether this password has been in a breach. Please try again in a few minutes.")
	f.RetryAfter = time.Minute
	return f.Because(err)
}

// API knows the list in the binary, and asks a server that speaks the range
// protocol of Pwned Passwords: it gets the first five of the 40 digits of a
// password's hash, which some thousand known passwords share.
type API struct {
	// Fetch returns the range with a prefix of five hexadecimal digits.
	Fetch func(ctx context.Context, prefix string) ([]byte, error)
	// Refuse refuses passwords while the server is away; otherwise they are taken
	// if they are not common.
	Refuse bool
	Now    func() time.Time
	// Away is called when the server is away, once in awayFor; it may be nil.
	Away func(error)

	mu     sync.Mutex
	ranges map[uint32]answered
	away   time.Time // until then it is not asked again
	cause  error
}

type answered struct {
	keys []uint64
	at   time.Time
}

const (
	// rangeLife is for how long an answer is kept, and rangesKept how many are:
	// some 8 KB each.
	rangeLife  = 24 * time.Hour
	rangesKept = 1000
	// awayFor is for how long a server that failed is not asked again, so that
	// not everybody waits for it.
	awayFor = 30 * time.Second
)

// Breached reports whether the password is common, or known to the server.
func (a *API) Breached(ctx context.Context, password string) (bool, error) {
	if Common(password) {
		return true, nil
	}
	h := HashOf(password)
	keys, err := a.keys(ctx, h.rangeOf())
	switch {
	case err == nil:
		_, found := slices.BinarySearch(keys, h.key())
		return found, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case a.Refuse:
		return false, unavailable(err)
	}
	return false, nil
}

func (a *API) keys(ctx context.Context, r uint32) ([]uint64, error) {
	now := a.Now()
	a.mu.Lock()
	kept, away, cause := a.ranges[r], a.away, a.cause
	a.mu.Unlock()
	if age := now.Sub(kept.at); kept.keys != nil && age >= 0 && age < rangeLife {
		return kept.keys, nil
	}
	if wait := away.Sub(now); wait > 0 && wait <= awayFor {
		return nil, cause
	}
	keys, err := a.fetch(ctx, r)
	if ctx.Err() != nil {
		return nil, ctx.Err() // the caller's time is over, which says nothing about the server
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.away, a.cause = now.Add(awayFor), err
		if a.Away != nil {
			a.Away(err)
		}
		return nil, err
	}
	if a.ranges == nil {
		a.ranges = map[uint32]answered{}
	}
	for old := range a.ranges {
		if len(a.ranges) < rangesKept {
			break
		}
		delete(a.ranges, old) // any
	}
	a.ranges[r] = answered{keys, now}
	return keys, nil
}

func (a *API) fetch(ctx context.Context, r uint32) ([]uint64, error) {
	prefix := strconv.FormatUint(uint64(r)|1<<rangeBits, 16)[1:]
	body, err := a.Fetch(ctx, strings.ToUpper(prefix))
	if err != nil {
		return nil, err
	}
	keys := []uint64{}
	err = read(bytes.NewReader(body), prefix, 0, func(h Hash) error {
		keys = append(keys, h.key())
		return nil
	})
	if err != nil {
		return nil, errors.Join(errors.New("the answer is not in the form of the range protocol"), err)
	}
	slices.Sort(keys)
	return keys, nil
}
