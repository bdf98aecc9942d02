// Package application is what applications and proxies ask: who makes a request, by an access token ([Authenticate],
// [Introspect]) or by the cookies of a session ([Authenticate.Browser], [ForwardAuth]), and to end a token
// ([RevokeToken]). One file a use case, over what all flows share (package flow).
package application
