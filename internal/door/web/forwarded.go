package web

import "net/http"

// Forwarded is what a proxy tells of the request that it asks about; empty where
// it tells nothing, or is not trusted.
type Forwarded struct {
	Method string
	URL    string // with scheme and host
}

// ForwardedOf returns it from X-Forwarded-Method, -Proto, -Host and -Uri.
func ForwardedOf(r *http.Request) Forwarded {
	if !callerOf(r).proxied {
		return Forwarded{}
	}
	one := func(name string) string {
		if v := r.Header[name]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	f := Forwarded{Method: one("X-Forwarded-Method")}
	if proto, host, uri := one("X-Forwarded-Proto"), one("X-Forwarded-Host"), one("X-Forwarded-Uri"); proto != "" && host != "" && uri != "" {
		f.URL = proto + "://" + host + uri
	}
	return f
}

// CheckForwarded refuses a request that a proxy asks about, comes with cookies,
// changes something, and was made by another site or a sibling, as far as the browser
// tells. Where the proxy does not tell the method, an Origin header stands for one
// that changes something.
func (c *Cookies) CheckForwarded(r *http.Request, f Forwarded) error {
	if f.Method == "" {
		if r.Header["Origin"] == nil {
			return nil
		}
		f.Method = http.MethodPost
	}
	made := *r
	made.Method = f.Method
	return c.CheckCaller(&made)
}
