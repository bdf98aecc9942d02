package password

import (
	"errors"
	"strings"
	"testing"
)

const known = "h1:$2a$04$abcdefghijklmnopqrstuu/ftPC/VKVMUq1QliQw4aIVbd74XOhd2" // of "correct horse battery staple"

// PW-2: what stands in the column is sealed, opens for its own account alone,
// and reveals nothing about the hash.
func TestPW2_Pepper(t *testing.T) {
	h := open(t, Config{Cost: 4, Pepper: NewPepper("a pepper of one's own")}, actual)
	const right = "correct horse battery staple"
	stored, err := h.Hash(t.Context(), "ada", right)
	if err != nil || !strings.HasPrefix(stored, "p1:") || strings.Contains(stored, "$2a$") {
		t.Fatalf("%q, %v", stored, err)
	}
	if r, err := h.Verify(t.Context(), "ada", stored, right); err != nil || !r.OK || r.Upgrade {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := h.Verify(t.Context(), "ada", stored, right+"."); err != nil || r.OK {
		t.Errorf("a wrong password: %+v, %v", r, err)
	}
	if _, err := h.Verify(t.Context(), "eve", stored, right); !errors.Is(err, ErrPepper) {
		t.Errorf("moved to another account: %v", err)
	}
	for i := range stored {
		changed := stored[:i] + string(stored[i]^1) + stored[i+1:]
		if r, err := h.Verify(t.Context(), "ada", changed, right); err == nil {
			t.Errorf("byte %d changed: %+v", i, r)
		}
	}
	bare := open(t, Config{Cost: 4}, actual)
	other := open(t, Config{Cost: 4, Pepper: NewPepper("another one")}, actual)
	for _, h := range []*Hasher{bare, other} {
		if _, err := h.Verify(t.Context(), "ada", stored, right); !errors.Is(err, ErrPepper) {
			t.Errorf("without the pepper: %v", err)
		}
	}
}

// A hash from before the pepper works, and is sealed at the next sign-in.
func TestPW2_PepperLater(t *testing.T) {
	h := open(t, Config{Cost: 4, Pepper: NewPepper("a pepper")}, actual)
	if r, err := h.Verify(t.Context(), "ada", known, "correct horse battery staple"); err != nil || !r.OK || !r.Upgrade {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPW2_PepperRotates(t *testing.T) {
	one, two, both, none := NewPepper("one"), NewPepper("two"), NewPepper("two", "one"), NewPepper("", "two", "one")
	sealed, changed, err := one.Reseal("ada", known)
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	again, changed, err := both.Reseal("ada", sealed)
	if err != nil || !changed || again == sealed {
		t.Fatal(again, changed, err)
	}
	if same, changed, err := both.Reseal("ada", again); err != nil || changed || same != again {
		t.Errorf("a second time: %q, %v, %v", same, changed, err)
	}
	if finished, outdated, err := two.open("ada", again); finished != known || outdated || err != nil {
		t.Errorf("%q, %v, %v", finished, outdated, err)
	}
	for _, sealed := range []string{sealed, again} {
		if plain, changed, err := none.Reseal("ada", sealed); err != nil || !changed || plain != known {
			t.Errorf("taken off: %q, %v, %v", plain, changed, err)
		}
	}
	if !one.Opens(sealed) || !both.Opens(sealed) || two.Opens(sealed) || (*Pepper)(nil).Opens(sealed) || !one.Opens(known) || !(*Pepper)(nil).Opens(known) {
		t.Error("Opens is wrong")
	}
	if _, _, err := one.Reseal("ada", again); !errors.Is(err, ErrPepper) {
		t.Errorf("under a pepper that is not there: %v", err)
	}
	if _, _, err := both.Reseal("eve", sealed); !errors.Is(err, ErrPepper) {
		t.Errorf("for another account: %v", err)
	}
	var nothing *Pepper
	if s, changed, err := nothing.Reseal("ada", known); s != known || changed || err != nil {
		t.Errorf("%q, %v, %v", s, changed, err)
	}
}
