// Package administration tests what administrators see and do by the API, who may do
// it, and that each change of theirs is recorded.
package administration
