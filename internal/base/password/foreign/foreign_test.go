package foreign_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
)

// vectors are from public documents and test suites: Django's, Keycloak's, Firebase's, Supabase's and Kratos'.
var vectors = []struct{ kind, password, stored string }{
	{"pbkdf2-sha256", "lètmein", "pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c="},
	{"scrypt", "lètmein", "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw=="},
	{"argon2i", "secret", "argon2$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q"},
	{"argon2id", "secret", "argon2$argon2id$v=19$m=102400,t=2,p=8$Y041dExhNkljRUUy$TMa6A8fPJhCAUXRhJXCXdw"},
	{"bcrypt", "test", "$2a$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6"},
	{"bcrypt", "test", "$2b$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6"},
	{"bcrypt", "test", "$2y$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6"},
	{"bcrypt", "test", "bcrypt$$2b$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6"},
	{"pbkdf2-sha256", "test", "$pbkdf2-sha256$i=100000,l=32$1jP+5Zxpxgtee/iPxGgOz0RfE9/KJuDElP1ley4VxXc$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI"},
	{"pbkdf2-sha512", "test", "$pbkdf2-sha512$i=100000,l=32$bdHBpn7OWOivJMVJypy2UqR0UnaD5prQXRZevj/05YU$+wArTfv1a+bNGO1iZrmEdVjhA+lL11wF4/IxpgYfPwc"},
	{"scrypt", "test", "$scrypt$ln=16384,r=8,p=1$2npRo7P03Mt8keSoMbyD/tKFWyUzjiQf2svUaNDSrhA=$MiCzNcIplSMqSBrm4HckjYqYhaVPPjTARTzwB1cVNYE="},
	{"scrypt", "test", "$scrypt$ln=14,r=8,p=1$2npRo7P03Mt8keSoMbyD/tKFWyUzjiQf2svUaNDSrhA$MiCzNcIplSMqSBrm4HckjYqYhaVPPjTARTzwB1cVNYE"},
	{"firescrypt", "mytestpassword", "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==," +
		"sk=ou9tdYTGyYm8kuR6Dt0Bp0kDuAYoXrK16mbZO4yGwAn3oLspjnN0/c41v8xZnO1n14J3MjKj1b2g6AUCAlFwMw==" +
		"$C0sHCg9ek77hsg==$zKVTMvnWVw5BBOZNUdnsalx4c4c7y/w7IS5p6Ut2+CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84+hfTw=="},
	{"firescrypt", "8x4WjoDbSxJZdR", "$firescrypt$ln=14,r=8,p=1$sPtDhWcd1MfdAw==$" +
		"xbSou7FOl6mChCyzpCPIQ7tku7nsQMTFtyOZSXXd7tjBa4NtimOx7v42Gv2SfzPQu1oxM2/k4SsbOu73wlKe1A==" +
		"$Bw==$YE0dO4bwD4JnJafh6lZZfkp1MtKzuKAXQcDCJNJNyeCHairWHKENOkbh3dzwaCdizzOspwr/FITUVlnOAwPKyw=="},
	{"sha1", "test123", "{SSHA}JFZFs0oHzxbMwkSJmYVeI8MnTDy/276a"},
	{"sha256", "test123", "{SSHA256}czO44OTV17PcF1cRxWrLZLy9xHd7CWyVYplr1rOhuMlx/7IK"},
	{"sha512", "test123", "{SSHA512}xPUl/px+1cG55rUH4rzcwxdOIPSB2TingLpiJJumN2xyDWN4Ix1WQG3ihnvHaWUE8MYNkvMi5rf0C9NYixHsE6Yh59M="},
	{"sha1", "BwS^514g^cv@Z", "$sha1$pf=e1NBTFR9e1BBU1NXT1JEfQ==$NW9wbWtnejAzcg==$99h9net4BXl7qdTRaiGUobLROxM="},
	{"sha1", "test", "$sha1$pf=JHtQQVNTV09SRH0ke1NBTFR9JA==$NW9wbWtnejAzcg==$iE5n1yjX3oAdxRHwZ4u57I4LpQo="},
	{"sha256", "test", "$sha256$pf=e1NBTFR9JCR7UEFTU1dPUkR9$NW9wbWtnejAzcg==$HokCOi9OtiZaZRvnkgemV3B4UUHpI7kA8zq/EZWH2NY="},
	{"md5", "ory", "$md5$ptoWyof5SobW+pbZu2QXoQ=="},
	{"md5", "test", "$md5$pf=e1NBTFR9JCR7UEFTU1dPUkR9$MTIzNA==$ud392Z8rfZ+Ou7ZFXYLKbA=="},
	{"md5", "lètmein", "md5$seasalt$3f86d0d3d465b7b458c231bf3555c0e3"},
	{"sha1", "lètmein", "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8"},
}

