package importing

import "io"

// clip shortens the strings of a JSON file that are longer than a person may be, such as a picture of theirs: the one entry is refused
// then, and not the file. All else goes through as it is, and so does a file that is no JSON.
type clip struct {
	r    io.Reader
	read int64 // of the file
	kind byte  // 'j' for JSON, 'x' for something else, 0 as long as that is open
	in   stringState
}

// stringState is where in a string the last byte was.
type stringState struct {
	inside  bool
	escaped bool // behind a backslash
	hex     int  // how many digits of an escape like \u00e9 are missing
	n       int  // how many bytes it has had
	over    bool // it is too long by now
}

// Read reads at least one byte, or none at the end.
func (c *clip) Read(p []byte) (int, error) {
	for {
		n, err := c.r.Read(p)
		c.read += int64(n)
		kept := c.filter(p[:n])
		if kept > 0 || err != nil || len(p) == 0 {
			return kept, err
		}
	}
}

// filter moves what stays to the front.
func (c *clip) filter(p []byte) int {
	kept := 0
	for _, b := range p {
		if c.kind == 0 {
			switch b {
			case '{', '[':
				c.kind = 'j'
			case ' ', '\t', '\r', '\n', 0xef, 0xbb, 0xbf:
			default:
				c.kind = 'x'
			}
		}
		if c.kind != 'j' || c.in.takes(b) {
			p[kept] = b
			kept++
		}
	}
	return kept
}

// takes says whether the next byte goes through. An escape does as a whole or not at all.
func (s *stringState) takes(b byte) bool {
	if !s.inside {
		if b == '"' {
			*s = stringState{inside: true}
		}
		return true
	}
	switch {
	case s.hex > 0:
		s.hex--
	case s.escaped:
		s.escaped = false
		if b == 'u' {
			s.hex = 4
		}
	case b == '"':
		s.inside = false
		return true
	default:
		s.over = s.n > mostRecord
		s.escaped = b == '\\'
	}
	s.n++
	return !s.over
}
