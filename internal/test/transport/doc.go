// Package transport tests TLS, certificates and ACME, and clients that are slow or flood the server.
package transport
