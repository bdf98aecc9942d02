// Package api tests the API: every operation against openapi.yaml, odd methods, malformed requests, secrets that must not leak.
package api
