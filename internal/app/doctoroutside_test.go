package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// NET-1: what answers at port 80 leads to the same name by HTTPS, or there is nothing.
func TestNET1_PlainHTTPIsFound(t *testing.T) {
	answer := func(status int, to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if to != "" {
				w.Header().Set("Location", to)
			}
			w.WriteHeader(status)
		}
	}
	for what, c := range map[string]struct {
		port80 http.Handler
		want   doctor.State
	}{
		"leads to HTTPS":   {answer(308, "https://auth.example.org/login"), doctor.Passed},
		"leads elsewhere":  {answer(301, "https://www.example.org/"), doctor.Failed},
		"leads to itself":  {answer(301, "http://auth.example.org/login/"), doctor.Failed},
		"serves the pages": {answer(200, ""), doctor.Failed},
		"refuses":          {answer(403, ""), doctor.Failed},
		"is closed":        {nil, doctor.Passed},
	} {
		o, err := NewOutside("https://auth.example.org", nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		dial := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		if c.port80 != nil {
			s := httptest.NewServer(c.port80)
			defer s.Close()
			dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address != "auth.example.org:80" {
					t.Errorf("%s: %s was dialled", what, address)
				}
				return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
			}
		}
		o.client.Transport.(*http.Transport).DialContext = dial
		if got := o.redirect(t.Context()); got.State != c.want || c.want == doctor.Failed && got.Mend == "" {
			t.Errorf("what answers in the clear %s: %+v, want %s", what, got, c.want)
		}
	}
}
