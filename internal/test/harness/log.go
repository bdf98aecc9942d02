package harness

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"time"
)

// LogBuffer is a log that can be read while it is written.
type LogBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to the log.
func (b *LogBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns the log so far.
func (b *LogBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Of returns the lines about one request: why it was answered as it was.
func (b *LogBuffer) Of(requestID string) string {
	var of strings.Builder
	for line := range strings.Lines(b.String()) {
		if requestID != "" && strings.Contains(line, requestID) {
			of.WriteString(line)
		}
	}
	return of.String()
}

// Logged counts the lines about an event with a reason.
func (h *Server) Logged(event, reason string) (n int) {
	for line := range strings.Lines(h.Logs.String()) {
		if strings.Contains(line, `"event":"`+event+`"`) && strings.Contains(line, `"reason":"`+reason+`"`) {
			n++
		}
	}
	return n
}

// LogLine is a line of the log, taken apart.
type LogLine struct {
	Time      time.Time
	Level     string
	Msg       string
	RequestID string `json:"request_id"`
	Error     string
	Code      string
}

// Lines reads the log. Every line must be one object whose names come once.
func (h *Server) Lines() []LogLine {
	h.Helper()
	var out []LogLine
	for text := range strings.Lines(h.Logs.String()) {
		d := json.NewDecoder(strings.NewReader(text))
		seen, depth := map[string]bool{}, 0
		for name := true; ; {
			token, err := d.Token()
			if err != nil {
				h.Fatalf("a line of the log is no JSON: %v: %q", err, text)
			}
			delim, _ := token.(json.Delim)
			key, _ := token.(string)
			switch {
			case delim == '{' || delim == '[':
				depth++
			case delim == '}' || delim == ']':
				depth--
			case depth == 1 && name && seen[key]:
				h.Errorf("%s stands twice in %q", key, text)
			}
			if depth == 0 {
				break
			}
			if depth == 1 {
				// Names and values take turns; a value that was closed was one.
				if name = !name || delim == '{' && len(seen) == 0; !name {
					seen[key] = true
				}
			}
		}
		if d.InputOffset() != int64(len(text)-1) || !strings.HasPrefix(text, "{") {
			h.Fatalf("a line of the log is not one object: %q", text)
		}
		var l LogLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			h.Fatal(err)
		}
		if l.Time.IsZero() || l.Level == "" || l.Msg == "" {
			h.Errorf("a line lacks a part: %q", text)
		}
		if (l.Msg == "request" || l.Msg == "security event" || strings.HasPrefix(l.Msg, "readyz")) && l.RequestID == "" {
			h.Errorf("a line lacks its request id: %q", text)
		}
		out = append(out, l)
	}
	return out
}

// LinesOf waits for the line of a request, and returns the lines that carry its id
// as "LEVEL msg".
func (h *Server) LinesOf(id string) (found []string, request LogLine) {
	h.Helper()
	for range 500 {
		found = nil
		for _, l := range h.Lines() {
			if l.RequestID == id {
				found = append(found, l.Level+" "+l.Msg)
				if l.Msg == "request" {
					request = l
				}
			}
		}
		if request.Msg != "" {
			return found, request
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.Fatalf("no request %s in the log", id)
	return nil, LogLine{}
}
