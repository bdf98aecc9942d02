package password

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// isKeys finds what a plain search through the rows finds, in any text.
func TestKeysAreFoundAsByAPlainSearch(t *testing.T) {
	plain := func(part []rune) bool {
		back := slices.Clone(part)
		slices.Reverse(back)
		return slices.ContainsFunc(keyboard, func(row string) bool {
			return strings.Contains(row, string(part)) || strings.Contains(row, string(back))
		})
	}
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	var all []string
	for _, row := range keyboard {
		for from := range row {
			for to := from + 1; to <= len(row); to++ {
				all = append(all, row[from:to], row[from:to]+"x", "é"+row[from:to])
			}
		}
	}
	for range 20_000 {
		n := 1 + r.IntN(6)
		part := make([]byte, n)
		for i := range part {
			part[i] = "qwertyasdf1234zxcv"[r.IntN(18)]
		}
		all = append(all, string(part))
	}
	found := 0
	for _, s := range append(all, strings.Repeat("q", 40), strings.Repeat("1qaz2wsx", 5), "\x7f\x7f\x7f\x7f") {
		part := []rune(s)
		if isKeys(part) != plain(part) {
			t.Fatalf("%q: %v", s, isKeys(part))
		}
		if isKeys(part) {
			found++
		}
	}
	if found < 100 {
		t.Errorf("only %d were rows", found)
	}
}

// Attack 7: to judge the longest password that is judged, with as many words of the context as
// there can be, takes no more than a bounded number of allocations, and a longer one none more:
// the call needs no account.
func TestAttack7_StrengthCostsLittle(t *testing.T) {
	text := func(n int) string {
		var b strings.Builder
		r := rand.New(rand.NewPCG(7, uint64(n))) //nolint:gosec // a test
		for range n {
			b.WriteByte(byte('!' + r.IntN(90)))
		}
		return b.String()
	}
	var about []string
	for range 2 * mostWords {
		about = append(about, text(12))
	}
	words := contextWords(nil, about)
	cost := func(n int) float64 {
		pass := text(n)
		return testing.AllocsPerRun(3, func() { guessBits(pass, words) })
	}
	longest, beyond := cost(guessable), cost(1024)
	t.Logf("%.0f allocations, and %.0f for ten times the length", longest, beyond)
	if longest > 6000 || beyond > longest*1.1 {
		t.Errorf("%.0f allocations, and %.0f for ten times the length", longest, beyond)
	}
}
