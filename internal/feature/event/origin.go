package event

import "net/netip"

// Origin is where a request came from. Every flow takes one, and every event
// keeps it.
type Origin struct {
	// RequestID is the id that the answer and the log line carry too.
	RequestID string
	// TraceID is the request's in OpenTelemetry, if there is one. The log line has
	// it, the event does not.
	TraceID string
	// Address is the client's network address; invalid for the command line.
	Address netip.Addr
	// UserAgent is what the client calls itself, cut at 256 bytes.
	UserAgent string
	// Actor is who runs the command line, as user@machine; empty for requests.
	Actor string
}
