package harness

import (
	"encoding/base64"
	"encoding/json"

	"github.com/gatehouse-auth/gatehouse/internal/feature/factor/passkeytest"
)

// Passkey is a passkey that signs in to an account, in a browser on the server's page.
type Passkey struct {
	*Server
	*passkeytest.Key
	Browser passkeytest.Browser
	Email   string
	// Access and Refresh are those of the session that added it, where it was the first factor; Recovery the codes.
	Access, Refresh string
	Recovery        []string
}

// NewPasskey makes one that no account has yet.
func (h *Server) NewPasskey(email string) *Passkey {
	h.Helper()
	return &Passkey{
		Server: h, Email: email, Key: passkeytest.NewKey(h.T, passkeytest.ES256, nil), Browser: passkeytest.Browser{Origin: h.URL(), RPID: "localhost"},
	}
}

// PasskeyFor signs in with Passphrase and adds a passkey as the account's first factor.
func (h *Server) PasskeyFor(email string, forge ...func(*passkeytest.Ceremony)) *Passkey {
	h.Helper()
	k := h.NewPasskey(email)
	access := h.Login(email).Str("access_token")
	mailed := h.MailFactorCode(email, Post("/v1/factors/mail-code", nil, access))
	made := k.Create(Post("/v1/factors/passkeys/options", nil, access), forge...)
	got := h.Expect(200, "", Post("/v1/factors/passkeys", mailed.Object("credential", made), access))
	k.Access, k.Refresh = got.Str("access_token"), got.Str("refresh_token")
	for _, c := range got.Fields["recovery_codes"].([]any) {
		k.Recovery = append(k.Recovery, c.(string))
	}
	return k
}

// Object returns the object with one more member, which is JSON already.
func (b Body) Object(name string, member []byte) map[string]any {
	out := map[string]any{name: json.RawMessage(member)}
	for field, value := range b {
		out[field] = value
	}
	return out
}

// challenge asks for options, and returns what is to be signed.
func (k *Passkey) challenge(ask Request) string {
	k.Helper()
	public := k.Expect(200, "", ask).Fields["publicKey"].(map[string]any)
	if user, ok := public["user"].(map[string]any); ok {
		handle, err := base64.RawURLEncoding.DecodeString(user["id"].(string))
		if err != nil {
			k.Fatal(err)
		}
		k.Handle = handle
	}
	return public["challenge"].(string)
}

// Create answers the options of a new passkey.
func (k *Passkey) Create(ask Request, forge ...func(*passkeytest.Ceremony)) []byte {
	k.Helper()
	return k.Browser.Create(k.Key, k.challenge(ask), forge...)
}

// Alone is a sign-in by the passkey alone.
func (k *Passkey) Alone(forge ...func(*passkeytest.Ceremony)) Request {
	k.Helper()
	return Post("/v1/login/passkey", Body{}.Object("credential", k.Browser.Get(k.Key, k.challenge(Post("/v1/login/passkey/options", nil)), forge...)))
}

// Behind is the second step of a sign-in that waits, by the passkey.
func (k *Passkey) Behind(token string, forge ...func(*passkeytest.Ceremony)) Request {
	k.Helper()
	challenge := k.challenge(Post("/v1/login/factor/options", Body{"pending_token": token}))
	return Post("/v1/login/factor", Body{"pending_token": token}.Object("passkey", k.Browser.Get(k.Key, challenge, forge...)))
}

// Pending signs in with Passphrase as far as the second step, and returns its token.
func (k *Passkey) Pending() string {
	k.Helper()
	return k.Expect(403, "second_factor_required", SignInAs(k.Email, Passphrase)).Str("pending_token")
}

