package event

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Tally counts what anyone can cause without credentials, such as tokens with
// a wrong signature, and writes it as one event a network (with IPv6 a site, see [Site]) and minute with the
// count, so that nobody can fill the disk or slow the database with it.
type Tally struct {
	log *Log
	db  *db.DB

	mu     sync.Mutex
	counts map[tallyKey]*tallied
}

// tallyMax bounds the networks that are counted apart until they are written;
// those beyond it are counted together, under no address.
const tallyMax = 10_000

// flushMax bounds the events of one transaction: SQLite has one writer, and
// no sign-in should wait long for it.
const flushMax = 250

type tallyKey struct {
	kind    Kind
	reason  string
	network netip.Prefix
}

type tallied struct {
	first Origin
	count int64
}

// NewTally returns an empty tally; see [Tally.Run].
func NewTally(d *db.DB, l *Log) *Tally {
	return &Tally{log: l, db: d, counts: map[tallyKey]*tallied{}}
}

// Add counts one happening. It costs a map lookup.
func (t *Tally) Add(kind Kind, reason string, from Origin) { t.AddCount(kind, reason, from, 1) }

// AddCount counts several at once.
func (t *Tally) AddCount(kind Kind, reason string, from Origin, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entry(tallyKey{kind, reason, Site(from.Address)}, from).count += n
}

// entry returns what is counted under a key, or under its kind and reason alone
// once there are too many networks.
func (t *Tally) entry(k tallyKey, from Origin) *tallied {
	c := t.counts[k]
	if c == nil && len(t.counts) >= tallyMax {
		k.network, from = netip.Prefix{}, Origin{}
		c = t.counts[k]
	}
	if c == nil {
		c = &tallied{first: from}
		t.counts[k] = c
	}
	return c
}

// Run flushes each minute until the context ends, and once more then.
func (t *Tally) Run(ctx context.Context, complain func(error)) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := t.Flush(last); err != nil {
				complain(err)
			}
			return
		}
		if err := t.Flush(ctx); err != nil {
			complain(err)
		}
	}
}

// Flush writes what was counted. What can't be written stays for the next time.
func (t *Tally) Flush(ctx context.Context) error {
	t.mu.Lock()
	counts := t.counts
	t.counts = map[tallyKey]*tallied{}
	t.mu.Unlock()
	for len(counts) > 0 {
		batch := make([]tallyKey, 0, min(len(counts), flushMax))
		for k := range counts {
			if batch = append(batch, k); len(batch) == flushMax {
				break
			}
		}
		err := t.db.Write(ctx, func(tx *db.Tx) error {
			for _, k := range batch {
				t.log.Append(tx, Event{
					Kind: k.kind, Outcome: Failure, Origin: counts[k].first,
					Detail: Detail{Reason: k.reason, Count: counts[k].count},
				})
			}
			return nil
		})
		if err != nil {
			t.giveBack(counts)
			return err
		}
		for _, k := range batch {
			delete(counts, k)
		}
	}
	return nil
}

func (t *Tally) giveBack(counts map[tallyKey]*tallied) {
	t.mu.Lock()
	defer t.mu.Unlock()
	later := t.counts
	t.counts = counts
	for k, c := range later {
		t.entry(k, c.first).count += c.count
	}
}

// Network returns what an address is counted under: an IPv4 address by itself,
// an IPv6 address by its /64, which is what one subscriber has (RATE-3).
func Network(a netip.Addr) netip.Prefix { return prefixOf(a, 64) }

// Site returns what all of one IPv6 customer's networks have in common, at the widest that is
// given to one: the address's /48. An IPv4 address has no other site than itself.
func Site(a netip.Addr) netip.Prefix { return prefixOf(a, 48) }

func prefixOf(a netip.Addr, bits6 int) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = bits6
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address
	}
	return p
}
