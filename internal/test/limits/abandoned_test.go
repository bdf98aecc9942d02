package limits_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// abandon sends a call and closes the connection after a while, whatever has come of
// it by then.
func abandon(h *harness.Server, r harness.Request, after time.Duration) error {
	b, err := json.Marshal(r.Body)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.App.URL(), "http://"))
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
	for name, values := range r.Header {
		fmt.Fprintf(&more, "%s: %s\r\n", name, values[0])
	}
	if r.Bearer != "" {
		fmt.Fprintf(&more, "Authorization: Bearer %s\r\n", r.Bearer)
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		r.Method, r.Path, strings.TrimPrefix(h.App.URL(), "http://"), len(b), more.String(), b); err != nil {
		return err
	}
	time.Sleep(after)
	return nil
}

// quiet waits until no request is under way.
func quiet(h *harness.Server) {
	h.Helper()
	h.Eventually("requests under way", func() (string, bool) {
		for line := range strings.Lines(h.Metrics()) {
			if strings.HasPrefix(line, "gatehouse_http_requests_in_flight") && !strings.Contains(line, "admin") {
				return line, strings.HasSuffix(line, " 0\n")
			}
		}
		return "there is no such metric", false
	})
}

// abandonAll makes each of n calls and leaves it at a moment of chance, a few at once.
func abandonAll(h *harness.Server, random *rand.Rand, n int, longest time.Duration, call func(i int) harness.Request) {
	h.Helper()
	var all sync.WaitGroup
	turns := make(chan struct{}, 4)
	for i := range n {
		r, after := call(i), time.Duration(random.Int64N(int64(longest)))
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if err := abandon(h, r, after); err != nil {
				h.Error(err)
			}
		})
	}
	all.Wait()
	quiet(h)
}

