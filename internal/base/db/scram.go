package db

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

const (
	scramSalt       = 16
	scramIterations = 4096 // PostgreSQL's own number; the passwords are random
)

// scramVerifier returns what PostgreSQL keeps of a password (SCRAM-SHA-256, RFC
// 5802 section 3, in the form of pg_authid.rolpassword), so that the password
// itself is never in a statement, which the server may log.
func scramVerifier(password string, salt []byte) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", err
	}
	key := func(name string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(name))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(key("Client Key"))
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, text(salt), text(stored[:]), text(key("Server Key"))), nil
}
