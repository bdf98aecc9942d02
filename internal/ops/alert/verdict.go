package alert

import "time"

// verdicts returns the verdict of each rule over events.
func (g *Engine) verdicts() []Verdict {
	s := g.state
	list := make([]Verdict, 0, len(Rules))
	for _, r := range Rules {
		if r.Window == 0 {
			continue // a probe
		}
		v := Verdict{Rule: r, Bound: int64(r.bound(g.Thresholds)), At: time.Unix(s.Minute*60, 0).UTC()}
		switch r.Name {
		case UnusualLogins:
			v.N, v.Bound = g.unusual(v.Bound)
		case Spraying:
			v.N, v.Network = g.spraying()
		case Stuffing:
			v.N = g.stuffing()
		case AdminNetwork:
			v.N, v.Network = g.sum(r.Name, r.Window), s.Place[r.Name]
		case CanaryTouched:
			v.N, v.Account = g.sum(r.Name, r.Window), s.Place[r.Name]
		default:
			v.N = g.sum(r.Name, r.Window)
		}
		list = append(list, v)
	}
	return list
}

func (g *Engine) sum(name string, window time.Duration) (n int64) {
	last := g.state.Minute - int64(window.Minutes())
	for m, c := range g.state.Counts[name] {
		if m > last {
			n += c
		}
	}
	return n
}

// unusual compares the last hour with the worst same hours of the days before.
// An hour in which something else was amiss counts as well: it errs on the quiet
// side, and the absolute rule does not.
func (g *Engine) unusual(least int64) (n, bound int64) {
	if least == 0 || g.state.Minute-g.state.Since < unusualDays*24*60 {
		return 0, least
	}
	bound = least
	now := g.state.Minute / 60
	for day := int64(1); day < hoursKept/24; day++ {
		for _, h := range []int64{now - 24*day, now - 24*day - 1} {
			bound = max(bound, unusualFactor*g.state.Hours[h])
		}
	}
	return g.sum(FailedLogins, hour), bound
}

// spraying is the network that failed at the most addresses.
func (g *Engine) spraying() (n int64, where string) {
	for network, list := range g.state.Tried {
		if c := int64(len(list)); c > n || c == n && network < where {
			n, where = c, network
		}
	}
	return n, where
}

// stuffing is how many addresses were tried, if that came from many networks and
// most of it failed.
func (g *Engine) stuffing() int64 {
	if len(g.state.Tried) < stuffedNetworks || g.sum(FailedLogins, hour) < stuffedRatio*g.sum(succeeded, hour) {
		return 0
	}
	addresses := map[string]bool{}
	for _, list := range g.state.Tried {
		for a := range list {
			addresses[a] = true
		}
	}
	return int64(len(addresses))
}
