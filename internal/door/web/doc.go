// Package web is what the doors share: everything between net/http and a call
// of a flow that is the same for each route.
//
// A door writes each route as a [Handler], which returns an error instead of
// writing one, and registers it with [Stack.Handle]. [Stack.Wrap] makes the
// finished http.Handler. What it promises for every request, matched or not:
//
//   - a request id of our own making, on the answer and in the log;
//   - one log line and one observation in the metrics, with the route's pattern
//     and never the path or the query, which may hold what nobody should read;
//   - a deadline on its context;
//   - a panic stays the request's own;
//   - every error, the router's own included, is a problem document (RFC 9457)
//     with a code, and an internal one says nothing of its cause;
//   - the security headers.
//
// [Decode], [Query], [Bearer] and [Origin] read a request strictly: what they
// accept has one meaning only, and no message of theirs repeats a value, which
// might be a password. The kind of a fault becomes a status here and nowhere
// else.
//
// # How it works
//
// The connection, and as long as it is a trusted proxy, the hop that this names: the
// rightmost that is not trusted. X-Forwarded-For and Forwarded never mix; CF-
// Connecting-IP counts only at a hop that is Cloudflare's. Any other proxy passes on
// what it does not write.
//
// A name that is not ours is 421 before anything is done; plain HTTP is decided
// before HSTS and CORS are. A faulty certificate never replaces a good one. One by
// ACME (acme/) is a sealed row that all replicas serve; a job orders it, a handshake
// never does. Connections are counted an address at the accept, before a byte is
// read.
//
// For web applications on the same host: __Host- cookies, refused from other sites
// by Sec-Fetch-Site, by Origin, and by a token that is a keyed hash of the session's
// id. A request with an Authorization header is judged by that alone. A sign-in ends
// the session that it replaces.
package web
