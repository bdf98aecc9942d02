package flow

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/password"
)

// Strength tells a person who is choosing a password what to do better. It keeps
// and records nothing.
type Strength struct {
	Policy password.Policy
	Count  Count
}

// Do judges a password. about are the person's address and name, as far as they
// have typed them.
func (f *Strength) Do(ctx context.Context, pass string, about ...string) (password.Strength, error) {
	if pass == "" {
		return password.Strength{}, f.Count.end("strength", required("password"))
	}
	return f.Policy.Strength(ctx, pass, about...), f.Count.end("strength", nil)
}
