// Package moving tests that an installation moves to another database while it is used, and nobody is signed out.
package moving
