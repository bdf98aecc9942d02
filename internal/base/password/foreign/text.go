package foreign

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"slices"
	"strings"
)

// form is a way to write hashes: what such a text begins with, and how the rest is read.
type form struct {
	prefix string
	read   func(rest string) (Hash, error)
}

// forms are those of Django, Devise, Kratos, Zitadel, Supabase, passlib and LDAP. The first prefix that fits decides.
var forms = []form{
	{"$2", func(s string) (Hash, error) { return readBcrypt(bcryptPlain, "$2"+s) }},
	{"bcrypt$", func(s string) (Hash, error) { return readBcrypt(bcryptPlain, s) }},
	{"bcrypt_sha256$", func(s string) (Hash, error) { return readBcrypt(bcryptSHA256, s) }},
	{"argon2$", readArgon2},
	{"$argon2", func(s string) (Hash, error) { return readArgon2("argon2" + s) }},
	{"pbkdf2_sha1$", func(s string) (Hash, error) { return readDjangoPBKDF2(pbkdf2SHA1, s) }},
	{"pbkdf2_sha256$", func(s string) (Hash, error) { return readDjangoPBKDF2(pbkdf2SHA256, s) }},
	{"$pbkdf2$", func(s string) (Hash, error) { return readPBKDF2(pbkdf2SHA1, s) }},
	{"$pbkdf2-sha1$", func(s string) (Hash, error) { return readPBKDF2(pbkdf2SHA1, s) }},
	{"$pbkdf2-sha256$", func(s string) (Hash, error) { return readPBKDF2(pbkdf2SHA256, s) }},
	{"$pbkdf2-sha512$", func(s string) (Hash, error) { return readPBKDF2(pbkdf2SHA512, s) }},
	{"scrypt$", readDjangoScrypt},
	{"$scrypt$", readScrypt},
	{"$firescrypt$", readFirescrypt},
	{"$fbscrypt$", readFbscrypt},
	{"md5$", func(s string) (Hash, error) { return readDjangoDigest("md5", s) }},
	{"sha1$", func(s string) (Hash, error) { return readDjangoDigest("sha1", s) }},
	{"$md5$", func(s string) (Hash, error) { return readDigest("md5", s) }},
	{"$sha1$", func(s string) (Hash, error) { return readDigest("sha1", s) }},
	{"$sha256$", func(s string) (Hash, error) { return readDigest("sha256", s) }},
	{"$sha512$", func(s string) (Hash, error) { return readDigest("sha512", s) }},
	{"$hmac-", readHMAC},
	{"{MD5}", func(s string) (Hash, error) { return readLDAP("md5", s) }},
	{"{SMD5}", func(s string) (Hash, error) { return readLDAP("md5", s) }},
	{"{SHA}", func(s string) (Hash, error) { return readLDAP("sha1", s) }},
	{"{SSHA}", func(s string) (Hash, error) { return readLDAP("sha1", s) }},
	{"{SSHA256}", func(s string) (Hash, error) { return readLDAP("sha256", s) }},
	{"{SSHA512}", func(s string) (Hash, error) { return readLDAP("sha512", s) }},
}

// Parse reads a hash as another system wrote it. The errors are ErrNone, ErrUnknown and ErrRefused.
func Parse(s string) (Hash, error) {
	if s == "" || s[0] == '!' || s == "*" { // Django marks an unusable password so
		return Hash{}, ErrNone
	}
	if len(s) > maxText {
		return Hash{}, ErrRefused
	}
	for _, f := range forms {
		if rest, ok := strings.CutPrefix(s, f.prefix); ok {
			return f.read(rest)
		}
	}
	return Hash{}, ErrUnknown
}

