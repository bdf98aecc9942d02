// Package lockout tests the lockout of accounts under attack.
package lockout
