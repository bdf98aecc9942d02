package api

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/fault"
)

// FuzzPage: a cursor that is accepted is an id in its one spelling, and the
// query that says the same is read the same; what is refused names its part.
func FuzzPage(f *testing.F) {
	for _, s := range []string{
		"", "limit=1", "limit=200&cursor=0198c0de-0000-7000-8000-000000000001", "cursor=0198C0DE-0000-7000-8000-000000000001",
		"limit=201", "limit=-1", "limit=%31", "limit=1&limit=2", "cursor=' OR 1=1", "cursor={0198c0de-0000-7000-8000-000000000001}", "cursor=%00", "x=1", "limit=+1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		cursor, limit, err := page(&http.Request{URL: &url.URL{RawQuery: query}})
		if err != nil {
			if e := fault.As(err); e == nil || e.Kind != fault.Invalid || e.Code == "" || e.Message == "" || cursor != "" || limit != 0 {
				t.Fatalf("%q was refused by %#v, and read as %q, %d", query, err, cursor, limit)
			}
			return
		}
		if limit < 1 || limit > pageMax {
			t.Fatalf("%q is a limit of %d", query, limit)
		}
		same := url.Values{"limit": {strconv.Itoa(limit)}}
		if cursor != "" {
			if id, err := uuid.Parse(cursor); err != nil || id.String() != cursor {
				t.Fatalf("%q is the cursor %q", query, cursor)
			}
			same.Set("cursor", cursor)
		}
		c, l, err := page(&http.Request{URL: &url.URL{RawQuery: same.Encode()}})
		if err != nil || c != cursor || l != limit {
			t.Fatalf("%q is %q, %d, and comes back as %q, %d, %v", query, cursor, limit, c, l, err)
		}
	})
}
