package factors

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// eavesdropper is a proxy before PostgreSQL that notes the statements which are run.
type eavesdropper struct {
	mu  sync.Mutex
	ran []string
}

// behind returns the URL of the database as it is reached through it.
func (e *eavesdropper) behind(t *testing.T, dbURL string) string {
	t.Helper()
	u, err := url.Parse(dbURL)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go e.serve(client, server)
		}
	}()
	u.Host = l.Addr().String()
	return u.String()
}

func (e *eavesdropper) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(client, server) }()
	prepared := map[string]string{}
	for header := 4; ; header = 5 { // the first message has no type
		head := make([]byte, header)
		if _, err := io.ReadFull(client, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[header-4:])-4)
		if _, err := io.ReadFull(client, body); err != nil {
			return
		}
		if _, err := server.Write(append(head, body...)); err != nil {
			return
		}
		if header == 4 {
			continue
		}
		fields := bytes.SplitN(body, []byte{0}, 3)
		switch {
		case head[0] == 'P' && len(fields) > 1: // Parse: the statement's name, and its text
			prepared[string(fields[0])] = string(fields[1])
		case head[0] == 'B' && len(fields) > 1: // Bind: the portal's name, and the statement's
			e.mu.Lock()
			e.ran = append(e.ran, prepared[string(fields[1])])
			e.mu.Unlock()
		}
	}
}

// since returns what was run since the last call.
func (e *eavesdropper) since() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	ran := e.ran
	e.ran = nil
	return ran
}

// A sign-in without factors costs no statement more than before there were any: none is about them. With one, the
// same test sees them.
func TestASignInWithoutFactorsAsksForNone(t *testing.T) {
	ofFactors := regexp.MustCompile(`\b(pending|totp|totp_offer|recovery_code|passkey|challenge_spent|factor_reset)\b`)
	e, clock := &eavesdropper{}, &harness.Clock{}
	h := harness.OpenAt(t, e.behind(t, dbtest.Postgres(t)), clock.Now, harness.BehindProxy)
	h.Register("ada@example.org")
	a := h.AddApp(clock, "eve@example.org")
	h.Settled()
	e.since()
	h.Login("ada@example.org")
	ran := e.since()
	if !slices.ContainsFunc(ran, func(s string) bool { return regexp.MustCompile(`INSERT INTO session`).MatchString(s) }) {
		t.Fatalf("the sign-in was not heard: %q", ran)
	}
	for _, s := range ran {
		if ofFactors.MatchString(s) {
			t.Errorf("a sign-in without factors runs %q", s)
		}
	}
	a.Pending()
	if !slices.ContainsFunc(e.since(), ofFactors.MatchString) {
		t.Error("one with a factor was not heard")
	}
}
