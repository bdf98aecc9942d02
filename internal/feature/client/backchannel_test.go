package client

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Where an application may be told of logouts: on its server, wherever that is, but not on ours, nor where machines alone are served.
func TestOIDC_BackChannel_WhatCanBeRegistered(t *testing.T) {
	for uri, want := range map[string]string{ // "": never; else where
		"https://app.example.com/logout": "production development", "https://app.example.com:8443/logout?of=app": "production development",
		"https://10.1.2.3/logout": "production development", "https://[fd00::1]/logout": "production development", "https://app.internal/": "production development",
		"http://app.example.com/logout": "development", "http://127.0.0.1:8080/logout": "development", "http://localhost/logout": "development",
		"https://localhost/logout": "development", "https://127.0.0.1/logout": "development", "https://[::1]/logout": "development",
		"https://127.9.9.9/logout": "development", "https://app.localhost/logout": "development", "https://[::ffff:127.0.0.1]/x": "",
		"http://169.254.169.254/latest": "", "https://169.254.169.254/latest": "", "https://[fe80::1]/": "", "https://0.0.0.0/": "", "https://[::]/": "",
		"https://[fd00:ec2::254]/": "", "https://100.100.100.200/": "", "https://224.0.0.1/": "",
		"https://app.example.com/logout#x": "", "https://me@app.example.com/": "", "https://app.example.com/../x": "", "https://*.example.com/": "",
		"https://app.example.com:0/": "", "https://app.example.com\\x/": "", "ftp://app.example.com/": "", "com.example.app:/logout": "", "//app.example.com/": "",
		"/logout": "", "https://": "", "https:///x": "", "https://APP.example.com/": "", "HTTPS://app.example.com/": "", "https://app.example.com/a b": "",
		"https://" + strings.Repeat("a", 2048) + ".com/": "",
	} {
		for name, development := range map[string]bool{"production": false, "development": true} {
			s := Settings{RedirectURIs: []string{"https://app.example.com/cb"}, BackchannelLogoutURI: uri}
			err := s.Check(Web, development)
			if (err == nil) != strings.Contains(want, name) {
				t.Errorf("%q in %s: %v", uri, name, err)
			}
			if f := fault.As(err); err != nil && (f == nil || f.Code != "invalid_backchannel_logout_uri") {
				t.Errorf("%q in %s: %v", uri, name, err)
			}
		}
	}
	for want, c := range map[string]struct {
		kind     Type
		settings Settings
	}{
		"backchannel_for_web_only":        {SPA, Settings{BackchannelLogoutURI: "https://app.example.com/"}},
		"backchannel_logout_uri_required": {Web, Settings{BackchannelLogoutSessionRequired: true}},
		"service_has_no_settings":         {Service, Settings{BackchannelLogoutURI: "https://app.example.com/"}},
	} {
		c.settings.RedirectURIs = []string{"https://app.example.com/cb"}
		if f := fault.As(c.settings.Check(c.kind, true)); f == nil || f.Code != want {
			t.Errorf("%s: %+v", want, f)
		}
	}
}
