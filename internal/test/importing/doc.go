// Package importing tests that people who come from another system sign in here with the passwords that they have.
package importing
