package password

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

const (
	// defaultWait lets fifty people in who sign in at one moment on two cores, where a
	// hash takes a fifth of a second of one; a request has ten seconds.
	defaultWait = 8 * time.Second
	// defaultQueue is what waiting callers may cost in memory, some 20 KiB each.
	defaultQueue = 1024
)

// Config says how much a Hasher works. The zero value is right for production.
type Config struct {
	// Argon2 makes new hashes with argon2id; nil means bcrypt.
	Argon2 *Argon2
	// Pepper seals what is stored; nil leaves it as it is.
	Pepper *Pepper
	// Cost of new hashes, MinCost to MaxCost; 0 means DefaultCost. Where it
	// is lowered, accounts whose hash is dearer answer later than an unknown
	// one until they change their password: work can be added, not taken away.
	Cost int
	// Workers is how many hashes are computed at once; 0 means all cores but
	// one (runtime.GOMAXPROCS), at least one.
	Workers int
	// Queue is how many callers may wait behind those; 0 means 1024, and a
	// negative number for none. It is far more than are served within Wait: who
	// waits costs nothing but memory, while clients that are turned away at once
	// come back at once, and their requests take the cores that the rest needs.
	Queue int
	// Wait is how long one caller waits at most; 0 means 8 seconds.
	Wait time.Duration
}

// withDefaults panics on a setting out of range: the settings have been
// checked before, so it is a bug.
func (c Config) withDefaults() Config {
	if c.Cost == 0 {
		c.Cost = DefaultCost
	}
	if c.Cost < MinCost || c.Cost > MaxCost {
		panic(fmt.Sprintf("password: cost %d is not within %d to %d", c.Cost, MinCost, MaxCost))
	}
	if c.Workers < 0 || c.Wait < 0 {
		panic("password: a negative number of workers, or a negative wait")
	}
	if c.Workers == 0 {
		c.Workers = max(runtime.GOMAXPROCS(0)-1, 1)
	}
	if c.Wait == 0 {
		c.Wait = defaultWait
	}
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	c.Queue = max(c.Queue, 0)
	return c
}

// Result is what a comparison found.
type Result struct {
	// OK says that it is the password.
	OK bool
	// Upgrade says that it is, and that its hash is cheaper than today's, of
	// another algorithm, or sealed under another pepper: the caller makes a new
	// one with Hash and stores it where the old one still stands.
	Upgrade bool
}

// Stats is a Hasher at one moment.
type Stats struct {
	// Workers is how many hashes may be made at once, Busy how many are, and
	// Queued how many callers wait.
	Workers, Busy, Queued int
	// Shed counts the callers that were turned away, Done the work finished.
	Shed, Done uint64
}

// Hasher hashes and compares passwords in a bounded pool. The clients that wait
// (see WithClient) are served in turn, and the callers of each in the order in which
// they came: so however many sign-ins one client makes, another waits for one of
// those at most for each of its own. Its methods may be called at once by many; they block for as long as
// the work and the wait for it take, so never call them in a transaction.
//
// All three of Hash, Verify and VerifyNobody do the same work: 2^Cost rounds, or
// that of Argon2. The exceptions are a stored hash of the other algorithm,
// which is compared by its own, and an imported one that is dearer than ours, until the
// next sign-in replaces it. They return a fault of kind Unavailable and code busy, with RetryAfter, when
// too many wait already or the wait grew too long, and the context's error if
// it ended first. Work that has begun is finished.
type Hasher struct {
	cost     int
	argon2   *Argon2
	pepper   *Pepper
	wait     time.Duration
	blowfish blowfish

	// places has room for all who are let in: those served and those who wait.
	places chan struct{}
	// queue is who waits. ready has something in it for each of them.
	queue   queue
	ready   chan struct{}
	closed  chan struct{}
	closing sync.Once
	workers sync.WaitGroup

	size       int
	busy       atomic.Int64
	took       atomic.Int64 // nanoseconds that a hash takes, recently
	shed, done atomic.Uint64
}

// New starts a Hasher and its workers; Close ends them. It panics if the
// settings are out of range.
func New(c Config) *Hasher {
	return start(c, blowfish{generate: bcrypt.GenerateFromPassword, compare: bcrypt.CompareHashAndPassword})
}

func start(c Config, b blowfish) *Hasher {
	c = c.withDefaults()
	h := &Hasher{
		cost:     c.Cost,
		argon2:   c.Argon2,
		pepper:   c.Pepper,
		wait:     c.Wait,
		blowfish: b,
		places:   make(chan struct{}, c.Workers+c.Queue),
		ready:    make(chan struct{}, c.Workers+c.Queue),
		closed:   make(chan struct{}),
		size:     c.Workers,
	}
	for range c.Workers {
		h.workers.Go(h.serve)
	}
	return h
}

// Close stops the workers once they have finished what they are doing, and
// turns away those that still wait. Stop what calls the Hasher first.
func (h *Hasher) Close() {
	h.closing.Do(func() { close(h.closed) })
	h.workers.Wait()
}

// Hash returns the stored form of an account's password, which Policy.Check has
// accepted. With a pepper it is good for that account alone.
func (h *Hasher) Hash(ctx context.Context, account, password string) (stored string, err error) {
	err = h.do(ctx, func() (err error) {
		normalized := Normalize(password)
		if normalized == "" {
			return errEmpty
		}
		stored, err = h.hash(normalized)
		return err
	})
	if err != nil {
		return "", err
	}
	return h.pepper.seal(account, stored), nil
}

