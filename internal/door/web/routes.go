package web

import "net/http"

// Routes are handlers by their patterns, such as "POST /v1/login".
type Routes map[string]Handler

// Register registers them: see [Stack.Handle].
func (r Routes) Register(s *Stack, mux *http.ServeMux) {
	for pattern, h := range r {
		s.Handle(mux, pattern, h)
	}
}
