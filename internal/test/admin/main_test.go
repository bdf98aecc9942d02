package admin_test

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	// Spans are sent soon.
	if err := os.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
