package factor

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// refused is why the answer of a passkey is refused. It is for the log alone: everybody is told ErrInvalidPasskey.
type refused string

// Error implements error.
func (r refused) Error() string { return string(r) }

// errForeign is for a challenge that we have not made for this.
var errForeign = ErrInvalidPasskey.Because(refused("the challenge is not ours, or not for this"))

// ErrInvalidPasskey is for every answer of a passkey that is refused, whatever is wrong with it.
var ErrInvalidPasskey = fault.New(fault.Unauthenticated, "invalid_passkey",
	"This passkey was not accepted. Please try once more, or sign in another way: it may have been removed from the account, or belong to another service.")

// RelyingParty is for whom passkeys are made.
type RelyingParty struct {
	// ID is the host; Name is what people are shown.
	ID, Name string
	// Origins are those whose pages, or apps, may use them, to the byte.
	Origins []string
}

// Passkeys adds passkeys and judges their answers. The library checks the signature and what is signed; what it would
// take, or has no way of knowing, is checked here: the origin to the byte, frames of other sites, whose passkey it is,
// and, in [UsePasskey], its counter and what it says of copies.
type Passkeys struct {
	*Store
	*Challenges
	Party   RelyingParty
	library *webauthn.WebAuthn
}

// NewPasskeys returns an error for a relying party that can be none.
func NewPasskeys(s *Store, c *Challenges, party RelyingParty) (*Passkeys, error) {
	library, err := webauthn.New(&webauthn.Config{
		RPID: party.ID, RPDisplayName: party.Name, RPOrigins: party.Origins,
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore, // clients add what nobody asked for
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	return &Passkeys{Store: s, Challenges: c, Party: party, library: library}, nil
}

// RPID is the host that they are for; empty where passkeys are off.
func (p *Passkeys) RPID() string {
	if p == nil {
		return ""
	}
	return p.Party.ID
}

// NewHandle makes a user handle.
func (p *Passkeys) NewHandle() []byte { return p.Challenges.random.Bytes(HandleSize) }

// algorithms are those of the keys that we take: ES256, EdDSA with Ed25519, RS256. Browsers complain of a list
// without the first and the last.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256}

// The bounds of an RSA key's modulus in bits: below it is weak, above it is slow.
const leastRSA, mostRSA = 2048, 4096

// mostAnswer is the size of an answer in bytes; mostName that of a transport's name, of which there are few.
const mostAnswer, mostTransport, mostTransports = 16 << 10, 32, 8

// ceremony is what is asked of an answer.
type ceremony struct {
	clientData protocol.CollectedClientData
	raw        []byte // the client data
	rawID      []byte
}

// check holds against ours what the library does not, or not as strictly.
func (c ceremony) check(party RelyingParty) error {
	var frames struct {
		TopOrigin   json.RawMessage `json:"topOrigin"`
		CrossOrigin bool            `json:"crossOrigin"`
	}
	switch err := json.Unmarshal(c.raw, &frames); {
	case err != nil:
		return ErrInvalidPasskey.Because(err)
	case !slices.Contains(party.Origins, c.clientData.Origin):
		return ErrInvalidPasskey.Because(refused("the origin is not ours"))
	case frames.CrossOrigin, frames.TopOrigin != nil:
		return ErrInvalidPasskey.Because(refused("it was made in a frame of another site"))
	}
	return nil
}

// challengeOf decodes a challenge: base64url without padding, in the one way that there is.
func challengeOf(c protocol.CollectedClientData) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(c.Challenge)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != c.Challenge {
		return nil, errForeign
	}
	return b, nil
}

// owner is an account as the library wants it.
type owner struct {
	handle []byte
	has    []webauthn.Credential
}

func (o owner) WebAuthnID() []byte                         { return o.handle }
func (o owner) WebAuthnName() string                       { return "" }
func (o owner) WebAuthnDisplayName() string                { return "" }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.has }

// Assertion is the answer of a passkey that signs in. Nothing in it has been checked.
type Assertion struct {
	parsed    *protocol.ParsedCredentialAssertionData
	challenge []byte
}

// ParseAssertion reads one, as PublicKeyCredential.toJSON makes it. It returns ErrInvalidPasskey for what is none.
func ParseAssertion(answer []byte) (a Assertion, err error) {
	if len(answer) > mostAnswer {
		return a, ErrInvalidPasskey.Because(refused("it is too long"))
	}
	if a.parsed, err = protocol.ParseCredentialRequestResponseBytes(answer); err != nil {
		return Assertion{}, ErrInvalidPasskey.Because(err)
	}
	a.challenge, err = challengeOf(a.parsed.Response.CollectedClientData)
	return a, err
}

