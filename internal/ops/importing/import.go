package importing

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"slices"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/password/foreign"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/intake"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Options are how a file is read, and what of it is believed.
type Options struct {
	// System is where the people come from: one of [Systems].
	System string `json:"from"`
	// TrustVerified takes an address as verified that is so in the file, AllVerified all of them.
	TrustVerified bool `json:"trust_verified,omitempty"`
	AllVerified   bool `json:"all_verified,omitempty"`
	// Roles gives people the roles that the file says; StaffRoles also admin and support, which open the administration here.
	Roles      bool `json:"roles,omitempty"`
	StaffRoles bool `json:"staff_roles,omitempty"`
	// Firebase is what a Firebase project's hashes are made with.
	Firebase foreign.FirebaseKey `json:"-"`
}

// Import is one file.
type Import struct {
	Operator *operate.Operator
	Options  Options
	From     event.Origin
	// Identities open an export of [FromGatehouse].
	Identities []age.Identity
	// Rest is for how long to rest after a batch that took so long, so that others who use the database go on; nil for not.
	Rest func(took time.Duration) time.Duration
	// Target is how long a batch should take in the database.
	Target time.Duration
	// Progress is told how many bytes of the file are read, of all; nil for nobody.
	Progress func(step string, read, of int64)

	file *os.File
	size int64
	key  string // the SHA-256 of the file
	// twice are the addresses, and the ids and passkeys of our own export, that stand in the file more than once.
	twice map[uint64]struct{}
	seed  maphash.Seed
}

// Refusal is an entry of the file that nobody is made of.
type Refusal struct {
	Record int64
	ID     string
	Code   string
}

// mostRefusals is how many a preview tells of.
const mostRefusals = 20

// Preview is what an import would do.
type Preview struct {
	intake.Counts
	// Kinds are how many of those who would be made have a hash of which kind, and Weak how many of those are weak; Wrapping
	// is about how long it takes to put those under bcrypt.
	Kinds    map[string]int64
	Weak     int64
	Wrapping time.Duration
	// Unverified are those of Had who have never verified their address: they need not be the same people.
	Unverified int64
	// Factors are how many apps and passkeys come along, and AppsLeftOut how many apps do not.
	Factors, AppsLeftOut int64
	// Staff are those of Made whom the file makes administrators or supporters.
	Staff    int64
	Refusals []Refusal
	// Resumes says that an import of the file was broken off, and goes on.
	Resumes bool
}

// Open opens a file to import.
func (i *Import) Open(path string) error {
	if _, ok := systems[i.Options.System]; !ok {
		return fault.New(fault.Invalid, "unknown_system", "There is no system "+i.Options.System+" that people can come from.")
	}
	var err error
	if i.file, err = os.Open(path); err != nil { //nolint:gosec // the operator names it
		return err
	}
	info, err := i.file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New(path + " is no file: an import that is broken off must be able to read it again")
	}
	if err != nil {
		return err
	}
	i.size, i.seed = info.Size(), maphash.MakeSeed()
	sum := sha256.New()
	if _, err := io.Copy(sum, i.file); err != nil {
		return err
	}
	i.key = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// Close closes the file.
func (i *Import) Close() { _ = i.file.Close() }

// options are how the options are told apart from others. Under another key the same file would be other passwords.
func (i *Import) options() (string, error) {
	told := struct {
		Options
		Key string `json:"firebase_sha256,omitempty"`
	}{Options: i.Options}
	if i.Options.System == "firebase" {
		key, err := json.Marshal(i.Options.Firebase)
		if err != nil {
			return "", err
		}
		sum := sha256.Sum256(key)
		told.Key = hex.EncodeToString(sum[:])
	}
	b, err := json.Marshal(told)
	return string(b), err
}

// candidate is an entry of the file: somebody to import, or why not.
type candidate struct {
	record int64
	person Person
	new    account.New
	// code is why it is refused, or, for somebody with an account to come, why without a password.
	code   string
	result string
	staff  bool // the file makes an administrator or a supporter of them
	at     int64
}

// The results, as the report has them.
const (
	resultMade      = "made"
	resultExists    = "exists"
	resultDuplicate = "duplicate"
	resultRefused   = "refused"
)

