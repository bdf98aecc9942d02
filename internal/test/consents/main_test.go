package consents

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
