package config

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostName is the longest SERVICE_NAME, in characters: it stands in every subject.
const mostName = 60

// serviceName is the default of SERVICE_NAME: PUBLIC_URL's host. It is empty if
// that is at fault.
func serviceName(c *Config) string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func readServiceName(r *reading) {
	switch {
	case utf8.RuneCountInString(r.value) > mostName:
		r.refuse("It is over 60 characters, and the subject of every mail carries it.", "Write a shorter one.")
	case strings.ContainsFunc(r.value, func(c rune) bool { return !unicode.IsPrint(c) }) || strings.ContainsAny(r.value, "<>"):
		r.refuse("It holds a character that a name of a service should not: < or >, or one that can't be seen.", "Write it in plain letters, such as Acme.")
	default:
		r.c.ServiceName = r.value
	}
}

// readHome takes a path of an application at PUBLIC_URL's host, or a URL.
func readHome(r *reading) {
	u, err := url.Parse(r.value)
	path := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(r.value, "/") && !strings.HasPrefix(r.value, "//") && u.Path != "/"
	whole := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
	if !path && !whole || strings.ContainsAny(r.value, " \\") {
		r.refuse("It is neither a URL nor a path that leads away from /.", "Write a URL, such as https://app.example.com, or a path, such as /account.")
		return
	}
	r.c.HomeURL = r.value
}

func safeHome(r *reading) {
	if strings.HasPrefix(r.c.HomeURL, "http://") {
		r.refuse("It is plain http: whoever sits on the way could lead people elsewhere.", "Write its https address.")
	}
}

// readContact takes the contacts of security.txt (RFC 9116 section 2.5.3).
func readContact(r *reading) {
	var list []string
	for item := range strings.SplitSeq(r.value, ",") {
		item = strings.TrimSpace(item)
		u, err := url.Parse(item)
		ok := err == nil && !strings.ContainsFunc(item, func(c rune) bool { return c <= ' ' || c > '~' }) &&
			(u.Scheme == "https" && u.Host != "" && u.User == nil || u.Scheme == "mailto" && strings.Contains(u.Opaque, "@") || u.Scheme == "tel" && u.Opaque != "")
		if !ok {
			r.refuse("It is not a contact.", "Write mailto:security@example.com, or the https address of a page; several with commas between them.")
			return
		}
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	r.c.SecurityContact = list
}

// peopleSettings are the rows about what people see.
var peopleSettings = []setting{
	{
		name: "SERVICE_NAME", initial: "PUBLIC_URL's host", derive: serviceName,
		meaning: "What people know this service as, such as `Acme`: in the subjects and texts of mails. At most 60 characters.",
		field:   field{read: readServiceName, show: func(c *Config) string { return c.ServiceName }},
	},
	{
		name: "HOME_URL", initial: "/account in production", derive: func(c *Config) string {
			if c.Production() {
				return "/account"
			}
			return ""
		},
		meaning:    "Where `/` leads: a URL, such as your application's, or a path. In development `/` says what runs here, unless this is set.",
		production: "a plain http URL is refused",
		field:      field{read: readHome, show: func(c *Config) string { return c.HomeURL }},
		safe:       safeHome,
	},
	{
		name: "SECURITY_CONTACT", unset: "none",
		meaning: "Whom to tell of a security problem: `mailto:security@example.com`, or the https address of a page; several with commas between them. " +
			"It is served at `/.well-known/security.txt` (RFC 9116), which is not found without it.",
		field: field{read: readContact, show: func(c *Config) string { return strings.Join(c.SecurityContact, ",") }},
	},
}
