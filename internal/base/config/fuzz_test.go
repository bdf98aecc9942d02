package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzLoad: no .env file and no secret's file makes the loader panic; a refusal
// says what is wrong and how to mend it; and settings that are accepted are
// accepted again, with the same meaning, as they are shown (secrets unmasked).
func FuzzLoad(f *testing.F) {
	f.Add("", "")
	f.Add("ENVIRONMENT=production\nPUBLIC_URL=https://auth.acme.org\nJWT_SECRET_KEY_FILE=secret\n", goodKey+"\n")
	f.Add("LISTEN_ADDR=[fe80::1%eth0]:080\nADMIN_LISTEN_ADDR=:0\nLOG_LEVEL=debug", "")
	f.Add("DATABASE_URL=postgres://g:p@h:1,[::1]:2/d?sslmode=require\nDATABASE_URL_FILE=", "x")
	f.Add("DATABASE_URL_FILE=secret\nMIGRATE_DATABASE_URL_FILE=secret", "postgresql://g:a:b@/d?host=/run,h")
	f.Add("export REFRESH_TOKEN_EXPIRE_DAYS=30 # a\nPASSWORD_MIN_LENGTH: 8\nJWT_ISSUER=\"a$b\"", "")
	f.Add("PUBLIC_URL=HTTP://A.b:80/\nBACKUP_S3_X=1\nLOGLEVEL=2\nA='", "\x00")
	f.Add("REDIS_URL=redis://g:p@[::1]:1/2?master_name=m&addr=h:2&sentinel_password=%2F", "")
	f.Add("REDIS_URL=rediss://:p@h?cluster=true&ca=/x&cert=/y&key=/z", "")
	f.Fuzz(func(t *testing.T, envFile, secret string) {
		c, err := Load(Source{ReadFile: files{".env": envFile, "secret": secret}.read})
		if err != nil {
			for _, one := range faultsOf(t, err).List {
				if one.Setting == "" || one.Problem == "" || one.Mend == "" {
					t.Errorf("a fault lacks a part: %+v", one)
				}
			}
			return
		}
		var environ []string
		for _, s := range table {
			environ = append(environ, s.name+"="+s.field.show(c))
		}
		again, err := load(environ...)
		if err != nil {
			t.Fatalf("refused at the second time: %v", err)
		}
		if diff := cmp.Diff(c, again, sameConfig, cmpopts.IgnoreFields(Config{}, "Warnings")); diff != "" {
			t.Errorf("-first +second:\n%s", diff)
		}
		c.Report()
	})
}
