// Package proxies tests forward-auth and the server behind nginx and Caddy as the guides configure them.
package proxies