// anyBase64 reads the alphabets that are used for hashes: the standard one, that for URLs, and passlib's; padded or not.
func anyBase64(s string) ([]byte, bool) {
	s = strings.TrimRight(s, "=")
	s = strings.NewReplacer("-", "+", "_", "/", ".", "+").Replace(s)
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// made checks a hash that has been read.
func made(h Hash, oks ...bool) (Hash, error) {
	if slices.Contains(oks, false) {
		return Hash{}, ErrRefused
	}
	h.length = len(h.digest)
	if err := h.check(); err != nil {
		return Hash{}, err
	}
	return h, nil
}

// split returns the fields between dollar signs, if there are so many.
func split(s string, n int) ([]string, bool) {
	fields := strings.Split(s, "$")
	if len(fields) != n {
		return make([]string, n), false
	}
	return fields, true
}

// readArgon2 reads PHC's form. Without a version it is version 16, of which the digest is another.
func readArgon2(s string) (Hash, error) {
	f, ok := split(s, 5)
	numbers, named := named(f[2], "m", "t", "p")
	if !ok || !named || f[1] != "v=19" || f[0] != argon2i && f[0] != argon2id {
		return Hash{}, ErrRefused
	}
	salt, ok1 := anyBase64(f[3])
	digest, ok2 := anyBase64(f[4])
	return made(Hash{kind: f[0], n: numbers[1], r: numbers[0], p: numbers[2], parts: [][]byte{salt}, digest: digest}, ok1, ok2)
}

// readDjangoPBKDF2: the salt is text.
func readDjangoPBKDF2(kind, s string) (Hash, error) {
	f, ok := split(s, 3)
	n, ok1 := number(f[0])
	digest, ok2 := anyBase64(f[2])
	return pbkdf2Of(kind, n, []byte(f[1]), digest, ok && ok1 && ok2)
}

// readPBKDF2 reads Kratos' form, i=N,l=L, and passlib's, where the number stands alone.
func readPBKDF2(kind, s string) (Hash, error) {
	f, ok := split(s, 3)
	n, isNumber := number(f[0])
	if !isNumber {
		numbers, named := named(f[0], "i", "l")
		if !named {
			return Hash{}, ErrRefused
		}
		n = numbers[0]
	}
	salt, ok1 := anyBase64(f[1])
	digest, ok2 := anyBase64(f[2])
	return pbkdf2Of(kind, n, salt, digest, ok && ok1 && ok2)
}

// pbkdf2Of keeps the first block of a digest: those behind it are computed by themselves and say nothing more.
func pbkdf2Of(kind string, n int, salt, digest []byte, ok bool) (Hash, error) {
	h := Hash{kind: kind, n: n, parts: [][]byte{salt}, digest: digest}
	if block := newHash[h.inner()]().Size(); len(digest) > block && len(digest) <= maxDigest {
		h.digest = digest[:block]
	}
	return made(h, ok)
}

// readDjangoScrypt: the salt is text, and N plain.
func readDjangoScrypt(s string) (Hash, error) {
	f, ok := split(s, 5)
	n, ok1 := number(f[0])
	r, ok2 := number(f[2])
	p, ok3 := number(f[3])
	digest, ok4 := anyBase64(f[4])
	return made(Hash{kind: scryptKind, n: n, r: r, p: p, parts: [][]byte{[]byte(f[1])}, digest: digest}, ok, ok1, ok2, ok3, ok4)
}

// power is N of a field that has its logarithm; Kratos writes N itself there, which is 32 or more.
func power(ln int) int {
	if ln < 32 {
		return int(math.Ldexp(1, ln))
	}
	return ln
}

func readScrypt(s string) (Hash, error) {
	f, ok := split(s, 3)
	numbers, named := named(f[0], "ln", "r", "p")
	if !ok || !named {
		return Hash{}, ErrRefused
	}
	salt, ok1 := anyBase64(f[1])
	digest, ok2 := anyBase64(f[2])
	return made(Hash{kind: scryptKind, n: power(numbers[0]), r: numbers[1], p: numbers[2], parts: [][]byte{salt}, digest: digest}, ok1, ok2)
}

// readFirescrypt reads Kratos' form of Firebase's hashes.
func readFirescrypt(s string) (Hash, error) {
	f, ok := split(s, 5)
	numbers, named := named(f[0], "ln", "r", "p")
	if !ok || !named {
		return Hash{}, ErrRefused
	}
	return firebaseOf(power(numbers[0]), numbers[1], numbers[2], f[1], f[2], f[3], f[4])
}

// readFbscrypt reads Supabase's.
func readFbscrypt(s string) (Hash, error) {
	f, ok := split(s, 3)
	head, key, ok1 := strings.Cut(f[0], ",sk=")
	head, separator, ok2 := strings.Cut(head, ",ss=")
	numbers, named := named(head, "v", "n", "r", "p")
	if !ok || !ok1 || !ok2 || !named || numbers[0] != 1 {
		return Hash{}, ErrRefused
	}
	return firebaseOf(power(numbers[1]), numbers[2], numbers[3], f[1], f[2], separator, key)
}

// firebaseOf takes the salt, the digest, the separator and the project's key in base64.
func firebaseOf(n, r, p int, texts ...string) (Hash, error) {
	var parts [4][]byte
	all := true
	for i, text := range texts {
		var ok bool
		parts[i], ok = anyBase64(text)
		all = all && ok
	}
	return made(Hash{kind: firebase, n: n, r: r, p: p, parts: [][]byte{parts[0], parts[2], parts[3]}, digest: parts[1]}, all)
}

// readDjangoDigest: the hash of the salt and the password, in hexadecimal.
func readDjangoDigest(kind, s string) (Hash, error) {
	f, ok := split(s, 2)
	digest, err := hex.DecodeString(f[1])
	return made(Hash{kind: kind, parts: [][]byte{[]byte(f[0]), nil}, digest: digest}, ok, err == nil)
}

// readDigest reads Kratos' forms: the digest alone, or a pattern of {SALT} and {PASSWORD}, a salt and the digest.
func readDigest(kind, s string) (Hash, error) {
	if digest, ok := anyBase64(s); ok {
		return made(Hash{kind: kind, parts: [][]byte{nil, nil}, digest: digest})
	}
	f, ok := split(s, 3)
	text, isPattern := strings.CutPrefix(f[0], "pf=")
	pattern, ok1 := anyBase64(text)
	salt, ok2 := anyBase64(f[1])
	digest, ok3 := anyBase64(f[2])
	before, after, found := strings.Cut(string(pattern), "{PASSWORD}")
	if strings.Contains(after, "{PASSWORD}") {
		return Hash{}, ErrRefused
	}
	fill := func(s string) []byte { return []byte(strings.ReplaceAll(s, "{SALT}", string(salt))) }
	return made(Hash{kind: kind, parts: [][]byte{fill(before), fill(after)}, digest: digest}, ok, isPattern, ok1, ok2, ok3, found)
}

// readHMAC reads Kratos' form: the digest in hexadecimal, in base64, and the key.
func readHMAC(s string) (Hash, error) {
	f, ok := split(s, 3)
	if kinds["hmac-"+f[0]] == 0 {
		return Hash{}, ErrUnknown
	}
	text, ok1 := anyBase64(f[1])
	digest, err := hex.DecodeString(string(text))
	key, ok2 := anyBase64(f[2])
	return made(Hash{kind: "hmac-" + f[0], parts: [][]byte{key}, digest: digest}, ok, ok1, ok2, err == nil)
}

// readLDAP reads RFC 2307's forms: the digest, and the salt behind it.
func readLDAP(kind, s string) (Hash, error) {
	b, ok := anyBase64(s)
	size := newHash[kind]().Size()
	if !ok || len(b) < size {
		return Hash{}, ErrRefused
	}
	return made(Hash{kind: kind, parts: [][]byte{nil, b[size:]}, digest: b[:size]})
}
