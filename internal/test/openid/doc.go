// Package openid tests how people sign in to applications with OpenID Connect, what the applications get, and whoever attacks that.
package openid
