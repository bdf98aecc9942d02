package terminal

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// In a terminal a development server's log is a short line each, in colour unless
// NO_COLOR is set; a checkpoint is none; nothing in it moves the cursor.
func TestLogForPeople(t *testing.T) {
	for _, noColour := range []string{"", "1"} {
		t.Setenv("NO_COLOR", noColour)
		t.Setenv("TERM", "xterm")
		var b strings.Builder
		log := slog.New(newPeopleLog(&b, slog.LevelInfo))
		log.Info("request", "request_id", "01a", "method", "POST", "route", "/v1/login", "status", 401, "bytes", int64(120),
			"duration_us", int64(181_234), "client", "127.0.0.1", "code", "invalid_credentials")
		log.Info("security event", "event", "failed_login_attempt", "outcome", "failure", "event_id", "01b", "address", "127.0.0.1", "user_agent", "curl/8")
		log.Info("The event log is sealed and signed.", "size", 3, "checkpoint", "gatehouse\n3\n")
		log.Warn("LOG_LEVEL: \x1b[2Jsomething", "error", "a\nb\x1b[1m")
		log.Debug("not shown")
		log.With("part", "mail").Error("broken")
		plain := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(b.String(), "")
		if (plain == b.String()) != (noColour != "") {
			t.Errorf("NO_COLOR=%s: %q", noColour, b.String())
		}
		plain = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d `).ReplaceAllString(plain, "")
		const want = `      POST /v1/login 401 181.2ms code=invalid_credentials
      event failed_login_attempt (failure)
WARN  LOG_LEVEL:  [2Jsomething error=a b [1m
ERROR broken part=mail
`
		if plain != want {
			t.Errorf("got:\n%swant:\n%s", plain, want)
		}
	}
}

// A log that is piped, or production's, is JSON.
func TestLogForPrograms(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	term := &Terminal{Err: w}
	if term.forPeople(false) || term.forPeople(true) {
		t.Error("a pipe is taken for a person")
	}
	term.log(slog.LevelInfo).Info("hello", "at", time.Time{})
	_ = w.Close()
	b := make([]byte, 200)
	if n, _ := r.Read(b); !strings.HasPrefix(string(b[:n]), `{"time":`) {
		t.Errorf("%s", b[:n])
	}
}
