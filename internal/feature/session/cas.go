//go:build !brokencas

package session

// inForce is the statement that [Store.Rotate] runs: see cas_broken.go.
const inForce = RotateSQL
