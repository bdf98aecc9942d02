package respond

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// mostBegins is how many people, applications and roles a scope begins with.
const mostBegins = 100

// check refuses a question that does not say where to begin.
func (q Question) check() error {
	begins := len(q.Users) + len(q.Networks) + len(q.Clients) + len(q.Roles)
	switch {
	case begins == 0 && q.Device == "" && q.Session == "" && q.Key == "" && q.Since.IsZero():
		return wrong("networks", "Say where to begin: people, roles, networks, a device, a session, applications, a key, or a time.")
	case len(q.Users) > mostBegins || len(q.Networks) > mostNetworks || len(q.Clients) > mostBegins || len(q.Roles) > mostBegins:
		return wrong("users", "A scope begins with at most 100 people, 100 networks, and 100 applications.")
	}
	return nil
}

// nameless stands for the people in what is kept of a command: an erasure would not find them there.
const nameless = "…"

// Command is what repeats a question about an incident, with times as they are: an hour ago is another time then. named says whether
// it names people.
func (q Question) Command(incident string, named bool) string {
	words := []string{"gatehouse incident scope", incident}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, flag, value)
		}
	}
	quoted := func(s string) string {
		if s == "" {
			return ""
		}
		return strconv.Quote(s)
	}
	for _, user := range q.Users {
		if user = quoted(user); !named {
			user = nameless
		}
		add("--user", user)
	}
	add("--network", strings.ReplaceAll(joined(q.Networks), ", ", ","))
	add("--device", quoted(q.Device))
	add("--session", quoted(q.Session))
	for _, app := range q.Clients {
		add("--client", quoted(app))
	}
	add("--role", strings.Join(q.Roles, ","))
	add("--key", quoted(q.Key))
	if q.Shared {
		words = append(words, "--shared")
	}
	add("--since", stamp(q.Since))
	add("--until", stamp(q.Until))
	return strings.Join(words, " ")
}

// begins finds what a question names, and returns the accounts whose events are read: the empty one stands for everybody.
func (d *Desk) begins(ctx context.Context, c *counting) (accounts []string, err error) {
	if c.q.Key != "" {
		if err := d.whileKey(ctx, &c.q); err != nil {
			return nil, err
		}
	}
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		for _, user := range c.q.Users {
			a, err := account.Find(tx, user)
			if err != nil {
				return fault.Field("users", "account_not_found", "There is no account %s.", user)
			}
			accounts = append(accounts, a.ID)
		}
		for _, role := range c.q.Roles {
			ids, err := account.WithRole(tx, role, mostBegins+1)
			if err != nil {
				return err
			}
			accounts = append(accounts, ids...)
		}
		for _, name := range c.q.Clients {
			is, err := client.Find(tx, name, d.Now())
			if err != nil {
				return err
			}
			if c.clients == nil {
				c.clients = map[string]bool{}
			}
			c.clients[is.ID] = true
		}
		return nil
	})
	slices.Sort(accounts)
	accounts = slices.Compact(accounts)
	switch {
	case err != nil:
		return nil, err
	case len(accounts) > mostBegins:
		return nil, wrong("roles", "More than %d accounts have these roles: begin with a time, a network or an application.", mostBegins)
	case len(c.q.Users)+len(c.q.Roles) == 0:
		return []string{""}, nil
	}
	c.only = map[string]bool{}
	for _, id := range accounts {
		c.only[id] = true
	}
	return accounts, nil
}

// whileKey narrows a question to the time in which what a key made was good.
func (d *Desk) whileKey(ctx context.Context, q *Question) error {
	keys, err := d.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys.Standing() {
		if k.Name != q.Key && k.ID != q.Key {
			continue
		}
		until := k.Until
		if !k.RevokedAt.IsZero() {
			until = k.RevokedAt
		}
		if q.Since.Before(k.From) {
			q.Since = k.From
		}
		if !until.IsZero() && (q.Until.IsZero() || q.Until.After(until)) {
			q.Until = until
		}
		return nil
	}
	return wrong("key", "There is no key %q: gatehouse key list has them all.", q.Key)
}

// spare is how much of a request's time is left for the answer.
const spare = 4 * time.Second

// short reports whether the time of who waits is nearly over.
func short(ctx context.Context) bool {
	at, limited := ctx.Deadline()
	return limited && time.Until(at) < spare
}

// Given is what one application was given.
type Given struct {
	Client, Name string
	// Grants is how often, and People of how many; Living are those of them that have not ended, and Offline those that go on without a session.
	Grants, People, Living, Offline int64
	Scopes                          []string
}

// Other is somebody who used a network as well that those used whom somebody got in to.
type Other struct {
	Account, Email, Network string
	// Same is whether it was with a browser and system of the same name.
	Same     bool
	Sessions int64
}

