package api_test

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// Requests that fail in every way leave no goroutine and no descriptor behind.
func TestASVS_V1_4_3_FailuresLeaveNothingBehind(t *testing.T) {
	var alone sync.Mutex // it counts what the whole process has open
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		alone.Lock()
		defer alone.Unlock()
		h := harness.Open(t, dbURL)
		h.Register("ada@example.org")
		fail := func(rounds int) {
			for range rounds {
				h.Do(harness.Request{Method: "GET", Path: "/v1/me", Bearer: "not.a.token"})
				h.Do(harness.Refreshing("gatehouse_rt_x"))
				h.Do(harness.SignInAs("nobody@example.org", harness.AnotherPassphrase))
				h.Do(harness.Request{Method: "POST", Path: "/v1/login", Body: `{"email":`})
				h.Do(harness.Request{Method: "POST", Path: "/v1/login", Body: "x", ContentType: "text/plain"})
				h.Do(harness.Request{Method: "POST", Path: "/v1/password/reset", Body: harness.Body{"token": "gatehouse_mt_x", "new_password": harness.AnotherPassphrase}})
				h.Do(harness.Request{Method: "GET", Path: "/nothing"})
				h.Do(harness.Request{Method: "DELETE", Path: "/v1/login"})
				harness.SendRaw(t, h.App.URL(), "POST", "/v1/login", "Transfer-Encoding: x\r\n")
			}
			harness.HTTPClient.CloseIdleConnections()
		}
		fail(20) // pools and caches are as full as they get
		goroutines, files := runtime.NumGoroutine(), descriptors(t)
		fail(100)
		h.Eventually("what is open", func() (string, bool) {
			harness.HTTPClient.CloseIdleConnections()
			g, f := runtime.NumGoroutine(), descriptors(t)
			return fmt.Sprintf("%d goroutines, were %d; %d descriptors, were %d", g, goroutines, f, files), g <= goroutines+5 && f <= files+5
		})
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
