package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Folder is a store in a folder: of this machine's, or one that is mounted.
type Folder struct{ path string }

// NewFolder returns the store in a folder, which is made when something is put there.
func NewFolder(path string) *Folder { return &Folder{filepath.Clean(path)} }

// Name returns the folder's path.
func (f *Folder) Name() string { return f.path }

// unfinished begins the names of files that are not whole.
const unfinished = ".unfinished-"

func temporary(name string) bool { return strings.HasPrefix(name, unfinished) }

// Put writes a file under another name, has the disk keep it, and renames it: a file that
// has its name is whole.
func (f *Folder) Put(_ context.Context, name string, data []byte) error {
	path := filepath.Join(f.path, filepath.FromSlash(name))
	if there, err := os.ReadFile(path); err == nil { //nolint:gosec // the name is ours
		if secret.Equal(there, data) {
			return nil
		}
		return errExists
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return f.refused(path, err)
	}
	other := filepath.Join(filepath.Dir(path), unfinished+secret.Random{}.Text(16))
	if err := writeFile(other, data); err != nil {
		_ = os.Remove(other)
		return f.refused(path, err)
	}
	if err := os.Rename(other, path); err != nil {
		_ = os.Remove(other)
		return f.refused(path, err)
	}
	return f.refused(path, syncFolder(filepath.Dir(path)))
}

func writeFile(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the name is ours
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// syncFolder has the disk keep the names in a folder.
func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the name is ours
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// refused says what to do about an error of the disk's that no later try mends.
func (f *Folder) refused(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		free, _ := db.FreeSpace(path)
		return fault.New(fault.Unavailable, "no_room", fmt.Sprintf(
			"There is no room for the backup's file %s: %d MiB are free. Make some, or name another folder in BACKUP_DIR.", path, free>>20)).Because(err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.New(fault.Denied, "store_refused", fmt.Sprintf(
			"The file %s can't be written, read or deleted: the user who runs gatehouse must own the folder %s.", path, f.path)).Because(err)
	}
	return err
}

// Get reads a file.
func (f *Folder) Get(_ context.Context, name string, most int64) ([]byte, error) {
	path := filepath.Join(f.path, filepath.FromSlash(name))
	file, err := os.Open(path) //nolint:gosec // the name is ours
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, f.refused(path, err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, f.refused(path, err)
	}
	if int64(len(b)) > most {
		return nil, errTooLong
	}
	return b, nil
}

// List walks through the folder. Links are not followed.
func (f *Folder) List(_ context.Context, prefix string) ([]Object, error) {
	var out []Object
	root := filepath.Join(f.path, filepath.FromSlash(prefix))
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return f.refused(path, err)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(f.path, path)
		out = append(out, Object{Name: filepath.ToSlash(name), Size: info.Size(), Time: info.ModTime()})
		return err
	})
	return out, err
}

// Delete deletes a file, and its folder if that is empty then.
func (f *Folder) Delete(_ context.Context, name string) error {
	path := filepath.Join(f.path, filepath.FromSlash(name))
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.refused(path, err)
	}
	_ = os.Remove(filepath.Dir(path)) // fails unless it is empty
	return nil
}
