package web

import (
	"net/http"
	"strings"
	"time"
)

// requestCookie is what shows that a browser asked for a mail: the mail's code is good
// in no other browser (ASVS 6.6.2). Its value is the requests of the last mails that were asked
// for, the newest first. A mail of another purpose does not take an earlier one's code.
const requestCookie = "gatehouse_req"

// mostRequests is how many are kept: one for each thing that can be asked for at once.
// mostRequest is the longest that one may be, in bytes.
const (
	mostRequests = 3
	mostRequest  = 64
)

// Requests returns the requests that this browser made, the newest first.
func (c *Cookies) Requests(r *http.Request) (list []string) {
	for part := range strings.SplitSeq(c.get(r, requestCookie), ".") {
		if part == "" || len(part) > mostRequest || len(list) == mostRequests {
			break
		}
		list = append(list, part)
	}
	return list
}

// PutRequest has the browser keep one more.
func (c *Cookies) PutRequest(w http.ResponseWriter, r *http.Request, request string, life time.Duration) {
	list := append([]string{request}, c.Requests(r)...)
	c.set(w, requestCookie, strings.Join(list[:min(len(list), mostRequests)], "."), life, false)
}
