package harness

import (
	"strings"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// App is an app that shows codes, and what its account has.
type App struct {
	*Server
	Email  string
	Secret string
	Clock  *Clock
	// Access and Refresh are those of the session that added it.
	Access, Refresh string
	Recovery        []string
	// Confirmed is the code that put it in force. On a slow machine the app shows another by now.
	Confirmed string
}

// AddApp registers an account and gives it an app: see [Server.AppFor].
func (h *Server) AddApp(clock *Clock, email string) *App {
	h.Helper()
	h.Register(email)
	return h.AppFor(clock, email)
}

// AppFor signs in with Passphrase and adds an app as the account's first factor.
func (h *Server) AppFor(clock *Clock, email string) *App {
	h.Helper()
	access := h.Login(email).Str("access_token")
	a := &App{Server: h, Email: email, Clock: clock}
	mailed := h.MailFactorCode(email, Post("/v1/factors/mail-code", nil, access))
	a.Secret = h.Expect(200, "", Post("/v1/factors/totp", nil, access)).Str("secret")
	a.Confirmed = a.Code(0)
	got := h.Expect(200, "", Post("/v1/factors/totp/confirm", mailed.With("code", a.Confirmed), access))
	a.Access, a.Refresh = got.Str("access_token"), got.Str("refresh_token")
	for _, c := range got.Fields["recovery_codes"].([]any) {
		a.Recovery = append(a.Recovery, c.(string))
	}
	return a
}

// MailFactorCode asks for the code with which a first factor is added, and returns what confirms with it.
func (h *Server) MailFactorCode(email string, ask Request) Body {
	h.Helper()
	request := h.Expect(202, "", ask).Str("request")
	return Body{"mail_code": h.Mailbox().Last(email, notice.FactorCode).Code, "request": request}
}

// Code is what the app shows so many steps from now.
func (a *App) Code(steps int) string {
	a.Helper()
	code, err := totp.GenerateCode(a.Secret, a.Clock.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		a.Fatal(err)
	}
	return code
}

// WrongCode is one that the app shows at no time near.
func (a *App) WrongCode() string {
	for i := 0; ; i++ {
		wrong := strings.Repeat(string(rune('0'+i)), 6)
		if wrong != a.Code(-2) && wrong != a.Code(-1) && wrong != a.Code(0) && wrong != a.Code(1) && wrong != a.Code(2) {
			return wrong
		}
	}
}

// Pending signs in with Passphrase as far as the second step, and returns its token.
func (a *App) Pending(more ...func(Request) Request) string {
	a.Helper()
	r := SignInAs(a.Email, Passphrase)
	for _, m := range more {
		r = m(r)
	}
	return a.Expect(403, "second_factor_required", r).Str("pending_token")
}

// ShowCode is the second step by a code.
func ShowCode(token, code string) Request {
	return Post("/v1/login/factor", Body{"pending_token": token, "code": code})
}

// ShowRecovery is the second step by a recovery code.
func ShowRecovery(token, code string) Request {
	return Post("/v1/login/factor", Body{"pending_token": token, "recovery_code": code})
}

// Next lets time pass until the app shows another code.
func (a *App) Next() { a.Clock.Shift(30 * time.Second) }

// SignIn signs in with the next code.
func (a *App) SignIn() Answer {
	a.Helper()
	a.Next()
	return a.Expect(200, "", ShowCode(a.Pending(), a.Code(0)))
}

// SignsNobodyIn shows a code that was used: it is told apart for as long as it is in the window, and is wrong after that.
func (a *App) SignsNobodyIn(code string) {
	a.Helper()
	if got := a.Do(ShowCode(a.Pending(), code)); got.Status != 401 || got.Str("code") != "code_used" && got.Str("code") != "invalid_code" {
		a.Errorf("a used code is answered %d %s", got.Status, got.Text)
	}
}
