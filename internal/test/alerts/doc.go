// Package alerts tests alerts by mail.
package alerts
