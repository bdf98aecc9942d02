package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Resource is an API of the operator's that takes access tokens of its own (RFC 8707): its URI is their audience, and its scopes
// stand in no others.
type Resource struct {
	URI string `json:"uri"`
	// Name is what people are shown.
	Name   string  `json:"name"`
	Scopes []Scope `json:"scopes"`
	// Open says that applications that registered themselves may ask for it.
	Open      bool      `json:"open"`
	CreatedAt time.Time `json:"-"`
	// FromFile says that a file describes it ([ResourceEntry]): it is changed there. Disabled says that the file does not have it any
	// more, so no tokens are made for it.
	FromFile bool `json:"managed_by_file,omitempty"`
	Disabled bool `json:"disabled,omitempty"`
}

// Scope is what an application may do at a resource.
type Scope struct {
	Name string `json:"name"`
	// Title is what people are shown; the name if it is empty.
	Title string `json:"title,omitempty"`
}

// Shown is what people are shown of a scope.
func (s Scope) Shown() string {
	if s.Title != "" {
		return s.Title
	}
	return s.Name
}

// Text is a scope on one line: its name, and behind a space its title, if it has one.
func (s Scope) Text() string { return strings.TrimSuffix(s.Name+" "+s.Title, " ") }

// ScopeLines are a resource's scopes as texts.
func (r Resource) ScopeLines() []string {
	lines := make([]string, 0, len(r.Scopes))
	for _, s := range r.Scopes {
		lines = append(lines, s.Text())
	}
	return lines
}

// Has reports whether a scope is one of the resource's.
func (r Resource) Has(scope string) bool {
	return slices.ContainsFunc(r.Scopes, func(s Scope) bool { return s.Name == scope })
}

// Within returns those scopes of a list between spaces that are the resource's, in its order.
func (r Resource) Within(scope string) (list []string) {
	asked := strings.Fields(scope)
	for _, s := range r.Scopes {
		if slices.Contains(asked, s.Name) {
			list = append(list, s.Name)
		}
	}
	return list
}

// Resources are those that are registered, by their URIs.
type Resources map[string]Resource

const (
	mostResource     = 512
	mostScopes       = 100
	mostScopeTitle   = 200
	mostResourceName = 100
	// mostResources is how many an application's settings name.
	mostResources = 50
)

// The faults.
var (
	ErrNoResource = fault.New(fault.NotFound, "resource_not_found",
		"There is no resource with this URI, to the letter. List them all with: gatehouse resource list")
	ErrResourceTaken = fault.New(fault.Conflict, "resource_taken", "There is already a resource with this URI.")
	ErrResourceInUse = fault.New(fault.Conflict, "resource_in_use",
		"The settings of an application name this resource (resources, default_resource or serves): take it out of them first.")
)

// ownScopes are those that say something of a person, not of a resource: see grant.Scopes, and OpenID Connect Core section 5.4.
var ownScopes = []string{"openid", "profile", "email", "roles", "groups", "offline_access", "address", "phone"}

