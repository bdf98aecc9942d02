package event

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzLine: whatever an event contains, it is one line that is one JSON object, and
// its personal part comes back from the database as it was.
func FuzzLine(f *testing.F) {
	f.Add("account", "session", "request", "curl/8", "wrong_password", int64(3))
	f.Add("", "\n", "\"}\n{\"", "\xff\u2028\x00", "\x1b[2J", int64(-1))
	f.Fuzz(func(t *testing.T, account, session, request, agent, why string, count int64) {
		p := personal{Account: account, Session: session, RequestID: request, UserAgent: agent, Detail: Detail{Reason: why, Count: count, Fields: []string{why}}}
		var out bytes.Buffer
		l := &Log{out: slog.New(slog.NewJSONHandler(&out, nil)), now: time.Now}
		l.print(record{ID: request, Kind: Login, Outcome: Success}, p, "")
		line := out.String()
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || strings.Count(line, "\n") != 1 || m["event"] != "successful_login" {
			t.Fatalf("%q: %v", line, err)
		}
		if !utf8.ValidString(strings.Join([]string{account, session, request, agent, why}, " ")) {
			return // the doors let in text only
		}
		data := encode(p)
		var back personal
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if again := encode(back); !bytes.Equal(again, data) {
			t.Fatalf("%q came back as %q", data, again)
		}
	})
}
