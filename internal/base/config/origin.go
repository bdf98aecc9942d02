package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// anOrigin returns a URL as browsers write its origin (RFC 6454 section 6.2):
// scheme, host and perhaps port, in lower case. Otherwise it returns what is
// wrong with it, and how to mend that.
func anOrigin(text string) (origin, problem, mend string) {
	const whole = "Write scheme and host, such as https://auth.example.com, and a port if it is not the scheme's own."
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", "is not an http or https URL", whole
	case u.User != nil:
		return "", "holds a user name or a password", whole
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return "", "has a path, a query or a fragment behind the host", whole
	}
	host := strings.ToLower(u.Hostname())
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		host = ip.String()
		if ip.Is6() {
			host = "[" + host + "]"
		}
	} else if !hostname.MatchString(host) || len(host) > 253 {
		return "", "has a host that is not a name or an IP address", "Write the host in letters, digits and hyphens; a name in another script in its xn-- form."
	}
	port := u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" {
		if err != nil {
			return "", "has a port that is not a number up to 65535", whole
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	// Browsers leave the scheme's own port out of an origin.
	if u.Scheme == "http" && port == ":80" || u.Scheme == "https" && port == ":443" {
		port = ""
	}
	return u.Scheme + "://" + host + port, "", ""
}

// readOrigins takes a list of origins, separated by commas. Each fault names its
// origin by its place, since values are not repeated.
func readOrigins(r *reading) {
	const name = "Name each origin in full, such as https://app.example.com."
	items := strings.Split(r.value, ",")
	var origins []string
	for i, item := range items {
		item = strings.TrimSpace(item)
		which := "It"
		if len(items) > 1 {
			which = fmt.Sprintf("Origin %d of %d", i+1, len(items))
		}
		switch {
		case item == "":
			r.refuse(which+" is empty.", "Remove the extra comma.")
			continue
		case strings.EqualFold(item, "null"):
			r.refuse(which+" is null, which is the origin of every sandboxed frame and local file.", name)
			continue
		case item == "*":
			r.refuse(which+" is *: scripts on every site in the world could read the responses, with the cookies of anyone who visits it.", name)
			continue
		case strings.Contains(item, "*"):
			r.refuse(which+" has a wildcard: anyone who takes over one name below it, such as an abandoned one, could read the responses.", name)
			continue
		}
		origin, problem, mend := anOrigin(item)
		switch {
		case problem != "":
			r.refuse(which+" "+problem+".", mend)
		case strings.HasSuffix(item, "/"):
			r.refuse(which+" ends in a slash, as no origin does.", "Remove the slash.")
		case slices.Contains(origins, origin):
			r.refuse(which+" is there twice.", "Remove one of the two.")
		default:
			origins = append(origins, origin)
		}
	}
	r.c.CORSOrigins = origins
}

// safeOrigins is production's rule for CORS_ORIGINS.
func safeOrigins(r *reading) {
	for i, origin := range r.c.CORSOrigins {
		if !strings.HasPrefix(origin, "https://") {
			r.refuse(fmt.Sprintf("Origin %d is plain http: anyone on the network path can inject a script that reads the responses.", i+1), "Write its https address.")
		}
	}
}
