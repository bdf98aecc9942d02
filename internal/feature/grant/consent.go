package grant

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Consented is what a person has let an application have.
type Consented struct {
	// Given says that they have been asked at all.
	Given bool
	// Scope are those that say something of them, between spaces, and Resources the scopes at each resource, by its URI.
	Scope     string
	Resources map[string][]string
}

// HoldConsent returns what a person has consented to an application having. Nobody takes it back until the transaction has ended,
// so that [Withdraw] sees, and ends, what is given by it.
func HoldConsent(tx *db.Tx, account, client string) (c Consented, err error) {
	var resources string
	err = tx.QueryRow(`UPDATE client_consent SET scope = scope WHERE account_id = $1 AND client_id = $2 RETURNING scope, resource`,
		account, client).Scan(&c.Scope, &resources)
	if errors.Is(err, db.ErrNoRows) {
		return Consented{}, nil
	}
	if err == nil {
		c.Given = true
		c.Resources, err = decodeResources(resources)
	}
	return c, err
}

func decodeResources(s string) (out map[string][]string, err error) {
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		return nil, fmt.Errorf("the resources of a consent are no JSON: %w", err)
	}
	return out, nil
}

// Consent adds scopes to those that a person has consented to, and scopes at resources.
func Consent(tx *db.Tx, account, client string, scopes []string, resources map[string][]string, now time.Time) error {
	had, err := HoldConsent(tx, account, client)
	if err != nil {
		return err
	}
	if had.Resources == nil {
		had.Resources = map[string][]string{}
	}
	for uri, more := range resources {
		all := append(slices.Clone(had.Resources[uri]), more...)
		slices.Sort(all)
		had.Resources[uri] = append([]string{}, slices.Compact(all)...)
	}
	text, err := json.Marshal(had.Resources)
	if err != nil {
		return err
	}
	all := strings.Join(ParseScope(had.Scope+" "+strings.Join(scopes, " ")), " ")
	_, err = tx.Exec(`INSERT INTO client_consent (account_id, client_id, scope, resource, given_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (account_id, client_id) DO UPDATE SET scope = excluded.scope, resource = excluded.resource, given_at = excluded.given_at`,
		account, client, all, string(text), db.Micros(now))
	return err
}

// Withdraw takes a consent back; ok is false if there was none.
func Withdraw(tx *db.Tx, account, client string) (ok bool, err error) {
	n, err := tx.Exec(`DELETE FROM client_consent WHERE account_id = $1 AND client_id = $2`, account, client)
	return n > 0, err
}

// WithdrawAll takes up to limit consents to an application back, and returns how many they were.
func WithdrawAll(tx *db.Tx, client string, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM client_consent WHERE client_id = $1 AND account_id IN (
		SELECT account_id FROM client_consent WHERE client_id = $1 LIMIT $2)`, client, limit)
}

// Allowed is an application that a person has signed in to, or consented to.
type Allowed struct {
	Client string
	// Scopes are what it may have, and Resources what it may do where, by their URIs; ConsentedAt is zero where nobody was asked.
	Scopes      []string
	Resources   map[string][]string
	ConsentedAt time.Time
	// Grants is how many live, Since when the first of them began, and UsedAt when one was last used.
	Grants        int64
	Since, UsedAt time.Time
	// Offline says that one goes on without the person.
	Offline bool
}

// AllowedBy returns the applications of a person, in the order of their ids. There are as many as are registered, at most.
func AllowedBy(tx *db.Tx, account string, now time.Time) ([]Allowed, error) {
	found := map[string]*Allowed{}
	of := func(client string) *Allowed {
		if found[client] == nil {
			found[client] = &Allowed{Client: client}
		}
		return found[client]
	}
	rows, err := tx.Query(`SELECT client_id, scope, resource, given_at FROM client_consent WHERE account_id = $1`, account)
	if err != nil {
		return nil, err
	}
	if err := each(rows, func() error {
		var (
			client, scope, resources string
			at                       int64
		)
		err := rows.Scan(&client, &scope, &resources, &at)
		if err != nil {
			return err
		}
		a := of(client)
		a.Scopes, a.ConsentedAt = ParseScope(scope), db.Time(at)
		a.Resources, err = decodeResources(resources)
		return err
	}); err != nil {
		return nil, err
	}
	rows, err = tx.Query(`SELECT client_id, scope, resource, offline, started_at, rotated_at FROM client_grant
		WHERE account_id = $1 AND started_at IS NOT NULL AND ended_at IS NULL AND idle_at > $2 AND max_at > $2`, account, db.Micros(now))
	if err != nil {
		return nil, err
	}
	if err := each(rows, func() error {
		var (
			client, scope, resource string
			offline, began, turned  int64
		)
		err := rows.Scan(&client, &scope, &resource, &offline, &began, &turned)
		of(client).count(scope, resource, offline == 1, db.Time(began), db.Time(turned))
		return err
	}); err != nil {
		return nil, err
	}
	list := make([]Allowed, 0, len(found))
	for _, a := range found {
		list = append(list, *a)
	}
	slices.SortFunc(list, func(a, b Allowed) int { return strings.Compare(a.Client, b.Client) })
	return list, nil
}

func (a *Allowed) count(scope, resource string, offline bool, began, used time.Time) {
	a.Grants++
	for _, uri := range strings.Fields(resource) {
		if a.Resources == nil {
			a.Resources = map[string][]string{}
		}
		for _, s := range strings.Fields(scope) {
			if !slices.Contains(Scopes(), s) && !slices.Contains(a.Resources[uri], s) {
				a.Resources[uri] = append(a.Resources[uri], s)
			}
		}
		if _, ok := a.Resources[uri]; !ok {
			a.Resources[uri] = nil
		}
	}
	a.Offline = a.Offline || offline
	a.Scopes = ParseScope(strings.Join(a.Scopes, " ") + " " + scope)
	if a.Since.IsZero() || began.Before(a.Since) {
		a.Since = began
	}
	if used.After(a.UsedAt) {
		a.UsedAt = used
	}
}

func each(rows *db.Rows, do func() error) error {
	defer rows.Close()
	for rows.Next() {
		if err := do(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// WithdrawEvery takes back all that a person has consented to.
func WithdrawEvery(tx *db.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM client_consent WHERE account_id = $1`, account)
	return err
}