// candidates reads the file from its beginning, and calls fn with each entry.
func (i *Import) candidates(ctx context.Context, step string, fn func(candidate) error) error {
	text, err := i.open()
	if err != nil {
		return err
	}
	s, n := systems[i.Options.System], int64(0)
	return s.each(text, func(r record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := Person{}, error(nil)
		if r.code == "" {
			p, err = s.person(r.raw, i.Options.Firebase)
			if errors.Is(err, errSkip) {
				return nil
			}
			if errors.Is(err, errFormat) {
				return err
			}
		}
		n++
		c := candidate{record: n, person: p, at: r.at}
		switch {
		case r.code != "":
			c.result, c.code = resultRefused, r.code
		case err != nil:
			c.refuse(err)
		default:
			i.judge(&c)
		}
		if i.Progress != nil {
			i.Progress(step, r.at, i.size)
		}
		return fn(c)
	})
}

// check reads the file once, to its end, before anything is made of it: whether it is a list of people at all, and which
// addresses stand in it more than once.
func (i *Import) check(ctx context.Context) error {
	seen, twice := map[uint64]struct{}{}, map[uint64]struct{}{}
	i.twice = nil
	err := i.candidates(ctx, "checking", func(c candidate) error {
		if c.new.Address.Key == "" {
			return nil
		}
		for _, k := range c.keys() {
			key := i.hash(k)
			if _, ok := seen[key]; ok {
				twice[key] = struct{}{}
			}
			seen[key] = struct{}{}
		}
		return nil
	})
	i.twice = twice
	return err
}

// refuse says why nobody is made of it.
func (c *candidate) refuse(err error) {
	c.result, c.code = resultRefused, "malformed"
	if f := fault.As(err); f != nil {
		c.code = f.Code
	}
}

// judge says whether somebody can have an account, as far as the file alone tells. An address that stands in it more than once
// is nobody's: elsewhere addresses may be several people's, and the first of them would get what is the others'.
func (i *Import) judge(c *candidate) {
	p := c.person
	if p.Email == "" {
		c.result, c.code = resultRefused, "no_email"
		return
	}
	var err error
	if c.new.Address, err = i.Operator.Accounts.Address(p.Email); err != nil {
		c.refuse(err)
		return
	}
	if err := account.CheckName("name", p.Name); err != nil {
		c.refuse(err)
		return
	}
	if c.new.Locale, err = account.ParseLocale("locale", p.Locale); err != nil {
		c.refuse(err)
		return
	}
	if i.Options.Roles {
		if c.new.Roles, err = account.ParseRoles(p.Roles); err != nil {
			c.refuse(err)
			return
		}
		c.staff = slices.ContainsFunc(c.new.Roles, staff)
		if !i.Options.StaffRoles {
			c.new.Roles = slices.DeleteFunc(c.new.Roles, staff)
		}
	}
	switch {
	case errors.Is(p.Why, foreign.ErrRefused):
		c.result, c.code = resultRefused, "hash_refused"
		return
	case errors.Is(p.Why, foreign.ErrNone):
		c.code = "no_password"
	case errors.Is(p.Why, foreign.ErrUnknown):
		c.code = "unknown_hash"
	}
	if p.AppLeftOut {
		c.code = "app_left_out"
	}
	c.new.Name, c.new.Disabled, c.new.MustReset = p.Name, p.Disabled, p.MustReset
	c.new.Verified = p.verified(i.Options)
	if p.Keeps {
		c.new.ID = p.ID
	}
	if i.among(c.keys()) {
		c.result, c.code = resultDuplicate, ""
	}
}

func (i *Import) hash(key string) uint64 { return maphash.String(i.seed, key) }

// staff reports whether a role opens the administration.
func staff(role string) bool { return role == account.Admin || role == account.Support }

