package app

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// judgeDatabase refuses in production a PostgreSQL database that breaks what the
// README promises, or a role that may do everything (ASVS V13.2.2); what is only
// not as it should be is warned of, here and by readyz.
func (b *base) judgeDatabase(ctx context.Context) error {
	if !b.config.Production() {
		return nil
	}
	hazards, err := b.db.Hazards(ctx)
	if err != nil {
		return err
	}
	var unsafe, warned []string
	for _, h := range hazards {
		if h.Unsafe {
			unsafe = append(unsafe, h.Text)
			continue
		}
		b.log.Warn(h.Text)
		warned = append(warned, h.Text)
	}
	b.hazards = strings.Join(warned, " ")
	if len(unsafe) > 0 {
		return fault.New(fault.Denied, "database_unsafe", strings.Join(unsafe, "\n"))
	}
	return nil
}

// judgeFiles looks who else gets at the folder of the data and at the secrets that an
// earlier start has left there, which a stranger may have planted (ASVS V13.3.2). In
// production they are refused, in development warned of.
func (s *Server) judgeFiles() error {
	var all []string
	dir := s.config.DataDir()
	for _, path := range []string{dir, filepath.Join(dir, secretFile), filepath.Join(dir, eventKeyFile)} {
		why, _ := config.Exposed(path)
		switch {
		case why == "":
		case s.config.Production():
			all = append(all, path+" "+why+". Give it to the user who runs gatehouse, and to nobody else: chown, and chmod go-rwx.")
		default:
			s.log.Warn(path + " " + why + ". Production refuses that.")
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fault.New(fault.Denied, "secret_exposed", strings.Join(all, "\n"))
}
