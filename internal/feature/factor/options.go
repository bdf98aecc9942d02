package factor

import (
	"encoding/base64"
	"time"
)

// promptLife is how long a browser shows its prompt.
const promptLife = 5 * time.Minute

// The options of the ceremonies, as PublicKeyCredential.parseCreationOptionsFromJSON and parseRequestOptionsFromJSON
// read them (WebAuthn sections 5.4, 5.5).
type (
	// Creation is what a browser makes a passkey by.
	Creation struct {
		RP        Entity       `json:"rp"`
		User      User         `json:"user"`
		Challenge string       `json:"challenge"`
		Params    []Parameter  `json:"pubKeyCredParams"`
		Timeout   int64        `json:"timeout"` // ms
		Exclude   []Descriptor `json:"excludeCredentials"`
		Selection struct {
			ResidentKey      string `json:"residentKey"`
			UserVerification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
		Attestation string          `json:"attestation"`
		Extensions  map[string]bool `json:"extensions"`
	}
	// Request is what a browser asks a passkey for.
	Request struct {
		Challenge        string       `json:"challenge"`
		Timeout          int64        `json:"timeout"` // ms
		RPID             string       `json:"rpId"`
		Allow            []Descriptor `json:"allowCredentials"`
		UserVerification string       `json:"userVerification"`
	}
	// Entity is the relying party.
	Entity struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	// User is whose passkey it is to be; browsers show both names.
	User struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
	}
	// Parameter is an algorithm that we take.
	Parameter struct {
		Type      string `json:"type"`
		Algorithm int64  `json:"alg"`
	}
	// Descriptor names a passkey.
	Descriptor struct {
		Type       string   `json:"type"`
		ID         string   `json:"id"`
		Transports []string `json:"transports,omitempty"`
	}
)

// Encoded is how browsers write the id of a credential and a user handle.
func Encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Creation asks for a passkey for the account with the handle, beside those that it has: without their names, an
// authenticator that has one of them would replace it without a word. What people own works, security keys too.
func (p *Passkeys) Creation(u User, handle []byte, has []Passkey, binding string, now time.Time) Creation {
	c := Creation{
		RP: Entity{p.Party.ID, p.Party.Name}, User: u, Challenge: Encoded(p.New(Adds, binding, now)), Timeout: promptLife.Milliseconds(),
		Exclude: p.descriptors(has), Attestation: "none", Extensions: map[string]bool{"credProps": true},
	}
	c.User.ID = Encoded(handle)
	for _, a := range algorithms {
		c.Params = append(c.Params, Parameter{"public-key", int64(a)})
	}
	c.Selection.ResidentKey, c.Selection.UserVerification = "preferred", "preferred"
	return c
}

// SigningInAlone is the same for a passkey that must be able to sign in without a password.
func (c Creation) SigningInAlone() Creation {
	c.Selection.ResidentKey, c.Selection.UserVerification = "required", "required"
	return c
}

// Alone asks for any passkey that verifies the person.
func (p *Passkeys) Alone(now time.Time) Request {
	return Request{
		Challenge: Encoded(p.New(SignsIn, "", now)), Timeout: promptLife.Milliseconds(), RPID: p.Party.ID, Allow: []Descriptor{}, UserVerification: "required",
	}
}

// Behind asks for one of the account's passkeys, behind its password: a touch does.
func (p *Passkeys) Behind(has []Passkey, binding string, now time.Time) Request {
	var usable []Passkey
	for _, k := range has {
		if k.Usable(p.Party.ID) {
			usable = append(usable, k)
		}
	}
	return Request{
		Challenge: Encoded(p.New(Steps, binding, now)), Timeout: promptLife.Milliseconds(), RPID: p.Party.ID, Allow: p.descriptors(usable),
		UserVerification: "discouraged",
	}
}

// descriptors name those passkeys that are of this relying party.
func (p *Passkeys) descriptors(list []Passkey) []Descriptor {
	named := []Descriptor{}
	for _, k := range list {
		if k.RPID == p.Party.ID {
			named = append(named, Descriptor{"public-key", Encoded(k.Credential), k.Transports})
		}
	}
	return named
}
