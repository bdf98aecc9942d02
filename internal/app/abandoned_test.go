package app_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// abandon sends a call and closes the connection after a while, whatever has come of
// it by then.
func (h *house) abandon(r request, after time.Duration) error {
	b, err := json.Marshal(r.body)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.server.URL(), "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if after%2 == 0 {
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // as a program does that is killed
			return err
		}
	}
	var more strings.Builder
	for name, values := range r.header {
		fmt.Fprintf(&more, "%s: %s\r\n", name, values[0])
	}
	if r.bearer != "" {
		fmt.Fprintf(&more, "Authorization: Bearer %s\r\n", r.bearer)
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		r.method, r.path, strings.TrimPrefix(h.server.URL(), "http://"), len(b), more.String(), b); err != nil {
		return err
	}
	time.Sleep(after)
	return nil
}

// quiet waits until no request is under way.
func (h *house) quiet() {
	h.Helper()
	h.eventually("requests under way", func() (string, bool) {
		for line := range strings.Lines(h.metrics()) {
			if strings.HasPrefix(line, "gatehouse_http_requests_in_flight") && !strings.Contains(line, "admin") {
				return line, strings.HasSuffix(line, " 0\n")
			}
		}
		return "there is no such metric", false
	})
}

// abandonAll makes each of n calls and leaves it at a moment of chance, a few at once.
func (h *house) abandonAll(random *rand.Rand, n int, longest time.Duration, call func(i int) request) {
	h.Helper()
	var all sync.WaitGroup
	turns := make(chan struct{}, 4)
	for i := range n {
		r, after := call(i), time.Duration(random.Int64N(int64(longest)))
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if err := h.abandon(r, after); err != nil {
				h.Error(err)
			}
		})
	}
	all.Wait()
	h.quiet()
}

// Attack 2: whoever closes the connection, at whatever moment of whatever flow, changes
// nothing: what was counted has its event and its mail.
func TestAttack2_WhoLeavesIsCountedAndRecorded(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		h := open(t, dbURL, trusted, "BCRYPT_COST=8", "LOCKOUT_AFTER=10", "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=1000", "PASSWORD_RESET_RATE_LIMIT_WINDOW_MINUTES=1440")
		box := h.mailbox()
		const victim, known, ada = "victim@example.org", "known@example.org", "ada@example.org"
		for _, email := range []string{victim, known, ada} {
			h.register(email)
		}
		token := h.login(ada).str("access_token")
		wrongNow := func() request {
			return post("/v1/password/change", body{"current_password": another, "new_password": "a new passphrase of mine"})
		}

		const n = 24
		slow := 60 * time.Millisecond
		h.abandonAll(random, n, slow, func(i int) request {
			return strangersNetwork(i, guessing(known, "wrong horse battery staple"))
		})
		h.abandonAll(random, 8, slow, func(i int) request {
			r := strangersNetwork(i, wrongNow())
			r.bearer = token
			return r
		})
		if tries, failed := h.count(`SELECT COALESCE(SUM(n), 0) FROM guess WHERE k LIKE 'unknown %'`), h.count(`SELECT COUNT(*) FROM event WHERE kind = 'failed_login_attempt'`); tries != failed || tries == 0 {
			h.Errorf("%d tries are counted, and %d recorded", tries, failed)
		}
		for i, path := range []string{"/v1/email/verify", "/v1/password/reset"} {
			h.abandonAll(random, 9, slow/6, func(int) request {
				b := body{"email": victim, "code": "ABCDEFGH"}
				if i == 1 {
					b["new_password"] = "another passphrase of mine"
				}
				return post(path, b)
			})
		}
		if tries, failed := h.count(`SELECT COALESCE(SUM(n), 0) FROM code_try`),
			h.count(`SELECT COUNT(*) FROM event WHERE outcome = 'failure' AND (kind = 'email_verification' OR kind = 'password_reset_request')`); tries != failed || tries == 0 {
			h.Errorf("%d codes are counted, and %d recorded", tries, failed)
		}
		begun := h.count(`SELECT COUNT(*) FROM mail_share`)
		for kind, c := range mailCalls() {
			h.abandonAll(random, n, slow, func(i int) request { return c.make([]string{token}, victim, i) })
			_ = kind
		}
		if begun == 0 {
			h.Error("no mail is counted")
		}
		cost := (24 * time.Hour / 1000).Microseconds()
		var mails int
		for _, kind := range []notice.Kind{notice.AddressRegistered, notice.ResetPassword, notice.VerifyAddress, notice.ConfirmAddress} {
			mails += h.mailsOf(box, victim, kind)
		}
		counted := h.count(fmt.Sprintf(`SELECT COALESCE(SUM((due + %d) / %d), 0) FROM mail_share WHERE due > 0`, cost-1, cost))
		if others := 2; counted != mails+others { // the mails to known and ada
			h.Errorf("%d mails are counted, and %d were sent", counted-others, mails)
		}
		if sent, recorded := h.mailsOf(box, victim, notice.ResetPassword), h.count(`SELECT COUNT(*) FROM event WHERE kind = 'password_reset_request' AND outcome = 'success'`); sent != recorded || sent == 0 {
			h.Errorf("%d ways to a new password, and %d events of %d that were asked for", sent, recorded, n)
		}
		h.abandonAll(random, n, slow, func(i int) request {
			return post("/v1/register", body{"email": fmt.Sprintf("new%d@example.org", i), "password": passphrase})
		})
		if accounts, recorded := h.count(`SELECT COUNT(*) FROM account`), h.count(`SELECT COUNT(*) FROM event WHERE kind = 'account_registered' AND outcome = 'success'`); accounts != recorded || accounts < 4 {
			h.Errorf("%d accounts, and %d events", accounts, recorded)
		}
	})
}

