package dbtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Wire stands between a program and its PostgreSQL, without TLS, and writes down what is said: each statement, and how often the program
// ends what it says and waits.
type Wire struct {
	url string

	mu    sync.Mutex
	spoke []Spoken
}

// Spoken is one transaction, or what was said outside of one: up to the answer that the program waited for.
type Spoken struct {
	// Statements are what was run, in order, and Trips how often the program waited for the server.
	Statements []string
	Trips      int
}

// Says reports whether one of its statements has a text in it.
func (s Spoken) Says(text string) bool {
	return slices.ContainsFunc(s.Statements, func(one string) bool { return strings.Contains(one, text) })
}

// Transaction reports whether it is one.
func (s Spoken) Transaction() bool { return len(s.Statements) > 0 && s.Statements[0] == "BEGIN" }

// NewWire returns one before the server that the URL names. It ends with the test.
func NewWire(t testing.TB, dbURL string) *Wire {
	t.Helper()
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal("the database's URL is none")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	upstream := u.Host
	u.Host = l.Addr().String()
	w := &Wire{url: u.String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c, upstream)
		}
	}()
	return w
}

// URL is the database's, through the wire.
func (w *Wire) URL() string { return w.url }

// Forget drops what was written down.
func (w *Wire) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoke = nil
}

// Trips is how often the program has waited for the server, in what it has said to the end.
func (w *Wire) Trips() (n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spoke {
		n += int64(s.Trips)
	}
	return n
}

// Spoken returns what was said in which one of the statements has the text in it.
func (w *Wire) Spoken(text string) (list []Spoken) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spoke {
		if s.Says(text) {
			list = append(list, s)
		}
	}
	return list
}

func (w *Wire) serve(client net.Conn, upstream string) {
	defer client.Close()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
	var now Spoken
	prepared := map[string]string{}
	// The first message has no type; each one after it has a byte of it, and then its length.
	for header := 4; ; header = 5 {
		head := make([]byte, header)
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[header-4:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		now = w.hear(head[0], body, prepared, now)
		if _, err := server.Write(append(head, body...)); err != nil {
			return
		}
	}
}

// hear takes one message of the program down, and returns what is being said.
func (w *Wire) hear(kind byte, body []byte, prepared map[string]string, now Spoken) Spoken {
	word := func() string {
		text, rest, _ := bytes.Cut(body, []byte{0})
		body = rest
		return string(text)
	}
	switch kind {
	case 'P': // Parse: the name, the statement
		name := word()
		prepared[name] = word()
	case 'B': // Bind: the portal, the name
		word()
		now.Statements = append(now.Statements, prepared[word()])
	case 'Q':
		now.Statements = append(now.Statements, word())
		now.Trips++
	case 'S':
		now.Trips++
	}
	if kind != 'Q' && kind != 'S' {
		return now
	}
	if last := len(now.Statements) - 1; now.Transaction() && !slices.Contains([]string{"COMMIT", "ROLLBACK"}, now.Statements[last]) {
		return now
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoke = append(w.spoke, now)
	return Spoken{}
}
