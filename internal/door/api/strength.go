package api

import (
	"net/http"

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
	w.Header().Set("Cache-Control", "no-store")
	return web.WriteJSON(w, http.StatusOK, out)
}
