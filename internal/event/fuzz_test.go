package event

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzNetwork: an address is counted under a network that holds it, however it
// is written, and the network under itself.
func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2:3:4:5:6", "fe80::1%eth0", "::", "0.0.0.0", "", "::ffff:0:0%x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := netip.ParseAddr(s)
		got := Network(a)
		if err != nil {
			if got.IsValid() {
				t.Fatalf("%q is in %v", s, got)
			}
			return
		}
		plain := a.Unmap().WithZone("")
		if !got.IsValid() || got != got.Masked() || !got.Contains(plain) || Network(got.Addr()) != got || Network(plain) != got {
			t.Fatalf("%v is in %v", a, got)
		}
		if bits := got.Bits(); plain.Is4() && bits != 32 || plain.Is6() && bits != 64 {
			t.Fatalf("%v is in %v", a, got)
		}
	})
}

// FuzzLine: whatever an event tells, it is one line that is one JSON object, and
// its personal part comes back from the database as it was.
func FuzzLine(f *testing.F) {
	f.Add("account", "session", "request", "curl/8", "wrong_password", int64(3))
	f.Add("", "\n", "\"}\n{\"", "\xff\u2028\x00", "\x1b[2J", int64(-1))
	f.Fuzz(func(t *testing.T, account, session, request, agent, why string, count int64) {
		p := personal{Account: account, Session: session, RequestID: request, UserAgent: agent, Detail: Detail{Reason: why, Count: count, Fields: []string{why}}}
		var out bytes.Buffer
		l := &Log{out: slog.New(slog.NewJSONHandler(&out, nil)), now: time.Now}
		l.print(record{ID: request, Kind: Login, Outcome: Success}, p)
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
