// Package consents tests the documents that people agree to, how they agree and take it back, and whoever attacks that.
package consents
