// Package docs is the documentation itself, as it lies in this folder: `gatehouse docs` serves it, and `make site` writes it.
package docs

import "embed"

// Files are the pages and their pictures.
//
//go:embed *.md guides/*.md runbooks/*.md images/*.png
var Files embed.FS
