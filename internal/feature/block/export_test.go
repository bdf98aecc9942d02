package block

import (
	"net/netip"
	"time"

	"github.com/gaissmai/bart"
)

// Filled returns a list of made-up blocks without a database.
func Filled(now func() time.Time, n int, network func(i int) netip.Prefix) *List {
	l := NewList(nil, now)
	table := &bart.Table[int64]{}
	for i := range n {
		table.Insert(network(i), never)
	}
	l.state.Store(&state{table: table})
	return l
}
