package lockout_test

import "testing"

// FuzzDevice: no token that a stranger makes up is taken for a device's.
func FuzzDevice(f *testing.F) {
	s := store(usual)
	f.Add("", ada)
	f.Add("AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAA", ada)
	f.Add(".", "")
	f.Fuzz(func(t *testing.T, token, address string) {
		if s.Recognises(token, address) {
			t.Errorf("%q is taken for a device of %q", token, address)
		}
		if name := s.CookieName(address); len(name) != 10 {
			t.Errorf("the cookie's name is %q", name)
		}
	})
}