// look fills in who has an account already.
func (i *Import) look(ctx context.Context, batch []candidate) error {
	var free []int
	var addresses []account.Address
	for n, c := range batch {
		if c.result == "" {
			free, addresses = append(free, n), append(addresses, c.new.Address)
		}
	}
	if len(free) == 0 {
		return nil
	}
	taken, err := i.Operator.TakenAddresses(ctx, addresses)
	if err != nil {
		return err
	}
	for n, t := range taken {
		c := &batch[free[n]]
		switch {
		case t.Account != "" && !t.Verified:
			// Anybody may have registered the address: the application must not give them what it has of its owner.
			c.result, c.code = resultExists, "unverified"
		case t.Account != "":
			c.result, c.code, c.new.ID = resultExists, "", t.Account
		case t.Held:
			c.result, c.code = resultRefused, "address_held"
		default:
			c.result = resultMade
		}
	}
	return i.clashes(ctx, batch)
}

// clashes refuses those of our own export whose id, or whose passkey, is somebody else's here.
func (i *Import) clashes(ctx context.Context, batch []candidate) error {
	if i.Options.System != FromGatehouse {
		return nil
	}
	var which []int
	var people []operate.Newcomer
	for n, c := range batch {
		if c.result == resultMade {
			which, people = append(which, n), append(people, operate.Newcomer{New: c.new, Factors: c.person.Factors})
		}
	}
	taken, err := i.Operator.Clashing(ctx, people)
	if err != nil {
		return err
	}
	for n, is := range taken {
		if is {
			batch[which[n]].result, batch[which[n]].code = resultRefused, "id_or_passkey_taken"
		}
	}
	return nil
}

// count adds an entry's result.
func count(n *intake.Counts, c candidate) {
	n.Done++
	switch c.result {
	case resultMade:
		n.Made++
		if c.person.Why != nil {
			n.Passwordless++
		}
	case resultExists:
		n.Had++
	case resultDuplicate:
		n.Twice++
	default:
		n.Refused++
	}
}

// lookBatch is how many addresses are looked up at once where nothing is written.
const lookBatch = 256

// Preview reads the whole file and says what the import would do, without doing it.
func (i *Import) Preview(ctx context.Context) (*Preview, error) {
	out := &Preview{Kinds: map[string]int64{}}
	var sample *foreign.Hash
	var batch []candidate
	flush := func() error {
		if err := i.look(ctx, batch); err != nil {
			return err
		}
		for _, c := range batch {
			out.add(c)
			if c.result == resultMade && c.person.Why == nil && !c.person.Keeps && c.person.Hash.Weak() {
				sample = &c.person.Hash
			}
		}
		batch = batch[:0]
		return nil
	}
	if err := i.check(ctx); err != nil {
		return nil, err
	}
	err := i.candidates(ctx, "reading", func(c candidate) error {
		if batch = append(batch, c); len(batch) < lookBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil && sample != nil {
		err = i.measure(ctx, out, *sample)
	}
	return out, err
}

// add counts an entry.
func (p *Preview) add(c candidate) {
	count(&p.Counts, c)
	switch c.result {
	case resultRefused, resultDuplicate:
		if len(p.Refusals) < mostRefusals {
			p.Refusals = append(p.Refusals, Refusal{c.record, c.person.ID, cmp.Or(c.code, c.result)})
		}
	case resultExists:
		if c.code == "unverified" {
			p.Unverified++
		}
	case resultMade:
		if c.staff {
			p.Staff++
		}
		if n := c.person.Factors.Count(); n > 0 {
			p.Factors += int64(n)
		}
		if c.person.AppLeftOut {
			p.AppsLeftOut++
		}
		if c.person.Why == nil && !c.person.Keeps {
			p.Kinds[c.person.Hash.Kind()]++
			if c.person.Hash.Weak() {
				p.Weak++
			}
		}
	}
}

// measure says how long the weak hashes take.
func (i *Import) measure(ctx context.Context, out *Preview, sample foreign.Hash) error {
	hasher := i.Operator.Accounts.Hasher
	began := i.Operator.Now()
	if _, err := hasher.Import(ctx, "", sample); err != nil {
		return fmt.Errorf("trying how long a hash takes: %w", err)
	}
	took := i.Operator.Now().Sub(began)
	out.Wrapping = took * time.Duration(out.Weak) / time.Duration(hasher.Stats().Workers)
	return nil
}
