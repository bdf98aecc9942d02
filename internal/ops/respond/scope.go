package respond

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// Question is what a scope begins with. Everything that is set must hold of an event.
type Question struct {
	Users    []string
	Networks []netip.Prefix
	// Device is a browser and system, such as "Firefox on Linux"; Session the id of a session.
	Device, Session string
	// Clients are applications, by their ids or names: whom they were given access to. Roles stand for the accounts that have them now, Key for
	// the time in which a key of the installation was good: see [operate.KeyStands].
	Clients, Roles []string
	Key            string
	Since, Until   time.Time
	// Shared has those looked for who used the same networks.
	Shared bool
	// Began is when the incident began, if that is known: what administrators did to others is looked for from then on, where
	// Since says no other time.
	Began time.Time
	// Most is how many events are read at most; 1,000,000 if it is 0.
	Most int
}

// Source is a network that events came from.
type Source struct {
	Network          string
	Addresses, Tries int64
	Ins              int64
}

// Touch is what happened to one person.
type Touch struct {
	Account, Email string
	// Tries are sign-ins that failed, Ins those that did not; Reused are refresh tokens that were seen twice.
	Tries, Ins, Reused int64
	Sessions           []string
	// Births are the sign-ins that began them, as far as they were read, and Given how often each application was given access, by its id.
	Births []Birth
	Given  map[string]int64
	// Did is what else was done, by the kind of event.
	Did         map[event.Kind]int64
	First, Last time.Time
}

// Birth is the sign-in that a session was born of.
type Birth struct {
	Session         string
	At              time.Time
	Address, Device string
}

// In reports whether somebody got in.
func (t Touch) In() bool { return t.Ins > 0 || t.Reused > 0 || len(t.Did) > 0 || len(t.Given) > 0 }

// Scope is who was touched, as far as the event log tells.
type Scope struct {
	Asked   Question
	At      time.Time
	Sources []Source
	People  []Touch
	// Unknown is how many addresses without an account were tried.
	Unknown int64
	// Done is what was done, by the kind of event.
	Done map[event.Kind]int64
	// Living is how many sessions those have whom somebody got in to, from elsewhere.
	Living int64
	// Given is what each application was given, the most often first; Others are those who used the same networks, if they were asked for.
	Given  []Given
	Others []Other
	// OthersWhole is whether all sessions were looked at for them.
	OthersWhole bool
	// Read is how many events were looked at; Stopped says that there were more, and since when they were read.
	Read    int
	Stopped time.Time
}

// acts are kinds of events that an attack is after.
var acts = []event.Kind{
	event.EmailChange, event.PasswordChange, event.FactorAdded, event.FactorRemoved, event.RecoveryCodesMade, event.PasswordRemoved, event.IdentityLinked,
	event.IdentityUnlinked, event.RoleChange,
	event.DataExport, event.ErasureAsked, event.ProfileChange, event.ConsentChange, event.AdminAction,
}

// tokenReused is the reason of the events of refresh tokens that were seen twice.
const tokenReused = "refresh_token_" + string(session.Reused)

// counting is a scope while events are counted.
type counting struct {
	q Question
	// only are the accounts that the question names, and clients the applications; nil is all.
	only      map[string]bool
	clients   map[string]bool
	people    map[string]*Touch
	sources   map[string]*Source
	addresses map[string]bool
	unknown   map[string]bool
	done      map[event.Kind]int64
}

func newCounting(q Question) *counting {
	return &counting{q: q, people: map[string]*Touch{}, sources: map[string]*Source{}, addresses: map[string]bool{}, unknown: map[string]bool{},
		done: map[event.Kind]int64{}}
}

// take counts an event, if it is of those that are asked for.
func (c *counting) take(e event.Entry) {
	if c.q.Session != "" && e.Session != c.q.Session || c.q.Device != "" && session.DeviceName(e.UserAgent) != c.q.Device || !c.came(e.Address) {
		return
	}
	failed, in := e.Kind == event.FailedLogin, e.Kind == event.Login
	reused := e.Kind == event.SuspiciousActivity && e.Detail.Reason == tokenReused
	did := (slices.Contains(acts, e.Kind) || c.used(e)) && e.Outcome == event.Success
	given := e.Kind == event.AuthorizationGranted
	if !failed && !in && !reused && !did && !given || c.clients != nil && !(given && c.clients[e.Detail.Client]) {
		return
	}
	who := e.Account
	if did && e.Detail.By != "" {
		// Somebody did it to the account, and did not get in to it: it counts for who that was, if they have one.
		if who = e.Detail.Actor; uuid.Validate(who) != nil {
			return
		}
	}
	if c.only != nil && !c.only[who] {
		return
	}
	c.source(e, failed, in)
	if who == "" {
		if failed && e.Detail.Address != "" {
			c.unknown[e.Detail.Address] = true
		}
		return
	}
	c.person(e, who)
}

