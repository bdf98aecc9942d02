package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// finding is one rule that a password breaks.
type finding struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// strength judges a password that somebody is choosing. It says nothing about
// accounts, so it needs no token.
func (a *Passwords) strength(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Password string `json:"password"`
		Email    string `json:"email"`
		Name     string `json:"name"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	s, err := a.Strength.Do(r.Context(), in.Password, in.Email, in.Name)
	if err != nil {
		return err
	}
	out := struct {
		Acceptable bool      `json:"acceptable"`
		Score      int       `json:"score"`
		Findings   []finding `json:"findings"`
		Advice     []string  `json:"advice"`
	}{s.Acceptable, s.Score, []finding{}, append([]string{}, s.Advice...)}
	for _, f := range s.Findings {
		out.Findings = append(out.Findings, finding{f.Code, f.Message})
	}
	if l := locale.Match(r.Header.Get("Accept-Language")); l != locale.Default() {
		w.Header().Set("Content-Language", l.Tag)
		out.Advice = adviceIn(l, s)
	}
	w.Header().Set("Cache-Control", "no-store")
	return web.WriteJSON(w, http.StatusOK, out)
}

// advised are the keys of the advice on what makes a password easy to guess.
var advised = map[string]string{
	"common": "advice.common", "personal": "advice.personal", "repeat": "advice.repeat", "sequence": "advice.sequence", "keys": "advice.keys",
	"year": "advice.year",
}

// adviceIn is the advice in another language than that of the messages.
func adviceIn(l *locale.Language, s password.Strength) []string {
	out := []string{}
	if s.Acceptable && s.Score == 4 {
		return out
	}
	for _, name := range s.Made {
		if key := advised[name]; key != "" {
			out = append(out, l.Text(key))
		}
	}
	if s.Acceptable {
		out = append(out, l.Text("advice.more"))
	}
	return out
}
