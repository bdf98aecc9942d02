package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// identity are the headers by which an application behind the proxy learns who is calling.
var identity = []string{"X-Auth-User", "X-Auth-Email", "X-Auth-Roles", "X-Auth-Session", "X-Auth-Acr"}

// guardedChecks look at applications behind the proxy, as far as they are named.
func (o *Outside) guardedChecks() []doctor.Check {
	return []doctor.Check{
		o.check("NET-5", "guarded", "Strangers don't reach guarded applications, whoever they say that they are", doctor.Critical, o.guarded),
		o.check("NET-5", "identity", "Applications are told by Gatehouse alone who is calling", doctor.Critical, o.echoed(o.forged)),
		o.check("NET-5", "tokens", "Applications don't get Gatehouse's tokens", doctor.High, o.echoed(o.passedOn)),
	}
}

// forgery is what somebody sends who pretends: each header with what no answer has by chance.
func (o *Outside) forgery() http.Header {
	h := http.Header{"Authorization": {"Bearer " + o.mark}}
	for _, name := range identity {
		h.Set(name, o.mark)
	}
	return h
}

func (o *Outside) guarded(ctx context.Context) doctor.Answer {
	if len(o.Guarded) == 0 {
		return doctor.Excuse("no application is named with --guarded")
	}
	for _, address := range o.Guarded {
		if _, err := httpsAddress(address); err != nil {
			return doctor.Skip("--guarded takes addresses such as https://app.example.com/private.", err)
		}
		for _, h := range []http.Header{{}, o.forgery()} {
			s, err := o.askAt(ctx, address, asking{method: http.MethodGet, header: h})
			switch {
			case err != nil:
				return doctor.Skip(mendReach, err)
			case s.status < 300 || s.status >= 300 && s.status < 400 && !strings.Contains(s.header.Get("Location"), "/login"):
				said := "without a word"
				if len(h) > 0 {
					said = "who says in " + identity[0] + " who it is"
				}
				return doctor.Fail("Ask /v1/forward-auth for each request, and write these headers anew: gatehouse nginx --guard prints how.",
					"a stranger %s gets %d at %s", said, s.status, address)
			}
		}
	}
	return doctor.Pass("%s: refused, or led to the sign-in", strings.Join(o.Guarded, ", "))
}

// echoed judges what an application that shows its request was sent, for somebody who is signed in and pretends to be another.
func (o *Outside) echoed(judge func(body []byte) doctor.Answer) func(context.Context) doctor.Answer {
	return func(ctx context.Context) doctor.Answer {
		if o.Echo == "" {
			return doctor.Excuse("no application that shows its request is named with --echo")
		}
		if _, err := httpsAddress(o.Echo); err != nil {
			return doctor.Skip("--echo takes an address such as https://app.example.com/whoami.", err)
		}
		h := o.forgery()
		h.Del("Authorization") // it would be asked about first, and refused
		h.Set("Cookie", o.Cookies+"; other="+o.mark+"-cookie")
		s, err := o.askAt(ctx, o.Echo, asking{method: http.MethodGet, header: h})
		switch {
		case err != nil:
			return doctor.Skip(mendReach, err)
		case s.status != http.StatusOK:
			return doctor.Skip("Copy the Cookie header of a signed-in browser into the file of --cookies.",
				fmt.Errorf("it answers %d: the cookies are of nobody who is signed in", s.status))
		case !bytes.Contains(bytes.ToLower(s.body), []byte(strings.ToLower(identity[0]))):
			return doctor.Skip("Name a path that answers with its request's headers, such as traefik/whoami has.",
				errors.New("the application does not show what it was sent"))
		}
		return judge(s.body)
	}
}

func (o *Outside) forged(body []byte) doctor.Answer {
	if bytes.Contains(bytes.ReplaceAll(body, []byte(o.mark+"-cookie"), nil), []byte(o.mark)) {
		return doctor.Fail("Have the proxy write "+strings.Join(identity, ", ")+" anew from the answer of /v1/forward-auth: gatehouse nginx --guard prints how.",
			"what a person says of itself in these headers arrives")
	}
	return doctor.Pass("what a person says of itself does not arrive")
}

func (o *Outside) passedOn(body []byte) doctor.Answer {
	for pair := range strings.SplitSeq(o.Cookies, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.Contains(name, "gatehouse") && len(value) > 8 && bytes.Contains(body, []byte(value)) {
			return doctor.Fail("Have the proxy send the Cookie of /v1/forward-auth's answer, and an empty Authorization: gatehouse nginx --guard prints how.",
				"the cookie %s arrives: an application that is broken into has everybody's session", name)
		}
	}
	return doctor.Pass("no cookie of ours arrives")
}
