package session_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

func TestDeviceName(t *testing.T) {
	for _, c := range []struct{ agent, want string }{
		{"Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0",
			"Firefox on Linux"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
			"Chrome on Windows"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0",
			"Edge on Windows"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
			"Safari on macOS"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
			"Safari on iPhone"},
		{"Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/150.0.0.0 Mobile/15E148 Safari/604.1",
			"Chrome on iPad"},
		{"Mozilla/5.0 (Linux; Android 16; SM-S938B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36",
			"Samsung Internet on Android"},
		{"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
			"Chrome on ChromeOS"},
		{"curl/8.14.1", "curl"},
		{"Go-http-client/1.1", "a Go program"},
		{"okhttp/5.0.0", "an Android app"},
		{"MyApp/1 CFNetwork/3826 Darwin/24.0", "an Apple app"},
		{"", ""},
		{"x", ""},
		{"<script>", ""},
	} {
		if got := session.DeviceName(c.agent); got != c.want {
			t.Errorf("%q is %q, want %q", c.agent, got, c.want)
		}
	}
}