var (
	scopeNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/*+-]{0,99}$`)
	urns       = regexp.MustCompile(`^urn:[a-z0-9][a-z0-9-]{1,31}:[A-Za-z0-9._:/%~+-]+$`)
)

// Check tells whether a resource can be registered. reserved are the audiences of other tokens: no resource is one of them, nor an issuer.
func (r Resource) Check(reserved []string, development bool) error {
	switch {
	case len(r.URI) > mostResource:
		return fault.Field("uri", "invalid_resource", "The URI of a resource has up to %d bytes.", mostResource)
	case slices.Contains(reserved, r.URI):
		return fault.Field("uri", "invalid_resource", "This is the audience of Gatehouse's own tokens, or their issuer: a resource is another.")
	case !urns.MatchString(r.URI):
		if err := checkURI("uri", r.URI, Web, development); err != nil {
			f := *fault.As(err)
			f.Code = "invalid_resource"
			return &f
		}
	}
	if r.Name == "" || len(r.Name) > mostResourceName || strings.ContainsFunc(r.Name, control) {
		return fault.Field("name", "invalid_resource_name", "A resource needs a name that people are shown: up to %d bytes, on one line.", mostResourceName)
	}
	return checkScopes(r.Scopes)
}

// ParseScopes reads scopes as [Scope.Text] writes them.
func ParseScopes(lines []string) (list []Scope) {
	for _, line := range lines {
		if name, title, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" {
			list = append(list, Scope{Name: name, Title: strings.TrimSpace(title)})
		}
	}
	return list
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func checkScopes(list []Scope) error {
	if len(list) > mostScopes {
		return fault.Field("scopes", "invalid_scopes", "A resource has up to %d scopes.", mostScopes)
	}
	seen := map[string]bool{}
	for _, s := range list {
		switch {
		case !scopeNames.MatchString(s.Name):
			return fault.Field("scopes", "invalid_scopes",
				"A scope has 1 to 100 letters, digits, dots, colons, slashes, stars, plus signs, hyphens and underscores, such as notes.read.")
		case slices.Contains(ownScopes, s.Name):
			return fault.Field("scopes", "invalid_scopes", "The scope %s says something of a person: a resource can't have it.", s.Name)
		case seen[s.Name]:
			return fault.Field("scopes", "invalid_scopes", "The scope %s is there twice.", s.Name)
		case len(s.Title) > mostScopeTitle || strings.ContainsFunc(s.Title, control):
			return fault.Field("scopes", "invalid_scopes", "What a scope allows is said in up to %d bytes, on one line.", mostScopeTitle)
		}
		seen[s.Name] = true
	}
	return nil
}

// MayAsk reports whether the application may ask for tokens for a resource. A service needs to be registered for it, since no
// person is asked; what registered itself may ask for open ones alone.
func (c Client) MayAsk(r Resource) bool {
	if c.Self {
		return r.Open
	}
	if len(c.Settings.Resources) > 0 {
		return slices.Contains(c.Settings.Resources, r.URI)
	}
	return c.Type != Service
}

// MayHave reports whether the application may have a scope.
func (c Client) MayHave(scope string) bool {
	return len(c.Settings.Scopes) == 0 || slices.Contains(c.Settings.Scopes, scope)
}

// Serves reports whether the application is the server of a resource, and is told of the tokens for it.
func (c Client) Serves(uri string) bool { return slices.Contains(c.Settings.Serves, uri) }

// Names are the resources that settings name.
func (s Settings) Names() []string {
	list := slices.Concat(s.Resources, s.Serves)
	if s.DefaultResource != "" {
		list = append(list, s.DefaultResource)
	}
	return list
}

// checkResources tells whether settings name resources and scopes as an application of a type may.
func (s Settings) checkResources(t Type) error {
	switch {
	case len(s.Serves) > 0 && t.Public():
		return fault.Field("serves", "public_serves_nothing", "Only an application with a secret or keys is told of tokens: type web or service.")
	case s.DefaultResource != "" && len(s.Resources) > 0 && !slices.Contains(s.Resources, s.DefaultResource):
		return fault.Field("default_resource", "invalid_default_resource", "It is not among the resources that the application may ask for.")
	}
	return s.boundResources()
}

func (s Settings) boundResources() error {
	if len(s.Names()) > mostResources || slices.ContainsFunc(s.Names(), func(uri string) bool { return uri == "" || len(uri) > mostResource }) {
		return fault.Field("resources", "invalid_resources", "An application names up to %d resources, of up to %d bytes each.", mostResources, mostResource)
	}
	if len(s.Scopes) > mostScopes || slices.ContainsFunc(s.Scopes, func(name string) bool { return !scopeNames.MatchString(name) }) {
		return fault.Field("scopes", "invalid_scopes", "Name up to %d scopes, such as openid or notes.read.", mostScopes)
	}
	return nil
}

// HoldNamed keeps the resources that settings name as they are until the transaction ends; unknown_resource is for one that there
// is not.
func (s Settings) HoldNamed(tx *db.Tx) error {
	for _, uri := range slices.Compact(slices.Sorted(slices.Values(s.Names()))) {
		if err := HoldKnown(tx, uri); err != nil {
			return err
		}
	}
	return nil
}

// HoldKnown keeps a resource as it is until the transaction ends; unknown_resource is for one that there is not.
func HoldKnown(tx *db.Tx, uri string) error {
	n, err := tx.Exec(`UPDATE resource SET name = name WHERE uri = $1`, uri)
	if err == nil && n == 0 {
		err = fault.Field("resources", "unknown_resource", "There is no resource %s: register it first, with: gatehouse resource create", uri)
	}
	return err
}

// AddResource registers a resource; ErrResourceTaken is for one that there is.
func AddResource(tx *db.Tx, r Resource, now time.Time) error {
	n, err := tx.Exec(`INSERT INTO resource (uri, name, scopes, open, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (uri) DO NOTHING`,
		r.URI, r.Name, scopesText(r.Scopes), number(r.Open), db.Micros(now))
	if err == nil && n == 0 {
		err = ErrResourceTaken
	}
	return err
}

// HoldResource returns the resource of a URI, and keeps others from changing it until the transaction ends, or returns ErrNoResource.
func HoldResource(tx *db.Tx, uri string) (Resource, error) {
	r, err := scanResource(tx.QueryRow(`UPDATE resource SET name = name WHERE uri = $1 RETURNING uri, name, scopes, open, created_at, source, disabled_at`, uri))
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNoResource
	}
	return r, err
}

// ChangeResource replaces what is registered of a resource, all but its URI.
func ChangeResource(tx *db.Tx, r Resource) error {
	_, err := tx.Exec(`UPDATE resource SET name = $2, scopes = $3, open = $4 WHERE uri = $1`, r.URI, r.Name, scopesText(r.Scopes), number(r.Open))
	return err
}

// DeleteResource takes a resource away, which the caller holds. ErrResourceInUse is for one that an application's settings name.
func DeleteResource(tx *db.Tx, uri string, now time.Time) error {
	all, err := List(tx, now)
	if err != nil {
		return err
	}
	for _, c := range all {
		if slices.Contains(c.Settings.Names(), uri) {
			return ErrResourceInUse
		}
	}
	_, err = tx.Exec(`DELETE FROM resource WHERE uri = $1`, uri)
	return err
}

// ListResources returns all resources, in the order of their URIs.
func ListResources(tx *db.Tx) (list []Resource, err error) {
	rows, err := tx.Query(`SELECT uri, name, scopes, open, created_at, source, disabled_at FROM resource ORDER BY uri`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanResource(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

func scanResource(row interface{ Scan(dest ...any) error }) (r Resource, err error) {
	var (
		scopes, source string
		open, at       int64
		off            *int64
	)
	if err := row.Scan(&r.URI, &r.Name, &scopes, &open, &at, &source, &off); err != nil {
		return r, err
	}
	r.Open, r.CreatedAt, r.FromFile, r.Disabled = open == 1, db.Time(at), source == fromFile, off != nil
	if err := json.Unmarshal([]byte(scopes), &r.Scopes); err != nil {
		return r, fmt.Errorf("the scopes of the resource %s: %w", r.URI, err)
	}
	return r, nil
}

func scopesText(list []Scope) string {
	b, err := json.Marshal(append([]Scope{}, list...))
	if err != nil {
		panic(fmt.Sprintf("client: scopes: %v", err)) // texts can be encoded
	}
	return string(b)
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
