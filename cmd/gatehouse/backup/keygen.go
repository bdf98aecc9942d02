package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

type keygenCommand struct {
	File string `arg:"" help:"The file to write the secret key into; it must not exist."`
}

func (keygenCommand) Help() string {
	return `The secret key is written to the file, the public one is printed: that goes into BACKUP_RECIPIENTS. Make the key on another machine than
the server, or move the file away: whoever has it and a backup has everything. Without it no backup can be restored, so keep it in two
places. The file is one of age's, as age-keygen writes it.

Example:
  gatehouse backup keygen backup-key.txt`
}

// Run makes a key.
func (k keygenCommand) Run(t *terminal.Terminal) error {
	id, recipient, err := backup.NewKey()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(k.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already, and may be the only copy of a key: name another file", k.File)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), recipient, id)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(t.Err, "The secret key is in %s. Keep it in two places that are not this server.\nFor the server's settings: BACKUP_RECIPIENTS=\n", k.File)
	_, err = fmt.Fprintln(t.Out, recipient)
	return err
}