// follow puts names to the people, and counts the other sessions of those whom somebody got in to.
func (d *Desk) follow(ctx context.Context, s *Scope) error {
	for from := 0; from < len(s.People); from += lookBatch {
		part := s.People[from:min(from+lookBatch, len(s.People))]
		err := d.DB.Read(ctx, func(tx *db.Tx) error {
			for i := range part {
				if err := d.followOne(tx, s, &part[i], from+i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(s.Given, func(a, b Given) int {
		return cmp.Or(cmp.Compare(b.Grants, a.Grants), strings.Compare(a.Client, b.Client))
	})
	if s.Asked.Shared {
		return d.findOthers(ctx, s)
	}
	return nil
}

func (d *Desk) followOne(tx *db.Tx, s *Scope, t *Touch, at int) error {
	a, err := account.ByID(tx, t.Account)
	if fault.KindOf(err) == fault.NotFound {
		return nil // it is erased
	}
	if err != nil {
		return err
	}
	t.Email = a.Email
	if !t.In() || at >= followMost {
		return nil
	}
	if len(t.Given) > 0 {
		if err := s.givenTo(tx, t); err != nil {
			return err
		}
	}
	list, err := session.List(tx, t.Account, d.Now())
	for _, i := range list {
		if !slices.Contains(t.Sessions, i.ID) {
			s.Living++
		}
	}
	return err
}

// grantsKept is how many grants of one person are looked at.
const grantsKept = 1000

// givenTo counts what applications were given of one person.
func (s *Scope) givenTo(tx *db.Tx, t *Touch) error {
	kept, err := grant.OfAccount(tx, t.Account, "", grantsKept)
	if err != nil {
		return err
	}
	for id, n := range t.Given {
		at := slices.IndexFunc(s.Given, func(g Given) bool { return g.Client == id })
		if at < 0 {
			at = len(s.Given)
			s.Given = append(s.Given, Given{Client: id, Name: id})
			is, err := client.Find(tx, id, s.At)
			if err != nil && fault.KindOf(err) != fault.NotFound {
				return err
			}
			if err == nil {
				s.Given[at].Name = is.Name
			}
		}
		g := &s.Given[at]
		g.Grants += n
		g.People++
		for _, k := range kept {
			if k.Client != id {
				continue
			}
			if k.Ended.IsZero() {
				g.Living++
				g.Offline += int64(b2i(k.Offline))
			}
			for scope := range strings.FieldsSeq(k.Scope) {
				if !slices.Contains(g.Scopes, scope) {
					g.Scopes = append(g.Scopes, scope)
				}
			}
		}
	}
	return nil
}

// othersMost is how many others a scope names.
const othersMost = 1000

// findOthers looks through the sessions for those who used the networks in which somebody got in, and are not among the people. It
// reads as many sessions as a preview does.
func (d *Desk) findOthers(ctx context.Context, s *Scope) error {
	known, devices, networks := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, t := range s.People {
		known[t.Account] = t.In()
		for _, b := range t.Births {
			devices[b.Device] = true
			if a, err := netip.ParseAddr(b.Address); err == nil {
				networks[event.Network(a).String()] = true
			}
		}
	}
	found := map[[2]string]*Other{}
	s.OthersWhole = true
	for after, read := "", 0; ; {
		var page []session.Info
		if err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = session.After(tx, after, d.Now(), lookBatch)
			return err
		}); err != nil {
			return err
		}
		for _, i := range page {
			after = i.ID
			if !known[i.Account] {
				meets(found, i, networks, devices)
			}
		}
		if read += len(page); len(page) < lookBatch {
			break
		}
		if read >= countMost || len(found) >= othersMost || short(ctx) {
			s.OthersWhole = false
			break
		}
	}
	return d.nameOthers(ctx, s, found)
}

// meets notes a session that was begun or used in one of the networks.
func meets(found map[[2]string]*Other, i session.Info, networks, devices map[string]bool) {
	for _, address := range []string{i.FirstAddress, i.Address} {
		a, err := netip.ParseAddr(address)
		if err != nil {
			continue
		}
		network := event.Network(a).String()
		if !networks[network] {
			continue
		}
		key := [2]string{i.Account, network}
		if found[key] == nil {
			found[key] = &Other{Account: i.Account, Network: network}
		}
		found[key].Sessions++
		found[key].Same = found[key].Same || devices[session.DeviceName(i.UserAgent)]
		return
	}
}

func (d *Desk) nameOthers(ctx context.Context, s *Scope, found map[[2]string]*Other) error {
	return d.DB.Read(ctx, func(tx *db.Tx) error {
		for _, o := range found {
			a, err := account.ByID(tx, o.Account)
			if fault.KindOf(err) == fault.NotFound && err != nil {
				continue // it is erased
			}
			if err != nil {
				return err
			}
			o.Email = a.Email
			s.Others = append(s.Others, *o)
		}
		slices.SortFunc(s.Others, func(a, b Other) int {
			return cmp.Or(cmp.Compare(b2i(b.Same), b2i(a.Same)), strings.Compare(a.Account, b.Account), strings.Compare(a.Network, b.Network))
		})
		return nil
	})
}
