// Package console tests the administrators' pages: what they say and do without script,
// by forms alone, and who may see them.
package console
