package harness

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Keys opens the keyring while the server runs, as the command line does.
func (h *Server) Keys(settings ...string) *operate.Keys {
	h.Helper()
	c, err := config.Load(config.Source{
		Environ:  append(settings, "DATABASE_URL="+dbtest.Patient(h.DBURL), "JWT_SECRET_KEY="+SecretKey, "EVENT_KEY="+EventKey), // of two the first counts
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	})
	if err != nil {
		h.Fatal(err)
	}
	k, done, err := app.OperatorKeys(h.Context(), c, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		if err := done(); err != nil {
			h.Error(err)
		}
	})
	return k
}

// JWTHeader is that of a JWT.
type JWTHeader struct{ Alg, Kid string }

// HeaderOf returns the header of a JWT; of anything else, an empty one.
func HeaderOf(access string) (h JWTHeader) {
	first, _, _ := strings.Cut(access, ".")
	b, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(b, &h) != nil {
		return JWTHeader{}
	}
	return h
}

// Published returns the kids in the JWKS.
func (h *Server) Published() (kids map[string]string, answered Answer) {
	h.Helper()
	a := h.Expect(200, "", Request{Method: "GET", Path: "/.well-known/jwks.json"})
	var set struct{ Keys []struct{ Kid, Alg string } }
	if err := json.Unmarshal([]byte(a.Text), &set); err != nil {
		h.Fatal(err)
	}
	kids = map[string]string{}
	for _, k := range set.Keys {
		kids[k.Kid] = k.Alg
	}
	return kids, a
}

// Until waits until the key signs on this replica, for an account that signs in
// again and again: too often for its older sessions.
func (h *Server) Until(kid, email string) (signedIn Answer) {
	h.Helper()
	h.Register(email)
	h.Eventually("the key "+kid, func() (string, bool) {
		signedIn = h.Login(email)
		got := HeaderOf(signedIn.Str("access_token")).Kid
		return got + " signs", got == kid
	})
	return signedIn
}