// DrivePasskeys makes each call about passkeys, well and badly.
func (h *Server) DrivePasskeys() {
	h.Helper()
	const lee = "lee@example.org"
	h.Register(lee)
	h.Expect(401, "not_signed_in", Post("/v1/factors/passkeys/options", nil))
	h.Expect(401, "not_signed_in", Post("/v1/factors/passkeys", Body{}.Object("credential", []byte("{}"))))
	k := h.PasskeyFor(lee)
	h.Expect(200, "", k.Alone())
	h.Expect(401, "invalid_passkey", Post("/v1/login/passkey", Body{}.Object("credential", []byte("{}"))))
	h.Expect(400, "required", Post("/v1/login/passkey", Body{}))
	h.Expect(200, "", k.Behind(k.Pending()))
	h.Expect(400, "required", Post("/v1/login/factor/options", nil))
	h.Expect(401, "sign_in_over", Post("/v1/login/factor/options", Body{"pending_token": "gatehouse_pt_x"}))
	access := h.Expect(200, "", k.Alone()).Str("access_token")
	other := h.NewPasskey(lee)
	made := other.Create(Post("/v1/factors/passkeys/options", nil, access))
	h.Expect(204, "", Post("/v1/factors/passkeys", Body{"name": "x"}.Object("credential", made), access))
	list := h.Expect(200, "", Get("/v1/factors", access)).Fields["passkeys"].([]any)
	path := "/v1/factors/passkeys/" + list[0].(map[string]any)["id"].(string)
	h.Expect(204, "", Request{Method: "PATCH", Path: path, Body: Body{"name": "y"}, Bearer: access})
	h.Expect(400, "invalid_name", Request{Method: "PATCH", Path: path, Body: Body{"name": " "}, Bearer: access})
	h.Expect(404, "factor_not_found", Post(path+"/reinstate", nil, access))
	h.Expect(204, "", Request{Method: "DELETE", Path: path, Bearer: access})
	h.Expect(404, "factor_not_found", Request{Method: "DELETE", Path: path, Bearer: access})
	h.Expect(404, "factor_not_found", Request{Method: "PATCH", Path: path, Body: Body{"name": "y"}, Bearer: access})
	left := "/v1/factors/passkeys/" + list[1].(map[string]any)["id"].(string)
	known := other.Create(Post("/v1/factors/passkeys/options", nil, access))
	h.Expect(409, "passkey_known", Post("/v1/factors/passkeys", Body{}.Object("credential", known), access))
	for range 2 { // a counter that does not rise
		h.Do(other.Alone(func(c *passkeytest.Ceremony) { c.Counter = 1 }))
	}
	h.Expect(401, "passkey_suspended", other.Alone(func(c *passkeytest.Ceremony) { c.Counter = 1 }))
	h.Expect(204, "", Post(left+"/reinstate", nil, access))
	if _, err := h.Operator().SetRoles(h.Context(), lee, []string{"admin"}, OriginOfTests); err != nil {
		h.Fatal(err)
	}
	access = h.Expect(200, "", other.Alone(func(c *passkeytest.Ceremony) { c.Counter = 2 })).Str("access_token")
	h.Expect(409, "last_factor", Request{Method: "DELETE", Path: left, Bearer: access})
	h.DriveBadBodies(Request{Method: "DELETE", Path: left, Bearer: access})
	h.DriveBadBodies(Request{Method: "PATCH", Path: left, Bearer: access})
	h.DriveBadBodies(Request{Method: "POST", Path: left + "/reinstate", Bearer: access})
	h.Expect(200, "", Get("/.well-known/webauthn"))
	h.Expect(200, "", Get("/.well-known/passkey-endpoints"))
}

// DriveNoPasskeys makes the calls where passkeys are off.
func (h *Server) DriveNoPasskeys() {
	h.Helper()
	const lee = "lee@example.org"
	h.Register(lee)
	access := h.Login(lee).Str("access_token")
	h.Expect(409, "passkeys_off", Post("/v1/login/passkey/options", nil))
	h.Expect(409, "passkeys_off", Post("/v1/login/passkey", Body{}.Object("credential", []byte("{}"))))
	h.Expect(409, "passkeys_off", Post("/v1/login/factor/options", Body{"pending_token": "gatehouse_pt_x"}))
	h.Expect(409, "passkeys_off", Post("/v1/factors/passkeys/options", nil, access))
	h.Expect(409, "passkeys_off", Post("/v1/factors/passkeys/x/reinstate", nil, access))
	h.Expect(409, "passkeys_off", Post("/v1/factors/passkeys", Body{}.Object("credential", []byte("{}")), access))
}

// DrivePasswordless makes the calls about accounts without a password, well and badly.
func (h *Server) DrivePasswordless() {
	h.Helper()
	const lee = "lee@example.org"
	remove := Request{Method: "DELETE", Path: "/v1/password"}
	h.Expect(401, "not_signed_in", remove)
	h.Register(lee)
	k := h.PasskeyFor(lee)
	remove.Bearer = k.Access
	h.Expect(409, "passkeys_needed", remove)
	h.DriveBadBodies(remove)
	other := h.NewPasskey(lee)
	made := other.Create(Post("/v1/factors/passkeys/options", nil, k.Access))
	h.Expect(204, "", Post("/v1/factors/passkeys", Body{}.Object("credential", made), k.Access))
	h.ChangedWhile(lee, remove)
	h.Expect(204, "", remove)
	h.Expect(409, "no_password", remove)
	h.Expect(400, "no_password", Post("/v1/email/change", Body{"email": "lee@example.net", "current_password": Passphrase}, k.Access))
	h.Expect(202, "", Post("/v1/register", Body{"email": "kay@example.org"}))
}
