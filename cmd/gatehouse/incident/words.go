package incident

import (
	"slices"
	"strings"
)

// sorted joins words in their order.
func sorted(words []string) string {
	slices.Sort(words)
	return strings.Join(words, " ")
}

// harmless keeps cells from being formulas, which a spreadsheet would compute: an address may begin with one.
func harmless(cells []string) []string {
	for i, c := range cells {
		if strings.ContainsAny(c[:min(len(c), 1)], "=+-@\t\r") {
			cells[i] = "'" + c
		}
	}
	return cells
}
