package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// newHasher returns what hashes passwords as the settings say.
func newHasher(c *config.Config) *password.Hasher {
	p := password.Config{Cost: c.BcryptCost, Pepper: newPepper(c)}
	if c.PasswordHash == "argon2id" {
		p.Argon2 = &password.Argon2{MemoryKiB: uint32(c.Argon2MemoryMiB) << 10, Passes: uint32(c.Argon2Passes), Lanes: 1} //nolint:gosec // within 1024 and 64
	}
	return password.New(p)
}

func newPepper(c *config.Config) *password.Pepper {
	return password.NewPepper(c.PasswordPepper.Reveal(), c.PasswordPepperPrevious.Reveal())
}

// checkPepper refuses a start with a pepper that the newest accounts' hashes are
// not sealed under: each of their sign-ins would fail.
func (b *base) checkPepper(ctx context.Context) error {
	const sample = 20
	pepper := newPepper(b.config)
	return b.db.Read(ctx, func(tx *db.Tx) error {
		list, err := account.NewestHashes(tx, sample)
		if err != nil {
			return err
		}
		for _, h := range list {
			if !pepper.Opens(h.Hash) {
				return fault.New(fault.Invalid, "wrong_pepper",
					"Stored password hashes are sealed under a pepper that is not set. Set PASSWORD_PEPPER to the value they were sealed with, or set that as "+
						"PASSWORD_PEPPER_PREVIOUS beside the new one.")
			}
		}
		return nil
	})
}

// OpenBreaches returns what knows the passwords that attackers try first, and
// what closes it. Nothing is asked of a server yet.
func OpenBreaches(c *config.Config, log *slog.Logger, now func() time.Time) (password.Breaches, func() error, error) {
	none := func() error { return nil }
	switch c.PasswordBreach {
	case config.BreachOff:
		return breach.None{}, none, nil
	case config.BreachFile:
		f, err := breach.OpenFile(c.PasswordBreachFile, now, func(err error) {
			log.Warn("PASSWORD_BREACH_FILE was replaced by a file that can't be used; the one before is kept.", "error", err.Error())
		})
		if err != nil {
			return nil, nil, fault.New(fault.Invalid, "breach_filter_unusable",
				"PASSWORD_BREACH_FILE can't be used. Name a file that `gatehouse breach build` made, or set PASSWORD_BREACH=embedded.").Because(err)
		}
		return f, f.Close, nil
	case config.BreachAPI:
		site, err := outbound.NewSite(outbound.Config{
			URL: c.PasswordBreachAPIURL, Timeout: breachTimeout, MostBytes: 1 << 20, Header: map[string]string{"Add-Padding": "true"},
		})
		if err != nil {
			return nil, nil, fmt.Errorf("PASSWORD_BREACH_API_URL: %w", err)
		}
		return &breach.API{
			Fetch:  func(ctx context.Context, prefix string) ([]byte, error) { return site.Get(ctx, "range", prefix) },
			Refuse: c.PasswordBreachAway == config.BreachAwayRefuse, Now: now,
			Away: func(err error) {
				log.Warn("PASSWORD_BREACH_API_URL can't be asked whether passwords have been in a breach; PASSWORD_BREACH_AWAY says what becomes of them.",
					"error", err.Error())
			},
		}, none, nil
	default:
		return breach.List{}, none, nil
	}
}

// breachTimeout is how long a new password waits for the server.
const breachTimeout = 2 * time.Second

// passwordPolicy returns what new passwords must be.
func passwordPolicy(c *config.Config, breaches password.Breaches) password.Policy {
	return password.Policy{
		Breaches:  breaches,
		MinLength: c.PasswordMinLength,
		Require: password.Require{
			Uppercase: c.PasswordRequireUppercase, Lowercase: c.PasswordRequireLowercase,
			Digit: c.PasswordRequireDigit, Symbol: c.PasswordRequireSymbol,
		},
		Site: append(siteNames(c.PublicURL), c.PasswordContextWords...),
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

// breachesAtSignIn is what passwords in use are held against, or nil.
func breachesAtSignIn(c *config.Config, known password.Breaches) password.Breaches {
	if !c.PasswordBreachAtSignIn {
		return nil
	}
	return known
}

// strengthPolicy is the policy for passwords that are being typed. It asks no
// other server: from the hashes of a password's beginnings, one after another,
// that could tell more than from the whole one's.
func strengthPolicy(c *config.Config, known password.Breaches) password.Policy {
	if c.PasswordBreach == config.BreachAPI {
		known = breach.List{}
	}
	return passwordPolicy(c, known)
}

// newBreaches opens what knows the passwords that attackers try first.
func newBreaches(b *base) (password.Breaches, capability, error) {
	known, done, err := OpenBreaches(b.config, b.log, b.now)
	return known, capability{name: "breached passwords", close: done}, err
}

// newHashing hashes passwords, if it can compare those that are stored.
func newHashing(ctx context.Context, b *base) (*password.Hasher, capability, error) {
	if err := b.checkPepper(ctx); err != nil {
		return nil, capability{}, err
	}
	h := newHasher(b.config)
	return h, capability{
		name: "password hashing",
		metrics: []prometheus.Collector{
			gauge("gatehouse_hashing_workers", "Password hashes that may be worked on at once.", func() float64 { return float64(h.Stats().Workers) }),
			gauge("gatehouse_hashing_busy", "Password hashes being worked on.", func() float64 { return float64(h.Stats().Busy) }),
			gauge("gatehouse_hashing_queued", "Requests that wait for a password hash.", func() float64 { return float64(h.Stats().Queued) }),
			counter("gatehouse_hashing_done_total", "Password hashes finished.", func() float64 { return float64(h.Stats().Done) }),
			counter("gatehouse_hashing_shed_total", "Requests refused because too many waited for a password hash.",
				func() float64 { return float64(h.Stats().Shed) }),
		},
		close: func() error { h.Close(); return nil },
	}, nil
}
