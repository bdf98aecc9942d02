package main

import (
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-auth/gatehouse/internal/base/mail/mailtest"
)

// mailing starts a mail server with TLS from the first byte, or by STARTTLS, or with
// none, and leaves its address in $SMTP_URL.
func mailing(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, 1, "mailing implicit|starttls|clear")
	s, stop, err := mailtest.Start(ts.MkAbs("."), mailtest.Options{
		Implicit: args[0] == "implicit", StartTLS: args[0] == "starttls", User: "gate", Password: "keeper",
	})
	ts.Check(err)
	ts.Defer(stop)
	ts.Setenv("SMTP_URL", s.URL)
}
