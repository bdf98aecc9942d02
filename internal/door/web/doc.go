// Package web is what the doors share: everything between net/http and the call
// of a flow that is the same for every route.
//
// A door writes each route as a [Handler], which returns an error instead of
// writing one, and registers it with [Stack.Handle]. [Stack.Wrap] makes the
// finished http.Handler. It guarantees for every request, matched or not:
//
//   - a request id of our own making, in the response and in the log;
//   - one log line and one observation in the metrics, with the route's pattern
//     and never the path or the query, which may contain secrets;
//   - a deadline on its context;
//   - a panic affects only its own request;
//   - every error, including the router's own, is a problem document (RFC 9457)
//     with a code, and an internal one says nothing about its cause;
//   - the security headers.
//
// [Decode], [Query], [Bearer] and [Origin] read a request strictly: what they
// accept has one meaning only, and none of their messages repeats a value, which
// might be a password. The kind of a fault becomes a status here and nowhere
// else.
//
// # How it works
//
// The client's address is the connection's or, as long as that is a trusted proxy, the
// hop that it names: the rightmost that is not trusted. X-Forwarded-For and Forwarded
// are never mixed; CF-Connecting-IP counts only at a hop that is Cloudflare's. Any other
// proxy passes on what it does not write.
//
// A Host that is not ours gets a 421 before anything is done; plain HTTP is decided
// before HSTS and CORS are. A faulty certificate never replaces a good one. One from
// ACME (acme/) is an encrypted row that all replicas serve; a job orders it, a handshake
// never does. Connections are counted per address when they are accepted, before a byte
// is read.
//
// For web applications on the same host there are __Host- cookies, refused from other
// sites by Sec-Fetch-Site, by Origin, and by a token that is a keyed hash of the
// session's id. A request with an Authorization header is judged by that header alone. A
// sign-in ends the session that it replaces.
package web
