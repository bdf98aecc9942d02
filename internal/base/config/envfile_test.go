package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnvFile(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want map[string]string
		bad  int
	}{
		"plain": {"A=b\nC = d \nexport E=f\n\n# comment\nG=h # comment\nI=j#k",
			map[string]string{"A": "b", "C": "d", "E": "f", "G": "h", "I": "j#k"}, 0},
		"byte order mark, CRLF": {"\ufeffA=b\r\nC=d\r\n", map[string]string{"A": "b", "C": "d"}, 0},
		"dollars stay": {"A=pa$5word\nB=\"pa$A\"\nC='pa$A'\nD=${A}\nE=$(id)\nF=\"a\\$b\"",
			map[string]string{"A": "pa$5word", "B": "pa$A", "C": "pa$A", "D": "${A}", "E": "$(id)", "F": "a$b"}, 0},
		"quotes":                 {"A='b # c'\nB=\"d\\\"e\\\\f\"\nC=\"\"\nD='\"x\"'", map[string]string{"A": "b # c", "B": `d"e\f`, "C": "", "D": `"x"`}, 0},
		"comment for a value":    {"A= # none yet\nB=\t#none\nC=#x\nD='# x'", map[string]string{"A": "", "B": "", "C": "#x", "D": "# x"}, 0},
		"the last of two counts": {"A=b\nA=c", map[string]string{"A": "c"}, 0},
		"empty":                  {"", map[string]string{}, 0},
		"unterminated":           {"A=b\nC=\"d\nE=f\nG=h", nil, 2},
		"no equals sign":         {"A=b\n\nhello there\nC=d", nil, 3},
		"no equals sign at last": {"A=b\nhello", nil, 2},
		"no name":                {"A=b\n=c\nD=e", nil, 2},
		"first line":             {"!\nA=b", nil, 1},
		"after a quote":          {"A='b'c\nD=e", nil, 1},
		"quote at its end":       {"A=b\nC=\"d\\\"\"\n", nil, 2},
		"NUL":                    {"A=b\nC=\x00", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			got, line := parseEnvFile([]byte(tt.text))
			if line != tt.bad {
				t.Errorf("bad line %d, want %d", line, tt.bad)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// warned are settings that start with a warning.
var warned = []struct {
	name    string
	environ []string
	envFile string
	want    []string // a piece of each
}{
	{"unknown names in .env", nil, "LOG_LEVL=INFO\nPORT=8000\nPASSWORD_MIN_LENGHT=20\nJWT_SECRET_KEY_FIL=x\nDATABASE_URI=",
		[]string{"DATABASE_URI in the .env file is not a setting and is ignored. The nearest name is DATABASE_URL.", "nearest name is JWT_SECRET_KEY.",
			"LOG_LEVL in the .env file is not a setting and is ignored. The nearest name is LOG_LEVEL.", "nearest name is PASSWORD_MIN_LENGTH.",
			"PORT in the .env file is not a setting"}},
	{"small letters", nil, "log_level=INFO", []string{"is much like LOG_LEVEL. Names are written in capitals."}},
	{"a secret over two lines", nil, "JWT_SECRET_KEY=\"\"\nVq3rTzLk0WnYb5HsXe7JcUoPmD2gAf1iNtR9yQwKE=", []string{"It is not shown"}},
	{"a secret of capitals over two lines", nil, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ====", []string{"It is not shown"}},
	{"names in the environment that look meant", []string{"JWT_SECRET=x", "SESSION_MAX_DAY=3", "LOGLEVEL=x", "REFRESH_TOKEN_DAYS=3", "BCRYPT_ROUNDS=9"}, "",
		[]string{"BCRYPT_ROUNDS in the environment", "JWT_SECRET in the environment is not a setting and is ignored. The nearest name is JWT_SECRET_KEY.",
			"LOGLEVEL in", "REFRESH_TOKEN_DAYS in", "nearest name is SESSION_MAX_DAYS."}},
	{"others in the environment", []string{"PATH=/bin", "HOME=/root", "SESSION_MANAGER=local/x", "PASSWORD_STORE_DIR=/x", "DATABASE=x", "MAIL=/var/mail/x",
		"PGPASSWORD=x", "LANG=C", "JWT_OLD=", "=C:=x", "broken"}, "", nil},
	{"debug in production", production("LOG_LEVEL=DEBUG"), "", []string{"LOG_LEVEL: DEBUG logs more"}},
	{"debug in development", []string{"LOG_LEVEL=DEBUG"}, "", nil},
	{"profiles in production", production("ADMIN_PPROF=TRUE"), "", []string{"ADMIN_PPROF: Anyone who can reach ADMIN_LISTEN_ADDR"}},
	{"profiles in development", []string{"ADMIN_PPROF=true"}, "", nil},
	{"D6 an issuer that is not where the metadata is", production("JWT_ISSUER=https://iss.acme.org"), "", []string{"JWT_ISSUER: It is not PUBLIC_URL"}},
	{"a console that nobody comes in to", production("ADMIN_URL=https://admin.acme.org", "JWT_ISSUER=https://iss.acme.org"), "",
		[]string{"JWT_ISSUER: It is not PUBLIC_URL", "ADMIN_URL: Nobody can come in to the console"}},
	{"an issuer that is no URL", production("JWT_ISSUER=gatehouse"), "", []string{"JWT_ISSUER: It is not PUBLIC_URL", "JWT_ISSUER: It is not an https URL"}},
	{"sslmode require for both roles", production("DATABASE_URL=postgres://g:"+goodPassword+"@db.acme.org/g?sslmode=require",
		"MIGRATE_DATABASE_URL=postgres://o:"+goodPassword+"@db.acme.org/g?sslmode=verify-ca"), "",
		[]string{"DATABASE_URL: With sslmode=require", "MIGRATE_DATABASE_URL: With sslmode=verify-ca"}},
	{"sslmode require for one", production("DATABASE_URL=postgres://g:" + goodPassword + "@db.acme.org/g?sslmode=require"), "",
		[]string{"DATABASE_URL: With sslmode=require"}},
	{"cookies with links from other sites", production("SESSION_COOKIE_SAMESITE=lax"), "",
		[]string{"SESSION_COOKIE_SAMESITE: lax is weaker than the guide's strict"}},
	{"passwords that attackers know", production("PASSWORD_BREACH=off"), "", []string{"PASSWORD_BREACH: Passwords that attackers try first are accepted."}},
	{"revocations that come late", production("REVOCATION_STALE_SECONDS=60"), "", []string{"REVOCATION_STALE_SECONDS: While the database is unavailable"}},
	{"tokens that none but Gatehouse can check", production("JWT_ALGORITHM=HS256"), "",
		[]string{"JWT_ALGORITHM: Applications can't verify tokens with published keys"}},
	{"a key without end", production("JWT_KEY_ROTATION_DAYS=0"), "", []string{"JWT_KEY_ROTATION_DAYS: The key that signs access tokens is never replaced"}},
	{"administrators without a second factor", production("SECOND_FACTOR=none"), "", []string{"SECOND_FACTOR: Administrators sign in with a password alone."}},
	{"an account that is deleted at once", production("ERASURE_GRACE_DAYS=0"), "",
		[]string{"ERASURE_GRACE_DAYS: Whoever comes to a signed-in session"}},
	{"a reset of factors that waits for an hour", production("FACTOR_RESET_WAIT_HOURS=1"), "",
		[]string{"FACTOR_RESET_WAIT_HOURS: Its owner may not read the mail"}},
	{"passkeys for a parent domain", production("PASSKEY_RP_ID=acme.org"), "", []string{"PASSKEY_RP_ID: It is a parent of PUBLIC_URL's host"}},
	{"passkeys at an address", production("PUBLIC_URL=https://192.0.2.7"), "", []string{"PASSKEYS: There are no passkeys"}},
	{"a Redis in the clear", production("REDIS_URL=redis://:" + goodPassword + "@redis.acme.org"), "", []string{"REDIS_URL: What is sent to Redis"}},
}

// ENV-1: each rule of production is shown by what it refuses or warns about.
func TestENV1_EveryRuleOfProductionIsShown(t *testing.T) {
	shown := map[string]bool{}
	for _, tt := range refusals {
		for _, name := range strings.Fields(tt.settings) {
			shown[name] = true
		}
	}
	for _, tt := range warned {
		for _, text := range tt.want {
			name, _, _ := strings.Cut(text, ":")
			shown[name] = true
		}
	}
	for _, s := range table {
		if s.safe != nil && !shown[s.name] {
			t.Errorf("nothing shows what production says of %s", s.name)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range warned {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Load(Source{Environ: tt.environ, ReadFile: files{".env": tt.envFile}.read})
			if err != nil {
				t.Fatal(err)
			}
			ok := len(c.Warnings) == len(tt.want)
			for i := 0; ok && i < len(tt.want); i++ {
				ok = strings.Contains(c.Warnings[i], tt.want[i])
			}
			if !ok {
				t.Errorf("got %q, want %q", c.Warnings, tt.want)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"A", "", 1}, {"LOG_LEVEL", "LOG_LEVEL", 0}, {"LOG_LEVLE", "LOG_LEVEL", 1}, {"LGO_LEVL", "LOG_LEVEL", 2}, {"KITTEN", "SITTING", 3}} {
		if got := distance(tt.a, tt.b); got != tt.want || distance(tt.b, tt.a) != got {
			t.Errorf("%s, %s: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