// Credential is the id of the passkey that it claims to be of.
func (a Assertion) Credential() []byte { return a.parsed.RawID }

// Challenge is what it answers.
func (a Assertion) Challenge() []byte { return a.challenge }

// Asked is what an answer must be an answer to.
type Asked struct {
	Purpose Purpose
	// Binding is what the challenge was made for.
	Binding string
}

// Answers returns errors for an answer to no challenge of ours that is made for this, and to one that is too old. It
// looks at no account.
func (p *Passkeys) Answers(a Assertion, to Asked, now time.Time) error {
	return p.check(a.challenge, to.Purpose, to.Binding, now)
}

// Use is what a right answer says.
type Use struct {
	Counter            uint32
	Eligible, BackedUp bool
	Challenge          []byte
}

// Judge returns what a passkey's answer says if it is right, or ErrInvalidPasskey. For a passkey alone the person
// must have been verified, and the user handle be there: that is two factors. Behind a password a touch does. It
// spends nothing, and looks neither at the challenge, nor at the counter, nor at whether the passkey is suspect.
func (p *Passkeys) Judge(a Assertion, k Passkey, handle []byte, alone bool) (Use, error) {
	flags := a.parsed.Response.AuthenticatorData.Flags
	c := ceremony{a.parsed.Response.CollectedClientData, a.parsed.Raw.AssertionResponse.ClientDataJSON, a.parsed.RawID}
	if err := c.check(p.Party); err != nil {
		return Use{}, err
	}
	switch {
	case !secret.Equal(a.parsed.RawID, k.Credential):
		return Use{}, ErrInvalidPasskey.Because(refused("it is of another passkey"))
	case alone && len(a.parsed.Response.UserHandle) == 0:
		return Use{}, ErrInvalidPasskey.Because(refused("there is no user handle"))
	case len(handle) == 0 || k.RPID != p.Party.ID:
		return Use{}, ErrInvalidPasskey.Because(refused("the passkey rests"))
	}
	verification := protocol.VerificationDiscouraged
	if alone {
		verification = protocol.VerificationRequired
	}
	// What an authenticator says of copies may change, which the library refuses for ever: it is told what was
	// signed, and UsePasskey judges.
	credential := webauthn.Credential{ID: k.Credential, PublicKey: k.PublicKey, Flags: webauthn.CredentialFlags{BackupEligible: flags.HasBackupEligible()}}
	_, err := p.library.ValidateLogin(owner{handle, []webauthn.Credential{credential}}, webauthn.SessionData{
		Challenge: a.parsed.Response.CollectedClientData.Challenge, RelyingPartyID: p.Party.ID, UserID: handle,
		AllowedCredentialIDs: [][]byte{k.Credential}, UserVerification: verification,
	}, a.parsed)
	if err != nil {
		return Use{}, ErrInvalidPasskey.Because(err)
	}
	return Use{
		Counter: a.parsed.Response.AuthenticatorData.Counter, Eligible: flags.HasBackupEligible(), BackedUp: flags.HasBackupState(), Challenge: a.challenge,
	}, nil
}

