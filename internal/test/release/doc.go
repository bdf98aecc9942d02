// Package release tests what `make release` hands to others: the binaries, archives and their
// signature, the Debian and RPM packages in a copy of this system, and the container's files.
package release
