// Package importing brings the accounts of another system here, with the passwords that their owners have; and writes those of this
// installation for another of ours, with their second factors ([Export]).
//
// The file is read as a stream, however long it is: JSON as the other system exports it, JSON lines, or CSV with a header. It
// is read to its end once before anything is changed, so a broken file imports nobody. Then accounts are made in batches, each
// one transaction with the row that says how far the import is (feature intake); the lines of the report are on disk before,
// and what is behind the row's length is cut off when an import goes on that was broken off. So whenever it is killed, running
// it again ends with the same accounts and the same report.
//
// A hash is read to the letter and within limits, and kept as one form of ours: a weak one under bcrypt. A right sign-in
// replaces it.
package importing
