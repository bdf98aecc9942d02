package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

type listCommand struct {
	place
	JSON bool `name:"json" help:"Print JSON, one backup per line."`
}

func (listCommand) Help() string {
	return `It looks at the manifests and at the sizes of the files, and needs no database.

Example:
  gatehouse backup list`
}

// errWrong makes a command exit with 1.
var errWrong = errors.New("something is wrong with the backups")

// Run lists the backups.
func (l listCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	f, err := l.find(ctx, t)
	if err != nil {
		return err
	}
	list, err := backup.List(ctx, f.stores, f.trust, f.install)
	if err != nil {
		return err
	}
	wrong := false
	lines := [][]string{{"ID", "SNAPSHOT", "DATABASE", "ROWS", "SIZE", "STORES", "PROBLEM"}}
	for _, e := range list {
		wrong = wrong || e.Problem != ""
		lines = append(lines, []string{
			e.ID, terminal.Time(e.Snapshot), e.Dialect, fmt.Sprint(e.Rows), terminal.Bytes(e.Size), strings.Join(e.Stores, ","), e.Problem,
		})
	}
	switch {
	case l.JSON:
		err = terminal.JSONLines(t, list)
	case len(list) == 0:
		fmt.Fprintln(t.Err, "No backups.")
	default:
		err = t.Table(lines)
		if f.trust.EventKey != "" && err == nil {
			var s *backup.Signer
			if s, err = backup.NewSigner(f.trust.EventKey, f.install); err == nil {
				fmt.Fprintf(t.Err, "The public key that signs them: %s\n", s.Verifier)
			}
		}
	}
	if err == nil && wrong {
		err = errWrong
	}
	return err
}
