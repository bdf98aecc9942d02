package config

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// N5: words that other programs take for the level of a log, and for yes and no.
func TestCaseN5_WordsInAnyCaseAndOtherPrograms(t *testing.T) {
	for word, want := range map[string]slog.Level{
		"warn": slog.LevelWarn, "WARN": slog.LevelWarn, "Warning": slog.LevelWarn, "debug": slog.LevelDebug, "Info": slog.LevelInfo, "eRRoR": slog.LevelError,
	} {
		if c := mustLoad(t, "LOG_LEVEL="+word); c.LogLevel != want {
			t.Errorf("%s: %v", word, c.LogLevel)
		}
	}
	for word, want := range map[string]bool{"1": true, "yes": true, "On": true, "TRUE": true, "0": false, "No": false, "off": false, "false": false} {
		if c := mustLoad(t, "PASSWORD_REQUIRE_DIGIT="+word); c.PasswordRequireDigit != want {
			t.Errorf("%s: %v", word, c.PasswordRequireDigit)
		}
	}
}

// F13: what was a secret with its marks stays one, as the previous; and a NAME_FILE that
// nobody reads is warned of, wherever it stands.
func TestCaseF13_MarksAndFilesThatNobodyReads(t *testing.T) {
	c := mustLoad(t, "JWT_SECRET_KEY="+goodKey, `JWT_SECRET_KEY_PREVIOUS="`+goodKey+`x"`)
	if c.JWTSecretKeyPrevious.Reveal() != `"`+goodKey+`x"` {
		t.Error("the previous secret is not taken as it is")
	}
	if c := mustLoad(t, `MAIL_TEMPLATES="/etc/mail"`); len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "quotation mark") {
		t.Errorf("%v", c.Warnings)
	}
	if c := mustLoad(t, `MAIL_FROM="Acme" <no-reply@acme.org>`); len(c.Warnings) != 0 {
		t.Errorf("%v", c.Warnings)
	}
	for _, c := range []*Config{
		mustLoad(t, "PUBLIC_URL_FILE=/run/url"),
		must(Load(Source{ReadFile: files{".env": "PUBLIC_URL_FILE=/run/url\n"}.read})),
	} {
		if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "PUBLIC_URL_FILE in the") || strings.Contains(c.Warnings[0], "/run/url") {
			t.Errorf("%q", c.Warnings)
		}
	}
	if c := mustLoad(t, "PATH_FILE=/x", "SSL_CERT_FILE=/y", "TLS_CERT_FILE=/c", "TLS_KEY_FILE=/k"); len(c.Warnings) != 0 {
		t.Errorf("files of others: %q", c.Warnings)
	}
}

func must(c *Config, err error) *Config {
	if err != nil {
		panic(err)
	}
	return c
}

// V13.3.2, N10: a secret's file, or a .env file with a secret, that others can get at is
// refused in production and warned of in development; so is the key of the certificate.
func TestASVS_V13_3_2_FilesOfSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	none := write("none.env", "", 0o600)
	for mode, safe := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o440: true, 0o644: false, 0o444: false, 0o604: false, 0o660: false,
		0o666: false, 0o602: false} {
		key, env := write("key", goodKey, mode), write("env", "JWT_SECRET_KEY="+goodKey+"\n", mode)
		plain := write("plain.env", "LOG_LEVEL=info\nDATABASE_URL=sqlite:./data/gatehouse.db\n", mode)
		for name, s := range map[string]Source{
			"JWT_SECRET_KEY_FILE": {Environ: []string{"PUBLIC_URL=https://auth.acme.org", "JWT_SECRET_KEY_FILE=" + key}, EnvFile: none},
			"TLS_KEY_FILE": {Environ: []string{"PUBLIC_URL=https://auth.acme.org", "JWT_SECRET_KEY=" + goodKey, "TLS_CERT_FILE=/c", "TLS_KEY_FILE=" + key},
				EnvFile: none},
			".env": {Environ: []string{"PUBLIC_URL=https://auth.acme.org"}, EnvFile: env},
			"":     {Environ: []string{"PUBLIC_URL=https://auth.acme.org", "JWT_SECRET_KEY=" + goodKey}, EnvFile: plain},
		} {
			c, err := Load(s)
			if err != nil {
				t.Fatalf("%s %o in development: %v", name, mode, err)
			}
			safe := safe || name == "" || name == ".env" && mode&0o022 == 0
			if warned := strings.Contains(strings.Join(c.Warnings, "\n"), "Production refuses that"); warned == safe {
				t.Errorf("%s %o in development: %q", name, mode, c.Warnings)
			}
			s.Environ = append(s.Environ, "ENVIRONMENT=production")
			c, err = Load(s)
			if readable := mode&0o004 != 0; err == nil && name == ".env" && strings.Contains(strings.Join(c.Warnings, "\n"), "chmod 600") != readable {
				t.Errorf("a .env file of mode %o in production: %q", mode, c.Warnings)
			}
			if (err == nil) != safe {
				t.Errorf("%s %o in production: %v", name, mode, err)
			}
			if err != nil && (!strings.Contains(err.Error(), "\n"+name) || strings.Contains(err.Error(), goodKey) || strings.Contains(err.Error(), dir)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What Kubernetes mounts is readable by all in its container, and leads through a folder
// that it swaps.
func TestASVS_V13_3_2_MountedSecrets(t *testing.T) {
	dir := t.TempDir()
	generation := filepath.Join(dir, "..2026_11_29_10_00_00.123")
	key := filepath.Join(dir, "key")
	for _, err := range []error{
		os.Mkdir(generation, 0o755), os.WriteFile(filepath.Join(generation, "key"), []byte(goodKey), 0o644), os.Chmod(filepath.Join(generation, "key"), 0o644),
		os.Symlink(filepath.Base(generation), filepath.Join(dir, "..data")), os.Symlink("..data/key", key),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if why, _ := Exposed(key); why != "" {
		t.Error(why)
	}
	if err := os.Chmod(key, 0o666); err != nil {
		t.Fatal(err)
	}
	if why, _ := Exposed(key); !strings.Contains(why, "written") {
		t.Errorf("%q", why)
	}
}
