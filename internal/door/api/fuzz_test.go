package api

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
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

// FuzzEventFilter: a query that is taken is a filter of what there is, and comes to
// the same when it is written out; what is refused names its part and filters nothing.
func FuzzEventFilter(f *testing.F) {
	for _, s := range []string{
		"", "event=logout,token_refresh&outcome=failure", "network=203.0.113.7", "network=::ffff:203.0.113.0/120",
		"network=2001:db8::1/32&account=0198c0de-0000-7000-8000-000000000001",
		"since=2026-11-24T12:00:00Z&until=2026-11-24T12:00:00.5%2B01:00", "since=-1", "event=,", "outcome=%27", "account=x", "network=fe80::1%25x",
		"cursor=0198c0de-0000-7000-8000-000000000001&limit=7",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		filter, limit, err := eventFilter(&http.Request{URL: &url.URL{RawQuery: query}})
		if err != nil {
			if e := fault.As(err); e == nil || e.Kind != fault.Invalid || e.Code == "" || e.Message == "" || limit != 0 || !reflect.DeepEqual(filter, event.Filter{}) {
				t.Fatalf("%q was refused by %#v, and read as %+v", query, err, filter)
			}
			return
		}
		same := url.Values{"limit": {strconv.Itoa(limit)}, "outcome": {string(filter.Outcome)}, "account": {filter.Account}, "cursor": {filter.Before}}
		var kinds []string
		for _, k := range filter.Kinds {
			kinds = append(kinds, string(k))
		}
		same.Set("event", strings.Join(kinds, ","))
		if filter.Network.IsValid() {
			same.Set("network", filter.Network.String())
		}
		for name, at := range map[string]time.Time{"since": filter.Since, "until": filter.Until} {
			if !at.IsZero() {
				same.Set(name, at.Format(time.RFC3339Nano))
			}
		}
		again, l, err := eventFilter(&http.Request{URL: &url.URL{RawQuery: same.Encode()}})
		if err != nil || l != limit || !again.Since.Equal(filter.Since) || !again.Until.Equal(filter.Until) || again.Network != filter.Network ||
			!slices.Equal(again.Kinds, filter.Kinds) || again.Account != filter.Account || again.Before != filter.Before || again.Outcome != filter.Outcome {
			t.Fatalf("%q is %+v, and comes back as %+v, %v", query, filter, again, err)
		}
	})
}
