// Package timing tests how long answers take, which must reveal nothing. It measures: run it with nothing else.
package timing