// Everybody's password is right, and no other, before a hash is kept and after it was read again.
func TestPublicVectors(t *testing.T) {
	for _, v := range vectors {
		h, err := foreign.Parse(v.stored)
		if err != nil || h.Kind() != v.kind {
			t.Errorf("%s: kind %q, %v", v.stored, h.Kind(), err)
			continue
		}
		matches(t, h, v.password)
	}
}

func matches(t *testing.T, h foreign.Hash, password string) {
	t.Helper()
	kept, err := foreign.Read(h.String())
	if err != nil || kept.String() != h.String() {
		t.Fatalf("%s is read as %s, %v", h, kept, err)
	}
	for _, one := range []foreign.Hash{h, kept} {
		if ok, err := one.Matches([]byte(password)); !ok || err != nil {
			t.Errorf("%s does not match %q: %v", one, password, err)
		}
		if ok, err := one.Matches([]byte(password + "x")); ok || err != nil {
			t.Errorf("%s matches another password: %v", one, err)
		}
	}
	if h.Kind() == "bcrypt" || h.Kind() == "bcrypt-sha256" {
		return
	}
	bare, err := foreign.ReadBare(h.Bare())
	if err != nil {
		t.Fatalf("%s: %v", h.Bare(), err)
	}
	if digest, err := bare.Derive([]byte(password)); err != nil || string(digest) != string(h.Digest()) {
		t.Errorf("%s derives another digest: %v", h.Bare(), err)
	}
}

func TestKeycloakAndFirebase(t *testing.T) {
	h, err := foreign.Keycloak(`{"value":"BruFLfFkjH/8erZ26NnrbkOrWiZuQyDRCHD9o0R6Scg=","salt":"Cf9AYCE5pAbb4CKEF0GUTA==","additionalParameters":{}}`,
		`{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"type":["id"],`+
			`"version":["1.3"],"parallelism":["1"]}}`)
	if err != nil {
		t.Fatal(err)
	}
	matches(t, h, "password")
	key := foreign.FirebaseKey{
		SignerKey:     "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
		SaltSeparator: "Bw==", Rounds: 8, MemCost: 14,
	}
	h, err = key.Hash("42xEC+ixf3L2lw==", "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==")
	if err != nil {
		t.Fatal(err)
	}
	matches(t, h, "user1password")
	// Firebase's exports have the alphabet for URLs.
	if _, err = key.Hash("42xEC-ixf3L2lw==", "lSrfV15cpx95_sZS2W9c9Kp6i_LVgQNDNC_qzrCnh1SAyZvqmZqAjTdn3aoItz-VHjoZilo78198JAdRuid5lQ=="); err != nil {
		t.Error(err)
	}
	// Of a digest of 64 bytes the first block decides.
	long := strings.Repeat("A", 86) + "=="
	h, err = foreign.Keycloak(`{"value":"`+long+`","salt":"Cf9AYCE5pAbb4CKEF0GUTA=="}`, `{"hashIterations":27500,"algorithm":"pbkdf2-sha256"}`)
	if err != nil || len(h.Digest()) != 32 || h.Rounds() > 200 {
		t.Errorf("%d bytes, %d rounds, %v", len(h.Digest()), h.Rounds(), err)
	}
}

