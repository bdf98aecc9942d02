// Package factors tests second factors: adding them, signing in with them, losing them, and whoever
// attacks that.
package factors
