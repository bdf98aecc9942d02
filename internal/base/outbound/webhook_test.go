package outbound

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The example of the Standard Webhooks' own libraries.
func TestLOG4_WebhooksAreSignedByTheStandard(t *testing.T) {
	w, err := OpenWebhook("https://hooks.acme.org/x", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	w.sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got := h.Get("Webhook-Signature"); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || h.Get("Webhook-Timestamp") != "1614265330" {
		t.Errorf("%v", h)
	}
}

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestLOG4_WebhooksGoNowhereElse(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": false, "[::1]:80": false, "169.254.169.254:80": false, "[fe80::1]:80": false, "0.0.0.0:80": false, "[::]:80": false,
		"224.0.0.1:80": false, "[::ffff:169.254.169.254]:80": false, "[::ffff:127.0.0.1]:80": false, "[fd00:ec2::254]:80": false, "100.100.100.200:80": false,
		"255.255.255.255:80": false, "10.0.0.7:443": true, "203.0.113.7:443": true, "[2001:db8::1]:443": true,
	} {
		if err := mayDial(address, false); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, raw := range []string{"http://hooks.acme.org/x", "ftp://hooks.acme.org", "https://", "file:x", "https://me:pass@hooks.acme.org/",
		"https://hooks.acme.org/#x", "syslog+tls://a:1"} {
		if _, err := OpenWebhook(raw, testSecret); err == nil {
			t.Errorf("%s is taken", raw)
		}
	}
	for _, s := range []string{"", "whsec_", "whsec_AAAA", strings.TrimPrefix(testSecret, "whsec_"), testSecret + "!"} {
		if _, err := OpenWebhook("https://hooks.acme.org/", s); err == nil {
			t.Errorf("the secret %q is taken", s)
		}
	}
}

func TestLOG4_WebhooksFollowNothingAndTellNoURL(t *testing.T) {
	hits := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	w, err := OpenWebhook(s.URL+"/a?key=hidden", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Post(context.Background(), "id", []byte("{}")); err == nil || !strings.Contains(err.Error(), "307") || hits != 1 {
		t.Errorf("%v, %d requests", err, hits)
	}
	s.Close()
	if err := w.Post(context.Background(), "id", []byte("{}")); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
}