// used reports whether an event is that a session was used, by its refresh token. Everybody's are; of whoever is asked about, or of whatever came
// from a network or a device, it may be that somebody has got hold of the token.
func (c *counting) used(e event.Entry) bool {
	return e.Kind == event.TokenRefresh && (c.only != nil || len(c.q.Networks) > 0 || c.q.Device != "" || c.q.Session != "")
}

// person counts an event for somebody.
func (c *counting) person(e event.Entry, who string) {
	t := c.people[who]
	if t == nil {
		t = &Touch{Account: who, Did: map[event.Kind]int64{}, Given: map[string]int64{}, First: e.Time, Last: e.Time}
		c.people[who] = t
	}
	if e.Time.Before(t.First) {
		t.First = e.Time
	}
	if e.Time.After(t.Last) {
		t.Last = e.Time
	}
	switch e.Kind {
	case event.FailedLogin:
		t.Tries++
	case event.Login:
		t.Ins++
		if len(t.Births) < sessionsKept {
			t.Births = append(t.Births, Birth{e.Session, e.Time, e.Address, session.DeviceName(e.UserAgent)})
		}
	case event.SuspiciousActivity:
		t.Reused++
	case event.AuthorizationGranted:
		t.Given[e.Detail.Client]++
	default:
		t.Did[e.Kind]++
		c.done[e.Kind]++
	}
	if e.Session != "" && !slices.Contains(t.Sessions, e.Session) && len(t.Sessions) < sessionsKept {
		t.Sessions = append(t.Sessions, e.Session)
	}
}

// sessionsKept is how many sessions a scope names of each person.
const sessionsKept = 50

// came reports whether an address is in the networks that are asked for.
func (c *counting) came(address string) bool {
	return len(c.q.Networks) == 0 || from(c.q.Networks, address)
}

func (c *counting) source(e event.Entry, failed, in bool) {
	a, err := netip.ParseAddr(e.Address)
	if err != nil {
		return
	}
	network := event.Network(a).String()
	for _, n := range c.q.Networks {
		if n.Contains(a.Unmap()) {
			network = n.String()
			break
		}
	}
	s := c.sources[network]
	if s == nil {
		s = &Source{Network: network}
		c.sources[network] = s
	}
	if !c.addresses[e.Address] {
		c.addresses[e.Address] = true
		s.Addresses++
	}
	switch {
	case failed:
		s.Tries++
	case in:
		s.Ins++
	}
}

// result is the scope of what was counted, those first whom somebody got in to, and the most tried.
func (c *counting) result(at time.Time) Scope {
	s := Scope{Asked: c.q, At: at, Unknown: int64(len(c.unknown)), Done: c.done}
	for _, t := range c.people {
		s.People = append(s.People, *t)
	}
	slices.SortFunc(s.People, func(a, b Touch) int {
		if a.In() != b.In() {
			return cmp.Compare(b2i(b.In()), b2i(a.In()))
		}
		return cmp.Or(cmp.Compare(b.Tries+b.Ins, a.Tries+a.Ins), strings.Compare(a.Account, b.Account))
	})
	for _, one := range c.sources {
		s.Sources = append(s.Sources, *one)
	}
	slices.SortFunc(s.Sources, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.Tries+b.Ins, a.Tries+a.Ins), strings.Compare(a.Network, b.Network))
	})
	return s
}

// Counts are how many people were tried in vain, how many somebody got in to, and how many sessions that began or used.
func (s Scope) Counts() (vain, in, sessions, reused int64) {
	for _, t := range s.People {
		if !t.In() {
			vain++
			continue
		}
		in++
		sessions += int64(len(t.Sessions))
		reused += t.Reused
	}
	return vain, in, sessions, reused
}

// Kinds are what was done, the most frequent first.
func (s Scope) Kinds() []event.Kind {
	return slices.SortedFunc(maps.Keys(s.Done), func(a, b event.Kind) int {
		return cmp.Or(cmp.Compare(s.Done[b], s.Done[a]), strings.Compare(string(a), string(b)))
	})
}

const (
	// mostEvents is how many events a scope reads, unless the question says another number.
	mostEvents = 1_000_000
	// actionsBack is from how long ago on administrators' actions are looked for, where no start is known.
	actionsBack = 30 * 24 * time.Hour
	// eventPage is how many that pass are taken at once.
	eventPage = 5000
	// followMost is of how many people whom somebody got in to the other sessions are counted.
	followMost = 1000
)

