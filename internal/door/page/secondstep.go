package page

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// secondPage is what the page of the second step shows.
type secondPage struct {
	// With is what it asks for: passkey, totp or recovery_code.
	With factor.Kind
	// Ways are what the account has, the best first.
	Ways []factor.Kind
	// Over says that there is no sign-in that waits.
	Over bool
}

// Others are the other ways.
func (s secondPage) Others() []factor.Kind {
	return slices.DeleteFunc(slices.Clone(s.Ways), func(k factor.Kind) bool { return k == s.With })
}

// waits leads a browser whose password was right to the second step.
func (p *SignIn) waits(w http.ResponseWriter, waits *flow.Waiting, to string) error {
	p.Cookies.PutPending(w, waits.Token, waits.Life)
	p.Cookies.PutReturnTo(w, to)
	if waits.Agree != nil {
		return seeOther(w, agreePath)
	}
	if waits.Enrol {
		return seeOther(w, "/login/enrol")
	}
	return seeOther(w, "/login/second")
}

// second shows the form of the second step: for the best way, or for the one that was chosen.
func (p *SignIn) second(w http.ResponseWriter, r *http.Request) error {
	shown, err := p.ways(r, factor.Kind(web.Parameter(r, "with")))
	if err != nil {
		return err
	}
	v := p.view(r)
	v.FormTo = p.formTo(r, p.Cookies.ReturnTo(p.Cookies.Returning(r), home))
	return p.show(w, http.StatusOK, v, "second", shown)
}

// ways is the page for a way, if the account has it.
func (p *SignIn) ways(r *http.Request, with factor.Kind) (shown secondPage, err error) {
	token := p.Cookies.Pending(r)
	if token == "" {
		return secondPage{Over: true}, nil
	}
	shown.Ways, err = p.Second.Ways(r.Context(), token)
	if errors.Is(err, factor.ErrOver) {
		return secondPage{Over: true}, nil
	}
	shown.With = with
	if !slices.Contains(shown.Ways, with) && len(shown.Ways) > 0 {
		shown.With = shown.Ways[0]
	}
	return shown, err
}

// doSecond ends a sign-in that has shown its password. Whoever presses the button twice finds it
// ended, and goes on as after the first time.
func (p *SignIn) doSecond(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "code", "recovery_code", "passkey")
	code, recovery := strings.TrimSpace(in["code"]), strings.TrimSpace(in["recovery_code"])
	with := factor.App
	switch {
	case in["passkey"] != "":
		with = factor.Key
	case recovery != "":
		with = factor.Recovery
	}
	if err != nil {
		return p.refuseSecond(w, r, with, err)
	}
	to := p.Cookies.ReturnTo(p.Cookies.Returning(r), home)
	browser := p.signingIn(r)
	t, err := p.Second.Do(r.Context(), flow.Shown{
		Token: p.Cookies.Pending(r), Code: code, RecoveryCode: recovery, Passkey: []byte(in["passkey"]), Browser: browser, Cookies: true,
	}, web.Origin(r))
	var waits *flow.Waiting
	switch {
	case errors.As(err, &waits):
		return p.waits(w, waits, to)
	case errors.Is(err, factor.ErrOver):
		if who := p.whoMay(r); who.Account != "" {
			p.Cookies.ClearReturnTo(w, r)
			return seeOther(w, to)
		}
		p.Cookies.PutPending(w, "", 0)
	}
	if err != nil {
		return p.refuseSecond(w, r, with, err)
	}
	p.Cookies.PutPending(w, "", 0)
	return p.enter(w, r, browser, t.Tokens, to)
}

// refuseSecond shows the form again with what is wrong, and returns the error for the log.
func (p *SignIn) refuseSecond(w http.ResponseWriter, r *http.Request, with factor.Kind, err error) error {
	shown, failed := p.ways(r, with)
	if failed != nil || errors.Is(err, factor.ErrOver) {
		shown = secondPage{Over: true}
	}
	v := p.view(r)
	v.FormTo = p.formTo(r, p.Cookies.ReturnTo(p.Cookies.Returning(r), home))
	problem := p.blame(v, r, err)
	switch shown.With {
	case factor.App:
		v.Problem.Focus = "code"
	case factor.Recovery:
		v.Problem.Focus = "recovery_code"
	}
	return p.fail(w, v, "second", shown, problem, err)
}
