package notice

import "strings"

// known is what a user agent may name, in the order in which it is looked for:
// most call themselves by their forebears' names too.
type known struct{ mark, name string }

var browsers = []known{
	{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"},
	{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	{"curl/", "curl"}, {"okhttp/", "an Android app"}, {"Dart/", "an app"},
}

var systems = []known{
	{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"},
	{"Macintosh", "macOS"}, {"Mac OS X", "macOS"}, {"FreeBSD", "FreeBSD"}, {"Linux", "Linux"},
}

// device returns the browser and the system that a user agent names; never its
// own words, which may be a stranger's.
func device(userAgent string) (browser, system string) {
	find := func(list []known) string {
		for _, k := range list {
			if strings.Contains(userAgent, k.mark) {
				return k.name
			}
		}
		return ""
	}
	return find(browsers), find(systems)
}

// deviceMost is how long the name of a device is.
const deviceMost = 60

// Device names what a user agent is, so that two of one name are the same to a
// person: the browser and the system, or else what it calls itself first, without a
// version.
func Device(userAgent string) string {
	browser, system := device(userAgent)
	if browser == "" {
		browser, _, _ = strings.Cut(userAgent, "/")
	}
	name := []rune(strings.TrimSpace(strings.ToValidUTF8(browser, "") + " " + system))
	return string(name[:min(len(name), deviceMost)])
}
