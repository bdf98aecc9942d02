package app

import (
	"context"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// judgeDatabase refuses in production a PostgreSQL database that breaks what the
// README promises, or a role that may do everything (ASVS V13.2.2); what is only
// not as it should be is warned of, here and by readyz.
func (s *Server) judgeDatabase(ctx context.Context) error {
	if !s.config.Production() {
		return nil
	}
	hazards, err := s.db.Hazards(ctx)
	if err != nil {
		return err
	}
	var unsafe, warned []string
	for _, h := range hazards {
		if h.Unsafe {
			unsafe = append(unsafe, h.Text)
			continue
		}
		s.log.Warn(h.Text)
		warned = append(warned, h.Text)
	}
	s.hazards = strings.Join(warned, " ")
	if len(unsafe) > 0 {
		return fault.New(fault.Denied, "database_unsafe", strings.Join(unsafe, "\n"))
	}
	return nil
}
