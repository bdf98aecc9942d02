package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostName is the longest SERVICE_NAME, in characters: it is in every subject.
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
		r.refuse("It contains a character that a service's name should not: < or >, or an invisible one.", "Write it in plain letters, such as Acme.")
	default:
		r.c.ServiceName = r.value
	}
}

var colorText = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

func readColor(r *reading) {
	if !colorText.MatchString(r.value) {
		r.refuse("It is not a colour that the pages can use.", "Write it as #rrggbb, such as #0a6a65.")
		return
	}
	r.c.BrandColor = r.value
}

// readIssuer takes what apps show beside their codes.
func readIssuer(r *reading) {
	switch {
	case utf8.RuneCountInString(r.value) > mostName:
		r.refuse("It is over 60 characters, which no app has room for.", "Write a shorter one.")
	case strings.ContainsFunc(r.value, func(c rune) bool { return !unicode.IsPrint(c) || c == ':' }):
		r.refuse("It holds a colon, or a character that can't be seen: apps end the name there.", "Write it in plain letters, such as Acme.")
	default:
		r.c.TOTPIssuer = r.value
	}
}

// readHome takes a path of an application at PUBLIC_URL's host, or a URL.
func readHome(r *reading) {
	u, err := url.Parse(r.value)
	path := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(r.value, "/") && !strings.HasPrefix(r.value, "//") && u.Path != "/"
	whole := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
	if !path && !whole || strings.ContainsAny(r.value, " \\") {
		r.refuse("It is neither a URL nor a path other than /.", "Write a URL, such as https://app.example.com, or a path, such as /account.")
		return
	}
	r.c.HomeURL = r.value
}

func safeHome(r *reading) {
	if strings.HasPrefix(r.c.HomeURL, "http://") {
		r.refuse("It is plain http: anyone on the network path could send people elsewhere.", "Write its https address.")
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
			r.refuse("It is not a contact.", "Write mailto:security@example.com, or the https URL of a page; separate several by commas.")
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
		meaning: "The name that people know this service by, such as `Acme`: on the pages, and in the subjects and texts of emails. At most 60 characters.",
		field:   field{read: readServiceName, show: func(c *Config) string { return c.ServiceName }},
	},
	{
		name: "BRAND_COLOR", unset: "none",
		meaning: "The colour of the main buttons, as `#rrggbb`. Their text, and the colour of links on light and on dark pages, are " +
			"computed from it for legible contrast: see [guides/pages.md](guides/pages.md).",
		field: field{read: readColor, show: func(c *Config) string { return c.BrandColor }},
	},
	{
		name: "BRAND_LOGO", unset: "none",
		meaning: "The file of your logo: an SVG with a viewBox, or a PNG, of at most 16 KiB. It is shown 28 pixels high next to SERVICE_NAME. " +
			"It is read at startup.",
		field: pathField(func(c *Config) *string { return &c.BrandLogo }),
	},
	{
		name: "PAGE_TEMPLATES", unset: "none",
		meaning: "A folder with templates of pages that replace the built-in ones: see [guides/pages.md](guides/pages.md). " +
			"All errors in it are reported at startup.",
		field: pathField(func(c *Config) *string { return &c.PageTemplates }),
	},
	{
		name: "PRIVACY_FILE", unset: "none",
		meaning: "Your privacy policy, which `/privacy` shows: a text file in which an empty line ends a paragraph and a line that begins with `#` is a heading. " +
			"`privacy.de.txt` next to `privacy.txt` is the German version. Without PRIVACY_FILE `/privacy` says what Gatehouse itself stores. " +
			"Each new text is a new version: see [guides/documents.md](guides/documents.md).",
		field: pathField(func(c *Config) *string { return &c.PrivacyFile }),
	},
	{
		name: "TERMS_FILE", unset: "none",
		meaning: "Your terms of use, which `/terms` shows, in the same format.",
		field:   pathField(func(c *Config) *string { return &c.TermsFile }),
	},
	{
		name: "HOME_URL", initial: "/account in production", derive: func(c *Config) string {
			if c.Production() {
				return "/account"
			}
			return ""
		},
		meaning:    "Where `/` leads: a URL, such as your application's, or a path. In development `/` shows what is running here, unless this is set.",
		production: "a plain http URL is refused",
		field:      field{read: readHome, show: func(c *Config) string { return c.HomeURL }},
		safe:       safeHome,
	},
	{
		name: "SECURITY_CONTACT", unset: "none",
		meaning: "Where to report a security problem: `mailto:security@example.com`, or the https URL of a page; several are comma-separated. " +
			"It is served at `/.well-known/security.txt` (RFC 9116), which is 404 without it.",
		field: field{read: readContact, show: func(c *Config) string { return strings.Join(c.SecurityContact, ",") }},
	},
}
