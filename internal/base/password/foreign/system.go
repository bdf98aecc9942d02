package foreign

import (
	"encoding/json"
)

// FirebaseKey is what a Firebase project's hashes are made with: its console shows it under Authentication, Users, Password
// hash parameters.
type FirebaseKey struct {
	SignerKey, SaltSeparator string // base64
	Rounds, MemCost          int
}

// Hash reads the salt and the hash of one person.
func (k FirebaseKey) Hash(salt, hash string) (Hash, error) {
	if hash == "" {
		return Hash{}, ErrNone
	}
	if !within(k.MemCost, 1, 31) {
		return Hash{}, ErrRefused
	}
	return firebaseOf(power(k.MemCost), k.Rounds, 1, salt, hash, k.SaltSeparator, k.SignerKey)
}

// Keycloak reads a credential of Keycloak: secretData and credentialData, which are JSON.
func Keycloak(secretData, credentialData string) (Hash, error) {
	var s struct{ Value, Salt string }
	var c struct {
		HashIterations       int
		Algorithm            string
		AdditionalParameters map[string][]string
	}
	if json.Unmarshal([]byte(secretData), &s) != nil || json.Unmarshal([]byte(credentialData), &c) != nil {
		return Hash{}, ErrRefused
	}
	salt, ok1 := anyBase64(s.Salt)
	digest, ok2 := anyBase64(s.Value)
	if !ok1 || !ok2 {
		return Hash{}, ErrRefused
	}
	switch c.Algorithm {
	case "pbkdf2":
		return pbkdf2Of(pbkdf2SHA1, c.HashIterations, salt, digest, true)
	case "pbkdf2-sha256":
		return pbkdf2Of(pbkdf2SHA256, c.HashIterations, salt, digest, true)
	case "pbkdf2-sha512":
		return pbkdf2Of(pbkdf2SHA512, c.HashIterations, salt, digest, true)
	case "argon2":
		return keycloakArgon2(c.HashIterations, c.AdditionalParameters, salt, digest)
	}
	return Hash{}, ErrUnknown
}

// keycloakArgon2: the parameters are lists of one text each.
func keycloakArgon2(n int, parameters map[string][]string, salt, digest []byte) (Hash, error) {
	one := func(name string) string {
		if list := parameters[name]; len(list) == 1 {
			return list[0]
		}
		return ""
	}
	memory, ok1 := number(one("memory"))
	lanes, ok2 := number(one("parallelism"))
	length, ok3 := number(one("hashLength"))
	if !ok3 && one("hashLength") == "" {
		length, ok3 = len(digest), true
	}
	if one("version") != "1.3" || one("type") != "id" && one("type") != "i" || length != len(digest) {
		return Hash{}, ErrRefused
	}
	return made(Hash{kind: "argon2" + one("type"), n: n, r: memory, p: lanes, parts: [][]byte{salt}, digest: digest}, ok1, ok2, ok3)
}
