package app_test

import (
	"os"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func TestMain(m *testing.M) {
	// Spans are sent soon.
	if err := os.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50"); err != nil {
		panic(err)
	}
	harness.Main(m)
}