// nobody's key is what the answers of unknown passkeys are held against: NIST's generator of P-256, whose private
// key is 1. The handle that goes with it is nobody's.
var nobody = Passkey{PublicKey: slices.Concat([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, []byte(
	"\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96"),
	[]byte{0x22, 0x58, 32}, []byte(
		"\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5"))}

// JudgeNobody does the work of Judge for a passkey that we do not know, and returns ErrInvalidPasskey.
func (p *Passkeys) JudgeNobody(a Assertion, alone bool) error {
	k := nobody
	k.RPID, k.Credential = p.Party.ID, a.parsed.RawID
	handle := a.parsed.Response.UserHandle
	if len(handle) == 0 {
		handle = []byte{0}
	}
	if _, err := p.Judge(a, k, handle, alone); err != nil {
		return err
	}
	return ErrInvalidPasskey.Because(refused("the passkey is unknown"))
}

// Registration is the answer of an authenticator that has made a passkey. Nothing in it has been checked.
type Registration struct {
	parsed    *protocol.ParsedCredentialCreationData
	challenge []byte
}

// ParseRegistration reads one, as PublicKeyCredential.toJSON makes it. It returns ErrInvalidPasskey for what is none.
func ParseRegistration(answer []byte) (r Registration, err error) {
	if len(answer) > mostAnswer {
		return r, ErrInvalidPasskey.Because(refused("it is too long"))
	}
	if r.parsed, err = protocol.ParseCredentialCreationResponseBytes(answer); err != nil {
		return Registration{}, ErrInvalidPasskey.Because(err)
	}
	r.challenge, err = challengeOf(r.parsed.Response.CollectedClientData)
	return r, err
}

// Challenge is what it answers.
func (r Registration) Challenge() []byte { return r.challenge }

// Made returns the passkey that was made for an account, without its id, or ErrInvalidPasskey or ErrChallengeExpired.
// The binding is what the challenge was made for. It spends nothing.
func (p *Passkeys) Made(r Registration, account string, handle []byte, binding string, now time.Time) (k Passkey, err error) {
	if err := p.check(r.challenge, Adds, binding, now); err != nil {
		return k, err
	}
	c := ceremony{r.parsed.Response.CollectedClientData, r.parsed.Raw.AttestationResponse.ClientDataJSON, r.parsed.RawID}
	if err := c.check(p.Party); err != nil {
		return k, err
	}
	// Nothing is attested: a statement that comes all the same, with certificates maybe, is not looked at.
	attestation := &r.parsed.Response.AttestationObject
	attestation.Format, attestation.AttStatement, attestation.SubStatements = string(protocol.AttestationFormatNone), nil, nil
	var params []protocol.CredentialParameter
	for _, a := range algorithms {
		params = append(params, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: a})
	}
	made, err := p.library.CreateCredential(owner{handle: handle}, webauthn.SessionData{
		Challenge: r.parsed.Response.CollectedClientData.Challenge, RelyingPartyID: p.Party.ID, UserID: handle,
		UserVerification: protocol.VerificationPreferred, CredParams: params,
	}, r.parsed)
	if err != nil {
		return k, ErrInvalidPasskey.Because(err)
	}
	if err := sound(made.PublicKey); err != nil {
		return k, ErrInvalidPasskey.Because(err)
	}
	k = Passkey{
		Account: account, RPID: p.Party.ID, Credential: made.ID, PublicKey: made.PublicKey, Counter: made.Authenticator.SignCount,
		Eligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState, Verifies: made.Flags.UserVerified,
		Transports: transportsOf(r.parsed.Response.Transports),
	}
	k.Discoverable = k.Eligible // whatever is synced is; the rest says so, or not
	if props := r.parsed.ClientExtensionResults.CredProps; props != nil && props.RK != nil {
		k.Discoverable = *props.RK
	}
	id, err := uuid.FromBytes(made.Authenticator.AAGUID)
	if err != nil {
		return k, ErrInvalidPasskey.Because(err)
	}
	k.AAGUID = id.String()
	k.Name = nameOf(k)
	return k, nil
}

// NeedsName reports whether the browser says that the passkey is not found without a name.
func (r Registration) NeedsName() bool {
	props := r.parsed.ClientExtensionResults.CredProps
	return props != nil && props.RK != nil && !*props.RK
}

// transportsOf are those that a request names again: short ones, and few.
func transportsOf(list []protocol.AuthenticatorTransport) []string {
	kept := []string{}
	for _, t := range list {
		if len(t) <= mostTransport && len(kept) < mostTransports {
			kept = append(kept, string(t))
		}
	}
	return kept
}

// sound returns an error for a key of another algorithm than it says, and for RSA keys that are weak or slow. The
// library has checked points and curves.
func sound(publicKey []byte) error {
	key, err := webauthncose.ParsePublicKey(publicKey)
	if err != nil {
		return err
	}
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		if k.Algorithm == int64(webauthncose.AlgES256) {
			return nil
		}
	case webauthncose.OKPPublicKeyData:
		if k.Algorithm == int64(webauthncose.AlgEdDSA) {
			return nil
		}
	case webauthncose.RSAPublicKeyData:
		n, e := new(big.Int).SetBytes(k.Modulus), new(big.Int).SetBytes(k.Exponent)
		if k.Algorithm == int64(webauthncose.AlgRS256) && n.BitLen() >= leastRSA && n.BitLen() <= mostRSA && n.Bit(0) == 1 &&
			e.Bit(0) == 1 && e.Cmp(big.NewInt(3)) >= 0 && e.BitLen() <= 32 {
			return nil
		}
	}
	return errors.New("the key is not what its algorithm asks for")
}
