// Package recovery tests email links, verification, and changes of addresses and passwords.
package recovery