// hash returns the finished hash of a normalised password.
func (h *Hasher) hash(normalized string) (string, error) {
	if h.argon2 != nil {
		return formHMAC + h.argon2.make(secret.Random{}, preHash(normalized)), nil
	}
	return h.blowfish.hash(normalized, h.cost)
}

// Verify compares a password with the stored form of an account's. A wrong
// password is a Result, no error. The error is ErrUnknownForm if the stored form
// can't be read, and ErrPepper if it is sealed under a pepper that isn't there,
// or for another account. An account without a password has nothing stored: no password is
// its own, which is found out with the work of a comparison.
func (h *Hasher) Verify(ctx context.Context, account, stored, password string) (Result, error) {
	if stored == "" {
		return Result{}, h.VerifyNobody(ctx, password)
	}
	finished, resealed, err := h.pepper.open(account, stored)
	if err != nil {
		return Result{}, err
	}
	s, err := parseStored(finished)
	if err != nil {
		return Result{}, err
	}
	ok := false
	err = h.do(ctx, func() (err error) {
		ok, err = h.verify(s, password)
		return err
	})
	if err != nil {
		return Result{}, err
	}
	return Result{OK: ok, Upgrade: ok && (resealed || h.outdated(s))}, nil
}

func (h *Hasher) verify(s storedHash, password string) (bool, error) {
	if s.imported != nil {
		return h.verifyImported(s.imported, password)
	}
	normalized := Normalize(password)
	if s.argon2 == nil {
		least := h.cost
		if h.argon2 != nil {
			least = MinCost
		}
		return h.blowfish.verify(s, normalized, least)
	}
	pre := preHash(normalized)
	ok := s.argon2.matches(pre)
	if h.argon2 != nil {
		for _, a := range s.argon2.missing(*h.argon2) {
			a.derive(pre, s.argon2.salt)
		}
	}
	return ok && normalized != "", nil
}

// outdated reports whether a hash is cheaper than today's, or another.
func (h *Hasher) outdated(s storedHash) bool {
	if s.imported != nil {
		return true
	}
	if s.argon2 == nil {
		return h.argon2 != nil || s.cost < h.cost
	}
	return h.argon2 == nil || s.argon2.weakerThan(*h.argon2)
}

// VerifyNobody does the work of Verify for an account that does not exist, so
// that the time of the answer reveals nothing. The password matches nothing.
func (h *Hasher) VerifyNobody(ctx context.Context, password string) error {
	return h.do(ctx, func() error {
		_, err := h.hash(Normalize(password))
		return err
	})
}

// Stats counts. Its numbers may be a moment apart from one another.
func (h *Hasher) Stats() Stats {
	busy := int(h.busy.Load())
	return Stats{
		Workers: h.size,
		Busy:    busy,
		Queued:  max(len(h.places)-busy, 0),
		Shed:    h.shed.Load(),
		Done:    h.done.Load(),
	}
}

// Room returns the fault of a Hasher that would turn a caller away at once, so
// that nothing is done for one that will be; nil if there is room now.
func (h *Hasher) Room() error {
	if len(h.places) < cap(h.places) {
		return nil
	}
	return h.refuse()
}

// do has a worker do the work, or returns why none did.
func (h *Hasher) do(ctx context.Context, work func() error) (err error) {
	_, step := trace.Begin(ctx, "password.hash") // waiting for a worker included
	defer func() { step.End(err) }()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("before a password was hashed: %w", err)
	}
	select {
	case h.places <- struct{}{}:
	default:
		return h.refuse()
	}
	j := &job{work: work, done: make(chan error, 1), client: clientIn(ctx)}
	h.queue.add(j)
	h.ready <- struct{}{} // there is room for all who have a place
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case err := <-j.done: // the worker gives the place back
		return err
	case <-ctx.Done():
		err = fmt.Errorf("while waiting for a password to be hashed: %w", ctx.Err())
	case <-timer.C:
	case <-h.closed:
	}
	if !h.queue.leave(j) {
		return <-j.done // a worker has it already
	}
	select {
	case <-h.ready:
	default: // a worker looks for it
	}
	if err == nil {
		err = h.refuse() // while this one's place counts
	}
	<-h.places
	return err
}

// refuse counts and returns the fault for a caller that finds no room or has waited
// too long. It says when all who wait now will have been served.
func (h *Hasher) refuse() error {
	h.shed.Add(1)
	busy := fault.New(fault.Unavailable, "busy", "Too many people are signing in right now. Please try again in a few seconds.")
	all := time.Duration(h.took.Load()) * time.Duration(len(h.places)) / time.Duration(h.size)
	busy.RetryAfter = max((all + time.Second - 1).Truncate(time.Second), time.Second)
	return busy
}

// serve is one worker.
func (h *Hasher) serve() {
	giveWay()
	for {
		select {
		case <-h.closed:
			return
		case <-h.ready:
			j := h.queue.next()
			if j == nil {
				continue // it gave up
			}
			h.busy.Add(1)
			began := time.Now()
			err := guard(j.work)
			took := int64(time.Since(began))
			if before := h.took.Load(); before > 0 {
				took = (3*before + took) / 4
			}
			h.took.Store(took)
			h.busy.Add(-1)
			h.done.Add(1)
			<-h.places
			j.done <- err
		}
	}
}

// guard makes an error of a panic: it would end the whole server here, where
// no request's own guard stands above.
func guard(work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("hashing a password panicked: %v\n%s", r, debug.Stack())
		}
	}()
	return work()
}
