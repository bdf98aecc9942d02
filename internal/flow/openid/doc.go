// Package openid is what applications do that people sign in to with OpenID Connect: they ask for a person ([Authorize]), exchange
// the code and refresh ([Exchange]), and ask who it is ([UserInfo]); and what people do with their applications ([Applications]).
//
// What an application asks for travels sealed through the browser ([Request]), so strangers write no row, and there is nothing to
// plant: a sealed request is worth no more than the link that it came from, since the code goes to the browser that holds the
// session, in answer to its own request.
package openid
