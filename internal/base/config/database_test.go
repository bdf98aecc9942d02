package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// DB-1: the URL handed on, and what is said of it in production.
func TestDB1_SSLMode(t *testing.T) {
	const p = goodPassword
	for _, tt := range []struct{ given, want, verdict string }{
		{"postgres://g:" + p + "@db.acme.org/g", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@db.acme.org", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@db.acme.org/g?", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@db.acme.org/g?application_name=x", "&sslmode=verify-full", ""},
		{"postgres://g:" + p + "@a.acme.org:5432,b.acme.org:5433/g", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@127.0.0.1,b.acme.org/g", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@[::1]:5432,[2001:db8::1]:5432/g", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@127.0.0.1/g?host=db.acme.org", "&sslmode=verify-full", ""},
		{"postgres://g:" + p + "@127.0.0.1.acme.org/g", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@localhost.acme.org/g", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@0.0.0.0/g", "?sslmode=verify-full", ""},
		{"postgres://g:" + p + "@localhost/g", "", ""},
		{"postgres://g:" + p + "@127.0.0.1:5433/g", "", ""},
		{"postgres://g:" + p + "@[::1]/g", "", ""},
		{"postgres://g:" + p + "@/g?host=/run/postgresql", "", ""},
		{"postgres://g:" + p + "@db.acme.org/g?host=127.0.0.1", "", ""},
		{"postgres://g:" + p + "@localhost/g?sslmode=disable", "", ""},
		{"postgres://g:" + p + "@db.acme.org/g?sslmode=verify-full", "", ""},
		{"postgres://g:" + p + "@db.acme.org/g?sslmode=verify-ca", "", "warned"},
		{"postgres://g:" + p + "@db.acme.org/g?sslmode=require", "", "warned"},
		{"postgres://g:" + p + "@db.acme.org/g?sslmode=prefer", "", "refused"},
		{"postgres://g:" + p + "@db.acme.org/g?sslmode=allow", "", "refused"},
		{"postgres://g:" + p + "@db.acme.org/g?sslmode=disable", "", "refused"},
		{"postgres://g:" + p + "@db.acme.org/g?ssl%6dode=disable", "", "refused"},
		{"postgres://g:" + p + "@db.acme.org/g?sslmode=%64isable", "", "refused"},
		{"postgres://g:" + p + "@localhost,db.acme.org/g?sslmode=disable", "", "refused"},
		{"postgres://g:" + p + "@localhost%2Cdb.acme.org/g?sslmode=disable", "", "unreadable"},
	} {
		t.Run(tt.given, func(t *testing.T) {
			if tt.verdict != "unreadable" {
				c := mustLoad(t, "DATABASE_URL="+tt.given)
				if got, want := c.Database.URL.Reveal(), strings.TrimSuffix(tt.given, "?")+tt.want; got != want {
					t.Errorf("handed on as %s, want %s", got, want)
				}
			}
			c, err := load(production("DATABASE_URL=" + tt.given)...)
			switch {
			case (err != nil) != (tt.verdict == "refused" || tt.verdict == "unreadable"):
				t.Errorf("production: %v", err)
			case err == nil && (len(c.Warnings) == 1) != (tt.verdict == "warned"):
				t.Errorf("production: warnings %q", c.Warnings)
			case tt.verdict == "warned":
				mode := tt.given[strings.LastIndex(tt.given, "=")+1:]
				want := "DATABASE_URL: With sslmode=" + mode + " another server could impersonate the database. Use verify-full."
				if !strings.HasPrefix(c.Warnings[0], want) {
					t.Errorf("production: warned %q, want %q", c.Warnings[0], want)
				}
			case tt.verdict == "refused" && !strings.Contains(strings.Join(strings.Fields(err.Error()), " "),
				"may be unencrypted. mend: Write sslmode=verify-full"):
				t.Errorf("production: %v", err)
			}
		})
	}
}

// TestDatabaseURLs: what can be read in two ways, or says where to go only by
// the way, is refused; and the pieces are not repeated.
func TestDatabaseURLs(t *testing.T) {
	for _, bad := range []string{
		"mysql://g@h/g", "POSTGRES://g@h/g", "postgres:g@h/g", "host=h user=g password=Zq7Kx9Wv", "Zq7Kx9Wv",
		"postgres://", "postgres:///g", "postgres://g@/g", "postgres://g@h1,,h2/g", "postgres://g@h:0x1/g", "postgres://g@h:99999/g",
		"postgres://g:Zq7K@x9Wv@h/g", "postgres://g:Zq7K/x9Wv@h/g", "postgres://g:12/Zq7Kx9Wv@h/g", "postgres://g:12/Zq7Kx9Wv@h", "postgres://g:12?a=Zq7Kx9Wv@h",
		"postgres://g:12?Zq7Kx9Wv@h/g",
		"postgres://g:Zq7K#x9Wv@h/g", "postgres://g:Zq7K x9Wv@h/g", "postgres://g:Zq7K[x9Wv@h/g", "postgres://g:Zq7K%x9Wv@h/g", "postgres://g:%00Zq7Kx9Wv@h/g",
		"postgres://g:Zq7Kx9Wv", "postgres://g:Zq7Kx9Wv/g", "postgres://g:Zq7Kx9Wv@evil@127.0.0.1/g",
		"postgres://g@h/g/Zq7Kx9Wv", "postgres://g@h/g?Zq7Kx9Wv", "postgres://g@h/g?a=b=Zq7Kx9Wv", "postgres://g@h/g?sslmode=disable&sslmode=verify-full",
		"postgres://g@h/g?dbname=a&database=b", "postgres://g@h/g?sslmode=", "postgres://g@h/g?sslmode=Zq7Kx9Wv", "postgres://g@h/g?sslmode=DISABLE",
		"postgres://g@h/g?SSLMODE=disable",
		"postgres://g@h/g?ssl=true", "postgres://g@h/g?service=prod", "postgres://g@h/g?servicefile=/x", "postgres://g@h/g?hostaddr=192.0.2.1",
		"postgres://g@[::1/g", "postgres://g@[::1]x/g", "postgres://g@h]/g", "postgres://g@h%20x/g", "postgres://g@h/g?host=", "postgres://g@h/g?&",
		"sqlite:", "sqlite:/", "sqlite:.", "sqlite:./data/", "sqlite:..", "sqlite:///srv/x.db", "sqlite://x.db", "sqlite::memory:", "sqlite:file::memory:",
		"sqlite:x.db?mode=ro", "sqlite:~/x.db",
	} {
		f := faultsOf(t, second(load("DATABASE_URL="+bad)))
		if len(f.List) != 1 || f.List[0].Setting != "DATABASE_URL" {
			t.Errorf("%s: %v", bad, f)
		}
		for _, piece := range []string{"Zq7K", "x9Wv"} {
			if strings.Contains(f.Error(), piece) {
				t.Errorf("%s: a piece of the password is shown:\n%v", bad, f)
			}
		}
	}
}

// agrees checks that pgx, which connects, sees in an accepted URL the hosts
// that were judged, and uses TLS with each that is another machine.
func agrees(t *testing.T, handedOn string) {
	t.Helper()
	for _, name := range []string{"PGHOST", "PGSERVICE", "PGSSLMODE", "PGPASSWORD", "PGSSLROOTCERT"} {
		t.Setenv(name, "")
	}
	p, problem := splitPostgres(handedOn)
	if problem != "" || p.decode() != "" {
		t.Fatalf("what was handed on can't be read again: %s", handedOn)
	}
	c, err := pgconn.ParseConfig(handedOn)
	if err != nil {
		// It may name files that are not there, or a parameter of its own
		// that is wrong: then nothing connects.
		return
	}
	if c.Password != p.password || p.user != "" && c.User != p.user || p.name != "" && c.Database != p.name {
		t.Errorf("%s: pgx sees user %q, password %q, database %q", handedOn, c.User, c.Password, c.Database)
	}
	mode, _ := p.param("sslmode")
	for _, one := range append(c.Fallbacks, &pgconn.FallbackConfig{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}) {
		found := false
		for _, host := range p.hosts {
			found = found || host == one.Host
		}
		if !found {
			t.Errorf("%s: pgx goes to %q, judged were %q", handedOn, one.Host, p.hosts)
		}
		ip, err := netip.ParseAddr(one.Host)
		local := one.Host == "localhost" || strings.HasPrefix(one.Host, "/") || err == nil && ip.Unmap().IsLoopback()
		if !local && one.TLSConfig == nil && mode != "disable" && mode != "allow" && mode != "prefer" {
			t.Errorf("%s: pgx speaks in the clear to %q", handedOn, one.Host)
		}
		if !local && mode == "verify-full" && one.TLSConfig.InsecureSkipVerify {
			t.Errorf("%s: pgx does not check the certificate of %q", handedOn, one.Host)
		}
	}
}

// FuzzDatabaseURL: no URL gets past the rules by being read differently by the
// driver, and none shows its password.
func FuzzDatabaseURL(f *testing.F) {
	for _, seed := range []string{
		"postgres://g:h8Kz3pWq9TnXv2Ld@db.acme.org:5432/g?sslmode=require", "postgres://a:b@[::1]:1,h/d", "postgresql://@h",
		"postgres://g@/d?host=/run,h&port=1,2", "postgres://u:p%40@%2Frun/d?password=x&user=y", "postgres://u:a:b@h:/d?options=-c%20x", "sqlite:./a.db",
		"postgres://0@localhost%3f/", "postgres://h?%68ost=x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := load("DATABASE_URL=" + value)
		if err != nil {
			_ = faultsOf(t, err)
			return
		}
		if c.Database.Kind != PostgreSQL {
			return
		}
		agrees(t, c.Database.URL.Reveal())
		p, _ := splitPostgres(c.Database.URL.Reveal())
		p.rawPassword = strings.Repeat("Zq7Kx9Wv", 2)
		p.hasPassword, p.hasUserinfo = true, true
		if shown := maskPassword(p.assemble(p.rawPassword, p.params)); strings.Contains(shown, "Zq7K") {
			t.Errorf("the password is shown: %s", shown)
		}
	})
}