// Attack 2: whoever closes the connection, at whatever moment of whatever flow, changes
// nothing: what was counted has its event and its mail.
func TestAttack2_WhoLeavesIsCountedAndRecorded(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		h := harness.Open(t, dbURL, harness.BehindProxy, "BCRYPT_COST=8", "LOCKOUT_AFTER=10", "PASSWORD_RESET_RATE_LIMIT_ATTEMPTS=1000",
			"PASSWORD_RESET_RATE_LIMIT_WINDOW_MINUTES=1440")
		box := h.Mailbox()
		const victim, known, ada = "victim@example.org", "known@example.org", "ada@example.org"
		for _, email := range []string{victim, known, ada} {
			h.Register(email)
		}
		token := h.Login(ada).Str("access_token")
		wrongNow := func() harness.Request {
			return harness.Post("/v1/password/change", harness.Body{"current_password": harness.AnotherPassphrase, "new_password": "a new passphrase of mine"})
		}

		const n = 24
		slow := 60 * time.Millisecond
		abandonAll(h, random, n, slow, func(i int) harness.Request {
			return harness.StrangersNetwork(i, harness.SignInAs(known, "wrong horse battery staple"))
		})
		abandonAll(h, random, 8, slow, func(i int) harness.Request {
			r := harness.StrangersNetwork(i, wrongNow())
			r.Bearer = token
			return r
		})
		if tries, failed := h.Count(`SELECT COALESCE(SUM(n), 0) FROM guess WHERE k LIKE 'unknown %'`),
			h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'failed_login_attempt'`); tries != failed || tries == 0 {
			h.Errorf("%d tries are counted, and %d recorded", tries, failed)
		}
		for i, path := range []string{"/v1/email/verify", "/v1/password/reset"} {
			abandonAll(h, random, 9, slow/6, func(int) harness.Request {
				b := harness.Body{"email": victim, "code": "ABCDEFGH", "request": "gueBl5bYQ3u0fKcUNbd2ug"}
				if i == 1 {
					b["new_password"] = "another passphrase of mine"
				}
				return harness.Post(path, b)
			})
		}
		if tries, failed := h.Count(`SELECT COALESCE(SUM(n), 0) FROM code_try`),
			h.Count(`SELECT COUNT(*) FROM event WHERE outcome = 'failure' AND (kind = 'email_verification' OR kind = 'password_reset_request')`); tries != failed ||
			tries == 0 {
			h.Errorf("%d codes are counted, and %d recorded", tries, failed)
		}
		begun := h.Count(`SELECT COUNT(*) FROM mail_share`)
		for kind, c := range mailCalls() {
			abandonAll(h, random, n, slow, func(i int) harness.Request { return c.make([]string{token}, victim, i) })
			_ = kind
		}
		if begun == 0 {
			h.Error("no mail is counted")
		}
		cost := (24 * time.Hour / 1000).Microseconds()
		var mails int
		for _, kind := range []notice.Kind{notice.AddressRegistered, notice.ResetPassword, notice.VerifyAddress, notice.ConfirmAddress} {
			mails += mailsOf(h, box, victim, kind)
		}
		counted := h.Count(fmt.Sprintf(`SELECT COALESCE(SUM((due + %d) / %d), 0) FROM mail_share WHERE due > 0`, cost-1, cost))
		if others := 2; counted != mails+others { // the mails to known and ada
			h.Errorf("%d mails are counted, and %d were sent", counted-others, mails)
		}
		if sent, recorded := mailsOf(h, box, victim, notice.ResetPassword),
			h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'password_reset_request' AND outcome = 'success'`); sent != recorded || sent == 0 {
			h.Errorf("%d ways to a new password, and %d events of %d that were asked for", sent, recorded, n)
		}
		abandonAll(h, random, n, slow, func(i int) harness.Request {
			return harness.Post("/v1/register", harness.Body{"email": fmt.Sprintf("new%d@example.org", i), "password": harness.Passphrase})
		})
		if accounts, recorded := h.Count(`SELECT COUNT(*) FROM account`),
			h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'account_registered' AND outcome = 'success'`); accounts != recorded || accounts < 4 {
			h.Errorf("%d accounts, and %d events", accounts, recorded)
		}
	})
}

// Attack 2, the try that locks an address: abandoned by strangers while the password is
// hashed, it is recorded, and its owner gets the mail.
func TestAttack2_TheOwnerOfALockedAddressIsToldAlthoughNobodyWaits(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := harness.Open(t, dbURL, harness.BehindProxy, "BCRYPT_COST=8")
		const victim = "victim@example.org"
		h.Register(victim)
		random := rand.New(rand.NewPCG(1, 2))
		abandonAll(h, random, 84, 15*time.Millisecond, func(i int) harness.Request {
			return harness.StrangersNetwork(i/4, harness.SignInAs(victim, "wrong horse battery staple"))
		})
		for i := 0; i < 20 && h.Count(`SELECT COALESCE(MAX(n), 0) FROM guess`) < 80; i++ { // some left before the server had read them
			abandonAll(h, random, 8, 15*time.Millisecond, func(j int) harness.Request {
				return harness.StrangersNetwork(100+8*i+j, harness.SignInAs(victim, "wrong horse battery staple"))
			})
		}
		h.Expect(429, "account_locked", harness.Through("192.0.2.9", harness.SignInAs(victim, harness.Passphrase)))
		failed := 0
		h.Eventually("an event of each try: those that nobody waits for may be under way", func() (string, bool) {
			failed = h.Logged("failed_login_attempt", "wrong_password")
			return strconv.Itoa(failed), failed >= 80
		})
		locked := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'account_lockout'`)
		if tries := h.Count(`SELECT MAX(n) FROM guess`); tries != 80 || failed != 80 || locked != 1 || harness.LockedMails(h) != 1 {
			h.Errorf("%d tries, %d events of them, %d of the lockout, %d mails", tries, failed, locked, harness.LockedMails(h))
		}
	})
}

// Attack 2, the limit of a network: who leaves has used up a try, if the password was
// looked at, and has it back if not.
func TestAttack2_ANetworksTriesAreCountedAlthoughNobodyWaits(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		const most = 30
		h := harness.Open(t, dbURL, harness.BehindProxy, "BCRYPT_COST=8", "LOGIN_RATE_LIMIT_ATTEMPTS=30", "LOGIN_RATE_LIMIT_WINDOW_MINUTES=1440")
		random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
		try := func(i int) harness.Request {
			return harness.Through("192.0.2.1", harness.SignInAs(fmt.Sprintf("nobody%d@example.org", i), "wrong horse battery staple"))
		}
		abandonAll(h, random, 20, 40*time.Millisecond, try)
		for i := 0; ; i++ {
			if a := h.Do(try(20 + i)); a.Status == 429 {
				break
			}
		}
		failed := 0
		h.Eventually("an event of each password that was looked at", func() (string, bool) {
			failed = h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'failed_login_attempt'`)
			return strconv.Itoa(failed), failed >= most
		})
		if failed != most {
			h.Errorf("%d passwords were looked at, where %d may be", failed, most)
		}
	})
}
