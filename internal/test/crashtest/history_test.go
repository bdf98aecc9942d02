package crashtest_test

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// token is a refresh token with the generation that stands in it.
type token struct {
	text       string
	generation uint32
}

// readToken reads what an answer holds: epoch[4] session[16] generation[4] ….
func readToken(text string) (token, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "gatehouse_rt_"))
	if err != nil || len(b) < 24 {
		return token{}, fmt.Errorf("the answer holds no refresh token: %q", text)
	}
	return token{text, binary.BigEndian.Uint32(b[20:])}, nil
}

// history is everything that clients asked and were told, apart by session and
// by address: no rule links two of them, so each is judged by itself.
type history struct {
	start time.Time

	mu       sync.Mutex
	sessions map[string][]porcupine.Operation
	accounts map[string][]porcupine.Operation
	answered map[kind]int // with success
	lost     int
}

func newHistory() *history {
	return &history{
		start:    time.Now(),
		sessions: map[string][]porcupine.Operation{}, accounts: map[string][]porcupine.Operation{}, answered: map[kind]int{},
	}
}

// note adds a call that is over now. What was lost stays open for ever, unless it
// only reads.
func (h *history) note(of map[string][]porcupine.Operation, key string, client int, began time.Time, c call, a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ended := int64(time.Since(h.start))
	if a.lost {
		h.lost++
		ended = math.MaxInt64
		if c.kind == alive || c.kind == signIn {
			return
		}
	}
	if a.ok && c.kind != begin {
		h.answered[c.kind]++
	}
	of[key] = append(of[key], porcupine.Operation{
		ClientId: client, Input: c, Output: a, Call: int64(began.Sub(h.start)), Return: ended,
	})
}

// counted returns how many calls of a kind succeeded, and how many answers were
// lost.
func (h *history) counted(k kind) (succeeded, lost int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answered[k], h.lost
}

// violations judges the history, and describes each part of it that no order of
// the calls explains.
func (h *history) violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := judge("session", sessionModel, h.sessions)
	for _, address := range slices.Sorted(maps.Keys(h.accounts)) {
		if ops := h.accounts[address]; !addressIsExplained(ops) {
			out = append(out, fmt.Sprintf("address %s:\n%s", address, describe(ops)))
		}
	}
	return out
}

// judgement is how long the checker may think about one session.
const judgement = time.Minute

func judge(what string, m porcupine.Model, parts map[string][]porcupine.Operation) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(parts)) {
		if r := porcupine.CheckOperationsTimeout(m, parts[key], judgement); r != porcupine.Ok {
			out = append(out, fmt.Sprintf("%s %s: %s\n%s", what, key, r, describe(parts[key])))
		}
	}
	return out
}

// describe writes the calls one a line, in the order of their beginning, with
// tokens shortened to generation and tail.
func describe(ops []porcupine.Operation) string {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, o := range ops {
		c, a := o.Input.(call), o.Output.(answer)
		end := "…"
		if !a.lost {
			end = time.Duration(o.Return).Round(time.Microsecond).String()
		}
		fmt.Fprintf(&b, "  %v to %s client %d: %s %s%s", time.Duration(o.Call).Round(time.Microsecond), end, o.ClientId, c.kind, c.token, c.password)
		switch {
		case a.lost:
			b.WriteString(" → lost")
		case a.ok:
			fmt.Fprintf(&b, " → ok %s", a.token)
		default:
			b.WriteString(" → refused")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (t token) String() string {
	if t.text == "" {
		return ""
	}
	return fmt.Sprintf("%d.%s", t.generation, t.text[max(0, len(t.text)-6):])
}
