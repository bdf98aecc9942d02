// Package applications tests what applications call: introspection, revocation, the feed, and the examples of the guides.
package applications
