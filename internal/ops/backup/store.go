package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Store is where backups lie. Names are ours, with slashes, and below 64 MiB each.
type Store interface {
	// Name says which store it is, in messages.
	Name() string
	// Put writes a whole object that must not be there yet; one of the same bytes may be.
	Put(ctx context.Context, name string, data []byte) error
	// Get reads an object of at most so many bytes; ErrMissing if there is none.
	Get(ctx context.Context, name string, most int64) ([]byte, error)
	// List returns what is below a prefix that ends in a slash.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Delete deletes an object; it is no error if there is none.
	Delete(ctx context.Context, name string) error
}

// Object is something in a store.
type Object struct {
	Name string
	Size int64
	Time time.Time // when it was written, by the store's clock
}

// What a store says of an object.
var (
	ErrMissing = errors.New("it is missing")
	errExists  = errors.New("something else has the name already")
	errTooLong = errors.New("it is longer than it should be")
)

// The names below which everything lies.
const (
	backups   = "backup/"
	timelines = "timeline/"
	manifest  = "manifest.json"
)

func folderOf(install, id string) string { return backups + install + "/" + id + "/" }

// waits are the times between the tries of a put: ten minutes together.
var waits = []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second, 110 * time.Second, 450 * time.Second}

// putAll puts an object into every store, again and again where that may help. sleep waits
// between two tries.
func putAll(ctx context.Context, stores []Store, name string, data []byte, sleep func(context.Context, time.Duration) error) error {
	for _, s := range stores {
		for try := 0; ; try++ {
			err := s.Put(ctx, name, data)
			if err == nil {
				break
			}
			if f := fault.As(err); f != nil || errors.Is(err, errExists) || try == len(waits) || ctx.Err() != nil {
				return fmt.Errorf("writing %s to %s: %w", name, s.Name(), err)
			}
			if err := sleep(ctx, waits[try]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sleep waits, or returns the context's error.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// KnownID refuses what is no id of a backup or of an installation: names are made of it.
func KnownID(id string) error {
	if !idForm.MatchString(id) {
		return fault.New(fault.Invalid, "id_malformed", "That is no id of a backup or of an installation: they look like 0198c0de-0000-7000-8000-000000000001.")
	}
	return nil
}

// Installs returns the installations that have backups in a store, in the order of their ids.
func Installs(ctx context.Context, s Store) ([]string, error) {
	all, err := s.List(ctx, backups)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, o := range all {
		words := strings.Split(strings.TrimPrefix(o.Name, backups), "/")
		if len(words) == 3 && idForm.MatchString(words[0]) && !slices.Contains(out, words[0]) {
			out = append(out, words[0])
		}
	}
	slices.Sort(out)
	return out, nil
}

// stored are the objects of each backup of an installation in a store, by its id; names
// that are none of ours are left out.
func stored(ctx context.Context, s Store, install string) (map[string][]Object, error) {
	prefix := backups + install + "/"
	all, err := s.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	out := map[string][]Object{}
	for _, o := range all {
		id, name, ok := strings.Cut(strings.TrimPrefix(o.Name, prefix), "/")
		if !ok || !idForm.MatchString(id) || name != manifest && !partName.MatchString(name) && !temporary(name) {
			continue
		}
		o.Name = name
		out[id] = append(out[id], o)
	}
	return out, nil
}

// complete are the ids of the backups that have a manifest, the newest first.
func complete(found map[string][]Object) []string {
	var ids []string
	for id, objects := range found {
		if slices.ContainsFunc(objects, func(o Object) bool { return o.Name == manifest }) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids
}
