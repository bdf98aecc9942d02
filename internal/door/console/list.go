package console

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// listPage is a page of lists: most of the console.
type listPage struct {
	Title string
	Sub   any
	Done  string
	// Actions stand beside the title: the first is the main one.
	Actions []ui.Link
	// Filter is the form above the list.
	Filter *filterForm
	// Form is another form, of a page that makes something.
	Form  *smallForm
	Cards []card
	Pager *ui.Pager
	// Ask is a confirmation over the page.
	Ask *ui.Ask
	// Live is where new rows come from.
	Live, LiveText, PauseText string
}

// card is one list.
type card struct {
	ID, Title string
	Note      any
	Href      string // of the note
	Table     *ui.Table
	Empty     *emptyList
}

// emptyList is said where there is nothing.
type emptyList struct{ Icon, Title, Text, Href, Button string }

// filterForm is a search and what narrows it.
type filterForm struct {
	Action, Q, QLabel string
	Live              bool
	Selects           []selectField
	Hidden            [][2]string
	Segments          []segment
	Button            string
}

type selectField struct {
	Name, Label string
	Options     []ui.Option
}

// segment is one of a few ways to look at the list.
type segment struct {
	Href, Text string
	Current    bool
}

// smallForm is a form of a few fields.
type smallForm struct {
	ID, Title, Action, Method, Button string
	Danger                            bool
	Keep                              bool // what is typed outlasts a new sign-in: nothing of people's
	Fields                            []ui.Part
	Selects                           []ui.Part
	Lines                             []ui.Part // of several lines
	Hidden                            map[string]string
}

// clock is a moment at the desk, which stays in UTC: the time of today, else the day.
func (d *desk) clock(t time.Time) any {
	if t.IsZero() {
		return d.v.T("desk.never")
	}
	t = t.UTC()
	layout := "2006-01-02 15:04"
	if now := d.Now().UTC(); now.YearDay() == t.YearDay() && now.Year() == t.Year() {
		layout = "15:04:05"
	}
	return d.v.Stamp(t, layout)
}

// network is a link to the events of an address.
func networkCell(address, class string) ui.Cell {
	if address == "" {
		return ui.Cell{Text: "–", Class: class}
	}
	return ui.Cell{Text: address, Href: "/admin/events?network=" + url.QueryEscape(address), Code: true, Class: class}
}

// parseNetwork reads an address or a network.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return n, fault.Field("network", "invalid_network", "This is no address and no network. Write it like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48.")
	}
	return n.Masked(), nil
}

func isID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// what tells an event's details in the log's own words.
func what(e event.Entry) string {
	d := e.Detail
	var words []string
	for _, w := range []string{d.Action, d.Reason, d.Rule, d.Network, d.Key, d.Client, strings.Join(d.Roles, ", "), strings.Join(d.Fields, ", "),
		strings.Join(d.AMR, ", ")} {
		if w != "" {
			words = append(words, w)
		}
	}
	if d.Why != "" {
		words = append(words, "“"+d.Why+"”")
	}
	if d.By != "" {
		words = append(words, d.By)
	}
	return strings.Join(words, " · ")
}

// raw is an event as it is recorded.
func raw(e event.Entry) string {
	b, err := json.MarshalIndent(struct {
		ID        string        `json:"event_id"`
		Event     event.Kind    `json:"event"`
		Outcome   event.Outcome `json:"outcome"`
		Time      time.Time     `json:"time"`
		Account   string        `json:"account,omitempty"`
		Session   string        `json:"session,omitempty"`
		RequestID string        `json:"request_id,omitempty"`
		Address   string        `json:"address,omitempty"`
		UserAgent string        `json:"user_agent,omitempty"`
		Detail    event.Detail  `json:"detail"`
		Erased    bool          `json:"erased,omitempty"`
	}{e.ID, e.Kind, e.Outcome, e.Time, e.Account, e.Session, e.RequestID, e.Address, e.UserAgent, e.Detail, e.Erased}, "", "  ")
	if err != nil {
		return ""
	}
	return string(b)
}

// columns are the heads of a table: pairs of a text and a class.
func columns(pairs ...string) (list []ui.Column) {
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, ui.Column{Text: pairs[i], Class: pairs[i+1]})
	}
	return list
}

// options are those of a select, of which one is chosen.
func options(chosen string, pairs ...string) (list []ui.Option) {
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, ui.Option{Value: pairs[i], Text: pairs[i+1], Selected: pairs[i] == chosen})
	}
	return list
}

// with is an address with some parameters of another, and one more.
func with(path string, q url.Values, name, value string) string {
	out := url.Values{}
	for k, v := range q {
		if k != "cursor" && k != "done" && len(v) == 1 && v[0] != "" {
			out.Set(k, v[0])
		}
	}
	out.Set(name, value)
	if value == "" {
		out.Del(name)
	}
	if len(out) == 0 {
		return path
	}
	return path + "?" + out.Encode()
}
