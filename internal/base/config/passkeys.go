package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Passkeys says what passkeys open.
type Passkeys string

// The ways.
const (
	PasskeysOn     Passkeys = "on"
	PasskeysSecond Passkeys = "second" // behind a password only
	PasskeysOff    Passkeys = "off"
)

const localhost = "localhost"

// rpID is the default of PASSKEY_RP_ID. An IP address can be none, but who sits at the machine has a name for it.
func rpID(c *Config) string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	ip, err := netip.ParseAddr(u.Hostname())
	switch {
	case err != nil:
		return u.Hostname()
	case ip.IsLoopback() && !c.Production():
		return localhost
	}
	return ""
}

func readRPID(r *reading) {
	host := strings.ToLower(r.value)
	if _, err := netip.ParseAddr(host); err == nil || !hostname.MatchString(host) {
		r.refuse("It is not the name of a host, or an IP address, which browsers refuse.", "Write a host's name alone, such as auth.example.com.")
		return
	}
	if suffix, _ := publicsuffix.PublicSuffix(host); suffix == host && host != localhost && strings.Contains(host, ".") {
		r.refuse("It is a public suffix, below which anybody can have a site.", "Write a name of your own below it.")
		return
	}
	r.c.PasskeyRPID = host
}

func safeRPID(r *reading) {
	u, err := url.Parse(r.c.PublicURL)
	if err != nil || r.c.PasskeyRPID == "" || u.Hostname() == r.c.PasskeyRPID {
		return
	}
	if strings.HasSuffix(u.Hostname(), "."+r.c.PasskeyRPID) {
		r.warn("It is a parent of PUBLIC_URL's host: any page below it can ask for people's passkeys, and overwrite them, though not sign in with them.")
		return
	}
	r.warn("It is another host than PUBLIC_URL's: browsers ask https://%s/.well-known/webauthn whether PUBLIC_URL may use its passkeys. Have that path "+
		"reach Gatehouse.", r.c.PasskeyRPID)
}

// androidOrigin is what Android says of an app: the SHA-256 of its certificate.
var androidOrigin = regexp.MustCompile(`^android:apk-key-hash:[A-Za-z0-9_-]{43}$`)

func readPasskeyOrigins(r *reading) {
	var list []string
	for item := range strings.SplitSeq(r.value, ",") {
		item = strings.TrimSpace(item)
		origin, problem, _ := anOrigin(item)
		switch {
		case androidOrigin.MatchString(item):
			origin = item
		case problem != "" || !strings.HasPrefix(origin, "https://"):
			r.refuse("It has something that is neither an https origin nor an Android app's.",
				"Write https://app.example.com, or android:apk-key-hash: and 43 characters, with commas between them.")
			return
		}
		if !slices.Contains(list, origin) {
			list = append(list, origin)
		}
	}
	r.c.PasskeyOrigins = list
}

// checkPasskeys refuses to ask for what there can't be.
func checkPasskeys(r *reading) {
	keys, all := r.c.SecondFactorRoles(true)
	if (len(keys) > 0 || all) && (r.c.Passkeys == PasskeysOff || r.c.PasskeyRPID == "") {
		r.refuse("SECOND_FACTOR asks for passkeys, and there are none.",
			"Write on or second, and give PUBLIC_URL the name of a host; or take :passkey out of SECOND_FACTOR.")
	}
}

func readPasswordless(r *reading) {
	if word, ok := choose(r, nil, []string{"on", "off"}); ok {
		r.c.Passwordless = word == "on"
	}
}

func showPasswordless(c *Config) string {
	if c.Passwordless {
		return "on"
	}
	return "off"
}

// checkPasswordless refuses accounts that nobody could sign in to.
func checkPasswordless(r *reading) {
	if r.c.Passwordless && (r.c.Passkeys != PasskeysOn || r.c.PasskeyRPID == "") {
		r.refuse("There are no passkeys that sign in without a password.", "Set PASSKEYS=on, and give PUBLIC_URL the name of a host; or write off.")
	}
}

// AllPasskeyOrigins are the origins that may use the passkeys of PASSKEY_RP_ID, to the byte.
func (c *Config) AllPasskeyOrigins() []string {
	origins := []string{c.PublicURL}
	if u, err := url.Parse(c.PublicURL); err == nil && c.PasskeyRPID == localhost && u.Hostname() != localhost {
		if port := u.Port(); port == "" {
			origins = append(origins, u.Scheme+"://"+localhost)
		} else {
			origins = append(origins, u.Scheme+"://"+net.JoinHostPort(localhost, port))
		}
	}
	return append(origins, c.PasskeyOrigins...)
}
