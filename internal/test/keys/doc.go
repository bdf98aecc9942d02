// Package keys tests the signing keys: rotation, revocation, and replicas that follow.
package keys
