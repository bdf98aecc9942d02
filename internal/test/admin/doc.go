// Package admin tests the admin listener, set-up, metrics, logs, traces and database roles.
package admin
