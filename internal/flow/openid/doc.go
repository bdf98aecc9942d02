// Package openid is what applications do that people sign in to with OpenID Connect: they ask for a person ([Authorize]), exchange
// the code and refresh ([Exchange]), and ask who it is ([UserInfo]); and what people do with their applications ([Applications]).
//
// What an application asks for travels sealed through the browser ([Request]), so strangers write no row, and there is nothing to
// plant: a sealed request is worth no more than the link that it came from, since the code goes to the browser that holds the
// session, in answer to its own request.
//
// # How it works
//
// judge is a pure function from request, application and session to what is needed first. A code is a grant that has not
// started, exchanged by one UPDATE in whose WHERE client, address and PKCE stand. Grants end with their session
// (flow/endsession.go), under a name that a new sign-in of the same person inherits.
//
// A token has one audience, picked from what the grant was asked for, and that one's scopes alone; what is wrong takes the
// exchange or the turn back, so nothing is spent. Each door judges the audience itself, and introspection tells only the
// application and who serves the resource.
//
// A device's approval writes a grant whose code is the device's, under the session's lock, and its poll runs the same
// UPDATE; what was too early is settled by a statement before it, which reaches no exchange. What registers itself has
// redirect URIs and nothing else, for open resources; where nobody is signed in its errors are a page, so no stranger's
// link leads from us to it.
//
// Where a session is signed in is a row, written with the code under the session's lock. Whoever ends the session turns it
// into a notice in the same transaction, so each is told once; a notice is taken by compare-and-set on when it is due,
// sent by a worker of its application's own, and deleted.
package openid
