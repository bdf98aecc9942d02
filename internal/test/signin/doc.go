// Package signin tests the sign-in: passwords, cookies, mails about new devices, and that no kind of token is taken for another.
package signin
