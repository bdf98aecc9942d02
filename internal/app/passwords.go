package app

import (
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// newHasher returns what hashes passwords as the settings say.
func newHasher(c *config.Config) *password.Hasher {
	p := password.Config{Cost: c.BcryptCost, Pepper: password.NewPepper(c.PasswordPepper.Reveal(), c.PasswordPepperPrevious.Reveal())}
	if c.PasswordHash == "argon2id" {
		p.Argon2 = &password.Argon2{MemoryKiB: uint32(c.Argon2MemoryMiB) << 10, Passes: uint32(c.Argon2Passes), Lanes: 1} //nolint:gosec // within 1024 and 64
	}
	return password.New(p)
}

// passwordPolicy returns what new passwords must be.
func passwordPolicy(c *config.Config) password.Policy {
	return password.Policy{
		MinLength: c.PasswordMinLength,
		Require: password.Require{
			Uppercase: c.PasswordRequireUppercase, Lowercase: c.PasswordRequireLowercase,
			Digit: c.PasswordRequireDigit, Symbol: c.PasswordRequireSymbol,
		},
		Site: siteNames(c.PublicURL),
	}
}

// siteNames returns the words under which people know this service: its host's
// name without what stands behind the last dot, and this program's.
func siteNames(publicURL string) []string {
	names := []string{"gatehouse"}
	u, err := url.Parse(publicURL)
	if err != nil {
		return names
	}
	host := u.Hostname()
	if i := strings.LastIndexByte(host, '.'); i > 0 {
		host = host[:i]
	}
	return append(names, host)
}
