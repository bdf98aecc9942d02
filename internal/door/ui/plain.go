package ui

import (
	"bytes"
	"reflect"
	"strings"
	"sync"
)

// plainPages keeps pages as strangers get them, who are most of those that ask: such a page
// hangs on its name, the language and what it shows, and on nothing else but the nonce, and
// executing its template is most of the work.
type plainPages struct {
	mark string // stands in the place of the nonce; nobody else knows it

	mu    sync.RWMutex
	pages map[plainKey][]string // the text around the nonces
}

// plainKey is all that a plain page hangs on.
type plainKey struct {
	page, lang string
	shown      any
}

// mostPlain is how many are kept. What is shown may come from the browser, as the address to
// return to does: whoever sends many different ones has them all forgotten, and is served more slowly.
const mostPlain = 256

// plain returns the key of a page that may be kept: nobody is known, nothing went wrong, and the
// address has nothing that the page's links would repeat.
func (v *View) plain(page string) (plainKey, bool) {
	if v.Problem != nil || v.CSRF != "" || v.Side != nil || v.at.RawQuery != "" || !isPlain(reflect.TypeOf(v.D)) {
		return plainKey{}, false
	}
	return plainKey{page, v.L.Tag, v.D}, true
}

// isPlain reports whether values of a type that are equal now are equal for ever: nil, or a struct of
// strings, numbers and booleans.
func isPlain(t reflect.Type) bool {
	if t == nil {
		return true
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		switch t.Field(i).Type.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		default:
			return false
		}
	}
	return true
}

// get returns a page that is kept, with the nonce of this answer.
func (p *plainPages) get(key plainKey, nonce string) ([]byte, bool) {
	p.mu.RLock()
	parts, ok := p.pages[key]
	p.mu.RUnlock()
	if !ok {
		return nil, false
	}
	return []byte(strings.Join(parts, nonce)), true
}

// put keeps a page that was drawn with the mark for a nonce.
func (p *plainPages) put(key plainKey, drawn []byte) {
	parts := strings.Split(string(drawn), p.mark)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pages) >= mostPlain {
		clear(p.pages)
	}
	p.pages[key] = parts
}

// drawPlain is draw for pages that may be kept.
func (s *Set) drawPlain(v *View, name string) ([]byte, error) {
	key, ok := v.plain(name)
	if !ok {
		return s.draw(v, name)
	}
	if page, ok := s.plain.get(key, v.Nonce); ok {
		return page, nil
	}
	nonce := v.Nonce
	v.Nonce = s.plain.mark
	drawn, err := s.draw(v, name)
	v.Nonce = nonce
	if err != nil {
		return nil, err
	}
	s.plain.put(key, drawn)
	return bytes.ReplaceAll(drawn, []byte(s.plain.mark), []byte(nonce)), nil
}