// Attack 2, the try that locks an address: abandoned by strangers while the password is
// hashed, it is recorded, and its owner gets the mail.
func TestAttack2_TheOwnerOfALockedAddressIsToldAlthoughNobodyWaits(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := open(t, dbURL, trusted, "BCRYPT_COST=8")
		const victim = "victim@example.org"
		h.register(victim)
		random := rand.New(rand.NewPCG(1, 2))
		h.abandonAll(random, 84, 15*time.Millisecond, func(i int) request {
			return strangersNetwork(i/4, guessing(victim, "wrong horse battery staple"))
		})
		for i := 0; i < 20 && h.count(`SELECT COALESCE(MAX(n), 0) FROM guess`) < 80; i++ { // some left before the server had read them
			h.abandonAll(random, 8, 15*time.Millisecond, func(j int) request {
				return strangersNetwork(100+8*i+j, guessing(victim, "wrong horse battery staple"))
			})
		}
		h.expect(429, "account_locked", through("192.0.2.9", guessing(victim, passphrase)))
		failed := h.logged("failed_login_attempt", "wrong_password")
		locked := h.count(`SELECT COUNT(*) FROM event WHERE kind = 'account_lockout'`)
		if tries := h.count(`SELECT MAX(n) FROM guess`); tries != 80 || failed != 80 || locked == 0 || h.lockedMails() != locked {
			// A try that was given back (the pool was busy) lets the last one come twice.
			h.Errorf("%d tries, %d events of them, %d of the lockout, %d mails", tries, failed, locked, h.lockedMails())
		}
	})
}

// Attack 2, the limit of a network: who leaves has used up a try, if the password was
// looked at, and has it back if not.
func TestAttack2_ANetworksTriesAreCountedAlthoughNobodyWaits(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		const most = 30
		h := open(t, dbURL, trusted, "BCRYPT_COST=8", "LOGIN_RATE_LIMIT_ATTEMPTS=30", "LOGIN_RATE_LIMIT_WINDOW_MINUTES=1440")
		random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
		try := func(i int) request {
			return through("192.0.2.1", guessing(fmt.Sprintf("nobody%d@example.org", i), "wrong horse battery staple"))
		}
		h.abandonAll(random, 20, 40*time.Millisecond, try)
		for i := 0; ; i++ {
			if a := h.do(try(20 + i)); a.status == 429 {
				break
			}
		}
		if failed := h.count(`SELECT COUNT(*) FROM event WHERE kind = 'failed_login_attempt'`); failed != most {
			h.Errorf("%d passwords were looked at, where %d may be", failed, most)
		}
	})
}
