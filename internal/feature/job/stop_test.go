package job_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// TestAJobCutOffByTheStopIsDoneByTheNextReplicaAtOnce: a server that is stopped,
// or is killed soon after, must not put its work off by a whole period, nor
// tell of a failure.
func TestAJobCutOffByTheStopIsDoneByTheNextReplicaAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var log bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&log, nil))
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		cutOff := job.Job{Name: "sweep", Every: time.Hour, Lease: time.Minute, Run: func(ctx context.Context) error {
			stop()
			<-ctx.Done()
			return ctx.Err()
		}}
		first := job.NewRunner(d, "first", time.Now, logger, cutOff)
		if ran, err := first.Try(ctx, cutOff); !ran || err != nil {
			t.Fatalf("ran: %v, %v", ran, err)
		}
		if strings.Contains(log.String(), "ERROR") || first.Last()["sweep"].Failed {
			t.Errorf("the stop was taken for a failure: %s", log.String())
		}
		done := cutOff
		done.Run = func(context.Context) error { return nil }
		if ran, err := job.NewRunner(d, "second", time.Now, logger, done).Try(context.Background(), done); !ran || err != nil {
			t.Errorf("the next replica ran it: %v, %v", ran, err)
		}
	})
}
