package client

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// FreshFor is how long what was read can be used when it can't be determined
// whether it has changed since.
const FreshFor = 900 * time.Millisecond

// Registry is all applications in memory. The caller says how many
// changes of applications this replica has heard of: as long as that number
// stays the same, authenticating makes no query, whether the id is known or not,
// and takes the same work. There are few applications, and each takes a few
// hundred bytes.
type Registry struct {
	// Remote are keys that applications publish.
	Remote *RemoteKeys
	// Reserved are the audiences of other tokens: what is registered as a resource under one of these URIs, by a server with other
	// settings, is none here.
	Reserved []string
	// Console is the origin that the console has to itself (ADMIN_URL), which makes it an application too; empty for none.
	Console string

	db    *db.DB
	stale time.Duration // how long to go on when the database can't be asked
	now   func() time.Time

	loading sync.Mutex // held to read everything again
	have    atomic.Pointer[snapshot]
}

type snapshot struct {
	changes uint64 // those known before it was read
	at      time.Time
	byID    map[string]known
	origins map[string]bool
	guarded map[string]string // ids by origin
	// resources are all but those that may be none.
	resources Resources
}

// NewRegistry returns a registry that has read nothing yet. stale is for how
// long what it has read is good when the database can't be asked.
func NewRegistry(d *db.DB, stale time.Duration, now func() time.Time) *Registry {
	return &Registry{db: d, stale: stale, now: now}
}

// Verdict is what Authenticate found.
type Verdict string

// The verdicts.
const (
	Good        Verdict = "success"
	Old         Verdict = "old_secret" // good too: the one from before the rotation
	WrongSecret Verdict = "wrong_secret"
	// WrongAssertion is for what no key of the application has signed, or not for us and now; SpentAssertion for one that was shown before.
	WrongAssertion Verdict = "wrong_assertion"
	SpentAssertion Verdict = "spent_assertion"
	Unknown        Verdict = "unknown_client"
	Disabled       Verdict = "client_disabled"
	// Named is for a public application, which has no secret to show: anybody can name it.
	Named Verdict = "named"
)

// none is what a secret is compared with if the id is unknown.
var none = make([]byte, sha256.Size)

// Authenticate returns the application if the secret is its. changes is how many
// changes of applications are known here, and fresh whether those are all there
// were up to a moment ago. The error is the database's.
func (r *Registry) Authenticate(ctx context.Context, id, shown string, changes uint64, fresh bool) (Client, Verdict, error) {
	s, err := r.current(ctx, changes, fresh)
	if err != nil {
		return Client{}, "", err
	}
	c, verdict := s.judge(id, shown, r.now())
	return c, verdict, nil
}

// Name returns the application of that id as it is now; ok is false if there is none. changes and fresh are as for
// Authenticate.
func (r *Registry) Name(ctx context.Context, id string, changes uint64, fresh bool) (c Client, ok bool, err error) {
	s, err := r.current(ctx, changes, fresh)
	if err != nil {
		return Client{}, false, err
	}
	k, ok := s.byID[id]
	if !ok {
		return Client{}, false, nil
	}
	return k.client(r.now()), true, nil
}

// Resources returns all resources as they are now. changes and fresh are as for Authenticate.
func (r *Registry) Resources(ctx context.Context, changes uint64, fresh bool) (Resources, error) {
	s, err := r.current(ctx, changes, fresh)
	if err != nil {
		return nil, err
	}
	return s.resources, nil
}

// HasOrigin reports whether an origin is that of an application whose scripts may ask for its own tokens: where one that runs in a
// browser, or on a person's computer, takes its answers.
func (r *Registry) HasOrigin(ctx context.Context, origin string, changes uint64, fresh bool) bool {
	s, err := r.current(ctx, changes, fresh)
	return err == nil && s.origins[origin]
}

// Known reports whether what was read last has an application with this secret,
// however long ago that was. It makes no query.
func (r *Registry) Known(id, shown string) bool {
	s := r.have.Load()
	if s == nil {
		return false
	}
	_, verdict := s.judge(id, shown, r.now())
	return verdict == Good || verdict == Old
}

func (s *snapshot) judge(id, shown string, now time.Time) (Client, Verdict) {
	k, ok := s.byID[id]
	current, old := none, none
	if ok && !k.settings.Keyed() {
		current = k.hash
		if k.oldGood(now) {
			old = k.oldHash
		}
	}
	sum := sha256.Sum256([]byte(shown))
	isCurrent, isOld := subtle.ConstantTimeCompare(sum[:], current), subtle.ConstantTimeCompare(sum[:], old)
	switch {
	case !ok:
		return Client{}, Unknown
	case isCurrent == 0 && isOld == 0:
		return Client{}, WrongSecret
	case k.disabledAt != nil:
		return Client{}, Disabled
	case isCurrent == 1:
		return k.client(now), Good
	}
	return k.client(now), Old
}

// current returns what is in memory, or reads it again if that may have changed.
func (r *Registry) current(ctx context.Context, changes uint64, fresh bool) (*snapshot, error) {
	if s := r.have.Load(); r.good(s, changes, fresh) {
		return s, nil
	}
	r.loading.Lock()
	defer r.loading.Unlock()
	s := r.have.Load()
	if r.good(s, changes, fresh) { // another has read it meanwhile
		return s, nil
	}
	next := &snapshot{changes: changes, at: r.now()}
	err := r.db.Read(ctx, func(tx *db.Tx) error {
		next.byID, next.origins, next.guarded, next.resources = map[string]known{}, map[string]bool{}, map[string]string{}, Resources{}
		list, err := ListResources(tx)
		if err != nil {
			return err
		}
		for _, one := range list {
			if !slices.Contains(r.Reserved, one.URI) && !one.Disabled {
				next.resources[one.URI] = one
			}
		}
		if r.Console != "" {
			next.byID[ConsoleID] = console(r.Console)
		}
		return each(tx, func(k known) {
			if k.newer {
				return // it alone is refused, until this replica is as new as the one that wrote it
			}
			next.byID[k.id] = k
			next.guards(k)
			if k.kind.Public() && k.disabledAt == nil {
				for _, uri := range k.settings.RedirectURIs {
					next.origins[Origin(uri)] = true
				}
			}
		})
	})
	if err != nil {
		if s != nil && r.age(s) <= r.stale {
			return s, nil
		}
		return nil, err
	}
	r.have.Store(next)
	return next, nil
}

func (r *Registry) good(s *snapshot, changes uint64, fresh bool) bool {
	return s != nil && s.changes >= changes && (fresh || r.age(s) <= FreshFor)
}

// age is how old a snapshot is, by the monotonic clock or the wall clock,
// whichever says more: a machine that was suspended has only one of them right.
func (r *Registry) age(s *snapshot) time.Duration {
	now := r.now()
	wall := now.Round(0).Sub(s.at.Round(0))
	if wall < 0 {
		return math.MaxInt64
	}
	return max(now.Sub(s.at), wall)
}
