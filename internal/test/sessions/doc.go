// Package sessions tests sessions and their tokens: theft, expiry, clocks that are wrong.
package sessions
