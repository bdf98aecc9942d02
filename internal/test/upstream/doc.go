// Package upstream tests how people sign in by other providers, what is linked to their accounts, and whoever attacks that. The providers
// are small ones of its own, with the oddities of the known ones, others that nobody here wrote, and Gatehouse itself.
package upstream
