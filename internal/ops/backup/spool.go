package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A store that is slower than the database holds its snapshot open, which keeps the database from tidying up. So after a few parts
// that took longer to put than to read, the rest waits on this machine's disk, encrypted as it is, until the database is read.

// slowParts is after how many parts that waited for a store the rest is spooled.
const slowParts = 3

// spoolName begins the names of the folders with parts that wait.
const spoolName = "gatehouse-spool-"

// spool are the parts that wait for the stores.
type spool struct {
	dir   string // BACKUP_SPOOL_DIR; empty: nothing waits
	at    string // the folder, once there is one
	slow  int    // how many parts have waited for a store
	files []Part // that wait, in their order
}

// waited notes how long a part took to read and to put.
func (s *spool) waited(read, put time.Duration) {
	if put > read {
		s.slow++
	}
}

// takes says whether the next part waits on the disk.
func (s *spool) takes() bool { return s.dir != "" && s.slow >= slowParts }

// keep writes a part to the disk.
func (s *spool) keep(p Part, data []byte) error {
	if s.at == "" {
		clearFolders(s.dir, spoolName, time.Now())
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return fmt.Errorf("BACKUP_SPOOL_DIR: %w", err)
		}
		at, err := os.MkdirTemp(s.dir, spoolName) // 0700
		if err != nil {
			return fmt.Errorf("BACKUP_SPOOL_DIR: %w", err)
		}
		s.at = at
	}
	path := filepath.Join(s.at, p.Name)
	if err := writeFile(path, data); err != nil {
		return NewFolder(s.dir).refused(path, err)
	}
	s.files = append(s.files, p)
	return nil
}

// empty hands over what waits, one part after the other.
func (s *spool) empty(ctx context.Context, put func(Part, []byte) error) error {
	defer s.drop()
	for _, p := range s.files {
		path := filepath.Join(s.at, p.Name)
		data, err := os.ReadFile(path) //nolint:gosec // the name is ours
		if err == nil {
			err = p.intact(data)
		}
		if err == nil {
			err = put(p, data)
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		_ = os.Remove(path)
	}
	return nil
}

// drop deletes what is left.
func (s *spool) drop() {
	if s.at != "" {
		_ = os.RemoveAll(s.at)
	}
}

// clearFolders deletes what processes that died have left in a folder.
func clearFolders(parent, name string, now time.Time) {
	left, err := filepath.Glob(filepath.Join(parent, name+"*"))
	if err != nil {
		return
	}
	for _, old := range left {
		if info, err := os.Stat(old); err == nil && now.Sub(info.ModTime()) > abandonAfter {
			_ = os.RemoveAll(old)
		}
	}
}
