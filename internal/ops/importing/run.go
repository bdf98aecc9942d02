package importing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/intake"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// line is a line of the report. It has no address.
type line struct {
	Record  int64  `json:"record"`
	ID      string `json:"id,omitempty"` // at the other system
	Result  string `json:"result"`
	Code    string `json:"code,omitempty"`
	Account string `json:"account,omitempty"` // here: what tokens have as sub
}

const (
	// mostBatch is how many entries one batch has at most.
	mostBatch = 256
	// firstBatch is how many the first has.
	firstBatch = 8
	// meanwhileTries is how often a batch is looked at again where somebody registers one of its addresses.
	meanwhileTries = 5
)

// Run imports the file, or goes on with that. The report gets a line for each entry.
func (i *Import) Run(ctx context.Context, report string) (run intake.Run, resumed bool, err error) {
	if err := i.check(ctx); err != nil {
		return run, false, err
	}
	options, err := i.options()
	if err != nil {
		return run, false, err
	}
	out, err := lockedfile.OpenFile(report, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return run, false, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if run, resumed, err = i.Operator.ImportOf(ctx, i.key, options); err != nil {
		return run, resumed, err
	}
	if err := cutReport(out, report, run, resumed); err != nil {
		return run, resumed, err
	}
	if !resumed {
		if run, err = i.Operator.BeginImport(ctx, i.key, options); err != nil {
			return run, resumed, err
		}
	}
	r := &running{Import: i, run: run, report: out, size: firstBatch}
	if i.Options.System == FromGatehouse {
		with, err := i.Operator.Sealing(ctx)
		if err != nil {
			return run, resumed, err
		}
		r.sealing = with.Store
	}
	err = i.candidates(ctx, "importing", func(c candidate) error {
		if c.record <= run.Done { // the run as it was found
			return nil
		}
		if r.batch = append(r.batch, c); len(r.batch) < r.size {
			return nil
		}
		return r.flush(ctx, false)
	})
	if err == nil {
		err = r.flush(ctx, true)
	}
	return r.run, resumed, err
}

// cutReport takes away what was written for a batch that did not happen. It refuses to write over anything else.
func cutReport(f *lockedfile.File, path string, run intake.Run, resumed bool) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !resumed && info.Size() > 0:
		return fault.New(fault.Conflict, "report_exists", path+" is there already. Name another file with --report.")
	}
	ours, err := isReport(f, info.Size(), run)
	if err != nil {
		return err
	}
	if !ours {
		return fault.New(fault.Conflict, "report_missing", fmt.Sprintf(
			"This import was broken off, and %s is not the report that it has written so far. Name that with --report: it goes on there.", path))
	}
	return f.Truncate(run.Report)
}

// mostLine is how long a line of the report is at most: in it each byte of an id may be six.
const mostLine = 8 * mostRecord

// isReport reports whether the file is the report of the run: the last line before where that goes on is about the last entry
// that is done. Where none is, what may be there are the lines of the first batch.
func isReport(f io.ReaderAt, size int64, run intake.Run) (bool, error) {
	if run.Done == 0 {
		if size > firstBatch*mostLine {
			return false, nil
		}
		text := make([]byte, size)
		if _, err := f.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		const head = `{"record":`
		return bytes.HasPrefix(text, []byte(head[:min(size, int64(len(head)))])) && bytes.Count(text, []byte{'\n'}) <= firstBatch, nil
	}
	if size < run.Report {
		return false, nil
	}
	text := make([]byte, min(run.Report, mostLine))
	if _, err := f.ReadAt(text, run.Report-int64(len(text))); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	text, whole := bytes.CutSuffix(text, []byte{'\n'})
	var last line
	err := json.Unmarshal(text[bytes.LastIndexByte(text, '\n')+1:], &last)
	return whole && err == nil && last.Record == run.Done, nil
}

// running is an import under way.
type running struct {
	*Import
	run    intake.Run
	report *lockedfile.File
	batch  []candidate
	size   int
	// sealing is what factors are sealed with; nil where nobody can bring any.
	sealing *factor.Store
}

// flush imports the batch.
func (r *running) flush(ctx context.Context, last bool) error {
	for try := 1; ; try++ {
		err := r.once(ctx, last)
		if err == nil {
			break
		}
		if !errors.Is(err, operate.ErrMeanwhile) || try == meanwhileTries {
			return err
		}
	}
	r.batch = r.batch[:0]
	return nil
}

func (r *running) once(ctx context.Context, last bool) error {
	batch := make([]candidate, len(r.batch))
	copy(batch, r.batch)
	if err := r.look(ctx, batch); err != nil {
		return err
	}
	if err := r.hash(ctx, batch); err != nil {
		return err
	}
	next, lines := r.run, bytes.Buffer{}
	var people []operate.Newcomer
	encode := json.NewEncoder(&lines)
	for _, c := range batch {
		count(&next.Counts, c)
		if c.result == resultMade {
			people = append(people, operate.Newcomer{New: c.new, Factors: c.person.Factors})
		}
		id := c.new.ID
		if c.result != resultMade && c.result != resultExists {
			id = "" // nobody has it here
		}
		if err := encode.Encode(line{c.record, c.person.ID, c.result, c.code, id}); err != nil {
			return err
		}
	}
	if _, err := r.report.WriteAt(lines.Bytes(), r.run.Report); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	next.Report += int64(lines.Len())
	if err := errors.Join(r.report.Truncate(next.Report), r.report.Sync()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if last {
		next.Ended = r.Operator.Now()
	}
	began := r.Operator.Now()
	b := operate.Batch{System: r.Options.System, People: people, Sealing: r.sealing, Run: next, Before: r.run.Done}
	if err := r.Operator.ImportUsers(ctx, b, r.From); err != nil {
		return err
	}
	r.run = next
	return r.rest(ctx, r.Operator.Now().Sub(began))
}

// rest makes the next batch larger or smaller by how long this one took, and leaves the database to others for a while.
func (r *running) rest(ctx context.Context, took time.Duration) error {
	switch {
	case took > 2*r.Target:
		r.size = max(r.size/2, 1)
	case took < r.Target:
		r.size = min(2*r.size, mostBatch)
	}
	if r.Rest == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(r.Rest(took)):
		return nil
	}
}

// hash gives ids to those to be made, and stores their hashes, in as many workers as the pool has.
func (r *running) hash(ctx context.Context, batch []candidate) error {
	var (
		group  sync.WaitGroup
		hasher = r.Operator.Accounts.Hasher
		work   = make(chan *candidate)
		failed = make(chan error, 1)
	)
	for range hasher.Stats().Workers {
		group.Go(func() {
			for c := range work {
				stored, err := r.stored(ctx, c)
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
				c.new.Hash = stored
			}
		})
	}
	now := r.Operator.Now()
	for n := range batch {
		c := &batch[n]
		if c.result != resultMade {
			continue
		}
		if !c.person.Keeps {
			c.new.ID = r.Operator.Accounts.Random.ID(now)
		}
		if c.person.Why == nil {
			work <- c
		}
	}
	close(work)
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// stored is somebody's hash as it is stored here.
func (r *running) stored(ctx context.Context, c *candidate) (string, error) {
	if c.person.Keeps {
		return r.Operator.Accounts.Hasher.Adopt(c.new.ID, c.person.Finished)
	}
	return r.Operator.Accounts.Hasher.Import(ctx, c.new.ID, c.person.Hash)
}
