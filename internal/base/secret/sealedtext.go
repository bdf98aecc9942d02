package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// SealText returns a value as JSON that only the holder of the key can read or change, sealed as [Seal] does, as text for an address
// or a cookie: what strangers would otherwise have us write into rows, their browsers keep. It panics for what JSON can't say,
// such as a channel.
func SealText(r Random, key []byte, value any, context string) string {
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	if err := to.Encode(value); err != nil {
		panic(fmt.Sprintf("secret: %v", err))
	}
	return base64.RawURLEncoding.EncodeToString(Seal(r, key, b.Bytes(), context))
}

// OpenText reads what SealText has written, into a pointer to such a value. It fails if the key or the context is another, or if a bit of
// the text has changed.
func OpenText(key []byte, text, context string, value any) error {
	sealed, ok := Decode(text, -1)
	if !ok {
		return errors.New("sealed text is not base64url")
	}
	b, err := Open(key, sealed, context)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, value)
}
