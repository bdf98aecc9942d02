package importing

import (
	"encoding/json"

	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
)

// auth0 reads the lines of the export that Auth0's support makes.
func auth0(raw json.RawMessage, _ foreign.FirebaseKey) (Person, error) {
	var u struct {
		OID struct {
			OID text `json:"$oid"`
		} `json:"_id"`
		UserID                text `json:"user_id"`
		Email, Name, Nickname text
		GivenName             text `json:"given_name"`
		FamilyName            text `json:"family_name"`
		EmailVerified         text `json:"email_verified"`
		PasswordHash          text
		Blocked               text
		Identifiers           []struct{ Type, Value, Verified text }
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	p := Person{
		ID: first(u.UserID, u.OID.OID), Email: string(u.Email), Name: first(fullName(u.GivenName, u.FamilyName), u.Name),
		Verified: u.EmailVerified.yes(), Disabled: u.Blocked.yes(),
	}
	for _, i := range u.Identifiers {
		switch {
		case i.Type != "email" || i.Value == "":
		case p.Email == "": // email_verified is about none
			p.Email, p.Verified = string(i.Value), i.Verified.yes()
		case p.Email == string(i.Value):
			p.Verified = p.Verified || i.Verified.yes()
		}
	}
	if p.Name == p.Email { // what Auth0 makes a name of where there is none
		p.Name = ""
	}
	return p.hashed(u.PasswordHash)
}

// kratos reads identities as its administration's API lists them with include_credential=password.
func kratos(raw json.RawMessage, _ foreign.FirebaseKey) (Person, error) {
	var u struct {
		ID, State   text
		Credentials struct {
			Password struct {
				Identifiers []text
				Config      struct {
					Hash text `json:"hashed_password"`
				}
			}
		}
		Traits struct {
			Email, Locale text
			Name          json.RawMessage
		}
		Addresses []struct{ Value, Via, Verified text } `json:"verifiable_addresses"`
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	p := Person{
		ID: string(u.ID), Locale: string(u.Traits.Locale), Disabled: u.State == "inactive",
	}.addressed(u.Traits.Email, u.Credentials.Password.Identifiers...)
	var name text
	var parts struct{ First, Last text }
	if json.Unmarshal(u.Traits.Name, &parts) == nil {
		p.Name = first(fullName(parts.First, parts.Last))
	} else if json.Unmarshal(u.Traits.Name, &name) == nil {
		p.Name = string(name)
	}
	for _, a := range u.Addresses {
		if a.Via == "email" && string(a.Value) == p.Email {
			p.Login, p.Verified = false, a.Verified.yes()
		}
	}
	return p.hashed(u.Credentials.Password.Config.Hash)
}

// zitadel reads the people of its export, and what its API for importing takes.
func zitadel(raw json.RawMessage, _ foreign.FirebaseKey) (Person, error) {
	type human struct {
		UserName text
		Profile  struct{ FirstName, LastName, DisplayName, PreferredLanguage text }
		Email    struct{ Email, IsEmailVerified text }
		Hashed   struct{ Value text } `json:"hashedPassword"`
	}
	var u struct {
		UserID text
		State  text
		User   *human
		human
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	h := u.human
	if u.User != nil {
		h = *u.User
	}
	return Person{
		ID: string(u.UserID), Name: first(h.Profile.DisplayName, fullName(h.Profile.FirstName, h.Profile.LastName)),
		Locale: languageOf(h.Profile.PreferredLanguage), Verified: h.Email.IsEmailVerified.yes(),
		Disabled: u.State == "USER_STATE_INACTIVE" || u.State == "USER_STATE_LOCKED",
	}.addressed(h.Email.Email, h.UserName).hashed(h.Hashed.Value)
}

// languageOf leaves out what Zitadel writes where nobody has chosen a language.
func languageOf(t text) string {
	if t == "und" {
		return ""
	}
	return string(t)
}

// devise reads rows of the table of users in Rails.
func devise(raw json.RawMessage, _ foreign.FirebaseKey) (Person, error) {
	var u struct {
		ID, Email, Name, Locale text
		FirstName               text `json:"first_name"`
		LastName                text `json:"last_name"`
		Password                text `json:"encrypted_password"`
		ConfirmedAt             text `json:"confirmed_at"`
		DeletedAt               text `json:"deleted_at"`
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		return Person{}, err
	}
	if u.DeletedAt.is() {
		return Person{}, errSkip
	}
	return Person{
		ID: string(u.ID), Email: string(u.Email), Name: first(u.Name, fullName(u.FirstName, u.LastName)), Locale: string(u.Locale),
		Verified: u.ConfirmedAt.is(),
	}.hashed(u.Password)
}