// Whoever wrote the file can't have the server compute for minutes, or compute something else than the other system did.
func TestHostileHashesAreRefused(t *testing.T) {
	for _, s := range []string{
		"$2x$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6", // a broken algorithm of its own
		"$2a$15$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6",
		"$2a$31$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6",
		"$2a$03$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6",
		"$2a$+9$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6",
		"argon2$argon2i$m=8,t=1,p=1$c29tZXNhbHQ$gwQOXSNhxiOxPOA0+PY10P9QFO4NAYysnqRt1GSQLE55m+2GYDt9FEjPMHhP2Cuf0nOEXXMocVrsJAtNSsKyfg", // version 16
		"$argon2d$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q",
		"$argon2id$v=19$m=262145,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q",
		"$argon2id$v=19$m=8,t=2147483647,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q",
		"$argon2id$v=19$m=7,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q",
		"$argon2id$v=19$m=8,t=1,p=0$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q",
		"pbkdf2_sha256$2147483648$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"pbkdf2_sha256$2000001$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"pbkdf2_sha256$0$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"pbkdf2_sha256$1000$$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"pbkdf2_sha256$1000$" + strings.Repeat("s", 65) + "$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=",
		"pbkdf2_sha256$1000$seasalt$AAAA",
		"scrypt$2147483648$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==",
		"scrypt$262144$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==",
		"scrypt$16383$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==",
		"scrypt$16384$seasalt$8$5$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw==",
		"$scrypt$ln=31,r=8,p=1$2npRo7P03Mt8keSoMbyD/tKFWyUzjiQf2svUaNDSrhA$MiCzNcIplSMqSBrm4HckjYqYhaVPPjTARTzwB1cVNYE",
		"$scrypt$ln=14,r=2147483647,p=1$2npRo7P03Mt8keSoMbyD/tKFWyUzjiQf2svUaNDSrhA$MiCzNcIplSMqSBrm4HckjYqYhaVPPjTARTzwB1cVNYE",
		"$sha1$pf=e1BBU1NXT1JEfXtQQVNTV09SRH0=$NW9wbWtnejAzcg==$99h9net4BXl7qdTRaiGUobLROxM=", // the password twice
		"md5$seasalt$3f86", "{SSHA}AAAA", strings.Repeat("$2a$", 1000),
	} {
		if h, err := foreign.Parse(s); !errors.Is(err, foreign.ErrRefused) {
			t.Errorf("%.80s: %s, %v", s, h, err)
		}
	}
	for _, s := range []string{"$P$B1234", "$6$rounds=5000$salt$hash", "cafe", "$hmac-md4$QQ$QQ"} {
		if _, err := foreign.Parse(s); !errors.Is(err, foreign.ErrUnknown) {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "!", "!Xyz", "*"} {
		if _, err := foreign.Parse(s); !errors.Is(err, foreign.ErrNone) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// What is weak is wrapped: the bounds are OWASP's.
func TestWeak(t *testing.T) {
	for s, weak := range map[string]bool{
		"pbkdf2_sha256$599999$s$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=":           true,
		"pbkdf2_sha256$600000$s$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c=":           false,
		"$argon2id$v=19$m=7168,t=5,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q":              false,
		"$argon2id$v=19$m=7167,t=5,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q":              true,
		"$argon2id$v=19$m=19456,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q":             true,
		"scrypt$131072$s$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafQ=":              false,
		"scrypt$65536$s$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafQ=":               true,
		"$md5$ptoWyof5SobW+pbZu2QXoQ==":                                                 true,
		"$2a$10$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6":                  false,
		"bcrypt_sha256$$2b$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6":    false,
		"$pbkdf2-sha512$i=210000,l=32$bdHBpn7OWOivJMVJypy2UqR0UnaD5prQ$" + vectorDigest: false,
	} {
		if h, err := foreign.Parse(s); err != nil || h.Weak() != weak {
			t.Errorf("%s: weak %t, %v", s, h.Weak(), err)
		}
	}
}

const vectorDigest = "+wArTfv1a+bNGO1iZrmEdVjhA+lL11wF4/IxpgYfPwc"

// FuzzParse: whatever is read is within the limits, and is kept as what it is.
func FuzzParse(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.stored)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := foreign.Parse(s)
		if err != nil {
			return
		}
		again, err := foreign.Read(h.String())
		if err != nil || again.String() != h.String() || again.Kind() != h.Kind() {
			t.Errorf("%q is kept as %q, and read as %q, %v", s, h, again, err)
		}
		if h.Rounds() > 100_000 {
			t.Errorf("%q costs as much as %d rounds", s, h.Rounds())
		}
	})
}

// FuzzRead: a row that somebody altered is refused, or is within the limits as well.
func FuzzRead(f *testing.F) {
	for _, v := range vectors {
		if h, err := foreign.Parse(v.stored); err == nil {
			f.Add(h.String())
			f.Add(h.Bare())
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, read := range []func(string) (foreign.Hash, error){foreign.Read, foreign.ReadBare} {
			if h, err := read(s); err == nil && h.Rounds() > 100_000 {
				t.Errorf("%q costs as much as %d rounds", s, h.Rounds())
			}
		}
	})
}
