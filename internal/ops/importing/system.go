package importing

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
)

// system is a system that people come from.
type system struct {
	// person reads one.
	person func(raw json.RawMessage, key foreign.FirebaseKey) (Person, error)
	// within are the names that lists of people have in the system's export, where it is one object, and above those of what
	// they lie in.
	within, above []string
	// rows says that the export may be CSV.
	rows bool
}

var systems = map[string]system{
	"auth0":       {person: auth0},
	"csv":         {person: plain, rows: true},
	"devise":      {person: devise, rows: true},
	"django":      {person: django, rows: true},
	FromGatehouse: {person: gatehouse},
	"firebase":    {person: firebase, within: []string{"users"}},
	"keycloak":    {person: keycloak, within: []string{"users"}},
	"kratos":      {person: kratos},
	"supabase":    {person: supabase, rows: true},
	"zitadel":     {person: zitadel, within: []string{"humanUsers", "human_users"}, above: []string{"data_orgs", "dataOrgs", "orgs"}},
}

// Systems are the names of the systems that people can come from.
func Systems() []string { return slices.Sorted(maps.Keys(systems)) }

// hashed reads a hash in any text form.
func (p Person) hashed(hash text) (Person, error) {
	p.Hash, p.Why = foreign.Parse(string(hash))
	return p, nil
}

// plain is the file that anybody can write.
func plain(raw json.RawMessage, _ foreign.FirebaseKey) (Person, error) {
	var u struct {
		ID, Email, Name, Locale, Disabled text
		EmailVerified                     text            `json:"email_verified"`
		PasswordHash                      text            `json:"password_hash"`
		Roles                             json.RawMessage // a list, or a text with spaces or commas
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	p := Person{
		ID: string(u.ID), Email: string(u.Email), Name: string(u.Name), Locale: string(u.Locale),
		Verified: u.EmailVerified.yes(), Disabled: u.Disabled.yes(),
	}
	var words string
	if len(u.Roles) > 0 && json.Unmarshal(u.Roles, &p.Roles) != nil {
		if err := json.Unmarshal(u.Roles, &words); err != nil {
			return Person{}, err
		}
		p.Roles = strings.FieldsFunc(words, func(r rune) bool { return r == ' ' || r == ',' || r == ';' })
	}
	return p.hashed(u.PasswordHash)
}

// djangoUser are the columns of auth_user. Users of a model of one's own have most of them too.
type djangoUser struct {
	ID, Password, Username, Email text
	FirstName                     text  `json:"first_name"`
	LastName                      text  `json:"last_name"`
	IsActive                      *text `json:"is_active"`
	Name                          text
}

// django reads dumpdata's objects, of which those with a password are people, and rows of the table.
func django(raw json.RawMessage, _ foreign.FirebaseKey) (Person, error) {
	var dumped struct {
		Model  text
		PK     text
		Fields json.RawMessage
	}
	if err := json.Unmarshal(raw, &dumped); err != nil {
		return Person{}, err
	}
	var u djangoUser
	if dumped.Model != "" {
		var fields struct{ Password, Email, Username *text }
		if err := json.Unmarshal(dumped.Fields, &fields); err != nil {
			return Person{}, err
		}
		if fields.Password == nil || fields.Email == nil && fields.Username == nil {
			return Person{}, errSkip
		}
		raw, u.ID = dumped.Fields, dumped.PK
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	return Person{
		ID: string(u.ID), Name: first(u.Name, fullName(u.FirstName, u.LastName)), Disabled: u.IsActive != nil && !u.IsActive.yes(),
	}.addressed(u.Email, u.Username).hashed(u.Password)
}

// keycloak reads the people of a realm's export; those of service accounts are none.
func keycloak(raw json.RawMessage, _ foreign.FirebaseKey) (Person, error) {
	var u struct {
		ID, Username, Email, FirstName, LastName text
		Enabled, EmailVerified                   text
		ServiceAccountClientID                   text `json:"serviceAccountClientId"`
		Attributes                               map[string][]text
		RealmRoles                               []string
		Credentials                              []struct{ Type, SecretData, CredentialData text }
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	if u.ServiceAccountClientID != "" {
		return Person{}, errSkip
	}
	p := Person{
		ID: string(u.ID), Name: first(fullName(u.FirstName, u.LastName)), Verified: u.EmailVerified.yes(),
		Disabled: u.Enabled != "" && !u.Enabled.yes(), Roles: slices.DeleteFunc(u.RealmRoles, ofKeycloak), Why: foreign.ErrNone,
	}.addressed(u.Email, u.Username)
	if locale := u.Attributes["locale"]; len(locale) == 1 {
		p.Locale = string(locale[0])
	}
	for _, c := range u.Credentials {
		if c.Type == "password" {
			p.Hash, p.Why = foreign.Keycloak(string(c.SecretData), string(c.CredentialData))
		}
	}
	return p, nil
}

// ofKeycloak reports whether a role is Keycloak's own, which everybody has there and which means nothing here.
func ofKeycloak(role string) bool {
	return role == "offline_access" || role == "uma_authorization" || strings.HasPrefix(role, "default-roles-")
}

// firebase reads the people of firebase auth:export --format=json.
func firebase(raw json.RawMessage, key foreign.FirebaseKey) (Person, error) {
	var u struct {
		LocalID                                  text `json:"localId"`
		Email, EmailVerified, PasswordHash, Salt text
		DisplayName, Disabled                    text
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	p := Person{
		ID: string(u.LocalID), Email: string(u.Email), Name: string(u.DisplayName), Verified: u.EmailVerified.yes(), Disabled: u.Disabled.yes(),
	}
	p.Hash, p.Why = key.Hash(string(u.Salt), string(u.PasswordHash))
	return p, nil
}

// supabase reads rows of auth.users.
func supabase(raw json.RawMessage, _ foreign.FirebaseKey) (Person, error) {
	var u struct {
		ID, Email   text
		Password    text            `json:"encrypted_password"`
		ConfirmedAt text            `json:"email_confirmed_at"`
		BannedUntil text            `json:"banned_until"`
		DeletedAt   text            `json:"deleted_at"`
		Anonymous   text            `json:"is_anonymous"`
		Meta        json.RawMessage `json:"raw_user_meta_data"`
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	if u.DeletedAt.is() || u.Anonymous.yes() {
		return Person{}, errSkip
	}
	var meta struct {
		Name     text
		FullName text `json:"full_name"`
	}
	var quoted string
	if json.Unmarshal(u.Meta, &quoted) == nil { // in CSV
		u.Meta = json.RawMessage(quoted)
	}
	_ = json.Unmarshal(u.Meta, &meta) // it is the application's, and may be anything
	return Person{
		ID: string(u.ID), Email: string(u.Email), Name: first(meta.FullName, meta.Name), Verified: u.ConfirmedAt.is(), Disabled: u.BannedUntil.is(),
	}.hashed(u.Password)
}
