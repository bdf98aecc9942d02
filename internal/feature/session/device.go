package session

import "strings"

// named is a product by what its User-Agent holds. The first that fits counts:
// browsers name those before them as well.
type named struct{ holds, name string }

var (
	browsers = []named{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi/", "Vivaldi"},
		{"YaBrowser/", "Yandex Browser"}, {"SamsungBrowser/", "Samsung Internet"},
		{"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Firefox/", "Firefox"}, {"HeadlessChrome/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
		{"curl/", "curl"}, {"Wget/", "Wget"}, {"okhttp/", "an Android app"}, {"CFNetwork/", "an Apple app"}, {"Go-http-client/", "a Go program"},
		{"python-requests/", "a Python program"}, {"python-httpx/", "a Python program"}, {"aiohttp/", "a Python program"},
		{"node", "a Node program"}, {"undici", "a Node program"}, {"Java/", "a Java program"},
	}
	systems = []named{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"},
		{"Macintosh", "macOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}, {"FreeBSD", "FreeBSD"}, {"OpenBSD", "OpenBSD"},
	}
)

// DeviceName makes of a User-Agent what its owner may know the device by, such as
// "Firefox on Linux". It is empty for one that says nothing.
func DeviceName(userAgent string) string {
	browser, system := first(browsers, userAgent), first(systems, userAgent)
	switch {
	case browser == "" && system == "":
		return ""
	case system == "":
		return browser
	case browser == "":
		return system
	}
	return browser + " on " + system
}

func first(list []named, userAgent string) string {
	for _, n := range list {
		if strings.Contains(userAgent, n.holds) {
			return n.name
		}
	}
	return ""
}
