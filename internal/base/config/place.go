package config

import "github.com/gatehouse-auth/gatehouse/internal/base/outbound"

// place is a field that says where lines are sent. It may hold a token, so it is
// not shown.
func place(at func(*Config) *Secret) field {
	return field{
		read: func(r *reading) {
			if !r.printable() {
				return
			}
			if _, err := outbound.Parse(r.value); err != nil {
				r.refuse("It is not a destination: "+err.Error()+".", "Write file:PATH, https://HOST/PATH or syslog+tls://HOST:PORT.")
				return
			}
			*at(r.c) = Secret(r.value)
		},
		show: func(c *Config) string { return at(c).Reveal() },
	}
}
