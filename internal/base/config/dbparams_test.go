package config

import (
	"strings"
	"testing"
)

// F8: a parameter of DATABASE_URL that Gatehouse is not tested with is refused when
// the settings are read, with the mend, and never repeated.
func TestCaseF8_ParametersOfTheDatabase(t *testing.T) {
	const base = "postgres://gate:" + goodPassword + "@127.0.0.1/gate?"
	for query, mend := range map[string]string{
		"default_query_exec_mode=simple_protocol": "cache_describe",
		"default_query_exec_mode=foo":             "cache_describe",
		"default_query_exec_mode=EXEC":            "cache_describe",
		"pgbouncer=true":                          "default_query_exec_mode=cache_describe",
		"prefer_simple_protocol=true":             "default_query_exec_mode=cache_describe",
		"statement_cache_capacity=0":              "default_query_exec_mode=cache_describe",
		"schema=gate":                             "search_path",
		"pool_max_conns=4":                        "DATABASE_MAX_CONNS",
		"connection_limit=4":                      "DATABASE_MAX_CONNS",
		"keepalives_idle=30":                      "tcp_keepalives_idle",
		"target_session_attrs=standby":            "read-write",
		"client_encoding=latin1":                  "UTF-8",
		"default_transaction_read_only=on":        "writes",
		"connect_timeout=5s":                      "seconds",
		"statement_timeout=soon":                  "30s",
		"sslmodes=require":                        "Did you mean sslmode?",
		"application=x":                           "docs/guides/postgresql.md",
		"hunter_secret=x":                         "docs/guides/postgresql.md",
		"ssl=true":                                "sslmode=verify-full",
		"replication=database":                    "Leave it out",
		"sslmode=require&gssencmode=disable":      "Leave it out",
	} {
		_, err := Load(Source{Environ: []string{"DATABASE_URL=" + base + query}, ReadFile: files{}.read})
		if err == nil || !strings.Contains(strings.Join(strings.Fields(err.Error()), " "), mend) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", query, err)
		}
	}
	for _, query := range []string{
		"default_query_exec_mode=cache_describe&application_name=gate&search_path=gate", "default_query_exec_mode=exec",
		"sslmode=verify-full&channel_binding=require",
		"statement_timeout=30s&lock_timeout=5000&connect_timeout=5&pool_max_conn_lifetime=30m", "target_session_attrs=read-write&options=-c%20jit%3Doff",
		"app.tenant=7", "synchronous_commit=off",
	} {
		if _, err := Load(Source{Environ: []string{"DATABASE_URL=" + base + query}, ReadFile: files{}.read}); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	for _, value := range []string{"off", "local"} {
		_, err := Load(Source{Environ: production("DATABASE_URL=" + base + "synchronous_commit=" + value), ReadFile: files{}.read})
		if err == nil || !strings.Contains(err.Error(), "synchronous_commit=on") {
			t.Errorf("production with synchronous_commit=%s: %v", value, err)
		}
	}
}
