package respond

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// What a difference is about.
const (
	AnAccount     = "account"
	APasskey      = "passkey"
	AnApp         = "app"
	AnApplication = "application"
)

// Difference is something that gives access and is not as it was in a backup.
type Difference struct {
	Of string `json:"of"`
	// How is added, gone or changed.
	How string `json:"how"`
	ID  string `json:"id"`
	// Name is an address, or what the factor or application is called; Account whose factor it is.
	Name    string `json:"name"`
	Account string `json:"account,omitempty"`
	// Parts are what has changed; of what is no secret, from what to what.
	Parts []string `json:"parts,omitempty"`
}

// Comparison is how an installation differs from a backup.
type Comparison struct {
	Backup string    `json:"backup"`
	Taken  time.Time `json:"taken_at"`
	// Read is how many rows of both were compared.
	Read int64 `json:"rows_read"`
	// Counts are all differences, by of and how; List the first of them.
	Counts map[string]int64 `json:"counts"`
	List   []Difference     `json:"differences"`
}

// differencesMost is how many differences a comparison lists; it counts all.
const differencesMost = 10_000

func (c *Comparison) add(d Difference) {
	c.Counts[d.Of+" "+d.How]++
	if len(c.List) < differencesMost {
		c.List = append(c.List, d)
	}
}

// String says how many differences there are, by kind.
func (c *Comparison) String() string {
	var words []string
	for _, of := range []string{AnAccount, APasskey, AnApp, AnApplication} {
		for _, how := range []string{"added", "gone", "changed"} {
			if n := c.Counts[of+" "+how]; n > 0 {
				words = append(words, count(n, of, of+"s")+" "+how)
			}
		}
	}
	if len(words) == 0 {
		return "nothing that gives access differs"
	}
	return strings.Join(words, ", ")
}

// part is a part of what is compared; shown says that it is no secret.
type part struct {
	name, value string
	shown       bool
}

// compared is a row as it is compared.
type compared struct {
	id, name, account string
	parts             []part
}

// source reads the rows after the one of an id, in the order of their ids; none at the end.
type source func(tx *db.Tx, after string) ([]compared, error)

// comparePage is how many rows are read at once.
const comparePage = 1000

func accounts(tx *db.Tx, after string) (list []compared, err error) {
	page, err := account.KeptAfter(tx, after, comparePage)
	for _, k := range page {
		list = append(list, compared{k.ID, k.Email, "", []part{
			{"address", k.Email, true}, {"roles", k.Roles, true}, {"password", stamp(k.PasswordAt), true}, {"hash", k.Hash, false},
			{"disabled", fmt.Sprint(k.Disabled), true},
		}})
	}
	return list, err
}

func factors(read func(tx *db.Tx, after string, limit int) ([]factor.Kept, error)) source {
	return func(tx *db.Tx, after string) (list []compared, err error) {
		page, err := read(tx, after, comparePage)
		for _, k := range page {
			list = append(list, compared{k.ID, k.Name, k.Account, []part{{"owner", k.Account, true}, {"key", k.Key, false}}})
		}
		return list, err
	}
}

func applications(tx *db.Tx, after string) (list []compared, err error) {
	if after != "" {
		return nil, nil
	}
	all, err := client.KeptAll(tx)
	for _, k := range all {
		list = append(list, compared{k.ID, k.Name, "", []part{
			{"name", k.Name, true}, {"secret", k.Secret, false}, {"settings", k.Settings, true}, {"disabled", fmt.Sprint(k.Disabled), true},
		}})
	}
	return list, err
}

// Compare says how what gives access differs from how it was in another database, a page at a time.
func (d *Desk) Compare(ctx context.Context, then *db.DB, c Comparison) (Comparison, error) {
	c.Counts, c.List = map[string]int64{}, []Difference{}
	for _, one := range []struct {
		of   string
		read source
	}{
		{AnAccount, accounts}, {APasskey, factors(factor.KeysKeptAfter)}, {AnApp, factors(factor.AppsKeptAfter)}, {AnApplication, applications},
	} {
		was, is := &cursor{db: then, read: one.read}, &cursor{db: d.DB, read: one.read}
		if err := c.merge(ctx, one.of, was, is); err != nil {
			return c, err
		}
	}
	return c, nil
}

// cursor goes through the rows of one database.
type cursor struct {
	db   *db.DB
	read source
	page []compared
	last string
	over bool
}

// first returns the next row, and leaves it there; nil at the end.
func (c *cursor) first(ctx context.Context) (*compared, error) {
	if len(c.page) == 0 && !c.over {
		err := c.db.Read(ctx, func(tx *db.Tx) (err error) {
			c.page, err = c.read(tx, c.last)
			return err
		})
		if err != nil {
			return nil, err
		}
		if c.over = len(c.page) == 0; !c.over {
			c.last = c.page[len(c.page)-1].id
		}
	}
	if len(c.page) == 0 {
		return nil, nil
	}
	return &c.page[0], nil
}

func (c *cursor) next() { c.page = c.page[1:] }

// merge goes through both in the order of their ids.
func (c *Comparison) merge(ctx context.Context, of string, was, is *cursor) error {
	for {
		a, err := was.first(ctx)
		if err != nil {
			return err
		}
		b, err := is.first(ctx)
		switch {
		case err != nil || a == nil && b == nil:
			return err
		case b == nil || a != nil && a.id < b.id:
			c.add(Difference{Of: of, How: "gone", ID: a.id, Name: a.name, Account: a.account})
			was.next()
		case a == nil || b.id < a.id:
			c.add(Difference{Of: of, How: "added", ID: b.id, Name: b.name, Account: b.account, Parts: b.born()})
			is.next()
		default:
			if parts := changes(a.parts, b.parts); len(parts) > 0 {
				c.add(Difference{Of: of, How: "changed", ID: b.id, Name: b.name, Account: b.account, Parts: parts})
			}
			was.next()
			is.next()
		}
		c.Read++
	}
}

// born says what of something new matters: the roles of an account.
func (c *compared) born() (list []string) {
	for _, p := range c.parts {
		if p.name == "roles" && p.value != "[]" {
			list = append(list, "roles: "+p.value)
		}
	}
	return list
}

func changes(was, is []part) (list []string) {
	for i, p := range is {
		switch {
		case p.value == was[i].value:
		case p.shown:
			list = append(list, fmt.Sprintf("%s: %s, now %s", p.name, was[i].value, p.value))
		default:
			list = append(list, p.name)
		}
	}
	return list
}
