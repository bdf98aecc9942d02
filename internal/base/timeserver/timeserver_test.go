package timeserver_test

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/timeserver"
)

// answering is a time server that is so much ahead, and changes its answers; nil answers nothing.
func answering(t *testing.T, ahead time.Duration, change func(question, answer []byte) []byte) (address string) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		for question := make([]byte, 512); ; {
			n, from, err := c.ReadFrom(question)
			if err != nil {
				return
			}
			answer := make([]byte, 48)
			answer[0], answer[1] = 4<<3|4, 1
			copy(answer[24:32], question[40:48])
			for _, at := range []int{32, 40} {
				now := time.Now().Add(ahead)
				binary.BigEndian.PutUint32(answer[at:], uint32(now.Unix()+2208988800)) //nolint:gosec // it begins anew in 2036
				binary.BigEndian.PutUint32(answer[at+4:], uint32(int64(now.Nanosecond())<<32/int64(time.Second)))
			}
			if b := change(question[:n], answer); b != nil {
				_, _ = c.WriteTo(b, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func asItIs(_, answer []byte) []byte { return answer }

// The clock's error is measured, also behind 2036, when the count of seconds begins anew.
func TestTheErrorOfAClock(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Minute, -time.Hour, 20 * 365 * 24 * time.Hour} {
		is, within, err := timeserver.Ask(t.Context(), answering(t, ahead, asItIs), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if off := is + ahead; off < -within-time.Millisecond || off > within+time.Millisecond {
			t.Errorf("a server %s ahead: %s, to within %s", ahead, is, within)
		}
	}
}

// Whoever can't see the question is not believed, and neither is a server that does not know the time.
func TestAnswersThatTellNothing(t *testing.T) {
	for what, change := range map[string]func(_, answer []byte) []byte{
		"another's question":    func(_, a []byte) []byte { a[25] ^= 1; return a },
		"too short":             func(_, a []byte) []byte { return a[:47] },
		"not synchronised":      func(_, a []byte) []byte { a[0] |= 3 << 6; return a },
		"a kiss of death":       func(_, a []byte) []byte { a[1] = 0; return a },
		"stratum 16":            func(_, a []byte) []byte { a[1] = 16; return a },
		"a question for answer": func(q, _ []byte) []byte { return q },
		"nothing":               func(_, _ []byte) []byte { return nil },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if is, _, err := timeserver.Ask(t.Context(), answering(t, time.Hour, change), time.Now); err == nil {
				t.Errorf("believed: %s", is)
			}
		})
	}
}
