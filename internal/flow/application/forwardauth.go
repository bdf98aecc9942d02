package application

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// ForwardAuth tells a proxy who makes a request, with the address of their
// account, which no token holds.
type ForwardAuth struct {
	flow.Core
	Authenticate *Authenticate

	addresses addresses
}

// Do returns the identity and the account's address, or what [Authenticate.Browser]
// returns: for cookies, or for a bearer's access token alone. The address costs a look at the
// database once a minute.
func (f *ForwardAuth) Do(ctx context.Context, with flow.Tokens, from event.Origin) (flow.Identity, string, error) {
	ctx, run := f.Count.Begin(ctx, "forward_auth")
	who, err := f.Authenticate.Browser(ctx, with, from)
	if err != nil {
		return flow.Identity{}, "", run.End(err)
	}
	address, err := f.address(ctx, who.Account)
	return who, address, run.End(err)
}

func (f *ForwardAuth) address(ctx context.Context, id string) (string, error) {
	now := f.Now()
	if a, ok := f.addresses.get(id, now); ok {
		return a, nil
	}
	var a account.Account
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = account.ByID(tx, id)
		return err
	})
	if fault.KindOf(err) == fault.NotFound {
		return "", token.ErrInvalid.Because(err)
	}
	if err != nil {
		return "", err
	}
	f.addresses.put(id, a.Email, now)
	return a.Email, nil
}

// addresses remembers the addresses of accounts. It keeps two generations, as
// the memory of checked tokens does.
type addresses struct {
	mu         sync.RWMutex
	young, old map[string]addressAt
}

type addressAt struct {
	address string
	at      time.Time
}

const (
	// addressLife is for how long an address may be the one from before a change.
	addressLife = time.Minute
	// addressesMost is how many a generation holds: both are under 20 MiB.
	addressesMost = 32 << 10
)

func (m *addresses) get(id string, now time.Time) (string, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	a, ok := m.young[id]
	if !ok {
		a, ok = m.old[id]
	}
	age := now.Sub(a.at)
	return a.address, ok && age >= 0 && age < addressLife
}

func (m *addresses) put(id, address string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil || len(m.young) >= addressesMost {
		m.young, m.old = map[string]addressAt{}, m.young
	}
	m.young[id] = addressAt{address, now}
}
