package crashtest_test

import "github.com/anishathalye/porcupine"

// addressIsExplained judges the calls of one address: whoever registers first
// has it, nobody is told, and the sign-in tells.
//
// A search through the orders, as for sessions, would not end: registrations
// whose answers were lost stay open for ever, and each doubles the orders. No
// search is needed, since the first registration decides everything: for each
// that may have been it, there has to be a moment at which it was made, with
// every other one, and every sign-in with its password, on the right side.
func addressIsExplained(ops []porcupine.Operation) bool {
	registered := false
	for _, o := range ops {
		c, a := o.Input.(call), o.Output.(answer)
		if c.kind == register {
			registered = true
			if !a.lost && !a.ok {
				return false
			}
		}
	}
	for _, first := range ops {
		if first.Input.(call).kind == register && mayBeFirst(first, ops) {
			return true
		}
	}
	if registered {
		return false
	}
	for _, o := range ops {
		if o.Output.(answer).ok {
			return false
		}
	}
	return true
}

// mayBeFirst reports whether a registration can have been made before all others.
func mayBeFirst(first porcupine.Operation, ops []porcupine.Operation) bool {
	earliest, latest := first.Call, first.Return
	for _, o := range ops {
		c, a := o.Input.(call), o.Output.(answer)
		switch own := c.password == first.Input.(call).password; {
		case c.kind == register || own && a.ok: // after it
			latest = min(latest, o.Return)
		case own: // before it
			earliest = max(earliest, o.Call)
		case a.ok: // a sign-in with the password of a later one
			return false
		}
	}
	return earliest <= latest
}
