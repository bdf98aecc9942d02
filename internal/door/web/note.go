package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// noteCookie is what one page leaves for the next one: which form was sent, and with
// which email address. Pages answer a form with a redirect, so that reloading the
// next page, or pressing twice, sends nothing.
const noteCookie = "gatehouse_note"

// noteLife is how long the note is kept: as long as a code can be typed, and more.
const noteLife = 30 * time.Minute

// mostNote is the longest note that is read, in bytes: an address has at most 320.
const mostNote = 1 << 10

// Note is what is left for the next page.
type Note struct {
	// Step names what was done, in small letters.
	Step  string
	Email string
	// Passkey is the credential that was removed, as browsers name it.
	Passkey string
}

// PutNote sets the note.
func (c *Cookies) PutNote(w http.ResponseWriter, n Note) {
	value := n.Step + "." + base64.RawURLEncoding.EncodeToString([]byte(n.Email))
	if n.Passkey != "" {
		value += "." + n.Passkey
	}
	if len(value) > mostNote {
		value = n.Step + "."
	}
	c.set(w, noteCookie, value, noteLife, false)
}

// Note returns it, or nothing. It is not secret, and no decision depends on it.
func (c *Cookies) Note(r *http.Request) Note {
	value := c.get(r, noteCookie)
	step, rest, ok := strings.Cut(value, ".")
	email, passkey, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(email)
	if !ok || err != nil || len(value) > mostNote {
		return Note{}
	}
	return Note{Step: step, Email: string(b), Passkey: passkey}
}
