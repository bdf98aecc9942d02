package config

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// JWT-1: what people think up is refused, however long.
func TestJWT1_EasySecrets(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("a", 64),
		strings.Repeat("a", 31) + "b",
		strings.Repeat("abc", 20),
		strings.Repeat("Vq3-8rTz", 8), // a good start, over and over
		strings.Repeat("Xk9", 10) + "Xk9!",
		strings.Repeat("01", 32),
		"00112233445566778899aabbccddeeff",
		"0123456789abcdef0123456789abcdef",
		"a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6",
		"abcdefghijklmnopqrstuvwxyz0123456789",
		"qwertyuiopasdfghjklzxcvbnm1234567890",
		"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,",
		"11111111111111112222222222222222",
		"password-password-password-password!",
		"P@ssw0rd-P@ssw0rd-P@ssw0rd-P@ssw0rd",
		"gatehouse-production-jwt-signing-key-2026",
		"this is the secret key for the server",
		"thequickbrownfoxjumpsoverthelazydog1",
		"MyCompanyLoginServerSecretKey2026!!!",
		"correct horse battery staple correct",
		"................................",
		"🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂",
	} {
		err := second(load("JWT_SECRET_KEY=" + s))
		if err == nil {
			t.Errorf("%q is accepted, with %.0f bits", s, guessBits(s))
			continue
		}
		if f := faultsOf(t, err); len(f.List) != 1 || f.List[0].Setting != "JWT_SECRET_KEY" || !strings.Contains(f.List[0].Mend, "gatehouse secret") {
			t.Errorf("%q: %v", s, f)
		}
	}
}

// JWT-1, DB-3: nothing random is refused, whatever alphabet it is drawn from.
// The figures in strength.go come from here.
func TestJWT1_RandomSecretsPass(t *testing.T) {
	source := rand.NewChaCha8([32]byte{7})
	draw := func(n int) []byte {
		b := make([]byte, n)
		_, _ = source.Read(b)
		return b
	}
	lowest := map[string]float64{}
	note := func(kind, text string) {
		if bits, ok := lowest[kind], guessBits(text); bits == 0 || ok < bits {
			lowest[kind] = ok
		}
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for range 1000 {
		note("key hexadecimal", hex.EncodeToString(draw(16)))
		note("key base64url", base64.RawURLEncoding.EncodeToString(draw(32)))
		note("key base64", base64.StdEncoding.EncodeToString(draw(24)))
		var b strings.Builder
		for _, c := range draw(12) {
			b.WriteByte(letters[int(c)%len(letters)])
		}
		note("password letters", b.String())
		note("password hexadecimal", hex.EncodeToString(draw(8)))
	}
	for kind, bits := range lowest {
		least := float64(passwordBits)
		if strings.HasPrefix(kind, "key") {
			least = secretKeyBits
		}
		if kind == "key hexadecimal" {
			least = hexKeyBits
		}
		t.Logf("%s: %.1f bits at least", kind, bits)
		if bits < least {
			t.Errorf("%s: a random one has %.1f bits, under %.0f", kind, bits, least)
		}
	}
}

// DB-3: passwords of a database.
func TestDB3_Passwords(t *testing.T) {
	const local = "@127.0.0.1/gate"
	refused := []string{
		"postgres", "password", "secret", "admin", "gate", "Gate", "12345678901234", "passwordpassword", "postgrespostgres",
		"Password12345", "P%40ssw0rd2026!", "qwertyuiop12", "gatehouse2026!", "Summer2026!!!", "aaaaaaaaaaaaaaaa",
		"correcthorsebatterystaple", "letmeinletmein", "AdminAdmin123", "abcabcabcabc", "<password>", "your-password-here",
		"STRONG_PASSWORD", "ChangeMe12345678", "%63hangeme-h8Kz3pWq9TnXv2Ld", "x", "databasepassword", "Gatehouse-prod-1",
	}
	for _, password := range refused {
		f := faultsOf(t, second(load(production("DATABASE_URL=postgres://gate:"+password+local)...)))
		if len(f.List) != 1 || f.List[0].Setting != "DATABASE_URL" {
			t.Errorf("%s: %v", password, f)
		}
		// As a parameter it is the same password.
		if _, err := load(production("DATABASE_URL=postgres://gate" + local + "?password=" + password)...); err == nil {
			t.Errorf("%s is let through as a parameter", password)
		}
		// Development has its own.
		mustLoad(t, "DATABASE_URL=postgres://gate:"+password+local)
	}
	for _, good := range []string{
		"DATABASE_URL=postgres://gate:" + goodPassword + "@db.acme.org/gate",
		"DATABASE_URL=postgres://gate:p%40ss%2Fh8Kz3pWq9TnXv2Ld@db.acme.org/gate",
		"DATABASE_URL=postgres://gate@127.0.0.1/gate",
		"DATABASE_URL=postgres://gate@/gate?host=/var/run/postgresql",
		"DATABASE_URL=postgres://gate@%2Fvar%2Frun%2Fpostgresql/gate",
		"DATABASE_URL=postgres://gate@db.acme.org/gate?sslcert=/etc/c.pem&sslkey=/etc/k.pem",
		"DATABASE_URL=sqlite:/srv/gatehouse.db",
	} {
		mustLoad(t, production(good)...)
	}
}

func TestPlaceholders(t *testing.T) {
	for value, want := range map[string]string{
		"CHANGE_THIS_TO_A_SECURE_RANDOM_STRING_AT_LEAST_32_CHARS":         "CHANGE_THIS RANDOM_STRING",
		"postgresql://db_user:STRONG_PASSWORD@db_host:5432/production_db": "db_user STRONG_PASSWORD db_host production_db",
		"postgresql://db%5Fuser:h8Kz3pWq9TnXv2Ld@db.acme.org/gate":        "db_user",
		"https://yourdomain.com":                                          "YOUR_DOMAIN",
		"https://app.your-domain.co.uk":                                   "YOUR_DOMAIN",
		"https://auth.example.com":                                        "example.com",
		"https://EXAMPLE.org:8443":                                        "example.org",
		"redis://redis_host:6379/0":                                       "redis_host",
		"changeme":                                                        "CHANGE_ME",
		"please-change-me-now":                                            "CHANGE_ME",
		"your-super-secret-key-here":                                      "your-…-here",
		"<your key>":                                                      "<…>",
		"https://<host>":                                                  "<…>",
		"${JWT_SECRET}":                                                   "${…}",
		"{{ jwt_secret }}":                                                "{{…}}",
		"xxxxxxxxxxxxxxxx":                                                "xxxxxx",
		"postgres://...":                                                  "......",
		"https://auth.acme.org":                                           "",
		"https://myexample.com":                                           "",
		"https://auth-example.com":                                        "",
		"https://example.community":                                       "",
		"postgres://my_db_user:h8Kz3pWq9TnXv2Ld@db.acme.org/acme_production_db": "",
		"https://output-atmosphere.io":                                          "",
		"h8Kz<3pWq>9TnXv2Ld":                                                    "",
		goodKey:                                                                 "",
	} {
		if got := strings.Join(findPlaceholders(value), " "); got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}
