// Package timeserver asks a time server what time it is (SNTP, RFC 5905 section 14): once, with nothing set and nothing kept.
package timeserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const (
	// patience is how long an answer may take.
	patience = 4 * time.Second
	// size is of a question and of an answer without extensions.
	size = 48
	// epoch is 1900, from which they count, before 1970.
	epoch = 2208988800
)

// errNoTime is for an answer that tells no time.
var errNoTime = errors.New("the time server does not know the time itself")

// Ask returns by how much this machine's clock is ahead of a time server's, and within what. The address is a host, or a host and
// a port. An answer to somebody else's question is not believed.
func Ask(ctx context.Context, address string, now func() time.Time) (ahead, within time.Duration, err error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, "123")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return 0, 0, err
	}
	question := make([]byte, size)
	question[0] = 4<<3 | 3 // version 4, a client
	// The time that we send comes back: as random bytes it is our question's name, and tells nobody our clock.
	copy(question[40:], secret.Random{}.Bytes(size-40))
	asked := now()
	if _, err := c.Write(question); err != nil {
		return 0, 0, err
	}
	for answer := make([]byte, 512); ; {
		n, err := c.Read(answer)
		if err != nil {
			return 0, 0, fmt.Errorf("the time server does not answer: %w", err)
		}
		if n >= size && secret.Equal(answer[24:32], question[40:]) {
			return read(answer[:n], asked, now())
		}
	}
}

// read takes the time out of an answer.
func read(answer []byte, asked, answered time.Time) (ahead, within time.Duration, err error) {
	leap, mode, stratum := answer[0]>>6, answer[0]&7, answer[1]
	if leap == 3 || mode != 4 || stratum == 0 || stratum > 15 {
		return 0, 0, errNoTime
	}
	received, sent := moment(answer[32:40]), moment(answer[40:48])
	ahead = (asked.Sub(received) + answered.Sub(sent)) / 2
	within = max(answered.Sub(asked)-sent.Sub(received), 0) / 2
	return ahead, within, nil
}

// moment reads a time. Those of the next era, from 2036 on, have a first bit of 0.
func moment(b []byte) time.Time {
	seconds, fraction := int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))
	if seconds>>31 == 0 {
		seconds += 1 << 32
	}
	return time.Unix(seconds-epoch, fraction*int64(time.Second)>>32)
}
