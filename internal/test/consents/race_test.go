package consents

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// together makes sixteen requests at once and counts the answers by status and code.
func together(h *harness.Server, r func(i int) harness.Request) map[string]int {
	h.Helper()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[string]int{}
	)
	for i := range 16 {
		wg.Go(func() {
			a, err := h.Try(r(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				h.Error(err)
			}
			seen[fmt.Sprint(a.Status, " ", a.Str("code"))]++
		})
	}
	wg.Wait()
	return seen
}

// Of sixteen at once one makes the session, and one consent is recorded; of sixteen who agree and withdraw at once each
// leaves a history in which every consent but the last is withdrawn.
func TestGDPR2_OfManyAtOnce(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t), documents(t)...)
	h.Register(ada)
	token := waits(h, ada)
	seen := together(h, func(i int) harness.Request {
		return harness.StrangersNetwork(i, agreeing(token, map[string]int64{"terms": 1}))
	})
	if n := h.Count(`SELECT COUNT(*) FROM session`); seen["200 "] != 1 || seen["401 sign_in_over"] != 15 || n != 1 {
		t.Errorf("%v, %d sessions", seen, n)
	}
	if n := h.Count(`SELECT COUNT(*) FROM consent`); n != 1 {
		t.Errorf("%d consents", n)
	}
	access := h.Login(ada).Str("access_token")
	seen = together(h, func(int) harness.Request {
		return putting("news", map[string]any{"agreed": true, "version": 1}, access)
	})
	if n := h.Count(`SELECT COUNT(*) FROM consent WHERE document = 'news'`); seen["200 "] != 16 || n != 1 {
		t.Errorf("agreeing: %v, %d consents", seen, n)
	}
	for range 4 {
		seen = together(h, func(i int) harness.Request {
			if i%2 == 0 {
				return putting("news", map[string]any{"agreed": false}, access)
			}
			return putting("news", map[string]any{"agreed": true, "version": 1}, access)
		})
		if seen["200 "] != 16 {
			t.Errorf("agreeing and withdrawing: %v", seen)
		}
	}
	if n := h.Count(`SELECT COUNT(*) FROM consent WHERE document = 'news' AND withdrawn_at IS NULL`); n > 1 {
		t.Errorf("%d consents in force", n)
	}
	given := h.Count(`SELECT COUNT(*) FROM consent`)
	withdrawn := h.Count(`SELECT COUNT(*) FROM consent WHERE withdrawn_at IS NOT NULL`)
	if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'consent_change'`); n != given+withdrawn {
		t.Errorf("%d events of %d given and %d withdrawn", n, given, withdrawn)
	}
}

// Who signs in while they withdraw what is required has a session that ends with it, or is asked: none stays that
// nobody agreed for.
func TestGDPR2_SigningInWhileWithdrawing(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t), documents(t)...)
	h.Register(ada)
	for range 3 {
		access := h.Expect(200, "", agreeing(waits(h, ada), map[string]int64{"terms": 1})).Str("access_token")
		seen := together(h, func(i int) harness.Request {
			if i == 7 {
				return putting("terms", map[string]any{"agreed": false}, access)
			}
			return harness.RightPassword(ada, i)
		})
		if n := h.Count(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`); n != 0 {
			t.Errorf("%v: %d sessions live", seen, n)
		}
	}
}
