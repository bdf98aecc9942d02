package importing

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// FromGatehouse is the name of our own kind among the systems.
const FromGatehouse = "gatehouse"

// format is what the first line of our own export says. Behind it stands one person a line, all of it encrypted by age.
const format = "gatehouse-people/1"

// errFormat is for a file that another version has written, or nobody of us.
var errFormat = fault.New(fault.Invalid, "not_people",
	"The file is no export of gatehouse user export --move, or one of a version that this one does not know.")

// head is the first line.
type head struct {
	Format string    `json:"format"`
	MadeAt time.Time `json:"made_at"`
}

// moved is a person as one installation of ours hands them to another.
type moved struct {
	ID        string        `json:"id"`
	Email     string        `json:"email"`
	Verified  bool          `json:"email_verified"`
	Name      string        `json:"name"`
	Locale    string        `json:"locale"`
	Roles     []string      `json:"roles"`
	Disabled  bool          `json:"disabled"`
	MustReset bool          `json:"must_reset"`
	Password  string        `json:"password"` // the finished hash; empty for who has none
	Factors   *factor.Moved `json:"factors,omitempty"`
}

// errDamaged is for an entry of our own export that can be none.
var errDamaged = errors.New("this is nobody of an installation of ours")

// gatehouse reads what [Export] writes. What it does not know it refuses, since it would be lost.
func gatehouse(raw json.RawMessage, _ foreign.FirebaseKey) (p Person, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if bytes.HasPrefix(raw, []byte(`{"format":`)) {
		var h head
		if d.Decode(&h) != nil || h.Format != format {
			return p, errFormat
		}
		return p, errSkip
	}
	var m moved
	if err := d.Decode(&m); err != nil {
		return p, err
	}
	// An id is kept: applications know people by it, and the hashes of recovery codes name it.
	if id, err := uuid.Parse(m.ID); err != nil || id.String() != m.ID || id.Version() != 7 {
		return p, errDamaged
	}
	p = Person{
		ID: m.ID, Email: m.Email, Name: m.Name, Locale: m.Locale, Verified: m.Verified, Disabled: m.Disabled, Roles: m.Roles, MustReset: m.MustReset,
		Keeps: true, Finished: m.Password, Factors: m.Factors,
	}
	switch {
	case m.Password == "":
		p.Why = foreign.ErrNone
	case !password.IsFinished(m.Password):
		return p, errDamaged
	}
	if p.AppLeftOut, err = p.Factors.Check(); err != nil {
		return p, err
	}
	if p.Factors.Count() == 0 {
		p.Factors = nil
	}
	return p, nil
}

// keys are what nobody else in the file may have.
func (c candidate) keys() []string {
	keys := []string{c.new.Address.Key}
	if c.person.Keeps {
		keys = append(keys, "id "+c.person.ID)
	}
	if f := c.person.Factors; f != nil {
		if len(f.Handle) > 0 {
			keys = append(keys, "handle "+string(f.Handle))
		}
		for _, p := range f.Passkeys {
			keys = append(keys, "passkey "+string(p.Credential))
		}
	}
	return keys
}

// open returns what the file says: of our own export what is encrypted in it.
func (i *Import) open() (io.Reader, error) {
	if _, err := i.file.Seek(0, io.SeekStart); err != nil || i.Options.System != FromGatehouse {
		return i.file, err
	}
	plain, err := age.Decrypt(i.file, i.Identities...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, fault.New(fault.Invalid, "no_identity", "None of the keys opens the file: name the one that it was encrypted to with --identity.")
	case err != nil:
		return nil, errFormat.Because(err)
	}
	return &sealed{r: plain}, nil
}

// sealed reads an encrypted file to its end, which is authenticated as everything in it is.
type sealed struct{ r io.Reader }

// Read implements io.Reader.
func (s *sealed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fault.New(fault.Invalid, "broken_file", "The file is damaged, or was cut off.").Because(err)
	}
	return n, err
}

// among reports whether any of the keys stands in the file more than once.
func (i *Import) among(keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { _, ok := i.twice[i.hash(k)]; return ok })
}
