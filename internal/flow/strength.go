package flow

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// Strength tells a person who is choosing a password what to do better. It keeps
// and records nothing.
type Strength struct {
	Policy password.Policy
	Count  Count
}

// Do judges a password. The email and the name are the person's, as far as they have typed
// them; what is too long to become one is refused.
func (f *Strength) Do(ctx context.Context, pass, email, name string) (password.Strength, error) {
	err := account.CheckTyped(email, name)
	if pass == "" {
		err = Required("password")
	}
	if err != nil {
		return password.Strength{}, f.Count.End("strength", err)
	}
	return f.Policy.Strength(ctx, pass, email, name), f.Count.End("strength", nil)
}
