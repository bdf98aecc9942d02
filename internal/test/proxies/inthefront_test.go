package proxies_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// NET-5, HDR-2: the whole API answers as described through nginx.
func TestNET5_Nginx(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"guide", "ours"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			h := harness.InFront(t, which)
			h.DriveEverybody()
			h.Front.Elsewhere()
			h.DriveAudit(h.Administrator("root@example.org"))
			whoCalled(h)
			if which == "ours" {
				inTheClear(h)
			}
		})
	}
}

// whoCalled looks that nginx says who is calling, whatever the client claims, and
// passes on which name was called.
func whoCalled(h *harness.Server) {
	h.Helper()
	h.Front.Elsewhere()
	h.Register("eve@example.org")
	header := http.Header{"X-Forwarded-For": {"192.0.2.66"}, "X-Forwarded-Proto": {"http"}, "X-Real-Ip": {"192.0.2.66"}}
	h.Expect(200, "", harness.Request{Method: "POST", Path: "/v1/login", Header: header,
		Body: harness.Credentials{Email: "eve@example.org", Password: harness.Passphrase}})
	if log := h.Logs.String(); strings.Contains(log, "192.0.2.66") || !strings.Contains(log, fmt.Sprintf(`"client":"127.0.0.%d"`, h.Front.From.Load())) {
		h.Error("the client's own X-Forwarded-For is believed")
	}
	for url, want := range map[string]int{h.URL() + "/login": 200, "https://other.example/login": 421} {
		r, err := http.NewRequest("GET", url, http.NoBody)
		if err != nil {
			h.Fatal(err)
		}
		res, err := h.Front.Send(r)
		if err != nil {
			h.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if _ = res.Body.Close(); res.StatusCode != want || res.ProtoMajor != 2 {
			h.Errorf("%s: %s %d, want %d", url, res.Proto, res.StatusCode, want)
		}
	}
}

// inTheClear looks at what answers without TLS.
func inTheClear(h *harness.Server) {
	h.Helper()
	for path, want := range map[string]int{"/login?x=1": 308, "/v1/login": 403} {
		r, err := http.NewRequest("GET", "http://"+h.Front.Plain+path, http.NoBody)
		if err != nil {
			h.Fatal(err)
		}
		r.Host = harness.GuideHost
		res, err := harness.HTTPClient.Do(r)
		if err != nil {
			h.Fatal(err)
		}
		_ = res.Body.Close()
		if to := res.Header.Get("Location"); res.StatusCode != want || want == 308 && to != h.URL()+path {
			h.Errorf("%s in the clear: %d, to %q", path, res.StatusCode, to)
		}
	}
}
