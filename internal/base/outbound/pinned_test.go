package outbound

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Every client that this package makes speaks with the one server that was set, whatever
// address it is given: another host, port, scheme, or one that a redirect or a library made.
func TestASVS_V13_2_4_AClientSpeaksWithOneServer(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	site, err := NewSite(Config{URL: "http://127.0.0.1:9/x", Timeout: time.Second, MostBytes: 10})
	if err != nil {
		t.Fatal(err)
	}
	collector, err := OpenCollector("http://127.0.0.1:9/v1/traces", nil, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	webhook, err := OpenWebhook("http://127.0.0.1:9/hook", "whsec_"+strings.Repeat("QUJD", 11))
	if err != nil {
		t.Fatal(err)
	}
	_, authority, err := HTTPS("https://acme.example.org/directory")
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]*http.Client{"site": site.client, "collector": collector.client, "webhook": webhook.client, "authority": authority} {
		for _, to := range []string{
			other.URL, "http://127.0.0.1:10/", "https://127.0.0.1:9/", "http://127.0.0.1:9@" + strings.TrimPrefix(other.URL, "http://"), "http://localhost:9/",
			"http://acme.example.org/", "https://example.net/", "https://evilexample.org/",
		} {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, to, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(r)
			if err == nil {
				_ = res.Body.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "refused to go to") {
				t.Errorf("%s to %s: %v", name, to, err)
			}
		}
	}
	if asked.Load() > 0 {
		t.Errorf("another server was asked %d times", asked.Load())
	}
	near := pinned{scheme: "https", host: "acme-v02.api.example.org", domain: true}
	for host, want := range map[string]bool{
		"acme-v02.api.example.org": true, "ACME-V02.api.example.org": true, "orders.api.example.org": true, "example.org": false, "evil-api.example.org": false,
		"api.example.org.evil.net": false, "": false,
	} {
		if near.takes(host) != want {
			t.Errorf("%q is taken: %v", host, !want)
		}
	}
	if (pinned{host: "example.org", domain: true}).takes("evil.org") {
		t.Error("a whole top-level domain is taken")
	}
	u, _ := url.Parse("https://one.example.org")
	if pin(nil, u).takes("two.example.org") {
		t.Error("without an authority's leave a neighbour is taken")
	}
}
