// Package timing tests how long answers take, which must tell nothing. It measures: run it with nothing else.
package timing
