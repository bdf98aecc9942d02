package client

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

const (
	backchannelField   = "backchannel_logout_uri"
	invalidBackchannel = "invalid_backchannel_logout_uri"
)

// machines are addresses that serve machines alone: clouds tell them secrets there.
var machines = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("fd00:ec2::254")}

// checkBackchannel tells whether an application of a type may be told of logouts at an address. Only a server is told, and it is one that
// its operator has named: private networks are fine, this machine only in development. What a name stands for is looked at once more
// whenever something is sent.
func (s Settings) checkBackchannel(t Type, development bool) error {
	bad := func(why string) error {
		return fault.Field(backchannelField, invalidBackchannel, "This address can't be registered: %s.", why)
	}
	uri := s.BackchannelLogoutURI
	switch {
	case uri == "" && s.BackchannelLogoutSessionRequired:
		return fault.Field("backchannel_logout_session_required", "backchannel_logout_uri_required",
			"Say where the application is told of logouts (backchannel_logout_uri), or leave this out.")
	case uri == "":
		return nil
	case t != Web:
		return fault.Field(backchannelField, "backchannel_for_web_only",
			"Only a web application can be told of logouts, which has a server that listens.")
	}
	if err := checkURI(backchannelField, uri, t, development); err != nil {
		return err
	}
	u, err := url.Parse(uri)
	if err != nil {
		return bad("it is no absolute address")
	}
	at, err := netip.ParseAddr(u.Hostname())
	at = at.Unmap()
	switch {
	case err == nil && (at.IsUnspecified() || at.IsMulticast() || at.IsLinkLocalUnicast() || slices.Contains(machines, at)):
		return bad("no application is at such an address")
	case development:
		return nil
	case err == nil && at.IsLoopback(), u.Hostname() == "localhost", strings.HasSuffix(u.Hostname(), ".localhost"):
		return bad("it is this machine's own, which is for development: write the name of the application")
	}
	return nil
}
