// Package outages tests databases and networks that fail.
package outages