// Scope finds out who was touched: from the log of events, which it reads by time and by account, and no further than the
// question says.
func (d *Desk) Scope(ctx context.Context, q Question) (s Scope, err error) {
	ctx, run := d.Count.Begin(ctx, "incidents")
	s, err = d.scope(ctx, q)
	return s, run.End(err)
}

func (d *Desk) scope(ctx context.Context, q Question) (s Scope, err error) {
	if err := q.check(); err != nil {
		return s, err
	}
	if q.Most <= 0 || q.Most > mostEvents {
		q.Most = mostEvents
	}
	c := newCounting(q)
	accounts, err := d.begins(ctx, c)
	if err != nil {
		return s, err
	}
	read, stopped := 0, time.Time{}
	for _, f := range c.filters(accounts, d.Now()) {
		n, at, err := d.readEvents(ctx, c, f, c.q.Most-read)
		if err != nil {
			return s, err
		}
		if read += n; !at.IsZero() {
			stopped = at
			break
		}
	}
	s = c.result(d.Now())
	s.Read, s.Stopped = read, stopped
	return s, d.follow(ctx, &s)
}

// filters are what is read of the log: the events of accounts, or of everybody. What an administrator has done to others stands
// under those, so of those who are named all such actions are looked at too: they are found by their time alone, so from a
// start on, which is a month ago where none is known. So is what applications were given.
func (c *counting) filters(accounts []string, now time.Time) (list []event.Filter) {
	for _, id := range accounts {
		list = append(list, event.Filter{Since: c.q.Since, Until: c.q.Until, Account: id})
	}
	if c.only == nil && c.clients == nil {
		return list
	}
	since := cmp.Or(c.q.Since, c.q.Began)
	if since.IsZero() {
		since = now.Add(-actionsBack)
	}
	if c.clients != nil {
		if c.only == nil {
			list = []event.Filter{{Since: since, Until: c.q.Until, Kinds: []event.Kind{event.AuthorizationGranted}}}
		}
		return list
	}
	return append(list, event.Filter{Since: since, Until: c.q.Until, Kinds: []event.Kind{event.AdminAction}})
}

// readEvents counts the events that pass a filter, from the newest on. It returns how many those were,
// and, where there are more, the time that it came to. Kinds are looked for here and not by the database, which has no index of them: it
// would read on for as long as there are none.
func (d *Desk) readEvents(ctx context.Context, c *counting, f event.Filter, most int) (read int, stopped time.Time, err error) {
	kinds := f.Kinds
	f.Kinds = nil
	for {
		var (
			page []event.Entry
			next string
		)
		err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
			page, next, err = d.Events.Search(tx, f, eventPage)
			return err
		})
		if err != nil {
			return read, stopped, err
		}
		for _, e := range page {
			if f.Account == "" && c.only[e.Account] || len(kinds) > 0 && !slices.Contains(kinds, e.Kind) {
				continue // it was among those of its account, or is of no such kind
			}
			c.take(e)
		}
		if read += len(page); next == "" {
			return read, time.Time{}, nil
		}
		if f.Before = next; read >= most || short(ctx) {
			if len(page) > 0 {
				stopped = page[len(page)-1].Time
			}
			return read, stopped, nil
		}
	}
}

// SaveScope notes for an incident whom somebody got in to, or who was tried as well, and in the timeline what was asked. It
// returns how many people were not noted before.
func (d *Desk) SaveScope(ctx context.Context, n int64, s Scope, command string, tried bool, by By) (added int64, err error) {
	vain, in, sessions, _ := s.Counts()
	for people := range slices.Chunk(s.People, lookBatch) {
		err = d.on(ctx, n, func(tx *db.Tx, i incident.Incident) error {
			for _, t := range people {
				if !t.In() && !tried || t.Email == "" {
					continue
				}
				fresh, err := incident.AddPerson(tx, i.ID, "", t.Account, d.Now())
				if err != nil {
					return err
				}
				added += int64(b2i(fresh))
			}
			return nil
		})
		if err != nil {
			return added, err
		}
	}
	return added, d.on(ctx, n, func(tx *db.Tx, i incident.Incident) error {
		if _, err := incident.Tick(tx, i.ID, "scope", by.actor(), d.Now()); err != nil {
			return err
		}
		text := "Scope: somebody got in to " + count(in, "account", "accounts") + " and tried " + count(vain, "more", "more") + " in vain, in " +
			count(sessions, "session", "sessions") + ". " + command
		return d.write(tx, i, incident.Entry{Kind: incident.Scoped, Text: text}, by)
	})
}
